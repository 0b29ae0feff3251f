"""Surface samples of the objects, sorted into clusters with bounding spheres, and the culling test against the hand.

Neighbouring clusters form groups: what does not reach a group's sphere needs no test against the spheres of its clusters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import warp as wp

from warpgrasp.kernels.hand_shapes import (
    GeometryPoses,
    HandGeometry,
    depth_normal,
    segment_distance_squared,
    to_geometry,
)

if TYPE_CHECKING:
    pass

__all__ = ["GROUP_SIZE", "SampleSet", "geometries_near"]

wp.set_module_options({"enable_backward": False})

GROUP_SIZE = wp.constant(8)  # clusters per group; 16 cost the same


@wp.struct
class SampleSet:
    """Surface samples of ``O`` objects, sorted into clusters."""

    position: wp.array(dtype=wp.vec3)  #: [sum of samples] m, object frame
    cluster_start: wp.array2d(dtype=wp.int32)  #: [O, K + 1]
    cluster_sphere: wp.array2d(dtype=wp.vec4)  #: [O, K] center and radius [m]
    group_sphere: wp.array2d(dtype=wp.vec4)  #: [O, ceil(K / GROUP_SIZE)] around successive clusters' samples


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
