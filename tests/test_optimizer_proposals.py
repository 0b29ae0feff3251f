"""Proposals of hand-made chains: turns, step sizes, limits, contact switches, and the chain's own caches."""

from __future__ import annotations

import numpy as np
import pytest
from chain_factory import COUNT, HandMadeRun, default_schedule, wide_tree, within
from scipy.spatial.transform import Rotation


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


def test_every_contact_may_switch() -> None:
    """As published: each contact moves with the probability, on its own; contacts stay distinct."""
    run = HandMadeRun.make(
        default_schedule(switch_every=1), per_object=COUNT, contact_count=4, candidate_count=40
    )
    before = run.read("current", "contact_index")
    run.propose()
    after = run.read("proposal", "contact_index")
    assert np.all(np.diff(np.sort(after, axis=1), axis=1) > 0)
    changed = after != before
    for slot in range(4):
        assert within(float(changed[:, slot].mean()), 0.4)
    assert within(float((changed[:, 0] & changed[:, 3]).mean()), 0.16)


@pytest.mark.parametrize("start", [0, 40])
def test_a_chain_may_be_scaled_by_its_own_gradients(start: int) -> None:
    """v = g^2 at the first step of a chain or after its reset, then (1 - m) v + m g^2; other chains change nothing."""
    run = HandMadeRun.make(default_schedule(momentum=0.05, own_preconditioner=1), per_object=3)
    gradients = np.array([[1.0, 3.0, -4.0], [1e-3, -2e-3, 5e-3], [1e5, 1e5, 1e5]])
    square = gradients[:, :1] ** 2
    run.assign("work", "chain_start", start)
    run.assign("work", "own_mean_square", 1e6)  # of the chain before
    for step in range(3):
        run.assign("current", "gradient", gradients[:, step : step + 1])
        run.assign("work", "chain_step", step + min(start, 1))
        run.statistics()
        run.propose()
        if step:
            square = 0.95 * square + 0.05 * gradients[:, step : step + 1] ** 2
        expected = -0.01 * gradients[:, step : step + 1] / (np.sqrt(square) + 1e-6)
        found = run.read("proposal", "joint_position")
        np.testing.assert_allclose(found, np.repeat(expected, found.shape[1], axis=1), rtol=1e-5)


def test_angles_may_step_further_than_lengths() -> None:
    run = HandMadeRun.make(default_schedule(), per_object=1)
    scale = np.array([1.0, 1.0, 1.0, 10.0, 10.0, 10.0, 10.0, 1.0, 10.0])
    run.assign("work", "step_scale", scale)
    run.assign("current", "gradient", -1.0)
    run.statistics()
    run.propose()
    step = 0.01 / np.sqrt(0.98)
    pose = run.read("proposal", "root_pose")[0]
    np.testing.assert_allclose(pose[:3], step, rtol=1e-4)
    np.testing.assert_allclose(Rotation.from_quat(pose[3:]).as_rotvec(), 10.0 * step, rtol=1e-4)
    np.testing.assert_allclose(run.read("proposal", "joint_position")[0], scale[6:] * step, rtol=1e-4)
