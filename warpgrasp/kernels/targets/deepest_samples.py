"""The samples of the object that lie deepest in the hand: what asks to come out when a grasp is closed."""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.hand_shapes import GeometryPoses, HandGeometry, depth_normal, to_geometry
from warpgrasp.kernels.lanes import LANES, first_bit, lane_maximum, lanes_where, value_of_lane, wait_for_lanes
from warpgrasp.kernels.object_samples import (
    GROUP_SIZE,
    SampleSet,
    geometries_near_cluster,
    geometries_near_group,
)

__all__ = ["deepest_samples"]

wp.set_module_options({"enable_backward": False, "block_dim": LANES})


@wp.kernel
def deepest_samples(
    geometry: HandGeometry,
    samples: SampleSet,
    object_index: wp.array(dtype=wp.int32),  # [B]
    running: wp.array(dtype=wp.int32),  # [B]
    poses: GeometryPoses,
    allowance: float,  # m
    # outputs
    depth: wp.array2d(dtype=wp.float32),  # [B, G] m; the allowance where none is deeper
    position: wp.array2d(dtype=wp.vec3),  # [B, G]
    normal: wp.array2d(dtype=wp.vec3),  # [B, G]
):
    """The sample of the object's surface that lies deepest in each shape of the hand.

    Culled as the penetration energy, and shared by the lanes of a warp in the same way.
    """
    grasp, number = wp.tid()
    lane = number % wp.block_dim()
    if running[grasp] == 0:
        return
    lanes = wp.block_dim()
    obj = object_index[grasp]
    for g in range(lane, depth.shape[1], lanes):
        depth[grasp, g] = allowance
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
            end = samples.cluster_start[obj, first + k + 1]
            for begin in range(samples.cluster_start[obj, first + k], end, lanes):
                wait_for_lanes()  # they see the depths that were written before
                remaining = value_of_lane(near, k)
                while remaining != wp.uint64(0):
                    g = first_bit(remaining)
                    remaining = remaining & (remaining - wp.uint64(1))
                    deepest = depth[grasp, g]
                    point = wp.vec3()
                    hit = wp.vec4(0.0, 0.0, 0.0, deepest)
                    pose = poses.pose[grasp, g]
                    if begin + lane < end:
                        point = samples.position[begin + lane]
                        hit = depth_normal(geometry, g, to_geometry(pose, point), deepest)
                    most = lane_maximum(hit[3])
                    if most > deepest and first_bit(lanes_where(hit[3] == most)) == lane:
                        depth[grasp, g] = hit[3]
                        position[grasp, g] = point
                        normal[grasp, g] = wp.transform_vector(pose, wp.vec3(hit[0], hit[1], hit[2]))
