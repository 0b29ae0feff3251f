"""Penetration of object surface samples into the hand's link geometry, with culling that gives the same value.

``E_pen = sum_samples max(0, max_geometry depth)``, the depth of a sample inside a capsule, a box or a convex mesh [DGN, GQP].
Two bounds decide what is looked at, neither changes the sum: a *cluster* of neighbouring samples with a bounding sphere, and a
bounding capsule per geometry. Within a grasp, a cluster is tested against every bounding capsule once; only its samples near a
geometry are tested exactly.

The gradient moves the hand: at a sample the deepest geometry's outward normal ``n`` is the force dE/d(translation of the link).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import warp as wp

from warpgrasp.kernels.contact import add_point_force
from warpgrasp.kernels.kinematics import vec6

if TYPE_CHECKING:
    from warpgrasp.hands import HandModel
    from warpgrasp.objects import ObjectModel

__all__ = [
    "HandGeometry",
    "SampleSet",
    "hand_geometry",
    "launch_clearance",
    "launch_deepest_geometry",
    "launch_geometry_poses",
    "launch_penetration",
    "launch_penetration_taped",
    "sample_set",
]

wp.set_module_options({"enable_backward": True})

_CAPSULE = wp.constant(0)
_BOX = wp.constant(1)
_GEOMETRY_LIMIT = 64  # geometries per hand, one bit each in the mask of a cluster
_CLUSTER_SIZE = 20  # samples per cluster; measured: 12 to 32 differ by less than 10 %
_FAR = wp.constant(1.0e6)


@wp.struct
class HandGeometry:
    """Collision geometry of one hand, ``G`` convex shapes."""

    type: wp.array(dtype=wp.int32)  # [G]
    link: wp.array(dtype=wp.int32)  # [G]
    pose: wp.array(dtype=wp.transform)  # [G] geometry frame in the link frame
    size: wp.array(dtype=wp.vec3)  # [G] capsule: radius, half length; box: half extents [m]
    plane_start: wp.array(dtype=wp.int32)  # [G]
    plane_count: wp.array(dtype=wp.int32)  # [G]
    plane: wp.array(dtype=wp.vec4)  # [P] outward normal and offset, geometry frame
    bound_center: wp.array(dtype=wp.vec3)  # [G] bounding capsule, geometry frame [m]
    bound_axis: wp.array(dtype=wp.vec3)  # [G] half segment of the bounding capsule [m]
    bound_radius: wp.array(dtype=wp.float32)  # [G] m


@wp.struct
class SampleSet:
    """Surface samples of ``O`` objects, sorted into clusters."""

    position: wp.array(dtype=wp.vec3)  # [sum of samples] m, object frame
    cluster_start: wp.array2d(dtype=wp.int32)  # [O, K + 1]
    cluster_sphere: wp.array2d(dtype=wp.vec4)  # [O, K] center and radius [m]


def hand_geometry(hand: HandModel, device: Any) -> HandGeometry:
    """Copy the collision geometry of ``hand`` to ``device``; at most 64 shapes."""
    count = len(hand.geometry_type)
    if count > _GEOMETRY_LIMIT:
        raise ValueError(
            f"hand {hand.name!r} has {count} collision geometries, at most {_GEOMETRY_LIMIT} are supported: "
            "merge small parts into one convex hull per link"
        )
    bounds = [_bounding_capsule(hand, g) for g in range(count)]
    result = HandGeometry()
    pose = np.concatenate([hand.geometry_position, hand.geometry_quaternion], axis=1)
    plane = hand.plane if len(hand.plane) else np.zeros((1, 4))
    result.type = wp.array(hand.geometry_type, dtype=wp.int32, device=device)
    result.link = wp.array(hand.geometry_link, dtype=wp.int32, device=device)
    result.pose = wp.array(pose, dtype=wp.transform, device=device)
    result.size = wp.array(hand.geometry_size, dtype=wp.vec3, device=device)
    result.plane_start = wp.array(hand.geometry_plane_start, dtype=wp.int32, device=device)
    result.plane_count = wp.array(hand.geometry_plane_count, dtype=wp.int32, device=device)
    result.plane = wp.array(plane, dtype=wp.vec4, device=device)
    result.bound_center = wp.array([b[0] for b in bounds], dtype=wp.vec3, device=device)
    result.bound_axis = wp.array([b[1] for b in bounds], dtype=wp.vec3, device=device)
    result.bound_radius = wp.array([b[2] for b in bounds], dtype=wp.float32, device=device)
    return result


def _bounding_capsule(hand: HandModel, geometry: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Capsule around a geometry in its own frame: center, half segment, radius; along the longest axis of its box."""
    if hand.geometry_type[geometry] == 0:
        radius, half_length, _ = hand.geometry_size[geometry]
        return np.zeros(3), np.array([0.0, 0.0, half_length]), float(radius)
    if hand.geometry_type[geometry] == 1:
        corners = hand.geometry_size[geometry] * np.array(
            [[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float
        )
    else:
        corners = _to_frame(
            hand.geometry_mesh[geometry].vertices, hand.geometry_position[geometry], hand.geometry_quaternion[geometry]
        )
    low, high = corners.min(axis=0), corners.max(axis=0)
    center, half = 0.5 * (low + high), 0.5 * (high - low)
    longest = int(np.argmax(half))
    across = np.delete(half, longest)
    axis = np.zeros(3)
    # A capsule whose segment is shortened by the cross radius covers the box's ends with less air around its middle.
    axis[longest] = max(0.0, half[longest] - 0.5 * float(np.min(across)))
    along = np.clip((corners - center) @ (axis / max(np.linalg.norm(axis), 1e-12)), -np.linalg.norm(axis), np.linalg.norm(axis))
    nearest = center + along[:, None] * (axis / max(np.linalg.norm(axis), 1e-12))
    return center, axis, float(np.linalg.norm(corners - nearest, axis=1).max())


def _to_frame(points: np.ndarray, position: np.ndarray, quaternion: np.ndarray) -> np.ndarray:
    """Points given in the link frame, expressed in the geometry frame."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_quat(quaternion).inv().apply(points - position)


def sample_set(objects: Sequence[ObjectModel], sample_count: int, device: Any) -> SampleSet:
    """Sort the surface samples of every object into clusters of neighbours on ``device``."""
    positions, starts, spheres = [], [], []
    total = 0
    for model in objects:
        points = model.surface_samples(sample_count)[0]
        clusters = _clusters(points, np.arange(len(points)))
        positions.append(points[np.concatenate(clusters)])
        starts.append(total + np.concatenate([[0], np.cumsum([len(c) for c in clusters])]))
        spheres.append([_bounding_sphere(points[c]) for c in clusters])
        total += len(points)
    result = SampleSet()
    result.position = wp.array(np.concatenate(positions), dtype=wp.vec3, device=device)
    result.cluster_start = wp.array(np.array(starts), dtype=wp.int32, device=device)
    result.cluster_sphere = wp.array(np.array(spheres), dtype=wp.vec4, device=device)
    return result


def _clusters(points: np.ndarray, index: np.ndarray) -> list[np.ndarray]:
    """Split at the median of the longest axis until a cluster has at most ``_CLUSTER_SIZE`` samples."""
    if len(index) <= _CLUSTER_SIZE:
        return [index]
    axis = int(np.argmax(np.ptp(points[index], axis=0)))
    order = index[np.argsort(points[index, axis], kind="stable")]
    half = len(order) // 2
    return _clusters(points, order[:half]) + _clusters(points, order[half:])


def _bounding_sphere(points: np.ndarray) -> np.ndarray:
    center = 0.5 * (points.min(axis=0) + points.max(axis=0))
    radius = np.linalg.norm(points - center, axis=1).max()
    return np.append(center, radius * (1.0 + 1e-6) + 1e-7)


@wp.kernel(enable_backward=False)
def _geometry_poses(
    geometry: HandGeometry,
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    # outputs
    geometry_pose: wp.array2d(dtype=wp.transform),  # [B, G]
    bound_center: wp.array2d(dtype=wp.vec3),  # [B, G]
    bound_axis: wp.array2d(dtype=wp.vec3),  # [B, G]
):
    grasp = wp.tid()
    for g in range(geometry.type.shape[0]):
        pose = wp.transform_multiply(link_pose[grasp, geometry.link[g]], geometry.pose[g])
        geometry_pose[grasp, g] = pose
        bound_center[grasp, g] = wp.transform_point(pose, geometry.bound_center[g])
        bound_axis[grasp, g] = wp.transform_vector(pose, geometry.bound_axis[g])


def launch_geometry_poses(
    geometry: HandGeometry,
    link_pose: wp.array,
    *,
    geometry_pose: wp.array,
    bound_center: wp.array,
    bound_axis: wp.array,
) -> None:
    """Poses of the collision geometries in the object frame [B, G] and of their bounding capsules [m]."""
    wp.launch(
        _geometry_poses,
        dim=link_pose.shape[0],
        inputs=[geometry, link_pose],
        outputs=[geometry_pose, bound_center, bound_axis],
        device=link_pose.device,
        record_tape=False,
    )


@wp.func
def _segment_distance_squared(point: wp.vec3, center: wp.vec3, axis: wp.vec3) -> float:
    """Squared distance of a point to the segment center +- axis [m^2]."""
    offset = point - center
    along = wp.clamp(wp.dot(offset, axis) / (wp.dot(axis, axis) + 1.0e-20), -1.0, 1.0)
    nearest = offset - along * axis
    return wp.dot(nearest, nearest)


@wp.func
def _depth_normal(geometry: HandGeometry, g: int, x: wp.vec3) -> wp.vec4:
    """Outward normal (geometry frame) and depth [m] of point ``x`` in geometry ``g``; depth is negative outside.

    Inside a convex shape the depth is the distance to the nearest plane; outside, its negative is a lower bound of the
    distance for boxes and convex meshes, exact for capsules.
    """
    size = geometry.size[g]
    normal = wp.vec3(0.0, 0.0, 1.0)
    depth = float(_FAR)
    if geometry.type[g] == _CAPSULE:
        offset = wp.vec3(x[0], x[1], x[2] - wp.clamp(x[2], -size[1], size[1]))
        length = wp.length(offset)
        if length > 1.0e-9:
            normal = offset / length
        else:
            normal = wp.vec3(1.0, 0.0, 0.0)
        depth = size[0] - length
    elif geometry.type[g] == _BOX:
        for axis in range(3):
            face_depth = size[axis] - wp.abs(x[axis])
            if face_depth < depth:
                depth = face_depth
                normal = wp.vec3(0.0, 0.0, 0.0)
                normal[axis] = wp.where(x[axis] < 0.0, -1.0, 1.0)
    else:
        start = geometry.plane_start[g]
        for plane_index in range(start, start + geometry.plane_count[g]):
            plane = geometry.plane[plane_index]
            plane_normal = wp.vec3(plane[0], plane[1], plane[2])
            face_depth = plane[3] - wp.dot(plane_normal, x)
            if face_depth < depth:
                depth = face_depth
                normal = plane_normal
    return wp.vec4(normal[0], normal[1], normal[2], depth)


@wp.func
def _to_geometry(pose: wp.transform, point: wp.vec3) -> wp.vec3:
    return wp.quat_rotate_inv(wp.transform_get_rotation(pose), point - wp.transform_get_translation(pose))


@wp.func
def _cluster_mask(
    geometry: HandGeometry,
    bound_center: wp.array2d(dtype=wp.vec3),
    bound_axis: wp.array2d(dtype=wp.vec3),
    grasp: int,
    sphere: wp.vec4,
) -> wp.uint64:
    """One bit per geometry whose bounding capsule touches a cluster's sphere."""
    mask = wp.uint64(0)
    center = wp.vec3(sphere[0], sphere[1], sphere[2])
    for g in range(geometry.type.shape[0]):
        reach = sphere[3] + geometry.bound_radius[g]
        if _segment_distance_squared(center, bound_center[grasp, g], bound_axis[grasp, g]) < reach * reach:
            mask = mask | (wp.uint64(1) << wp.uint64(g))
    return mask


@wp.kernel(enable_backward=False)
def _penetration(
    geometry: HandGeometry,
    samples: SampleSet,
    object_index: wp.array(dtype=wp.int32),  # [B]
    geometry_pose: wp.array2d(dtype=wp.transform),  # [B, G]
    bound_center: wp.array2d(dtype=wp.vec3),  # [B, G]
    bound_axis: wp.array2d(dtype=wp.vec3),  # [B, G]
    weight: float,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
    link_wrench: wp.array2d(dtype=vec6),  # [B, L]
):
    grasp = wp.tid()
    obj = object_index[grasp]
    total = float(0.0)
    for cluster in range(samples.cluster_sphere.shape[1]):
        mask = _cluster_mask(geometry, bound_center, bound_axis, grasp, samples.cluster_sphere[obj, cluster])
        if mask != wp.uint64(0):
            for s in range(samples.cluster_start[obj, cluster], samples.cluster_start[obj, cluster + 1]):
                point = samples.position[s]
                deepest = float(0.0)
                deepest_geometry = int(-1)
                deepest_normal = wp.vec3(0.0, 0.0, 0.0)
                remaining = mask
                g = int(0)
                while remaining != wp.uint64(0):
                    if (remaining & wp.uint64(1)) != wp.uint64(0):
                        hit = _depth_normal(geometry, g, _to_geometry(geometry_pose[grasp, g], point))
                        if hit[3] > deepest:
                            deepest = hit[3]
                            deepest_geometry = g
                            deepest_normal = wp.vec3(hit[0], hit[1], hit[2])
                    remaining = remaining >> wp.uint64(1)
                    g += 1
                if deepest_geometry >= 0:
                    total += deepest
                    force = weight * wp.transform_vector(geometry_pose[grasp, deepest_geometry], deepest_normal)
                    link = geometry.link[deepest_geometry]
                    add_point_force(link_wrench, grasp, link, point, force, wp.vec3(0.0, 0.0, 0.0))
    energy[grasp] = total


def launch_penetration(
    geometry: HandGeometry,
    samples: SampleSet,
    object_index: wp.array,
    geometry_pose: wp.array,
    bound_center: wp.array,
    bound_axis: wp.array,
    weight: float,
    *,
    energy: wp.array,
    link_wrench: wp.array,
) -> None:
    """Penetration energy [m], shape [B], and its weighted link wrenches [B, L]."""
    wp.launch(
        _penetration,
        dim=object_index.shape[0],
        inputs=[geometry, samples, object_index, geometry_pose, bound_center, bound_axis, weight],
        outputs=[energy, link_wrench],
        device=geometry_pose.device,
    )


@wp.kernel(enable_backward=False)
def _deepest_geometry(
    geometry: HandGeometry,
    samples: SampleSet,
    object_index: wp.array(dtype=wp.int32),  # [B]
    geometry_pose: wp.array2d(dtype=wp.transform),  # [B, G]
    # outputs
    deepest_geometry: wp.array2d(dtype=wp.int32),  # [B, S]
    deepest_plane: wp.array2d(dtype=wp.vec4),  # [B, S]
):
    grasp, s = wp.tid()
    obj = object_index[grasp]
    point = samples.position[samples.cluster_start[obj, 0] + s]
    deepest = float(0.0)
    deepest_geometry[grasp, s] = -1
    for g in range(geometry.type.shape[0]):
        x = _to_geometry(geometry_pose[grasp, g], point)
        hit = _depth_normal(geometry, g, x)
        if hit[3] > deepest:
            deepest = hit[3]
            deepest_geometry[grasp, s] = g
            offset = hit[3] + hit[0] * x[0] + hit[1] * x[1] + hit[2] * x[2]
            deepest_plane[grasp, s] = wp.vec4(hit[0], hit[1], hit[2], offset)


def launch_deepest_geometry(
    geometry: HandGeometry,
    samples: SampleSet,
    object_index: wp.array,
    geometry_pose: wp.array,
    *,
    deepest_geometry: wp.array,
    deepest_plane: wp.array,
) -> None:
    """Freeze the geometry (-1: none) and its tangent plane [B, S] that every sample is deepest in; unculled, never taped."""
    wp.launch(
        _deepest_geometry,
        dim=deepest_geometry.shape,
        inputs=[geometry, samples, object_index, geometry_pose],
        outputs=[deepest_geometry, deepest_plane],
        device=geometry_pose.device,
        record_tape=False,
    )


@wp.kernel
def _penetration_taped(
    geometry: HandGeometry,
    samples: SampleSet,
    object_index: wp.array(dtype=wp.int32),  # [B]
    deepest_geometry: wp.array2d(dtype=wp.int32),  # [B, S] frozen
    deepest_plane: wp.array2d(dtype=wp.vec4),  # [B, S] frozen
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
):
    grasp, s = wp.tid()
    g = deepest_geometry[grasp, s]
    if g >= 0:
        obj = object_index[grasp]
        point = samples.position[samples.cluster_start[obj, 0] + s]
        pose = wp.transform_multiply(link_pose[grasp, geometry.link[g]], geometry.pose[g])
        x = wp.transform_point(wp.transform_inverse(pose), point)
        plane = deepest_plane[grasp, s]
        wp.atomic_add(energy, grasp, plane[3] - plane[0] * x[0] - plane[1] * x[1] - plane[2] * x[2])


def launch_penetration_taped(
    geometry: HandGeometry,
    samples: SampleSet,
    object_index: wp.array,
    deepest_geometry: wp.array,
    deepest_plane: wp.array,
    link_pose: wp.array,
    *,
    energy: wp.array,
) -> None:
    """Add the penetration energy [m] of every grasp to ``energy`` [B]; taped, deepest planes frozen."""
    wp.launch(
        _penetration_taped,
        dim=deepest_geometry.shape,
        inputs=[geometry, samples, object_index, deepest_geometry, deepest_plane, link_pose],
        outputs=[energy],
        device=link_pose.device,
    )


@wp.kernel(enable_backward=False)
def _clearance(
    geometry: HandGeometry,
    samples: SampleSet,
    object_index: wp.array(dtype=wp.int32),  # [B]
    geometry_pose: wp.array2d(dtype=wp.transform),  # [B, G]
    bound_center: wp.array2d(dtype=wp.vec3),  # [B, G]
    bound_axis: wp.array2d(dtype=wp.vec3),  # [B, G]
    margin: float,
    # outputs
    clearance: wp.array(dtype=wp.float32),  # [B]
):
    grasp = wp.tid()
    obj = object_index[grasp]
    smallest = margin
    for cluster in range(samples.cluster_sphere.shape[1]):
        sphere = samples.cluster_sphere[obj, cluster]
        grown = wp.vec4(sphere[0], sphere[1], sphere[2], sphere[3] + margin)
        mask = _cluster_mask(geometry, bound_center, bound_axis, grasp, grown)
        if mask != wp.uint64(0):
            for s in range(samples.cluster_start[obj, cluster], samples.cluster_start[obj, cluster + 1]):
                remaining = mask
                g = int(0)
                while remaining != wp.uint64(0):
                    if (remaining & wp.uint64(1)) != wp.uint64(0):
                        hit = _depth_normal(geometry, g, _to_geometry(geometry_pose[grasp, g], samples.position[s]))
                        smallest = wp.min(smallest, -hit[3])
                    remaining = remaining >> wp.uint64(1)
                    g += 1
    clearance[grasp] = smallest


def launch_clearance(
    geometry: HandGeometry,
    samples: SampleSet,
    object_index: wp.array,
    geometry_pose: wp.array,
    bound_center: wp.array,
    bound_axis: wp.array,
    margin: float,
    *,
    clearance: wp.array,
) -> None:
    """Smallest distance [m] of the hand to the object's samples [B], negative when inside, at most ``margin``.

    A lower bound near edges of boxes and convex meshes, exact elsewhere.
    """
    wp.launch(
        _clearance,
        dim=object_index.shape[0],
        inputs=[geometry, samples, object_index, geometry_pose, bound_center, bound_axis, margin],
        outputs=[clearance],
        device=geometry_pose.device,
    )
