"""One folder, one configuration: starting over mixes nothing, stages are complete, processes share a folder."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from pathlib import Path

import pytest
from fake_models import FakeObject
from generate_shell import SMALL, Shell, make_shell
from grasp_factory import make_grasp_set

from warpgrasp.generate.entries import Entry
from warpgrasp.generate.object_rows import RowFiles
from warpgrasp.generate.run_folder import ConfigurationMismatchError, RunFolder
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.hands import load_hand


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    return make_shell(tmp_path, monkeypatch)


def summary(folder: Path) -> dict[str, list[dict[str, object]]]:
    content: dict[str, list[dict[str, object]]] = json.loads((folder / "summary.json").read_text())
    return content


def test_starting_over_with_other_options_leaves_no_grasps_of_the_first(shell: Shell) -> None:
    ball, pea = shell.mesh("ball.stl"), shell.mesh("pea.stl", 0.02)
    assert shell(ball, pea, *SMALL) == 0
    (shell.folder / "out" / "notes.npz").write_bytes(b"of the user")
    assert shell(ball, *SMALL, "--seed", "5", "--no-resume") == 0
    assert "grasps of 2 objects made with other options were removed" in shell.output
    out = shell.folder / "out"
    assert {file.stem for file in out.glob("*.npz")} == {"ball", "notes"}
    assert {file.stem for file in out.glob("*.usda")} == {"ball"}
    assert GraspSet.load(out / "ball.npz").metadata["seed"] == 5
    assert json.loads((out / "config.json").read_text())["settings"]["seed"] == 5
    assert [row["name"] for row in summary(out)["objects"]] == ["ball"]


def test_starting_over_with_the_same_options_keeps_the_other_objects(shell: Shell) -> None:
    ball, pea = shell.mesh("ball.stl"), shell.mesh("pea.stl", 0.02)
    assert shell(ball, pea, *SMALL) == 0
    assert shell(ball, *SMALL, "--no-resume") == 0
    assert shell.synthesis.names == ["ball", "pea", "ball"]
    assert [row["name"] for row in summary(shell.folder / "out")["objects"]] == ["ball", "pea"]


def test_grasps_of_other_options_are_refused_where_the_configuration_has_gone(shell: Shell) -> None:
    ball = shell.mesh("ball.stl")
    assert shell(ball, *SMALL) == 0
    (shell.folder / "out" / "config.json").unlink()
    assert shell(ball, *SMALL, "--seed", "5") == 2
    assert "ball.npz holds grasps made with other options" in shell.output


@pytest.mark.parametrize("gone", ["ball.usda", "assets"])
def test_a_missing_stage_is_written_again_without_new_grasps(shell: Shell, gone: str) -> None:
    ball = shell.mesh("ball.stl")
    assert shell(ball, *SMALL) == 0
    out = shell.folder / "out"
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    shutil.rmtree(out / gone) if (out / gone).is_dir() else (out / gone).unlink()
    assert shell(ball, *SMALL) == 0
    assert shell.synthesis.names == ["ball"]
    after = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    assert set(after) == set(before)
    assert after[out / "ball.usda"] == before[out / "ball.usda"]


def test_the_same_grasps_are_the_same_bytes_whatever_the_clock_says(shell: Shell) -> None:
    ball = shell.mesh("ball.stl")
    for name in ("one", "two"):
        assert shell(ball, "--grasps", "3", "--steps", "6", "--out", name) == 0
    for file in ("ball.npz", "ball.usda"):
        assert (shell.folder / "one" / file).read_bytes() == (shell.folder / "two" / file).read_bytes()
    assert summary(shell.folder / "one")["objects"][0]["seconds"] is not None


def test_a_failure_is_told_once_and_forgotten_when_the_object_is_done(shell: Shell) -> None:
    (shell.folder / "ball.stl").write_text("this is not a mesh")
    ball = str(shell.folder / "ball.stl")
    assert shell(ball, shell.mesh("pea.stl"), *SMALL) == 1
    sentence = summary(shell.folder / "out")["failures"][ball]  # type: ignore[call-overload]
    assert shell.output.count(sentence) == 1
    assert "1 of 2 objects failed" in shell.output
    shell.mesh("ball.stl")
    assert shell(ball, *SMALL) == 0
    assert summary(shell.folder / "out")["failures"] == {}
    assert [row["name"] for row in summary(shell.folder / "out")["objects"]] == ["ball", "pea"]


def test_a_name_belongs_to_one_object_file(tmp_path: Path) -> None:
    first, second = RowFiles(tmp_path), RowFiles(tmp_path)
    assert first.claim("mug", Entry(Path("/a/mug.stl")))
    assert not second.claim("mug", Entry(Path("/b/mug.stl")))
    assert second.claim("mug", Entry(Path("/a/mug.stl")))
    assert first.read() == {}  # not finished


def _fill(folder: Path, files: list[Path], barrier: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    run, hand = RunFolder(folder, {"seed": 0}, resume=True), load_hand("robotiq_2f140")
    for index, file in enumerate(files):
        name = run.unique_name(Entry(file), set())
        grasps = make_grasp_set(count=2, joint_names=hand.joint_names, contact_count=3, seed=index)
        grasps.metadata["object"] = {"name": name, "path": str(file)}
        run.store(name, grasps, hand, FakeObject(), seconds=1.0)  # type: ignore[arg-type]
        run.write_summary()


def test_two_processes_fill_one_folder(tmp_path: Path) -> None:
    """Six of the ten names are claimed by both, for files of their own."""
    sets = [
        [tmp_path / part / f"mug{i}.stl" for i in range(start, start + 8)]
        for part, start in (("a", 0), ("b", 2))
    ]
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    processes = [context.Process(target=_fill, args=(tmp_path / "out", files, barrier)) for files in sets]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        assert process.exitcode == 0
    rows = summary(tmp_path / "out")["objects"]
    assert sorted(str(row["path"]) for row in rows) == sorted(str(file) for files in sets for file in files)
    for row in rows:
        stored = GraspSet.load(tmp_path / "out" / f"{row['name']}.npz")
        assert stored.metadata["object"]["path"] == row["path"]


def test_another_configuration_is_refused(tmp_path: Path) -> None:
    RunFolder(tmp_path, {"seed": 0}, resume=True)
    with pytest.raises(ConfigurationMismatchError, match="--seed: 0 there, 1 now"):
        RunFolder(tmp_path, {"seed": 1}, resume=True)
