"""The process in which ``python -m warpgrasp.hands.check`` tries a hand: JSON lines of progress and results on its output.

``python -m warpgrasp.evaluate.hand_trial_process HAND GRASPS CANDIDATES STEPS FORCE [FORCE ...]``. Each line is an object:
``progress`` says what is done next; ``grasp_type`` comes with ``forces``, ``succ1``, ``succ3``, ``grasps`` and ``why`` (why
few of them hold, or empty), or with ``error``, one sentence.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from warpgrasp.base.warp_messages import quiet_warp
from warpgrasp.evaluate.few_hold import why_few_hold
from warpgrasp.evaluate.hand_trial import run_trial, trial_shapes
from warpgrasp.hands import load_hand

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Try every grasp type of a hand."""
    name, grasps, candidates, steps, *forces = arguments
    quiet_warp()
    hand = load_hand(name)
    shapes = trial_shapes()
    for grasp_type in hand.grasp_types:
        try:
            row = run_trial(
                hand,
                grasp_type,
                shapes,
                grasps=int(grasps),
                candidates=int(candidates),
                steps=int(steps),
                forces=[float(force) for force in forces],
                progress=lambda step: _say(progress=step),
            )
        except (ValueError, ImportError) as error:
            _say(grasp_type=grasp_type, error=str(error))
            continue
        _say(
            grasp_type=grasp_type,
            forces=row.forces,
            succ1=row.succ1,
            succ3=row.succ3,
            grasps=row.grasps,
            why=why_few_hold(hand, row),
        )
    return 0


def _say(**line: Any) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
