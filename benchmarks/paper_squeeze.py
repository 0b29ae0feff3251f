"""What the squeeze and the hand's contact with itself decide, on poses that stay the same; for ``paper_tables.py``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
from paper_runs import Run, load

from warpgrasp.eval.engines.mujoco_scene import Scene, build_scene
from warpgrasp.eval.engines.registry import load_engine
from warpgrasp.eval.protocol.protocols import PROTOCOLS
from warpgrasp.eval.protocol.squeeze_rules import hand_targets
from warpgrasp.eval.protocol.verdict import Verdict
from warpgrasp.grasps.case import GraspCase
from warpgrasp.objects.convex_pieces import convex_pieces
from warpgrasp.synthesis.controller_targets import TargetConfig
from warpgrasp.synthesis.retarget import retarget

__all__ = ["squeeze_rows"]

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


def _judged(case: GraspCase, *, through_itself: bool) -> Verdict:
    protocol = PROTOCOLS["graspqp"]
    if through_itself:
        protocol = dataclasses.replace(protocol, start_penetration_limit=None)
    scene = build_scene(case.hand, case.model, convex_pieces(case.model), protocol)
    if through_itself:
        _pass_through_itself(scene)
    targets = hand_targets(
        case.hand, case.grasps, stiffness=scene.drives.stiffness, effort=scene.drives.effort
    )
    return load_engine("mujoco").evaluate(scene, targets)


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
