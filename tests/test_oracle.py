"""The float64 oracle itself: its quadratic program, its contact Jacobian and its detection of kinks."""

from __future__ import annotations

import numpy as np
import pytest
from cases import HANDS, example_objects, make_problem, random_variables, state_of
from central_differences import central_difference
from gradient_cases import FloatArray
from oracle import oracle_of
from oracle_forces import solve_box_qp, wrench_matrix
from scipy.optimize import lsq_linear


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
