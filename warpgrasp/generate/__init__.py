"""The command ``python -m warpgrasp.generate``."""

import time

__all__ = ["STARTED"]

STARTED = time.perf_counter()
"""Clock [s] when the command began to import what it needs."""
