"""Several processes make the grasps of one, end with the command, and fail alone."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import trimesh

import warpgrasp.generate.__main__ as generate
from warpgrasp.base.cores import core_count
from warpgrasp.generate.pool import WorkerPool

ROOT = Path(generate.__file__).parents[2]
OPTIONS = ["--hand", "robotiq_2f140", "--contacts", "4", "--device", "cpu"]


def mesh(folder: Path, name: str, radius: float) -> str:
    trimesh.creation.icosphere(subdivisions=2, radius=radius).export(folder / name)
    return str(folder / name)


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "warpgrasp.generate", *arguments, *OPTIONS],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        # Tests that a shell runs in the background ignore interrupts, and what they start would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_two_processes_make_the_grasps_of_one(tmp_path: Path) -> None:
    """Bit by bit, and the table in the order of the command line, with an object that fails among them."""
    (tmp_path / "bad.obj").write_text("no mesh")
    names = [mesh(tmp_path, f"{name}.ply", 0.02 + 0.005 * i) for i, name in enumerate("cab")]
    names.insert(1, str(tmp_path / "bad.obj"))
    outputs = []
    for workers in ("1", "2"):
        process = start(
            *names, "--grasps", "2", "--steps", "3", "--workers", workers, "--out", str(tmp_path / workers)
        )
        outputs.append(process.communicate(timeout=300)[0])
        assert process.returncode == 1
        assert "1 of 4 objects failed" in outputs[-1]
    for name in "abc":
        one, two = (tmp_path / workers / f"{name}.npz" for workers in ("1", "2"))
        assert one.read_bytes() == two.read_bytes()
    table = [line.split()[0] for line in outputs[1].splitlines() if line.split()[:1] in (["c"], ["a"], ["b"])]
    assert table[-3:] == ["c", "a", "b"]


def test_a_gpu_does_not_wait_for_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one process for a GPU, which none need be at hand here, the grasps are those of the command itself."""
    names = [mesh(tmp_path, f"{name}.ply", 0.02 + 0.005 * i) for i, name in enumerate("ab")]
    short = ["--grasps", "2", "--steps", "3", "--workers", "1", "--usd", "none", *OPTIONS]
    assert generate.main([*names, *short, "--out", str(tmp_path / "alone")]) == 0
    pools = []

    class Pool(WorkerPool):
        def __init__(self, count: int, arguments: Sequence[str]) -> None:
            super().__init__(count, arguments)
            pools.append(self)

    monkeypatch.setattr(generate, "WorkerPool", Pool)
    monkeypatch.setattr(generate._Run, "_runs_beside", lambda run: run.total > 1)
    assert generate.main([*names, *short, "--out", str(tmp_path / "beside")]) == 0
    assert [pool.count for pool in pools] == [1]
    for name in "ab":
        alone, beside = (tmp_path / folder / f"{name}.npz" for folder in ("alone", "beside"))
        assert alone.read_bytes() == beside.read_bytes()


def children(process: subprocess.Popen[str]) -> list[int]:
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(word) for word in text.split()]


def wait_for(process: subprocess.Popen[str], words: str) -> None:
    assert process.stdout is not None
    deadline = time.monotonic() + 300
    while words not in process.stdout.readline():
        assert process.poll() is None
        assert time.monotonic() < deadline


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are looked up in /proc")
def test_a_process_that_is_killed_fails_alone_and_an_interrupt_ends_all(tmp_path: Path) -> None:
    names = [mesh(tmp_path, f"{name}.ply", 0.02 + 0.005 * i) for i, name in enumerate("ab")]
    process = start(
        *names, "--grasps", "32", "--steps", "1000000", "--workers", "2", "--out", str(tmp_path / "out")
    )
    wait_for(process, "step ")
    first = children(process)
    assert len(first) == 2
    os.kill(first[0], signal.SIGKILL)
    wait_for(process, "ended with exit code -9")
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert "interrupted" in output
    assert not [pid for pid in first if Path(f"/proc/{pid}").exists()]


def test_a_process_whose_command_is_killed_in_the_middle_of_a_job_ends_without_a_word() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "warpgrasp.generate.worker"],
        input=pickle.dumps((sys.path, ["mug"] * 100))[:-50],
        capture_output=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (process.returncode, process.stderr) == (0, b"")


def test_a_pool_without_jobs_starts_no_process() -> None:
    with WorkerPool(2, []) as pool:
        assert pool.jobs == []
        assert not pool.is_full
    assert core_count() >= 1
