"""The ablations of GraspQP's Table 2 (Zurbrügg et al. 2025): ``graspqp-paper`` with one thing changed each."""

from __future__ import annotations

import dataclasses
from typing import Any

from warpgrasp.kernels.energies.singular_values import SingularValueForm
from warpgrasp.synthesis.energy_closure import IteratedClosure, MinimumNorm
from warpgrasp.synthesis.methods import graspqp
from warpgrasp.synthesis.methods.registry import Method
from warpgrasp.synthesis.optimizer import OptimizerMala

__all__ = ["METHODS"]

_BASE = graspqp.METHODS["graspqp-paper"].config
_CLOSURE = _BASE.energy.force_closure
_SHARED: dict[str, Any] = {name: getattr(_CLOSURE, name) for name in ("gain", "offset", "factor", "decay")}


def _ablation(summary: str, **changes: Any) -> Method:
    config = dataclasses.replace(_BASE, **changes)
    return Method(summary=f"GraspQP's paper {summary}", source="Zurbrügg et al. 2025, Table 2", config=config)


def _closure(term: Any) -> dict[str, Any]:
    """The energy with another closure term in place of the quadratic program."""
    silent = dataclasses.replace(_CLOSURE, weight=0.0)
    return {"energy": dataclasses.replace(_BASE.energy, force_closure=silent, extra={"closure": term})}


_NO_FACTOR = dataclasses.replace(_CLOSURE, factor=SingularValueForm.NONE)
_OPTIMIZER: Any = _BASE.optimizer

METHODS = {
    "graspqp-no-factor": _ablation(
        "without the factor of singular values.",
        energy=dataclasses.replace(_BASE.energy, force_closure=_NO_FACTOR),
    ),
    "graspqp-constrained": _ablation(
        "with weights of a fixed sum, its condition (ii).", **_closure(MinimumNorm(**_SHARED))
    ),
    "graspqp-softmax": _ablation(
        "with weights by eight steps of a softmax.", **_closure(IteratedClosure(form="softmax", **_SHARED))
    ),
    "graspqp-barrier": _ablation(
        "with bounds by eight steps of a log barrier.",
        **_closure(IteratedClosure(form="barrier", **_SHARED)),
    ),
    "graspqp-no-resets": _ablation(
        "without resets.", optimizer=dataclasses.replace(_OPTIMIZER, reset_threshold=1.0)
    ),
    "graspqp-no-scaling": _ablation(
        "without scaled temperatures.",
        optimizer=dataclasses.replace(_OPTIMIZER, temperature_scaling=False),
    ),
    "graspqp-mala": _ablation("with MALA.", optimizer=OptimizerMala(switch="every")),
}
