"""Several bodies in one file: which contain or touch which, their union, and the mass of overlapping ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from warpgrasp.objects_geometry import MassProperties, sample_surface, signed_volumes

__all__ = ["body_groups", "contains", "solid_mass_properties", "union", "winding_distance"]

TOUCH_DISTANCE = 1.0e-4
"""Bodies closer than this [m] belong together."""
PROBES = 600
"""Surface points per body that look for contact with the others."""
GRID_CELLS = 96
"""Cells along the largest extent for the mass of overlapping bodies; errors stay below about 1 %."""

Floats = NDArray[np.float64]
Faces = NDArray[np.int64]


def winding_distance(vertices: Floats, faces: Faces, points: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Distance [m] to the surface and whether the winding number exceeds one half, at points [N, 3]."""
    from warpgrasp.objects_winding import query_winding  # compiles a kernel, and few objects need it

    return query_winding(vertices, faces, points)


def contains(vertices: Floats, faces: Faces, points: Floats) -> NDArray[np.bool_]:
    """Whether each point [N, 3] lies inside the closed surface, shape [N]."""
    corners = vertices[faces.reshape(-1)]
    boxed = np.all((points > corners.min(axis=0)) & (points < corners.max(axis=0)), axis=1)
    if not boxed.any():
        return boxed
    return boxed & winding_distance(vertices, faces, points)[1]


def body_groups(vertices: Floats, parts: list[Faces]) -> tuple[int, int]:
    """Number of groups of bodies that overlap, touch or contain each other, and number of cavities (inward shells)."""
    boxes = np.array([[vertices[part].min(axis=(0, 1)), vertices[part].max(axis=(0, 1))] for part in parts])
    random = np.random.default_rng(0)
    probes = [sample_surface(vertices, part, count=PROBES, random=random)[0] for part in parts]
    links = []
    for i in range(len(parts)):
        for j in range(len(parts)):
            if i == j or np.any(boxes[i, 0] > boxes[j, 1] + TOUCH_DISTANCE):
                continue
            if np.any(boxes[j, 0] > boxes[i, 1] + TOUCH_DISTANCE):
                continue
            distance, inside = winding_distance(vertices, parts[j], probes[i])
            if np.any(inside | (distance < TOUCH_DISTANCE)):
                links.append((i, j))
    rows, columns = np.array(links, np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(parts), len(parts)))
    cavities = sum(float(signed_volumes(vertices, part, vertices[part[0, 0]]).sum()) < 0.0 for part in parts)
    return int(connected_components(graph, directed=False)[0]), cavities


def union(vertices: Floats, parts: list[Faces]) -> tuple[Floats, Faces] | None:
    """Union of watertight bodies by manifold3d, or None where it is not installed or does not take the meshes."""
    try:
        import manifold3d
    except ImportError:
        return None
    total = None
    cavity_faces = [
        part for part in parts if signed_volumes(vertices, part, vertices[part[0, 0]]).sum() < 0.0
    ]
    for part in [part for part in parts if not any(part is cavity for cavity in cavity_faces)] + cavity_faces:
        cavity = any(part is other for other in cavity_faces)
        used, index = np.unique(part, return_inverse=True)
        faces = index.reshape(-1, 3).astype(np.uint64)
        mesh = manifold3d.Mesh64(vertices[used], faces[:, ::-1].copy() if cavity else faces)
        body = manifold3d.Manifold(mesh)
        if body.status() != manifold3d.Error.NoError or body.is_empty():
            return None
        total = body if total is None else (total - body if cavity else total + body)
    if total is None or total.is_empty():
        return None
    result = total.to_mesh64()
    return np.asarray(result.vert_properties, np.float64)[:, :3], np.asarray(result.tri_verts, np.int64)


def solid_mass_properties(vertices: Floats, faces: Faces) -> MassProperties:
    """Mass properties of the region of winding number above one half, at the centres of a cubic grid."""
    low, high = vertices[faces].min(axis=(0, 1)), vertices[faces].max(axis=(0, 1))
    cell = float((high - low).max()) / GRID_CELLS
    axes = [np.arange(low[axis] + 0.5 * cell, high[axis], cell) for axis in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    points = points[winding_distance(vertices, faces, points)[1]]
    center = points.mean(axis=0)
    moment = cell**3 * ((points - center).T @ (points - center) + len(points) * cell**2 / 12.0 * np.eye(3))
    return MassProperties(len(points) * cell**3, center, np.trace(moment) * np.eye(3) - moment)
