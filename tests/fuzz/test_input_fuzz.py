"""A small number of the cases of ``input_fuzz.py``, the same every time."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("hypothesis", reason="hypothesis is not installed (extra 'dev')")

from input_fuzz import KINDS, run_cases


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_a_value_or_one_sentence(tmp_path: Path, kind: str) -> None:
    run_cases(kind, 30, tmp_path)
