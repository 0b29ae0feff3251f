"""What every descent of grasps does last: take the step, unless the gradient is not finite."""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.kinematics import ROOT_DOF_COUNT, KinematicTree, moved_root

__all__ = ["descend", "is_finite"]

wp.set_module_options({"enable_backward": False})

_ROOT = wp.constant(ROOT_DOF_COUNT)


@wp.func
def is_finite(gradient: wp.array2d(dtype=wp.float32), grasp: int) -> bool:
    """Whether every derivative of one grasp is a finite number; a sum that overflows counts as none."""
    total = float(0.0)
    for i in range(gradient.shape[1]):
        total += gradient[grasp, i]
    return wp.isfinite(total)


@wp.func
def descend(
    tree: KinematicTree,
    grasp: int,
    slope: wp.array2d(dtype=wp.float32),  # [B, 6 + J]
    rate: wp.vec3,
    # outputs
    root_pose: wp.array(dtype=wp.transform),  # [B]
    joint_position: wp.array2d(dtype=wp.float32),  # [B, J]
):
    """Move one grasp against ``slope``, at the rates of translation, rotation and joints; joints stay in their limits."""
    way = -rate[0] * wp.vec3(slope[grasp, 0], slope[grasp, 1], slope[grasp, 2])
    turn = -rate[1] * wp.vec3(slope[grasp, 3], slope[grasp, 4], slope[grasp, 5])
    root_pose[grasp] = moved_root(root_pose[grasp], way, turn)
    for dof in range(joint_position.shape[1]):
        moved = joint_position[grasp, dof] - rate[2] * slope[grasp, _ROOT + dof]
        joint_position[grasp, dof] = wp.clamp(moved, tree.dof_lower[dof], tree.dof_upper[dof])
