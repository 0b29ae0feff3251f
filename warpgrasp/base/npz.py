"""Arrays to the bytes of an npz file and back: the same arrays give the same bytes, and nothing is ever pickled.

``numpy.savez`` of NumPy 1.26 takes its argument ``allow_pickle`` for a column, and without it would pickle an array of
objects in silence; the file format itself is a zip archive of npy files [NumPy, ``numpy.lib.format``]. ``numpy.load`` takes the
memory that a header claims, and raises whatever zip, zlib and the parser of headers raise; :func:`read_npz` does neither.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["npz_bytes", "read_npz"]

_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest of the zip format: the clock must not show in the bytes
_LARGEST_RATIO = 100
"""Bytes of columns per byte of file; columns of one value compress further, but then they are small."""
_ALWAYS = 64 * 2**20
"""Bytes of columns that any file may hold."""
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def npz_bytes(arrays: Mapping[str, npt.ArrayLike], *, compress: bool = False) -> bytes:
    """Content of an npz file that ``numpy.load(..., allow_pickle=False)`` reads.

    Args:
        arrays: Columns by name, in the order of the file.
        compress: Deflate the columns.

    Raises:
        ValueError: A column holds objects, which could only be pickled.
    """
    buffer = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, value in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=_TIME)
            entry.compress_type = method
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(value), allow_pickle=False)
    return buffer.getvalue()


def read_npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Columns of an npz file by name. Memory stays in proportion to the size of the file, whatever its headers claim.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be read, is damaged, encrypted or no npz file, or claims more than it holds; the sentence
            says which, without the name of the file.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            claimed = sum(entry.file_size for entry in entries)
            if claimed > _ALWAYS + _LARGEST_RATIO * len(data):
                raise ValueError(f"its {len(data)} bytes claim to unpack to {claimed:.3g}")
            return {entry.filename.removesuffix(".npy"): _column(archive, entry) for entry in entries}
    except ValueError:
        raise
    except (
        Exception
    ) as error:  # zip, zlib and the parser of headers raise whatever they like on damaged bytes
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(reason.rstrip(".")) from error


def _column(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> npt.NDArray[Any]:
    if entry.flag_bits & 1:
        raise ValueError(f"column {entry.filename!r} is encrypted")
    content = io.BytesIO(archive.read(entry))
    version = np.lib.format.read_magic(content)
    if version not in _HEADERS:
        raise ValueError(f"column {entry.filename!r} has npy version {version}, which is not known")
    shape, fortran_order, dtype = _HEADERS[version](content)
    if dtype.hasobject or dtype.itemsize == 0:
        raise ValueError(f"column {entry.filename!r} holds {dtype}, not numbers or texts")
    body = bytearray(content.read())
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(body):
        raise ValueError(
            f"column {entry.filename!r} claims shape {shape} of {dtype}, its {len(body)} bytes are not that many"
        )
    return np.frombuffer(body, dtype=dtype).reshape(shape, order="F" if fortran_order else "C")
