"""The other commands of ``python -m warpgrasp.dataset``, imported when used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence

__all__ = ["COMMANDS"]


def _later(module: str, function: str) -> Callable[[Sequence[str]], int]:
    def run(arguments: Sequence[str]) -> int:
        command: Callable[[Sequence[str]], int] = getattr(importlib.import_module(module), function)
        return command(arguments)

    return run


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "merge": _later("warpgrasp.dataset.curate", "merge_command"),
    "filter": _later("warpgrasp.dataset.curate", "filter_command"),
    "dedup": _later("warpgrasp.dataset.curate", "dedup_command"),
    "select": _later("warpgrasp.dataset.curate", "select_command"),
    "stats": _later("warpgrasp.dataset.stats", "stats_command"),
    "from-npz": _later("warpgrasp.dataset.convert", "from_npz_command"),
    "to-npz": _later("warpgrasp.dataset.convert", "to_npz_command"),
}
"""Command by name; each takes its arguments and returns the exit code."""
