"""BODex as a method: three stages, the pregrasp in between, and its own squeeze."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np
import pytest
from cases import example_objects
from oracle_geometry import closest_on_mesh
from scipy.spatial.transform import Rotation

from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.hands import load_hand
from warpgrasp.hands.fingertips import fingertips
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.methods import method_config
from warpgrasp.synthesis.synthesize import synthesize


@lru_cache(maxsize=1)
def made() -> GraspSet:
    config = method_config("bodex", grasp_count=4, step_count=250, device="cpu")
    return synthesize(load_hand("allegro"), example_objects(2)[1:], config)[0]


def test_tips_come_down_from_the_pregrasp() -> None:
    """The fine stage keeps the tips 1 cm off, the final one brings them to the surface; medians, as some grasps fail."""
    hand, duck, grasps = load_hand("allegro"), example_objects(2)[1], made()
    tips = fingertips(hand, "power")
    before, after = [], []
    for grasp in range(len(grasps)):
        names = ("root_position", "root_quaternion", "joint_position")
        pose = [getattr(grasps, "pregrasp_" + name)[grasp] for name in names]
        position, quaternion = hand.forward_kinematics(*pose)
        for tip, link in enumerate(tips.link):
            center = position[link] + Rotation.from_quat(quaternion[link]).apply(tips.center[tip])
            before.append(closest_on_mesh(duck, center)[1] - tips.radius[tip])
            after.append(closest_on_mesh(duck, grasps.contact_position[grasp, tip].astype(float))[1])
    assert np.median(before) == pytest.approx(0.01, abs=0.002)
    assert abs(np.median(after)) < 0.002
    assert np.median(np.abs(after)) < 0.002


def test_the_squeeze_lies_beyond_the_grasp() -> None:
    """``2 x - x_pre`` of the root, and of the joints for drives of 5 Nm/rad."""
    grasps, hand = made(), load_hand("allegro")
    beyond = 2.0 * grasps.root_position - grasps.pregrasp_root_position
    np.testing.assert_allclose(grasps.squeeze_root_position, beyond, atol=1e-6)
    for before, middle, after in zip(
        grasps.pregrasp_root_quaternion, grasps.root_quaternion, grasps.squeeze_root_quaternion, strict=True
    ):
        first, turned, last = (Rotation.from_quat(q) for q in (before, middle, after))
        assert (first.inv() * turned).magnitude() == pytest.approx(
            (turned.inv() * last).magnitude(), abs=1e-4
        )
        np.testing.assert_allclose((turned * first.inv() * turned).as_matrix(), last.as_matrix(), atol=1e-5)
    torque = 5.0 * (grasps.joint_position - grasps.pregrasp_joint_position)
    np.testing.assert_allclose(
        grasps.squeeze_torque, np.clip(torque, -hand.dof_effort, hand.dof_effort), atol=1e-5
    )


def test_contacts_are_those_of_the_tips() -> None:
    grasps, hand = made(), load_hand("allegro")
    assert grasps.contact_index.shape == (4, 4)
    candidates = hand.contact_candidates("power")
    assert len(candidates.link) > grasps.contact_index.max()
    assert np.isfinite(grasps.contact_force).all()
    inward = -np.einsum("ncx,ncx->nc", grasps.contact_force, grasps.contact_normal)
    assert np.all(inward > 0.0), "fingers press into the object"
    np.testing.assert_allclose(np.linalg.norm(grasps.contact_force, axis=2).sum(axis=1), 1.0, rtol=1e-5)


def test_the_optimiser_needs_its_terms() -> None:
    config = dataclasses.replace(method_config("bodex", grasp_count=1, step_count=5), energy=EnergyConfig())
    with pytest.raises(ValueError, match="needs the energy term task_wrench"):
        synthesize(load_hand("allegro"), example_objects(1), config)
