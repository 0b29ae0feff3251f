"""Faces of simple convex parts, in the notation of the hands' ``geometry.py``.

A face is ``(nx, ny, nz, offset)``: outward normal in the link frame and its distance from the origin in mm.
"""

from __future__ import annotations

import math

__all__ = ["Face", "cone", "cuboid", "prism"]

Face = tuple[float, float, float, float]


def prism(radius: float, low: float, high: float, *, sides: int = 16) -> tuple[Face, ...]:
    """Regular prism along z that stands for a cylinder: its corners stand out as far as its faces lie inside.

    Args:
        radius: Of the cylinder [mm].
        low: Where it starts along z [mm].
        high: Where it ends [mm].
        sides: Number of side faces.
    """
    narrow = math.cos(math.pi / sides)
    apothem = 2.0 * radius * narrow / (1.0 + narrow)
    angle = [2.0 * math.pi * (k + 0.5) / sides for k in range(sides)]
    return (
        (0.0, 0.0, 1.0, high),
        (0.0, 0.0, -1.0, -low),
        *((math.cos(a), math.sin(a), 0.0, apothem) for a in angle),
    )


def cone(
    narrow: float, narrow_height: float, wide: float, wide_height: float, *, sides: int = 12
) -> tuple[Face, ...]:
    """Side faces of a cone around y, through two circles: their radii and heights [mm]; its ends stay open."""
    slope = (wide - narrow) / (wide_height - narrow_height)
    length = math.hypot(1.0, slope)
    offset = (narrow - slope * narrow_height) / length
    angle = [2.0 * math.pi * (k + 0.5) / sides for k in range(sides)]
    return tuple((math.cos(a) / length, -slope / length, math.sin(a) / length, offset) for a in angle)


def cuboid(
    x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], *cuts: Face
) -> tuple[Face, ...]:
    """Box between two values along each axis [mm], with edges or corners cut off by further faces."""
    return (
        (1.0, 0.0, 0.0, x[1]),
        (-1.0, 0.0, 0.0, -x[0]),
        (0.0, 1.0, 0.0, y[1]),
        (0.0, -1.0, 0.0, -y[0]),
        (0.0, 0.0, 1.0, z[1]),
        (0.0, 0.0, -1.0, -z[0]),
        *cuts,
    )
