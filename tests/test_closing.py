"""Closing of gaps: contacts come onto the object, nothing is pushed into it, and grasps do not depend on their neighbours."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from cases import annealed_variables, example_objects, make_problem
from eval_factory import offset_box, pad_hand
from scipy.spatial.transform import Rotation

from warpgrasp.eval.metrics.geometry import penetration_depth
from warpgrasp.synthesis.closing import close_gaps
from warpgrasp.synthesis.closing_config import ClosingConfig
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.problem import GraspProblem

IDENTITY = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])


def pads_on(tmp_path: Path, joints: list[list[float]], pose: np.ndarray) -> tuple[GraspProblem, object]:
    """Two sliding plates beside a box of half width 3 cm."""
    box = offset_box(tmp_path, (0.03, 0.02, 0.0095))
    problem = GraspProblem(
        pad_hand(),
        [box],
        grasp_count=len(joints),
        contact_count=4,
        terms=EnergyConfig().active_terms(),
        device="cpu",
    )
    state = problem.create_state()
    link, position = problem.host_candidates.link, problem.host_candidates.position
    facing = np.all(np.abs(position[:, 1:]) < (0.015, 0.007), axis=1)  # what the box's faces cover
    left, right = (np.flatnonzero(facing & (link == number))[:2] for number in (1, 2))
    contacts = np.tile(np.concatenate([left, right]), (len(joints), 1))
    problem.set_variables(state, np.tile(pose, (len(joints), 1)), np.array(joints), contacts)
    return problem, state


def test_plates_close_on_a_box(tmp_path: Path) -> None:
    """Plates 5 mm off, one 2 mm inside, and 3 and 6 mm off come to the faces at 30 mm; the root need not move for it."""
    problem, state = pads_on(tmp_path, [[0.035, 0.035], [0.028, 0.031], [0.033, 0.036]], IDENTITY)
    close_gaps(problem, state, ClosingConfig(slides=0), friction=0.2)
    np.testing.assert_allclose(state.contact_distance.numpy(), 0.0, atol=3e-4)
    reached = state.joint_position.numpy() + state.root_pose.numpy()[:, :1] * np.array([-1.0, 1.0])
    np.testing.assert_allclose(reached, 0.03, atol=5e-4)


def test_contacts_out_of_reach_stay_where_they_are(tmp_path: Path) -> None:
    problem, state = pads_on(tmp_path, [[0.045, 0.045]], IDENTITY)
    closed = close_gaps(problem, state, ClosingConfig(reach=0.01), friction=0.2)
    np.testing.assert_allclose(state.joint_position.numpy(), 0.045, atol=1e-6)
    assert not closed.any()


def test_no_steps_leave_the_grasps(tmp_path: Path) -> None:
    problem, state = pads_on(tmp_path, [[0.035, 0.035]], IDENTITY)
    close_gaps(problem, state, ClosingConfig(steps=0), friction=0.2)
    np.testing.assert_array_equal(state.joint_position.numpy(), np.float32(0.035))


@pytest.mark.parametrize("hand", ["allegro", "robotiq_2f140"])
def test_annealed_grasps_touch_more_and_stay_out(hand: str) -> None:
    """Mean distance at most 3/4 of what it was (most contacts of a short run are out of reach); at most 1.5 mm deeper."""
    models = example_objects(2)
    problem = make_problem(hand, models, grasp_count=3, contact_count=8)
    variables = annealed_variables(problem, 3)
    state = problem.create_state()
    problem.set_variables(state, variables.root_pose, variables.joint_position, variables.contact_index)
    problem.evaluate(state)
    before = np.abs(state.contact_distance.numpy()).clip(max=0.012).mean(axis=1)
    depth = [depth_of(problem, state, grasp) for grasp in range(problem.batch_size)]
    close_gaps(problem, state, ClosingConfig(), friction=0.2)
    after = np.abs(state.contact_distance.numpy()).clip(max=0.012).mean(axis=1)
    assert after.mean() <= 0.75 * before.mean()
    for grasp in range(problem.batch_size):
        assert depth_of(problem, state, grasp) <= depth[grasp] + 1.5e-3
    lower, upper = problem.tree.dof_lower.numpy(), problem.tree.dof_upper.numpy()
    position = state.joint_position.numpy()
    assert np.all((position >= lower - 1e-6) & (position <= upper + 1e-6))
    np.testing.assert_allclose(np.linalg.norm(state.root_pose.numpy()[:, 3:], axis=1), 1.0, atol=1e-5)


def depth_of(problem: GraspProblem, state: object, grasp: int) -> float:
    pose = state.root_pose.numpy()[grasp]  # type: ignore[attr-defined]
    joints = state.joint_position.numpy()[grasp]  # type: ignore[attr-defined]
    model = problem.objects[grasp // problem.grasp_count]
    return penetration_depth(problem.hand, model, pose[:3], pose[3:], joints)


def test_a_turned_world_gives_turned_grasps(tmp_path: Path) -> None:
    """The steps know no direction of space: plates that lean by 5 deg close alike wherever the lean points."""
    found = []
    for axis in ([1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]):
        lean = np.concatenate([np.zeros(3), Rotation.from_rotvec(np.radians(3.0) * np.array(axis)).as_quat()])
        problem, state = pads_on(tmp_path, [[0.033, 0.033]], lean)
        close_gaps(problem, state, ClosingConfig(slides=0), friction=0.2)
        found.append(np.abs(state.contact_distance.numpy()))
    assert max(distance.max() for distance in found) < 5e-4


def test_batch_mates_change_nothing() -> None:
    model = example_objects(1)
    both = make_problem("allegro", model, grasp_count=3, contact_count=6)
    variables = annealed_variables(both, 1)
    root, joints, contacts = variables.root_pose, variables.joint_position, variables.contact_index
    config = dataclasses.replace(ClosingConfig(), steps=6)
    results = []
    for chosen in ([0, 1, 2], [1]):
        problem = make_problem("allegro", model, grasp_count=len(chosen), contact_count=6)
        state = problem.create_state()
        problem.set_variables(state, root[chosen], joints[chosen], contacts[chosen])
        close_gaps(problem, state, config, friction=0.2)
        results.append((state.root_pose.numpy(), state.joint_position.numpy(), state.contact_index.numpy()))
    for whole, alone in zip(*results, strict=True):
        np.testing.assert_array_equal(whole[1], alone[0])
