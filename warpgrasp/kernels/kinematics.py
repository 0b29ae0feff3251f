"""Hand forward kinematics over an arbitrary joint tree, and its adjoint by accumulated link wrenches.

Conventions: quaternions xyzw, poses map local to object frame, links in topological order (a parent before its children,
link 0 is the root). The motion of link ``l`` in its parent is ``A * motion(axis, value) * B^-1`` with
``value = multiplier * q[dof] + offset``, which covers fixed, revolute, prismatic and mimic joints.

The derivative of an energy E with respect to the pose of a link is a *wrench* about the object origin: the force is
dE/d(translation), the torque dE/d(rotation vector). Wrenches of all terms add up per link; one sweep from the leaves to
the root turns them into the gradient of E, the classical ``J^T f`` (Featherstone, Rigid Body Dynamics Algorithms, ch. 5).
The gradient of one grasp is ``[translation (3, object frame), rotation (3, hand frame), joints (J)]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import warp as wp

from warpgrasp.kernels.spatial import vec6

if TYPE_CHECKING:
    pass

__all__ = [
    "ROOT_DOF_COUNT",
    "KinematicTree",
    "launch_forward_kinematics",
    "launch_joint_gradient",
    "moved_root",
    "retract_kernel",
    "rotation_from_vector",
]

wp.set_module_options({"enable_backward": True})

ROOT_DOF_COUNT = 6
_FIXED = wp.constant(0)
_REVOLUTE = wp.constant(1)


@wp.struct
class KinematicTree:
    """Joint tree of one hand: ``L`` links, ``J`` independent joints."""

    link_parent: wp.array(dtype=wp.int32)  #: [L]
    joint_type: wp.array(dtype=wp.int32)  #: [L] of the joint above each link
    joint_axis: wp.array(dtype=wp.vec3)  #: [L] joint frame
    joint_parent: wp.array(dtype=wp.transform)  #: [L] joint frame in the parent link
    joint_child_inverse: wp.array(dtype=wp.transform)  #: [L] child link in the joint frame
    joint_dof: wp.array(dtype=wp.int32)  #: [L] index into the joint vector, -1 when fixed
    joint_multiplier: wp.array(dtype=wp.float32)  #: [L]
    joint_offset: wp.array(dtype=wp.float32)  #: [L] rad or m
    dof_lower: wp.array(dtype=wp.float32)  #: [J] rad or m
    dof_upper: wp.array(dtype=wp.float32)  #: [J] rad or m


@wp.func
def rotation_from_vector(rotation: wp.vec3) -> wp.quat:
    """Quaternion of a rotation vector [rad], smooth at zero: ``q = [v sin(|v|/2)/|v|, cos(|v|/2)]``."""
    squared = wp.dot(rotation, rotation)
    half = 0.5 * wp.sqrt(squared + 1.0e-16)
    scale = 0.5 * wp.sin(half) / half
    return wp.normalize(wp.quat(scale * rotation[0], scale * rotation[1], scale * rotation[2], wp.cos(half)))


@wp.func
def moved_root(root: wp.transform, way: wp.vec3, turn: wp.vec3) -> wp.transform:
    """A root pose after a translation [m, object frame] and a rotation vector [rad, hand frame]."""
    rotation = wp.transform_get_rotation(root) * rotation_from_vector(turn)
    return wp.transform(wp.transform_get_translation(root) + way, wp.normalize(rotation))


@wp.kernel
def retract_kernel(
    root_pose: wp.array(dtype=wp.transform),  # [B]
    joint_position: wp.array2d(dtype=wp.float32),  # [B, J]
    increment: wp.array2d(dtype=wp.float32),  # [B, 6 + J]
    # outputs
    root_pose_out: wp.array(dtype=wp.transform),  # [B]
    joint_position_out: wp.array2d(dtype=wp.float32),  # [B, J]
):
    """Apply increments [translation (object frame), rotation vector (hand frame), joints] to a batch of hands; taped."""
    grasp = wp.tid()
    way = wp.vec3(increment[grasp, 0], increment[grasp, 1], increment[grasp, 2])
    turn = wp.vec3(increment[grasp, 3], increment[grasp, 4], increment[grasp, 5])
    root_pose_out[grasp] = moved_root(root_pose[grasp], way, turn)
    for dof in range(joint_position.shape[1]):
        joint_position_out[grasp, dof] = joint_position[grasp, dof] + increment[grasp, 6 + dof]


@wp.kernel
def _forward_kinematics(
    tree: KinematicTree,
    root_pose: wp.array(dtype=wp.transform),  # [B]
    joint_position: wp.array2d(dtype=wp.float32),  # [B, J]
    # outputs
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
):
    grasp = wp.tid()
    link_pose[grasp, 0] = root_pose[grasp]
    for link in range(1, tree.link_parent.shape[0]):
        motion = wp.transform_identity()
        if tree.joint_type[link] != _FIXED:
            value = (
                tree.joint_multiplier[link] * joint_position[grasp, tree.joint_dof[link]]
                + tree.joint_offset[link]
            )
            axis = tree.joint_axis[link]
            if tree.joint_type[link] == _REVOLUTE:
                motion = wp.transform(wp.vec3(0.0, 0.0, 0.0), wp.quat_from_axis_angle(axis, value))
            else:
                motion = wp.transform(value * axis, wp.quat_identity())
        link_pose[grasp, link] = wp.transform_multiply(
            link_pose[grasp, tree.link_parent[link]],
            wp.transform_multiply(
                tree.joint_parent[link], wp.transform_multiply(motion, tree.joint_child_inverse[link])
            ),
        )


def launch_forward_kinematics(
    tree: KinematicTree, root_pose: wp.array, joint_position: wp.array, *, link_pose: wp.array
) -> None:
    """Link poses in the object frame, shape [B, L], of root poses [B] and joint positions [B, J]; taped."""
    wp.launch(
        _forward_kinematics,
        dim=root_pose.shape[0],
        inputs=[tree, root_pose, joint_position],
        outputs=[link_pose],
        device=root_pose.device,
    )


@wp.kernel(enable_backward=False)
def _joint_gradient(
    tree: KinematicTree,
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    # outputs
    link_wrench: wp.array2d(dtype=vec6),  # [B, L] consumed: zero afterwards
    joint_force: wp.array2d(dtype=wp.float32),  # [B, J] consumed: zero afterwards
    gradient: wp.array2d(dtype=wp.float32),  # [B, 6 + J]
):
    grasp = wp.tid()
    for dof in range(joint_force.shape[1]):
        gradient[grasp, 6 + dof] = joint_force[grasp, dof]
        joint_force[grasp, dof] = 0.0
    link_count = tree.link_parent.shape[0]
    for back in range(link_count - 1):
        link = link_count - 1 - back
        parent = tree.link_parent[link]
        wrench = link_wrench[grasp, link]
        link_wrench[grasp, link] = vec6()
        link_wrench[grasp, parent] = link_wrench[grasp, parent] + wrench
        if tree.joint_type[link] != _FIXED:
            joint = wp.transform_multiply(link_pose[grasp, parent], tree.joint_parent[link])
            axis = wp.quat_rotate(wp.transform_get_rotation(joint), tree.joint_axis[link])
            force = wp.vec3(wrench[0], wrench[1], wrench[2])
            generalized = wp.dot(axis, force)
            if tree.joint_type[link] == _REVOLUTE:
                torque = wp.vec3(wrench[3], wrench[4], wrench[5])
                generalized = wp.dot(axis, torque - wp.cross(wp.transform_get_translation(joint), force))
            column = 6 + tree.joint_dof[link]
            gradient[grasp, column] = gradient[grasp, column] + tree.joint_multiplier[link] * generalized
    wrench = link_wrench[grasp, 0]
    link_wrench[grasp, 0] = vec6()
    force = wp.vec3(wrench[0], wrench[1], wrench[2])
    torque = wp.vec3(wrench[3], wrench[4], wrench[5])
    root = link_pose[grasp, 0]
    turn = wp.quat_rotate_inv(
        wp.transform_get_rotation(root), torque - wp.cross(wp.transform_get_translation(root), force)
    )
    for axis_index in range(3):
        gradient[grasp, axis_index] = force[axis_index]
        gradient[grasp, 3 + axis_index] = turn[axis_index]


def launch_joint_gradient(
    tree: KinematicTree,
    link_pose: wp.array,
    *,
    link_wrench: wp.array,
    joint_force: wp.array,
    gradient: wp.array,
) -> None:
    """Adjoint of the forward kinematics: link wrenches about the object origin [B, L] to gradients [B, 6 + J].

    Also ``J^T f`` for contact forces f, as used for squeeze targets. ``joint_force`` [B, J] holds what acts on joints
    directly. Both accumulators are zero afterwards, ready for the next evaluation.
    """
    wp.launch(
        _joint_gradient,
        dim=link_pose.shape[0],
        inputs=[tree, link_pose],
        outputs=[link_wrench, joint_force, gradient],
        device=link_pose.device,
    )
