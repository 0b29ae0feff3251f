"""What a mesh file holds before anything is mended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Part", "RawMesh", "merge_parts"]

Part = tuple[NDArray[np.float64], NDArray[np.int64]]


@dataclass(frozen=True)
class RawMesh:
    """Triangles as they stand in the file, all parts in one list, in the file's own units.

    Attributes:
        vertices: Shape [V, 3]. May hold NaN, duplicates and unused vertices.
        faces: Vertex indices, shape [F, 3].
        meters_per_unit: Unit of the file [m]; 1 where the format states none.
        file_hash: SHA-256 of the file (USD: and of the layers that it composes).
        notes: Sentences on what was decided while reading.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    meters_per_unit: float
    file_hash: str
    notes: tuple[str, ...] = ()


def merge_parts(parts: list[Part]) -> Part:
    """Concatenate parts into one vertex list and one face list."""
    if not parts:
        return np.empty((0, 3)), np.empty((0, 3), np.int64)
    offset = np.cumsum([0] + [len(vertices) for vertices, _ in parts[:-1]])
    faces = [part_faces + start for (_, part_faces), start in zip(parts, offset, strict=True)]
    return np.concatenate([vertices for vertices, _ in parts]), np.concatenate(faces)
