"""Warp's own messages about devices and kernels, and how commands and library calls keep them out of their output."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet_warp", "warp_is_quiet"]

_NO_DRIVER = b"Could not find or load the NVIDIA CUDA driver"
"""Of the one message that every run on a machine without CUDA would show; a device that was asked for is refused by name."""
_STDERR = 2


def quiet_warp() -> None:
    """Let Warp report errors only, for the rest of the process; for commands."""
    import warp as wp

    if hasattr(wp.config, "log_level"):
        wp.config.log_level = wp.LOG_ERROR
    else:  # Warp 1.17
        wp.config.quiet = True  # type: ignore[attr-defined]
    _initialize()


@contextmanager
def warp_is_quiet() -> Iterator[None]:
    """Warp reports warnings and errors only; for library calls.

    Afterwards its level is as before. A level that the caller has chosen, other than Warp's default, is respected.
    """
    import warp as wp

    if not hasattr(wp.config, "log_level") or wp.config.log_level != wp.LOG_INFO:
        yield
        return
    wp.config.log_level = wp.LOG_WARNING
    try:
        _initialize()
        yield
    finally:
        wp.config.log_level = wp.LOG_INFO


@functools.cache
def _initialize() -> None:
    """Initialise Warp without its message that there is no CUDA driver; whatever else is written to stderr is shown."""
    import warp as wp

    try:
        saved = os.dup(_STDERR)
    except OSError:  # there is no stderr
        wp.init()
        return
    with tempfile.TemporaryFile() as buffer:
        os.dup2(buffer.fileno(), _STDERR)
        try:
            wp.init()
        finally:
            os.dup2(saved, _STDERR)
            os.close(saved)
            buffer.seek(0)
            for line in buffer:
                if _NO_DRIVER not in line:
                    os.write(_STDERR, line)
