"""Energy terms and totals whose values and gradients are tested, their float64 references, and the comparison of the two.

Random states: hands around and partly inside the objects, joints up to 10 % beyond their limits. Annealed states: what a short
run ends with, contacts on the surface. Tolerance 1e-2 (measured: 5e-5).

A difference quotient across a kink (a sphere pair that starts to touch, a joint at its limit) is no derivative. Such
components are found in the oracle itself, by two step sizes that disagree, left out of the comparison, and counted: at most
2 % of all components may be left out.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

import numpy as np
import warp as wp
from cases import Variables, annealed_variables, make_problem, random_variables, state_of
from central_differences import Difference, central_difference
from numpy.typing import NDArray
from oracle import oracle_of

from warpgrasp.kernels.energies.singular_values import SingularValueForm
from warpgrasp.kernels.qp.dual_newton import QpConfig
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.energy_optional import Approach, Manipulability, Wall, WrenchBalance
from warpgrasp.synthesis.energy_terms import (
    Distance,
    ForceClosure,
    JointLimits,
    Penetration,
    SelfPenetration,
    SpherePenetration,
)
from warpgrasp.synthesis.methods import exchange_closure, method_config
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.state import GraspState

__all__ = [
    "CASES",
    "CONVEX_HANDS",
    "KINDS",
    "LENGTH",
    "MAY_VANISH",
    "TOTALS",
    "FloatArray",
    "assert_close",
    "difference_of",
    "grasp_count_of",
    "reference",
    "taped",
    "total_of",
    "variables_of",
]

FloatArray = NDArray[np.float64]

TOLERANCE = 1e-2
KINK_SHARE = 0.02
LENGTH = 0.05  # m; makes translations comparable with angles
KINDS = ("random", "annealed")
CONVEX_HANDS = ("robotiq_3f", "ability_hand")  # all of convex meshes, the kind with the most culling

# case -> (field of EnergyConfig, term)
CASES: dict[str, tuple[str, Any]] = {
    "force_closure": ("force_closure", ForceClosure()),
    "force_closure_sum": ("force_closure", ForceClosure(factor=SingularValueForm.SUM, decay=1.0)),
    "force_closure_paper_code": (
        "force_closure",
        ForceClosure(edge_count=8, factor=SingularValueForm.NONE, qp=QpConfig(upper=21.0), friction=0.5),
    ),
    "distance": ("distance", Distance()),
    "distance_plain": ("distance", Distance(normal_weighted=False)),
    "penetration": ("penetration", Penetration()),
    "sphere_penetration": ("sphere_penetration", SpherePenetration()),
    "sphere_penetration_apart": ("sphere_penetration", SpherePenetration(allowance=-0.01)),
    "self_penetration": ("self_penetration", SelfPenetration()),
    "self_penetration_touching": ("self_penetration", SelfPenetration(margin=0.0)),
    "joint_limits": ("joint_limits", JointLimits()),
    "wrench_balance": ("wrench_balance", WrenchBalance(weight=1.0)),
    "wrench_balance_5": ("wrench_balance", WrenchBalance(weight=0.5, torque_weight=5.0)),
    "wall": ("wall", Wall(weight=100.0)),
    "wall_tilted": ("wall", Wall(weight=10.0, normal=(0.3, -0.5, 2.0), offset=-0.02)),
    "approach": ("approach", Approach(weight=3.0, direction=(0.2, 1.0, -0.4))),
    "manipulability": ("manipulability", Manipulability(weight=2.0)),
}
# What must be exercised by the random states and what an annealed grasp has none of.
MAY_VANISH = {
    "annealed": ("sphere_penetration", "self_penetration", "self_penetration_touching", "joint_limits")
}

TOTALS: dict[str, tuple[EnergyConfig, dict[str, str]]] = {
    "graspqp": (EnergyConfig(), {}),
    "dexgraspnet": (
        exchange_closure(EnergyConfig(), method_config("dexgraspnet").energy),
        {"distance": "distance_plain"},
    ),
    "gendexgrasp": (exchange_closure(EnergyConfig(), method_config("gendexgrasp").energy), {}),
    "everything": (
        EnergyConfig(
            force_closure=dataclasses.replace(CASES["force_closure_sum"][1], weight=2.0),
            wrench_balance=CASES["wrench_balance_5"][1],
            wall=CASES["wall_tilted"][1],
            approach=CASES["approach"][1],
            manipulability=CASES["manipulability"][1],
        ),
        {
            "force_closure": "force_closure_sum",
            "wrench_balance": "wrench_balance_5",
            "wall": "wall_tilted",
        },
    ),
}


def grasp_count_of(kind: str) -> int:
    return 2 if kind == "random" else 1


@lru_cache(maxsize=8)
def variables_of(hand: str, kind: str) -> Variables:
    problem = make_problem(hand, grasp_count=grasp_count_of(kind))
    make = random_variables if kind == "random" else annealed_variables
    return make(problem, 1)


@lru_cache(maxsize=8)
def reference(hand: str, kind: str) -> list[Difference]:
    """Oracle values and central differences of all cases, one entry per grasp; built once for all tests."""
    problem = make_problem(hand, grasp_count=grasp_count_of(kind))
    state = state_of(problem, variables_of(hand, kind))
    return [difference_of(problem, state, grasp) for grasp in range(problem.batch_size)]


def difference_of(
    problem: GraspProblem,
    state: GraspState,
    grasp: int,
    *,
    features: GraspState | None = None,
    point: FloatArray | None = None,
) -> Difference:
    point = np.zeros(6 + problem.hand.dof_count) if point is None else point
    oracle = oracle_of(problem, state, grasp, features=features, frozen_at=point)

    def energies(increment: FloatArray) -> dict[str, float]:
        posed = oracle.pose(increment)
        return {name: oracle.energy(term, posed) for name, (_, term) in CASES.items()}

    return central_difference(energies, point)


def taped(
    problem: GraspProblem, state: GraspState, increment: NDArray[Any] | None = None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Total energy [B] and its gradient [B, 6 + J] on a ``wp.Tape``."""
    value = np.zeros(state.gradient.shape) if increment is None else increment
    device_increment = wp.array(value.astype(np.float32), dtype=wp.float32, device="cpu", requires_grad=True)
    tape = wp.Tape()
    with tape:
        energy = problem.evaluate_taped(state, device_increment)
    tape.backward(grads={energy: wp.ones_like(energy)})
    return energy.numpy(), device_increment.grad.numpy()


