"""Central differences of several functions at once, with the components marked where a difference is no derivative."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Difference", "central_difference"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """Value and central-difference gradient of several functions of one vector."""

    value: dict[str, float]
    gradient: dict[str, FloatArray]
    kink: dict[str, NDArray[np.bool_]]
    """Components whose difference quotients at two step sizes disagree: a max or an active set switches inside the step."""


def central_difference(
    functions: Callable[[FloatArray], Mapping[str, float]],
    point: FloatArray,
    *,
    step: float = 2e-6,
    tolerance: float = 1e-4,
) -> Difference:
    """Central differences with ``step`` and ``step / 4``; a component where both disagree is marked as a kink.

    ``tolerance`` is relative to the largest component of a function's gradient.
    """
    value = dict(functions(point))
    coarse = {name: np.zeros(len(point)) for name in value}
    fine = {name: np.zeros(len(point)) for name in value}
    for target, size in ((coarse, step), (fine, 0.25 * step)):
        for axis in range(len(point)):
            offset = np.zeros(len(point))
            offset[axis] = size
            above, below = functions(point + offset), functions(point - offset)
            for name in value:
                target[name][axis] = (above[name] - below[name]) / (2.0 * size)
    kink = {
        name: np.abs(coarse[name] - fine[name]) > tolerance * max(np.abs(coarse[name]).max(), 1e-9)
        for name in value
    }
    return Difference(value, coarse, kink)
