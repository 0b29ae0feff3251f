"""A short synthesis and evaluation of a hand on five shapes, run as the commands a user would run."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import trimesh

from warpgrasp.hands.model import HandModel
from warpgrasp.objects import example_object_names, example_object_path

__all__ = ["TrialRow", "run_trial", "write_shapes"]

_BALL_RADIUS, _BOX_EDGE = 0.03, 0.05  # m


@dataclass(frozen=True)
class TrialRow:
    """Rates of one grasp type over all shapes."""

    grasp_type: str
    grasps: int
    succ1: float
    succ3: float
    reason: str
    """What most of the others fail of."""


def write_shapes(folder: Path) -> list[str]:
    """Five objects: the paths of the three that are shipped, and of a ball and a box of hand size written here."""
    ball = trimesh.creation.icosphere(subdivisions=3, radius=_BALL_RADIUS)
    box = trimesh.creation.box((_BOX_EDGE,) * 3)
    for name, mesh in (("ball", ball), ("box", box)):
        mesh.export(folder / f"{name}.obj")
    shipped = [str(example_object_path(name)) for name in example_object_names()]
    return [*shipped, str(folder / "ball.obj"), str(folder / "box.obj")]


def run_trial(
    hand: HandModel, grasp_type: str, folder: Path, *, grasps: int, steps: int, force: float
) -> TrialRow:
    """Synthesise and evaluate in child processes.

    Raises:
        ValueError: One of the commands fails; its last line is the message.
    """
    out = folder / grasp_type
    objects = write_shapes(folder)
    _command(
        "generate", *objects, "--hand", str(hand.path), "--grasp-type", grasp_type, "--out", str(out),
        "--grasps", str(grasps), "--steps", str(steps),
    )  # fmt: skip
    _command("evaluate", str(out), "--force", str(force))
    (results,) = out.glob("evaluation/*/results.json")
    rows = json.loads(results.read_text(encoding="utf-8"))["rows"]
    total = sum(row["grasps"] for row in rows)
    reasons = ("penetration", "self_collision", "pushed_away", "no_contact", "slip", "invalid", "blow_up")
    counts = {reason: sum(row[reason] for row in rows) for reason in reasons}
    most = max(counts, key=lambda reason: counts[reason])
    return TrialRow(
        grasp_type,
        total,
        sum(row["succ1"] * row["grasps"] for row in rows) / max(total, 1),
        sum(row["succ3"] * row["grasps"] for row in rows) / max(total, 1),
        most.replace("_", " ") if counts[most] else "",
    )


def _command(tool: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"warpgrasp.{tool}", *arguments], capture_output=True, text=True
    )
    if done.returncode not in (0, 1):
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise ValueError(lines[-1] if lines else f"python -m warpgrasp.{tool} ended with {done.returncode}")
