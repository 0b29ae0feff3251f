"""The sampling baseline: closing until contact, epsilon, the choice by farthest points, and a small run."""

from __future__ import annotations

import numpy as np
import pytest
from cases import example_objects, make_problem, only

from warpgrasp.eval.metrics.geometry import penetration_depth
from warpgrasp.eval.metrics.wrench import contact_wrenches, epsilon_quality
from warpgrasp.hands import load_hand
from warpgrasp.synthesis.finger_closing import FingerClosing, closing_direction
from warpgrasp.synthesis.methods import method_config
from warpgrasp.synthesis.methods.sampling import (
    OptimizerSampling,
    epsilon_of_contacts,
    spread_choice,
    spread_contacts,
)
from warpgrasp.synthesis.seeds import InitializeConfig, seed_grasps
from warpgrasp.synthesis.synthesize import synthesize


def test_epsilon_is_that_of_the_evaluation() -> None:
    rng = np.random.default_rng(0)
    for count in (2, 4, 9):
        place = rng.normal(size=(count, 3))
        place /= np.linalg.norm(place, axis=1, keepdims=True)
        position, center = 0.04 * place, np.array([0.001, 0.0, -0.002])
        expected = epsilon_quality(contact_wrenches(position, place, center, friction=0.5))
        found = epsilon_of_contacts(position, place, center, 0.5)
        assert found == pytest.approx(expected, rel=0.05, abs=1e-6)  # pyramids are turned differently
    assert epsilon_of_contacts(position[:1], place[:1], center, 0.5) == 0.0


def test_the_choice_is_spread_over_the_closed_ones() -> None:
    """Farthest points among the closed ones; open ones only where closed ones do not suffice."""
    root = np.zeros((6, 7))
    root[:, 6] = 1.0
    root[:, 0] = [0.0, 0.01, 0.10, 0.11, 0.05, 0.5]
    quality = np.array([0.3, 0.2, 0.1, 0.1, 0.1, 0.0])
    assert spread_choice(root, quality, 3).tolist() == [0, 3, 4]
    assert set(spread_choice(root, quality, 6).tolist()) == set(range(6))
    assert spread_choice(root, np.zeros(6), 2).tolist() == [0, 1]
    turned = root[:2].copy()
    turned[:, 0] = 0.0
    turned[1, 3:] = [1.0, 0.0, 0.0, 0.0]
    assert spread_choice(np.vstack([turned, root[1]]), np.array([0.3, 0.1, 0.2]), 2).tolist() == [0, 1]


def test_joints_close_until_a_link_they_move_touches() -> None:
    """No joint that could still move is left, and nothing enters the object by more than a step."""
    problem = make_problem(objects=example_objects(2)[1:], grasp_count=3, energy=only(), contact_count=4)
    seeds = seed_grasps(problem, InitializeConfig(), seed=1)
    state = problem.create_state()
    problem.set_variables(state, seeds.root_pose, seeds.joint_position, seeds.contact_index)
    direction = closing_direction(problem)
    closing = FingerClosing(problem)
    closing.close(state, direction)
    hand, duck = problem.hand, problem.objects[0]
    root, joints = state.root_pose.numpy(), state.joint_position.numpy().astype(float)
    touches = closing._touches(state, 0.0008)
    lower, upper = problem.tree.dof_lower.numpy(), problem.tree.dof_upper.numpy()
    for grasp in range(3):
        depth = penetration_depth(hand, duck, root[grasp, :3], root[grasp, 3:], joints[grasp])
        assert depth < 0.004
        for dof in np.flatnonzero(direction):
            moved = [link for link in range(hand.link_count) if _hangs_on(hand, link, dof)]
            end = upper[dof] if direction[dof] > 0.0 else lower[dof]
            assert touches[grasp, moved].any() or abs(joints[grasp, dof] - end) < 1e-4, (grasp, dof)
    assert touches.any(axis=1).sum() >= 2, "a hand may close beside the object"


def _hangs_on(hand: object, link: int, dof: int) -> bool:
    while link > 0:
        if hand.joint_dof[link] == dof:  # type: ignore[attr-defined]
            return True
        link = int(hand.link_parent[link])  # type: ignore[attr-defined]
    return False


def test_the_eigengrasp_closes_the_hand() -> None:
    """Along it the fingertips of hands of all kinds come together."""
    for name in ("allegro", "barrett"):
        problem = make_problem(name, objects=example_objects(1), grasp_count=1, energy=only())
        hand, direction = problem.hand, closing_direction(problem)
        links = [patch.link for patch in hand.patches if patch.region == "tip"]
        spans = []
        for share in (0.0, 0.3):
            joints = np.clip(hand.dof_opening + share * direction, hand.dof_lower, hand.dof_upper)
            position, _ = hand.forward_kinematics(np.zeros(3), (0.0, 0.0, 0.0, 1.0), joints)
            spans.append(np.ptp(position[links], axis=0).max())
        assert spans[1] < spans[0], name


def test_random_steps_shrink_with_the_temperature() -> None:
    hot, cold = (
        np.abs(OptimizerSampling._heavy_tailed(np.random.default_rng(0), (500, 7), t)) for t in (1.0, 1e-3)
    )
    assert hot.max() <= 1.0 + 1e-12
    assert hot.mean() > 0.3
    assert cold.mean() < 0.2
    assert cold.max() > 0.5, "tails stay"


def test_a_run_keeps_the_closed_grasps() -> None:
    config = method_config("sampling", grasp_count=3, step_count=120, device="cpu")
    first, again = (synthesize(load_hand("allegro"), example_objects(1), config)[0] for _ in range(2))
    np.testing.assert_array_equal(first.joint_position, again.joint_position)
    problem = make_problem(objects=example_objects(1), grasp_count=3)
    assert len(set(spread_contacts(problem)[0])) == 12
    near = np.linalg.norm(first.contact_force, axis=2) > 0.0
    assert np.all(near.sum(axis=1) >= 2)
