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
from warpgrasp.kernels.lanes import first_bit, masks_of_lanes

if TYPE_CHECKING:
    pass

__all__ = ["GROUP_SIZE", "SampleSet", "geometries_near", "geometries_near_cluster", "geometries_near_group"]

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
def _is_reached(geometry: HandGeometry, poses: GeometryPoses, grasp: int, g: int, sphere: wp.vec4) -> bool:
    """Whether the geometry's bounding capsule reaches a sphere."""
    center = wp.vec3(sphere[0], sphere[1], sphere[2])
    reach = sphere[3] + geometry.bound_radius[g]
    return (
        segment_distance_squared(center, poses.bound_center[grasp, g], poses.bound_axis[grasp, g])
        < reach * reach
    )


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
    while remaining != wp.uint64(0):
        g = first_bit(remaining)
        remaining = remaining & (remaining - wp.uint64(1))
        if _is_reached(geometry, poses, grasp, g, sphere):
            x = to_geometry(poses.pose[grasp, g], center)
            if depth_normal(geometry, g, x, separated)[3] > separated:
                mask = mask | (wp.uint64(1) << wp.uint64(g))
    return mask


@wp.func
def geometries_near_group(
    geometry: HandGeometry,
    poses: GeometryPoses,
    grasp: int,
    samples: SampleSet,
    object_index: int,
    cluster: int,
    lane: int,
) -> wp.uint64:
    """The bits of the geometries that may touch the group of a lane's cluster.

    Lanes bring successive clusters, so that those of a group stand side by side. They share its tests.
    """
    sharers = wp.min(wp.block_dim(), GROUP_SIZE)  # powers of two
    every = ~wp.uint64(0) / ((wp.uint64(1) << wp.uint64(sharers)) - wp.uint64(1))  # bits 0, sharers, ...
    mask = wp.uint64(0)
    if cluster // GROUP_SIZE < samples.group_sphere.shape[1]:
        share = geometry.mask & (every << wp.uint64(lane % sharers))
        sphere = samples.group_sphere[object_index, cluster // GROUP_SIZE]
        mask = geometries_near(geometry, poses, grasp, share, sphere)
    return masks_of_lanes(mask, sharers)


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

    Its bounding capsule reaches the cluster's sphere, and no plane separates it from the cluster's disc. None where there is no
    such cluster, which the last lanes may look at.
    """
    reached = wp.uint64(0)
    if cluster >= samples.cluster_sphere.shape[1]:
        return reached
    sphere = samples.cluster_sphere[object_index, cluster]
    remaining = candidates
    while remaining != wp.uint64(0):
        g = first_bit(remaining)
        remaining = remaining & (remaining - wp.uint64(1))
        if _is_reached(geometry, poses, grasp, g, sphere):
            reached = reached | (wp.uint64(1) << wp.uint64(g))
    # In a loop of its own: there the lanes of a warp look at planes at the same time.
    mask = wp.uint64(0)
    while reached != wp.uint64(0):
        g = first_bit(reached)
        reached = reached & (reached - wp.uint64(1))
        disc = samples.cluster_disc[object_index, cluster]
        axis = samples.cluster_axis[object_index, cluster]
        if not _is_apart(geometry, poses, grasp, g, disc, axis):
            mask = mask | (wp.uint64(1) << wp.uint64(g))
    return mask
