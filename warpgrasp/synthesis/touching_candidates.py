"""Contacts of grasps that were found without any: candidates that touch, spread over the hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import warp as wp
from numpy.typing import NDArray

from warpgrasp.kernels.targets.closing import distance_of_candidates

if TYPE_CHECKING:
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.state import GraspState

__all__ = ["touching_candidates"]

_REACH = 0.05  # m; candidates further off all count alike


def touching_candidates(
    problem: GraspProblem, state: GraspState, *, spread: float = 0.1
) -> NDArray[np.int32]:
    """Contacts [B, C]: in turn the candidate that is nearest to the surface and farthest from those chosen.

    A candidate is worth ``spread`` times its way to the nearest chosen one, less its distance to the object. Every slot keeps
    to its own candidates, as the grasp type asks.

    Args:
        problem: Hand and objects.
        state: Grasps whose link poses are up to date.
        spread: Distance to the object that a unit of way is worth.
    """
    shape = (problem.batch_size, problem.host_candidates.count)
    position = wp.empty(shape, dtype=wp.vec3, device=problem.device)
    distance = wp.empty(shape, dtype=wp.float32, device=problem.device)
    wp.launch(
        distance_of_candidates,
        dim=shape,
        inputs=[
            problem.candidates,
            problem.meshes,
            problem.distance_bound,
            problem.object_index,
            state.link_pose,
            _REACH,
        ],
        outputs=[position, distance],
        device=problem.device,
    )
    places, gaps = position.numpy().astype(np.float64), np.abs(distance.numpy().astype(np.float64))
    result = np.zeros((problem.batch_size, problem.contact_count), dtype=np.int32)
    for grasp in range(problem.batch_size):
        way = np.full(shape[1], 0.05)
        free = np.ones(shape[1], dtype=bool)
        for slot, (start, count) in enumerate(zip(problem.slot_start, problem.slot_count, strict=True)):
            worth = spread * way - gaps[grasp]
            worth[~free] = -np.inf
            chosen = start + int(np.argmax(worth[start : start + count]))
            result[grasp, slot] = chosen
            free[chosen] = False
            way = np.minimum(way, np.linalg.norm(places[grasp] - places[grasp, chosen], axis=1))
    return result
