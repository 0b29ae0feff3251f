"""Collision geometry of the hand on the device: capsules, boxes and convex meshes, with bounding capsules for culling.

A convex mesh is the intersection of its half spaces, ``n . x <= offset``; inside a convex shape the depth of a point is its
distance to the nearest plane, which is exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import warp as wp

if TYPE_CHECKING:
    pass

__all__ = [
    "GeometryPoses",
    "HandGeometry",
    "depth_normal",
    "geometry_poses",
    "launch_geometry_poses",
    "segment_distance_squared",
    "to_geometry",
]

wp.set_module_options({"enable_backward": False})

# Codes of ``HandGeometry.type``; everything else is a convex mesh.
CAPSULE = wp.constant(0)
BOX = wp.constant(1)
_FAR = wp.constant(1.0e6)


@wp.struct
class HandGeometry:
    """Collision geometry of one hand, ``G`` convex shapes."""

    type: wp.array(dtype=wp.int32)  #: [G]
    link: wp.array(dtype=wp.int32)  #: [G]
    pose: wp.array(dtype=wp.transform)  #: [G] geometry frame in the link frame
    size: wp.array(dtype=wp.vec3)  #: [G] capsule: radius, half length; box: half extents [m]
    plane_start: wp.array(dtype=wp.int32)  #: [G]
    plane_count: wp.array(dtype=wp.int32)  #: [G]
    plane: wp.array(dtype=wp.vec4)  #: [P] outward normal and offset, geometry frame
    bound_center: wp.array(dtype=wp.vec3)  #: [G] bounding capsule, geometry frame [m]
    bound_axis: wp.array(dtype=wp.vec3)  #: [G] half segment of the bounding capsule [m]
    bound_radius: wp.array(dtype=wp.float32)  #: [G] m
    mask: wp.uint64  #: one bit set per geometry


@wp.struct
class GeometryPoses:
    """Posed collision geometry of ``B`` hands, object frame."""

    pose: wp.array2d(dtype=wp.transform)  #: [B, G]
    bound_center: wp.array2d(dtype=wp.vec3)  #: [B, G] m, bounding capsule
    bound_axis: wp.array2d(dtype=wp.vec3)  #: [B, G] m, half segment of the bounding capsule


@wp.kernel(enable_backward=False)
def _geometry_poses(
    geometry: HandGeometry,
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    # outputs
    poses: GeometryPoses,
):
    grasp = wp.tid()
    for g in range(geometry.type.shape[0]):
        pose = wp.transform_multiply(link_pose[grasp, geometry.link[g]], geometry.pose[g])
        poses.pose[grasp, g] = pose
        poses.bound_center[grasp, g] = wp.transform_point(pose, geometry.bound_center[g])
        poses.bound_axis[grasp, g] = wp.transform_vector(pose, geometry.bound_axis[g])


def geometry_poses(geometry: HandGeometry, batch_size: int, device: wp.DeviceLike) -> GeometryPoses:
    """Allocate the posed geometry of ``batch_size`` hands."""
    shape = (batch_size, geometry.type.shape[0])
    result = GeometryPoses()
    result.pose = wp.empty(shape, dtype=wp.transform, device=device)
    result.bound_center = wp.empty(shape, dtype=wp.vec3, device=device)
    result.bound_axis = wp.empty(shape, dtype=wp.vec3, device=device)
    return result


def launch_geometry_poses(geometry: HandGeometry, link_pose: wp.array, *, poses: GeometryPoses) -> None:
    """Poses of the collision geometries in the object frame and their bounding capsules, of link poses [B, L]."""
    wp.launch(
        _geometry_poses,
        dim=link_pose.shape[0],
        inputs=[geometry, link_pose],
        outputs=[poses],
        device=link_pose.device,
        record_tape=False,
    )


@wp.func
def segment_distance_squared(point: wp.vec3, center: wp.vec3, axis: wp.vec3) -> float:
    """Squared distance of a point to the segment center +- axis [m^2]."""
    offset = point - center
    along = wp.clamp(wp.dot(offset, axis) / (wp.dot(axis, axis) + 1.0e-20), -1.0, 1.0)
    nearest = offset - along * axis
    return wp.dot(nearest, nearest)


@wp.func
def depth_normal(geometry: HandGeometry, g: int, x: wp.vec3, floor: float) -> wp.vec4:
    """Outward normal (geometry frame) and depth [m] of point ``x`` in geometry ``g``; depth is negative outside.

    Inside a convex shape the depth is the distance to the nearest plane; outside, its negative is a lower bound of the
    distance for boxes and convex meshes, exact for capsules. The search stops where the depth is known to be at most
    ``floor``: a result above it is exact, a result below it is an upper bound.
    """
    size = geometry.size[g]
    normal = wp.vec3(0.0, 0.0, 1.0)
    depth = float(_FAR)
    if geometry.type[g] == CAPSULE:
        offset = wp.vec3(x[0], x[1], x[2] - wp.clamp(x[2], -size[1], size[1]))
        length = wp.length(offset)
        if length > 1.0e-9:
            normal = offset / length
        else:
            normal = wp.vec3(1.0, 0.0, 0.0)
        depth = size[0] - length
    elif geometry.type[g] == BOX:
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
                if depth <= floor:
                    break
    return wp.vec4(normal[0], normal[1], normal[2], depth)


@wp.func
def to_geometry(pose: wp.transform, point: wp.vec3) -> wp.vec3:
    """A point of the object frame in the frame of a geometry [m]."""
    return wp.quat_rotate_inv(wp.transform_get_rotation(pose), point - wp.transform_get_translation(pose))
