"""Resumed output folders: finished objects are kept and skipped, after reruns, interrupts, a full disk and a kill."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from generate_shell import SMALL, Shell, make_shell

import warpgrasp.generate.__main__ as generate
from warpgrasp.base import atomic_file
from warpgrasp.base.command import run_command
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.objects import ObjectModel


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    return make_shell(tmp_path, monkeypatch)


def test_rerun_skips_what_is_finished_and_adds_what_is_new(shell: Shell) -> None:
    ball = shell.mesh("ball.stl")
    assert shell(ball, *SMALL) == 0
    before = (shell.folder / "out" / "ball.npz").read_bytes()
    assert shell(ball, shell.mesh("pea.stl", 0.02), *SMALL) == 0
    assert shell.synthesis.names == ["ball", "pea"]
    assert "1 of 2 objects were finished before" in shell.output
    assert (shell.folder / "out" / "ball.npz").read_bytes() == before
    assert shell(ball, *SMALL, "--no-resume") == 0
    assert shell.synthesis.names == ["ball", "pea", "ball"]


def test_damaged_missing_and_outdated_results_are_made_again(shell: Shell) -> None:
    ball = shell.mesh("ball.stl")
    for spoil in ("cut", "gone", "mesh"):
        shell(ball, *SMALL)
        file = shell.folder / "out" / "ball.npz"
        if spoil == "cut":
            file.write_bytes(file.read_bytes()[:100])
        elif spoil == "gone":
            file.unlink()
        else:
            shell.mesh("ball.stl", 0.025)
        assert shell(ball, *SMALL) == 0
        assert GraspSet.load(file).metadata["object"]["name"] == "ball"
    assert shell.synthesis.names == ["ball"] * 4
    assert [path.name for path in (shell.folder / "out").glob("*.npz")] == ["ball.npz"]


def test_another_configuration_is_refused_and_names_what_differs(shell: Shell) -> None:
    ball = shell.mesh("ball.stl")
    shell(ball, *SMALL)
    before = (shell.folder / "out" / "config.json").read_bytes()
    assert shell(ball, *SMALL, "--seed", "4", "--energy.penetration.weight", "9", "--optimizer", "mala") == 2
    for text in (
        "--seed: 0 there, 4 now",
        "--energy.penetration.weight: 100.0 there, 9.0 now",
        "--no-resume",
    ):
        assert text in shell.output
    assert "--optimizer-preset: mala-fast there, mala now" in shell.output
    assert (shell.folder / "out" / "config.json").read_bytes() == before
    assert shell.synthesis.names == ["ball"]


def test_equal_names_become_unique_and_stay_so(shell: Shell) -> None:
    first, second = shell.mesh("x/mug.stl", 0.03), shell.mesh("y/mug.stl", 0.02)
    assert shell(first, second, first, *SMALL) == 0
    assert shell.synthesis.names == ["mug", "mug_2"]
    assert shell(second, *SMALL) == 0
    assert shell.synthesis.names == ["mug", "mug_2"]
    assert GraspSet.load(shell.folder / "out" / "mug_2.npz").metadata["object"]["path"] == second


def test_moved_inputs_are_recognised_by_name_and_content(shell: Shell) -> None:
    mesh = shell.mesh("x/mug.stl")
    assert shell(mesh, *SMALL) == 0
    (shell.folder / "x").rename(shell.folder / "z")
    assert shell(str(shell.folder / "z" / "mug.stl"), *SMALL) == 0
    assert shell.synthesis.names == ["mug"]


def test_full_disk_stops_with_one_sentence_and_keeps_what_is_finished(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    meshes = [shell.mesh(f"m{i}.stl", 0.02 + 0.001 * i) for i in range(3)]
    replace_file = os.replace

    def fail_for_the_second(source: Any, target: Any) -> None:
        if Path(target).name == "m1.npz":
            raise OSError(errno.ENOSPC, "No space left on device")
        replace_file(source, target)

    monkeypatch.setattr(atomic_file.os, "replace", fail_for_the_second)
    arguments = (*meshes, "--grasps", "20", "--steps", "2", "--out", "out")
    assert shell(*arguments) == 1
    assert "m1.npz: the disk is full" in shell.output
    monkeypatch.setattr(atomic_file.os, "replace", replace_file)
    assert [path.name for path in (shell.folder / "out").glob("*.npz")] == ["m0.npz"]
    assert not list((shell.folder / "out").glob(".warpgrasp-*"))
    assert shell(*arguments) == 0
    assert shell.synthesis.names == ["m0", "m1", "m1", "m2"]


def test_interrupt_keeps_finished_objects(shell: Shell) -> None:
    def interrupt(models: Sequence[ObjectModel]) -> None:
        if models[0].name == "b":
            raise KeyboardInterrupt

    shell.synthesis.before = interrupt
    meshes = [shell.mesh(f"{name}.stl", 0.02 + 0.001 * i) for i, name in enumerate("ab")]
    assert shell(*meshes, "--grasps", "20", "--steps", "2", "--out", "out") == 130
    assert "1 finished objects are kept in out" in shell.output
    assert (shell.folder / "out" / "a.npz").exists()
    assert not (shell.folder / "out" / "b.npz").exists()


def test_sigterm_keeps_the_best_grasps_so_far_and_the_next_call_makes_them_anew(shell: Shell) -> None:
    def terminate(models: Sequence[ObjectModel]) -> None:
        if models[0].name == "b":
            os.kill(os.getpid(), signal.SIGTERM)

    shell.synthesis.before = terminate
    meshes = [shell.mesh(f"{name}.stl", 0.02 + 0.001 * i) for i, name in enumerate("abc")]
    arguments = (*meshes, "--grasps", "20", "--steps", "9", "--out", "out")
    assert run_command(lambda: shell(*arguments)) == 143
    assert "b: its best grasps after 2 of 9 steps" in shell.output
    assert "ended by SIGTERM; 1 finished objects are kept in out" in shell.output
    out = shell.folder / "out"
    assert GraspSet.load(out / "b.npz").metadata["stopped_at_step"] == 2
    rows = {row["name"]: row for row in json.loads((out / "summary.json").read_text())["objects"]}
    assert {name: row["stopped_step"] for name, row in rows.items()} == {"a": 0, "b": 2}
    shell.synthesis.before = lambda models: None
    assert shell(*arguments) == 0
    assert shell.synthesis.names == ["a", "b", "b", "c"]
    assert "stopped_at_step" not in GraspSet.load(out / "b.npz").metadata


def test_a_folder_that_is_deleted_while_the_command_runs_is_one_sentence(shell: Shell) -> None:
    shell.synthesis.before = lambda models: shutil.rmtree(shell.folder / "out")
    ball = shell.mesh("ball.stl")
    assert shell(ball, *SMALL) == 1
    assert (
        "out was deleted or moved while the command ran; the same command starts over there" in shell.output
    )
    shell.synthesis.before = lambda models: None
    assert shell(ball, *SMALL) == 0


_REAL = """
import sys, time
import warpgrasp.generate.__main__ as generate
import warpgrasp.generate.batch as batch
if {slow!r}:
    inner = batch.synthesize
    def slow(hand, models, config, **others):
        if models[0].name == "b":
            print("READY", flush=True)
            time.sleep(60)
        return inner(hand, models, config, **others)
    batch.synthesize = slow
