"""The points of every link that are nearest to the object, step after step of a hand that moves a little."""

from __future__ import annotations

from typing import TYPE_CHECKING

import warp as wp

from warpgrasp.hands.device import surface_points
from warpgrasp.kernels.targets.nearest_points import launch_nearest_remembered, nearest_memory
from warpgrasp.kernels.targets.opening import NEAREST_COUNT

if TYPE_CHECKING:
    from warpgrasp.synthesis.problem import GraspProblem

__all__ = ["NearestSearch"]


class NearestSearch:
    """Looks first at the points that were nearest one step before; buffers are made once.

    Args:
        problem: Hand and objects.
        reach: Only what is nearer is looked for [m].
    """

    def __init__(self, problem: GraspProblem, reach: float) -> None:
        device, links = problem.device, problem.hand.link_count
        shape = (problem.batch_size, links, NEAREST_COUNT)
        self._problem, self._reach = problem, reach
        self._points = surface_points(problem.hand, device)
        self._memory = nearest_memory(self._points, problem.batch_size, links, device)
        self.distance: wp.array = wp.empty(shape, dtype=wp.float32, device=device)
        """Signed distances, nearest first [m], shape [B, L, 3]; ``reach`` where a link has fewer such points."""
        self.position: wp.array = wp.empty(shape, dtype=wp.vec3, device=device)
        """The points in the object frame [m], shape [B, L, 3]."""
        self.normal: wp.array = wp.empty(shape, dtype=wp.vec3, device=device)
        """Gradients of the distance there, shape [B, L, 3]."""

    def launch(self, link_pose: wp.array, running: wp.array) -> None:
        """Search for links at ``link_pose`` [B, L], but for grasps whose ``running`` [B] is 0; what was found before stays."""
        problem = self._problem
        launch_nearest_remembered(
            self._points,
            problem.meshes,
            problem.distance_bound,
            problem.object_index,
            link_pose,
            self._reach,
            memory=self._memory,
            running=running,
            distance=self.distance,
            position=self.position,
            normal=self.normal,
        )
