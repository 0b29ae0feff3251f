"""Places of seeds around convex hulls: points spread over a cloud, and the points of a hull nearest to them."""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.mesh_distance import UNBOUNDED

__all__ = ["closest_on_hull_kernel", "spread_points_kernel"]

wp.set_module_options({"enable_backward": False})


@wp.kernel
def spread_points_kernel(
    cloud: wp.array2d(dtype=wp.vec3),  # [S, M] m
    cloud_start: wp.array(dtype=wp.int32),  # [G + 1] first point of each group in a cloud
    chosen_start: wp.array(dtype=wp.int32),  # [G + 1] first chosen point of each group
    # outputs
    nearest: wp.array2d(dtype=wp.float32),  # [S, M] m^2, working memory
    chosen: wp.array2d(dtype=wp.vec3),  # [S, N] m
):
    """Farthest-point sampling of the points of every group of every cloud, from the group's first point on."""
    s, group = wp.tid()
    start = cloud_start[group]
    end = cloud_start[group + 1]
    for i in range(start, end):
        nearest[s, i] = wp.inf
    last = cloud[s, start]
    for slot in range(chosen_start[group], chosen_start[group + 1]):
        chosen[s, slot] = last
        best = float(-1.0)
        index = int(start)
        for i in range(start, end):
            offset = cloud[s, i] - last
            squared = wp.min(nearest[s, i], wp.dot(offset, offset))
            nearest[s, i] = squared
            if squared > best:
                best = squared
                index = i
        last = cloud[s, index]


@wp.kernel
def closest_on_hull_kernel(
    hulls: wp.array(dtype=wp.uint64),  # [S] wp.Mesh handle of each row
    points: wp.array2d(dtype=wp.vec3),  # [S, N] m
    # outputs
    closest: wp.array2d(dtype=wp.vec3),  # [S, N] m
):
    """The point of a hull's surface nearest to each point."""
    s, i = wp.tid()
    query = wp.mesh_query_point_no_sign(hulls[s], points[s, i], UNBOUNDED)
    closest[s, i] = wp.mesh_eval_position(hulls[s], query.face, query.u, query.v)
