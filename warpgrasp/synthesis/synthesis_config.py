"""Everything that decides the grasps of a synthesis, beside the hand and the objects."""

from __future__ import annotations

from dataclasses import dataclass, field

from warpgrasp.base.ranges import NumberRange, check_numbers
from warpgrasp.synthesis.closing_config import ClosingConfig
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.optimizer import OptimizerMalaFast
from warpgrasp.synthesis.optimizer_contract import Optimizer
from warpgrasp.synthesis.seeds import InitializeConfig
from warpgrasp.synthesis.target_config import TargetConfig

__all__ = ["SynthesisConfig"]

_POWER_CANDIDATES, _OTHER_CANDIDATES = 2, 4  # for a grasp kept, where the configuration says 0


@dataclass(frozen=True, kw_only=True)
class SynthesisConfig:
    """Everything that decides the grasps, beside the hand and the objects."""

    method: str = "graspqp"
    """Name of the method that the values come from, see ``warpgrasp.synthesis.methods``; recorded, decides nothing."""
    grasp_type: str = "power"
    """One of the hand's grasp types: power, precision, pinch."""
    contact_count: int = 12
    """Active contacts per grasp."""
    grasp_count: int = 32
    """Grasps per object."""
    candidates: int = 1
    """Grasps that are synthesised for each one kept; the best are kept, see :meth:`~warpgrasp.grasps.GraspSet.order`. 0 takes 2
    for power grasps and 4 for all others, whose chains end badly more often."""
    step_count: int = 1500
    """Optimiser steps; periods scale with it."""
    sample_count: int = 2500
    """Object surface samples of the penetration term."""
    seed: int = 0
    """Seed of all random numbers."""
    device: str = "auto"
    """Warp device: auto, cpu, cuda, cuda:1, ..."""
    energy: EnergyConfig = field(default_factory=EnergyConfig)
    """Energy terms and weights."""
    optimizer: Optimizer = field(default_factory=OptimizerMalaFast)
    """Optimiser and its hyper-parameters; your own, see ``warpgrasp.synthesis.optimizer_contract``."""
    initialize: InitializeConfig = field(default_factory=InitializeConfig)
    """Distribution of the seed grasps."""
    closing: ClosingConfig = field(default_factory=ClosingConfig)
    """How the contacts of finished grasps are brought onto the object."""
    targets: TargetConfig = field(default_factory=TargetConfig)
    """Pregrasp and squeeze."""

    def __post_init__(self) -> None:
        at_least_one = NumberRange(lower=1.0)
        check_numbers(
            self,
            "",
            contact_count=NumberRange(lower=1.0, upper=64.0),
            grasp_count=at_least_one,
            candidates=NumberRange(lower=0.0),
            step_count=at_least_one,
            sample_count=at_least_one,
        )
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must be in [0, 2^63) (got {self.seed})")

    @property
    def candidate_count(self) -> int:
        """Grasps per object that are synthesised."""
        own = _POWER_CANDIDATES if self.grasp_type == "power" else _OTHER_CANDIDATES
        return self.grasp_count * (self.candidates or own)
