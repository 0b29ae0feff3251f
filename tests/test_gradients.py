"""Values and gradients of every energy term, hand-derived and taped, against float64 central differences of the oracle.

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
import pytest
import warp as wp
from cases import (
    HANDS,
    Variables,
    annealed_variables,
    example_objects,
    make_problem,
    only,
    random_variables,
    state_of,
)
from numpy.typing import NDArray
from oracle import (
    Difference,
    central_difference,
    closest_on_mesh,
    oracle_of,
    solve_box_qp,
    wrench_matrix,
)
from scipy.optimize import lsq_linear
from scipy.spatial.transform import Rotation

from warpgrasp.energy import ENERGY_PRESETS, EnergyConfig
from warpgrasp.energy_optional import Approach, Manipulability, Wall, WrenchBalance
from warpgrasp.energy_terms import (
    Distance,
    ForceClosure,
    JointLimits,
    Penetration,
    SelfPenetration,
    SpherePenetration,
)
from warpgrasp.hands import hand_names
from warpgrasp.kernels.qp import QpConfig, QpSolver
from warpgrasp.kernels.singular_values import SingularValueForm
from warpgrasp.problem import GraspProblem, GraspState

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


@lru_cache(maxsize=8)
def variables_of(hand: str, kind: str) -> Variables:
    problem = make_problem(hand, grasp_count=_grasp_count(kind))
    make = random_variables if kind == "random" else annealed_variables
    return make(problem, 1)


@lru_cache(maxsize=8)
def reference(hand: str, kind: str) -> list[Difference]:
    """Oracle values and central differences of all cases, one entry per grasp; built once for all tests."""
    problem = make_problem(hand, grasp_count=_grasp_count(kind))
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


def _grasp_count(kind: str) -> int:
    return 2 if kind == "random" else 1


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


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_term(hand: str, kind: str, case: str) -> None:
    field, term = CASES[case]
    problem = make_problem(hand, grasp_count=_grasp_count(kind), energy=only(**{field: term}))
    state = state_of(problem, variables_of(hand, kind))
    differences = reference(hand, kind)
    value = np.array([difference.value[case] for difference in differences])
    slope = term.weight * np.array([difference.gradient[case] for difference in differences])
    kink = np.array([difference.kink[case] for difference in differences])
    if case not in MAY_VANISH.get(kind, ()):
        assert np.abs(slope).max() > 1e-3, "the states do not exercise this term"

    assert problem.term_names == (field,)
    assert_close(state.energy_terms.numpy()[0], state.gradient.numpy(), value, slope, kink)
    np.testing.assert_allclose(state.energy.numpy(), term.weight * state.energy_terms.numpy()[0], rtol=1e-6)
    assert_close(*taped(problem, state), term.weight * value, slope, kink)


TOTALS: dict[str, tuple[EnergyConfig, dict[str, str]]] = {
    "graspqp": (ENERGY_PRESETS["graspqp"](), {}),
    "dexgraspnet": (ENERGY_PRESETS["dexgraspnet"](), {"distance": "distance_plain"}),
    "gendexgrasp": (ENERGY_PRESETS["gendexgrasp"](), {}),
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


def total_of(differences: list[Difference], name: str) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Weighted sum of the oracle's terms: values, gradients, kinks of any term that takes part."""
    config, renamed = TOTALS[name]
    terms = [(renamed.get(field, field), term.weight) for field, term in config.active_terms()]
    value = sum(weight * np.array([d.value[case] for d in differences]) for case, weight in terms)
    slope = sum(weight * np.array([d.gradient[case] for d in differences]) for case, weight in terms)
    kink = np.any([[d.kink[case] for d in differences] for case, _ in terms], axis=0)
    return np.asarray(value), np.asarray(slope), kink


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TOTALS)
def test_total(hand: str, kind: str, name: str) -> None:
    problem = make_problem(hand, grasp_count=_grasp_count(kind), energy=TOTALS[name][0])
    state = state_of(problem, variables_of(hand, kind))
    value, slope, kink = total_of(reference(hand, kind), name)
    assert_close(state.energy.numpy(), state.gradient.numpy(), value, slope, kink)
    assert_close(*taped(problem, state), value, slope, kink)


