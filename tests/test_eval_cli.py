"""``python -m warpgrasp.evaluate`` end to end on small cases, and everything it must refuse."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eval_runs import Run, change_metadata, count_engines, robotiq_grasps

from warpgrasp.base.status import GraspStatus
from warpgrasp.eval.engines import mujoco as mujoco_engine
from warpgrasp.eval.protocol import trial
from warpgrasp.eval.results.case_result import CaseResult

pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")


def test_folder_is_evaluated_with_columns_csv_and_json(tmp_path: Path) -> None:
    path, grasps = robotiq_grasps(tmp_path / "run")
    before = path.read_bytes()
    run = Run(path.parent, "--force", 1, 5, "--workers", 1, "--all-metrics", "--engine", "mujoco")
    assert run.code == 0, run.error
    assert path.read_bytes() == before
    assert "object 0.2 kg, friction 1, holds within 3 cm" in run.out
    folder = path.parent / "evaluation" / "graspqp"
    result = CaseResult.load(folder / "cube.npz")
    assert result.force.tolist() == [1.0, 5.0]
    assert result.columns["trial_success"].shape == (len(grasps), 2, 3)
    assert result.verdict(0).reason[-1] == 6  # the last one misses
    for name in (
        "penetration_depth", "self_penetration_depth", "intersection_volume", "epsilon_quality", "simulation_displacement"
    ):  # fmt: skip
        assert np.isfinite(result.columns[name]).all()
    with open(folder / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["force"]) for row in rows] == [1.0, 5.0]
    assert "graspqp: 5 N" in rows[1]["protocol"]
    assert 0.0 <= float(rows[0]["mean_simulation_displacement"]) < 0.1
    assert 0.0 <= float(rows[0]["succ3"]) <= float(rows[0]["succ1"]) <= 1.0
    summary = json.loads((folder / "results.json").read_text())
    row = summary["rows"][0]
    assert (row["object"], row["file"]) == (grasps.metadata["object"]["name"], str(path))
    assert (row["engine"], row["squeeze"], row["grasps"]) == ("mujoco", "torque", len(grasps))
    assert "pushes of 0.5 s, drive stiffness of the hand's asset" in rows[0]["protocol"]


def test_interrupted_run_keeps_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        robotiq_grasps(tmp_path / "run", name=name)
    original = mujoco_engine.MujocoEngine.evaluate
    calls: list[int] = []

    def interrupted(self: Any, *args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(self, *args, **options)

    monkeypatch.setattr(mujoco_engine.MujocoEngine, "evaluate", interrupted)
    run = Run(tmp_path / "run", "--workers", 1)
    assert run.code == 130
    assert "1 finished files are kept" in run.error
    assert Run(tmp_path / "run", "--workers", 1).code == 0
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("entry", "values", "sentence"),
    [
        ("hand", {"name": "nosuchhand", "path": "/nowhere/hand.usda"}, "hand 'nosuchhand' cannot be loaded"),
        ("hand", {"name": "allegro"}, "are not those of hand 'allegro'"),
        ("hand", {"asset_hash": "0123456789"}, "hand 'robotiq_2f140' has changed"),
        ("object", {"path": "/nowhere/box.stl"}, "box.stl is missing"),
        ("object", {"mesh_hash": "0123456789"}, "has changed since the grasps were made"),
    ],
)
def test_grasps_that_do_not_fit_are_named_counted_and_skipped(
    tmp_path: Path, entry: str, values: dict[str, Any], sentence: str
) -> None:
    good, _ = robotiq_grasps(tmp_path / "run", name="good")
    bad, _ = robotiq_grasps(tmp_path / "run", name="bad")
    change_metadata(bad, entry, values)
    run = Run(good.parent, "--workers", 1)
    assert run.code == 1
    assert sentence in run.error
    assert str(bad) in run.error
    assert "1 of 2 files were skipped" in run.error
    assert run.error.count(str(bad)) == 1
    assert max(len(line) for line in run.error.splitlines()) < 600
    folder = good.parent / "evaluation" / "graspqp"
    assert (folder / "good.npz").exists()
    assert not (folder / "bad.npz").exists()
    assert list(json.loads((folder / "results.json").read_text())["skipped"]) == [str(bad)]


def test_other_hand_on_the_command_line_is_refused(tmp_path: Path) -> None:
    path, _ = robotiq_grasps(tmp_path / "run")
    run = Run(path, "--hand", "allegro")
    assert run.code == 1
    assert "are of hand 'robotiq_2f140', not of 'allegro'" in run.error


def test_damaged_file_is_skipped(tmp_path: Path) -> None:
    path, _ = robotiq_grasps(tmp_path / "run")
    path.write_bytes(path.read_bytes()[:200])
    run = Run(path)
    assert run.code == 1
    assert "not a readable grasp file" in run.error


def test_what_is_no_grasp_file_is_told_from_what_is_damaged(tmp_path: Path) -> None:
    path, _ = robotiq_grasps(tmp_path / "run")
    stage, text, empty = (path.parent / name for name in ("cube.usda", "text.npz", "empty.npz"))
    stage.write_text("#usda 1.0")
    text.write_text("no grasps")
    empty.write_bytes(b"")
    run = Run(stage, text, empty, path, "--engine", "mujoco", "--workers", 1)
    assert run.code == 1
    assert f"{stage} is not a grasp file; name cube.npz beside it" in run.error
    assert f"{text} is not a grasp file; name an npz file" in run.error
    assert f"{empty} is empty" in run.error
    assert "pickle" not in run.error
    assert "3 of 4 files were skipped" in run.error


def test_nan_poses_are_counted_and_tell(tmp_path: Path) -> None:
    path, grasps = robotiq_grasps(tmp_path / "run")
    position, status = grasps.root_position.copy(), grasps.status.copy()
    position[1] = np.nan
    status[1] = GraspStatus.NONFINITE_ENERGY
    dataclasses.replace(grasps, root_position=position, status=status).save(path)
    run = Run(path, "--workers", 1)
    assert run.code == 1
    assert "1 invalid" in run.error
    result = CaseResult.load(path.parent / "evaluation" / "graspqp" / "cube.npz")
    assert result.columns["reason"][:, 0].tolist().count(1) == 1
    assert np.isnan(result.columns["penetration_depth"][1])


def test_blow_up_is_counted_and_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = robotiq_grasps(tmp_path / "run")
    monkeypatch.setattr(trial, "FASTEST", 0.01)
    run = Run(path, "--workers", 1)
    assert run.code == 1
    assert "blow up" in run.error


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "no grasps named"),
        (("/nowhere",), "/nowhere does not exist"),
        (("{empty}",), "holds no grasp files"),
        (("{empty}", "--protocol", "dexgraspbench", "--force", "5"), "accelerates the object"),
        (("{empty}", "--squeeze-effort", "-1"), "squeeze_effort must be finite and not negative (got -1)"),
        (("{empty}", "--squeeze", "position", "--squeeze-effort", "1"), "belongs to --squeeze torque"),
        (("{empty}", "--force", "nan"), "must be finite"),
        (("{empty}", "--workers", "-1"), "workers must be at least 0"),
    ],
)
def test_wrong_usage_exits_with_2(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    run = Run(*(item.format(empty=tmp_path) for item in arguments))
    assert run.code == 2
    assert sentence in run.error


def test_importing_the_evaluation_imports_no_physics() -> None:
    code = (
        "import sys, warpgrasp.eval.protocol.protocols, warpgrasp.eval.engines.mujoco_scene;"
        "import warpgrasp.eval.engines.registry, warpgrasp.eval.metrics;"
        "assert not {'mujoco', 'coacd', 'warp', 'newton'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_results_that_are_deleted_while_the_command_runs_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        robotiq_grasps(tmp_path, name=name)
    engine = count_engines(monkeypatch)["mujoco"]
    judge = engine.evaluate

    def evaluate(scene: Any, targets: Any, **options: Any) -> Any:
        shutil.rmtree(tmp_path / "evaluation", ignore_errors=True)
        return judge(scene, targets, **options)

    monkeypatch.setattr(engine, "evaluate", evaluate)
    run = Run(tmp_path, "--engine", "mujoco")
    assert run.code == 1
    assert "was deleted or moved while the command ran, 1 results are gone" in run.error.replace("\n", " ")
    monkeypatch.setattr(engine, "evaluate", judge)
    assert Run(tmp_path, "--engine", "mujoco").code == 0
