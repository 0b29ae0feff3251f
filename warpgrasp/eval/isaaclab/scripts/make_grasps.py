"""``python -m warpgrasp.eval.isaaclab.make_grasps [HAND...]``: the grasps that ship with the environments.

Run it when a hand asset or the synthesis changes. Needs no Isaac Lab.
"""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from warpgrasp.base.status import GraspStatus
from warpgrasp.eval.engines.mujoco import MujocoEngine
from warpgrasp.eval.engines.mujoco_scene import build_scene
from warpgrasp.eval.isaaclab.pool import load_pool
from warpgrasp.eval.isaaclab.table import table_starts
from warpgrasp.eval.protocol.protocols import dexgraspbench, graspqp
from warpgrasp.eval.protocol.squeeze_rules import hand_targets
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.hands import HandModel, hand_names, load_hand
from warpgrasp.objects import example_object_names, example_object_path, load_object
from warpgrasp.objects.convex_pieces import convex_pieces
from warpgrasp.synthesis.synthesize import SynthesisConfig, synthesize

if TYPE_CHECKING:
    from warpgrasp.objects import ObjectModel

__all__ = ["main", "make_grasps"]

_LOGGER = logging.getLogger(__name__)
_ENOUGH = 7  # of nine trials
_FEWEST = 8  # grasps kept if too few hold
_SEEDS = 48  # grasps synthesised per object
_KEPT = 16  # the best of those that hold
_KEPT_ON_TABLE = 8  # and the best others whose hand is clear of a table


def make_grasps(hand_name: str, folder: Path, *, step_count: int = 3000) -> list[Path]:
    """Synthesise power grasps of a hand on the shipped objects; the best go to ``folder``, one file per object."""
    hand = load_hand(hand_name)
    names = example_object_names()
    models = [load_object(example_object_path(name)) for name in names]
    sets = synthesize(hand, models, SynthesisConfig(grasp_count=_SEEDS, step_count=step_count))
    return [
        _portable(_selected(hand, model, grasps)).save(folder / f"{name}.npz")
        for name, model, grasps in zip(names, models, sets, strict=True)
    ]


def _selected(hand: HandModel, model: ObjectModel, grasps: GraspSet) -> GraspSet:
    """The best grasps that hold in MuJoCo, and some more of them that the Lift task can start from."""
    ordered = grasps.select(grasps.order()[: int((grasps.status == GraspStatus.OK).sum())])
    held = _held_trials(hand, model, ordered)
    ordered = ordered.select(np.argsort(-held, kind="stable"))
    held = np.sort(held)[::-1]
    limit = max(int((held >= _ENOUGH).sum()), _FEWEST)
    chosen = list(range(min(_KEPT, limit, len(ordered))))
    try:
        clear = set(table_starts(hand, load_pool(hand, [ordered], device="cpu")).grasp.tolist())
    except ValueError:  # none is
        clear = set()
    missing = _KEPT_ON_TABLE - len(clear & set(chosen))
    chosen += sorted(clear - set(chosen))[: max(missing, 0)]
    _LOGGER.info("%s %s: held trials %s", hand.name, model.name, held[chosen].tolist())
    return ordered.select(chosen)


def _held_trials(hand: HandModel, model: ObjectModel, grasps: GraspSet) -> NDArray[np.int64]:
    """How many trials each grasp survives: three pairs of pushes from the grasp, six directions after closing."""
    pieces = convex_pieces(model)
    count = np.zeros(len(grasps), dtype=np.int64)
    for protocol in (graspqp, dexgraspbench):
        scene = build_scene(hand, model, pieces, protocol)
        targets = hand_targets(hand, grasps, stiffness=scene.drives.stiffness, effort=scene.drives.effort)
        count += MujocoEngine().evaluate(scene, targets).trial_success.sum(axis=1)
    return count


def _portable(grasps: GraspSet) -> GraspSet:
    """Without paths of this machine."""
    metadata = dict(grasps.metadata)
    for key in ("hand", "object"):
        metadata[key] = {**metadata[key], "path": Path(metadata[key]["path"]).name}
    return dataclasses.replace(grasps, metadata=metadata)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    hands = (sys.argv[1:] if arguments is None else arguments) or hand_names()
    for hand in hands:
        folder = Path(__file__).parents[1] / "grasps" / hand
        folder.mkdir(parents=True, exist_ok=True)
        make_grasps(hand, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
