"""Fingertips against the object: closest features of a sphere or of the tip's surface, and distances to what they should keep.

Coarse, a tip is one sphere, and the contact is the point of the object closest to its centre. How that point and its normal
move with the centre says whether a contact can improve by sliding; on a triangle mesh the exact derivative is zero almost
everywhere, so it is measured: the closest features at six places around the centre give a linear fit (Chen et al. 2025).

Fine, a tip is a set of points on its surface; the pair of that point and the object's point with the least signed distance
is found, and the derivative holds both fixed, the one on the link and the other on the object.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import warp as wp

from warpgrasp.kernels.contact import add_point_force
from warpgrasp.kernels.mesh_distance import UNBOUNDED, MeshSet, query_closest_feature
from warpgrasp.kernels.spatial import vec6

__all__ = [
    "PROBE_COUNT",
    "Fingertips",
    "TipContacts",
    "probes",
    "tip_contacts",
    "tip_distance_kernel",
    "tip_features_kernel",
    "tip_pairs_kernel",
    "tip_pull_kernel",
]

wp.set_module_options({"enable_backward": False})

PROBE_COUNT = 6
"""Places around a centre at which the closest feature is looked up."""


@wp.struct
class Fingertips:
    """The ``F`` fingertips of a hand."""

    link: wp.array(dtype=wp.int32)  #: [F]
    center: wp.array(dtype=wp.vec3)  #: [F] m, link frame; the sphere that stands for the tip
    radius: wp.array(dtype=wp.float32)  #: [F] m
    point_start: wp.array(dtype=wp.int32)  #: [F + 1]
    point: wp.array(dtype=wp.vec3)  #: [P] m, link frame; on the surface of the tips


@wp.struct
class TipContacts:
    """Where the fingertips of ``B`` grasps meet the object, object frame."""

    center: wp.array2d(dtype=wp.vec3)  #: [B, F] m, of the sphere, or the tip's closest surface point
    point: wp.array2d(dtype=wp.vec3)  #: [B, F] m, closest on the object
    normal: wp.array2d(dtype=wp.vec3)  #: [B, F] unit, out of the object
    distance: wp.array2d(dtype=wp.float32)  #: [B, F] m, signed, from the centre or the surface point
    point_change: wp.array3d(dtype=wp.vec3)  #: [B, F, 6] m, of the closest point at each probe
    normal_change: wp.array3d(dtype=wp.vec3)  #: [B, F, 6]


def tip_contacts(batch: int, tips: int, device: Any) -> TipContacts:
    """Allocate the contacts of ``batch`` grasps."""
    result = TipContacts()
    for name in ("center", "point", "normal"):
        setattr(result, name, wp.zeros((batch, tips), dtype=wp.vec3, device=device))
    result.distance = wp.zeros((batch, tips), dtype=wp.float32, device=device)
    for name in ("point_change", "normal_change"):
        setattr(result, name, wp.zeros((batch, tips, PROBE_COUNT), dtype=wp.vec3, device=device))
    return result


def probes(length: float) -> tuple[np.ndarray, np.ndarray]:
    """Offsets around a centre [m], shape [6, 3], and the rows of their pseudo-inverse [1/m], shape [6, 3].

    Both ways along the axes, in turn ``length`` and twice that far. With changes ``Dp_j`` of the closest point at the offsets,
    ``sum_j Dp_j row_j^T`` is its least-squares Jacobian.
    """
    axes = np.eye(3)
    offset = length * np.concatenate([axes * [1.0, 2.0, 1.5], -axes * [2.0, 1.0, 1.5]])
    return offset, np.linalg.pinv(offset).T


@wp.kernel
def tip_features_kernel(
    tips: Fingertips,
    meshes: MeshSet,
    object_index: wp.array(dtype=wp.int32),  # [B]
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    offset: wp.array(dtype=wp.vec3),  # [6], or [0]: no probes
    # outputs
    contacts: TipContacts,
):
    """Closest features of the spheres' centres and of the probes around them; one thread per tip."""
    grasp, tip = wp.tid()
    obj = object_index[grasp]
    center = wp.transform_point(link_pose[grasp, tips.link[tip]], tips.center[tip])
    feature = query_closest_feature(meshes, obj, center, UNBOUNDED)
    contacts.center[grasp, tip] = center
    contacts.point[grasp, tip] = feature.point
    contacts.normal[grasp, tip] = feature.normal
    contacts.distance[grasp, tip] = feature.distance
    for j in range(offset.shape[0]):
        probe = center + offset[j]
        moved = query_closest_feature(meshes, obj, probe, wp.length(probe - feature.point))
        contacts.point_change[grasp, tip, j] = moved.point - feature.point
        contacts.normal_change[grasp, tip, j] = moved.normal - feature.normal


