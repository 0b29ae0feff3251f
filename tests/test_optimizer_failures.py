"""Chains that fail: a NaN, a seed that is not finite or a lost hand stops its own chain, says so, and harms no other."""

from __future__ import annotations

import numpy as np
import pytest
from cases import random_variables, state_of
from optimizer_runs import small_problem, snapshot, start

from warpgrasp.base.status import GraspStatus
from warpgrasp.synthesis.optimizer import OptimizerMala, OptimizerMalaStar
from warpgrasp.synthesis.seeds import InitializeConfig, seed_grasps


def test_a_nan_freezes_its_chain_and_no_other() -> None:
    """The poisoned chain keeps its best and says so; its batch goes on, the other object bit for bit as without it."""
    problem = small_problem(object_count=2, grasp_count=4)
    optimizer = OptimizerMalaStar()
    runs = []
    for poisoned in (False, True):
        state, _ = start(problem, optimizer, 60)
        for step in range(60):
            if poisoned and step == 22:  # not a reset date
                poses = state.current.root_pose.numpy().copy()
                poses[1, 0] = np.nan
                state.current.root_pose.assign(poses)
                frozen = snapshot(state.best)
            optimizer.step(problem, state)
        runs.append((snapshot(state.best), state.work.status.numpy().copy(), snapshot(state.current)))
    (clean, clean_status, _), (best, status, current) = runs
    assert not clean_status.any()
    np.testing.assert_array_equal(status, [0, GraspStatus.NONFINITE_ENERGY, 0, 0, 0, 0, 0, 0])
    for name, value in clean.items():
        assert np.all(np.isfinite(best[name]))
        np.testing.assert_array_equal(best[name][4:], value[4:])  # the other object
        np.testing.assert_array_equal(best[name][1], frozen[name][1])
    assert np.all(best["root_pose"][[0, 2, 3]] != frozen["root_pose"][[0, 2, 3]])
    assert np.all(np.isfinite(current["energy"]))


def test_seeds_that_are_not_finite_are_reported() -> None:
    """A chain that never had a finite energy has a status and an infinite best."""
    problem = small_problem(grasp_count=3)
    optimizer = OptimizerMala()
    seeds = seed_grasps(problem, InitializeConfig(), seed=0)
    seeds.root_pose[1, 2] = np.nan
    state = optimizer.init(problem, seeds, [], step_count=10)
    for _ in range(10):
        optimizer.step(problem, state)
    np.testing.assert_array_equal(state.work.status.numpy(), [0, GraspStatus.NONFINITE_ENERGY, 0])
    assert np.isfinite(state.best.energy.numpy()[[0, 2]]).all()
    assert state.best.energy.numpy()[1] == np.inf


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e12, 1e30])
def test_a_lost_hand_has_no_finite_energy(value: float) -> None:
    """Beyond every search radius the closest point is unknown, and must not read as a small distance."""
    problem = small_problem(grasp_count=3)
    variables = random_variables(problem, 0)
    clean = state_of(problem, variables).energy.numpy()
    variables.root_pose[1, 0] = value
    energy = state_of(problem, variables).energy.numpy()
    assert not energy[1] < 1e9  # NaN, infinite or huge
    np.testing.assert_array_equal(energy[[0, 2]], clean[[0, 2]])