def assert_close(
    energy: NDArray[Any],
    gradient: NDArray[Any],
    value: FloatArray,
    slope: FloatArray,
    kink: NDArray[np.bool_],
    *,
    tolerance: float = TOLERANCE,
) -> None:
    """Values [B], and gradients [B, 6 + J] norm-wise per grasp in each of translation, rotation and joints.

    A block that hardly counts is measured against a tenth of the whole gradient, not against itself.
    """
    np.testing.assert_allclose(energy, value, rtol=1e-3, atol=1e-3 * float(np.abs(value).max()) + 1e-9)
    assert kink.mean() <= KINK_SHARE, f"{kink.sum()} of {kink.size} components lie on kinks"
    scale = np.where(np.arange(slope.shape[1]) < 3, LENGTH, 1.0) * ~kink
    for grasp in range(len(value)):
        whole = np.linalg.norm(slope[grasp] * scale[grasp])
        for block in (slice(0, 3), slice(3, 6), slice(6, None)):
            difference = np.linalg.norm(((gradient - slope)[grasp] * scale[grasp])[block])
            size = max(np.linalg.norm((slope[grasp] * scale[grasp])[block]), 0.1 * whole)
            assert difference <= tolerance * size + 1e-6, (grasp, block, difference, size)


def total_of(differences: list[Difference], name: str) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Weighted sum of the oracle's terms: values, gradients, kinks of any term that takes part."""
    config, renamed = TOTALS[name]
    terms = [(renamed.get(field, field), term.weight) for field, term in config.active_terms().items()]
    value = sum(weight * np.array([d.value[case] for d in differences]) for case, weight in terms)
    slope = sum(weight * np.array([d.gradient[case] for d in differences]) for case, weight in terms)
    kink = np.any([[d.kink[case] for d in differences] for case, _ in terms], axis=0)
    return np.asarray(value), np.asarray(slope), kink
