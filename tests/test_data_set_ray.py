"""Ray's actors: the same files as without Ray, also when they are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="data sets need pyarrow (extra scale)")
pytest.importorskip("ray", reason="actors need Ray (extra scale)")

from data_set_factory import SMALL, contents, make


def _command(folder: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "warpgrasp.dataset", *SMALL, "--out", str(folder), "--workers", "1", *more]


def _wait_for(folder: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 90.0
    while len(list(folder.glob("grasps/*/*/*.parquet"))) < count and process.poll() is None:
        assert time.monotonic() < until, "no file within 90 s"
        time.sleep(0.01)


@pytest.mark.slow
def test_ray_gives_the_same_files_with_a_worker_and_a_driver_killed(tmp_path: Path) -> None:
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    assert make(calm) == 0
    # The first run: the driver and all it has started are killed while it works.
    driver = subprocess.Popen(
        _command(killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    _wait_for(killed, 1, driver)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    # The second run: the actor is killed; Ray starts it again.
    driver = subprocess.Popen(_command(killed), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    logs = killed / "work" / "log"
    before = set(logs.glob("*.jsonl"))
    until = time.monotonic() + 90.0
    while driver.poll() is None and time.monotonic() < until:
        new = set(logs.glob("*.jsonl")) - before
        if new:
            os.kill(int(new.pop().stem.rpartition("_")[2]), signal.SIGKILL)
            break
        time.sleep(0.002)
    output = driver.communicate(timeout=120)[0].decode()
    assert driver.returncode == 0, output
    assert "1 workers of Ray, started here for this run" in output
    assert contents(killed) == contents(calm)
