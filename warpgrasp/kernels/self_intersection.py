"""Which faces of a closed mesh cross other faces of the same mesh. No gradients."""

from __future__ import annotations

from typing import Any

import warp as wp

__all__ = ["launch_crossing_faces"]

wp.set_module_options({"enable_backward": False})

# Barycentric coordinates and part of a segment by which a crossing may lie outside: symmetric sheets meet edge on edge.
_MARGIN = wp.constant(wp.float64(-1.0e-6))
_PARALLEL = wp.constant(wp.float64(1.0e-10))


@wp.func
def _pierces(start: wp.vec3d, end: wp.vec3d, u: wp.vec3d, v: wp.vec3d, w: wp.vec3d) -> bool:
    """Whether a segment crosses the inside of a triangle, by Cramer's rule for both planes' coordinates."""
    direction = end - start
    side_one = v - u
    side_two = w - u
    h = wp.cross(direction, side_two)
    determinant = wp.dot(side_one, h)
    if wp.abs(determinant) <= _PARALLEL * wp.length(side_one) * wp.length(h):
        return False
    offset = start - u
    q = wp.cross(offset, side_one)
    one = wp.dot(offset, h) / determinant
    two = wp.dot(direction, q) / determinant
    along = wp.dot(side_two, q) / determinant
    low = wp.min(wp.min(one, two), wp.float64(1.0) - one - two)
    low = wp.min(low, wp.min(along, wp.float64(1.0) - along))
    return low > _MARGIN


@wp.kernel
def _crossing_faces(
    mesh: wp.uint64,
    point: wp.array(dtype=wp.vec3d),  # [V]
    face: wp.array2d(dtype=wp.int32),  # [F, 3]
    # outputs
    crossing: wp.array(dtype=wp.int32),  # [F]
):
    f = wp.tid()
    a = point[face[f, 0]]
    b = point[face[f, 1]]
    c = point[face[f, 2]]
    low = wp.min(wp.min(a, b), c)
    high = wp.max(wp.max(a, b), c)
    other = int(0)
    query = wp.mesh_query_aabb(
        mesh,
        wp.vec3(float(low[0]), float(low[1]), float(low[2])),
        wp.vec3(float(high[0]), float(high[1]), float(high[2])),
    )
    while wp.mesh_query_aabb_next(query, other):
        shared = int(0)
        for i in range(3):
            for j in range(3):
                if face[f, i] == face[other, j]:
                    shared += 1
        if shared == 0:
            u = point[face[other, 0]]
            v = point[face[other, 1]]
            w = point[face[other, 2]]
            if _pierces(a, b, u, v, w) or _pierces(b, c, u, v, w) or _pierces(c, a, u, v, w):
                crossing[f] = 1
                crossing[other] = 1


def launch_crossing_faces(mesh: wp.Mesh, point: Any, face: Any, *, crossing: Any) -> None:
    """Set ``crossing`` [F] to 1 for faces that cross or touch another one with which they share no vertex.

    Args:
        mesh: Mesh whose vertices of one position are one vertex.
        point: Its vertices as ``wp.vec3d``, shape [V].
        face: Its vertex indices, shape [F, 3].
        crossing: Output, shape [F], zero before.
    """
    wp.launch(
        _crossing_faces,
        dim=face.shape[0],
        inputs=[mesh.id, point, face],
        outputs=[crossing],
        device=face.device,
    )
