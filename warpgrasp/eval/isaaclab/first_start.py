"""Saying that kernels are compiled, once per machine, before the minutes in which nothing else is heard."""

from __future__ import annotations

import logging
from pathlib import Path

import warp as wp

__all__ = ["announce_first_start"]

_SOLVER = "wp_mujoco_warp"
"""How folders of the solver's kernels begin in Warp's cache."""


def announce_first_start(cache: Path | None = None) -> bool:
    """Log a warning where the solver's kernels are not in Warp's cache; whether they are missing.

    Args:
        cache: Warp's cache of kernels; the one in use by default.
    """
    wp.init()  # which chooses the cache
    folder = Path(wp.config.kernel_cache_dir or "") if cache is None else cache
    if any(folder.glob(f"{_SOLVER}*")):
        return False
    logging.getLogger(__name__).warning(
        "The simulation's kernels are compiled now, once for this machine and version, which takes minutes; "
        "later starts find them in %s.",
        folder,
    )
    return True
