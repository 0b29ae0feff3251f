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

__all__ = ["nearest_candidates", "touching_candidates"]

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


def nearest_candidates(problem: GraspProblem, state: GraspState, points: np.ndarray) -> np.ndarray:
    """Contact candidates of the hand that are nearest to points in the object frame [B, F, 3], shape [B, F]."""
    pose = state.link_pose.numpy()
    candidates = problem.host_candidates
    result = np.zeros(points.shape[:2], dtype=np.int32)
    for grasp in range(len(points)):
        poses = pose[grasp][candidates.link]
        own = poses[:, :3] + _rotate_each(poses[:, 3:], candidates.position)
        way = np.linalg.norm(points[grasp][:, None] - own, axis=2)
        result[grasp] = np.argmin(way, axis=1)
    return result


def _rotate_each(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Vectors [N, 3] rotated by quaternions [N, 4] (xyzw)."""
    axis, real = quaternion[:, :3], quaternion[:, 3:]
    twice = 2.0 * np.cross(axis, vector)
    return np.asarray(vector + real * twice + np.cross(axis, twice))
