"""A short synthesis and evaluation of a hand on five shapes, in a process of its own: what ends it does not end the check."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Trial", "run_trials"]


@dataclass(frozen=True)
class Trial:
    """What became of the grasps of one type; rates are shares of all grasps of all shapes."""

    grasp_type: str
    forces: tuple[float, ...] = ()
    """Pushes [N], ascending."""
    succ1: tuple[float, ...] = ()
    """Hold at least one push of the protocol ``graspqp``, for every force."""
    succ3: tuple[float, ...] = ()
    """Hold all pushes, for every force."""
    grasps: int = 0
    why: str = ""
    """Why few hold one push of the smallest force; empty where enough do."""
    error: str = ""
    """Why nothing could be tried; empty where it was."""


def run_trials(
    hand: str,
    *,
    grasps: int,
    candidates: int,
    steps: int,
    forces: tuple[float, ...],
    progress: Callable[[str], None],
) -> list[Trial]:
    """Try every grasp type of a hand on the three shipped objects, a ball of 60 mm and a cube of 50 mm.

    Args:
        hand: Name of a shipped hand, or path of its asset.
        grasps: Grasps of each shape and type.
        candidates: Grasps that are synthesised for each one kept.
        steps: Optimisation steps.
        forces: Pushes [N].
        progress: Called with what is done next.

    Raises:
        ValueError: The process ends early; its last line is the message.
    """
    command = [sys.executable, "-m", "warpgrasp.evaluate.hand_trial_process", hand]
    command += [str(grasps), str(candidates), str(steps)]
    command += [str(force) for force in sorted(set(forces))]
    found = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        last = ""
        for line in process.stdout or ():
            try:
                row = json.loads(line)
            except ValueError:
                last = line.strip() or last
                continue
            if "progress" in row:
                progress(row["progress"])
            else:
                found.append(_trial(row))
    if process.returncode:
        raise ValueError(last or f"the trials ended with exit code {process.returncode}")
    return found


def _trial(row: dict[str, Any]) -> Trial:
    if "error" in row:
        return Trial(row["grasp_type"], error=row["error"])
    return Trial(
        row["grasp_type"],
        forces=tuple(row["forces"]),
        succ1=tuple(row["succ1"]),
        succ3=tuple(row["succ3"]),
        grasps=row["grasps"],
        why=row["why"],
    )
