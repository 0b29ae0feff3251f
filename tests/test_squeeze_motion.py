"""Published squeezes against differences of the host kinematics."""

from __future__ import annotations

import numpy as np
from cases import annealed_variables, example_objects, make_problem, state_of
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from warpgrasp.synthesis.controller_targets import controller_targets
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.squeeze_motion import closing_motion, descent_motion
from warpgrasp.synthesis.state import GraspState
from warpgrasp.synthesis.target_config import TargetConfig

FloatArray = NDArray[np.float64]


def _annealed() -> tuple[GraspProblem, GraspState]:
    problem = make_problem("allegro", example_objects(1), grasp_count=3, contact_count=6)
    return problem, state_of(problem, annealed_variables(problem, 1))


def _points(problem: GraspProblem, state: GraspState, grasp: int, joints: FloatArray) -> FloatArray:
    """Contact points [C, 3] of a grasp at other joints."""
    root = state.root_pose.numpy()[grasp].astype(np.float64)
    position, quaternion = problem.hand.forward_kinematics(root[:3], root[3:], joints)
    index = state.contact_index.numpy()[grasp]
    link, local = problem.host_candidates.link[index], problem.host_candidates.position[index]
    return np.asarray(position[link] + Rotation.from_quat(quaternion[link]).apply(local))


def test_closing_is_the_least_squares_motion_of_the_contacts() -> None:
    problem, state = _annealed()
    motion = closing_motion(problem, state)
    joints = state.joint_position.numpy().astype(np.float64)
    distance = np.abs(state.contact_distance.numpy())
    for grasp in range(3):
        columns = [
            (
                _points(problem, state, grasp, joints[grasp] + step)
                - _points(problem, state, grasp, joints[grasp] - step)
            ).ravel()
            / 2e-5
            for step in 1e-5 * np.eye(problem.hand.dof_count)
        ]
        jacobian = np.stack(columns, axis=1)
        way = 5.0 * (1.1 * distance[grasp] + 0.005)
        wanted = (-way[:, None] * state.object_normal.numpy()[grasp]).ravel()
        expected, *_ = np.linalg.lstsq(jacobian, wanted, rcond=1e-4)
        np.testing.assert_allclose(motion[grasp], expected, atol=2e-3 * np.abs(expected).max())


def test_descent_closes_links_that_touch_and_no_others() -> None:
    """A joint moves as its links' nearest points ask: the points approach the object along its normals."""
    problem, state = _annealed()
    motion = descent_motion(problem, state)
    assert np.abs(motion).max() > 1e-3
    assert not state.link_wrench.numpy().any(), "nothing is left in the accumulator"
    root = state.root_pose.numpy().copy()
    root[:, :3] += 1.0  # far away
    problem.set_variables(state, root, state.joint_position.numpy(), state.contact_index.numpy())
    problem.evaluate(state)
    assert not descent_motion(problem, state).any()


def test_torques_of_motions_stay_within_the_efforts() -> None:
    problem, state = _annealed()
    for rule in ("closing", "descent"):
        pressed = controller_targets(problem, state, TargetConfig(squeeze=rule)).squeeze  # type: ignore[arg-type]
        assert np.all(np.abs(pressed.torque) <= problem.hand.dof_effort * (1 + 1e-9))
        assert np.abs(pressed.torque).max() > 0.0
        assert np.isfinite(pressed.force).all()
