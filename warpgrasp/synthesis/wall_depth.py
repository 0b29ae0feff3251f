"""How far a hand reaches behind the plane of the wall term: an energy only weighs it against the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import warp as wp
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from warpgrasp.kernels.kinematics import launch_forward_kinematics

if TYPE_CHECKING:
    from warpgrasp.synthesis.energy_optional import Wall
    from warpgrasp.synthesis.problem import GraspProblem

__all__ = ["wall_depth"]


def wall_depth(
    problem: GraspProblem, wall: Wall, root_pose: ArrayLike, joint_position: ArrayLike
) -> NDArray[np.float64]:
    """Largest depth of the hand's spheres behind the plane [m], at least 0, shape [B].

    Args:
        problem: Hand and objects; the plane of an object is that of :meth:`Wall.offset_of`.
        wall: The term.
        root_pose: Position [m] and quaternion xyzw of the hand root, object frame, shape [B, 7].
        joint_position: Independent joints [rad or m], shape [B, J].
    """
    hand, device = problem.hand, problem.device
    root = np.asarray(root_pose, dtype=np.float32)
    joints = np.asarray(joint_position, dtype=np.float32)
    link_pose = wp.empty((len(root), len(hand.link_names)), dtype=wp.transform, device=device)
    launch_forward_kinematics(
        problem.tree,
        wp.array(root, dtype=wp.transform, device=device),
        wp.array(joints, dtype=wp.float32, device=device),
        link_pose=link_pose,
    )
    pose = link_pose.numpy().astype(np.float64)[:, hand.sphere_link]
    spheres = np.tile(hand.sphere_position, (len(root), 1))
    turned = Rotation.from_quat(pose[..., 3:].reshape(-1, 4)).apply(spheres)
    center = pose[..., :3] + turned.reshape(*pose.shape[:2], 3)
    normal = np.asarray(wall.normal) / np.linalg.norm(wall.normal)
    offset = np.array([wall.offset_of(model) for model in problem.objects])[problem.object_index.numpy()]
    depth = offset[:, None] + hand.sphere_radius - center @ normal
    return np.asarray(np.maximum(depth.max(axis=1, initial=0.0), 0.0))
