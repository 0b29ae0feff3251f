"""Buffers and accessors of glTF 2.0: strided, normalised and sparse ones, in files beside it and in data URIs."""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

from warpgrasp.objects.error import ObjectError

__all__ = ["GltfFile"]

_TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_JSON, _BINARY = 0x4E4F534A, 0x004E4942  # chunk types


class GltfFile:
    """A glTF document with its buffers.

    Args:
        path: ``.gltf`` or ``.glb`` file, told apart by content.

    Raises:
        ObjectError: The file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = [path]
        """The file and the buffer files that were read."""
        data = path.read_bytes()
        self._binary = b""
        if data.startswith(b"glTF"):
            data = self._chunks(data)
        self.document: dict[str, Any] = json.loads(data.decode("utf-8-sig"))
        if not isinstance(self.document, dict) or "asset" not in self.document:
            raise ObjectError(f"{path}: is no glTF document; export the mesh again.")
        self._buffers: dict[int, bytes] = {}

    def entries(self, name: str) -> list[dict[str, Any]]:
        """A list of the document, empty where there is none."""
        return list(self.document.get(name, ()))

    def _chunks(self, data: bytes) -> bytes:
        """The JSON of a binary file; its buffer is kept."""
        version, length = struct.unpack_from("<II", data, 4)
        if version != 2:
            raise ObjectError(f"{self.path}: is glTF version {version}; export it as version 2.")
        if length > len(data):
            raise ObjectError(
                f"{self.path}: announces {length} bytes, but only {len(data)} are there: it is truncated; copy it again."
            )
        text, position = b"{}", 12
        while position + 8 <= length:
            size, kind = struct.unpack_from("<II", data, position)
            chunk = data[position + 8 : position + 8 + size]
            if kind == _JSON:
                text = chunk
            elif kind == _BINARY and not self._binary:
                self._binary = chunk
            position += 8 + size
        return text

    def _buffer(self, index: int) -> bytes:
        if index not in self._buffers:
            entry = self.entries("buffers")[index]
            uri = entry.get("uri")
            data = self._binary if uri is None else self._resolve(str(uri))
            if len(data) < int(entry["byteLength"]):
                raise ObjectError(
                    f"{self.path}: buffer {index} has {len(data)} bytes of {entry['byteLength']}: truncated; copy it again."
                )
            self._buffers[index] = data
        return self._buffers[index]

    def _resolve(self, uri: str) -> bytes:
        """Content of a buffer: of a data URI, or of a file, whose name may be percent-encoded or not."""
        if uri.startswith("data:"):
            head, _, body = uri.partition(",")
            try:
                return (
                    base64.b64decode(body, validate=True)
                    if head.endswith(";base64")
                    else unquote_to_bytes(body)
                )
            except binascii.Error as error:
                raise ObjectError(
                    f"{self.path}: a data URI is no base64 ({error}); export it again."
                ) from error
        names = (unquote_to_bytes(uri).decode("utf-8", "surrogateescape"), uri)
        for name in names:
            file = self.path.parent / name
            if file.is_file():
                self.files.append(file)
                return file.read_bytes()
        raise ObjectError(f"{self.path}: its buffer {names[0]} is missing; put it beside the file.")

    def accessor(self, index: int) -> NDArray[Any]:
        """Values of an accessor, shape [count, width], in its own type; normalised integers as floats in [-1, 1]."""
        entry = self.entries("accessors")[index]
        kind = np.dtype(_TYPES[entry["componentType"]])
        width, count = _WIDTHS[entry["type"]], int(entry["count"])
        if "bufferView" in entry:
            values = self._view(entry["bufferView"], int(entry.get("byteOffset", 0)), kind, width, count)
        elif "sparse" in entry:  # without a buffer the values that are not listed are zero
            if count > 50_000_000:
                raise ObjectError(
                    f"{self.path}: accessor {index} counts {count} values; export the mesh again."
                )
            values = np.zeros((count, width), kind)
        else:
            raise ObjectError(f"{self.path}: accessor {index} has no data; export the mesh again.")
        if "sparse" in entry:
            values = self._sparse(entry["sparse"], values)
        if entry.get("normalized") and kind.kind in "iu":
            values = np.maximum(values / float(np.iinfo(kind).max), -1.0)
        return values

    def _sparse(self, entry: dict[str, Any], values: NDArray[Any]) -> NDArray[Any]:
        """Replace the values that are listed."""
        count, where, what = int(entry["count"]), entry["indices"], entry["values"]
        kind = np.dtype(_TYPES[where["componentType"]])
        rows = self._view(where["bufferView"], int(where.get("byteOffset", 0)), kind, 1, count)[:, 0]
        if len(rows) and int(rows.max()) >= len(values):
            raise ObjectError(
                f"{self.path}: a sparse accessor names value {int(rows.max())} of {len(values)}."
            )
        values = values.copy()
        width = values.shape[1]
        values[rows] = self._view(
            what["bufferView"], int(what.get("byteOffset", 0)), values.dtype, width, count
        )
        return values

    def _view(self, view: int, offset: int, kind: np.dtype[Any], width: int, count: int) -> NDArray[Any]:
        entry = self.entries("bufferViews")[view]
        data = self._buffer(int(entry["buffer"]))
        size = kind.itemsize * width
        stride = int(entry.get("byteStride", 0)) or size
        start = int(entry.get("byteOffset", 0)) + offset
        end = start + stride * (count - 1) + size if count else start
        if min(start, offset, count) < 0 or stride < size or end > len(data):
            raise ObjectError(
                f"{self.path}: buffer view {view} is read up to byte {end}, but its buffer has {len(data)}: it is damaged; "
                "export it again."
            )
        values: NDArray[Any] = np.ndarray((count, width), kind, data, start, (stride, kind.itemsize))
        return values


def quaternion_matrix_xyzw(quaternion: Sequence[float]) -> NDArray[np.float64]:
    """Rotation matrix of a quaternion, real part last, of any length but zero."""
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_quat(np.asarray(quaternion, np.float64)).as_matrix())
