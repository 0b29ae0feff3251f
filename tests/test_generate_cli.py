"""What the command line writes and tells: files per object, batches, and failures that do not stop the others."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generate_shell import SMALL, Shell, make_shell

import warpgrasp.generate.__main__ as generate
import warpgrasp.generate.batch as batch
import warpgrasp.generate.batch_size as batch_size
from warpgrasp.base.status import GraspStatus
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.grasps.usd import read_grasp_usd
from warpgrasp.hands import load_hand
from warpgrasp.objects import ObjectModel


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    return make_shell(tmp_path, monkeypatch)


def test_one_npz_and_one_stage_per_object_and_a_summary(shell: Shell) -> None:
    assert shell(shell.mesh("ball.stl"), shell.mesh("pea.ply", 0.02), *SMALL) == 0
    out = shell.folder / "out"
    assert {path.name for path in out.iterdir()} == {
        "ball.npz", "ball.usda", "pea.npz", "pea.usda", "assets", "rows", "config.json", "summary.json", "timing.json",
        "gallery.png",
    }  # fmt: skip
    grasps = GraspSet.load(out / "pea.npz")
    np.testing.assert_array_equal(read_grasp_usd(out / "pea.usda").joint_position, grasps.joint_position)
    summary = json.loads((out / "summary.json").read_text())
    assert [row["name"] for row in summary["objects"]] == ["ball", "pea"]
    assert summary["objects"][1]["energy_best"]["total"] == pytest.approx(grasps.energy.min())
    assert summary["objects"][1]["status_count"] == {"OK": 3}
    settings = json.loads((out / "config.json").read_text())["settings"]
    assert (settings["grasps"], settings["energy"]["distance"]["weight"]) == (3, 100.0)
    for word in (
        "ball",
        "pea",
        "preparing kernels",
        "step 5/6",
        "accepted 50 %",
        "best",
        "median",
        "gallery.png",
    ):
        assert word in shell.output


def test_hands_of_users_have_output_folders_of_their_own(shell: Shell) -> None:
    """Every converted hand is a file ``hand.usda``: the folder is named after the hand, not after the file."""
    mesh = shell.mesh("ball.stl")
    for name in ("robotiq_2f140", "barrett"):
        folder = shell.folder / f"of_{name}"
        shutil.copytree(
            load_hand(name).path.parent, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__")
        )
        hand = str(folder / "hand.usda")
        assert shell(mesh, "--hand", hand, "--grasps", "2", "--steps", "2", "--contacts", "2") == 0
        assert (shell.folder / "grasps" / f"{name}_power" / "ball.npz").exists()


def test_names_of_shipped_objects_and_wildcards_are_understood(shell: Shell) -> None:
    shell.mesh("in/a.stl")
    shell.mesh("in/b.stl", 0.02)
    assert shell("mug", "in/*.stl", "--grasps", "2", "--steps", "2", "--out", "out") == 0
    assert shell.synthesis.names == ["mug", "a", "b"]
    assert shell("in", "--grasps", "2", "--steps", "2", "--out", "of_folder") == 0
    assert shell.synthesis.names[3:] == ["a", "b"]


def test_batches_are_sized_by_memory_and_an_object_too_large_is_refused(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    meshes = [shell.mesh(f"m{i}.stl", 0.02 + 0.001 * i) for i in range(5)]
    monkeypatch.setattr(generate, "bytes_for_batch", lambda device: None)
    assert shell(*meshes, "--grasps", "5", "--steps", "2", "--out", "by-count") == 0
    assert [len(batch) for batch in shell.synthesis.batches] == [3, 2]
    shell.synthesis.batches.clear()
    monkeypatch.setattr(batch_size, "bytes_per_grasp", lambda hand, config: 10**6)
    monkeypatch.setattr(generate, "bytes_for_batch", lambda device: 25 * 10**6)
    assert shell(*meshes, "--grasps", "5", "--steps", "2", "--out", "by-memory") == 0
    assert [len(batch) for batch in shell.synthesis.batches] == [2, 2, 1]
    monkeypatch.setattr(generate, "bytes_for_batch", lambda device: 5 * 10**6)
    assert shell(meshes[0], "--grasps", "5", "--steps", "2", "--out", "too-large") == 1
    assert "m0.stl: 5 grasps of 10 candidates need about" in shell.output
    assert "pass --grasps 2 or less" in shell.output


def test_failed_grasps_are_counted_by_status_and_explained(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = shell.synthesis

    def with_failures(*arguments: Any, **options: Any) -> list[GraspSet]:
        status = np.array([0, GraspStatus.QP_NOT_CONVERGED, GraspStatus.NONFINITE_ENERGY])
        return [dataclasses.replace(grasps, status=status) for grasps in inner(*arguments, **options)]

    monkeypatch.setattr(batch, "synthesize", with_failures)
    assert shell(shell.mesh("a.stl"), *SMALL) == 0
    assert GraspStatus.QP_NOT_CONVERGED.sentence in shell.output
    assert "1 x nonfinite energy" in shell.output


def test_a_bad_object_is_reported_and_the_others_finish(shell: Shell) -> None:
    (shell.folder / "text.obj").write_text("this is not a mesh")
    (shell.folder / "empty folder").mkdir()
    broken = [str(shell.folder / name) for name in ("text.obj", "absent.obj", "empty folder")]
    assert shell(shell.mesh("a.stl"), *broken, shell.mesh("b.stl", 0.02), *SMALL) == 1
    assert shell.synthesis.names == ["a", "b"]
    failures = json.loads((shell.folder / "out" / "summary.json").read_text())["failures"]
    assert set(failures) == set(broken)
    for sentence in failures.values():
        assert len(sentence.splitlines()) == 1
        assert sentence in shell.output
    assert shell(shell.mesh("a.stl"), *SMALL) == 0


def test_an_object_that_fails_in_a_batch_does_not_take_the_others_along(shell: Shell) -> None:
    def refuse(models: Sequence[ObjectModel]) -> None:
        if any(model.name == "b" for model in models):
            raise ValueError("the hull of b is flat")

    shell.synthesis.before = refuse
    meshes = [shell.mesh(f"{name}.stl", 0.02 + 0.001 * i) for i, name in enumerate("abc")]
    assert shell(*meshes, *SMALL) == 1
    assert sorted(shell.synthesis.names) == ["a", "c"]
    assert "b.stl: the hull of b is flat" in shell.output


def test_an_unwritable_output_is_refused_before_any_work(shell: Shell) -> None:
    (shell.folder / "out").write_text("a file")
    assert shell(shell.mesh("a.stl"), *SMALL) == 2
    assert "a part of the path is a file" in shell.output
    assert shell.synthesis.batches == []


def test_stages_show_all_the_best_or_no_grasps(shell: Shell) -> None:
    """The files of grasps are the same; a run without stages is finished, and one with stages makes those that lack."""
    ball = shell.mesh("ball.stl")
    common = (ball, "--grasps", "12", "--steps", "2", "--out", "out")
    assert shell(*common, "--usd", "none") == 0
    out = shell.folder / "out"
    grasps = (out / "ball.npz").read_bytes()
    assert not (out / "ball.usda").exists()
    assert "usdview" not in shell.output
    assert shell(*common, "--usd", "none") == 0
    assert shell.synthesis.names == ["ball"]
    assert shell(*common, "--usd", "best") == 0
    best, whole = read_grasp_usd(out / "ball.usda"), GraspSet.load(out / "ball.npz")
    np.testing.assert_array_equal(best.energy, whole.energy[whole.order()[:10]])
    (out / "ball.usda").unlink()
    assert shell(*common) == 0
    assert len(read_grasp_usd(out / "ball.usda")) == 12
    assert (out / "ball.npz").read_bytes() == grasps
    assert shell.synthesis.names == ["ball"]
