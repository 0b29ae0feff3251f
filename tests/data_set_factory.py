"""Small data sets for tests: random poses on generated objects, made by the command itself."""

from __future__ import annotations

import hashlib
from pathlib import Path

from warpgrasp.dataset.__main__ import main

SMALL = [
    "--primitives", "6", "--hands", "allegro", "--grasp-types", "power", "pinch", "--methods", "simulated",
    "--grasps", "4", "--objects-per-item", "2",
]  # fmt: skip


def make(folder: Path, *more: str, plan: list[str] | None = None, shard: str = "0/1") -> int:
    """Run the command in this process; returns its exit code."""
    return main([*(SMALL if plan is None else plan), "--out", str(folder), "--shard", shard, *more])


def contents(folder: Path) -> dict[str, str]:
    """Hash of every file that readers see, by its path; the plan knows when files of objects were written."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    kept = [path for path in paths if path.relative_to(folder).parts[0] not in ("work", "plan")]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}
