"""Self penetration of the hand by spheres on its links, ``sum max(0, r_i + r_j + margin - |x_i - x_j|)``.

Pairs of neighbouring links do not count. Sphere pairs are grouped by the links they join; a group whose links' bounding
spheres are apart costs one test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import warp as wp
from numpy.typing import NDArray

from warpgrasp.kernels.contact import add_point_force
from warpgrasp.kernels.spatial import vec6

if TYPE_CHECKING:
    pass

__all__ = ["HandSpheres", "self_penetration_kernel", "self_penetration_taped_kernel"]

IntArray = NDArray[np.int32]
FloatArray = NDArray[np.float64]

wp.set_module_options({"enable_backward": True})


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
    """Self-penetration energy [m], shape [B], and its weighted link wrenches; ``center`` [B, S] receives sphere centers."""
    grasp = wp.tid()
    for sphere in range(spheres.link.shape[0]):
        center[grasp, sphere] = wp.transform_point(
            link_pose[grasp, spheres.link[sphere]], spheres.position[sphere]
        )
    total = float(0.0)
    for group in range(spheres.group_start.shape[0] - 1):
        first = spheres.group_start[group]
        a = spheres.link[spheres.pair[first, 0]]
        b = spheres.link[spheres.pair[first, 1]]
        apart = wp.transform_point(link_pose[grasp, a], spheres.bound_position[a]) - wp.transform_point(
            link_pose[grasp, b], spheres.bound_position[b]
        )
        bound = spheres.bound_radius[a] + spheres.bound_radius[b] + margin
        if wp.dot(apart, apart) < bound * bound:
            for pair in range(first, spheres.group_start[group + 1]):
                i = spheres.pair[pair, 0]
                j = spheres.pair[pair, 1]
                reach = spheres.radius[i] + spheres.radius[j] + margin
                offset = center[grasp, i] - center[grasp, j]
                squared = wp.dot(offset, offset)
                if squared < reach * reach:
                    distance = wp.sqrt(squared)
                    total += reach - distance
                    force = (-weight / wp.max(distance, 1.0e-9)) * offset
                    zero = wp.vec3(0.0, 0.0, 0.0)
                    add_point_force(link_wrench, grasp, a, center[grasp, i], force, zero)
                    add_point_force(link_wrench, grasp, b, center[grasp, j], -force, zero)
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
