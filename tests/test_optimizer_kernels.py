"""One optimiser step on hand-made chains: Metropolis statistics, temperature, preconditioner, z-scores, switches, resets."""

from __future__ import annotations

import numpy as np
import pytest
from chain_factory import DOF_COUNT, HandMadeRun, default_schedule, wide_tree
from scipy.spatial.transform import Rotation
from scipy.stats import kstest, norm

from warpgrasp.status import GraspStatus

COUNT = 20000


def accept_share(run: HandMadeRun, current: float, proposal: float) -> float:
    run.assign("current", "energy", current)
    run.assign("proposal", "energy", proposal)
    run.accept()
    return float(np.mean(run.read("work", "accept_count")))


def within(share: float, probability: float) -> bool:
    """Four standard deviations of a binomial share."""
    return abs(share - probability) <= 4.0 * np.sqrt(probability * (1.0 - probability) / COUNT) + 1e-9


# -- Metropolis ------------------------------------------------------------------------------------------------------------


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


# -- statistics ------------------------------------------------------------------------------------------------------------


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


def test_a_step_turns_the_hand_about_its_own_axes() -> None:
    """Rotation gradients are in the hand frame: the turn is applied on the right."""
    run = HandMadeRun.make(default_schedule(step_size=0.2), per_object=1)
    start = Rotation.from_euler("ZYX", [1.1, -0.4, 0.7])
    run.assign("current", "root_pose", [[0.1, 0.2, 0.3, *start.as_quat()]])
    gradient = np.array([[0.0, 0.0, 0.0, 1.0, -2.0, 0.5, 0.0, 0.0, 0.0]])
    run.assign("current", "gradient", gradient)
    run.statistics()
    run.propose()
    turn = -0.2 * np.sign(gradient[0, 3:6]) / np.sqrt(0.98)
    expected = start * Rotation.from_rotvec(turn)
    found = Rotation.from_quat(run.read("proposal", "root_pose")[0, 3:])
    assert (expected.inv() * found).magnitude() < 1e-5


def test_a_proposal_starts_from_the_chains_own_caches() -> None:
    """Closest points and the QP's dual of a rejected proposal are not what the next one starts from."""
    run = HandMadeRun.make(default_schedule(switch_probability=0.0), per_object=3)
    rng = np.random.default_rng(0)
    for name in ("closest_point", "qp_dual", "contact_index"):
        shape = run.read("current", name).shape
        run.assign("current", name, rng.integers(0, 9, shape))
        run.assign("proposal", name, rng.integers(10, 19, shape))
    run.statistics()
    run.propose()
    for name in ("closest_point", "qp_dual", "contact_index"):
        np.testing.assert_array_equal(run.read("proposal", name), run.read("current", name))


def test_frozen_chains_do_not_count() -> None:
    """A chain with a status is left out of its batch's statistics."""
    run = HandMadeRun.make(default_schedule(), per_object=4)
    run.assign("current", "energy", [1.0, 2.0, 3.0, 1e6])
    run.assign("current", "gradient", np.array([1.0, 1.0, 1.0, 1e6])[:, None])
    run.assign("work", "status", [0, 0, 0, 1])
    run.statistics()
    np.testing.assert_allclose(run.read("work", "z_score")[:3], [-1.2247, 0.0, 1.2247], atol=1e-3)
    np.testing.assert_allclose(run.read("work", "mean_square"), 0.98, rtol=1e-5)


# -- proposals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("age", [0, 49, 50, 340])
def test_step_size_decays_with_the_chains_own_age(age: int) -> None:
    run = HandMadeRun.make(
        default_schedule(step_size=0.005, step_size_decay=0.95, step_size_period=50.0), per_object=2
    )
    run.assign("current", "gradient", 3.0)
    run.statistics()
    run.assign("work", "chain_step", age)
    run.propose()
    moved = run.read("proposal", "joint_position")
    np.testing.assert_allclose(moved, -0.005 * 0.95 ** (age // 50) / np.sqrt(0.98), rtol=1e-4)


def test_joints_are_projected_on_their_limits() -> None:
    run = HandMadeRun.make(default_schedule(step_size=0.3), per_object=4, tree=wide_tree(-0.05, 0.1))
    run.assign("current", "gradient", np.array([1.0, -1.0, 1e4, -1e4])[:, None])
    run.statistics()
    run.propose()
    joints = run.read("proposal", "joint_position")
    assert joints.min() == np.float32(-0.05)
    assert joints.max() == np.float32(0.1)


def test_switches_move_one_contact_to_a_free_candidate() -> None:
    """A switch changes one contact, uniformly over contacts and free candidates; contacts stay distinct."""
    run = HandMadeRun.make(default_schedule(), per_object=COUNT, contact_count=4, candidate_count=9)
    before = run.read("current", "contact_index")
    run.propose()
    after = run.read("proposal", "contact_index")
    assert np.all(np.diff(np.sort(after, axis=1), axis=1) > 0)
    changed = (after != before).sum(axis=1)
    assert changed.max() == 1
    assert within(float(np.mean(changed)), 0.4)
    slots = np.bincount(np.argmax(after != before, axis=1)[changed == 1], minlength=4)
    assert slots.min() > 0.85 * slots.mean()
    new = after[after != before]
    assert set(np.unique(new)) == set(range(9))


def test_switches_stay_in_their_slot() -> None:
    """Contacts with a range of their own (pinch, precision) never leave it."""
    run = HandMadeRun.make(default_schedule(switch_probability=1.0), per_object=300, contact_count=4)
    start, count = np.array([0, 10, 0, 0]), np.array([10, 10, 40, 40])
    run.assign("work", "slot_start", start)
    run.assign("work", "slot_count", count)
    contacts = np.tile([3, 15, 25, 35], (300, 1))
    run.assign("current", "contact_index", contacts)
    for step in range(40):
        run.assign("work", "step", step)
        run.propose()
        run.assign("current", "contact_index", run.read("proposal", "contact_index"))
        contacts = run.read("current", "contact_index")
        assert np.all((contacts[:, :2] >= start[:2]) & (contacts[:, :2] < (start + count)[:2]))
        assert np.all(np.diff(np.sort(contacts, axis=1), axis=1) > 0)
    assert set(np.unique(contacts[:, 0])) == set(range(10))


def test_switch_without_a_free_candidate_keeps_the_contacts() -> None:
    run = HandMadeRun.make(
        default_schedule(switch_probability=1.0), per_object=20, contact_count=5, candidate_count=5
    )
    before = run.read("current", "contact_index")
    run.propose()
    np.testing.assert_array_equal(run.read("proposal", "contact_index"), before)


# -- resets ----------------------------------------------------------------------------------------------------------------


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
