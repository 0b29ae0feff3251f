"""Stanford PLY, text and binary: faces of any number of corners and triangle strips, by plyfile."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.objects.error import ObjectError
from warpgrasp.objects.raw_mesh import Polygons

__all__ = ["read_ply", "strip_triangles"]

_END = b"end_header"
_INDEX_NAMES = ("vertex_indices", "vertex_index")


def read_ply(path: Path) -> tuple[list[Polygons], list[str]]:
    """Read a PLY file.

    Raises:
        ObjectError: The file is damaged or has no positions, or a strip holds an index out of range.
    """
    import plyfile

    data = path.read_bytes()
    end = data.find(_END)
    if not data.startswith(b"ply") or end < 0:
        raise ObjectError(f"{path}: has no PLY header; export the mesh again.")
    # Comments come in any encoding, which plyfile does not take.
    data = bytes(byte if byte < 128 else 63 for byte in data[:end]) + data[end:]
    with warnings.catch_warnings():  # NumPy's, on rows without numbers, which are refused below
        warnings.simplefilter("ignore", UserWarning)
        content = _parse(data, plyfile)
    names = [element.name for element in content.elements]
    if "vertex" not in names or not {"x", "y", "z"} <= set(content["vertex"].data.dtype.names or ()):
        raise ObjectError(f"{path}: has no vertices with x, y and z; export the mesh again.")
    vertex = content["vertex"].data
    points = np.stack([vertex[axis].astype(np.float64) for axis in "xyz"], axis=1)
    polygons = []
    if "face" in names:
        rows = _lists(content["face"].data)
        counts = np.array([len(row) for row in rows], np.int64)
        polygons.append(Polygons(points, counts, _joined(rows)))
    if "tristrips" in names:
        strips = [strip_triangles(row) for row in _lists(content["tristrips"].data)]
        triangles = np.concatenate([np.empty((0, 3), np.int64), *strips])
        polygons.append(Polygons.of_triangles(points, triangles, "a triangle strip"))
    return polygons or [Polygons.of_triangles(points, ())], []


def _parse(data: bytes, plyfile: Any) -> Any:
    """Triangles at once, anything else row by row, which is slower."""
    for name in _INDEX_NAMES:
        try:
            return plyfile.PlyData.read(io.BytesIO(data), known_list_len={"face": {name: 3}})
        except (plyfile.PlyParseError, ValueError, KeyError):
            continue
    return plyfile.PlyData.read(io.BytesIO(data))


def _lists(rows: Any) -> Any:
    """The list of vertex indices of every row, whatever else the rows hold."""
    names = rows.dtype.names or ()
    name = next((name for name in _INDEX_NAMES if name in names), None)
    if name is None:
        raise ValueError(f"faces have no {_INDEX_NAMES[0]} but {', '.join(names) or 'nothing'}")
    return rows[name]


def _joined(rows: Any) -> NDArray[np.int64]:
    if isinstance(rows, np.ndarray) and rows.ndim == 2:
        return rows.astype(np.int64).reshape(-1)
    return np.concatenate([np.empty(0, np.int64), *rows]).astype(np.int64)


def strip_triangles(strip: NDArray[Any]) -> NDArray[np.int64]:
    """Triangles [F, 3] of a strip of vertex indices; -1 begins a new strip, every second triangle is turned."""
    strip = np.asarray(strip, np.int64)
    pieces = np.split(strip, np.flatnonzero(strip == -1))
    triangles = [np.empty((0, 3), np.int64)]
    for piece in (piece[piece != -1] for piece in pieces):
        if len(piece) >= 3:
            faces = np.stack([piece[:-2], piece[1:-1], piece[2:]], axis=1)
            faces[1::2] = faces[1::2, ::-1]
            triangles.append(faces)
    return np.concatenate(triangles)
