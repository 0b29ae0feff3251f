"""Small problems, runs of the optimiser that are stepped by hand, and snapshots of their chains."""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import example_objects, make_problem
from numpy.typing import NDArray

from warpgrasp.synthesis.optimizer import MalaState, OptimizerMala
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.seeds import InitializeConfig, SeedGrasps, seed_grasps

__all__ = ["CHAIN", "small_problem", "snapshot", "start"]

CHAIN = ("root_pose", "joint_position", "contact_index", "closest_point", "qp_dual", "energy")


def small_problem(
    hand: str = "allegro", object_count: int = 1, grasp_count: int = 8, **options: Any
) -> GraspProblem:
    options = {"contact_count": 6, "sample_count": 300, **options}
    return make_problem(hand, example_objects(object_count), grasp_count=grasp_count, **options)


def start(
    problem: GraspProblem, optimizer: OptimizerMala, step_count: int, seed: int = 0
) -> tuple[MalaState, list[SeedGrasps]]:
    config = InitializeConfig()
    seeds = seed_grasps(problem, config, seed=seed)
    resets = [
        seed_grasps(problem, config, seed=seed, reset=1 + i) for i in range(optimizer.reset_count(step_count))
    ]
    return optimizer.init(problem, seeds, resets, step_count=step_count), resets


def snapshot(chain: Any, names: tuple[str, ...] = CHAIN) -> dict[str, NDArray[Any]]:
    return {name: np.array(getattr(chain, name).numpy()) for name in names}
