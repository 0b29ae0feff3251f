"""How many processor cores there are to use."""

from __future__ import annotations

import os

__all__ = ["core_count"]


def core_count() -> int:
    """Cores that this process may use, at least one."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
