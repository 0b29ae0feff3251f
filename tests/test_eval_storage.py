"""Results of an evaluation are never lost: forces join, settings stay apart, tables cover all of a folder and all runs."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eval_runs import Run, change_metadata, count_engines, robotiq_grasps

from warpgrasp.eval import evaluation
from warpgrasp.eval.protocol.verdict import FailureReason
from warpgrasp.eval.results.case_result import CaseResult
from warpgrasp.evaluate.diagnosis import diagnosis
from warpgrasp.grasps.case import GraspCase
from warpgrasp.grasps.grasp_set import GraspSet

pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")


def table(folder: Path) -> list[dict[str, str]]:
    with open(folder / "results.csv", newline="") as file:
        return list(csv.DictReader(file))


def forces(folder: Path, stem: str = "") -> list[float]:
    return [float(row["force"]) for row in table(folder) if Path(row["file"]).stem == (stem or "cube")]


def results(path: Path, settings: str = "graspqp") -> Path:
    return path.parent / "evaluation" / settings


def test_forces_of_earlier_runs_are_kept_and_only_new_ones_simulated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = robotiq_grasps(tmp_path / "run")
    robotiq_grasps(tmp_path / "run", name="other")
    engine = count_engines(monkeypatch)["mujoco"]
    assert Run(path.parent, "--force", 2, 1).code == 0
    before = CaseResult.load(results(path) / "cube.npz")
    engine.forces.clear()
    run = Run(path, "--force", 5, 5, 1)
    assert run.code == 0, run.error
    assert engine.forces == [5.0]
    after = CaseResult.load(results(path) / "cube.npz")
    assert after.force.tolist() == [1.0, 2.0, 5.0]
    for index in range(2):
        for name, value in vars(before.verdict(index)).items():
            np.testing.assert_array_equal(value, getattr(after.verdict(index), name))
    assert after.verdict(2).trial_success.sum(axis=1).tolist() == [0, 1, 3, 3]
    assert forces(results(path)) == [1.0, 2.0, 5.0]
    assert forces(results(path), "other") == [1.0, 2.0]
    assert "graspqp: 1, 5 N along x, y, z" in run.out
    assert "(2 files, 5 rows, 1, 2, 5 N)" in run.out


def test_resume_computes_nothing_again_and_no_resume_what_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = robotiq_grasps(tmp_path / "run")
    engine = count_engines(monkeypatch)["mujoco"]
    Run(path, "--force", 1, 5)
    Run(path, "--force", 5, 1, "--workers", 2)
    assert engine.forces == [1.0, 5.0]
    Run(path, "--force", 5, "--no-resume")
    assert engine.forces == [1.0, 5.0, 5.0]
    assert CaseResult.load(results(path) / "cube.npz").force.tolist() == [1.0, 5.0]


def test_damaged_results_and_changed_grasps_are_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = robotiq_grasps(tmp_path / "run")
    engine = count_engines(monkeypatch)["mujoco"]
    Run(path, "--force", 1, 5)
    result = results(path) / "cube.npz"
    result.write_bytes(result.read_bytes()[:100])
    assert Run(path, "--force", 5).code == 0
    assert CaseResult.load(result).force.tolist() == [5.0]
    robotiq_grasps(tmp_path / "run", count=3)
    run = Run(path, "--force", 1)
    assert engine.forces == [1.0, 5.0, 5.0, 1.0]
    assert [row["grasps"] for row in table(results(path))] == ["3"]
    assert "results at 5 N were of other grasps" in run.out


def test_metrics_are_added_to_forces_that_are_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = robotiq_grasps(tmp_path / "run")
    robotiq_grasps(tmp_path / "run", name="other")
    engine = count_engines(monkeypatch)["mujoco"]
    Run(path.parent)
    engine.forces.clear()
    run = Run(path, "--all-metrics")
    assert run.code == 0, run.error
    assert engine.forces == [0.0]  # only the rest without a push
    assert [row["mean_epsilon_quality"] != "" for row in table(results(path))] == [True, False]
    Run(path, "--force", 2)  # does not forget them
    assert "epsilon_quality" in CaseResult.load(results(path) / "cube.npz").metrics()


def test_second_engine_takes_over_metrics_that_need_no_simulation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = robotiq_grasps(tmp_path / "run")
    engines = count_engines(monkeypatch, newton=2.0)
    made_up, measured = evaluation.grasp_metrics, []

    def metrics(case: GraspCase, *arguments: Any, **options: Any) -> Any:
        measured.append(case.path.name)
        return made_up(case, *arguments, **options)

    monkeypatch.setattr(evaluation, "grasp_metrics", metrics)
    run = Run(path, "--compare", "newton", "--all-metrics")
    assert run.code == 0, run.error
    assert measured == ["cube.npz"]
    assert [engine.forces for engine in engines.values()] == [[5.0, 0.0]] * 2  # each drifts in its own way
    columns = [
        CaseResult.load(results(path).parent / name / "cube.npz").metrics()
        for name in ("graspqp", "graspqp-newton")
    ]
    assert columns[0].keys() == columns[1].keys()
    np.testing.assert_array_equal(columns[0]["contact_area"], columns[1]["contact_area"])


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("--engine", "newton"), "graspqp-newton"),
        (("--squeeze", "position"), "graspqp-squeeze-position"),
        (("--squeeze-effort", "0.5"), "graspqp-effort-0.5"),
        (("--protocol", "dexgraspbench"), "dexgraspbench"),
    ],
)
def test_other_settings_have_a_folder_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], name: str
) -> None:
    path, _ = robotiq_grasps(tmp_path / "run")
    count_engines(monkeypatch, newton=1.0)
    Run(path, "--force", 1, 5)
    before = {file.name: file.read_bytes() for file in results(path).iterdir()}
    run = Run(path, *arguments)
    assert run.code == 0, run.error
    assert {file.name: file.read_bytes() for file in results(path).iterdir()} == before
    assert len(table(results(path, name))) == 1
    # In a folder of the user's choice they are refused instead.
    assert Run(path, "--out", tmp_path / "out").code == 0
    run = Run(path, "--out", tmp_path / "out", *arguments)
    assert run.code == 2
    assert f"holds results of graspqp, not of {name}" in run.error


def test_results_of_another_file_are_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = robotiq_grasps(tmp_path / "a")
    second, _ = robotiq_grasps(tmp_path / "b", count=3)
    count_engines(monkeypatch)
    assert Run(first, "--out", tmp_path / "out").code == 0
    run = Run(second, "--out", tmp_path / "out")
    assert run.code == 2
    assert f"is the result of {first}, not of {second}" in run.error
    assert [row["file"] for row in table(tmp_path / "out")] == [str(first)]


def test_results_of_grasps_that_are_gone_are_left_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = robotiq_grasps(tmp_path / "run")
    other, _ = robotiq_grasps(tmp_path / "run", name="other")
    count_engines(monkeypatch)
    Run(path.parent)
    robotiq_grasps(tmp_path / "run", name="other", count=2)
    run = Run(path)
    assert [row["file"] for row in table(results(path))] == [str(path)]
    assert "left out: other.npz, which are about grasps that changed or are gone" in run.out
    assert (results(path) / other.name).exists()


def test_a_run_that_was_moved_keeps_its_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = robotiq_grasps(tmp_path / "run")
    engine = count_engines(monkeypatch)["mujoco"]
    Run(path, "--force", 1)
    moved = Path(shutil.move(path.parent, tmp_path / "moved")) / path.name
    stage = moved.parent / "box_0.stl"
    assert stage.exists()
    run = Run(moved, "--force", 1, 2)
    assert run.code == 0, run.error
    assert engine.forces == [1.0, 2.0]
    assert {row["file"] for row in table(results(moved))} == {str(moved)}


def test_several_runs_get_one_table_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [robotiq_grasps(tmp_path / "all" / name, count=count)[0] for name, count in (("a", 4), ("b", 2))]
    count_engines(monkeypatch, newton=2.0)
    run = Run(*(path.parent for path in paths), "--compare", "newton")
    assert run.code == 0, run.error
    common = tmp_path / "all" / "evaluation" / "graspqp"
    assert [(row["file"], row["grasps"]) for row in table(common)] == [
        (str(paths[0]), "4"),
        (str(paths[1]), "2"),
    ]
    assert str(common) in run.out
    for path, count in zip(paths, (4, 2), strict=True):
        assert [row["grasps"] for row in table(results(path))] == [str(count)]
        assert [row["grasps"] for row in table(results(path, "graspqp-newton"))] == [str(count)]
    for folder, count in ((common, 6), (results(paths[0]), 4), (results(paths[1]), 2)):
        agreement = json.loads((folder / "agreement.json").read_text())
        judged = next(entry for entry in agreement["agreement"] if entry["measure"] == "Succ1")
        assert sum(judged[name] for name in ("both", "first_only", "second_only", "neither")) == count
    third, _ = robotiq_grasps(tmp_path / "all" / "c", count=3)
    Run(paths[0], third)  # the table of all does not forget the one that is not named now
    assert [Path(row["file"]).parent.name for row in table(common)] == ["a", "b", "c"]


def test_out_mirrors_the_folders_of_several_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [robotiq_grasps(tmp_path / "all" / name)[0] for name in ("a", "b")]
    count_engines(monkeypatch)
    out = tmp_path / "out"
    run = Run(tmp_path / "all", "--out", out, "--force", 1)
    assert run.code == 0, run.error
    assert [row["file"] for row in table(out)] == [str(path) for path in paths]
    assert (out / "a" / "cube.npz").exists()
    assert (out / "b" / "results.csv").exists()
    assert not (tmp_path / "all" / "evaluation").exists()
    run = Run(paths[0], "--out", out, "--squeeze", "position")
    assert run.code == 2
    assert "holds results of graspqp, not of graspqp-squeeze-position" in run.error


def test_one_page_shows_all_runs_and_files_of_other_forces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'sim')")
    paths = [robotiq_grasps(tmp_path / "all" / name, count=2)[0] for name in ("a", "b")]
    count_engines(monkeypatch, newton=2.0)
    Run(paths[0], "--force", 1, 10)
    run = Run(tmp_path / "all", "--report", "--compare", "newton")
    assert run.code == 0, run.error
    page = tmp_path / "all" / "evaluation" / "graspqp" / "report.html"
    assert str(page) in run.out
    assert not (results(paths[0]) / "report.html").exists()
    text = page.read_text(encoding="utf-8")
    data: Any = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert data["forces"] == [1.0, 5.0, 10.0]
    assert data["grasps"]["1/1"]["trials"] == [None, 1, None]
    assert data["grasps"]["0/1"]["name"].endswith("(a/cube), grasp 1")
    assert "graspqp: 1, 5, 10 N along" in text
    assert "<h2>mujoco and newton</h2>" in text
    assert "kappa" in text
    assert "on 1 object<" in text.replace("</title>", "<")


def test_filtered_grasps_say_where_they_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, grasps = robotiq_grasps(tmp_path / "run", count=5)
    count_engines(monkeypatch)  # grasp i holds to 4 i N; 0 to 3 are the same grasp, 4 lies elsewhere
    run = Run(path, "--filter", "--force", 2, 6)
    assert "2 grasps of 1 file hold at 6 N and are unique: filtered-6N/" in run.out
    kept = GraspSet.load(results(path) / "filtered-6N" / "cube.npz")
    np.testing.assert_array_equal(kept.root_position, grasps.root_position[[2, 4]])
    entry = kept.metadata["filter"]
    assert (entry["index"], entry["force"], entry["engine"]) == ([2, 4], 6.0, "mujoco")
    assert (entry["protocol"], entry["squeeze"]) == ("graspqp", "torque")
    assert entry["grasp_file"] == str(path)
    Run(path, "--filter")
    assert len(GraspSet.load(results(path) / "filtered" / "cube.npz")) == 2
    run = Run(path, "--filter", "--force", 100)
    assert "cube.npz: no grasp holds in all trials at 100 N; no filtered file" in run.out
    assert not (results(path) / "filtered-100N").exists()
    assert (results(path) / "filtered-6N" / "cube.npz").exists()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("reason", 99, "reason must be a FailureReason"),
        ("displacement", np.inf, "must be finite"),
        ("effort_ratio", np.inf, "must not be infinite"),
        ("contact_count", -1, "contact_count must not be negative"),
        ("trial_success", np.zeros((4, 3), dtype=bool), "must hold numbers of shape"),
        ("penetration_depth", np.zeros(3), "must hold numbers of shape"),
        ("force", np.nan, "force must be a list of finite"),
    ],
)
def test_results_out_of_range_are_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: Any, sentence: str
) -> None:
    path, _ = robotiq_grasps(tmp_path / "run")
    engine = count_engines(monkeypatch)["mujoco"]
    Run(path, "--force", 1)
    file = results(path) / "cube.npz"
    with np.load(file) as content:
        columns = {entry: content[entry] for entry in content.files}
    if np.ndim(value):
        columns[name] = value
    else:
        columns[name][-1 if name != "reason" else 0] = value
    np.savez(file, **columns)
    with pytest.raises(ValueError, match=sentence) as caught:
        CaseResult.load(file)
    assert str(file) in str(caught.value)
    assert Run(path, "--force", 1).code == 0
    assert engine.forces == [1.0, 1.0]


def test_a_damaged_file_of_any_kind_blocks_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Grasp files: metadata that is wrong, headers that claim too much, contacts the hand has not."""
    path, _ = robotiq_grasps(tmp_path / "run")
    with np.load(path) as content:
        columns = {name: content[name] for name in content.files}
    bad = {
        "infinite": {"metadata": np.asarray('{"schema_version": Infinity}')},
        "null": {"metadata": np.asarray('{"schema_version": 1, "object": null}')},
        "deep": {"metadata": np.asarray("[" * 5000)},
        "list": {"metadata": np.asarray("[]")},
        "contact": {"contact_index": np.full_like(columns["contact_index"], 10**6)},
        "nan": {"energy": np.full_like(columns["energy"], np.nan)},
    }
    for name, changes in bad.items():
        np.savez(path.with_name(f"{name}.npz"), **{**columns, **changes})
    engine = count_engines(monkeypatch)["mujoco"]
    run = Run(path.parent, "--force", 1)
    assert run.code == 1
    assert engine.forces == [1.0]
    assert len(table(results(path))) == 1
    for name in bad:
        lines = [line for line in run.error.splitlines() if f"{name}.npz" in line]
        assert len(lines) == 1, run.error
    assert "6 of 7 files were skipped" in run.error


