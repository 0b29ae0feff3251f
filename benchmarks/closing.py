"""What the last stage of the synthesis does to finished grasps: ``python benchmarks/closing.py RUN...``.

``RUN`` are grasp files, or folders of them, made with ``--closing.steps 0``. The stage is run on each file; the table tells how
many grasps are in force closure by contacts within 1 mm before and after, how far contacts are from the object, how deep the
deepest point of penetration is on average, and what the stage costs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from case_problem import problem_of, state_of
from machine import machine_name

from warpgrasp.base.warp_messages import quiet_warp
from warpgrasp.eval.metrics.geometry import penetration_depth
from warpgrasp.grasps.case import GraspCase, grasp_files, load_case
from warpgrasp.synthesis.closing import close_gaps
from warpgrasp.synthesis.closing_config import ClosingConfig
from warpgrasp.synthesis.state import GraspState

FRICTION = 0.2
CONFIG = ClosingConfig()


def measure(case: GraspCase) -> tuple[list[float], list[float], float]:
    """Share closed, mean distance [mm], share within 1 mm and penetration [mm], before and after; CPU ms per grasp."""
    grasps = case.grasps
    problem = problem_of(case)

    def numbers(state: GraspState, closed: np.ndarray) -> list[float]:
        distance = np.abs(state.contact_distance.numpy())
        pose, joints = state.root_pose.numpy().astype(float), state.joint_position.numpy().astype(float)
        depth = [
            penetration_depth(case.hand, case.model, pose[i, :3], pose[i, 3:], joints[i])
            for i in range(len(grasps))
        ]
        touching = np.mean(distance <= CONFIG.touching)
        return [
            float(closed.mean()),
            1e3 * float(distance.mean()),
            float(touching),
            1e3 * float(np.mean(depth)),
        ]

    state = state_of(problem, case)
    before = numbers(state, close_gaps(problem, state, ClosingConfig(steps=0), friction=FRICTION))
    close_gaps(
        problem, state_of(problem, case), CONFIG, friction=FRICTION
    )  # kernels are loaded before the clock starts
    state = state_of(problem, case)
    started = time.process_time()
    closed = close_gaps(problem, state, CONFIG, friction=FRICTION)
    seconds = time.process_time() - started
    return before, numbers(state, closed), 1e3 * seconds / len(grasps)


def main(arguments: list[str]) -> None:
    """One row per file and their mean."""
    quiet_warp()
    print(f"{machine_name()}; friction {FRICTION}; before -> after")
    print(
        "| file | closed % | distance of a contact [mm] | contacts within 1 mm % | penetration [mm] | CPU ms / grasp |"
    )
    print("|---|---|---|---|---|---|")
    rows = []
    for path in grasp_files([Path(argument) for argument in arguments]):
        before, after, cost = measure(load_case(path))
        rows.append((path.stem, before, after, cost))
        print(_row(*rows[-1]), flush=True)
    mean = [np.mean([row[column] for row in rows], axis=0) for column in (1, 2, 3)]
    print(_row("mean", list(mean[0]), list(mean[1]), float(mean[2])))


def _row(name: str, before: list[float], after: list[float], cost: float) -> str:
    scales = (100.0, 1.0, 100.0, 1.0)
    digits = (0, 2, 0, 2)
    cells = [
        f"{scale * a:.{digit}f} -> {scale * b:.{digit}f}"
        for a, b, scale, digit in zip(before, after, scales, digits, strict=True)
    ]
    return f"| {name} | {' | '.join(cells)} | {cost:.0f} |"


if __name__ == "__main__":
    main(sys.argv[1:])
