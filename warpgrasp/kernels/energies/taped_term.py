"""What a ``wp.Tape`` says about the geometry of a grasp, turned into the wrenches that the kinematics sweeps up.

A term that knows only its taped form is differentiated with respect to what it reads: poses of links, contact points and
hand normals, joints. Moving link ``l`` by a translation ``v`` and a rotation vector ``w`` about the object origin changes

    a contact point   p -> p + v + w x p        force g_p at p
    its distance      d = n . (p - c)           force g_d n at p, for the frozen normal n and closest point c
    a hand normal     n -> n + w x n            torque n x g_n
    the link's pose   t -> t + v + w x t,       force g_t at t, and the torque
                      q -> q + (w, 0) q / 2     (s g_v - g_s u + u x g_v) / 2   for q = (u, s)

with ``g`` the tape's adjoint of each. The radial part of a quaternion's adjoint, which says nothing about rotations, drops
out. The sweep of ``kernels.kinematics`` then carries the wrenches to the joints, as it does for hand-derived terms.
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.contact import CandidateSet, Contacts, add_point_force
from warpgrasp.kernels.spatial import vec6

__all__ = ["PoseAdjoints", "taped_wrenches_kernel"]

wp.set_module_options({"enable_backward": False})


@wp.struct
class PoseAdjoints:
    """Adjoints of the geometry that a term may read, as a tape leaves them."""

    root_pose: wp.array(dtype=wp.transform)  #: [B]
    link_pose: wp.array2d(dtype=wp.transform)  #: [B, L]
    joint_position: wp.array2d(dtype=wp.float32)  #: [B, J]
    contact_position: wp.array2d(dtype=wp.vec3)  #: [B, C]
    hand_normal: wp.array2d(dtype=wp.vec3)  #: [B, C]
    contact_distance: wp.array2d(dtype=wp.float32)  #: [B, C]


@wp.func
def _add_pose(
    link_wrench: wp.array2d(dtype=vec6), grasp: int, link: int, pose: wp.transform, adjoint: wp.transform
):
    rotation = wp.transform_get_rotation(pose)
    slope = wp.transform_get_rotation(adjoint)
    axis = wp.vec3(rotation[0], rotation[1], rotation[2])
    axis_slope = wp.vec3(slope[0], slope[1], slope[2])
    torque = 0.5 * (rotation[3] * axis_slope - slope[3] * axis + wp.cross(axis, axis_slope))
    force = wp.transform_get_translation(adjoint)
    add_point_force(link_wrench, grasp, link, wp.transform_get_translation(pose), force, torque)


@wp.kernel
def taped_wrenches_kernel(
    candidates: CandidateSet,
    contacts: Contacts,
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    adjoints: PoseAdjoints,
    # outputs
    link_wrench: wp.array2d(dtype=vec6),  # [B, L] added to
    joint_force: wp.array2d(dtype=wp.float32),  # [B, J] added to
):
    """Add the adjoints of a tape to the accumulators of the evaluation; one thread per grasp."""
    grasp = wp.tid()
    _add_pose(link_wrench, grasp, 0, link_pose[grasp, 0], adjoints.root_pose[grasp])
    for link in range(link_pose.shape[1]):
        _add_pose(link_wrench, grasp, link, link_pose[grasp, link], adjoints.link_pose[grasp, link])
    for contact in range(contacts.index.shape[1]):
        link = candidates.link[contacts.index[grasp, contact]]
        torque = wp.cross(contacts.hand_normal[grasp, contact], adjoints.hand_normal[grasp, contact])
        force = adjoints.contact_position[grasp, contact]
        force += adjoints.contact_distance[grasp, contact] * contacts.object_normal[grasp, contact]
        add_point_force(link_wrench, grasp, link, contacts.position[grasp, contact], force, torque)
    for dof in range(joint_force.shape[1]):
        joint_force[grasp, dof] = joint_force[grasp, dof] + adjoints.joint_position[grasp, dof]