@pytest.mark.parametrize("hand", [name for name in hand_names() if name not in HANDS])
def test_every_other_shipped_hand(hand: str) -> None:
    """One clenched grasp with all terms on: every term's value, and the gradient of their sum."""
    config, renamed = TOTALS["everything"]
    problem = make_problem(hand, example_objects(1), grasp_count=1, contact_count=6, energy=config)
    state = state_of(problem, random_variables(problem, 2))
    differences = [difference_of(problem, state, 0)]
    for row, field in enumerate(problem.term_names):
        expected = differences[0].value[renamed.get(field, field)]
        assert state.energy_terms.numpy()[row, 0] == pytest.approx(expected, rel=1e-3, abs=1e-6), field
    value, slope, kink = total_of(differences, "everything")
    assert_close(state.energy.numpy(), state.gradient.numpy(), value, slope, kink)
    assert_close(*taped(problem, state), value, slope, kink)


@pytest.mark.parametrize("hand", HANDS)
def test_tape_away_from_zero_increment(hand: str) -> None:
    """The tape's gradient at an increment that is not zero: the adjoint of the retraction itself."""
    problem = make_problem(hand, example_objects(1), grasp_count=2, energy=TOTALS["everything"][0])
    variables = random_variables(problem, 4)
    state = state_of(problem, variables)
    rng = np.random.default_rng(0)
    increment = rng.uniform(-1.0, 1.0, state.gradient.shape) * (
        [0.01] * 3 + [0.7] * 3 + [0.1] * (problem.hand.dof_count)
    )
    energy, gradient = taped(problem, state, increment)

    turn = Rotation.from_quat(variables.root_pose[:, 3:]) * Rotation.from_rotvec(increment[:, 3:6])
    moved_pose = np.concatenate([variables.root_pose[:, :3] + increment[:, :3], turn.as_quat()], axis=1)
    moved = state_of(
        problem, Variables(moved_pose, variables.joint_position + increment[:, 6:], variables.contact_index)
    )
    increment = increment.astype(np.float32).astype(np.float64)
    differences = [
        difference_of(problem, state, grasp, features=moved, point=increment[grasp]) for grasp in range(2)
    ]
    assert_close(energy, gradient, *total_of(differences, "everything"))


def test_second_solver_and_warm_start_change_nothing() -> None:
    """Projected gradient and a warm-started second evaluation give the same energies and gradients."""
    variables = variables_of("allegro", "random")
    problem = make_problem(energy=only(force_closure=ForceClosure()))
    state = state_of(problem, variables)
    cold = state.energy.numpy(), state.gradient.numpy()
    problem.evaluate(state)
    other = make_problem(
        energy=only(force_closure=ForceClosure(qp=QpConfig(solver=QpSolver.PROJECTED_GRADIENT)))
    )
    second = state_of(other, variables)
    for energy, gradient in (
        (state.energy.numpy(), state.gradient.numpy()),
        (second.energy.numpy(), second.gradient.numpy()),
    ):
        np.testing.assert_allclose(energy, cold[0], rtol=1e-4)
        np.testing.assert_allclose(gradient, cold[1], atol=1e-3 * np.abs(cold[1]).max())


def test_idle_joints_are_held_by_their_limits() -> None:
    """In a pinch, the joint-limit energy measures the distance of idle joints from their idle position."""
    objects = example_objects(1)
    case = only(joint_limits=JointLimits(weight=3.0))
    problem = make_problem("allegro", objects, contact_count=4, grasp_type="pinch", energy=case)
    idle = problem.grasp_type.idle_joint_position
    assert idle
    state = state_of(problem, random_variables(problem, 2))
    differences = [difference_of(problem, state, grasp) for grasp in range(2)]
    value = np.array([d.value["joint_limits"] for d in differences])
    slope = 3.0 * np.array([d.gradient["joint_limits"] for d in differences])
    kink = np.array([d.kink["joint_limits"] for d in differences])
    columns = [6 + problem.hand.joint_names.index(name) for name in idle]
    assert np.all(np.abs(slope[:, columns]) == pytest.approx(3.0))
    assert_close(state.energy_terms.numpy()[0], state.gradient.numpy(), value, slope, kink)


def test_evaluation_leaves_no_trace() -> None:
    """Accumulators are consumed: a second evaluation of the same state is bit-identical."""
    problem = make_problem(energy=TOTALS["everything"][0])
    state = state_of(problem, variables_of("allegro", "random"))
    assert not state.link_wrench.numpy().any()
    assert not state.joint_force.numpy().any()
    dual = wp.clone(state.qp_dual)
    problem.evaluate(state)
    first = state.energy.numpy(), state.gradient.numpy()
    wp.copy(state.qp_dual, dual)
    problem.evaluate(state)
    np.testing.assert_array_equal(state.energy.numpy(), first[0])
    np.testing.assert_array_equal(state.gradient.numpy(), first[1])


