"""Figures of the report: unique grasps over the number drawn, the same bytes every time, the extra named when missing."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest

from warpgrasp.eval.protocol.verdict import FailureReason
from warpgrasp.eval.report.figures import import_matplotlib, reason_figure, unique_curve


def test_unique_curve_is_the_mean_over_all_subsets() -> None:
    position = np.array(
        [[0.001, 0, 0], [0.002, 0, 0], [0.05, 0, 0], [0.003, 0, 0], [0.09, 0, 0], [0.05, 0, 0]]
    )
    position += 0.001
    quaternion = np.tile([0.0, 0.0, 0.0, 1.0], (6, 1))
    joints = np.zeros((6, 1))
    success = np.array([True, True, True, True, True, False])
    bins = [0, 0, 1, 0, 2, 1]
    expected = [
        np.mean(
            [len({bins[i] for i in subset if success[i]}) for subset in itertools.combinations(range(6), n)]
        )
        for n in range(7)
    ]
    assert unique_curve(position, quaternion, joints, success) == pytest.approx(expected, abs=1e-12)
    assert unique_curve(position, quaternion, joints, np.zeros(6, bool)).tolist() == [0.0] * 7


def test_figures_are_the_same_bytes_again() -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'sim')")
    counts = {FailureReason.SLIP: [1, 2], FailureReason.HOLDS: [3, 0]}
    text = reason_figure(["1 N", "5 N"], counts)
    assert text == reason_figure(["1 N", "5 N"], counts)
    assert "slip" in text  # as text, not as outlines


def test_missing_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[sim\]'"):
        import_matplotlib()
