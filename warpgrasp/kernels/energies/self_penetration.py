"""Self penetration of the hand by spheres on its links, ``sum max(0, r_i + r_j + margin - |x_i - x_j|)``.

Pairs of neighbouring links do not count. Sphere pairs are grouped by the links they join; a group whose links' bounding
spheres are apart costs one test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import warp as wp
from numpy.typing import NDArray

from warpgrasp.kernels.lanes import (
    LANES,
    add_wrench_of_lanes,
    first_bit,
    lane_sum,
    lanes_where,
    wait_for_lanes,
)
from warpgrasp.kernels.spatial import vec6

if TYPE_CHECKING:
    pass

__all__ = ["HandSpheres", "self_penetration_kernel", "self_penetration_taped_kernel"]

IntArray = NDArray[np.int32]
FloatArray = NDArray[np.float64]

wp.set_module_options({"enable_backward": True, "block_dim": LANES})


@wp.struct
class HandSpheres:
    """Self-collision spheres of one hand and the pairs that may collide."""

    link: wp.array(dtype=wp.int32)  #: [S]
    position: wp.array(dtype=wp.vec3)  #: [S] m, link frame
    radius: wp.array(dtype=wp.float32)  #: [S] m
    pair: wp.array2d(dtype=wp.int32)  #: [P, 2], those of two links side by side
    group_start: wp.array(dtype=wp.int32)  #: [G + 1] first pair of each pair of links
    bound_position: wp.array(dtype=wp.vec3)  #: [L] m, link frame; bounding sphere of the spheres of a link
    bound_radius: wp.array(dtype=wp.float32)  #: [L] m


@wp.func
def _is_near(
    spheres: HandSpheres, link_pose: wp.array2d(dtype=wp.transform), grasp: int, pair: int, margin: float
) -> bool:
    """Whether the bounding spheres of the two links of a pair of spheres come within ``margin`` [m]."""
    a = spheres.link[spheres.pair[pair, 0]]
    b = spheres.link[spheres.pair[pair, 1]]
    apart = wp.transform_point(link_pose[grasp, a], spheres.bound_position[a]) - wp.transform_point(
        link_pose[grasp, b], spheres.bound_position[b]
    )
    bound = spheres.bound_radius[a] + spheres.bound_radius[b] + margin
    return wp.dot(apart, apart) < bound * bound


@wp.kernel(enable_backward=False)
def self_penetration_kernel(
    spheres: HandSpheres,
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    margin: float,
    weight: float,
    # outputs
    center: wp.array2d(dtype=wp.vec3),  # [B, S] scratch
    energy: wp.array(dtype=wp.float32),  # [B]
    link_wrench: wp.array2d(dtype=vec6),  # [B, L]
):
    """Self-penetration energy [m], shape [B], and its weighted link wrenches; ``center`` [B, S] receives sphere centers.

    Each lane tests one pair of links. The pairs of spheres of those that are near are gone through by all lanes together.
    """
    grasp, number = wp.tid()
    lane = number % wp.block_dim()
    lanes = wp.block_dim()
    for sphere in range(lane, spheres.link.shape[0], lanes):
        center[grasp, sphere] = wp.transform_point(
            link_pose[grasp, spheres.link[sphere]], spheres.position[sphere]
        )
    wait_for_lanes()
    total = float(0.0)
    for first in range(0, spheres.group_start.shape[0] - 1, lanes):
        is_near = bool(False)
        if first + lane < spheres.group_start.shape[0] - 1:
            is_near = _is_near(spheres, link_pose, grasp, spheres.group_start[first + lane], margin)
        left = lanes_where(is_near)
        while left != wp.uint64(0):
            group = first + first_bit(left)
            left = left & (left - wp.uint64(1))
            start = spheres.group_start[group]
            end = spheres.group_start[group + 1]
            for begin in range(start, end, lanes):
                force = wp.vec3()
                point_a = wp.vec3()
                point_b = wp.vec3()
                overlaps = bool(False)
                if begin + lane < end:
                    i = spheres.pair[begin + lane, 0]
                    j = spheres.pair[begin + lane, 1]
                    point_a = center[grasp, i]
                    point_b = center[grasp, j]
                    reach = spheres.radius[i] + spheres.radius[j] + margin
                    offset = point_a - point_b
                    squared = wp.dot(offset, offset)
                    if squared < reach * reach:
                        overlaps = True
                        distance = wp.sqrt(squared)
                        total += reach - distance
                        force = (-weight / wp.max(distance, 1.0e-9)) * offset
                if lanes_where(overlaps) != wp.uint64(0):
                    a = spheres.link[spheres.pair[start, 0]]
                    b = spheres.link[spheres.pair[start, 1]]
                    add_wrench_of_lanes(link_wrench, grasp, lane, a, force, point_a)
                    add_wrench_of_lanes(link_wrench, grasp, lane, b, -force, point_b)
    total = lane_sum(total)
    if lane == 0:
        energy[grasp] = total


@wp.kernel
def self_penetration_taped_kernel(
    spheres: HandSpheres,
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    margin: float,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
):
    """Add the self-penetration energy [m] of every grasp to ``energy`` [B]; taped."""
    grasp, pair = wp.tid()
    i = spheres.pair[pair, 0]
    j = spheres.pair[pair, 1]
    offset = wp.transform_point(link_pose[grasp, spheres.link[i]], spheres.position[i]) - wp.transform_point(
        link_pose[grasp, spheres.link[j]], spheres.position[j]
    )
    overlap = spheres.radius[i] + spheres.radius[j] + margin - wp.length(offset)
    if overlap > 0.0:
        wp.atomic_add(energy, grasp, overlap)
