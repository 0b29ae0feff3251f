"""Resets of hand-made chains: dates, threshold, forced acceptance, seeds, fresh contacts, annealing in the steps left."""

from __future__ import annotations

import numpy as np
import pytest
from chain_factory import COUNT, HandMadeRun, accept_share, default_schedule, within


def reset_run(step: float, z: float, **changes: float) -> HandMadeRun:
    schedule = default_schedule(**{"reset_period": 60.0, "reset_last_step": 580.0, "reset_z": 1.0, **changes})
    run = HandMadeRun.make(schedule, per_object=6, reset_count=2)
    run.assign("work", "step", step)
    run.assign("work", "chain_step", 59)
    run.assign("work", "z_score", [0.0, -2.0, z, 0.99, 0.0, 0.0])
    run.assign("current", "energy", 5.0)
    run.assign("best", "energy", 1.0)
    run.propose()
    return run


@pytest.mark.parametrize(
    ("step", "z", "expected"),
    [
        (60, 1.5, True),
        (540, 1.5, True),
        (60, 0.99, False),
        (59, 1.5, False),
        (61, 1.5, False),
        (600, 1.5, False),
    ],
)
def test_reset_dates_and_threshold(step: int, z: float, expected: bool) -> None:
    run = reset_run(step, z)
    np.testing.assert_array_equal(run.read("work", "reset_count"), [0, 0, int(expected), 0, 0, 0])


def test_fractional_periods_reset_once_per_period() -> None:
    run = HandMadeRun.make(
        default_schedule(reset_period=8.57, reset_last_step=100.0, reset_z=-10.0),
        per_object=1,
        reset_count=100,
    )
    dates = []
    for step in range(1, 101):
        run.assign("work", "step", step)
        before = run.read("work", "reset_count")[0]
        run.propose()
        if run.read("work", "reset_count")[0] > before:
            dates.append(step)
    np.testing.assert_array_equal(dates, np.ceil(8.57 * np.arange(1, 12)).astype(int))


def test_a_reset_is_forced_clears_the_best_and_restarts_the_chain() -> None:
    run = reset_run(60, 1.5)
    contacts = run.read("proposal", "contact_index")
    assert np.all(np.diff(np.sort(contacts, axis=1), axis=1) > 0)
    np.testing.assert_array_equal(run.read("proposal", "root_pose")[2, :3], [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(run.read("proposal", "joint_position")[2], 0.5)
    run.assign("proposal", "energy", 1e5)
    run.accept()
    np.testing.assert_array_equal(run.read("current", "energy") == 1e5, np.arange(6) == 2)
    np.testing.assert_array_equal(run.read("best", "energy"), [1.0, 1.0, 1e5, 1.0, 1.0, 1.0])
    np.testing.assert_array_equal(run.read("work", "chain_step"), [60, 60, 1, 60, 60, 60])
    np.testing.assert_array_equal(run.read("work", "chain_start"), [0, 0, 60, 0, 0, 0])

    # The second reset takes the second seed; then the seeds are used up.
    for expected in (2.0, None):
        run.assign("work", "step", 120)
        run.assign("work", "z_score", [0.0, 0.0, 3.0, 0.0, 0.0, 0.0])
        run.propose()
        if expected is not None:
            assert run.read("proposal", "root_pose")[2, 0] == expected
            run.accept()
    assert run.read("work", "reset_count")[2] == 2


@pytest.mark.parametrize(
    ("start", "age", "expected"), [(0, 500, 500), (600, 200, 500), (900, 100, 1000), (750, 50, 200)]
)
def test_a_reset_chain_anneals_fully_in_the_steps_it_has_left(start: int, age: int, expected: int) -> None:
    """Its own step counter, stretched so that its schedule ends with the run: temperature and step size of ``expected``."""
    run = HandMadeRun.make(
        default_schedule(
            step_count=1000.0,
            temperature_decay=0.9,
            temperature_period=10.0,
            step_size_decay=0.9,
            step_size_period=20.0,
        ),
        per_object=COUNT,
    )
    run.assign("work", "chain_start", start)
    run.assign("work", "chain_step", age)
    run.assign("current", "gradient", 3.0)
    run.statistics()
    run.propose()
    moved = run.read("proposal", "joint_position")
    np.testing.assert_allclose(moved, -0.01 * 0.9 ** (expected // 20) / np.sqrt(0.98), rtol=1e-4)
    temperature = 18.0 * 0.9 ** (expected // 10)
    assert within(accept_share(run, 0.0, temperature), float(np.exp(-1.0)))


def test_resets_draw_every_contact_anew() -> None:
    """New contacts are distinct, spread over all candidates, and those of two slots have nothing to do with each other."""
    run = HandMadeRun.make(
        default_schedule(reset_period=1.0, reset_last_step=100.0, reset_z=-10.0),
        per_object=4000,
        reset_count=1,
    )
    run.assign("work", "step", 5)
    before = run.read("current", "contact_index")
    run.propose()
    after = run.read("proposal", "contact_index")
    assert np.all(np.diff(np.sort(after, axis=1), axis=1) > 0)
    assert np.mean(after == before) < 0.05
    for slot in range(4):
        counts = np.bincount(after[:, slot], minlength=40)
        assert counts.min() > 0.5 * counts.mean()
        assert counts.max() < 1.5 * counts.mean()
    # Distinct contacts repel each other by 1/40; anything more is a shared random number.
    assert np.abs(np.corrcoef(after.T) - np.eye(4)).max() < 0.08


def test_frozen_chains_are_not_reset() -> None:
    run = HandMadeRun.make(
        default_schedule(reset_period=1.0, reset_last_step=100.0, reset_z=-10.0), per_object=2, reset_count=2
    )
    run.assign("work", "step", 5)
    run.assign("work", "status", [1, 0])
    run.propose()
    np.testing.assert_array_equal(run.read("work", "reset_count"), [0, 1])
