"""Joint limit energy: linear violation outside [lower, upper], ``sum max(0, lower - q) + max(0, q - upper)``."""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.kinematics import KinematicTree

__all__ = ["joint_limits_kernel", "joint_limits_taped_kernel"]

wp.set_module_options({"enable_backward": True})


@wp.kernel(enable_backward=False)
def joint_limits_kernel(
    tree: KinematicTree,
    joint_position: wp.array2d(dtype=wp.float32),  # [B, J]
    weight: float,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
    joint_force: wp.array2d(dtype=wp.float32),  # [B, J]
):
    """Joint limit energy [rad or m], shape [B]; its weighted derivative is added to ``joint_force`` [B, J]."""
    grasp = wp.tid()
    total = float(0.0)
    for dof in range(joint_position.shape[1]):
        q = joint_position[grasp, dof]
        below = tree.dof_lower[dof] - q
        above = q - tree.dof_upper[dof]
        if below > 0.0:
            total += below
            joint_force[grasp, dof] = joint_force[grasp, dof] - weight
        elif above > 0.0:
            total += above
            joint_force[grasp, dof] = joint_force[grasp, dof] + weight
    energy[grasp] = total


@wp.kernel
def joint_limits_taped_kernel(
    tree: KinematicTree,
    joint_position: wp.array2d(dtype=wp.float32),  # [B, J]
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
):
    """Add the joint limit energy [rad or m] of every grasp to ``energy`` [B]; taped."""
    grasp, dof = wp.tid()
    q = joint_position[grasp, dof]
    violation = wp.max(0.0, tree.dof_lower[dof] - q) + wp.max(0.0, q - tree.dof_upper[dof])
    wp.atomic_add(energy, grasp, violation)
