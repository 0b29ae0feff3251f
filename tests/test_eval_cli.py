"""``python -m warpgrasp.evaluate`` end to end on small cases, and everything it must refuse."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from eval_factory import grasps_of, offset_box
from rich.console import Console

from warpgrasp.dataset import GraspSet
from warpgrasp.eval import convex_pieces as pieces_module
from warpgrasp.eval import mujoco_engine, trial
from warpgrasp.eval.convex_pieces import ConvexPieceConfig, convex_pieces
from warpgrasp.eval.report import EvaluationReport
from warpgrasp.eval.results import CaseResult
from warpgrasp.evaluate import main
from warpgrasp.hands import load_hand
from warpgrasp.objects import load_object
from warpgrasp.status import GraspStatus

pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")


class Run:
    """One call of the command line with what it printed."""

    def __init__(self, *arguments: Any) -> None:
        consoles = [Console(width=200, record=True, file=io.StringIO(), highlight=False) for _ in "oe"]
        self.code = main([str(item) for item in arguments], report=EvaluationReport(*consoles))
        self.out, self.error = (console.export_text() for console in consoles)


def robotiq_grasps(
    folder: Path, *, name: str = "cube", count: int = 4, **changes: Any
) -> tuple[Path, GraspSet]:
    """A two-finger gripper around a small box: the first grasps hold, the last misses it by far."""
    hand = load_hand("robotiq_2f140")
    folder.mkdir(parents=True, exist_ok=True)
    model = offset_box(folder, (0.03, 0.02, 0.02))
    opening = np.tile(hand.dof_opening, (count, 1))
    position, _ = hand.forward_kinematics(np.zeros(3), [0.0, 0.0, 0.0, 1.0], opening[0])
    left = hand.link_names.index("left_inner_finger")
    right = hand.link_names.index("right_inner_finger")
    root = np.tile(-0.5 * (position[left] + position[right]), (count, 1))
    root[-1] += 1.0
    grasps = grasps_of(
        hand,
        model,
        root_position=root,
        root_quaternion=np.tile([0.0, 0.0, 0.0, 1.0], (count, 1)),
        joint_position=opening,
        squeeze_joint_position=opening + 0.3,
        **changes,
    )
    path = folder / f"{name}.npz"
    grasps.save(path)
    return path, grasps


def change_metadata(file: Path, entry: str, values: dict[str, Any]) -> None:
    grasps = GraspSet.load(file)
    metadata = {**grasps.metadata, entry: {**grasps.metadata[entry], **values}}
    dataclasses.replace(grasps, metadata=metadata).save(file)


def test_folder_is_evaluated_with_columns_csv_and_json(tmp_path: Path) -> None:
    path, grasps = robotiq_grasps(tmp_path / "run")
    before = path.read_bytes()
    run = Run(path.parent, "--force", 1, 5, "--workers", 1, "--all-metrics")
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
    assert summary["rows"][0]["object"] == "cube"
    assert summary["rows"][0]["grasps"] == len(grasps)


def test_objects_of_one_name_in_two_folders_stay_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = robotiq_grasps(tmp_path / "a", count=4)
    second, _ = robotiq_grasps(tmp_path / "b", count=2)

    class OtherEngine(mujoco_engine.MujocoEngine):
        name = "other"

    monkeypatch.setattr("warpgrasp.evaluate.load_engine", lambda name, *, workers: (
        OtherEngine(workers=workers) if name == "newton" else mujoco_engine.MujocoEngine(workers=workers)
    ))  # fmt: skip
    run = Run(first.parent, second.parent, "--workers", 1, "--engine", "mujoco", "--compare", "newton")
    assert run.code == 0, run.error
    for path, count in ((first, 4), (second, 2)):
        folder = path.parent / "evaluation" / "graspqp"
        with open(folder / "results.csv", newline="") as file:
            assert [int(row["grasps"]) for row in csv.DictReader(file)] == [count]
        assert [row["grasps"] for row in json.loads((folder / "results.json").read_text())["rows"]] == [count]
        agreement = json.loads((folder / "agreement.json").read_text())
        judged = next(entry for entry in agreement["agreement"] if entry["measure"] == "Succ1")
        assert sum(judged[name] for name in ("both", "first_only", "second_only", "neither")) == count


def test_finished_results_are_kept_and_changed_grasps_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = robotiq_grasps(tmp_path / "run")
    calls: list[int] = []
    original = mujoco_engine.MujocoEngine.evaluate

    def counted(self: Any, *args: Any, **options: Any) -> Any:
        calls.append(1)
        return original(self, *args, **options)

    monkeypatch.setattr(mujoco_engine.MujocoEngine, "evaluate", counted)
    assert Run(path, "--workers", 1).code == 0
    assert Run(path, "--workers", 2).code == 0
    assert len(calls) == 1  # the number of workers decides nothing
    assert Run(path, "--squeeze-effort", 0.5).code == 0
    assert len(calls) == 2
    result = path.parent / "evaluation" / "graspqp" / "cube.npz"
    result.write_bytes(result.read_bytes()[:100])
    assert Run(path, "--squeeze-effort", 0.5).code == 0
    assert len(calls) == 3
    robotiq_grasps(tmp_path / "run", count=3)
    assert Run(path, "--squeeze-effort", 0.5).code == 0
    assert len(calls) == 4
    assert Run(path, "--squeeze-effort", 0.5, "--no-resume").code == 0
    assert len(calls) == 5


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


def test_filter_writes_the_grasps_that_hold_and_are_unique(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, grasps = robotiq_grasps(tmp_path / "run", count=5)
    original = mujoco_engine.MujocoEngine.evaluate

    def judged(self: Any, *args: Any, **options: Any) -> Any:
        verdict = original(self, *args, **options)
        success = verdict.trial_success.copy()
        success[:] = np.array([True, True, False, True, True])[:, None]
        return dataclasses.replace(verdict, trial_success=success)

    monkeypatch.setattr(mujoco_engine.MujocoEngine, "evaluate", judged)
    assert Run(path, "--filter", "--workers", 1).code == 0
    kept = GraspSet.load(path.parent / "evaluation" / "graspqp" / "filtered" / "cube.npz")
    # 0, 1 and 3 are the same grasp, 4 lies elsewhere; the lowest energy comes first
    np.testing.assert_array_equal(kept.root_position, grasps.root_position[[0, 4]])


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
        (("{empty}", "--squeeze-effort", "-1"), "must be at least 0"),
        (("{empty}", "--force", "nan"), "must be finite"),
        (("{empty}", "--workers", "-1"), "workers must be at least 0"),
    ],
)
def test_wrong_usage_exits_with_2(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    run = Run(*(item.format(empty=tmp_path) for item in arguments))
    assert run.code == 2
    assert sentence in run.error


def test_convex_object_is_one_piece_and_needs_no_decomposition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "coacd", None)
    pieces = convex_pieces(offset_box(tmp_path, (0.01, 0.02, 0.03)), folder=tmp_path)
    assert len(pieces) == 1
    assert len(pieces[0].vertices) == 8


def angle_iron(folder: Path) -> Any:
    bars = [trimesh.creation.box([0.08, 0.02, 0.02]), trimesh.creation.box([0.02, 0.02, 0.06])]
    bars[1].apply_translation([0.03, 0.0, 0.04])
    trimesh.util.concatenate(bars).export(folder / "iron.stl")
    outline = np.array([[-4, -1], [4, -1], [4, 7], [2, 7], [2, 1], [-4, 1]]) * 0.01
    faces = [[0, 1, 4], [0, 4, 5], [1, 2, 3], [1, 3, 4]]
    count = len(outline)
    vertices = np.array([[x, y, z] for y in (-0.01, 0.01) for x, z in outline])
    triangles = [*faces, *([[c + count, b + count, a + count] for a, b, c in faces])]
    for i in range(count):
        j = (i + 1) % count
        triangles += [[i, i + count, j], [j, i + count, j + count]]
    solid = trimesh.Trimesh(vertices, triangles, process=False)
    trimesh.repair.fix_normals(solid)
    solid.export(folder / "iron.stl")
    return load_object(folder / "iron.stl")


def test_missing_coacd_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "coacd", None)
    with pytest.raises(ImportError, match=r"warpgrasp\[sim\]"):
        convex_pieces(angle_iron(tmp_path), folder=tmp_path / "cache")


def test_decomposition_covers_the_object_and_is_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("coacd", reason="CoACD is not installed (extra 'sim')")
    model, cache = angle_iron(tmp_path), tmp_path / "cache"
    pieces = convex_pieces(model, folder=cache)
    volume = sum(trimesh.Trimesh(piece.vertices, piece.faces).volume for piece in pieces)
    assert len(pieces) >= 2
    assert volume == pytest.approx(model.volume, rel=0.05)
    (file,) = cache.glob("*.npz")
    with monkeypatch.context() as patch:
        patch.setattr(pieces_module, "_decompose", lambda *_: pytest.fail("decomposed again"))
        again = convex_pieces(model, folder=cache)
    for first, second in zip(pieces, again, strict=True):
        np.testing.assert_array_equal(first.vertices, second.vertices)
    file.write_bytes(b"damaged")
    assert len(convex_pieces(model, folder=cache)) == len(pieces)
    convex_pieces(model, ConvexPieceConfig(threshold=0.1), folder=cache)
    assert len(list(cache.glob("*.npz"))) == 2  # another accuracy is another entry


def test_importing_the_evaluation_imports_no_physics() -> None:
    code = (
        "import sys, warpgrasp.eval.protocols, warpgrasp.eval.scene, warpgrasp.eval.engines, warpgrasp.eval.metrics;"
        "assert not {'mujoco', 'coacd', 'warp', 'newton'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
