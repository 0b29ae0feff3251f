"""Mirrored hands: kinematics, surfaces, masses and contact points are reflections, joint values and limits stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from robot_files import NO_PICTURE, write_mjcf_gripper, write_urdf_hand

from warpgrasp.geometry.rotations import IDENTITY_QUATERNION, quaternion_to_matrix
from warpgrasp.hands import HandModel, hand_path, load_hand
from warpgrasp.hands.convert import convert_hand
from warpgrasp.hands.convert.__main__ import main
from warpgrasp.hands.convert.mirror import mirror_hand, other_side

S = np.diag([1.0, -1.0, 1.0])


def assert_reflection(hand: HandModel, mirror: HandModel) -> None:
    np.testing.assert_allclose(mirror.dof_lower, hand.dof_lower, atol=1e-9)
    np.testing.assert_allclose(mirror.dof_upper, hand.dof_upper, atol=1e-9)
    np.testing.assert_allclose(mirror.dof_opening, hand.dof_opening)
    np.testing.assert_allclose(mirror.link_mass, hand.link_mass)
    np.testing.assert_allclose(mirror.link_center_of_mass, hand.link_center_of_mass @ S, atol=1e-9)
    np.testing.assert_allclose(mirror.link_inertia, S @ hand.link_inertia @ S, atol=1e-9)
    for mine, other in zip(mirror.patches, hand.patches, strict=True):
        np.testing.assert_allclose(mine.vertices, other.vertices @ S, atol=1e-7)
    for q in np.random.default_rng(1).uniform(hand.dof_lower, hand.dof_upper, size=(30, hand.dof_count)):
        there = hand.forward_kinematics(np.zeros(3), IDENTITY_QUATERNION, q)
        here = mirror.forward_kinematics(np.zeros(3), IDENTITY_QUATERNION, q)
        np.testing.assert_allclose(here[0], there[0] @ S, atol=2e-7)  # the file holds single precision
        for mine, other in zip(here[1], there[1], strict=True):
            expected = S @ quaternion_to_matrix(other) @ S
            np.testing.assert_allclose(quaternion_to_matrix(mine), expected, atol=2e-6)
        np.testing.assert_allclose(
            mirror.sphere_centers(np.zeros(3), IDENTITY_QUATERNION, q),
            hand.sphere_centers(np.zeros(3), IDENTITY_QUATERNION, q) @ S,
            atol=1e-6,
        )
    axes, before = (quaternion_to_matrix(h.wrist_quaternion).T for h in (mirror, hand))
    np.testing.assert_allclose(axes[1:], before[1:] @ S, atol=1e-6)  # fingers and palm normal
    np.testing.assert_allclose(axes[0], -before[0] @ S, atol=1e-6)  # so that the frame is right-handed
    for grasp_type in hand.grasp_types:
        points = mirror.contact_candidates(grasp_type), hand.contact_candidates(grasp_type)
        assert points[0].count == points[1].count


@pytest.mark.parametrize("name", ["allegro", "ability_hand", "barrett"])
def test_shipped_hands(tmp_path: Path, name: str) -> None:
    assert_reflection(load_hand(name), mirror_hand(hand_path(name), tmp_path / "other"))


def test_slides_and_skew_axes(tmp_path: Path) -> None:
    pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    hand = convert_hand(write_mjcf_gripper(tmp_path), tmp_path / "out", NO_PICTURE).hand
    mirror = mirror_hand(hand.path, tmp_path / "other")
    assert_reflection(hand, mirror)
    assert mirror.joint_names[0] == "right_slide"  # left and right change places
    back = mirror_hand(mirror.path, tmp_path / "back")
    assert back.joint_names == hand.joint_names
    np.testing.assert_allclose(back.joint_parent_position, hand.joint_parent_position, atol=1e-9)


def test_names(tmp_path: Path) -> None:
    pairs = {
        "rh_FFJ1": "lh_FFJ1",
        "left_hand": "right_hand",
        "R_palm": "L_palm",
        "LeftThumb": "RightThumb",
        "bright": "bright",
    }
    assert {name: other_side(name) for name in pairs} == pairs
    assert other_side("rightHanded") == "rightHanded"


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_urdf_hand(tmp_path)
    right = convert_hand(source, tmp_path / "right", NO_PICTURE).hand
    assert main([str(right.path), "--mirror", "--output", str(tmp_path / "left"), "--no-picture"]) == 0
    left = load_hand(tmp_path / "left" / "hand.usda")
    assert left.name == "left"
    assert "mirror image" in capsys.readouterr().out
    assert_reflection(right, left)
    assert main([str(right.path), "--mirror", "--output", str(tmp_path / "right")]) == 1
    assert main([str(source), "--mirror", "--output", str(tmp_path / "x")]) == 1
