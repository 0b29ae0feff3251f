"""Eight kills of each command, spread over its file operations; more by ``kill_commands.py``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("command", ["generate", "objects", "evaluate", "hands.convert"])
def test_a_killed_command_is_made_good_by_the_next_call(command: str) -> None:
    """In a fresh process, because forks of one that runs threads may hang."""
    if command != "objects":
        pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("kill_commands.py")), "8", "-", command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.stdout, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["wrong"] == []
