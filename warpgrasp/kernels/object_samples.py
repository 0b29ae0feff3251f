"""Surface samples of the objects, sorted into clusters with bounding spheres, and the culling test against the hand.

Neighbouring clusters form groups: what does not reach a group's sphere needs no test against the spheres of its clusters.
Samples lie on a surface, so that a cluster is nearly flat: beside its sphere it has a *disc*, which a link that rests on the
surface does not reach, where it reaches the sphere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import warp as wp

from warpgrasp.kernels.hand_shapes import (
    BOX,
    CAPSULE,
    GeometryPoses,
    HandGeometry,
    depth_normal,
    segment_distance_squared,
    to_geometry,
)

if TYPE_CHECKING:
    pass

__all__ = ["GROUP_SIZE", "SampleSet", "first_bit", "geometries_near", "geometries_near_cluster"]

wp.set_module_options({"enable_backward": False})

_ROUNDING = wp.constant(2.0e-6)  # m; float32 must not cull what touches
GROUP_SIZE = wp.constant(8)  # clusters per group; 16 cost the same


@wp.struct
class SampleSet:
    """Surface samples of ``O`` objects, sorted into clusters."""

    position: wp.array(dtype=wp.vec3)  #: [sum of samples] m, object frame
    cluster_start: wp.array2d(dtype=wp.int32)  #: [O, K + 1]
    cluster_sphere: wp.array2d(dtype=wp.vec4)  #: [O, K] center and radius [m]
    cluster_disc: wp.array2d(dtype=wp.vec4)  #: [O, K] center and radius [m] of a cylinder around the samples
    cluster_axis: wp.array2d(dtype=wp.vec4)  #: [O, K] its unit axis and half height [m]
    group_sphere: wp.array2d(dtype=wp.vec4)  #: [O, ceil(K / GROUP_SIZE)] around successive clusters' samples


@wp.func
def first_bit(mask: wp.uint64) -> int:
    """Number of the lowest bit of ``mask`` that is set; 0 where none is."""
    if mask == wp.uint64(0):
        return 0
    rest = mask
    number = int(0)
    if (rest & wp.uint64(0xFFFFFFFF)) == wp.uint64(0):
        number += 32
        rest = rest >> wp.uint64(32)
    if (rest & wp.uint64(0xFFFF)) == wp.uint64(0):
        number += 16
        rest = rest >> wp.uint64(16)
    if (rest & wp.uint64(0xFF)) == wp.uint64(0):
        number += 8
        rest = rest >> wp.uint64(8)
    if (rest & wp.uint64(0xF)) == wp.uint64(0):
        number += 4
        rest = rest >> wp.uint64(4)
    if (rest & wp.uint64(0x3)) == wp.uint64(0):
        number += 2
        rest = rest >> wp.uint64(2)
    if (rest & wp.uint64(0x1)) == wp.uint64(0):
        number += 1
    return number


@wp.func
def geometries_near(
    geometry: HandGeometry,
    poses: GeometryPoses,
    grasp: int,
    candidates: wp.uint64,
    sphere: wp.vec4,
) -> wp.uint64:
    """The bits of ``candidates`` whose geometry may touch a sphere: its bounding capsule does and no plane separates them."""
    mask = wp.uint64(0)
    center = wp.vec3(sphere[0], sphere[1], sphere[2])
    separated = -1.00001 * sphere[3] - 1.0e-6  # float32 rounding must not cull what touches
    remaining = candidates
    bit = wp.uint64(1)
    g = int(0)
    while remaining != wp.uint64(0):
        if (remaining & wp.uint64(1)) != wp.uint64(0):
            reach = sphere[3] + geometry.bound_radius[g]
            if (
                segment_distance_squared(center, poses.bound_center[grasp, g], poses.bound_axis[grasp, g])
                < reach * reach
            ):
                x = to_geometry(poses.pose[grasp, g], center)
                if depth_normal(geometry, g, x, separated)[3] > separated:
                    mask = mask | bit
        remaining = remaining >> wp.uint64(1)
        bit = bit << wp.uint64(1)
        g += 1
    return mask


@wp.func
def _is_apart(
    geometry: HandGeometry, poses: GeometryPoses, grasp: int, g: int, disc: wp.vec4, axis: wp.vec4
) -> bool:
    """Whether a plane of the geometry, or the disc's own for a capsule, separates the two."""
    center = wp.vec3(disc[0], disc[1], disc[2])
    direction = wp.vec3(axis[0], axis[1], axis[2])
    if geometry.type[g] == CAPSULE:
        height = wp.abs(wp.dot(direction, poses.bound_center[grasp, g] - center))
        return (
            height - wp.abs(wp.dot(direction, poses.bound_axis[grasp, g]))
            > axis[3] + geometry.bound_radius[g]
        )
    pose = poses.pose[grasp, g]
    x = to_geometry(pose, center)
    a = wp.quat_rotate_inv(wp.transform_get_rotation(pose), direction)
    square = disc[3] * disc[3]
    if geometry.type[g] == BOX:
        for side in range(3):
            gap = wp.abs(x[side]) - geometry.size[g][side] - axis[3] * wp.abs(a[side]) - _ROUNDING
            if gap > 0.0 and gap * gap > square * (1.0 - a[side] * a[side]):
                return True
        return False
    start = geometry.plane_start[g]
    for index in range(start, start + geometry.plane_count[g]):
        plane = geometry.plane[index]
        normal = wp.vec3(plane[0], plane[1], plane[2])
        along = wp.dot(normal, a)
        gap = wp.dot(normal, x) - plane[3] - axis[3] * wp.abs(along) - _ROUNDING
        if gap > 0.0 and gap * gap > square * (1.0 - along * along):
            return True
    return False


@wp.func
def geometries_near_cluster(
    geometry: HandGeometry,
    poses: GeometryPoses,
    grasp: int,
    candidates: wp.uint64,
    samples: SampleSet,
    object_index: int,
    cluster: int,
) -> wp.uint64:
    """The bits of ``candidates`` whose geometry may hold a sample of a cluster.

    Its bounding capsule reaches the cluster's sphere, and no plane separates it from the cluster's disc.
    """
    mask = wp.uint64(0)
    sphere = samples.cluster_sphere[object_index, cluster]
    center = wp.vec3(sphere[0], sphere[1], sphere[2])
    g = first_bit(candidates)
    remaining = candidates >> wp.uint64(g)
    bit = wp.uint64(1) << wp.uint64(g)
    while remaining != wp.uint64(0):
        if (remaining & wp.uint64(1)) != wp.uint64(0):
            reach = sphere[3] + geometry.bound_radius[g]
            if (
                segment_distance_squared(center, poses.bound_center[grasp, g], poses.bound_axis[grasp, g])
                < reach * reach
            ):
                disc = samples.cluster_disc[object_index, cluster]
                if not _is_apart(
                    geometry, poses, grasp, g, disc, samples.cluster_axis[object_index, cluster]
                ):
                    mask = mask | bit
        remaining = remaining >> wp.uint64(1)
        bit = bit << wp.uint64(1)
        g += 1
    return mask
