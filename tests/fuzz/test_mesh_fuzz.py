"""A small number of the cases of ``mesh_fuzz.py``, by their recorded seeds."""

from __future__ import annotations

from pathlib import Path

import pytest
from mesh_fuzz import check_damaged, check_valid


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_file_is_an_object_or_one_sentence(tmp_path: Path, seed: int) -> None:
    check_damaged(seed, tmp_path)


@pytest.mark.parametrize("seed", range(40))
def test_a_valid_file_has_its_volume(tmp_path: Path, seed: int) -> None:
    check_valid(seed, tmp_path)