# -- what is frozen, and what freezing leaves out --------------------------------------------------------------------------


@pytest.mark.parametrize("hand", HANDS)
def test_frozen_features_are_the_closest(hand: str) -> None:
    """Closest points and signed distances of all contacts against brute force over all triangles, 1e-5 m."""
    problem = make_problem(hand, grasp_count=2)
    state = state_of(problem, variables_of(hand, "random"))
    position, closest = state.contact_position.numpy(), state.closest_point.numpy()
    normal, distance = state.object_normal.numpy(), state.contact_distance.numpy()
    index = problem.object_index.numpy()
    for grasp in range(problem.batch_size):
        model = problem.objects[index[grasp]]
        for contact in range(problem.contact_count):
            p = position[grasp, contact].astype(np.float64)
            nearest, signed = closest_on_mesh(model, p)
            assert distance[grasp, contact] == pytest.approx(signed, abs=1e-5)
            # Several points may be equally near.
            assert np.linalg.norm(p - closest[grasp, contact]) == pytest.approx(abs(signed), abs=1e-6)
            if abs(signed) > 1e-4 and np.linalg.norm(nearest - closest[grasp, contact]) < 1e-6:
                np.testing.assert_allclose(normal[grasp, contact], (p - nearest) / signed, atol=1e-3)
    assert np.any(distance < -0.002)
    assert np.any(distance > 0.002)


