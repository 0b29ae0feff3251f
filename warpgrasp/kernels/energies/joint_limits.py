"""Joint limit energy: linear violation outside [lower, upper], ``sum max(0, lower - q) + max(0, q - upper)``."""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.kinematics import KinematicTree

__all__ = ["launch_joint_limits", "launch_joint_limits_taped"]

wp.set_module_options({"enable_backward": True})


@wp.kernel(enable_backward=False)
def _joint_limits(
    tree: KinematicTree,
    joint_position: wp.array2d(dtype=wp.float32),  # [B, J]
    weight: float,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
    joint_force: wp.array2d(dtype=wp.float32),  # [B, J]
):
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


def launch_joint_limits(
    tree: KinematicTree, joint_position: wp.array, weight: float, *, energy: wp.array, joint_force: wp.array
) -> None:
    """Joint limit energy [rad or m], shape [B]; its weighted derivative is added to ``joint_force`` [B, J]."""
    wp.launch(
        _joint_limits,
        dim=joint_position.shape[0],
        inputs=[tree, joint_position, weight],
        outputs=[energy, joint_force],
        device=joint_position.device,
    )


@wp.kernel
def _joint_limits_taped(
    tree: KinematicTree,
    joint_position: wp.array2d(dtype=wp.float32),  # [B, J]
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
):
    grasp, dof = wp.tid()
    q = joint_position[grasp, dof]
    violation = wp.max(0.0, tree.dof_lower[dof] - q) + wp.max(0.0, q - tree.dof_upper[dof])
    wp.atomic_add(energy, grasp, violation)


def launch_joint_limits_taped(tree: KinematicTree, joint_position: wp.array, *, energy: wp.array) -> None:
    """Add the joint limit energy [rad or m] of every grasp to ``energy`` [B]; taped."""
    wp.launch(
        _joint_limits_taped,
        dim=joint_position.shape,
        inputs=[tree, joint_position],
        outputs=[energy],
        device=joint_position.device,
    )
