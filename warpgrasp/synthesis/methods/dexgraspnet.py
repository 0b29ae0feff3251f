"""DexGraspNet (Wang et al. 2023) and GenDexGrasp (P. Li et al. 2023): the balance of frictionless unit forces."""

from __future__ import annotations

import dataclasses

from warpgrasp.synthesis.closing_config import ClosingConfig
from warpgrasp.synthesis.controller_targets import TargetConfig
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.energy_optional import WrenchBalance
from warpgrasp.synthesis.energy_terms import Distance, ForceClosure, SelfPenetration, SpherePenetration
from warpgrasp.synthesis.methods.registry import Method
from warpgrasp.synthesis.optimizer import OptimizerMala
from warpgrasp.synthesis.seeds import InitializeConfig
from warpgrasp.synthesis.synthesize import SynthesisConfig

__all__ = ["METHODS"]

_ENERGY = EnergyConfig(
    force_closure=ForceClosure(weight=0.0),
    wrench_balance=WrenchBalance(weight=1.0),
    distance=Distance(normal_weighted=False),
    sphere_penetration=SpherePenetration(weight=0.0),
    self_penetration=SelfPenetration(weight=10.0, margin=0.0),
)
_DEXGRASPNET = SynthesisConfig(
    contact_count=4,
    step_count=6000,
    energy=_ENERGY,
    optimizer=OptimizerMala(switch="every", switch_probability=0.5, returned="last", reference_steps=6000),
    initialize=InitializeConfig(inflation=0.2, distance_lower=0.4, distance_upper=0.5, pitch=21.0, tilt=21.0),
    closing=ClosingConfig(steps=0),
    targets=TargetConfig(squeeze="descent"),
)
_GENDEXGRASP = dataclasses.replace(
    _DEXGRASPNET, energy=dataclasses.replace(_ENERGY, distance=Distance(normal_weighted=True))
)

METHODS = {
    "dexgraspnet": Method(
        summary="Four frictionless unit forces in balance and plain distances, annealed by MALA.",
        source="Wang et al. 2023",
        config=_DEXGRASPNET,
    ),
    "gendexgrasp": Method(
        summary="DexGraspNet with distances weighted by the normals.",
        source="P. Li et al. 2023",
        config=_GENDEXGRASP,
    ),
}
