"""Checks of a hand asset, by :func:`check_hand` and as ``python -m warpgrasp.hands.check HAND``."""

from warpgrasp.hands.check.asset import Finding, check_hand

__all__ = ["Finding", "check_hand"]
