"""Warp's own messages about devices and kernels, and how commands keep them out of their output."""

from __future__ import annotations

__all__ = ["quiet_warp"]


def quiet_warp() -> None:
    """Let Warp report errors only."""
    import warp as wp

    if hasattr(wp.config, "log_level"):
        wp.config.log_level = wp.LOG_ERROR
    else:  # Warp 1.17
        wp.config.quiet = True  # type: ignore[attr-defined]
