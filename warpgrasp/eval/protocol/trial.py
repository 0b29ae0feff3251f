"""What happens in a trial, for every engine: phases, targets over time, pushes, and how the motion is judged.

A trial starts from the reset, closes the hand, pushes the object and ends. Engines ask here what to command at which time,
and hand back a :class:`Recording`; how a hand or an object is moved is theirs. Quaternions are xyzw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from warpgrasp.eval.protocol.verdict import StartContact, Verdict, failure_reasons, too_deep

if TYPE_CHECKING:
    from warpgrasp.eval.protocol.protocols import Protocol, Trial
    from warpgrasp.eval.protocol.squeeze_rules import HandTargets

__all__ = [
    "FASTEST",
    "RESET_TIME",
    "Recording",
    "joint_targets",
    "look_ends",
    "push_forces",
    "root_targets",
    "settle_step_count",
    "start_joints",
    "step_count",
    "step_times",
    "still_holds",
    "trial_verdict",
]

FloatArray = NDArray[np.float64]

RESET_TIME = -1.0
"""A time [s] before the first target: the hand is where the reset put it."""

FASTEST = 100.0
"""An object faster than this [m/s] has been blown away by the solver, not by a hand."""


@dataclass(frozen=True, eq=False)
class Recording:
    """Motion of the object and effort of the hand over S steps of B runs, after each step."""

    position: FloatArray
    """Centre of mass [m], shape [B, S, 3]."""
    quaternion: FloatArray
    """Orientation xyzw, shape [B, S, 4]."""
    effort_ratio: FloatArray
    """Largest ``|torque| / effort limit`` over joints and time, shape [B]."""
    stable: NDArray[np.bool_]
    """Whether the run came to its end with finite, sane states, shape [B]."""

    def __len__(self) -> int:
        """Number of runs."""
        return len(self.position)

    @classmethod
    def unknown(cls, step_count: int) -> Recording:
        """One run of which nothing is known: NaN, no effort."""
        nan = np.full((1, step_count, 4), np.nan)
        return cls(nan[:, :, :3], nan, np.zeros(1), np.ones(1, dtype=bool))

    @classmethod
    def joined(cls, pieces: Sequence[Recording], step_count: int) -> Recording:
        """Successive pieces of the same runs; NaN after the last up to ``step_count``."""
        position = np.concatenate([piece.position for piece in pieces], axis=1)
        quaternion = np.concatenate([piece.quaternion for piece in pieces], axis=1)
        rest = ((0, 0), (0, step_count - position.shape[1]), (0, 0))
        return cls(
            np.pad(position, rest, constant_values=np.nan),
            np.pad(quaternion, rest, constant_values=np.nan),
            np.max([piece.effort_ratio for piece in pieces], axis=0),
            np.all([piece.stable for piece in pieces], axis=0),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Recording]) -> Recording:
        """Runs of several recordings, in order; shorter ones stay where they ended."""
        longest = max(part.position.shape[1] for part in parts)

        def stay(value: FloatArray) -> FloatArray:
            rest = longest - value.shape[1]
            return np.pad(value, ((0, 0), (0, rest), (0, 0)), mode="edge") if rest else value

        return cls(
            np.concatenate([stay(part.position) for part in parts]),
            np.concatenate([stay(part.quaternion) for part in parts]),
            np.concatenate([part.effort_ratio for part in parts]),
            np.concatenate([part.stable for part in parts]),
        )


def settle_step_count(protocol: Protocol) -> int:
    """Steps before the first push of any trial."""
    first = min(push.start for trial in protocol.trials for push in trial.pushes)
    return round(first / protocol.time_step)


def step_count(protocol: Protocol, trial: Trial) -> int:
    """Steps of a trial."""
    return round(trial.duration / protocol.time_step)


def step_times(protocol: Protocol, first: int, last: int) -> FloatArray:
    """Times at which steps ``first`` to ``last`` begin [s], shape [last - first]."""
    return np.arange(first, last, dtype=np.float64) * protocol.time_step


def push_forces(protocol: Protocol, trial: Trial, time: FloatArray) -> FloatArray:
    """Force on the centre of mass during the step that begins at each time [N], world axes, shape [S, 3]."""
    force = np.zeros((len(time), 3))
    middle = time + 0.5 * protocol.time_step  # of the step: no step is lost to rounding
    for push in trial.pushes:
        active = (middle > push.start) & (middle < push.end)
        force[active] = protocol.push_force * np.asarray(push.direction)
    return force


def start_joints(protocol: Protocol, targets: HandTargets) -> FloatArray:
    """Joints at the reset [rad or m], shape [N, J]."""
    return targets.pregrasp_joints if protocol.closing_time > 0.0 else targets.grasp_joints


def joint_targets(protocol: Protocol, targets: HandTargets, time: FloatArray) -> FloatArray:
    """Targets of the joint drives at each time [rad or m], shape [N, S, J]."""
    first, second = (leg[None, :, None] for leg in _legs(protocol, time))
    opened, grasp, squeeze = (
        value[:, None, :] for value in (targets.pregrasp_joints, targets.grasp_joints, targets.squeeze_joints)
    )
    return opened + first * (grasp - opened) + second * (squeeze - grasp)


def root_targets(protocol: Protocol, targets: HandTargets, time: FloatArray) -> FloatArray:
    """Where the root is held at each time: position [m] and quaternion (xyzw), shape [N, S, 7]."""
    first, second = _legs(protocol, time)
    if protocol.closing_time <= 0.0:  # a fixed root stays at the grasp
        pose = np.concatenate([targets.grasp_position, targets.grasp_quaternion], axis=1)
        return np.repeat(pose[:, None, :], len(time), axis=1)
    legs = (first + second)[None, :, None]
    opened, grasp, squeeze = (
        value[:, None, :]
        for value in (targets.pregrasp_position, targets.grasp_position, targets.squeeze_position)
    )
    position = np.where(
        legs <= 1.0, opened + legs * (grasp - opened), grasp + (legs - 1.0) * (squeeze - grasp)
    )
    quaternion = np.empty((len(targets), len(time), 4))
    keys = np.stack(
        [targets.pregrasp_quaternion, targets.grasp_quaternion, targets.squeeze_quaternion], axis=1
    )
    for i, key in enumerate(keys):
        quaternion[i] = Slerp([0.0, 1.0, 2.0], Rotation.from_quat(key))(legs[0, :, 0]).as_quat()
    return np.concatenate([position, quaternion], axis=2)


def trial_verdict(
    protocol: Protocol,
    center_of_mass: FloatArray,
    *,
    settle: Recording,
    pushed: Recording,
    start: StartContact,
    settled: StartContact,
) -> Verdict:
    """Judge N grasps by T trials each.

    Args:
        protocol: Limits.
        center_of_mass: Of the object at the reset [m], shape [3], or [N, 3] where objects differ.
        settle: Motion until the first push, N runs.
        pushed: Motion of the trials after that, or all of it; N * T runs, the trials of a grasp in a row.
        start: Contacts at the reset.
        settled: Contacts before the first push.
    """
    count = len(settle)
    shape = (count, -1)
    center = np.broadcast_to(np.asarray(center_of_mass, dtype=np.float64), (count, 3))
    settle_way, settle_angle = _motion(settle, center)
    push_way, push_angle = _motion(pushed, np.repeat(center, len(pushed) // max(count, 1), axis=0))
    way = np.maximum(push_way.max(axis=1).reshape(shape), settle_way.max(axis=1)[:, None])
    angle = np.maximum(push_angle.max(axis=1).reshape(shape), settle_angle.max(axis=1)[:, None])
    if protocol.check_period is not None:
        looked = _looks(protocol, protocol.check_period, pushed.position.shape[1])
        way = push_way[:, looked].max(axis=1).reshape(shape)
        angle = push_angle[:, looked].max(axis=1).reshape(shape)
    blown_up = ~(settle.stable & pushed.stable.reshape(shape).all(axis=1))
    angle_limit = np.inf if protocol.angle_limit is None else protocol.angle_limit
    inside, entangled = too_deep(start, protocol.start_penetration_limit)
    allowed = ~(blown_up | inside | entangled)
    success = (way < protocol.position_limit) & (angle < angle_limit) & allowed[:, None]
    settle_failed = (settle_way.max(axis=1) >= protocol.position_limit) | (
        settle_angle.max(axis=1) >= angle_limit
    )
    effort = np.maximum(settle.effort_ratio, pushed.effort_ratio.reshape(shape).max(axis=1))
    return Verdict(
        trial_success=success,
        displacement=way,
        rotation=angle,
        effort_ratio=effort,
        settle_displacement=_settle_displacement(protocol, settle, center),
        penetration=start.penetration,
        self_penetration=start.self_penetration,
        contact_count=settled.contact_count,
        reason=failure_reasons(
            trial_success=success,
            blown_up=blown_up,
            settle_failed=settle_failed,
            settle_way=settle_way.max(axis=1),
            start=start,
            contact_count=settled.contact_count,
            start_penetration_limit=protocol.start_penetration_limit,
        ),
    )


def still_holds(
    protocol: Protocol, center_of_mass: FloatArray, piece: Recording, *, closing: bool = False
) -> bool:
    """Whether a grasp may still pass, judged by the last piece of its run, which ends at a look.

    Args:
        protocol: Limits.
        center_of_mass: Of the object at the reset [m], shape [3].
        piece: One run.
        closing: Whether the piece lies before the first push, where only some protocols look at the object.
    """
    way, angle = _motion(piece, center_of_mass[None])
    if protocol.check_period is not None:
        way, angle = (value[:, :0] if closing else value[:, -1:] for value in (way, angle))
    limit = np.inf if protocol.angle_limit is None else protocol.angle_limit
    inside = (way < protocol.position_limit).all() and (angle < limit).all()
    return bool(inside and piece.stable.all())


def look_ends(protocol: Protocol, count: int, *, else_every: float) -> list[int]:
    """Where a recording of ``count`` steps after the closing may be cut so that every piece ends at a look, ascending.

    ``else_every`` is the length of the pieces [s] where the protocol looks at every step.
    """
    if protocol.check_period is not None:
        return [int(step) + 1 for step in np.sort(_looks(protocol, protocol.check_period, count))]
    length = max(round(else_every / protocol.time_step), 1)
    return [*range(length, count, length), count]


def _looks(protocol: Protocol, period: float, count: int) -> NDArray[np.int64]:
    """Steps of a recording of ``count`` steps at which the object is looked at: its last, and those a period apart before."""
    pushed = max(trial.duration for trial in protocol.trials) - protocol.closed_time
    number = max(round(pushed / period), 1)
    back = round(period / protocol.time_step) * np.arange(number)
    return count - 1 - back[back < count]


def _legs(protocol: Protocol, time: FloatArray) -> tuple[FloatArray, FloatArray]:
    """How far the two legs pregrasp -> grasp -> squeeze have gone at each time, in [0, 1]."""
    if protocol.closing_time <= 0.0:
        return np.ones_like(time), np.ones_like(time)
    leg = time / protocol.closing_time
    if protocol.closing_jumps > 0:
        leg = (np.floor(leg * protocol.closing_jumps + 1.0e-6) + 1.0) / protocol.closing_jumps
    return np.clip(leg, 0.0, 1.0), np.clip(leg - 1.0, 0.0, 1.0)


def _settle_displacement(protocol: Protocol, settle: Recording, center_of_mass: FloatArray) -> FloatArray:
    """Way of the centre of mass [m] from when the hand is closed to the end of ``settle``, shape [N]; else NaN."""
    closed = round(protocol.closed_time / protocol.time_step)
    if settle.position.shape[1] <= closed:  # pushed as soon as it is closed
        return np.full(len(settle), np.nan)
    begin = settle.position[:, closed - 1] if closed else center_of_mass
    with np.errstate(invalid="ignore", over="ignore"):
        way = np.linalg.norm(settle.position[:, -1] - begin, axis=1)
    return np.where(settle.stable & np.isfinite(way), way, np.nan)


def _motion(recording: Recording, center_of_mass: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Way of the centre of mass [m] and angle turned [rad] since the reset, shapes [B, S]; infinite when not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        way = np.linalg.norm(recording.position - center_of_mass[:, None, :], axis=2)
        angle = 2.0 * np.arccos(np.clip(np.abs(recording.quaternion[:, :, 3]), 0.0, 1.0))
    return np.where(np.isfinite(way), way, np.inf), np.where(np.isfinite(angle), angle, np.inf)
