"""What squeeze, pregrasp and the hand's contact with itself decide, on poses that stay the same; for ``paper_tables.py``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray
from paper_runs import Run, load

from warpgrasp.eval.engines.mujoco_scene import Scene, build_scene
from warpgrasp.eval.engines.registry import load_engine
from warpgrasp.eval.protocol.protocols import PROTOCOLS, Protocol
from warpgrasp.eval.protocol.squeeze_rules import hand_targets
from warpgrasp.eval.protocol.verdict import Verdict
from warpgrasp.grasps.case import GraspCase
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.objects.convex_pieces import convex_pieces
from warpgrasp.synthesis.controller_targets import TargetConfig
from warpgrasp.synthesis.retarget import retarget

__all__ = ["pregrasp_rows", "squeeze_rows"]

_HAND, _OBJECT = 1, 2  # bits of MuJoCo's contact masks


def squeeze_rows(run: Run, objects: Sequence[Path], out: Path) -> dict[str, dict[str, str]]:
    """Success under ``graspqp`` at 5 N of the same poses with every squeeze, as they are and if the hand passed through itself.

    The second judgement leaves out the limit of the depth at the start too, which such grasps would fail by.
    """
    verdicts: dict[str, list[tuple[Verdict, Verdict]]] = {}
    for path in objects:
        case = load(run, path, out)
        for squeeze in get_args(get_type_hints(TargetConfig)["squeeze"]):
            config = dataclasses.replace(run.config().targets, squeeze=squeeze)
            made = retarget(
                case.hand, case.model, case.grasps, config, grasp_type=case.grasp_type, device="cpu"
            )
            case_made = dataclasses.replace(case, grasps=made)
            own = " (its own)" if squeeze == run.config().targets.squeeze else ""
            pair = _judged(case_made, through_itself=False), _judged(case_made, through_itself=True)
            verdicts.setdefault(squeeze + own, []).append(pair)
    return {name: _row([a for a, _ in pairs], [b for _, b in pairs]) for name, pairs in verdicts.items()}


def pregrasp_rows(run: Run, objects: Sequence[Path], out: Path) -> dict[str, dict[str, str]]:
    """Success under ``dexgraspbench`` of the same poses with our pregrasps instead of their own, and with our squeezes too."""
    held: dict[str, list[NDArray[np.bool_]]] = {}
    for path in objects:
        case = load(run, path, out)
        made = retarget(case.hand, case.model, case.grasps, grasp_type=case.grasp_type, device="cpu")
        names = [name for name in _columns(made) if name.startswith("pregrasp_")]
        opened = dataclasses.replace(case.grasps, **{name: getattr(made, name) for name in names})
        for name, grasps in (("our pregrasp", opened), ("our pregrasp and squeeze", made)):
            verdict = _simulated(dataclasses.replace(case, grasps=grasps), PROTOCOLS["dexgraspbench"])
            held.setdefault(f"{run.method}, {name}", []).append(verdict.trial_success.all(axis=1))
    return {name: {"success %": f"{100 * np.concatenate(parts).mean():.0f}"} for name, parts in held.items()}


def _columns(grasps: GraspSet) -> list[str]:
    return [field.name for field in dataclasses.fields(grasps)]


def _simulated(case: GraspCase, protocol: Protocol) -> Verdict:
    scene = build_scene(case.hand, case.model, convex_pieces(case.model), protocol)
    return _in_scene(case, scene)


def _in_scene(case: GraspCase, scene: Scene) -> Verdict:
    targets = hand_targets(
        case.hand, case.grasps, stiffness=scene.drives.stiffness, effort=scene.drives.effort
    )
    return load_engine("mujoco").evaluate(scene, targets)


def _judged(case: GraspCase, *, through_itself: bool) -> Verdict:
    if not through_itself:
        return _simulated(case, PROTOCOLS["graspqp"])
    protocol = dataclasses.replace(PROTOCOLS["graspqp"], start_penetration_limit=None)
    scene = build_scene(case.hand, case.model, convex_pieces(case.model), protocol)
    _pass_through_itself(scene)
    return _in_scene(case, scene)


def _pass_through_itself(scene: Scene) -> None:
    """Let the hand touch the object and not itself."""
    touches = scene.model.geom_contype > 0
    for chosen, own, other in ((scene.hand_geom, _HAND, _OBJECT), (~scene.hand_geom, _OBJECT, _HAND)):
        scene.model.geom_contype[touches & chosen] = own
        scene.model.geom_conaffinity[touches & chosen] = other


def _row(asis: Sequence[Verdict], through: Sequence[Verdict]) -> dict[str, str]:
    cells = {}
    for name, verdicts in (("", asis), (", hand passes through itself", through)):
        held = np.concatenate([verdict.trial_success for verdict in verdicts])
        cells[f"Succ1 %{name}"] = f"{100 * held.any(axis=1).mean():.0f}"
        cells[f"Succ3 %{name}"] = f"{100 * held.all(axis=1).mean():.0f}"
    return cells
