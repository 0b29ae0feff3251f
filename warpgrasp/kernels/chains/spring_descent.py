"""RMSProp on grasps with spring targets and stiffnesses (Chen et al. 2024, SpringGrasp)."""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.energies.spring_equilibrium import Springs
from warpgrasp.kernels.kinematics import ROOT_DOF_COUNT, KinematicTree, moved_root

__all__ = ["spring_descent_kernel"]

wp.set_module_options({"enable_backward": False})

_ROOT = wp.constant(ROOT_DOF_COUNT)


@wp.func
def _scaled(
    squares: wp.array2d(dtype=wp.float32), grasp: int, column: int, slope: float, memory: float
) -> float:
    """``g / sqrt(v)`` with the running mean v of squares."""
    squares[grasp, column] = memory * squares[grasp, column] + (1.0 - memory) * slope * slope
    return slope / (wp.sqrt(squares[grasp, column]) + 1.0e-8)


@wp.kernel
def spring_descent_kernel(
    tree: KinematicTree,
    gradient: wp.array2d(dtype=wp.float32),  # [B, 6 + J]
    root_step: float,
    joint_step: float,
    target_step: float,
    stiffness_step: float,
    least_stiffness: float,
    memory: float,
    # outputs
    squares: wp.array2d(dtype=wp.float32),  # [B, 6 + J + 4 F]
    springs: Springs,
    root_pose: wp.array(dtype=wp.transform),  # [B]
    joint_position: wp.array2d(dtype=wp.float32),  # [B, J]
    status: wp.array(dtype=wp.int32),  # [B] 1 where a derivative is not finite: the grasp stays
):
    """One step of every grasp: root [m, rad], joints [rad or m], targets [m] and stiffnesses [N/m]."""
    grasp = wp.tid()
    joints = joint_position.shape[1]
    finite = float(0.0)
    for i in range(gradient.shape[1]):
        finite += gradient[grasp, i]
    for tip in range(springs.target.shape[1]):
        finite += springs.stiffness_slope[grasp, tip] + wp.length(springs.target_slope[grasp, tip])
    if not wp.isfinite(finite):
        status[grasp] = 1
        return
    way = wp.vec3(0.0, 0.0, 0.0)
    turn = wp.vec3(0.0, 0.0, 0.0)
    for i in range(3):
        way[i] = -root_step * _scaled(squares, grasp, i, gradient[grasp, i], memory)
        turn[i] = -root_step * _scaled(squares, grasp, 3 + i, gradient[grasp, 3 + i], memory)
    root_pose[grasp] = moved_root(root_pose[grasp], way, turn)
    for dof in range(joints):
        step = joint_step * _scaled(squares, grasp, _ROOT + dof, gradient[grasp, _ROOT + dof], memory)
        moved = joint_position[grasp, dof] - step
        joint_position[grasp, dof] = wp.clamp(moved, tree.dof_lower[dof], tree.dof_upper[dof])
    for tip in range(springs.target.shape[1]):
        column = _ROOT + joints + 4 * tip
        slope = springs.target_slope[grasp, tip]
        moved_target = springs.target[grasp, tip]
        for axis in range(3):
            moved_target[axis] = moved_target[axis] - target_step * _scaled(
                squares, grasp, column + axis, slope[axis], memory
            )
        springs.target[grasp, tip] = moved_target
        step = stiffness_step * _scaled(
            squares, grasp, column + 3, springs.stiffness_slope[grasp, tip], memory
        )
        springs.stiffness[grasp, tip] = wp.max(springs.stiffness[grasp, tip] - step, least_stiffness)