@wp.kernel
def tip_pairs_kernel(
    tips: Fingertips,
    meshes: MeshSet,
    object_index: wp.array(dtype=wp.int32),  # [B]
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    # outputs
    contacts: TipContacts,
):
    """The surface point of every tip with the least signed distance, and the object's point closest to it."""
    grasp, tip = wp.tid()
    obj = object_index[grasp]
    pose = link_pose[grasp, tips.link[tip]]
    last = wp.vec3(0.0, 0.0, 0.0)
    last_distance = float(0.0)
    found = int(0)
    for index in range(tips.point_start[tip], tips.point_start[tip + 1]):
        point = wp.transform_point(pose, tips.point[index])
        nearest = float(-1.0e6)  # the distance changes by at most the way
        if found != 0:
            nearest = last_distance - wp.length(point - last)
        if found == 0 or nearest < contacts.distance[grasp, tip]:
            within = UNBOUNDED
            if found != 0:
                within = wp.abs(last_distance) + wp.length(point - last)
            feature = query_closest_feature(meshes, obj, point, within)
            last = point
            last_distance = feature.distance
            if found == 0 or feature.distance < contacts.distance[grasp, tip]:
                contacts.center[grasp, tip] = point
                contacts.point[grasp, tip] = feature.point
                contacts.normal[grasp, tip] = feature.normal
                contacts.distance[grasp, tip] = feature.distance
            found = 1


@wp.kernel
def tip_distance_kernel(
    tips: Fingertips,
    contacts: TipContacts,
    offset: float,
    sphere: int,
    weight: float,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
    link_wrench: wp.array2d(dtype=vec6),  # [B, L]
):
    """``sum (d - r - offset)^2`` [m^2]; ``sphere`` 0 leaves the radius r out. With its weighted link wrenches."""
    grasp = wp.tid()
    total = float(0.0)
    for tip in range(tips.link.shape[0]):
        gap = contacts.distance[grasp, tip] - offset
        if sphere != 0:
            gap -= tips.radius[tip]
        total += gap * gap
        force = (2.0 * weight * gap) * contacts.normal[grasp, tip]
        zero = wp.vec3(0.0, 0.0, 0.0)
        add_point_force(link_wrench, grasp, tips.link[tip], contacts.center[grasp, tip], force, zero)
    energy[grasp] = total


@wp.kernel
def tip_pull_kernel(
    tips: Fingertips,
    contacts: TipContacts,
    goal: wp.array2d(dtype=wp.vec3),  # [B, F]
    weight: float,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
    link_wrench: wp.array2d(dtype=vec6),  # [B, L]
):
    """``sum |c - goal|^2`` [m^2] of the tips' closest points, and its weighted link wrenches."""
    grasp = wp.tid()
    total = float(0.0)
    for tip in range(tips.link.shape[0]):
        way = contacts.center[grasp, tip] - goal[grasp, tip]
        total += wp.dot(way, way)
        zero = wp.vec3(0.0, 0.0, 0.0)
        add_point_force(
            link_wrench, grasp, tips.link[tip], contacts.center[grasp, tip], 2.0 * weight * way, zero
        )
    energy[grasp] = total