def test_no_spreadsheet_takes_a_name_for_a_formula(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count_engines(monkeypatch)
    names = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "mug")
    for index, name in enumerate(names):
        path, _ = robotiq_grasps(tmp_path / "run", name=f"f{index}", count=2)
        change_metadata(path, "object", {"name": name})
    assert Run(tmp_path / "run").code == 0
    rows = table(tmp_path / "run" / "evaluation" / "graspqp")
    assert [row["object"] for row in rows] == [*(f"'{name}" for name in names[:-1]), "mug"]
    assert rows[0]["entropy"][0].isdigit()


def test_it_is_said_why_nothing_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, grasps = robotiq_grasps(tmp_path / "run")
    count_engines(monkeypatch)
    run = Run(path, "--force", 1000)
    assert "nothing held at 1000 N: 4 of 4 let the object slip; evaluate with a smaller --force" in run.out
    assert "nothing held" not in Run(path, "--force", 1).out
    dataclasses.replace(grasps, status=np.full(4, 8)).save(path)
    assert "no grasp of the file has status OK, so see what generate said" in Run(path, "--force", 1000).out


@pytest.mark.parametrize("reason", [reason for reason in FailureReason if reason != FailureReason.HOLDS])
def test_every_reason_has_a_remedy(reason: FailureReason) -> None:
    row = {"succ1": 0.0, "grasps": 3, "force": 5.0, reason.name.lower(): 2, "holds": 1}
    sentence = diagnosis("mug", row)
    assert sentence.startswith("mug: nothing held at 5 N: 2 of 3 ")
    assert sentence.endswith(".")
    assert diagnosis("mug", row, size="is 3 m thick.").endswith("Its size: it is 3 m thick.")
    assert diagnosis("mug", {**row, "succ1": 0.3}) == ""
