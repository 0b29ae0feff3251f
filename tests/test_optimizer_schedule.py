"""Hyper-parameters of MALA and MALA*: published defaults, periods that scale with the run, bad values refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from optimizer_runs import small_problem, start
from scipy.stats import norm

from warpgrasp.hands.model import JointType
from warpgrasp.synthesis.optimizer import OptimizerMala, OptimizerMalaFast, OptimizerMalaStar, _step_scale


@pytest.mark.parametrize("step_count", [100, 700, 1000, 7000, 14000])
def test_periods_scale_with_the_length_of_the_run(step_count: int) -> None:
    """A run of any length decays as often, and so anneals as far, as the 7000 steps of the paper."""
    optimizer = OptimizerMalaStar()
    schedule = optimizer.schedule(step_count)
    scale = step_count / 7000.0
    assert schedule.step_size_period == pytest.approx(50.0 * scale)
    assert schedule.temperature_period == pytest.approx(30.0 * scale)
    assert schedule.reset_period == pytest.approx(600.0 * scale)
    assert schedule.reset_last_step == pytest.approx(step_count - 1200.0 * scale)
    assert schedule.reset_z == pytest.approx(norm.ppf(0.8413))
    assert schedule.temperature * schedule.temperature_decay ** np.floor(
        step_count / schedule.temperature_period * (1.0 + 1e-6)
    ) == pytest.approx(18.0 * 0.95**233)
    assert optimizer.reset_count(step_count) == 9
    assert OptimizerMala().reset_count(step_count) == 0
    assert OptimizerMala().schedule(step_count).temperature_scaling == 0.0


def test_defaults_are_the_published_ones() -> None:
    optimizer = OptimizerMalaStar()
    assert dataclasses.asdict(optimizer) == {
        "step_size": 0.005,
        "angle_per_length": 1.0,
        "step_size_decay": 0.95,
        "step_size_period": 50.0,
        "momentum": 0.98,
        "preconditioner": "object",
        "switch_probability": 0.4,
        "switch": "one",
        "returned": "best",
        "temperature": 18.0,
        "temperature_decay": 0.95,
        "temperature_period": 30.0,
        "reference_steps": 7000,
        "temperature_scaling": True,
        "reset_period": 600.0,
        "reset_threshold": None,
        "reset_free_steps": 1200.0,
    }
    assert optimizer.schedule(7000).reset_z == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    ("grasp_type", "threshold", "z"),
    [("power", None, 1.0), ("precision", None, 1.0), ("pinch", None, 0.0), ("pinch", 0.8413, 1.0)],
)
def test_pinches_start_anew_more_often(grasp_type: str, threshold: float | None, z: float) -> None:
    problem = small_problem(grasp_count=1, grasp_type=grasp_type)
    state, _ = start(problem, OptimizerMalaStar(reset_threshold=threshold), 70)
    assert state.schedule.reset_z == pytest.approx(z, abs=1e-3)


def test_the_fast_schedule_cools_to_its_end_and_resets_where_fingers_must_touch() -> None:
    """From 18 to 0.005; a grasp by the fingertips is often lost and starts anew, a power grasp is not."""
    problem = small_problem(grasp_count=1)
    optimizer = OptimizerMalaFast().resolved(problem)
    schedule = optimizer.schedule(1500)
    periods = 1500 / schedule.temperature_period
    assert schedule.temperature * schedule.temperature_decay**periods == pytest.approx(0.005, rel=0.01)
    assert (optimizer.reset_threshold, optimizer.reset_count(1500)) == (1.0, 0)
    for grasp_type in ("precision", "pinch"):
        tips = OptimizerMalaFast().resolved(small_problem(grasp_count=1, grasp_type=grasp_type))
        assert (tips.reset_threshold, tips.reset_count(1500)) == (0.5, 9)
    assert OptimizerMalaFast(reset_threshold=0.8).resolved(problem).reset_threshold == 0.8


def test_only_angles_step_further() -> None:
    """Sliding joints are lengths, as the translation of the root is."""
    problem = small_problem(grasp_count=1)
    kinds = np.asarray(problem.hand.joint_type)
    kinds = np.where(kinds == JointType.REVOLUTE, int(JointType.PRISMATIC), kinds)
    sliding = dataclasses.replace(problem.hand, joint_type=kinds)
    for hand, joints in ((problem.hand, 10.0), (sliding, 1.0)):
        scale = _step_scale(hand, 10.0)
        np.testing.assert_array_equal(scale, [1.0] * 3 + [10.0] * 3 + [joints] * hand.dof_count)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step_size": 0.0}, r"optimizer\.step_size must be positive and finite \(got 0\)"),
        ({"temperature": -1.0}, r"optimizer\.temperature must be positive and finite \(got -1\)"),
        ({"temperature_decay": 1.1}, r"optimizer\.temperature_decay must be in \(0, 1\] \(got 1\.1\)"),
        ({"switch_probability": 2.0}, r"optimizer\.switch_probability must be in \[0, 1\] \(got 2\)"),
        ({"reset_period": 0.0}, r"optimizer\.reset_period must be positive and finite \(got 0\)"),
        ({"reset_threshold": 0.2}, r"optimizer\.reset_threshold must be in \[0\.5, 1\] \(got 0\.2\)"),
        ({"angle_per_length": 0.0}, r"optimizer\.angle_per_length must be positive and finite \(got 0\)"),
        ({"preconditioner": "own"}, r"optimizer\.preconditioner must be object or chain \(got 'own'\)"),
        ({"step_size": float("nan")}, r"optimizer\.step_size must be positive and finite \(got nan\)"),
    ],
)
def test_bad_hyper_parameters_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OptimizerMalaStar(**options)  # type: ignore[arg-type]


def test_zero_steps_are_refused() -> None:
    problem = small_problem(grasp_count=1)
    with pytest.raises(ValueError, match=r"step_count must be at least 1 \(got 0\)"):
        start(problem, OptimizerMala(), 0)
