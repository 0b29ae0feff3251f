"""STL, binary and text; headers and names in any encoding."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from warpgrasp.objects.error import ObjectError
from warpgrasp.objects.raw_mesh import Polygons

__all__ = ["read_stl"]

_RECORD = np.dtype([("normal", "<f4", 3), ("corner", "<f4", (3, 3)), ("attribute", "<u2")])
_HEADER = 84  # bytes: 80 of any content, then the number of triangles
_LOOP = re.compile(rb"outer\s+loop(.*?)endloop", re.DOTALL | re.IGNORECASE)
_VERTEX = re.compile(rb"vertex\s+(\S+)\s+(\S+)\s+(\S+)", re.IGNORECASE)
_FACET = re.compile(rb"\bfacet\s+normal\b", re.IGNORECASE)


def read_stl(path: Path) -> tuple[list[Polygons], list[str]]:
    """Read an STL file.

    The byte count tells which kind it is: many binary files begin with ``solid`` as well.

    Raises:
        ObjectError: The file ends before the triangles that it announces.
    """
    data = path.read_bytes()
    announced = int.from_bytes(data[80:_HEADER], "little") if len(data) >= _HEADER else 0
    exact = len(data) >= _HEADER and len(data) == _HEADER + _RECORD.itemsize * announced
    # Text has no zero bytes; a binary header is padded with them, and nearly every record holds some.
    if not exact and data.lstrip()[:5].lower() == b"solid" and b"\0" not in data:
        return [_text(path, data)], []
    return _binary(path, data, announced)


def _binary(path: Path, data: bytes, announced: int) -> tuple[list[Polygons], list[str]]:
    if len(data) < _HEADER:
        raise ObjectError(
            f"{path}: has {len(data)} bytes, less than the {_HEADER} of an STL header: it is truncated; export it again."
        )
    there, rest = divmod(len(data) - _HEADER, _RECORD.itemsize)
    if there < announced:
        raise ObjectError(
            f"{path}: announces {announced} triangles, but only {there} are there: it is truncated; copy or export it again."
        )
    notes = []
    if there > announced or rest:
        extra = len(data) - _HEADER - announced * _RECORD.itemsize
        notes.append(f"{extra} byte(s) behind the {announced} triangles of the STL file were left out.")
    corners = np.frombuffer(data, _RECORD, announced, _HEADER)["corner"].astype(np.float64).reshape(-1, 3)
    return [Polygons.of_triangles(corners, np.arange(len(corners)))], notes


def _text(path: Path, data: bytes) -> Polygons:
    facets = len(_FACET.findall(data))
    loops = [_VERTEX.findall(loop) for loop in _LOOP.findall(data)]
    if facets != len(loops):
        raise ObjectError(
            f"{path}: begins {facets} facets, but only {len(loops)} are complete: it is truncated; copy or export it again."
        )
    counts = np.array([len(loop) for loop in loops], np.int64)
    if (counts < 3).any():
        raise ObjectError(
            f"{path}: {int((counts < 3).sum())} facets have fewer than three vertices; export it again."
        )
    try:
        vertices = np.array([vertex for loop in loops for vertex in loop], np.float64).reshape(-1, 3)
    except ValueError as error:
        raise ObjectError(
            f"{path}: a vertex holds a word that is no number ({error}); export it again."
        ) from error
    return Polygons(vertices, counts, np.arange(len(vertices)))
