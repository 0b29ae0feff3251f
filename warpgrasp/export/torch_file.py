"""Files that ``torch.load`` reads, written without torch.

The format is that of ``torch.save`` since torch 1.6: an uncompressed zip archive with one pickle, in which each tensor is
a call of ``torch._utils._rebuild_tensor_v2`` on a storage named by a persistent id, and one raw little-endian file per
storage. Only strings, integers, dictionaries and arrays are needed here, which ``torch.load(weights_only=True)`` takes.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.base.atomic_file import write_bytes

__all__ = ["write_torch"]

_STORAGE = {"<f4": "FloatStorage", "<f8": "DoubleStorage", "<i8": "LongStorage", "<i4": "IntStorage"}
_ROOT = "archive"


def write_torch(path: Path, content: Mapping[str, Any]) -> None:
    """Write nested dictionaries of strings, integers and arrays; whole or not at all.

    Args:
        path: The ``.pt`` file.
        content: Arrays of float32, float64, int32 or int64 become tensors on the CPU.

    Raises:
        TypeError: A value of another kind.
        OutputError: The file cannot be written.
    """
    pickler = _Pickler()
    pickled = b"\x80\x02" + pickler.value(content) + b"."
    files = {"data.pkl": pickled, "byteorder": b"little", "version": b"3\n"}
    files.update({f"data/{key}": data for key, data in enumerate(pickler.storages)})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            # A fixed date: the same grasps give the same bytes.
            archive.writestr(zipfile.ZipInfo(f"{_ROOT}/{name}"), data)
    write_bytes(path, buffer.getvalue())


class _Pickler:
    """Pickle opcodes (protocol 2) of the few types needed; collects the tensors' data."""

    def __init__(self) -> None:
        self.storages: list[bytes] = []

    def value(self, value: Any) -> bytes:
        """Opcodes that push one value."""
        if isinstance(value, Mapping):
            items = b"".join(self.value(key) + self.value(entry) for key, entry in value.items())
            return b"}(" + items + b"u"
        if isinstance(value, str):
            text = value.encode()
            return b"X" + struct.pack("<I", len(text)) + text
        if isinstance(value, bool):
            return b"\x88" if value else b"\x89"
        if isinstance(value, int):
            data = value.to_bytes(8, "little", signed=True)
            return b"\x8a" + bytes([len(data)]) + data
        if isinstance(value, tuple):
            return b"(" + b"".join(self.value(entry) for entry in value) + b"t"
        if isinstance(value, np.ndarray):
            return self._tensor(value)
        raise TypeError(f"cannot write {type(value).__name__} {value!r} into a torch file")

    def _tensor(self, array: NDArray[Any]) -> bytes:
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(array.shape)
        kind = array.dtype.newbyteorder("<").str
        if kind not in _STORAGE:
            raise TypeError(f"cannot write an array of {array.dtype} into a torch file")
        key = str(len(self.storages))
        self.storages.append(array.tobytes())
        storage = (
            b"(" + self.value("storage") + _name("torch", _STORAGE[kind]) + self.value(key)
            + self.value("cpu") + self.value(int(array.size)) + b"tQ"
        )  # fmt: skip
        shape: tuple[int, ...] = array.shape
        stride = tuple(math.prod(max(length, 1) for length in shape[i + 1 :]) for i in range(len(shape)))
        hooks = _name("collections", "OrderedDict") + b")R"
        arguments = storage + self.value(0) + self.value(shape) + self.value(stride)
        return _name("torch._utils", "_rebuild_tensor_v2") + b"(" + arguments + b"\x89" + hooks + b"tR"


def _name(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()
