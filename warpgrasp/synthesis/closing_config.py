"""Options of the last stage of a synthesis."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from warpgrasp.base.ranges import check_numbers

__all__ = ["ClosingConfig"]


@dataclass(frozen=True, kw_only=True)
class ClosingConfig:
    """How the contacts of finished grasps are brought onto the object."""

    steps: int = 16
    """Damped least-squares steps; 0 leaves the grasps as the optimiser has made them."""
    reach: float = 0.012
    """Contacts at most this far from the object are brought to it [m]."""
    touching: float = 0.001
    """Contacts at most this far from the object touch it [m]."""
    allowance: float = 0.0001
    """Depth of the hand in the object that the steps accept [m]; half of the variants accept twice as much."""
    slides: int = 2
    """How often, in half of the variants, contacts that do not touch move to a candidate that does."""
    spacing: float = 0.005
    """Distance that a contact that slides keeps from the others [m]."""

    def __post_init__(self) -> None:
        check_numbers(self, "closing")

    def variants(self) -> tuple[ClosingConfig, ...]:
        """The variants in the order of preference."""
        still = dataclasses.replace(self, slides=0)
        first = (still, self) if self.slides else (still,)
        return (*first, *(dataclasses.replace(variant, allowance=2.0 * self.allowance) for variant in first))
