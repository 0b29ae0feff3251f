"""Name of the machine a benchmark ran on, for the tables in ``docs/``."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import warp as wp

__all__ = ["machine_name"]


def machine_name(device: str = "cpu") -> str:
    """Processor, number of cores and, on CUDA, the GPU, with the versions that matter."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    gpu = f", {wp.get_device(device).name}" if wp.get_device(device).is_cuda else ""
    return f"{cpu}, {os.cpu_count()} cores{gpu}; Python {platform.python_version()}, Warp {wp.__version__}"
