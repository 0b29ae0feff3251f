"""Contact points of the hand on the object: candidates, closest features and the contact distance energy.

A candidate is a point on the surface of a link with its outward normal. The active contacts of a grasp are indices into the
candidates. Their closest object features are frozen (``kernels/mesh_distance.py``); everything taped here
re-evaluates from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import warp as wp

from warpgrasp.kernels.mesh_distance import MeshSet, query_closest_feature
from warpgrasp.kernels.spatial import vec6

if TYPE_CHECKING:
    pass

__all__ = [
    "CandidateSet",
    "Contacts",
    "add_point_force",
    "closest_features_kernel",
    "contact_forces_kernel",
    "contact_points_kernel",
    "distance_kernel",
    "frozen_distance_kernel",
    "launch_distance_taped",
]

wp.set_module_options({"enable_backward": True})

# |d| is sqrt(d^2 + 1e-8) (Zurbrügg et al. 2025, published code): smooth at the surface, 0.1 mm wide.
_SMOOTHING = wp.constant(1.0e-8)  # m^2


@wp.struct
class CandidateSet:
    """Contact candidates of one hand and grasp type, ``N`` points."""

    link: wp.array(dtype=wp.int32)  #: [N]
    position: wp.array(dtype=wp.vec3)  #: [N] m, link frame
    normal: wp.array(dtype=wp.vec3)  #: [N] unit, out of the hand, link frame


@wp.struct
class Contacts:
    """Active contacts of ``B`` grasps, ``C`` each, object frame."""

    index: wp.array2d(dtype=wp.int32)  #: [B, C] candidate
    position: wp.array2d(dtype=wp.vec3)  #: [B, C] m
    hand_normal: wp.array2d(dtype=wp.vec3)  #: [B, C] unit, out of the hand
    closest_point: wp.array2d(dtype=wp.vec3)  #: [B, C] m, on the object
    object_normal: wp.array2d(dtype=wp.vec3)  #: [B, C] unit, out of the object
    distance: wp.array2d(dtype=wp.float32)  #: [B, C] m, negative inside


@wp.func
def add_point_force(
    link_wrench: wp.array2d(dtype=vec6),
    grasp: int,
    link: int,
    point: wp.vec3,
    force: wp.vec3,
    torque: wp.vec3,
):
    """Add to the wrench of a link, about the object origin, a force at ``point`` and a free torque.

    One thread owns a grasp, so a plain sum is enough and its order is fixed, on CUDA too.
    """
    moment = wp.cross(point, force) + torque
    wrench = vec6(force[0], force[1], force[2], moment[0], moment[1], moment[2])
    link_wrench[grasp, link] = link_wrench[grasp, link] + wrench


@wp.kernel
def contact_points_kernel(
    candidates: CandidateSet,
    contact_index: wp.array2d(dtype=wp.int32),  # [B, C]
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    # outputs
    contact_position: wp.array2d(dtype=wp.vec3),  # [B, C]
    hand_normal: wp.array2d(dtype=wp.vec3),  # [B, C]
):
    """Positions [m] and outward hand normals of the active contacts in the object frame, shape [B, C]; taped."""
    grasp, contact = wp.tid()
    candidate = contact_index[grasp, contact]
    pose = link_pose[grasp, candidates.link[candidate]]
    contact_position[grasp, contact] = wp.transform_point(pose, candidates.position[candidate])
    hand_normal[grasp, contact] = wp.transform_vector(pose, candidates.normal[candidate])


@wp.kernel(enable_backward=False)
def closest_features_kernel(
    meshes: MeshSet,
    object_index: wp.array(dtype=wp.int32),  # [B]
    # outputs
    contacts: Contacts,
):
    """Freeze the closest object feature of every contact: closest point, normal and distance; never taped.

    ``contacts.closest_point`` must hold points of the meshes on entry (the last closest points, or any vertex).
    """
    grasp, contact = wp.tid()
    point = contacts.position[grasp, contact]
    within = wp.length(point - contacts.closest_point[grasp, contact])
    feature = query_closest_feature(meshes, object_index[grasp], point, within)
    contacts.closest_point[grasp, contact] = feature.point
    contacts.object_normal[grasp, contact] = feature.normal
    contacts.distance[grasp, contact] = feature.distance


@wp.kernel
def frozen_distance_kernel(
    contact_position: wp.array2d(dtype=wp.vec3),  # [B, C]
    closest_point: wp.array2d(dtype=wp.vec3),  # [B, C] frozen
    object_normal: wp.array2d(dtype=wp.vec3),  # [B, C] frozen
    # outputs
    contact_distance: wp.array2d(dtype=wp.float32),  # [B, C]
):
    """Signed distances to the frozen closest features, ``d = n . (p - c)`` [m]; taped."""
    grasp, contact = wp.tid()
    offset = contact_position[grasp, contact] - closest_point[grasp, contact]
    contact_distance[grasp, contact] = wp.dot(object_normal[grasp, contact], offset)


@wp.func
def _alignment(hand_normal: wp.vec3, object_normal: wp.vec3, normal_weighted: int) -> float:
    """``exp(1 - <n_hand, -n_obj>)`` (P. Li et al. 2023, Zurbrügg et al. 2025), or 1: plain distance (Wang et al. 2023)."""
    factor = float(1.0)
    if normal_weighted != 0:
        factor = wp.exp(1.0 + wp.dot(hand_normal, object_normal))
    return factor


@wp.kernel
def _distance_taped(
    contact_position: wp.array2d(dtype=wp.vec3),  # [B, C]
    hand_normal: wp.array2d(dtype=wp.vec3),  # [B, C]
    closest_point: wp.array2d(dtype=wp.vec3),  # [B, C] frozen
    object_normal: wp.array2d(dtype=wp.vec3),  # [B, C] frozen
    normal_weighted: int,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
):
    grasp, contact = wp.tid()
    n_obj = object_normal[grasp, contact]
    d = wp.dot(n_obj, contact_position[grasp, contact] - closest_point[grasp, contact])
    factor = _alignment(hand_normal[grasp, contact], n_obj, normal_weighted)
    wp.atomic_add(energy, grasp, factor * wp.sqrt(d * d + _SMOOTHING))


def launch_distance_taped(
    contact_position: wp.array,
    hand_normal: wp.array,
    closest_point: wp.array,
    object_normal: wp.array,
    normal_weighted: bool,
    *,
    energy: wp.array,
) -> None:
    """Add the contact distance energy [m] of every grasp to ``energy`` [B]; taped, features frozen."""
    wp.launch(
        _distance_taped,
        dim=contact_position.shape,
        inputs=[contact_position, hand_normal, closest_point, object_normal, int(normal_weighted)],
        outputs=[energy],
        device=contact_position.device,
    )


@wp.kernel(enable_backward=False)
def distance_kernel(
    candidates: CandidateSet,
    contacts: Contacts,
    normal_weighted: int,
    weight: float,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
    link_wrench: wp.array2d(dtype=vec6),  # [B, L]
):
    """Contact distance energy ``sum_c exp(1 - <n_hand, -n_obj>) |d_c|`` [m], shape [B], and its weighted link wrenches."""
    grasp = wp.tid()
    total = float(0.0)
    for contact in range(contacts.index.shape[1]):
        n_obj = contacts.object_normal[grasp, contact]
        n_hand = contacts.hand_normal[grasp, contact]
        d = contacts.distance[grasp, contact]
        factor = _alignment(n_hand, n_obj, normal_weighted)
        smooth = wp.sqrt(d * d + _SMOOTHING)
        total += factor * smooth
        force = (weight * factor * d / smooth) * n_obj
        torque = wp.vec3(0.0, 0.0, 0.0)
        if normal_weighted != 0:
            torque = (weight * factor * smooth) * wp.cross(n_hand, n_obj)
        link = candidates.link[contacts.index[grasp, contact]]
        add_point_force(link_wrench, grasp, link, contacts.position[grasp, contact], force, torque)
    energy[grasp] = total


@wp.kernel(enable_backward=False)
def contact_forces_kernel(
    candidates: CandidateSet,
    contacts: Contacts,
    contact_force: wp.array2d(dtype=wp.vec3),  # [B, C] N
    # outputs
    link_wrench: wp.array2d(dtype=vec6),  # [B, L] added to
):
    """Add forces at the contacts to the link wrenches; with ``launch_joint_gradient`` this is ``J^T f``."""
    grasp = wp.tid()
    for contact in range(contacts.index.shape[1]):
        link = candidates.link[contacts.index[grasp, contact]]
        zero = wp.vec3(0.0, 0.0, 0.0)
        force = contact_force[grasp, contact]
        add_point_force(link_wrench, grasp, link, contacts.position[grasp, contact], force, zero)
