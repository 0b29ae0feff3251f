"""The quadratic program that BODex (Chen et al. 2025) starts from: the least wrench that contact forces of sum 1 leave.

It has no target wrench, so that it sees whether forces balance and not whether they resist. Here it stands in the optimiser and
constraints of GraspQP, so that it is the energy that is compared; ``--method bodex`` is the whole system.
"""

from __future__ import annotations

import dataclasses

from warpgrasp.kernels.energies.singular_values import SingularValueForm
from warpgrasp.synthesis.energy_closure import MinimumNorm
from warpgrasp.synthesis.methods import graspqp
from warpgrasp.synthesis.methods.registry import Method

__all__ = ["METHODS"]

_BASE = graspqp.METHODS["graspqp-paper"].config
_FRICTION, _EDGES = 0.1, 8
_TERM = MinimumNorm(
    weight=100.0,
    friction=_FRICTION,
    edge_count=_EDGES,
    total=MinimumNorm.per_normal_force(_FRICTION, _EDGES),
    gain=2.0,
    offset=0.0,
    factor=SingularValueForm.NONE,
)

METHODS = {
    "qp-base": Method(
        summary="Contact forces of sum one that leave the least wrench, without a factor.",
        source="Chen et al. 2025 (BODex), beta = 0; optimiser and constraints of Zurbrügg et al. 2025",
        config=dataclasses.replace(
            _BASE,
            energy=dataclasses.replace(
                _BASE.energy,
                force_closure=dataclasses.replace(_BASE.energy.force_closure, weight=0.0),
                extra={"minimum_norm": _TERM},
            ),
        ),
    ),
}
