"""Npz files: NumPy reads them, the clock does not show in them, nothing is pickled."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest

from warpgrasp.base.npz import npz_bytes


@pytest.mark.parametrize("compress", [False, True])
def test_numpy_reads_the_columns_and_no_others(compress: bool) -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3), "name": np.array(["x", "yz"]), "one": np.asarray("text")}
    with np.load(io.BytesIO(npz_bytes(arrays, compress=compress)), allow_pickle=False) as file:
        assert file.files == list(arrays)
        for name, value in arrays.items():
            np.testing.assert_array_equal(file[name], value)
            assert file[name].dtype == value.dtype


def test_the_time_of_writing_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = {"a": np.zeros(3)}
    first = npz_bytes(arrays)
    monkeypatch.setattr(time, "time", lambda: 2.0e9)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(2.0e9))
    assert npz_bytes(arrays) == first


def test_objects_are_refused() -> None:
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        npz_bytes({"a": np.array([{}], dtype=object)})
