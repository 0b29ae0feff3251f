"""Manipulability at the contacts: how well the joints can press along each contact's normal.

For contact i with hand normal n_i at p_i, a joint moves the contact along the normal by ``n_i . (a x (p_i - o))`` per radian
(``n_i . a`` per metre for a prismatic joint). Summed over the joints that follow the degree of freedom j, mimic joints with
their multipliers, this is ``m_ij``, the row ``J_i^T n_i`` of the contact Jacobian. The energy
``-sum_i log(delta + sum_j m_ij^2 / l^2) / C`` is large where a contact's normal is out of reach of its joints (the velocity
manipulability of Yoshikawa 1985 along one direction); l = 5 cm makes it dimensionless, delta = 1e-3 bounds it for contacts
on the palm.
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.contact import CandidateSet, Contacts, add_point_force
from warpgrasp.kernels.kinematics import KinematicTree
from warpgrasp.kernels.spatial import vec6

__all__ = ["launch_manipulability_taped", "manipulability_kernel"]

wp.set_module_options({"enable_backward": True})

_FIXED = wp.constant(0)
_REVOLUTE = wp.constant(1)
_LENGTH_SQUARED = wp.constant(0.05 * 0.05)  # m^2
_FLOOR = wp.constant(1.0e-3)


@wp.func
def _joint_lever(
    tree: KinematicTree,
    link_pose: wp.array2d(dtype=wp.transform),
    grasp: int,
    link: int,
    point: wp.vec3,
    normal: wp.vec3,
) -> float:
    """m_ij: velocity along ``normal`` of ``point`` per unit velocity of the joint above ``link``."""
    joint = wp.transform_multiply(link_pose[grasp, tree.link_parent[link]], tree.joint_parent[link])
    axis = wp.quat_rotate(wp.transform_get_rotation(joint), tree.joint_axis[link])
    motion = axis
    if tree.joint_type[link] == _REVOLUTE:
        motion = wp.cross(axis, point - wp.transform_get_translation(joint))
    return tree.joint_multiplier[link] * wp.dot(normal, motion)


@wp.kernel(enable_backward=False)
def manipulability_kernel(
    tree: KinematicTree,
    candidates: CandidateSet,
    contacts: Contacts,
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    weight: float,
    # outputs
    lever: wp.array3d(dtype=wp.float32),  # [B, C, J] m_ij, scratch
    energy: wp.array(dtype=wp.float32),  # [B]
    link_wrench: wp.array2d(dtype=vec6),  # [B, L]
):
    """Manipulability energy of every grasp [B] and its weighted link wrenches [B, L]; ``lever`` is scratch [B, C, J]."""
    grasp = wp.tid()
    zero = wp.vec3(0.0, 0.0, 0.0)
    contact_count = contacts.index.shape[1]
    share = 1.0 / float(contact_count)
    total = float(0.0)
    for contact in range(contact_count):
        point = contacts.position[grasp, contact]
        normal = contacts.hand_normal[grasp, contact]
        contact_link = candidates.link[contacts.index[grasp, contact]]
        for dof in range(lever.shape[2]):
            lever[grasp, contact, dof] = 0.0
        link = contact_link
        while link > 0:
            if tree.joint_type[link] != _FIXED:
                dof = tree.joint_dof[link]
                lever[grasp, contact, dof] = lever[grasp, contact, dof] + _joint_lever(
                    tree, link_pose, grasp, link, point, normal
                )
            link = tree.link_parent[link]
        square = float(_FLOOR)
        for dof in range(lever.shape[2]):
            square += lever[grasp, contact, dof] * lever[grasp, contact, dof] / _LENGTH_SQUARED
        total -= share * wp.log(square)
        link = contact_link
        while link > 0:
            parent = tree.link_parent[link]
            if tree.joint_type[link] != _FIXED:
                m = lever[grasp, contact, tree.joint_dof[link]]
                slope = -2.0 * weight * share * tree.joint_multiplier[link] * m / (_LENGTH_SQUARED * square)
                joint = wp.transform_multiply(link_pose[grasp, parent], tree.joint_parent[link])
                axis = wp.quat_rotate(wp.transform_get_rotation(joint), tree.joint_axis[link])
                if tree.joint_type[link] == _REVOLUTE:
                    origin = wp.transform_get_translation(joint)
                    arm = point - origin
                    force = slope * wp.cross(normal, axis)
                    turn = slope * wp.cross(normal, wp.cross(axis, arm))
                    add_point_force(link_wrench, grasp, contact_link, point, force, turn)
                    back = slope * wp.cross(axis, wp.cross(arm, normal))
                    add_point_force(link_wrench, grasp, parent, origin, -force, back)
                else:
                    turn = slope * wp.cross(normal, axis)
                    add_point_force(link_wrench, grasp, contact_link, point, zero, turn)
                    add_point_force(link_wrench, grasp, parent, point, zero, -turn)
            link = parent
    energy[grasp] = total


@wp.func
def _moves(tree: KinematicTree, link: int, contact_link: int) -> int:
    """1 when the joint above ``link`` moves ``contact_link``: parents stand before their children."""
    above = int(contact_link)
    while above > link:
        above = tree.link_parent[above]
    return wp.where(above == link, 1, 0)


@wp.kernel
def _levers(
    tree: KinematicTree,
    candidates: CandidateSet,
    contact_index: wp.array2d(dtype=wp.int32),  # [B, C]
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    contact_position: wp.array2d(dtype=wp.vec3),  # [B, C]
    hand_normal: wp.array2d(dtype=wp.vec3),  # [B, C]
    # outputs
    lever: wp.array3d(dtype=wp.float32),  # [B, C, J]
):
    grasp, contact, link = wp.tid()
    contact_link = candidates.link[contact_index[grasp, contact]]
    if tree.joint_type[link] != _FIXED and _moves(tree, link, contact_link) != 0:
        joint_lever = _joint_lever(
            tree, link_pose, grasp, link, contact_position[grasp, contact], hand_normal[grasp, contact]
        )
        wp.atomic_add(lever, grasp, contact, tree.joint_dof[link], joint_lever)


@wp.kernel
def _lever_squares(
    lever: wp.array3d(dtype=wp.float32),  # [B, C, J]
    # outputs
    square: wp.array2d(dtype=wp.float32),  # [B, C]
):
    grasp, contact, dof = wp.tid()
    m = lever[grasp, contact, dof]
    wp.atomic_add(square, grasp, contact, m * m / _LENGTH_SQUARED)


@wp.kernel
def _negative_log(
    square: wp.array2d(dtype=wp.float32),  # [B, C]
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
):
    grasp, contact = wp.tid()
    wp.atomic_add(energy, grasp, -wp.log(_FLOOR + square[grasp, contact]) / float(square.shape[1]))


def launch_manipulability_taped(
    tree: KinematicTree,
    candidates: CandidateSet,
    contact_index: wp.array,
    link_pose: wp.array,
    contact_position: wp.array,
    hand_normal: wp.array,
    *,
    energy: wp.array,
) -> None:
    """Add the manipulability energy of every grasp to ``energy`` [B]; taped."""
    device = link_pose.device
    lever_shape = (*contact_index.shape, tree.dof_lower.shape[0])
    lever = wp.zeros(lever_shape, dtype=wp.float32, device=device, requires_grad=True)
    square = wp.zeros(contact_index.shape, dtype=wp.float32, device=device, requires_grad=True)
    wp.launch(
        _levers,
        dim=(*contact_index.shape, tree.link_parent.shape[0]),
        inputs=[
            tree,
            candidates,
            contact_index,
            link_pose,
            contact_position,
            hand_normal,
        ],
        outputs=[lever],
        device=device,
    )
    wp.launch(_lever_squares, dim=lever_shape, inputs=[lever], outputs=[square], device=device)
    wp.launch(_negative_log, dim=square.shape, inputs=[square], outputs=[energy], device=device)
