"""Options of what a controller is told beside the grasp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from warpgrasp.base.ranges import POSITIVE, NumberRange, check_numbers

__all__ = ["TargetConfig"]

_OPENING_LIMIT = 100_000  # pregrasps that are tried one after the other


@dataclass(frozen=True, kw_only=True)
class TargetConfig:
    """Pregrasp and squeeze targets."""

    squeeze: Literal["balanced", "closure", "closing", "descent"] = "balanced"
    """balanced presses evenly with the contacts that touch and leaves no wrench on the object; closure takes the forces of the
    force-closure program, whatever wrench they leave. Published rules that move the joints instead: closing brings all contacts
    along the inward normals at once (GraspQP), descent moves every touching link by its own Jacobian (DexGraspNet)."""
    squeeze_effort: float = 1.0
    """Largest joint torque of ``J^T f`` as a fraction of its effort limit; above 1 joints are bounded by their limits, and
    forces lose their balance."""
    squeeze_friction: float = 0.3
    """Coulomb coefficient that balanced forces may use."""
    squeeze_reach: float = 0.01
    """Contacts at least this far from the object carry no balanced force [m]."""
    pregrasp: Literal["open", "approach"] = "open"
    """open: fingers open just clear of the object, the root stays within ``root_reach``, so that they come back together and
    do not knock the object away. approach: joints blended towards the opening pose and the hand drawn back along its palm, for
    an arm that brings the open hand to the object."""
    clearance: float = 0.005
    """Least distance of the pregrasp hand to the object [m]."""
    root_reach: float = 0.01
    """Largest way of the root between pregrasp and grasp with ``open`` [m]."""
    opening_steps: int = 30
    """open: small steps of at most 0.08 rad; approach: blends towards the opening pose that are tried: 0, 1/n, ..., 1."""
    retreat: float = 0.16
    """approach: largest retreat along the palm normal that is tried [m]. Measured for the Barrett hand, the 2F-140 and
    the converted hands with long fingers: 0.16 clears 8 of 8 pregrasps, 0.08 at most 6 of 8."""
    retreat_step: float = 0.01
    """approach: step between retreats that are tried [m]."""
    withdrawal: float = 0.0
    """How far waypoints for an arm lead away from the pregrasp, back along the palm [m], at most 1; 0 writes none."""
    waypoints: int = 8
    """Number of waypoints where there are any, at most 100."""

    def __post_init__(self) -> None:
        if self.squeeze not in ("balanced", "closure", "closing", "descent"):
            raise ValueError(
                f"targets.squeeze must be balanced, closure, closing or descent (got {self.squeeze!r})"
            )
        if self.pregrasp not in ("open", "approach"):
            raise ValueError(f"targets.pregrasp must be open or approach (got {self.pregrasp!r})")
        positive = dict.fromkeys(("squeeze_reach", "opening_steps", "retreat_step"), POSITIVE)
        within_reach = NumberRange(upper=1.0)  # of an arm [m]: each millimetre is a step of the search
        waypoints = NumberRange(lower=1.0, upper=100.0)
        check_numbers(self, "targets", withdrawal=within_reach, waypoints=waypoints, **positive)
        tried = (self.opening_steps + 1) * (self.retreat / self.retreat_step + 1)
        if tried > _OPENING_LIMIT:
            raise ValueError(
                f"targets.opening_steps and targets.retreat / retreat_step try {tried:.3g} pregrasps of each grasp, "
                f"at most {_OPENING_LIMIT} are allowed; take coarser steps"
            )
