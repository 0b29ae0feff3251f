"""How deep hands reach into objects: closed form on a box, exact distances on meshes, and the status that tells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cases import example_objects
from eval_factory import offset_box, pad_hand
from oracle_geometry import closest_on_mesh
from scipy.spatial.transform import Rotation

from warpgrasp.base.status import GraspStatus
from warpgrasp.hands import load_hand
from warpgrasp.synthesis.closing_config import ClosingConfig
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.hand_depth import hand_depth
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.seeds import InitializeConfig
from warpgrasp.synthesis.synthesize import SynthesisConfig, synthesize


def test_depth_of_a_finger_wholly_inside(tmp_path: Path) -> None:
    """Spheres of 5 mm on plates: outside, touching the face at 20 mm by half, and 12 mm inside it."""
    problem = GraspProblem(
        pad_hand(),
        [offset_box(tmp_path, (0.02, 0.02, 0.02))],
        grasp_count=3,
        contact_count=2,
        terms=EnergyConfig().active_terms(),
        device="cpu",
    )
    state = problem.create_state()
    identity = np.tile([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0], (3, 1))
    joints = np.array([[0.04, 0.04], [0.04, 0.02], [0.008, 0.04]])
    problem.set_variables(state, identity, joints, np.tile([0, 1], (3, 1)))
    problem.evaluate(state)
    np.testing.assert_allclose(hand_depth(problem, state), [0.0, 0.005, 0.017], atol=1e-6)


@pytest.mark.parametrize("name", ["allegro", "robotiq_3f"])
def test_synthesis_flags_hands_inside_objects(name: str) -> None:
    hand, (thing, *_) = load_hand(name), example_objects(1)
    config = SynthesisConfig(
        grasp_count=12,
        contact_count=4,
        step_count=2,
        device="cpu",
        seed=1,
        closing=ClosingConfig(steps=0),  # it would take the hands out of the object
        initialize=InitializeConfig(distance_lower=0.0, distance_upper=0.05),
    )
    (grasps,) = synthesize(hand, [thing], config)
    inside = []
    for i in range(len(grasps)):
        pose = (grasps.root_position[i], grasps.root_quaternion[i], grasps.joint_position[i])
        position, quaternion = hand.forward_kinematics(*(np.asarray(part, dtype=np.float64) for part in pose))
        link = hand.sphere_link
        center = position[link] + Rotation.from_quat(quaternion[link]).apply(hand.sphere_position)
        # Spheres far outside decide nothing.
        near = np.flatnonzero(np.all(np.abs(center) < np.abs(thing.vertices).max() + 0.02, axis=1))
        depth = [hand.sphere_radius[s] - closest_on_mesh(thing, center[s])[1] for s in near]
        inside.append(max(depth, default=0.0) > 0.01)
    found = np.asarray(grasps.status) == GraspStatus.HAND_INSIDE_OBJECT
    assert 0 < sum(inside) < len(inside)
    np.testing.assert_array_equal(found, inside)