sys.exit(generate.main(sys.argv[1:]))
"""


def test_real_run_in_a_fresh_process_survives_a_kill(shell: Shell, tmp_path: Path) -> None:
    meshes = [shell.mesh(f"{name}.stl", 0.03 + 0.005 * i) for i, name in enumerate("ab")]
    root = Path(generate.__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [*meshes, "--grasps", "20", "--steps", "4", "--device", "cpu", "--workers", "1"]
    command += ["--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-c", _REAL.format(slow=True), *command],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    deadline = time.monotonic() + 300
    with process.stdout as lines:
        while "READY" not in lines.readline():
            assert process.poll() is None
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
        process.wait(timeout=60)
    assert [path.name for path in (tmp_path / "out").glob("*.npz")] == ["a.npz"]
    finished = (tmp_path / "out" / "a.npz").read_bytes()
    result = subprocess.run(
        [sys.executable, "-c", _REAL.format(slow=False), *command],
        capture_output=True, text=True, env=environment, timeout=300, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "1 of 2 objects were finished before" in result.stdout
    assert (tmp_path / "out" / "a.npz").read_bytes() == finished
    assert len(GraspSet.load(tmp_path / "out" / "b.npz")) == 20
    assert (tmp_path / "out" / "gallery.png").stat().st_size > 10_000
