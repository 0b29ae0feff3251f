"""How posed hands lie against an object and themselves: distances of points, shared volume, depth of links in links.

Nothing here is differentiated: these are measurements of finished grasps. A grasp is one hand of a batch; all hands are of
one model and around one object.
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
from warpgrasp.kernels.mesh_distance import UNBOUNDED, MeshSet, query_closest_feature

if TYPE_CHECKING:
    pass

__all__ = [
    "ShapeSurfaces",
    "contact_distance_kernel",
    "hand_distance_kernel",
    "self_depth_kernel",
    "shared_cells_kernel",
]

wp.set_module_options({"enable_backward": False})

_BLOCK = wp.constant(4)  # cells along an edge of the blocks that are looked at first


@wp.struct
class ShapeSurfaces:
    """Surface of each of the ``G`` collision geometries of one hand, as what its depth in others is measured by."""

    start: wp.array(dtype=wp.int32)  #: [G + 1] first point of each geometry
    position: wp.array(dtype=wp.vec3)  #: [P] m, link frame
    apart: wp.array(dtype=wp.uint64)  #: [G] bits of the geometries that must not overlap with this one


@wp.func
def _outer_distance(geometry: HandGeometry, mesh: wp.uint64, g: int, x: wp.vec3, within: float) -> float:
    """Distance [m] of a point outside a box or convex mesh, its frame; ``within`` where it is larger than that."""
    if geometry.type[g] == BOX:
        size = geometry.size[g]
        outside = wp.vec3(
            wp.max(wp.abs(x[0]) - size[0], 0.0),
            wp.max(wp.abs(x[1]) - size[1], 0.0),
            wp.max(wp.abs(x[2]) - size[2], 0.0),
        )
        return wp.min(wp.length(outside), within)
    query = wp.mesh_query_point_no_sign(mesh, x, within)
    if not query.result:
        return within
    return wp.min(wp.length(x - wp.mesh_eval_position(mesh, query.face, query.u, query.v)), within)


@wp.kernel
def hand_distance_kernel(
    geometry: HandGeometry,
    poses: GeometryPoses,
    mesh: wp.array(dtype=wp.uint64),  # [G] wp.Mesh of each convex mesh in its own frame, 0 for other shapes
    points: wp.array(dtype=wp.vec3),  # [P] m, object frame
    reach: float,  # m
    # outputs
    distance: wp.array2d(dtype=wp.float32),  # [N, P] m
):
    """Signed distance of points to each hand, negative inside; ``reach`` where it is larger than that."""
    grasp, i = wp.tid()
    p = points[i]
    nearest = float(reach)
    for g in range(geometry.type.shape[0]):
        # Outside, a shape further than the nearest cannot be nearer; inside, only a deeper one counts.
        bound = geometry.bound_radius[g] + nearest
        if (
            bound > 0.0
            and segment_distance_squared(p, poses.bound_center[grasp, g], poses.bound_axis[grasp, g])
            < bound * bound
        ):
            x = to_geometry(poses.pose[grasp, g], p)
            own = -depth_normal(geometry, g, x, -nearest)[3]
            if own < nearest:
                if own > 0.0 and geometry.type[g] != CAPSULE:
                    own = _outer_distance(geometry, mesh[g], g, x, nearest)
                nearest = wp.min(own, nearest)
    distance[grasp, i] = nearest


@wp.kernel
def contact_distance_kernel(
    meshes: MeshSet,
    link_pose: wp.array2d(dtype=wp.transform),  # [N, L]
    link: wp.array(dtype=wp.int32),  # [C]
    position: wp.array(dtype=wp.vec3),  # [C] m, link frame
    # outputs
    distance: wp.array2d(dtype=wp.float32),  # [N, C] m
):
    """Signed distance of points of each hand to the first object, negative inside."""
    grasp, c = wp.tid()
    point = wp.transform_point(link_pose[grasp, link[c]], position[c])
    distance[grasp, c] = query_closest_feature(meshes, 0, point, UNBOUNDED).distance


@wp.kernel
def self_depth_kernel(
    geometry: HandGeometry,
    poses: GeometryPoses,
    link_pose: wp.array2d(dtype=wp.transform),  # [N, L]
    surfaces: ShapeSurfaces,
    # outputs
    depth: wp.array2d(dtype=wp.float32),  # [N, G] m
):
    """Largest depth of the surface points of each geometry in the others that it must keep apart from, at least 0."""
    grasp, first = wp.tid()
    center = poses.bound_center[grasp, first]
    radius = wp.length(poses.bound_axis[grasp, first]) + geometry.bound_radius[first]
    near = wp.uint64(0)
    bit = wp.uint64(1)
    for g in range(geometry.type.shape[0]):
        reach = radius + geometry.bound_radius[g]
        if (surfaces.apart[first] & bit) != wp.uint64(0) and segment_distance_squared(
            center, poses.bound_center[grasp, g], poses.bound_axis[grasp, g]
        ) < reach * reach:
            near = near | bit
        bit = bit << wp.uint64(1)
    deepest = float(0.0)
    if near != wp.uint64(0):
        pose = link_pose[grasp, geometry.link[first]]
        for i in range(surfaces.start[first], surfaces.start[first + 1]):
            p = wp.transform_point(pose, surfaces.position[i])
            bit = wp.uint64(1)
            for g in range(geometry.type.shape[0]):
                if (near & bit) != wp.uint64(0):
                    bound = geometry.bound_radius[g]
                    if (
                        segment_distance_squared(p, poses.bound_center[grasp, g], poses.bound_axis[grasp, g])
                        < bound * bound
                    ):
                        x = to_geometry(poses.pose[grasp, g], p)
                        deepest = wp.max(deepest, depth_normal(geometry, g, x, deepest)[3])
                bit = bit << wp.uint64(1)
    depth[grasp, first] = deepest


@wp.func
def _reaches(
    geometry: HandGeometry, poses: GeometryPoses, grasp: int, g: int, p: wp.vec3, radius: float
) -> bool:
    """Whether a geometry may have points within ``radius`` of ``p``; exact for radius 0, where it asks whether p is inside."""
    bound = geometry.bound_radius[g] + radius
    if segment_distance_squared(p, poses.bound_center[grasp, g], poses.bound_axis[grasp, g]) >= bound * bound:
        return False
    return depth_normal(geometry, g, to_geometry(poses.pose[grasp, g], p), -radius)[3] > -radius


@wp.func
def _cell_counts(
    geometry: HandGeometry, poses: GeometryPoses, meshes: MeshSet, grasp: int, g: int, p: wp.vec3
) -> int:
    """1 where ``p`` lies in a geometry, in no geometry before it, and in the first object, else 0."""
    if not _reaches(geometry, poses, grasp, g, p, 0.0):
        return 0
    for earlier in range(g):
        if _reaches(geometry, poses, grasp, earlier, p, 0.0):
            return 0
    if query_closest_feature(meshes, 0, p, UNBOUNDED).distance < 0.0:
        return 1
    return 0


@wp.kernel
def shared_cells_kernel(
    geometry: HandGeometry,
    poses: GeometryPoses,
    meshes: MeshSet,
    lower: wp.vec3,  # m, corner of the grid, object frame
    cell_count: wp.vec3i,
    spacing: float,  # m
    # outputs
    cells: wp.array2d(dtype=wp.int32),  # [N, G]
):
    """Cells of a grid with their centre in a geometry, in no geometry before it, and in the first object."""
    grasp, g = wp.tid()
    center = poses.bound_center[grasp, g] - lower
    axis = poses.bound_axis[grasp, g]
    block = float(_BLOCK) * spacing
    first = wp.vec3i()
    last = wp.vec3i()
    for k in range(3):
        reach = wp.abs(axis[k]) + geometry.bound_radius[g]
        first[k] = wp.max(int(wp.floor((center[k] - reach) / block)), 0)
        last[k] = wp.min(int(wp.ceil((center[k] + reach) / block)), (cell_count[k] + _BLOCK - 1) / _BLOCK)
    count = int(0)
    for i in range(first[0], last[0]):
        for j in range(first[1], last[1]):
            for k in range(first[2], last[2]):
                middle = lower + block * wp.vec3(float(i) + 0.5, float(j) + 0.5, float(k) + 0.5)
                radius = 0.87 * block  # half the diagonal, and a little
                # Most of a finger is further from the object than that.
                if (
                    _reaches(geometry, poses, grasp, g, middle, radius)
                    and query_closest_feature(meshes, 0, middle, UNBOUNDED).distance < radius
                ):
                    for cell in range(_BLOCK * _BLOCK * _BLOCK):
                        x = i * _BLOCK + cell / (_BLOCK * _BLOCK)
                        y = j * _BLOCK + (cell / _BLOCK) % _BLOCK
                        z = k * _BLOCK + cell % _BLOCK
                        if x < cell_count[0] and y < cell_count[1] and z < cell_count[2]:
                            p = lower + spacing * wp.vec3(float(x) + 0.5, float(y) + 0.5, float(z) + 0.5)
                            count += _cell_counts(geometry, poses, meshes, grasp, g, p)
    cells[grasp, g] = count
