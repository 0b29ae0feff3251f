"""What counts as too deep, one rule for synthesis, protocols and engines."""

from __future__ import annotations

__all__ = ["BEHIND_WALL", "TOO_DEEP"]

TOO_DEEP = 0.01
"""A hand deeper than this in the object, or in itself [m], is no grasp: the synthesis says so in the status, the protocols
fail it untested."""
BEHIND_WALL = 0.003
"""A hand further than this behind the wall [m] would hit it; the spheres that stand for its links are about as exact."""
