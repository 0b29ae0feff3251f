"""The one choice of a Warp device by name."""

from __future__ import annotations

from typing import Any

__all__ = ["choose_device"]


def choose_device(name: str) -> Any:
    """The Warp device called ``name``; ``auto`` is CUDA where there is one, otherwise the CPU.

    Raises:
        ValueError: There is no such device here.
    """
    import warp as wp  # not at the top: evaluation modules are imported without it

    if name == "auto":
        return wp.get_device("cuda" if wp.is_cuda_available() else "cpu")
    try:
        return wp.get_device(name)
    except (ValueError, RuntimeError) as error:
        known = ", ".join(str(device) for device in wp.get_devices())
        raise ValueError(f"device {name!r} is not available here; available: auto, {known}") from error
