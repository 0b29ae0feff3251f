"""Energy terms: what makes a grasp good, each a frozen dataclass of hyper-parameters with two methods.

Contract of a term (``EnergyTerm``):

- ``launch`` writes the *unweighted* energy of every grasp to ``energy`` [B] and adds ``weight`` times its derivatives to the
  state's accumulators: ``state.link_wrench`` for what acts on link poses (force and torque about the object origin),
  ``state.joint_force`` for what acts on joints directly. No allocation after the first call, no host read.
- ``launch_taped`` adds the same energy to ``energy`` [B] by kernels with recorded adjoints, discrete features frozen.

The problem owns kinematics, contact features and the weighted sum; a term reads them from the state and never recomputes
them. To add a term, write its class and give it one field of ``EnergyConfig``; a term of weight 0 is not launched.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from warpgrasp.synthesis.energy_optional import Approach, Manipulability, Wall, WrenchBalance
from warpgrasp.synthesis.energy_terms import (
    Distance,
    ForceClosure,
    JointLimits,
    Penetration,
    SelfPenetration,
    SpherePenetration,
)
from warpgrasp.synthesis.problem import EnergyTerm

__all__ = [
    "ENERGY_PRESETS",
    "EnergyConfig",
    "EnergyTerm",
]


@dataclass(frozen=True, kw_only=True)
class EnergyConfig:
    """The one list of energy terms, in the order of the columns of results; weight 0 leaves a term out."""

    force_closure: ForceClosure = field(default_factory=ForceClosure)
    """Force closure by quadratic program."""
    distance: Distance = field(default_factory=Distance)
    """Contacts touch the object."""
    penetration: Penetration = field(default_factory=Penetration)
    """The hand stays outside the object."""
    sphere_penetration: SpherePenetration = field(default_factory=SpherePenetration)
    """No finger hides inside the object."""
    self_penetration: SelfPenetration = field(default_factory=SelfPenetration)
    """The hand stays outside itself."""
    joint_limits: JointLimits = field(default_factory=JointLimits)
    """Joints stay in their range."""
    wrench_balance: WrenchBalance = field(default_factory=WrenchBalance)
    """DexGraspNet's force-closure surrogate."""
    wall: Wall = field(default_factory=Wall)
    """The hand stays in front of a plane."""
    approach: Approach = field(default_factory=Approach)
    """The palm looks in a preferred direction."""
    manipulability: Manipulability = field(default_factory=Manipulability)
    """Joints can press along the contact normals."""

    def __post_init__(self) -> None:
        for name, term in self._terms():
            if not math.isfinite(term.weight) or term.weight < 0.0:
                raise ValueError(f"energy.{name}.weight must be finite and not negative (got {term.weight})")

    def active_terms(self) -> dict[str, EnergyTerm]:
        """Name and term of every term whose weight is not zero, in order."""
        return {name: term for name, term in self._terms() if term.weight != 0.0}

    def _terms(self) -> list[tuple[str, EnergyTerm]]:
        return [(f.name, getattr(self, f.name)) for f in dataclasses.fields(self)]


def _dexgraspnet() -> EnergyConfig:
    """DexGraspNet: wrench balance and plain distance (Wang et al. 2023)."""
    return EnergyConfig(
        force_closure=ForceClosure(weight=0.0),
        wrench_balance=WrenchBalance(weight=1.0),
        distance=Distance(normal_weighted=False),
    )


def _gendexgrasp() -> EnergyConfig:
    """GenDexGrasp: DexGraspNet with the normal-weighted distance (P. Li et al. 2023)."""
    return dataclasses.replace(_dexgraspnet(), distance=Distance(normal_weighted=True))


ENERGY_PRESETS: dict[str, Callable[[], EnergyConfig]] = {
    "graspqp": EnergyConfig,
    "dexgraspnet": _dexgraspnet,
    "gendexgrasp": _gendexgrasp,
}
"""Named energies: ``graspqp`` (Zurbrügg et al. 2025), ``dexgraspnet`` (Wang et al. 2023) and ``gendexgrasp``
(P. Li et al. 2023)."""
