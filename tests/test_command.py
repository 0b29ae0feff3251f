"""How commands end: an interrupt, SIGTERM, memory that is used up and a missing file are one sentence and an exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from warpgrasp.base import command, memory
from warpgrasp.base.command import Terminated, run_command, stop_requested

ROOT = Path(__file__).parents[1]


def _raises(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (KeyboardInterrupt(), 130, "interrupted; what is finished is kept"),
        (MemoryError("Unable to allocate 3 TiB"), 1, "the memory is used up (Unable to allocate 3 TiB)"),
        (
            RuntimeError("Failed to allocate 10 bytes on device 'cpu'"),
            1,
            "used up (Failed to allocate 10 bytes",
        ),
        (FileNotFoundError(2, "No such file or directory", "run/x.npz"), 1, "run/x.npz: No such file"),
    ],
)
def test_what_ends_a_command_is_one_sentence(
    error: BaseException, code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(lambda: _raises(error)) == code
    told = capsys.readouterr().err
    assert sentence in told
    assert told.count("\n") == 1


def test_other_errors_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: _raises(ZeroDivisionError()))


def _terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(1000):  # the handler runs between two instructions
        time.sleep(0.0)


def test_sigterm_ends_a_command_at_once_or_after_the_block_that_asks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def asks() -> int:
        with stop_requested() as stop:
            seen.append(stop())
            _terminate()
            seen.append(stop())
        return 0

    assert run_command(lambda: (_terminate(), 0)[1]) == 143
    assert run_command(asks) == 143
    assert seen == [False, True]
    assert capsys.readouterr().err.count("ended by SIGTERM") == 2
    assert signal.getsignal(signal.SIGTERM) == before
    assert run_command(lambda: 7) == 7
    assert command.end_of(Terminated()) == ("ended by SIGTERM", 143)


def test_an_interrupt_while_a_command_imports_is_one_sentence() -> None:
    code = "import sys; sys.argv = ['-m']; import warpgrasp; raise KeyboardInterrupt"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr == "error: interrupted before the command began.\n"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the limits of Linux")
def test_the_limits_of_the_process_and_of_its_group_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import resource; from warpgrasp.base.memory import free_memory, lacking_memory\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29)); print(free_memory()); print(lacking_memory())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    free, sentence = done.stdout.splitlines()
    assert 0 < int(free) < 2**29
    assert "ulimit -v" in sentence
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    for name in (".", "memory"):  # of version 2 and 1
        (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("900000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 50000\n")
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("1000000\n")
    (tmp_path / "memory" / "memory.usage_in_bytes").write_text("850000\n")
    assert memory.free_memory() == 150000
    assert "control group" in memory.lacking_memory()
