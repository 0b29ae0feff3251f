"""Fewer kernels to compile, and saying that they are: before the minutes in which nothing else is heard, and meanwhile.

Isaac Lab silences Warp, which otherwise writes a line per module whether it was compiled or read from the cache.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import warp as wp

__all__ = ["CompilationProgress", "announce_first_start", "show_compilation", "without_adjoints"]

_LOGGER = logging.getLogger(__name__)
_SOLVER = "wp_mujoco_warp"
"""How folders of the solver's kernels begin in Warp's cache."""
_INFO = 20  # wp.LOG_INFO
_LOADED = re.compile(r"\s*Module (\S+).* load on device .* took ([\d.]+) ms\s+\((compiled|cached)\)")


@contextlib.contextmanager
def without_adjoints() -> Iterator[None]:
    """Modules of Warp that are created meanwhile get no adjoint kernels, which are a third of what a first start compiles.

    Nothing differentiates through the simulation, and Isaac Lab's own commands switch adjoints off for the whole process,
    so that both find the same kernels in the cache. Modules that were imported before keep theirs, and so do those that
    say themselves whether they have one, as all of this package do.
    """
    before = wp.config.enable_backward
    wp.config.enable_backward = False
    try:
        yield
    finally:
        wp.config.enable_backward = before


def announce_first_start(cache: Path | None = None) -> bool:
    """Log a warning where the solver's kernels are not in Warp's cache; whether they are missing.

    Args:
        cache: Warp's cache of kernels; the one in use by default.
    """
    wp.init()  # which chooses the cache
    folder = Path(wp.config.kernel_cache_dir or "") if cache is None else cache
    if any(folder.glob(f"{_SOLVER}*")):
        return False
    _LOGGER.warning(
        "The simulation's kernels are compiled now, once for this machine and version, which takes minutes; "
        "later starts find them in %s.",
        folder,
    )
    return True


class CompilationProgress:
    """A logger for Warp that says from time to time what is compiled; other messages go to the logger there was.

    Args:
        other: The logger there was.
        period: Least time between two lines [s].
    """

    def __init__(self, other: Any, period: float = 10.0) -> None:
        self._other, self._period = other, period
        self._count, self._last = 0, time.monotonic()

    def info(self, message: str) -> None:
        """Count a module that was compiled, and pass over one that was read from the cache."""
        found = _LOADED.match(message)
        if found is None:
            self._other.info(message)
        elif found[3] == "compiled":
            self._count += 1
            if time.monotonic() - self._last >= self._period:
                self._last = time.monotonic()
                _LOGGER.warning(
                    "Compiling the simulation's kernels: %d modules so far, the last %s in %.1f s.",
                    self._count,
                    found[1],
                    float(found[2]) / 1000.0,
                )

    def debug(self, message: str) -> None:
        """Pass on."""
        self._other.debug(message)

    def warning(self, message: str, category: Any = None, stacklevel: int = 1) -> None:
        """Pass on."""
        self._other.warning(message, category, stacklevel + 1)

    def error(self, message: str) -> None:
        """Pass on."""
        self._other.error(message)


def show_compilation() -> None:
    """From now on say what Warp compiles, where Isaac Lab, or another program after it, has silenced it."""
    config: Any = wp.config  # both switches are of Warp 1.17, which Isaac Lab 3.0 needs
    silent = getattr(config, "quiet", False), getattr(config, "log_level", 0) > _INFO
    if not any(silent):
        return
    if not isinstance(wp.get_logger(), CompilationProgress):
        wp.set_logger(CompilationProgress(wp.get_logger()))
    if silent[0]:
        config.quiet = False
    if silent[1]:  # which Warp raises where it is initialised while it is quiet
        config.log_level = _INFO
