"""``python -m warpgrasp.eval.isaaclab.make_grasps [HAND...]``: the grasps that ship with the environments.

Run it when a hand asset or the synthesis changes. Needs no Isaac Lab.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from warpgrasp.dataset import GraspSet
from warpgrasp.eval.isaaclab.pool import load_pool
from warpgrasp.eval.isaaclab.table import table_starts
from warpgrasp.hands import HandModel, hand_names, load_hand
from warpgrasp.objects import example_object_names, example_object_path, load_object
from warpgrasp.status import GraspStatus
from warpgrasp.synthesis import SynthesisConfig, synthesize

__all__ = ["main", "make_grasps"]

_SEEDS = 48  # grasps synthesised per object
_KEPT = 16  # the best of them
_KEPT_ON_TABLE = 8  # and the best others whose hand is clear of a table


def make_grasps(hand_name: str, folder: Path, *, step_count: int = 7000) -> list[Path]:
    """Synthesise power grasps of a hand on the shipped objects; the best go to ``folder``, one file per object."""
    hand = load_hand(hand_name)
    names = example_object_names()
    models = [load_object(example_object_path(name)) for name in names]
    sets = synthesize(hand, models, SynthesisConfig(grasp_count=_SEEDS, step_count=step_count))
    return [
        _portable(_selected(hand, grasps)).save(folder / f"{name}.npz")
        for name, grasps in zip(names, sets, strict=True)
    ]


def _selected(hand: HandModel, grasps: GraspSet) -> GraspSet:
    """The best grasps, and some more that the Lift task can start from."""
    ordered = grasps.select(grasps.order()[: int((grasps.status == GraspStatus.OK).sum())])
    chosen = list(range(min(_KEPT, len(ordered))))
    try:
        clear = set(table_starts(hand, load_pool(hand, [ordered], device="cpu")).grasp.tolist())
    except ValueError:  # none is
        clear = set()
    chosen += sorted(clear - set(chosen))[:_KEPT_ON_TABLE]
    return ordered.select(chosen)


def _portable(grasps: GraspSet) -> GraspSet:
    """Without paths and times of this machine."""
    metadata = dict(grasps.metadata)
    for key in ("hand", "object"):
        metadata[key] = {**metadata[key], "path": Path(metadata[key]["path"]).name}
    metadata.pop("wall_time", None)
    return dataclasses.replace(grasps, metadata=metadata)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    hands = (sys.argv[1:] if arguments is None else arguments) or hand_names()
    for hand in hands:
        folder = Path(__file__).parent / "grasps" / hand
        folder.mkdir(parents=True, exist_ok=True)
        make_grasps(hand, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
