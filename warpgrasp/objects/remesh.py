"""A closed surface around whatever a triangle soup encloses: the level set of its winding distance, by marching cubes."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from warpgrasp.base.warp_messages import warp_is_quiet
from warpgrasp.objects.bodies import winding_distance
from warpgrasp.objects.geometry import Floats, signed_volumes
from warpgrasp.objects.topology import Faces, compact, drop_degenerate

__all__ = ["level_set", "remesh_solid", "simplified"]

REMESH_CELLS = 64
"""Cells along the largest extent; the new surface lies within half a cell of the old one, corners are cut."""
SIMPLIFY = 0.2
"""Part of a cell by which vertices may move when flat regions get larger triangles."""


def remesh_solid(vertices: Floats, faces: Faces) -> tuple[Floats, Faces]:
    """A watertight mesh of the region of winding number above one half, in as few triangles as its accuracy allows.

    Args:
        vertices: [m], shape [V, 3].
        faces: Shape [F, 3]; may cross and overlap.
    """
    cell = float(np.ptp(vertices[faces].reshape(-1, 3), axis=0).max()) / REMESH_CELLS
    return simplified(*level_set(vertices, faces, level=0.0, cell=cell), tolerance=SIMPLIFY * cell)


def simplified(vertices: Floats, faces: Faces, *, tolerance: float) -> tuple[Floats, Faces]:
    """A closed surface in as few triangles as a ``tolerance`` [m] allows, without slivers."""
    import manifold3d

    vertices, index = np.unique(vertices, axis=0, return_inverse=True)
    faces = drop_degenerate(index.reshape(-1)[faces])
    solid = manifold3d.Manifold(manifold3d.Mesh64(vertices, faces.astype(np.uint64)))
    if solid.status() != manifold3d.Error.NoError or solid.is_empty():
        return compact(vertices, faces)
    simple = solid.simplify(tolerance).to_mesh64()
    return np.asarray(simple.vert_properties, np.float64)[:, :3], np.asarray(simple.tri_verts, np.int64)


def _marching_cubes() -> Any:
    try:
        from warp.geometry import IsoSurfaceMarchingCubes
    except ImportError:  # its name before Warp 1.19
        from warp import MarchingCubes

        return MarchingCubes
    return IsoSurfaceMarchingCubes


@warp_is_quiet()
def level_set(
    vertices: Floats, faces: Faces, *, level: float, cell: float, unsigned: bool = False, smooth: bool = False
) -> tuple[Floats, Faces]:
    """The surface at which the winding distance is ``level`` [m], on a grid of ``cell`` [m], outward.

    With ``unsigned`` the distance to the surface itself counts, on both sides. ``smooth`` is for open surfaces: where nothing
    but the winding number tells inside from outside, the distance jumps, and the steps of the grid would show.
    """
    import warp as wp

    corners = vertices[faces].reshape(-1, 3)
    margin = 2.0 * cell + max(level, 0.0)
    low = corners.min(axis=0) - margin
    count = np.ceil((corners.max(axis=0) + margin - low) / cell).astype(np.int64) + 1
    axes = [low[axis] + cell * np.arange(count[axis]) for axis in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    distance = winding_distance(vertices, faces, points).astype(np.float32).reshape(count)
    distance = np.abs(distance) if unsigned else distance
    if smooth:
        distance = gaussian_filter(np.clip(distance, -2.0 * cell, 2.0 * cell), 1.0, mode="nearest")
    field: Any = wp.array(distance, dtype=wp.float32, device="cpu")
    # Without bounds the vertices come in cells, the same in all versions of Warp.
    surface: Any = _marching_cubes()(*(int(value) for value in count))
    surface.surface(field, level)
    new = low + cell * np.asarray(surface.verts.numpy(), np.float64)
    triangles = np.asarray(surface.indices.numpy(), np.int64).reshape(-1, 3)
    if signed_volumes(new, triangles, new.mean(axis=0)).sum() < 0.0:
        triangles = triangles[:, ::-1]
    return new, triangles
