"""Under which conditions numbers hold: sentences that stand beside them, and names of folders that keep them apart."""

from __future__ import annotations

from collections.abc import Sequence

from warpgrasp.eval.protocol.protocols import Drive, Protocol
from warpgrasp.eval.protocol.squeeze_rules import SqueezeRule

__all__ = ["forces_sentence", "protocol_sentence", "settings_name", "squeeze_sentence"]

_USUAL_ENGINE = "mujoco"


def protocol_sentence(protocol: Protocol, forces: Sequence[float] = (), *, hand: str | None = None) -> str:
    """The sentence of the protocol with the time of a push and the stiffness of the drives.

    Args:
        protocol: The protocol, at one force.
        forces: All pushes it was run with [N]; its own by default.
        hand: Name of the hand whose drives are named; all by default.
    """
    text = protocol.sentence()
    if forces and protocol.force is not None:
        text = text.replace(f" {protocol.force:g} N", f" {forces_sentence(forces)}", 1)
    times = sorted({round(push.end - push.start, 6) for trial in protocol.trials for push in trial.pushes})
    durations = " or ".join(f"{time:g}" for time in times)
    return f"{text}, pushes of {durations} s, drive stiffness {_stiffness(protocol, hand)}"


def forces_sentence(forces: Sequence[float]) -> str:
    """Pushes as text: ``1, 5, 10 N``."""
    return f"{', '.join(f'{force:g}' for force in sorted(forces))} N"


def squeeze_sentence(rule: SqueezeRule, effort: float | None) -> str:
    """Where the squeeze comes from."""
    if effort is None:
        return rule.value
    if effort == 0.0:
        return f"{rule.value} at 0 of the limit (none: the joints only hold the grasp)"
    return f"{rule.value} at {effort:g} of the limit"


def settings_name(
    protocol: Protocol, engine: str, squeeze: SqueezeRule, effort: float | None, hand_model: str = ""
) -> str:
    """Name of the folder of results: the protocol, and every setting that is not the usual one.

    Results of different settings never share a folder; those of several forces do. ``hand_model`` names the model of the hand
    that is simulated, where it is another.
    """
    parts = [protocol.name]
    if engine != _USUAL_ENGINE:
        parts.append(engine)
    if squeeze != SqueezeRule.TORQUE:
        parts.append(f"squeeze-{squeeze.value}")
    if effort is not None:
        parts.append(f"effort-{effort:.12g}")
    if hand_model:
        parts.append(hand_model)
    return "-".join(parts)


def _stiffness(protocol: Protocol, hand: str | None) -> str:
    if hand is not None:
        return _drive(protocol.drive_of(hand))
    names: dict[str, list[str]] = {}
    for name, drive in protocol.hand_drives.items():
        names.setdefault(_drive(drive), []).append(name)
    others = [f"{', '.join(same)} {text}" for text, same in names.items()]
    return _drive(protocol.drive) + (f" ({'; '.join(others)})" if others else "")


def _drive(drive: Drive) -> str:
    return "of the hand's asset" if drive.stiffness is None else f"{drive.stiffness:g} Nm/rad"