@pytest.mark.parametrize("hand", HANDS + CONVEX_HANDS)
def test_penetration_unfrozen_and_unculled(hand: str) -> None:
    """Culled = unculled = float64 over all samples and geometries, from deep inside to far away; and so their slopes."""
    problem = make_problem(hand, grasp_count=6, energy=only(penetration=Penetration(weight=1.0)))
    variables = random_variables(problem, 7)
    # Draw the hands through the object: from 8 cm further in to 12 cm further out.
    shift = np.tile(np.linspace(-0.08, 0.12, 6), len(problem.objects))[:, None]
    outward = variables.root_pose[:, :3] / np.linalg.norm(variables.root_pose[:, :3], axis=1, keepdims=True)
    variables.root_pose[:, :3] += shift * outward
    state = state_of(problem, variables)
    culled, gradient = state.energy.numpy(), state.gradient.numpy()
    unculled, slope = taped(problem, state)
    np.testing.assert_allclose(culled, unculled, rtol=2e-5, atol=1e-7)
    np.testing.assert_allclose(gradient, slope, rtol=1e-3, atol=1e-4 * np.abs(slope).max())
    zero = np.zeros(6 + problem.hand.dof_count)
    oracles = [oracle_of(problem, state, grasp) for grasp in range(problem.batch_size)]
    exact = np.array([oracle.unfrozen_penetration(oracle.pose(zero)) for oracle in oracles])
    np.testing.assert_allclose(culled, exact, rtol=1e-4, atol=1e-6)
    assert exact.max() > 1.0
    assert exact.min() == 0.0

    deep = int(np.argsort(exact)[len(exact) // 2])
    unfrozen = central_difference(
        lambda x: {"penetration": oracles[deep].unfrozen_penetration(oracles[deep].pose(x))}, zero, step=1e-7
    )
    kink = unfrozen.kink["penetration"]
    expected = unfrozen.gradient["penetration"]
    np.testing.assert_allclose(gradient[deep][~kink], expected[~kink], atol=1e-2 * np.abs(expected).max())
    assert kink.mean() < 0.5


@pytest.mark.parametrize("hand", HANDS + CONVEX_HANDS)
def test_culling_keeps_shallow_samples(hand: str) -> None:
    """In grasps that touch their objects the few samples barely inside are all counted, each within rounding."""
    problem = make_problem(hand, grasp_count=4, energy=only(penetration=Penetration(weight=1.0)))
    # Weighed by the default energy, a short run leaves the links pressed slightly into the surface.
    variables = annealed_variables(make_problem(hand, grasp_count=4), 3)
    state = state_of(problem, variables)
    zero = np.zeros(6 + problem.hand.dof_count)
    oracles = [oracle_of(problem, state, grasp) for grasp in range(problem.batch_size)]
    exact = np.array([oracle.unfrozen_penetration(oracle.pose(zero)) for oracle in oracles])
    np.testing.assert_allclose(state.energy.numpy(), exact, rtol=1e-6, atol=1e-6)
    assert np.mean((exact > 1e-4) & (exact < 0.2)) >= 0.5


@pytest.mark.parametrize("hand", HANDS)
def test_distance_gradient_is_unfrozen_too(hand: str, record_property: Any) -> None:
    """The gradient of a distance is its normal, so the plain distance loses nothing by frozen features.

    The normal-weighted distance and force closure do lose the turn of ``n_obj``; that gap is recorded, not bounded.
    """
    for name, bound in (("distance_plain", 2e-2), ("distance", None), ("force_closure", None)):
        field, term = CASES[name]
        problem = make_problem(hand, example_objects(1), grasp_count=1, energy=only(**{field: term}))
        variables = random_variables(problem, 11)
        state = state_of(problem, variables)
        slope = state.gradient.numpy()[0].astype(np.float64)
        step = 2e-4  # float32 energies: a wide step
        unfrozen = np.zeros_like(slope)
        turned = Rotation.from_quat(variables.root_pose[0, 3:])
        for axis in range(len(slope)):
            energy = []
            for sign in (1.0, -1.0):
                increment = np.zeros(len(slope))
                increment[axis] = sign * step
                quaternion = (turned * Rotation.from_rotvec(increment[3:6])).as_quat()
                pose = np.concatenate([variables.root_pose[0, :3] + increment[:3], quaternion])[None]
                joints = variables.joint_position + increment[6:]
                moved = state_of(problem, Variables(pose, joints, variables.contact_index))
                energy.append(float(moved.energy.numpy()[0]))
            unfrozen[axis] = (energy[0] - energy[1]) / (2.0 * step)
        scale = np.where(np.arange(len(slope)) < 3, LENGTH, 1.0)
        gap = float(np.linalg.norm((unfrozen - slope) * scale) / np.linalg.norm(slope * scale))
        record_property(f"unfrozen_gap_{hand}_{name}", gap)
        assert np.isfinite(gap)
        if bound is not None:
            assert gap < bound


# -- the oracle itself -----------------------------------------------------------------------------------------------------


def test_oracle_qp_is_scipys() -> None:
    """The active-set shortcut returns SciPy's solution, from good and from bad guesses."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        position = rng.normal(scale=0.04, size=(8, 3))
        normal = position / np.linalg.norm(position, axis=1, keepdims=True)
        columns = wrench_matrix(position, normal, np.zeros(3), 0.3, 4, 5.0)
        stacked = np.vstack([columns, 1e-2 * np.eye(32)])
        exact = lsq_linear(stacked, np.zeros(38), bounds=(1.0, 20.0), method="bvls", tol=1e-15).x
        cold, active = solve_box_qp(columns, 1.0, 20.0, 1e-4)
        np.testing.assert_allclose(cold, exact, atol=1e-8)
        for guess in (active, np.zeros(32, dtype=np.int8), -np.ones(32, dtype=np.int8)):
            np.testing.assert_allclose(solve_box_qp(columns, 1.0, 20.0, 1e-4, guess)[0], exact, atol=1e-7)


@pytest.mark.parametrize("hand", HANDS)
def test_oracle_jacobian_is_that_of_the_kinematics(hand: str) -> None:
    problem = make_problem(hand, example_objects(1), grasp_count=1)
    oracle = oracle_of(problem, state_of(problem, random_variables(problem, 3)), 0)
    zero, step = np.zeros(6 + problem.hand.dof_count), 1e-6
    for dof in range(problem.hand.dof_count):
        offset = np.zeros_like(zero)
        offset[6 + dof] = step
        moved = oracle.pose(offset).contact_position - oracle.pose(-offset).contact_position
        for contact in range(problem.contact_count):
            column = oracle.contact_jacobian(oracle.pose(zero), contact)[:, dof]
            np.testing.assert_allclose(column, moved[contact] / (2.0 * step), atol=1e-8)


def test_kinks_are_detected() -> None:
    """A joint 0.3 steps from its limit is a kink, one ten steps away is not."""

    def limits(q: FloatArray) -> dict[str, float]:
        return {"limits": float(np.sum(np.maximum(0.0, q)))}

    found = central_difference(limits, np.array([0.6e-6, -0.6e-6, 2e-5, -2e-5, 1.0]), step=2e-6)
    np.testing.assert_array_equal(found.kink["limits"], [True, True, False, False, False])
