"""Statistics of a batch of hand-made chains: z-scores and the preconditioner, each object by itself."""

from __future__ import annotations

import numpy as np
import pytest
from chain_factory import DOF_COUNT, HandMadeRun, default_schedule
from scipy.spatial.transform import Rotation


def test_z_score_is_taken_over_the_objects_own_batch() -> None:
    run = HandMadeRun.make(default_schedule(), object_count=2, per_object=5)
    energy = np.array([1.0, 2.0, 3.0, 4.0, 10.0, 100.0, 300.0, 50.0, 70.0, 1000.0])
    run.assign("current", "energy", energy)
    run.statistics()
    groups = energy.reshape(2, 5)
    expected = (groups - groups.mean(axis=1, keepdims=True)) / groups.std(axis=1, keepdims=True)
    np.testing.assert_allclose(run.read("work", "z_score"), expected.ravel(), rtol=1e-5)
    np.testing.assert_array_equal(run.read("work", "step"), 1)


@pytest.mark.parametrize(
    "energy", [[123.456], [7.7] * 6, [0.0] * 4, [1e-3] * 5, [123.456] * 2000, [33.3] * 8192]
)
def test_no_spread_means_no_score(energy: list[float]) -> None:
    """One grasp, or equal energies: z = 0."""
    run = HandMadeRun.make(default_schedule(), per_object=len(energy))
    run.assign("current", "energy", energy)
    run.statistics()
    np.testing.assert_array_equal(run.read("work", "z_score"), 0.0)


def test_small_spread_on_a_large_energy_still_scores() -> None:
    """The mean of squares would cancel in float32; the score must not."""
    run = HandMadeRun.make(default_schedule(), per_object=4)
    energy = np.array([1000.0, 1000.5, 1001.0, 1002.0])
    run.assign("current", "energy", energy)
    run.statistics()
    np.testing.assert_allclose(
        run.read("work", "z_score"), (energy - energy.mean()) / energy.std(), atol=1e-2
    )


def test_preconditioner_is_per_object_and_forgets() -> None:
    """v <- 0.98 mean_batch(g^2) + 0.02 v, each object by itself."""
    rng = np.random.default_rng(0)
    run = HandMadeRun.make(default_schedule(), object_count=2, per_object=4)
    expected = np.zeros((2, 6 + DOF_COUNT))
    for _ in range(3):
        gradient = rng.normal(size=(8, 6 + DOF_COUNT)) * np.repeat([1.0, 100.0], 4)[:, None]
        run.assign("current", "gradient", gradient)
        run.statistics()
        expected = 0.98 * np.mean(gradient.reshape(2, 4, -1) ** 2, axis=1) + 0.02 * expected
        np.testing.assert_allclose(run.read("work", "mean_square"), expected, rtol=1e-5)
    run.propose()
    move = run.read("proposal", "root_pose")[:, :3]
    np.testing.assert_allclose(
        move, -0.01 * gradient[:, :3] / np.sqrt(np.repeat(expected, 4, axis=0)[:, :3]), rtol=1e-4
    )
    turned = Rotation.from_quat(run.read("proposal", "root_pose")[:, 3:]).as_rotvec()
    np.testing.assert_allclose(
        turned,
        -0.01 * gradient[:, 3:6] / np.sqrt(np.repeat(expected, 4, axis=0)[:, 3:6]),
        rtol=2e-3,
        atol=1e-7,
    )


def test_frozen_chains_do_not_count() -> None:
    """A chain with a status is left out of its batch's statistics."""
    run = HandMadeRun.make(default_schedule(), per_object=4)
    run.assign("current", "energy", [1.0, 2.0, 3.0, 1e6])
    run.assign("current", "gradient", np.array([1.0, 1.0, 1.0, 1e6])[:, None])
    run.assign("work", "status", [0, 0, 0, 1])
    run.statistics()
    np.testing.assert_allclose(run.read("work", "z_score")[:3], [-1.2247, 0.0, 1.2247], atol=1e-3)
    np.testing.assert_allclose(run.read("work", "mean_square"), 0.98, rtol=1e-5)
