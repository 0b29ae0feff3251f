"""``benchmarks/device_check.py`` rehearsed on the CPU: every stage gives its table, and a stage that is cut ends alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import warp as wp

from warpgrasp.eval.engines.registry import load_engine

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def device_check(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(FOLDER)
    import device_check

    module: ModuleType = device_check
    return module


def test_every_stage_of_the_rehearsal_gives_its_table(
    device_check: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    # MuJoCo stands for Newton, whose kernels take a minute to compile; the command is run by tests of its own.
    monkeypatch.setattr(
        device_check.device_stages, "load_engine", lambda name, **options: load_engine("mujoco", workers=1)
    )
    stages = [name for name in device_check.SHARES if name != "command"]
    out = tmp_path / "tables.md"
    code = device_check.main(["--device", "cpu", "--small", "--out", str(out), "--stages", *stages])
    printed = capsys.readouterr().out
    assert code == 0
    for name in stages:
        assert f"{name}: done" in printed
    text = out.read_text()
    assert text.count("|---|") >= len(stages)
    rows = [line for line in text.splitlines() if line.startswith("| robotiq_2f140 |")]
    assert "| 0.0e+00 | 0.0e+00 | 0.0e+00 |" in rows[0], "the CPU agrees with itself"
    assert "| 17 of 17 | - | True |" in rows[1] or " | - | True |" in rows[1]
    assert "| True |" in rows[2]
    kernels = {line.split(" | ")[0].removeprefix("| ") for line in text.splitlines()}
    assert {"penetration", "closest_features", "weighted_sum"} <= kernels, "whatever launches them"
    lanes = [row for row in rows if "Penetration" in row]
    assert len(lanes) == 6
    assert all(row.endswith("| True |") for row in lanes)
    assert all(float(row.split("|")[7]) < 2.0e-6 for row in lanes), "32 lanes add what one adds"
    assert text.rstrip().splitlines()[-3].endswith("| 100.0 |"), "one engine agrees with itself"


def test_a_stage_is_cut_at_its_limit_and_the_next_one_begins() -> None:
    command = [sys.executable, str(FOLDER / "device_check.py"), "--device", "cpu", "--minutes", "0.01"]
    done = subprocess.run(
        [*command, "--stages", "loop", "qp"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "loop: CUT at its limit" in done.stdout
    assert "qp: CUT at its limit" in done.stdout


@pytest.mark.skipif(wp.is_cuda_available(), reason="there is a CUDA device here")
def test_without_a_device_it_says_how_to_rehearse(
    device_check: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert device_check.main([]) == 2
    assert "rehearse with --device cpu --small" in capsys.readouterr().out
