"""Plain gradient descent of grasps with a rate for translation, rotation and joints each, and a schedule for one number.

A step longer than its limit is shortened, all of its group alike: a gradient of an energy with contacts has no bound.
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.chains.descent import descend, is_finite
from warpgrasp.kernels.kinematics import ROOT_DOF_COUNT, KinematicTree

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
    if not is_finite(gradient, grasp):
        status[grasp] = 1
        return
    own = wp.vec3(
        _shortened(gradient, grasp, 0, 3, rate[0], limit[0]),
        _shortened(gradient, grasp, 3, _ROOT, rate[1], limit[1]),
        _shortened(gradient, grasp, _ROOT, gradient.shape[1], rate[2], limit[2]),
    )
    descend(tree, grasp, gradient, own, root_pose, joint_position)
