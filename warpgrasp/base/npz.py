"""Arrays to the bytes of an npz file: the same arrays give the same bytes, and nothing is ever pickled.

``numpy.savez`` of NumPy 1.26 takes its argument ``allow_pickle`` for a column, and without it would pickle an array of
objects in silence; the file format itself is a zip archive of npy files [NumPy, ``numpy.lib.format``].
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

__all__ = ["npz_bytes"]

_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest of the zip format: the clock must not show in the bytes


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
