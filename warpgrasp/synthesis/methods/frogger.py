"""FRoGGeR (A. H. Li et al. 2023): the minimum weight of the contact forces, as a constraint of fingertips or as an energy.

The original maximises the minimum weight of one grasp by sequential quadratic programming, with contacts on the surface, joint
limits and distances as constraints, and starts again until the weight is at least 0.3. Here a batch is annealed: the
constraint is an exact penalty (the hinge), and the last stage puts the fingertips on the surface.
"""

from __future__ import annotations

from warpgrasp.synthesis.energy_closure import MinimumWeight
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.energy_terms import ForceClosure
from warpgrasp.synthesis.methods.registry import Method
from warpgrasp.synthesis.optimizer import OptimizerMalaStar
from warpgrasp.synthesis.synthesize import SynthesisConfig

__all__ = ["METHODS"]


def _config(term: MinimumWeight, grasp_type: str, contact_count: int) -> SynthesisConfig:
    energy = EnergyConfig(
        force_closure=ForceClosure(weight=0.0, friction=term.friction), extra={"minimum_weight": term}
    )
    return SynthesisConfig(
        step_count=7000,
        energy=energy,
        optimizer=OptimizerMalaStar(),
        grasp_type=grasp_type,
        contact_count=contact_count,
    )


METHODS = {
    "frogger": Method(
        summary="Fingertips whose minimum weight is at least 0.3, a constraint.",
        source="A. H. Li et al. 2023; a penalty in an annealed batch instead of sequential quadratic programs",
        config=_config(MinimumWeight(sharpness=0.0, weight=50.0), "precision", 3),
    ),
    "frogger-energy": Method(
        summary="Minimum weight as a smooth energy of contacts on the whole hand.",
        source="A. H. Li et al. 2023; the energy form is ours",
        config=_config(MinimumWeight(weight=50.0, torque_weight=5.0), "power", 12),
    ),
}
