"""What a verdict counts: the time before the first push, deep starts, and the settings a result was made with."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eval_factory import closing_pads, offset_box
from eval_runs import Run, count_engines, robotiq_grasps

from warpgrasp.eval.engines.screening import screen
from warpgrasp.eval.protocol import trial
from warpgrasp.eval.protocol.protocols import PROTOCOLS
from warpgrasp.eval.protocol.squeeze_rules import hand_targets
from warpgrasp.eval.protocol.verdict import FailureReason, StartContact, Verdict, too_deep
from warpgrasp.eval.results.case_result import CaseResult
from warpgrasp.objects.convex_pieces import convex_pieces

BENCH = dataclasses.replace(
    PROTOCOLS["dexgraspbench"], check_period=None
)  # looks at every step from the reset on
TRIALS = len(BENCH.trials)


def _recording(
    runs: int, *, way: float = 0.0, angle: float = 0.0, effort: float = 0.0, stable: bool = True
) -> trial.Recording:
    """Motion that goes ``way`` m away and ``angle`` rad round half way through, and comes back to where it was."""
    steps = 11
    bump = np.sin(np.pi * np.arange(steps) / (steps - 1))
    position = np.zeros((runs, steps, 3))
    position[:, :, 0] = way * bump
    quaternion = np.zeros((runs, steps, 4))
    quaternion[:, :, 2], quaternion[:, :, 3] = np.sin(0.5 * angle * bump), np.cos(0.5 * angle * bump)
    return trial.Recording(position, quaternion, np.full(runs, effort), np.full(runs, stable))


def _verdict(
    settle: trial.Recording,
    pushed: trial.Recording,
    *,
    depth: float = 0.0,
    own_depth: float = 0.0,
    contacts: int = 4,
) -> Verdict:
    count = np.full(1, contacts, dtype=np.int32)
    start = StartContact(np.full(1, depth), np.full(1, own_depth), count)
    return trial.trial_verdict(
        BENCH,
        np.zeros(3),
        settle=settle,
        pushed=pushed,
        start=start,
        settled=StartContact(np.zeros(1), np.zeros(1), count),
    )


def test_an_object_that_keeps_still_holds() -> None:
    verdict = _verdict(_recording(1), _recording(TRIALS))
    assert verdict.trial_success.all()
    assert verdict.reason[0] == FailureReason.HOLDS


@pytest.mark.parametrize("motion", [{"way": 0.06}, {"angle": 0.3}])
def test_an_object_that_leaves_its_limits_before_the_push_fails_all_trials(motion: dict[str, float]) -> None:
    """Also when it has come back: 5 cm and 15 degrees hold from the reset on."""
    verdict = _verdict(_recording(1, **motion), _recording(TRIALS))
    assert not verdict.trial_success.any()
    assert verdict.reason[0] == FailureReason.PUSHED_AWAY
    if "way" in motion:
        np.testing.assert_allclose(verdict.displacement, 0.06)
    else:
        np.testing.assert_allclose(verdict.rotation, 0.3, rtol=1e-6)


def test_instability_and_efforts_before_the_push_count() -> None:
    verdict = _verdict(_recording(1, stable=False), _recording(TRIALS))
    assert not verdict.trial_success.any()
    assert verdict.reason[0] == FailureReason.BLOW_UP
    assert _verdict(_recording(1, effort=0.9), _recording(TRIALS, effort=0.4)).effort_ratio[0] == 0.9


@pytest.mark.parametrize(
    ("depths", "reason"),
    [
        ({"depth": 0.0101}, FailureReason.PENETRATION),
        ({"own_depth": 0.0101}, FailureReason.SELF_COLLISION),
        ({"depth": 0.0099, "own_depth": 0.0099}, FailureReason.HOLDS),
    ],
)
def test_a_hand_that_starts_too_deep_in_the_object_or_in_itself_fails(
    depths: dict[str, float], reason: FailureReason
) -> None:
    verdict = _verdict(_recording(1), _recording(TRIALS), **depths)  # type: ignore[arg-type]
    assert verdict.reason[0] == reason
    assert bool(verdict.trial_success.all()) == (reason == FailureReason.HOLDS)


def test_without_a_limit_no_start_is_too_deep() -> None:
    start = StartContact(np.array([1.0]), np.array([1.0]), np.zeros(1, dtype=np.int32))
    assert not any(mask.any() for mask in too_deep(start, None))
    assert all(mask.all() for mask in too_deep(start, 0.01))


def test_a_hand_inside_itself_is_not_simulated(tmp_path: Path) -> None:
    """Two plates pushed 8 mm through each other where no object is, under a limit of 5 mm."""
    pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    from warpgrasp.eval.engines.mujoco_scene import build_scene

    box = offset_box(tmp_path, (0.005, 0.005, 0.005), center=(0.0, 0.0, 0.3))
    hand, grasps = closing_pads(box, 0.02)
    scene = build_scene(
        hand, box, convex_pieces(box), dataclasses.replace(BENCH, start_penetration_limit=0.005)
    )
    one = hand_targets(hand, grasps, stiffness=scene.drives.stiffness)
    targets = one.select(np.zeros(2, dtype=np.int64))
    targets.pregrasp_joints[1] = -0.004
    screening = screen(scene, targets)
    np.testing.assert_array_equal(screening.index, [0])
    assert screening.verdict.reason[1] == FailureReason.SELF_COLLISION
    assert screening.verdict.self_penetration[1] == pytest.approx(0.008, abs=1e-4)
    assert screening.verdict.penetration[1] == 0.0


@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_the_scene_has_the_no_slip_passes_of_its_protocol(tmp_path: Path, name: str) -> None:
    pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    from warpgrasp.eval.engines.mujoco_scene import build_scene

    box = offset_box(tmp_path, (0.02, 0.02, 0.02))
    hand, _ = closing_pads(box, 0.02)
    for count in (PROTOCOLS[name].noslip_iterations, 7):
        protocol = dataclasses.replace(PROTOCOLS[name], noslip_iterations=count)
        assert build_scene(hand, box, convex_pieces(box), protocol).model.opt.noslip_iterations == count
    assert PROTOCOLS["dexgraspbench"].noslip_iterations == 2, "without them a held object creeps"


def _results(path: Path) -> Path:
    return path.parent / "evaluation" / "graspqp"


@pytest.mark.parametrize("entry", ["key", "settings_hash"])
def test_results_of_other_settings_are_not_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    """A result whose hash says other settings: never joined with new forces (key), never in a table (settings_hash)."""
    path, _ = robotiq_grasps(tmp_path / "run")
    other, _ = robotiq_grasps(tmp_path / "run", name="other")
    engines = count_engines(monkeypatch)
    assert Run(path, other, "--force", 5).code == 0
    file = _results(path) / path.name
    result = CaseResult.load(file)
    columns: dict[str, Any] = {
        **result.columns,
        "trial_success": np.ones_like(result.columns["trial_success"]),
    }
    dataclasses.replace(result, columns=columns, metadata={**result.metadata, entry: "0" * 64}).save(file)
    engines["mujoco"].forces.clear()
    run = Run(path if entry == "key" else other, "--force", 5)
    assert run.code == 0, run.error
    rows = json.loads((_results(path) / "results.json").read_text())
    text = json.dumps(rows)
    if entry == "key":
        assert engines["mujoco"].forces == [5.0], "simulated again"
        assert not CaseResult.load(file).columns["trial_success"].all()
    else:
        assert engines["mujoco"].forces == []
        assert "other.npz" in text
        assert path.name not in text
        assert "have other settings or are of an older version" in run.out + run.error
