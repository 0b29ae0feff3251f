"""The command ``python -m warpgrasp.evaluate``."""
