"""Plain gradient descent of grasps with a rate for translation, rotation and joints each, and a schedule for one number.

A step longer than its limit is shortened, all of its group alike: a gradient of an energy with contacts has no bound.
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.kinematics import ROOT_DOF_COUNT, KinematicTree, rotation_from_vector

__all__ = ["plain_descent_kernel", "ramp_kernel"]

wp.set_module_options({"enable_backward": False})

_ROOT = wp.constant(ROOT_DOF_COUNT)


@wp.kernel
def ramp_kernel(
    first: float,
    last: float,
    length: float,
    # outputs
    step: wp.array(dtype=wp.int32),  # [1] counts up
    value: wp.array(dtype=wp.float32),  # [1]
):
    """A number that goes linearly from ``first`` to ``last`` over ``length`` steps and stays there."""
    share = wp.min(float(step[0]) / length, 1.0)
    value[0] = first + share * (last - first)
    step[0] = step[0] + 1


@wp.func
def _shortened(
    gradient: wp.array2d(dtype=wp.float32), grasp: int, first: int, last: int, rate: float, limit: float
) -> float:
    """The rate, or less where the step would be longer than ``limit``."""
    squared = float(0.0)
    for i in range(first, last):
        squared += gradient[grasp, i] * gradient[grasp, i]
    return wp.min(rate, limit / (wp.sqrt(squared) + 1.0e-12))


@wp.kernel
def plain_descent_kernel(
    tree: KinematicTree,
    gradient: wp.array2d(dtype=wp.float32),  # [B, 6 + J]
    rate: wp.vec3,
    limit: wp.vec3,
    # outputs
    root_pose: wp.array(dtype=wp.transform),  # [B]
    joint_position: wp.array2d(dtype=wp.float32),  # [B, J]
    status: wp.array(dtype=wp.int32),  # [B] 1 where the gradient is not finite: the grasp stays
):
    """One step of every grasp; ``rate`` and ``limit`` of translation [m], rotation [rad] and joints [rad or m]."""
    grasp = wp.tid()
    total = float(0.0)
    for i in range(gradient.shape[1]):
        total += gradient[grasp, i]
    if not wp.isfinite(total):
        status[grasp] = 1
        return
    r = _shortened(gradient, grasp, 0, 3, rate[0], limit[0])
    way = r * wp.vec3(gradient[grasp, 0], gradient[grasp, 1], gradient[grasp, 2])
    r = _shortened(gradient, grasp, 3, _ROOT, rate[1], limit[1])
    turn = r * wp.vec3(gradient[grasp, 3], gradient[grasp, 4], gradient[grasp, 5])
    position = wp.transform_get_translation(root_pose[grasp]) - way
    rotation = wp.transform_get_rotation(root_pose[grasp]) * rotation_from_vector(-turn)
    root_pose[grasp] = wp.transform(position, wp.normalize(rotation))
    r = _shortened(gradient, grasp, _ROOT, gradient.shape[1], rate[2], limit[2])
    for dof in range(joint_position.shape[1]):
        moved = joint_position[grasp, dof] - r * gradient[grasp, _ROOT + dof]
        joint_position[grasp, dof] = wp.clamp(moved, tree.dof_lower[dof], tree.dof_upper[dof])
