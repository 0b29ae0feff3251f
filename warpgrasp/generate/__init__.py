"""The command ``python -m warpgrasp.generate``."""
