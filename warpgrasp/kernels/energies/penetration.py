"""Penetration of object surface samples into the hand's link geometry, with culling that gives the same value.

``E_pen = sum_samples max(0, max_geometry depth)``, the depth of a sample inside a capsule, a box or a convex mesh
(Wang et al. 2023; Zurbrügg et al. 2025).
Bounds decide what is looked at, none changes the sum: bounding spheres of *clusters* of neighbouring samples and of *groups* of
clusters, a bounding capsule per geometry, and the geometry's own planes. Within a grasp, a group is tested against every
geometry, a cluster against those near its group, a sample against those near its cluster. The search for a depth ends at the
first plane that rules out a deeper one.

The gradient moves the hand: at a sample the deepest geometry's outward normal ``n`` is the force dE/d(translation of the link).
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.hand_shapes import (
    GeometryPoses,
    HandGeometry,
    depth_normal,
    to_geometry,
)
from warpgrasp.kernels.lanes import (
    LANES,
    add_wrenches,
    first_bit,
    lane_sum,
    lanes_where,
    value_of_lane,
)
from warpgrasp.kernels.object_samples import (
    GROUP_SIZE,
    SampleSet,
    geometries_near_cluster,
    geometries_near_group,
)
from warpgrasp.kernels.spatial import vec6

__all__ = [
    "deepest_geometry_kernel",
    "penetration_kernel",
    "penetration_taped_kernel",
]

wp.set_module_options({"enable_backward": True, "block_dim": LANES})


@wp.struct
class _Hit:
    """The geometry that a sample is deepest in."""

    geometry: int  #: -1: none
    depth: float  #: m
    normal: wp.vec3  #: outward, geometry frame


@wp.func
def _deepest(
    geometry: HandGeometry, poses: GeometryPoses, grasp: int, candidates: wp.uint64, point: wp.vec3
) -> _Hit:
    """The geometry, of the bits of ``candidates``, that a point is deepest in."""
    result = _Hit()
    result.geometry = -1
    remaining = candidates
    while remaining != wp.uint64(0):
        g = first_bit(remaining)
        remaining = remaining & (remaining - wp.uint64(1))
        hit = depth_normal(geometry, g, to_geometry(poses.pose[grasp, g], point), result.depth)
        if hit[3] > result.depth:
            result.depth = hit[3]
            result.geometry = g
            result.normal = wp.vec3(hit[0], hit[1], hit[2])
    return result


@wp.kernel(enable_backward=False)
def penetration_kernel(
    geometry: HandGeometry,
    samples: SampleSet,
    object_index: wp.array(dtype=wp.int32),  # [B]
    poses: GeometryPoses,
    weight: float,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
    link_wrench: wp.array2d(dtype=vec6),  # [B, L]
):
    """Penetration energy [m], shape [B], and its weighted link wrenches [B, L]; the lanes of a warp share a grasp.

    Each lane tests one cluster, and those of a group share the tests of the group. The clusters that are left are gone through
    by all lanes together, a sample each: all look at the same geometry, and read samples that lie side by side.
    """
    grasp, number = wp.tid()
    lane = number % wp.block_dim()
    lanes = wp.block_dim()
    obj = object_index[grasp]
    total = float(0.0)
    near_group = wp.uint64(0)
    for first in range(0, samples.cluster_sphere.shape[1], lanes):
        cluster = first + lane
        if first % GROUP_SIZE == 0:
            near_group = geometries_near_group(geometry, poses, grasp, samples, obj, cluster, lane)
        near = geometries_near_cluster(geometry, poses, grasp, near_group, samples, obj, cluster)
        left = lanes_where(near != wp.uint64(0))
        while left != wp.uint64(0):
            k = first_bit(left)
            left = left & (left - wp.uint64(1))
            mask = value_of_lane(near, k)
            end = samples.cluster_start[obj, first + k + 1]
            for begin in range(samples.cluster_start[obj, first + k], end, lanes):
                link = int(-1)
                point = wp.vec3()
                force = wp.vec3()
                if begin + lane < end:
                    point = samples.position[begin + lane]
                    hit = _deepest(geometry, poses, grasp, mask, point)
                    if hit.geometry >= 0:
                        total += hit.depth
                        force = weight * wp.transform_vector(poses.pose[grasp, hit.geometry], hit.normal)
                        link = geometry.link[hit.geometry]
                add_wrenches(link_wrench, grasp, lane, link, force, point)
    total = lane_sum(total)
    if lane == 0:
        energy[grasp] = total


@wp.kernel(enable_backward=False)
def deepest_geometry_kernel(
    geometry: HandGeometry,
    samples: SampleSet,
    object_index: wp.array(dtype=wp.int32),  # [B]
    poses: GeometryPoses,
    # outputs
    deepest_geometry: wp.array2d(dtype=wp.int32),  # [B, S]
    deepest_plane: wp.array2d(dtype=wp.vec4),  # [B, S]
):
    """Freeze the geometry (-1: none) and its tangent plane [B, S] that every sample is deepest in; unculled, never taped."""
    grasp, s = wp.tid()
    obj = object_index[grasp]
    point = samples.position[samples.cluster_start[obj, 0] + s]
    deepest = float(0.0)
    deepest_geometry[grasp, s] = -1
    for g in range(geometry.type.shape[0]):
        x = to_geometry(poses.pose[grasp, g], point)
        hit = depth_normal(geometry, g, x, deepest)
        if hit[3] > deepest:
            deepest = hit[3]
            deepest_geometry[grasp, s] = g
            offset = hit[3] + hit[0] * x[0] + hit[1] * x[1] + hit[2] * x[2]
            deepest_plane[grasp, s] = wp.vec4(hit[0], hit[1], hit[2], offset)


@wp.kernel
def penetration_taped_kernel(
    geometry: HandGeometry,
    samples: SampleSet,
    object_index: wp.array(dtype=wp.int32),  # [B]
    deepest_geometry: wp.array2d(dtype=wp.int32),  # [B, S] frozen
    deepest_plane: wp.array2d(dtype=wp.vec4),  # [B, S] frozen
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
):
    """Add the penetration energy [m] of every grasp to ``energy`` [B]; taped, deepest planes frozen."""
    grasp, s = wp.tid()
    g = deepest_geometry[grasp, s]
    if g >= 0:
        obj = object_index[grasp]
        point = samples.position[samples.cluster_start[obj, 0] + s]
        pose = wp.transform_multiply(link_pose[grasp, geometry.link[g]], geometry.pose[g])
        x = wp.transform_point(wp.transform_inverse(pose), point)
        plane = deepest_plane[grasp, s]
        wp.atomic_add(energy, grasp, plane[3] - plane[0] * x[0] - plane[1] * x[1] - plane[2] * x[2])
