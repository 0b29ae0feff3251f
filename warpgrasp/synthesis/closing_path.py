"""How far a hand that closes from its pregrasp presses into the object before it has arrived.

The way is the straight one, in the root's position and the joints, that controllers take. A link that arrives early pushes the
object away from the others; so do links that end too deep.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import warp as wp
from numpy.typing import NDArray

from warpgrasp.hands.device import surface_points
from warpgrasp.kernels.kinematics import launch_forward_kinematics
from warpgrasp.kernels.targets.nearest_points import launch_least_distance

if TYPE_CHECKING:
    from warpgrasp.synthesis.pregrasp import Pregrasp
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.state import GraspState

__all__ = ["EARLY_DEPTH", "early_depth", "nearest_on_way"]

EARLY_DEPTH = 0.00075
"""A link deeper than this [m] in the object before nine tenths of the way arrives early."""
_FRACTIONS = (0.3, 0.5, 0.7, 0.8, 0.9)  # of the way


def early_depth(problem: GraspProblem, state: GraspState, opened: Pregrasp) -> NDArray[np.float64]:
    """Largest depth of the links' surface points in the object at up to nine tenths of the way [m], at least 0, shape [B].

    Args:
        problem: Hand and objects.
        state: The grasps, where the way ends.
        opened: The pregrasps, where it begins.
    """
    root, joints = (value.numpy().astype(np.float64) for value in (state.root_pose, state.joint_position))
    begin, end = (opened.root_pose, opened.joint_position), (root, joints)
    nearest = nearest_on_way(problem, begin, end, _FRACTIONS, reach=0.0)  # outside does not count
    return np.abs(nearest)


def nearest_on_way(
    problem: GraspProblem,
    begin: tuple[NDArray[np.float64], NDArray[np.float64]],
    end: tuple[NDArray[np.float64], NDArray[np.float64]],
    fractions: Sequence[float],
    *,
    reach: float,
) -> NDArray[np.float64]:
    """Least signed distance of the links' surface points to the object on a straight way [m], at most ``reach``, shape [B].

    Args:
        problem: Hand and objects.
        begin: Roots [B, 7] (m, xyzw) and joints [B, J] (rad or m) where the way begins; roots do not turn on it.
        end: The same where it ends; the roots are turned as these.
        fractions: Of the way, where the hand is looked at.
        reach: Only what is nearer is looked for [m].
    """
    device = problem.device
    distance: wp.array = wp.full(problem.batch_size, reach, dtype=wp.float32, device=device)
    shape = (problem.batch_size, problem.hand.link_count)
    link_pose = wp.empty(shape, dtype=wp.transform, device=device)
    points = surface_points(problem.hand, device)
    (first_root, first_joints), (root, joints) = begin, end
    for fraction in fractions:
        pose = root.copy()
        pose[:, :3] += (1.0 - fraction) * (first_root[:, :3] - root[:, :3])
        angles = joints + (1.0 - fraction) * (first_joints - joints)
        launch_forward_kinematics(
            problem.tree,
            wp.array(pose.astype(np.float32), dtype=wp.transform, device=device),
            wp.array(angles.astype(np.float32), dtype=wp.float32, device=device),
            link_pose=link_pose,
        )
        launch_least_distance(
            points,
            problem.meshes,
            problem.distance_bound,
            problem.object_index,
            link_pose,
            distance=distance,
        )
    return np.asarray(distance.numpy(), dtype=np.float64)
