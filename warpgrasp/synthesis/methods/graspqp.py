"""GraspQP (Zurbrügg et al. 2025): ours, as in the paper, and as released."""

from __future__ import annotations

from warpgrasp.hands.grasp_type import PUBLISHED_RESET_THRESHOLD
from warpgrasp.kernels.energies.singular_values import SingularValueForm
from warpgrasp.kernels.qp.dual_newton import QpConfig
from warpgrasp.synthesis.closing_config import ClosingConfig
from warpgrasp.synthesis.controller_targets import TargetConfig
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.energy_released import ReleasedClosure
from warpgrasp.synthesis.energy_terms import ForceClosure, SelfPenetration, SpherePenetration
from warpgrasp.synthesis.methods.registry import Method
from warpgrasp.synthesis.optimizer import OptimizerMalaStar
from warpgrasp.synthesis.synthesize import SynthesisConfig

__all__ = ["METHODS"]

_PAPER = SynthesisConfig(
    step_count=7000,
    energy=EnergyConfig(
        force_closure=ForceClosure(factor=SingularValueForm.SUM, decay=1.0, offset=0.0),
        sphere_penetration=SpherePenetration(weight=0.0),
        self_penetration=SelfPenetration(weight=10.0, margin=0.0),
    ),
    optimizer=OptimizerMalaStar(switch="every", reset_threshold=PUBLISHED_RESET_THRESHOLD),
    closing=ClosingConfig(steps=0),
    targets=TargetConfig(squeeze="closing"),
)
_CODE = SynthesisConfig(
    step_count=7000,
    energy=EnergyConfig(
        force_closure=ForceClosure(weight=0.0, qp=QpConfig(upper=21.0)),
        extra={"released_closure": ReleasedClosure()},
        sphere_penetration=SpherePenetration(weight=0.0),
        self_penetration=SelfPenetration(weight=10.0, margin=0.0),
    ),
    optimizer=OptimizerMalaStar(switch="every", returned="last", reset_threshold=PUBLISHED_RESET_THRESHOLD),
    closing=ClosingConfig(steps=0),
    targets=TargetConfig(squeeze="closing"),
)

METHODS = {
    "graspqp": Method(
        summary="Force closure by a quadratic program with our constraints, schedule and last stage (default).",
        source="Zurbrügg et al. 2025; sphere penetration, margins, schedule, closing, targets and selection are ours",
        config=SynthesisConfig(candidates=0),
    ),
    "graspqp-paper": Method(
        summary="GraspQP as its paper states it, without terms of our own.",
        source="Zurbrügg et al. 2025, as published",
        config=_PAPER,
    ),
    "graspqp-code": Method(
        summary="GraspQP as its released program computes it.",
        source="Zurbrügg et al. 2025, as released",
        config=_CODE,
    ),
}
