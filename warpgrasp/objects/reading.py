"""What is decided about a mesh file before it is an object: which way is up, which of its bodies count, what closes it.

The defaults decide nothing: what has no inside, or falls apart, is refused. Every decision is one sentence in the object's
``repairs``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from warpgrasp.base.ranges import check_numbers

__all__ = ["Reading"]

DEFAULT_GAP = 0.001
"""Gaps [m] that ``parts="join"`` closes where no width is given."""
_TURNS: dict[str, list[list[float]]] = {
    "x": [[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]],
    "y": [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]],
}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a mesh file becomes an object.

    Raises:
        ValueError: A value out of range, or two that exclude each other.
    """

    up: Literal["x", "y", "z"] = "z"
    """Axis of the file that points up; the object is turned so that it becomes z."""
    parts: Literal["touching", "join", "largest", "separate"] = "touching"
    """Bodies that do not touch: touching refuses them, join closes the gaps between them, largest keeps the largest one,
    separate makes an object of each."""
    join_gap: float = 0.0
    """Width [m] of the gaps that are closed, on a grid; 0 stands for 1 mm with --parts join."""
    open_shells: Literal["refuse", "close"] = "refuse"
    """Surfaces with large holes: close lets the winding number tell inside from outside, on a grid."""
    sheet_thickness: float = 0.0
    """Thickness [m] that surfaces without a volume get, on a grid; 0 refuses them."""

    def __post_init__(self) -> None:
        check_numbers(self, "")
        if self.join_gap and self.parts not in ("touching", "join"):
            raise ValueError(
                f"join_gap ({self.join_gap:g} m) closes gaps, parts={self.parts!r} keeps them; give one of both"
            )

    @property
    def gap(self) -> float:
        """Width of the gaps that are closed [m]; 0 closes none."""
        return self.join_gap or (DEFAULT_GAP if self.parts == "join" else 0.0)

    def turned(self, vertices: NDArray[np.float64]) -> NDArray[np.float64]:
        """Vertices [V, 3] with z up."""
        return vertices @ np.array(_TURNS[self.up]).T if self.up in _TURNS else vertices

    def changes(self) -> dict[str, Any]:
        """Fields that are not at their defaults, as files keep them."""
        entries = (
            (entry.name, getattr(self, entry.name), entry.default) for entry in dataclasses.fields(self)
        )
        return {name: value for name, value, default in entries if value != default}

    @classmethod
    def of(cls, changes: Any) -> Reading:
        """The reading that :meth:`changes` describes; the default one for anything else than a mapping.

        Raises:
            ValueError: An entry that is not known, or a value out of range.
        """
        if not isinstance(changes, Mapping):
            return cls()
        known = {entry.name: entry.default for entry in dataclasses.fields(cls)}
        for name, value in changes.items():
            if name not in known or isinstance(value, str) != isinstance(known[name], str):
                raise ValueError(f"{name}={value!r:.80} is nothing that decides how a mesh is read")
        return cls(**changes)
