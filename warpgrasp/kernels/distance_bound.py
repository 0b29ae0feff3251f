"""Cheap bounds of the signed distance, which tell the points that need no exact query and shorten the others.

Signed distances are taken once at the nodes of a grid over each object's bounding box. A signed distance changes by at most
the way between two points, so that the nearest node's distance and the way to it bound the distance of any point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import warp as wp

from warpgrasp.kernels.mesh_distance import (
    SIGN_WINDING,
    UNBOUNDED,
    ClosestFeature,
    MeshSet,
    query_closest_feature,
    query_feature_within,
)

if TYPE_CHECKING:
    pass

__all__ = [
    "BYTES_PER_OBJECT",
    "CELL_COUNT",
    "DistanceBound",
    "grid_distance_kernel",
    "largest_distance",
    "least_distance",
    "query_nearer",
    "surely_farther",
]

wp.set_module_options({"enable_backward": False})

CELL_COUNT = 48  # along the longest side; half a cell's diagonal is then 2 mm on an object of 10 cm
BYTES_PER_OBJECT = 4 * (CELL_COUNT + 1) ** 3
"""Memory of the grid of an object, at most [bytes]."""
_SLACK = 1.0e-5  # m, for rounding


@wp.struct
class DistanceBound:
    """Grids of signed distances of ``O`` objects."""

    distance: wp.array(dtype=wp.float32)  #: [sum of nodes] m
    start: wp.array(dtype=wp.int32)  #: [O] first node of each object
    node_count: wp.array(dtype=wp.vec3i)  #: [O]
    lower: wp.array(dtype=wp.vec3)  #: [O] m, bounding box
    upper: wp.array(dtype=wp.vec3)  #: [O] m
    spacing: wp.array(dtype=wp.float32)  #: [O] m


@wp.kernel
def grid_distance_kernel(
    meshes: MeshSet,
    object_index: int,
    lower: wp.vec3,
    spacing: float,
    node_count: wp.vec3i,
    # outputs
    distance: wp.array(dtype=wp.float32),  # [nodes] m
):
    """Signed distances at the nodes of one object's grid, a line of nodes along z per thread.

    The closest point of one node is near that of the next, which makes the search short.
    """
    i, j = wp.tid()
    first = (i * node_count[1] + j) * node_count[2]
    closest = wp.vec3()
    within = float(UNBOUNDED)
    for k in range(node_count[2]):
        node = lower + spacing * wp.vec3(float(i), float(j), float(k))
        if k > 0:
            within = wp.length(node - closest)
        feature = query_closest_feature(meshes, object_index, node, within)
        closest = feature.point
        distance[first + k] = feature.distance


@wp.func
def _nearest_node(bound: DistanceBound, object_index: int, p: wp.vec3) -> wp.vec2:
    """Signed distance of the node nearest to ``p`` and the way to it [m]."""
    low = bound.lower[object_index]
    step = bound.spacing[object_index]
    count = bound.node_count[object_index]
    i = wp.clamp(int(wp.floor((p[0] - low[0]) / step + 0.5)), 0, count[0] - 1)
    j = wp.clamp(int(wp.floor((p[1] - low[1]) / step + 0.5)), 0, count[1] - 1)
    k = wp.clamp(int(wp.floor((p[2] - low[2]) / step + 0.5)), 0, count[2] - 1)
    node = low + step * wp.vec3(float(i), float(j), float(k))
    distance = bound.distance[bound.start[object_index] + (i * count[1] + j) * count[2] + k]
    return wp.vec2(distance, wp.length(p - node) + _SLACK)


@wp.func
def _corner_bounds(bound: DistanceBound, object_index: int, p: wp.vec3) -> wp.vec2:
    """Lower bound of the signed and upper bound of the unsigned distance [m], from all corners of the cell of ``p``.

    A corner that lies from ``p`` in the direction in which the distance grows gives a sharp lower bound, one that lies towards
    the surface a sharp upper one; some corner is near to either.
    """
    low = bound.lower[object_index]
    step = bound.spacing[object_index]
    count = bound.node_count[object_index]
    i = wp.clamp(int(wp.floor((p[0] - low[0]) / step)), 0, count[0] - 2)
    j = wp.clamp(int(wp.floor((p[1] - low[1]) / step)), 0, count[1] - 2)
    k = wp.clamp(int(wp.floor((p[2] - low[2]) / step)), 0, count[2] - 2)
    offset = p - (low + step * wp.vec3(float(i), float(j), float(k)))
    first = bound.start[object_index] + (i * count[1] + j) * count[2] + k
    lower = float(-wp.inf)
    upper = float(wp.inf)
    for a in range(2):
        for b in range(2):
            for c in range(2):
                way = wp.length(offset - step * wp.vec3(float(a), float(b), float(c)))
                distance = bound.distance[first + (a * count[1] + b) * count[2] + c]
                lower = wp.max(lower, distance - way)
                upper = wp.min(upper, wp.abs(distance) + way)
    return wp.vec2(lower - _SLACK, upper + _SLACK)


@wp.func
def surely_farther(bound: DistanceBound, object_index: int, p: wp.vec3, reach: float) -> bool:
    """Whether the signed distance of ``p`` to object ``object_index`` is known to exceed ``reach`` [m]."""
    # Outside the bounding box the way to it is a bound, for most points the better one and without a look at the grid.
    nearest = wp.max(bound.lower[object_index], wp.min(p, bound.upper[object_index]))
    if wp.length_sq(p - nearest) > reach * reach:  # positive, so beyond a negative reach as well
        return True
    node = _nearest_node(bound, object_index, p)
    if node[0] - node[1] > reach:
        return True
    if node[0] + node[1] < reach:  # surely nearer: no need to look closer
        return False
    return _corner_bounds(bound, object_index, p)[0] > reach


@wp.func
def least_distance(bound: DistanceBound, object_index: int, p: wp.vec3, reach: float) -> float:
    """A number [m] not above the signed distance of ``p`` to object ``object_index``.

    The search for a better one ends where it exceeds ``reach``, which it does wherever :func:`surely_farther` holds.
    """
    nearest = wp.max(bound.lower[object_index], wp.min(p, bound.upper[object_index]))
    square = wp.length_sq(p - nearest)
    least = float(-wp.inf)
    if square > 0.0:
        least = wp.sqrt(square)
        if least > reach:
            return least
    node = _nearest_node(bound, object_index, p)
    least = wp.max(least, node[0] - node[1])
    if least > reach or node[0] + node[1] < reach:
        return least
    return wp.max(least, _corner_bounds(bound, object_index, p)[0])


@wp.func
def largest_distance(bound: DistanceBound, object_index: int, p: wp.vec3) -> float:
    """A number [m] not below the unsigned distance of ``p`` to object ``object_index``."""
    return _corner_bounds(bound, object_index, p)[1]


@wp.func
def query_nearer(
    meshes: MeshSet, bound: DistanceBound, object_index: int, p: wp.vec3, reach: float
) -> ClosestFeature:
    """Closest feature of object ``object_index`` to ``p`` where its signed distance is less than ``reach`` [m].

    Elsewhere only the distance means something: it is not above that of ``p``, and at least ``reach``. A search for features
    further than ``reach`` is spared where the bounds say that ``p`` is not as deep inside.
    """
    result = ClosestFeature()
    result.distance = least_distance(bound, object_index, p, reach)
    if result.distance <= reach:
        within = largest_distance(bound, object_index, p)
        # an object with holes is left out: its distances may jump
        if result.distance > -reach and meshes.sign_method[object_index] != SIGN_WINDING:
            within = wp.min(within, reach)
        least = result.distance
        result = query_feature_within(meshes, object_index, p, within)
        if result.distance >= reach:
            result.distance = wp.max(least, reach)
    return result
