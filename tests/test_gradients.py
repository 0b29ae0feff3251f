"""Values and gradients of every energy term, hand-derived and taped, against float64 central differences of the oracle.

States, tolerances and the treatment of kinks are those of ``gradient_cases.py``.
"""

from __future__ import annotations

import numpy as np
import pytest
import warp as wp
from cases import HANDS, Variables, example_objects, make_problem, only, random_variables, state_of
from gradient_cases import (
    CASES,
    KINDS,
    MAY_VANISH,
    TOTALS,
    assert_close,
    difference_of,
    grasp_count_of,
    reference,
    taped,
    total_of,
    variables_of,
)
from scipy.spatial.transform import Rotation

from warpgrasp.hands import hand_names
from warpgrasp.kernels.qp.dual_newton import QpConfig, QpSolver
from warpgrasp.synthesis.energy_terms import ForceClosure, JointLimits


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_term(hand: str, kind: str, case: str) -> None:
    field, term = CASES[case]
    problem = make_problem(hand, grasp_count=grasp_count_of(kind), energy=only(**{field: term}))
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


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TOTALS)
def test_total(hand: str, kind: str, name: str) -> None:
    problem = make_problem(hand, grasp_count=grasp_count_of(kind), energy=TOTALS[name][0])
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
