"""Agreement of two engines: kappa in closed form on hand-made verdicts, and ``--compare`` on a small file."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eval_runs import Run, robotiq_grasps

from warpgrasp.eval.engines import newton as newton_engine
from warpgrasp.eval.engines.mujoco import MujocoEngine
from warpgrasp.eval.protocol.verdict import FailureReason, Verdict
from warpgrasp.eval.results.agreement import Agreement, Comparison
from warpgrasp.eval.results.case_result import CaseResult

pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")


def table(both: int, first_only: int, second_only: int, neither: int) -> Agreement:
    counts = (both, first_only, second_only, neither)
    pairs = np.repeat([(True, True), (True, False), (False, True), (False, False)], counts, axis=0)
    return Agreement.of(pairs[:, 0], pairs[:, 1])


@pytest.mark.parametrize(
    ("counts", "kappa"),
    [
        ((20, 5, 10, 15), 0.4),  # the example of the literature: 0.7 observed, 0.5 expected
        ((45, 15, 25, 15), 6.0 / 46.0),  # 0.6 observed, 0.54 expected
        ((5, 0, 0, 5), 1.0),
        ((0, 5, 5, 0), -1.0),
        ((4, 4, 4, 4), 0.0),
    ],
)
def test_kappa_in_closed_form(counts: tuple[int, int, int, int], kappa: float) -> None:
    agreement = table(*counts)
    assert (agreement.both, agreement.first_only, agreement.second_only, agreement.neither) == counts
    assert agreement.kappa == pytest.approx(kappa, abs=1.0e-12)
    assert agreement.observed == pytest.approx((counts[0] + counts[3]) / sum(counts))
    mirrored = table(counts[0], counts[2], counts[1], counts[3])
    assert mirrored.kappa == pytest.approx(kappa, abs=1.0e-12)


def test_kappa_says_when_it_says_little() -> None:
    assert table(20, 5, 10, 15).meaningful
    assert not table(45, 2, 1, 2).meaningful
    assert not table(3, 1, 6, 10).meaningful  # 20 and 45 % hold
    assert math.isnan(table(9, 0, 0, 0).kappa)
    with pytest.raises(ValueError, match="one shape"):
        Agreement.of([True], [True, False])
    with pytest.raises(ValueError, match="with verdicts"):
        Agreement.of([], [])


def result_of(trials: list[list[int]], *, force: float = 5.0) -> CaseResult:
    """Verdicts of grasps by trials; a row of -1 is a grasp without a pose."""
    success = np.array(trials) == 1
    count = len(success)
    invalid = (np.array(trials) == -1).all(axis=1)
    verdict = dataclasses.replace(
        Verdict.invalid(count, success.shape[1]),
        trial_success=success,
        displacement=np.where(success, 0.01, 0.05),
        contact_count=np.arange(count, dtype=np.int32),
        reason=np.where(
            invalid, FailureReason.INVALID, np.where(success.all(axis=1), 0, FailureReason.SLIP)
        ).astype(np.int32),
    )
    return CaseResult.from_verdicts([force], [verdict], {}, {})


def test_comparison_counts_grasps_and_lists_where_engines_differ() -> None:
    comparison = Comparison("one", "two")
    first = result_of([[1, 1, 1], [1, 0, 0], [0, 0, 0], [-1, -1, -1]])
    second = result_of([[1, 1, 0], [1, 0, 1], [0, 0, 0], [-1, -1, -1]])
    comparison.add("mug", first, second)
    comparison.add("can", result_of([[0, 1, 0]]), result_of([[0, 0, 0]]))
    agreements = comparison.agreements(5.0)
    assert agreements["Succ1"] == Agreement(both=2, first_only=1, second_only=0, neither=1)
    assert agreements["Succ3"] == Agreement(both=0, first_only=1, second_only=0, neither=3)
    assert agreements["per trial"].count == 12
    differing = comparison.disagreements()
    assert [(entry.object, entry.grasp) for entry in differing] == [("mug", 0), ("can", 0)]
    assert differing[0].trial_success == ((True, True, True), (True, True, False))
    assert differing[0].reason == (FailureReason.HOLDS, FailureReason.SLIP)
    assert json.loads(json.dumps(comparison.content(), allow_nan=False))["engines"] == ["one", "two"]
    with pytest.raises(ValueError, match="same file at the same forces"):
        comparison.add("mug", first, result_of([[1, 1, 1]] * 4, force=2.0))


def test_command_line_compares_two_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Contrary(MujocoEngine):
        """Says the opposite of the first grasp."""

        name = "newton"

        def __init__(self, workers: int = 0, device: str = "auto") -> None:
            super().__init__(workers=workers)

        def evaluate(self, *arguments: Any, **options: Any) -> Verdict:
            verdict = super().evaluate(*arguments, **options)
            verdict.trial_success[0] = not verdict.success_any[0]
            return verdict

    monkeypatch.setattr(newton_engine, "NewtonEngine", Contrary)
    path, _ = robotiq_grasps(tmp_path / "run")
    run = Run(path, "--engine", "mujoco", "--compare", "newton", "--force", 1, "--workers", 1)
    assert run.code == 0, run.error
    folder = path.parent / "evaluation" / "graspqp"
    assert (folder.parent / "graspqp-newton" / "cube.npz").exists()
    assert (folder.parent / "graspqp-newton" / "results.csv").exists()
    content = json.loads((folder / "agreement.json").read_text())
    succ1 = next(entry for entry in content["agreement"] if entry["measure"] == "Succ1")
    assert succ1["first_only"] + succ1["second_only"] == 1
    assert [entry["grasp"] for entry in content["disagreements"]] == [0]
    assert "kappa" in run.out
    assert "says little" in run.out
    assert "trial [mm]" in run.out  # units are not taken for markup
    twice = Run(path, "--engine", "mujoco", "--compare", "mujoco")
    assert twice.code == 2
    assert "needs another engine" in twice.error
