"""Accepting on hand-made chains: Metropolis statistics, temperature, random numbers, the best, frozen chains."""

from __future__ import annotations

import numpy as np
import pytest
from chain_factory import COUNT, HandMadeRun, accept_share, default_schedule, within
from scipy.stats import kstest, norm

from warpgrasp.base.status import GraspStatus


@pytest.mark.parametrize("ratio", [-1.0, 0.0, 0.1, 0.7, 2.0, 5.0])
def test_acceptance_follows_metropolis(ratio: float) -> None:
    """P(accept) = min(1, exp(-dE / T)) over 20,000 chains with the step's own random numbers."""
    run = HandMadeRun.make(default_schedule(temperature=3.0), per_object=COUNT)
    run.propose()
    share = accept_share(run, 10.0, 10.0 + 3.0 * ratio)
    assert within(share, min(1.0, float(np.exp(-ratio))))


@pytest.mark.parametrize("age", [0, 29, 30, 95, 600])
def test_temperature_decays_with_the_chains_own_age(age: int) -> None:
    run = HandMadeRun.make(
        default_schedule(temperature=18.0, temperature_decay=0.95, temperature_period=30.0), per_object=COUNT
    )
    run.propose()
    run.assign("work", "chain_step", age)
    run.assign("work", "step", 12345)
    temperature = 18.0 * 0.95 ** (age // 30)
    assert within(accept_share(run, 0.0, 5.0), float(np.exp(-5.0 / temperature)))
    np.testing.assert_array_equal(run.read("work", "chain_step"), age + 1)


@pytest.mark.parametrize("z", [-3.0, -0.5, 0.0, 1.2, 4.0])
def test_mala_star_scales_the_temperature(z: float) -> None:
    """T (1 + Phi(z)); MALA ignores z."""
    for scaling, factor in ((1.0, 1.0 + norm.cdf(z)), (0.0, 1.0)):
        run = HandMadeRun.make(
            default_schedule(temperature=4.0, temperature_scaling=scaling), per_object=COUNT
        )
        run.propose()
        run.assign("work", "z_score", z)
        assert within(accept_share(run, 0.0, 4.0), float(np.exp(-1.0 / factor)))


def test_random_numbers_are_uniform_and_independent() -> None:
    """Acceptance numbers over chains, over the steps of one chain, and against the switch decision of the same step."""
    run = HandMadeRun.make(default_schedule(), per_object=COUNT, contact_count=1, candidate_count=1000)
    before = run.read("current", "contact_index")
    run.propose()
    numbers = run.read("work", "acceptance")
    assert kstest(numbers, "uniform").pvalue > 1e-3
    switched = np.any(run.read("proposal", "contact_index") != before, axis=1)
    assert within(float(switched.mean()), 0.4)
    assert abs(np.corrcoef(numbers, switched)[0, 1]) < 4.0 / np.sqrt(COUNT)

    few = HandMadeRun.make(default_schedule(), per_object=8)
    series = []
    for step in range(1500):
        few.assign("work", "step", step)
        few.propose()
        series.append(few.read("work", "acceptance"))
    values = np.array(series)
    assert kstest(values.ravel(), "uniform").pvalue > 1e-3
    for lag in (1, 2, 3):
        for chain in range(8):
            correlation = np.corrcoef(values[:-lag, chain], values[lag:, chain])[0, 1]
            assert abs(correlation) < 4.5 / np.sqrt(1500)
    between = np.corrcoef(values.T)
    assert np.abs(between - np.eye(8)).max() < 4.5 / np.sqrt(1500)


def test_accepting_and_rejecting_copy_everything_or_nothing() -> None:
    run = HandMadeRun.make(default_schedule(temperature=1e-6), per_object=2)
    rng = np.random.default_rng(1)
    names = ("root_pose", "joint_position", "contact_index", "closest_point", "qp_dual", "gradient")
    for name in names:
        run.assign("proposal", name, rng.uniform(1.0, 9.0, run.read("proposal", name).shape))
    run.assign("best", "energy", [5.0, 5.0])
    run.assign("current", "energy", [5.0, 5.0])
    run.assign("proposal", "energy", [4.0, 6.0])
    run.assign("work", "acceptance", 0.5)
    before = {name: run.read("current", name) for name in names}
    best = {name: run.read("best", name) for name in names}
    run.accept()
    for name in names:
        after = run.read("current", name)
        np.testing.assert_array_equal(after[0], run.read("proposal", name)[0])
        np.testing.assert_array_equal(after[1], before[name][1])
        if name != "gradient":  # the best needs none
            np.testing.assert_array_equal(run.read("best", name)[0], run.read("proposal", name)[0])
        np.testing.assert_array_equal(run.read("best", name)[1], best[name][1])
    np.testing.assert_array_equal(run.read("current", "energy"), [4.0, 5.0])
    np.testing.assert_array_equal(run.read("best", "energy"), [4.0, 5.0])
    np.testing.assert_array_equal(run.read("work", "accept_count"), [1, 0])


def test_an_accepted_worse_proposal_does_not_replace_the_best() -> None:
    run = HandMadeRun.make(default_schedule(temperature=1e6), per_object=1)
    run.assign("best", "energy", 3.0)
    run.assign("current", "energy", 4.0)
    run.assign("proposal", "energy", 3.5)
    run.accept()
    assert run.read("current", "energy")[0] == 3.5
    assert run.read("best", "energy")[0] == 3.0


@pytest.mark.parametrize("where", ["energy", "gradient", "infinite energy"])
def test_a_nonfinite_proposal_freezes_the_chain(where: str) -> None:
    run = HandMadeRun.make(default_schedule(temperature=1e6), per_object=3)
    run.assign("current", "energy", 7.0)
    run.assign("best", "energy", 7.0)
    bad = run.read("proposal", "gradient" if where == "gradient" else "energy")
    bad[1, ...] = np.inf if "infinite" in where else np.nan
    run.assign("proposal", "gradient" if where == "gradient" else "energy", bad)
    run.propose()
    run.accept()
    np.testing.assert_array_equal(
        run.read("work", "status"), [GraspStatus.OK, GraspStatus.NONFINITE_ENERGY, GraspStatus.OK]
    )
    np.testing.assert_array_equal(run.read("current", "energy") == 7.0, [False, True, False])

    # ... for good: later finite proposals are refused, and the chain proposes its own state.
    run.assign("proposal", "energy", -1.0)
    run.assign("proposal", "gradient", 0.0)
    run.assign("current", "gradient", 1.0)
    run.statistics()
    run.propose()
    np.testing.assert_array_equal(run.read("proposal", "root_pose")[1], run.read("current", "root_pose")[1])
    np.testing.assert_array_equal(
        run.read("proposal", "contact_index")[1], run.read("current", "contact_index")[1]
    )
    assert np.any(run.read("proposal", "root_pose")[0] != run.read("current", "root_pose")[0])
    run.accept()
    assert run.read("current", "energy")[1] == 7.0
    assert run.read("best", "energy")[1] == 7.0
    assert run.read("work", "chain_step")[1] == 0


@pytest.mark.parametrize("keep_last", [0, 1])
def test_the_last_grasp_is_returned_when_asked(keep_last: int) -> None:
    """An accepted grasp of a higher energy replaces the best only where the last one is wanted."""
    run = HandMadeRun.make(default_schedule(temperature=1e6, keep_last=keep_last), per_object=8)
    run.propose()
    run.assign("current", "energy", 1.0)
    run.assign("best", "energy", 1.0)
    run.assign("proposal", "energy", 2.0)
    run.accept()
    np.testing.assert_array_equal(run.read("best", "energy"), 2.0 if keep_last else 1.0)
