"""Wavefront OBJ: polygons of any number of corners, absolute and relative indices; materials are of no use here."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from warpgrasp.objects.error import ObjectError
from warpgrasp.objects.raw_mesh import Polygons

__all__ = ["read_obj"]

_SURFACES = (b"surf", b"curv", b"curv2")


def read_obj(path: Path) -> tuple[list[Polygons], list[str]]:
    """Read the faces of an OBJ file.

    A relative index counts back from the last vertex *before its line*, in whatever order vertices and faces stand.

    Returns:
        The polygons, and sentences on what was left out.

    Raises:
        ObjectError: A vertex of fewer than three numbers, or a word that is no number; the line is named.
    """
    vertices: list[list[bytes]] = []
    counts: list[int] = []
    indices: list[int] = []
    surfaces = 0
    # A comment may be in any encoding: only numbers are decoded. A backslash continues a line.
    lines = path.read_bytes().replace(b"\\\r\n", b" ").replace(b"\\\n", b" ").splitlines()
    for number, line in enumerate(lines, 1):
        words = line.split(b"#", 1)[0].split()
        if not words:
            continue
        keyword = words[0]
        if keyword == b"v":
            if len(words) < 4:
                raise ObjectError(
                    f"{path}: line {number}: a vertex has {len(words) - 1} numbers (3 are needed); export the mesh again."
                )
            vertices.append(words[1:4])
        elif keyword in (b"f", b"fo"):
            corners = [word.split(b"/", 1)[0] for word in words[1:]]
            try:
                corner = [int(word) for word in corners]
            except ValueError as error:
                raise ObjectError(
                    f"{path}: line {number}: {_shown(line)} is no face; export the mesh again."
                ) from error
            if 0 in corner:
                raise ObjectError(
                    f"{path}: line {number}: a face has index 0, but OBJ counts from 1; export the mesh again."
                )
            counts.append(len(corner))
            indices += [index - 1 if index > 0 else len(vertices) + index for index in corner]
        elif keyword in _SURFACES:
            surfaces += 1
    notes = (
        [f"{surfaces} free-form curve(s) or surface(s) were left out: only polygons are read."]
        if surfaces
        else []
    )
    polygons = Polygons(
        _numbers(path, vertices), np.array(counts, np.int64), np.array(indices, np.int64), "the mesh"
    )
    return [polygons], notes


def _numbers(path: Path, words: list[list[bytes]]) -> np.ndarray:
    try:
        return np.array(words, np.float64).reshape(-1, 3)
    except ValueError:
        for triple in words:
            for word in triple:
                try:
                    float(word)
                except ValueError as error:
                    raise ObjectError(
                        f"{path}: a vertex holds {_shown(word)}, which is no number; export the mesh again."
                    ) from error
        raise


def _shown(text: bytes) -> str:
    """The first characters of what stands in the file, for a sentence."""
    return repr(text[:40].decode("ascii", "replace").strip())
