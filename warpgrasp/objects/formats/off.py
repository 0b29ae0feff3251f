"""Object File Format: text and binary, with or without colours, normals and texture coordinates."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from warpgrasp.objects.error import ObjectError
from warpgrasp.objects.raw_mesh import Polygons

__all__ = ["read_off"]

# The keyword may be followed by the counts on the same line, even without a space (as in ModelNet).
_HEADER = re.compile(rb"\s*(?P<st>ST)?(?P<c>C)?(?P<n>N)?(?P<four>4)?(?P<dim>n)?OFF(?P<rest>.*)", re.DOTALL)


def read_off(path: Path) -> tuple[list[Polygons], list[str]]:
    """Read an OFF file.

    Raises:
        ObjectError: No OFF header, more than three dimensions, or fewer lines than the header announces.
    """
    data = path.read_bytes()
    header = _HEADER.match(data)
    if header is None:
        raise ObjectError(f"{path}: does not begin with OFF; export the mesh again.")
    if header["four"] or header["dim"]:
        raise ObjectError(f"{path}: holds points of more than three coordinates; export it as plain OFF.")
    binary = re.match(rb"[ \t]*BINARY[^\n]*\n", header["rest"])
    if binary:
        columns = 3 + 3 * bool(header["n"]) + 4 * bool(header["c"]) + 2 * bool(header["st"])
        return [_binary(path, header["rest"][binary.end() :], columns)], []
    return [_text(path, header["rest"])], []


def _text(path: Path, text: bytes) -> Polygons:
    rows = [line.split(b"#", 1)[0].split() for line in text.splitlines()]
    rows = [row for row in rows if row]
    try:
        vertex_count, face_count = (int(word) for word in rows[0][:2])
        body = rows[1:]
        if min(vertex_count, face_count) < 0 or len(body) < vertex_count + face_count:
            raise ObjectError(
                f"{path}: announces {vertex_count} vertices and {face_count} faces, but {len(body)} lines follow: it is "
                "truncated; export the mesh again."
            )
        vertices = np.array([row[:3] for row in body[:vertex_count]], np.float64).reshape(-1, 3)
        counts, indices = [], []
        for row in body[vertex_count : vertex_count + face_count]:
            count = int(row[0])
            if not 0 <= count < len(row):
                raise ObjectError(
                    f"{path}: a face announces {count} corners and names {len(row) - 1}; export the mesh again."
                )
            counts.append(count)
            indices += [int(word) for word in row[1 : 1 + count]]
    except (ValueError, IndexError) as error:
        if isinstance(error, ObjectError):
            raise
        raise ObjectError(f"{path}: is no OFF mesh ({error}); export the mesh again.") from error
    return Polygons(vertices, np.array(counts, np.int64), np.array(indices, np.int64))


def _binary(path: Path, data: bytes, columns: int) -> Polygons:
    """Big-endian: three counts, rows of float32, then per face its corners and as many floats of colour as it says."""
    if len(data) < 12:
        raise ObjectError(f"{path}: ends within its header: it is truncated; export the mesh again.")
    vertex_count, face_count, _ = (int(value) for value in np.frombuffer(data, ">i4", 3))
    words = np.frombuffer(data, ">i4", (len(data) - 12) // 4, 12)
    if min(vertex_count, face_count) < 0 or len(words) < columns * vertex_count + 2 * face_count:
        raise ObjectError(
            f"{path}: announces {vertex_count} vertices and {face_count} faces, but only {len(data)} bytes follow: it is "
            "truncated; export the mesh again."
        )
    rows = np.frombuffer(data, ">f4", columns * vertex_count, 12).reshape(vertex_count, columns)
    position = columns * vertex_count
    counts, indices = [], []
    for face in range(face_count):
        count = int(words[position]) if position < len(words) else -1
        end = position + 1 + count
        if count < 0 or end >= len(words) or words[end] < 0:
            raise ObjectError(
                f"{path}: announces {face_count} faces, but only {face} are there: it is truncated; export the mesh again."
            )
        counts.append(count)
        indices.append(words[position + 1 : end])
        position = end + 1 + int(words[end])
    corner = np.concatenate([np.empty(0, np.int64), *indices]).astype(np.int64)
    return Polygons(rows[:, :3].astype(np.float64), np.array(counts, np.int64), corner)
