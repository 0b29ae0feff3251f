"""What files of the package have in common: one JSON convention, one hash of files, one choice of the device."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import warp as wp

from warpgrasp.base.file_hash import file_hash
from warpgrasp.base.json_text import json_text, to_json
from warpgrasp.base.warp_device import choose_device
from warpgrasp.eval.protocol.squeeze_rules import SqueezeRule
from warpgrasp.kernels.qp.dual_newton import QpSolver


class Color(enum.Enum):
    DARK_RED = "dark-red"


@dataclasses.dataclass(frozen=True)
class Inner:
    size: tuple[float, ...] = (1.0, math.inf)
    path: Path = Path("a/b")


@dataclasses.dataclass(frozen=True)
class Outer:
    inner: Inner = dataclasses.field(default_factory=Inner)
    color: Color = Color.DARK_RED


class Plain:
    """Hyper-parameters that are no dataclass."""

    def __init__(self) -> None:
        self.weight = np.float32(0.5)
        self._secret = object()


def test_classes_words_and_lists() -> None:
    assert to_json(Outer()) == {
        "type": "Outer",
        "inner": {"type": "Inner", "size": [1.0, None], "path": "a/b"},
        "color": "dark-red",
    }
    assert to_json(Plain()) == {"type": "Plain", "weight": 0.5}
    assert to_json([QpSolver.DUAL_NEWTON, SqueezeRule.TORQUE, True, None, np.int64(3)]) == [
        "DUAL_NEWTON",
        "torque",
        True,
        None,
        3,
    ]


def test_text_is_json_whatever_the_numbers() -> None:
    text = json_text({"energy": float("nan"), 1: (2.0, float("inf"))})
    assert json.loads(text) == {"energy": None, "1": [2.0, None]}
    assert text.endswith("}\n")


def test_hash_of_a_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    (tmp_path / "file").write_bytes(content)
    assert file_hash(tmp_path / "file") == hashlib.sha256(content).hexdigest()
    with pytest.raises(OSError, match="missing"):
        file_hash(tmp_path / "missing")


def test_device_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_device("cpu") == wp.get_device("cpu")
    monkeypatch.setattr(wp, "is_cuda_available", lambda: False)
    assert choose_device("auto") == wp.get_device("cpu")
    with pytest.raises(ValueError, match=r"device 'tpu:3' is not available here; available: auto, cpu"):
        choose_device("tpu:3")
