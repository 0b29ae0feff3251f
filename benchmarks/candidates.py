"""How much it helps to synthesise several candidates for every grasp and to keep the best.

    python -m warpgrasp.generate OBJECTS --grasps 64 --candidates 1 --out RUN
    python -m warpgrasp.evaluate RUN [--protocol dexgraspbench]
    python benchmarks/candidates.py RUN RESULTS...

``RESULTS`` are folders that the evaluation wrote, ``RUN/evaluation/PROTOCOL``. From the 64 grasps of every object the first n
are taken and the best n / k of them kept, as ``--candidates k`` does; n is the largest number that k divides. The table says
how many hold along one axis (Succ1) and along all.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from warpgrasp.eval.results.case_result import CaseResult
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.grasps.success_estimate import with_estimate

_CANDIDATES = (1, 2, 3, 4)


def kept(grasps: GraspSet, candidates: int) -> np.ndarray:
    """Rows that ``--candidates`` keeps."""
    count = len(grasps) // candidates
    first = with_estimate(grasps.select(np.arange(count * candidates)))
    return first.order()[:count]


def load_all(path: Path) -> GraspSet:
    """Every candidate of a file.

    Raises:
        ValueError: The file holds the best of several candidates, among which nothing is left to choose.
    """
    grasps = GraspSet.load(path)
    if "candidates" in grasps.metadata:
        raise ValueError(f"{path} holds the best of several candidates; make the run with --candidates 1")
    return grasps


def main() -> None:
    """Print a table for every folder of results."""
    run, *folders = (Path(argument) for argument in sys.argv[1:])
    for folder in folders:
        print(
            f"\n{folder}\n\n| candidates | grasps | OK % | Succ1 % | all directions % |\n|---|---|---|---|---|"
        )
        files = sorted(folder.glob("*.npz"))
        for candidates in _CANDIDATES:
            rows = []
            for file in files:
                grasps = load_all(run / file.name)
                success = CaseResult.load(file).columns["trial_success"][:, 0]
                held = np.stack([grasps.status == 0, success.any(axis=1), success.all(axis=1)], axis=1)
                rows.append(held[kept(grasps, candidates)])
            every = np.concatenate(rows)
            cells = " | ".join(f"{100 * share:.1f}" for share in every.mean(axis=0))
            print(f"| {candidates} | {len(every)} | {cells} |")


if __name__ == "__main__":
    main()
