"""Closure terms of the methods against float64 oracles: values and gradients to 1e-3, all hands."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import warp as wp
from cases import example_objects, make_problem, only, random_variables, state_of
from central_differences import central_difference
from gradient_cases import taped
from numpy.typing import NDArray
from oracle import oracle_of
from oracle_closure import closure_energy, iterate, minimum_weight
from oracle_forces import wrench_matrix

from warpgrasp.hands import hand_names
from warpgrasp.kernels.energies.singular_values import SingularValueForm
from warpgrasp.synthesis.energy_closure import (
    ContactTerm,
    IteratedClosure,
    MinimumNorm,
    MinimumWeight,
    WrenchBoundary,
)
from warpgrasp.synthesis.energy_released import ReleasedClosure
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.state import GraspState

FloatArray = NDArray[np.float64]

_NONE = SingularValueForm.NONE
TERMS: dict[str, Any] = {
    "boundary": WrenchBoundary(direction_count=60),
    "boundary_density": WrenchBoundary(direction_count=60, density=True, torque_weight=None, friction=0.6),
    "norm": MinimumNorm(),
    "norm_qp": MinimumNorm(
        friction=0.1,
        edge_count=8,
        total=MinimumNorm.per_normal_force(0.1, 8),
        gain=2.0,
        offset=0.0,
        factor=_NONE,
    ),
    "weight": MinimumWeight(torque_weight=5.0, floor=-1e3),
    "weight_hinge": MinimumWeight(sharpness=0.0, floor=-1e3),
    "released": ReleasedClosure(),
    "softmax": IteratedClosure(),
    "barrier": IteratedClosure(form="barrier"),
}


def _state(hand: str, term: Any, contacts: int = 6) -> tuple[GraspProblem, GraspState]:
    energy = dataclasses.replace(only(), extra={"term": term})
    problem = make_problem(
        hand, example_objects(2), grasp_count=3, contact_count=contacts, sample_count=50, energy=energy
    )
    return problem, state_of(problem, random_variables(problem, 4))


def _position_gradient(problem: GraspProblem, state: GraspState, term: Any) -> tuple[Any, Any]:
    """Energy [B] and its derivatives by the contact positions [B, C, 3], of the kernels."""
    energy = wp.zeros(problem.batch_size, dtype=wp.float32, device="cpu", requires_grad=True)
    if isinstance(term, ContactTerm):
        gradient = wp.zeros((problem.batch_size, problem.contact_count), dtype=wp.vec3, device="cpu")
        term.launch_contacts(problem, state, energy, gradient)
        return energy.numpy(), gradient.numpy()
    state.contact_position.requires_grad = True
    tape = wp.Tape()
    with tape:
        term.launch_taped(problem, state, energy)
    state.contact_position.grad.zero_()
    tape.backward(grads={energy: wp.ones_like(energy)})
    return energy.numpy(), state.contact_position.grad.numpy()


@pytest.mark.parametrize("name", TERMS)
def test_value_and_position_gradient(name: str) -> None:
    term = TERMS[name]
    problem, state = _state("allegro", term)
    energy, gradient = _position_gradient(problem, state, term)
    compared = 0
    for grasp in range(problem.batch_size):
        model = problem.objects[grasp // problem.grasp_count]
        position = state.contact_position.numpy()[grasp].astype(np.float64)
        normal = state.object_normal.numpy()[grasp].astype(np.float64)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        start = None
        if isinstance(term, IteratedClosure):
            columns = wrench_matrix(
                position, normal, model.center_of_mass, term.friction, term.edge_count, term.torque_weight
            )
            start = iterate(term, columns, None, term.iterations - term.differentiated)

        def energies(offset: FloatArray, model: Any = model, at: FloatArray = position) -> dict[str, float]:
            moved = at + offset.reshape(-1, 3)
            return {"term": closure_energy(term, model, moved, normal, start)}  # noqa: B023

        difference = central_difference(energies, np.zeros(position.size), step=1e-5, tolerance=1e-3)
        expected, kink = difference.gradient["term"], difference.kink["term"]
        assert energy[grasp] == pytest.approx(difference.value["term"], rel=1e-3, abs=1e-6)
        scale = np.abs(expected[~kink]).max(initial=0.0)
        found = gradient[grasp].ravel()
        np.testing.assert_allclose(found[~kink], expected[~kink], atol=1e-3 * max(scale, 1e-2))
        compared += int((~kink).sum()) if scale > 1e-3 else 0
    assert compared > problem.contact_count * 3, "the states do not exercise this term"


@pytest.mark.parametrize("name", TERMS)
def test_the_hand_gets_the_gradient(name: str) -> None:
    """Root and joints: what the synthesis uses agrees with the tape and with a difference along a direction."""
    term = dataclasses.replace(TERMS[name], weight=3.0)
    problem, state = _state("robotiq_2f140", term)
    energy, gradient = taped(problem, state)
    np.testing.assert_allclose(state.energy.numpy(), energy, rtol=1e-4)
    np.testing.assert_allclose(state.gradient.numpy(), gradient, atol=1e-3 * np.abs(gradient).max())
    if isinstance(term, IteratedClosure):
        return  # its gradient is not that of its value
    oracle = oracle_of(problem, state, 0)
    way = np.random.default_rng(5).normal(size=gradient.shape[1])

    def value(share: float) -> float:
        position = oracle.pose(share * way).contact_position
        return 3.0 * closure_energy(term, problem.objects[0], position, oracle.object_normal)

    slope = (value(1e-6) - value(-1e-6)) / 2e-6
    scale = float(np.abs(gradient[0] * way).sum())
    assert float(state.gradient.numpy()[0] @ way) == pytest.approx(slope, abs=1e-3 * scale + 1e-6)


@pytest.mark.parametrize("hand", hand_names())
def test_every_hand(hand: str) -> None:
    """Values of one grasp with all terms on."""
    energy = dataclasses.replace(only(), extra=TERMS)
    problem = make_problem(
        hand, example_objects(1), grasp_count=1, contact_count=6, sample_count=50, energy=energy
    )
    state = state_of(problem, random_variables(problem, 4))
    normal = state.object_normal.numpy()[0].astype(np.float64)
    position = state.contact_position.numpy()[0].astype(np.float64)
    found = dict(zip(problem.term_names, state.energy_terms.numpy()[:, 0], strict=True))
    for name, term in TERMS.items():
        expected = closure_energy(term, problem.objects[0], position, normal)
        assert found[name] == pytest.approx(expected, rel=1e-3, abs=1e-6), name
    assert np.isfinite(state.gradient.numpy()).all()


def test_evaluations_do_not_add_up() -> None:
    """What a tape left in the scratch arrays of a term is not there at the next evaluation."""
    problem, state = _state("robotiq_2f140", TERMS["softmax"])
    first = state.gradient.numpy().copy()
    problem.evaluate(state)
    np.testing.assert_allclose(state.gradient.numpy(), first, atol=1e-6 * np.abs(first).max())


def test_minimum_weight_by_hand() -> None:
    """Weights that sum to zero give 1; contacts on one side alone have no force closure and end at the floor."""
    term = MinimumWeight(friction=0.7, floor=-10.0)
    problem, state = _state("allegro", term)
    six = np.concatenate([np.eye(3), -np.eye(3)])
    state.object_normal.assign(np.tile(six, (problem.batch_size, 1, 1)).astype(np.float32))
    center = np.repeat([model.center_of_mass for model in problem.objects], problem.grasp_count, axis=0)
    state.contact_position.assign((center[:, None, :] + 0.03 * six).astype(np.float32))
    energy = wp.zeros(problem.batch_size, dtype=wp.float32, device="cpu")
    gradient = wp.zeros((problem.batch_size, 6), dtype=wp.vec3, device="cpu")
    term.launch_contacts(problem, state, energy, gradient)
    value = state.scratch["minimum_weight.value"].numpy()
    np.testing.assert_allclose(value, 1.0, atol=1e-5)
    columns = wrench_matrix(0.03 * six, six, np.zeros(3), 0.7, 4, 1.0)
    assert minimum_weight(columns) == pytest.approx(1.0, abs=1e-6)
    state.object_normal.assign(np.tile([0.0, 0.0, 1.0], (problem.batch_size, 6, 1)).astype(np.float32))
    term.launch_contacts(problem, state, energy, gradient)
    np.testing.assert_array_equal(state.scratch["minimum_weight.value"].numpy(), -10.0)
    assert not gradient.numpy().any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MinimumWeight(target=2.0), "minimum_weight.target must be above floor and at most 1"),
        (lambda: IteratedClosure(form="newton"), "form must be softmax or barrier"),  # type: ignore[arg-type]
        (lambda: IteratedClosure(lower=2.0, upper=1.0), "lower must be smaller than upper"),
        (lambda: MinimumNorm(edge_count=2), "edge_count must be"),
        (lambda: WrenchBoundary(direction_count=0), "direction_count must be"),
    ],
)
def test_impossible_settings_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
