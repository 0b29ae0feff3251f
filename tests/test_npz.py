"""Npz files: NumPy reads them, the clock does not show in them, nothing is pickled."""

from __future__ import annotations

import io
import time
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from warpgrasp.base.npz import npz_bytes, read_npz


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


@pytest.mark.parametrize("compress", [False, True])
def test_what_was_written_is_read_as_numpy_reads_it(tmp_path: Path, compress: bool) -> None:
    path = tmp_path / "a.npz"
    arrays = {
        "none": np.zeros((0, 3)),
        "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "text": np.asarray("x"),
        "empty": np.asarray(""),
    }
    path.write_bytes(npz_bytes(arrays, compress=compress))
    columns = read_npz(path)
    with np.load(path) as file:
        for name in arrays:
            np.testing.assert_array_equal(columns[name], file[name])
            assert columns[name].dtype == file[name].dtype


def _header(shape: str, dtype: str = "<f4") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def test_headers_that_claim_more_than_the_file_take_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "huge.npz"
    for content, sentence in [
        (_header("(1000000000000,)"), "claims shape"),
        (_header("(-1, -4)") + bytes(16), "claims shape"),
        (_header("(" * 3000), "."),
        (_header("()", "|O") + b"cos\nsystem\n", "not numbers or texts"),
        (b"\x93NUMPY\x09\x00", "version"),
        (bytes(2 * 10**8), "claim to unpack to"),
    ]:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.npy", content)
        tracemalloc.start()
        with pytest.raises(ValueError, match=sentence):
            read_npz(path)
        assert tracemalloc.get_traced_memory()[1] < 2**24
        tracemalloc.stop()


def test_a_damaged_or_encrypted_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    whole = npz_bytes({"a": np.arange(500.0)}, compress=True)
    random = np.random.default_rng(0)
    for _ in range(200):
        data = bytearray(whole)
        for at in random.integers(len(data), size=3):
            data[at] = random.integers(256)
        path.write_bytes(data[: random.integers(1, len(data) + 1)])
        with suppress(ValueError):  # nothing else
            read_npz(path)
    flags = whole.index(b"PK\x01\x02") + 8
    path.write_bytes(whole[:flags] + b"\x01" + whole[flags + 1 :])
    with pytest.raises(ValueError, match="encrypted"):
        read_npz(path)
    with pytest.raises(FileNotFoundError):
        read_npz(tmp_path / "missing.npz")
