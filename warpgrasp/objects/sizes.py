"""Sizes that a hand can grasp, and the unit a file was probably written in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["reach_advice", "unit_advice"]

UNITS = {"millimetres": 0.001, "centimetres": 0.01, "inches": 0.0254, "decimetres": 0.1, "feet": 0.3048}
"""Metres per unit of the files that people have."""
USUAL_SIZE = 0.1
"""Largest extent of an object that is held in one hand [m]; the unit that comes closest to it is the likely one."""


def unit_advice(largest: float, scale: float) -> str:
    """Which unit a file of too large numbers probably has, and the options that lead to grasps.

    Args:
        largest: Largest extent of the object as it was read [m].
        scale: Factor that was applied.
    """
    name = min(UNITS, key=lambda unit: abs(np.log(largest * UNITS[unit] / USUAL_SIZE)))
    after = largest * UNITS[name]
    return (
        f"looks like {name} ({1000.0 * after:.3g} mm then); pass --scale {scale * UNITS[name]:.4g}, or --target-size "
        "to bring it to hand size"
    )


def reach_advice(extent: NDArray[np.float64], reach: tuple[float, float]) -> str:
    """Why a hand cannot close on an object of this size, and what to do; empty where it can.

    Args:
        extent: Size of the bounding box [m], shape [3].
        reach: Smallest and largest distance between fingertips that face each other [m].
    """
    least, most = reach
    smallest, largest = float(np.min(extent)), float(np.max(extent))
    if not np.isfinite(least) or most <= 0.0:
        return ""
    if smallest > most:
        return (
            f"is at least {1000.0 * smallest:.0f} mm thick, and the fingertips of this hand open to {1000.0 * most:.0f} mm: "
            "only parts of it can be grasped. Pass --target-size, or --scale with the unit of the file."
        )
    if largest < 0.5 * least or largest < 0.02:
        return (
            f"is {1000.0 * largest:.3g} mm large, too small for most grasps of this hand. Pass --target-size, or --scale with "
            "the unit of the file."
        )
    return ""
