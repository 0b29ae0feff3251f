"""Polygons to triangles: the same area in every format, whatever the shape of the polygon."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["triangulate_polygons"]

_OVERLAP = 1.0e-6
"""Triangles that together exceed their polygon's area by this part overlap: the outline crosses itself."""


def triangulate_polygons(
    vertices: NDArray[np.float64], counts: NDArray[np.int64], indices: NDArray[np.int64]
) -> tuple[NDArray[np.int64], int]:
    """Triangles of polygons: convex ones as fans, all others (concave, keyholes) by cutting ears with manifold3d.

    A polygon of K corners becomes K - 2 triangles that use all its corners, so that neighbours stay joined. Polygons of
    fewer than three corners are skipped. A polygon that is not flat is cut as seen along its mean normal.

    Args:
        vertices: Shape [V, 3].
        counts: Corners of each polygon, shape [P].
        indices: Vertex of each corner, shape [sum of counts], in [0, V).

    Returns:
        Vertex indices, shape [F, 3], and the number of polygons whose outline crosses itself, so that no set of
        triangles is theirs.
    """
    start = np.cumsum(counts) - counts
    triangles = [np.empty((0, 3), np.int64)]
    crossing = 0
    for count in np.unique(counts[counts >= 3]):
        polygons = indices[start[counts == count][:, None] + np.arange(count)]
        fan = np.stack([np.zeros(count - 2, np.int64), np.arange(1, count - 1), np.arange(2, count)], axis=1)
        if count == 3:
            triangles.append(polygons)
            continue
        with np.errstate(invalid="ignore", over="ignore"):  # infinite positions are refused by the caller
            corner = vertices[polygons]
            edge = np.roll(corner, -1, axis=1) - corner
            turn = np.cross(np.roll(edge, 1, axis=1), edge)
            spoke = corner - corner[:, :1]
            slices = np.cross(spoke[:, 1:-1], spoke[:, 2:])
            normal = slices.sum(axis=1)
            # A star of five points turns left at every corner; its fan has slices of either sign.
            concave = np.any(np.einsum("pki,pi->pk", turn, normal) < 0.0, axis=1)
            concave |= np.any(np.einsum("pki,pi->pk", slices, normal) < 0.0, axis=1)
            # Halves that cancel, as of a bow tie, leave no normal to see the polygon from.
            total = np.linalg.norm(slices, axis=2).sum(axis=1)
            tie = (np.linalg.norm(normal, axis=1) < _OVERLAP * total) & np.isfinite(total)
        concave &= ~tie & np.isfinite(total)
        crossing += int(tie.sum())
        triangles.append(polygons[~concave][:, fan].reshape(-1, 3))
        for polygon, axis in zip(polygons[concave], normal[concave], strict=True):
            cut, crosses = _cut_ears(vertices[polygon], axis)
            triangles.append(polygon[cut])
            crossing += crosses
    return np.concatenate(triangles), crossing


def _cut_ears(corners: NDArray[np.float64], normal: NDArray[np.float64]) -> tuple[NDArray[np.int64], bool]:
    """Triangles [K - 2, 3] of one polygon [K, 3] about its area vector, and whether they overlap."""
    import manifold3d  # needed by few files

    # Two axes of its plane, right-handed with the normal.
    normal = normal / np.linalg.norm(normal)
    first = np.cross(normal, np.eye(3)[np.argmin(np.abs(normal))])
    first /= np.linalg.norm(first)
    centered = corners - corners.mean(axis=0)
    flat = centered @ np.stack([first, np.cross(normal, first)], axis=1)
    flat /= np.abs(flat).max()
    cut = np.asarray(manifold3d.triangulate([flat]), np.int64)
    a, b = flat[cut[:, 1]] - flat[cut[:, 0]], flat[cut[:, 2]] - flat[cut[:, 0]]
    area = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    return cut, bool(np.abs(area).sum() > (1.0 + _OVERLAP) * area.sum())
