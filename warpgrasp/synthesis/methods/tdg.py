"""TDG (Chen et al. 2023) as GraspQP compares it (Zurbrügg et al. 2025): its energy in the same optimiser and constraints."""

from __future__ import annotations

import dataclasses

from warpgrasp.synthesis.energy_closure import WrenchBoundary
from warpgrasp.synthesis.methods import graspqp
from warpgrasp.synthesis.methods.registry import Method
from warpgrasp.synthesis.synthesize import SynthesisConfig

__all__ = ["METHODS"]

_BASE = graspqp.METHODS["graspqp-paper"].config


def _config(term: WrenchBoundary) -> SynthesisConfig:
    silent = dataclasses.replace(_BASE.energy.force_closure, weight=0.0)
    energy = dataclasses.replace(_BASE.energy, force_closure=silent, extra={"wrench_boundary": term})
    return dataclasses.replace(_BASE, energy=energy)


METHODS = {
    "tdg": Method(
        summary="Wrenches towards a thousand directions of force, every contact with the same share.",
        source="Chen et al. 2023; optimiser, weight and constraints of Zurbrügg et al. 2025",
        config=_config(WrenchBoundary()),
    ),
    "tdg-density": Method(
        summary="TDG with the forces of contacts that press the same way shared among them.",
        source="Chen et al. 2023, as in the released program of Zurbrügg et al. 2025",
        config=_config(WrenchBoundary(density=True)),
    ),
}
