"""Contact points of the hand on the object: candidates, closest features and the contact distance energy.

A candidate is a point on the surface of a link with its outward normal. The active contacts of a grasp are indices into the
candidates. Their closest object features are frozen (``kernels/mesh_distance.py``); everything taped here
re-evaluates from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import warp as wp

from warpgrasp.kernels.kinematics import vec6
from warpgrasp.kernels.mesh_distance import MeshSet, query_closest_feature

if TYPE_CHECKING:
    pass

__all__ = [
    "CandidateSet",
    "add_point_force",
    "launch_closest_features",
    "launch_contact_forces",
    "launch_contact_points",
    "launch_distance",
    "launch_distance_taped",
]

wp.set_module_options({"enable_backward": True})

# |d| is sqrt(d^2 + 1e-8) (Zurbrügg et al. 2025, published code): smooth at the surface, 0.1 mm wide.
_SMOOTHING = wp.constant(1.0e-8)  # m^2


@wp.struct
class CandidateSet:
    """Contact candidates of one hand and grasp type, ``N`` points."""

    link: wp.array(dtype=wp.int32)  # [N]
    position: wp.array(dtype=wp.vec3)  # [N] m, link frame
    normal: wp.array(dtype=wp.vec3)  # [N] unit, out of the hand, link frame


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
def _contact_points(
    candidates: CandidateSet,
    contact_index: wp.array2d(dtype=wp.int32),  # [B, C]
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    # outputs
    contact_position: wp.array2d(dtype=wp.vec3),  # [B, C]
    hand_normal: wp.array2d(dtype=wp.vec3),  # [B, C]
):
    grasp, contact = wp.tid()
    candidate = contact_index[grasp, contact]
    pose = link_pose[grasp, candidates.link[candidate]]
    contact_position[grasp, contact] = wp.transform_point(pose, candidates.position[candidate])
    hand_normal[grasp, contact] = wp.transform_vector(pose, candidates.normal[candidate])


def launch_contact_points(
    candidates: CandidateSet,
    contact_index: wp.array,
    link_pose: wp.array,
    *,
    contact_position: wp.array,
    hand_normal: wp.array,
) -> None:
    """Positions [m] and outward hand normals of the active contacts in the object frame, shape [B, C]; taped."""
    wp.launch(
        _contact_points,
        dim=contact_index.shape,
        inputs=[candidates, contact_index, link_pose],
        outputs=[contact_position, hand_normal],
        device=link_pose.device,
    )


@wp.kernel(enable_backward=False)
def _closest_features(
    meshes: MeshSet,
    object_index: wp.array(dtype=wp.int32),  # [B]
    contact_position: wp.array2d(dtype=wp.vec3),  # [B, C]
    # outputs
    closest_point: wp.array2d(dtype=wp.vec3),  # [B, C] also the guess of the search
    object_normal: wp.array2d(dtype=wp.vec3),  # [B, C]
    contact_distance: wp.array2d(dtype=wp.float32),  # [B, C]
):
    grasp, contact = wp.tid()
    point = contact_position[grasp, contact]
    within = wp.length(point - closest_point[grasp, contact])
    feature = query_closest_feature(meshes, object_index[grasp], point, within)
    closest_point[grasp, contact] = feature.point
    object_normal[grasp, contact] = feature.normal
    contact_distance[grasp, contact] = feature.distance


def launch_closest_features(
    meshes: MeshSet,
    object_index: wp.array,
    contact_position: wp.array,
    *,
    closest_point: wp.array,
    object_normal: wp.array,
    contact_distance: wp.array,
) -> None:
    """Freeze the closest object feature of every contact, shape [B, C]; never taped.

    ``closest_point`` must hold points of the meshes on entry (the last closest points, or any vertex).
    """
    wp.launch(
        _closest_features,
        dim=contact_position.shape,
        inputs=[meshes, object_index, contact_position],
        outputs=[closest_point, object_normal, contact_distance],
        device=contact_position.device,
        record_tape=False,
    )


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
def _distance(
    candidates: CandidateSet,
    contact_index: wp.array2d(dtype=wp.int32),  # [B, C]
    contact_position: wp.array2d(dtype=wp.vec3),  # [B, C]
    hand_normal: wp.array2d(dtype=wp.vec3),  # [B, C]
    object_normal: wp.array2d(dtype=wp.vec3),  # [B, C]
    contact_distance: wp.array2d(dtype=wp.float32),  # [B, C]
    normal_weighted: int,
    weight: float,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
    link_wrench: wp.array2d(dtype=vec6),  # [B, L]
):
    grasp = wp.tid()
    total = float(0.0)
    for contact in range(contact_index.shape[1]):
        n_obj = object_normal[grasp, contact]
        n_hand = hand_normal[grasp, contact]
        d = contact_distance[grasp, contact]
        factor = _alignment(n_hand, n_obj, normal_weighted)
        smooth = wp.sqrt(d * d + _SMOOTHING)
        total += factor * smooth
        force = (weight * factor * d / smooth) * n_obj
        torque = wp.vec3(0.0, 0.0, 0.0)
        if normal_weighted != 0:
            torque = (weight * factor * smooth) * wp.cross(n_hand, n_obj)
        link = candidates.link[contact_index[grasp, contact]]
        add_point_force(link_wrench, grasp, link, contact_position[grasp, contact], force, torque)
    energy[grasp] = total


def launch_distance(
    candidates: CandidateSet,
    contact_index: wp.array,
    contact_position: wp.array,
    hand_normal: wp.array,
    object_normal: wp.array,
    contact_distance: wp.array,
    normal_weighted: bool,
    weight: float,
    *,
    energy: wp.array,
    link_wrench: wp.array,
) -> None:
    """Contact distance energy ``sum_c exp(1 - <n_hand, -n_obj>) |d_c|`` [m], shape [B], and its weighted link wrenches."""
    wp.launch(
        _distance,
        dim=contact_index.shape[0],
        inputs=[
            candidates,
            contact_index,
            contact_position,
            hand_normal,
            object_normal,
            contact_distance,
            int(normal_weighted),
            weight,
        ],
        outputs=[energy, link_wrench],
        device=contact_position.device,
    )


@wp.kernel(enable_backward=False)
def _contact_forces(
    candidates: CandidateSet,
    contact_index: wp.array2d(dtype=wp.int32),  # [B, C]
    contact_position: wp.array2d(dtype=wp.vec3),  # [B, C]
    contact_force: wp.array2d(dtype=wp.vec3),  # [B, C]
    # outputs
    link_wrench: wp.array2d(dtype=vec6),  # [B, L]
):
    grasp = wp.tid()
    for contact in range(contact_index.shape[1]):
        link = candidates.link[contact_index[grasp, contact]]
        zero = wp.vec3(0.0, 0.0, 0.0)
        force = contact_force[grasp, contact]
        add_point_force(link_wrench, grasp, link, contact_position[grasp, contact], force, zero)


def launch_contact_forces(
    candidates: CandidateSet,
    contact_index: wp.array,
    contact_position: wp.array,
    contact_force: wp.array,
    *,
    link_wrench: wp.array,
) -> None:
    """Add contact forces [N], shape [B, C], to the link wrenches [B, L]; with ``launch_joint_gradient`` this is ``J^T f``."""
    wp.launch(
        _contact_forces,
        dim=contact_index.shape[0],
        inputs=[candidates, contact_index, contact_position, contact_force],
        outputs=[link_wrench],
        device=contact_position.device,
        record_tape=False,
    )
