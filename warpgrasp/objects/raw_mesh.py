"""What a mesh file holds before anything is mended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.objects.error import ObjectError
from warpgrasp.objects.polygons import triangulate_polygons

__all__ = ["Part", "Polygons", "RawMesh", "merge_parts", "polygon_parts"]

Part = tuple[NDArray[np.float64], NDArray[np.int64]]


@dataclass(frozen=True)
class RawMesh:
    """Triangles as they stand in the file, all parts in one list, in the file's own units.

    Attributes:
        vertices: Shape [V, 3]. May hold NaN, duplicates and unused vertices.
        faces: Vertex indices, shape [F, 3], in [0, V).
        meters_per_unit: Unit of the file [m]; 1 where the format states none.
        file_hash: SHA-256 of the file (and of the files that it refers to).
        notes: Sentences on what was decided while reading.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    meters_per_unit: float
    file_hash: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Polygons:
    """Faces of any number of corners.

    Attributes:
        vertices: Shape [V, 3].
        counts: Corners of each polygon, shape [P].
        indices: Vertex of each corner, shape [sum of counts].
        name: What to call the mesh in a sentence.
    """

    vertices: NDArray[np.float64]
    counts: NDArray[np.int64]
    indices: NDArray[np.int64]
    name: str = "the mesh"

    @classmethod
    def of_triangles(cls, vertices: Any, triangles: Any, name: str = "the mesh") -> Polygons:
        """Polygons of three corners each, from triangles [F, 3]."""
        indices = np.asarray(triangles, np.int64).reshape(-1)
        points = np.asarray(vertices, np.float64).reshape(-1, 3)
        return cls(points, np.full(len(indices) // 3, 3, np.int64), indices, name)


def polygon_parts(path: Path, polygons: list[Polygons]) -> tuple[list[Part], list[str]]:
    """Triangles of checked polygons, and sentences on polygons that have no triangles of their own.

    Raises:
        ObjectError: An index names no vertex.
    """
    parts: list[Part] = []
    crossing = 0
    for mesh in polygons:
        indices, count = mesh.indices, len(mesh.vertices)
        bad = np.flatnonzero((indices < 0) | (indices >= count))
        if len(bad):
            raise ObjectError(
                f"{path}: {mesh.name} has {len(bad)} face corner(s) with an index out of range (such as "
                f"{int(indices[bad[0]])} of {count} vertices, counted from 0); export the mesh again."
            )
        if (mesh.counts < 0).any() or mesh.counts.sum() != len(indices):
            raise ObjectError(
                f"{path}: {mesh.name} has {len(indices)} face-vertex indices for {mesh.counts.sum()} corners, which do "
                "not fit; export the mesh again."
            )
        faces, crosses = triangulate_polygons(mesh.vertices, mesh.counts, indices)
        parts.append((mesh.vertices, faces))
        crossing += crosses
    notes = []
    if crossing:
        notes.append(
            f"{crossing} polygon(s) cross their own outline: which triangles they stand for is undefined."
        )
    return parts, notes


def merge_parts(parts: list[Part]) -> Part:
    """Concatenate parts into one vertex list and one face list."""
    if not parts:
        return np.empty((0, 3)), np.empty((0, 3), np.int64)
    offset = np.cumsum([0] + [len(vertices) for vertices, _ in parts[:-1]])
    faces = [part_faces + start for (_, part_faces), start in zip(parts, offset, strict=True)]
    return np.concatenate([vertices for vertices, _ in parts]), np.concatenate(faces)
