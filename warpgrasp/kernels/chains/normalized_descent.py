"""Descent with a unit gradient in each group of unknowns: translation, rotation, joints (Chen et al. 2025, BODex).

Each group's gradient is scaled to length one, smoothed by ``m <- (0.9 m + g) / 2``, and followed by a step of a fixed length,
however large the energy is.
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.chains.descent import descend, is_finite
from warpgrasp.kernels.kinematics import ROOT_DOF_COUNT, KinematicTree

__all__ = ["normalized_descent_kernel"]

wp.set_module_options({"enable_backward": False})

_ROOT = wp.constant(ROOT_DOF_COUNT)
_TINY = wp.constant(1.0e-12)


@wp.func
def _smooth(
    gradient: wp.array2d(dtype=wp.float32), grasp: int, first: int, last: int, m: wp.array2d(dtype=wp.float32)
):
    squared = float(0.0)
    for i in range(first, last):
        squared += gradient[grasp, i] * gradient[grasp, i]
    length = wp.sqrt(squared) + _TINY
    for i in range(first, last):
        m[grasp, i] = 0.5 * (0.9 * m[grasp, i] + gradient[grasp, i] / length)


@wp.kernel
def normalized_descent_kernel(
    tree: KinematicTree,
    gradient: wp.array2d(dtype=wp.float32),  # [B, 6 + J]
    length_step: float,
    turn_step: float,
    joint_step: float,
    # outputs
    momentum: wp.array2d(dtype=wp.float32),  # [B, 6 + J]
    root_pose: wp.array(dtype=wp.transform),  # [B]
    joint_position: wp.array2d(dtype=wp.float32),  # [B, J]
    status: wp.array(dtype=wp.int32),  # [B] 1 where the gradient is not finite: the grasp stays
):
    """Move every grasp by one step [m, rad, rad or m]; joints stay in their limits."""
    grasp = wp.tid()
    if not is_finite(gradient, grasp):
        status[grasp] = 1
        return
    _smooth(gradient, grasp, 0, 3, momentum)
    _smooth(gradient, grasp, 3, _ROOT, momentum)
    _smooth(gradient, grasp, _ROOT, gradient.shape[1], momentum)
    rate = wp.vec3(length_step, turn_step, joint_step)
    descend(tree, grasp, momentum, rate, root_pose, joint_position)
