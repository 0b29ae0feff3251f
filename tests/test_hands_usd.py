"""The USD reader on small assets written here: units, xform stacks, directions and couplings."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hand_prims import (
    FINGER,
    HINGE,
    IDENTITY,
    NEWTON_MIMIC,
    PALM,
    PHYSX_MIMIC,
    ZERO,
    load,
    second_finger,
    write,
)

from warpgrasp.geometry.rotations import axis_angle_to_quaternion, multiply_quaternions, rotate
from warpgrasp.hands import GeometryType, JointType


def test_plain_hand(tmp_path: Path) -> None:
    hand = load(tmp_path, PALM, FINGER, HINGE)
    assert hand.link_names == ("palm", "finger")
    assert hand.link_paths == ("/hand/palm", "/hand/finger")
    assert hand.joint_names == ("hinge",)
    assert hand.joint_type.tolist() == [JointType.FIXED, JointType.REVOLUTE]
    np.testing.assert_allclose([hand.dof_lower[0], hand.dof_upper[0]], [-math.pi / 6, math.pi / 2], rtol=1e-6)
    assert hand.dof_stiffness[0] == pytest.approx(2.0 * 180.0 / math.pi, rel=1e-6)
    assert hand.dof_damping[0] == pytest.approx(0.5 * 180.0 / math.pi, rel=1e-6)
    assert hand.dof_effort[0] == pytest.approx(1.5)
    assert hand.geometry_type.tolist() == [GeometryType.BOX, GeometryType.CAPSULE]
    np.testing.assert_allclose(hand.geometry_size, [[0.01, 0.02, 0.03], [0.01, 0.02, 0.0]], atol=1e-9)
    along = rotate(hand.geometry_quaternion[1], (0.0, 0.0, 1.0))
    np.testing.assert_allclose(np.abs(along), [1.0, 0.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(hand.link_inertia[0], 0.5 / 3.0 * np.diag([13e-4, 10e-4, 5e-4]), rtol=1e-6)
    assert hand.dof_opening.tolist() == [0.0]
    assert hand.grasp_types == {}


def test_frames_on_both_sides(tmp_path: Path) -> None:
    """X = A Motion inverse(B), written out by hand."""
    hand = load(tmp_path, PALM, FINGER, HINGE)
    position, quaternion = hand.forward_kinematics(ZERO, IDENTITY, [0.4])
    frame = axis_angle_to_quaternion((1.0, 0.0, 0.0), math.pi / 4)
    turn = multiply_quaternions(frame, axis_angle_to_quaternion((0.0, 1.0, 0.0), 0.4))
    np.testing.assert_allclose(quaternion[1], turn, atol=1e-7)
    np.testing.assert_allclose(
        position[1], np.array([0.0, 0.0, 0.03]) + rotate(turn, (0.0, 0.0, 0.02)), atol=1e-8
    )


def test_child_first_joint_is_turned_round(tmp_path: Path) -> None:
    """body0 and body1 may be swapped: the joint value then counts the other way, as USD says."""
    forward = load(tmp_path, PALM, FINGER, HINGE)
    swapped = HINGE.replace("body0", "body_").replace("body1", "body0").replace("body_", "body1")
    for kind in ("localPos", "localRot"):
        swapped = (
            swapped.replace(f"{kind}0", f"{kind}_")
            .replace(f"{kind}1", f"{kind}0")
            .replace(f"{kind}_", f"{kind}1")
        )
    palm = PALM.replace('"PhysicsRigidBodyAPI"', '"PhysicsRigidBodyAPI", "PhysicsArticulationRootAPI"')
    backward = load(tmp_path, palm, FINGER, swapped)
    assert backward.link_names == forward.link_names
    expected = forward.forward_kinematics(ZERO, IDENTITY, [-0.3])
    for got, wanted in zip(backward.forward_kinematics(ZERO, IDENTITY, [0.3]), expected, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-9)


def in_centimetres(text: str) -> str:
    """The same prims with every length times a hundred."""
    pairs = {
        "(0.01, 0.02, 0.03)": "(1, 2, 3)",
        "(0, 0, 0.05)": "(0, 0, 5)",
        "(0, 0, 0.03)": "(0, 0, 3)",
        "(0, 0, -0.02)": "(0, 0, -2)",
        "height = 0.04": "height = 4",
        "radius = 0.01": "radius = 1",
        "stiffness = 2": "stiffness = 20000",
        "damping = 0.5": "damping = 5000",
        "maxForce = 1.5": "maxForce = 15000",
    }
    for metres, centimetres in pairs.items():
        text = text.replace(metres, centimetres)
    return text


SAME_FIELDS = (
    "joint_parent_position",
    "joint_child_position",
    "geometry_size",
    "geometry_position",
    "link_center_of_mass",
    "link_inertia",
    "link_mass",
    "dof_stiffness",
    "dof_damping",
    "dof_effort",
)


@pytest.mark.parametrize("up", ["Y", "Z"])
def test_units_and_up_axis(tmp_path: Path, up: str) -> None:
    metres = load(tmp_path, PALM, FINGER, HINGE)
    other = tmp_path / "other"
    other.mkdir()
    centimetres = load(other, *(in_centimetres(prim) for prim in (PALM, FINGER, HINGE)), meters=0.01, up=up)
    for name in SAME_FIELDS:
        np.testing.assert_allclose(
            getattr(centimetres, name), getattr(metres, name), rtol=1e-5, atol=1e-9, err_msg=name
        )


def test_xform_stack_above_the_hand(tmp_path: Path) -> None:
    """A rotated, moved and uniformly scaled ancestor: the scale counts, the pose does not."""
    plain = load(tmp_path, PALM, FINGER, HINGE)
    other = tmp_path / "other"
    other.mkdir()
    around = """
    double3 xformOp:translate = (1, 2, 3)
    quatd xformOp:orient = (0.5, 0.5, -0.5, 0.5)
    float3 xformOp:scale = (2, 2, 2)
    uniform token[] xformOpOrder = ["xformOp:translate", "xformOp:orient", "xformOp:scale"]
    """
    scaled = load(other, PALM, FINGER, HINGE, around=around)
    np.testing.assert_allclose(scaled.geometry_size, 2.0 * plain.geometry_size, atol=1e-8)
    np.testing.assert_allclose(scaled.joint_parent_position, 2.0 * plain.joint_parent_position, atol=1e-8)
    np.testing.assert_allclose(scaled.joint_parent_quaternion, plain.joint_parent_quaternion, atol=1e-7)


def test_joint_may_target_a_frame_inside_a_body(tmp_path: Path) -> None:
    mount = """
    def Xform "mount"
    {
        double3 xformOp:translate = (0, 0, 0.03)
        uniform token[] xformOpOrder = ["xformOp:translate"]
    }
}
"""
    palm = PALM.rstrip().removesuffix("}") + mount
    hinge = HINGE.replace("</hand/palm>", "</hand/palm/mount>").replace("(0, 0, 0.03)", "(0, 0, 0)")
    hand = load(tmp_path, palm, FINGER, hinge)
    np.testing.assert_allclose(hand.joint_parent_position[1], [0.0, 0.0, 0.03], atol=1e-9)


def test_fixed_and_prismatic_joints(tmp_path: Path) -> None:
    slide = HINGE.replace("PhysicsRevoluteJoint", "PhysicsPrismaticJoint").replace("angular", "linear")
    slide = slide.replace("-30", "-0.01").replace("90", "0.02")
    hand = load(tmp_path, PALM, FINGER, slide)
    assert hand.joint_type[1] == JointType.PRISMATIC
    np.testing.assert_allclose([hand.dof_lower[0], hand.dof_upper[0]], [-0.01, 0.02], rtol=1e-6)
    closed, _ = hand.forward_kinematics(ZERO, IDENTITY, [0.0])
    opened, _ = hand.forward_kinematics(ZERO, IDENTITY, [0.01])
    np.testing.assert_allclose(np.linalg.norm(opened[1] - closed[1]), 0.01, rtol=1e-6)
    fixed = load(tmp_path, PALM, FINGER, HINGE.replace("PhysicsRevoluteJoint", "PhysicsFixedJoint"))
    assert fixed.dof_count == 0
    assert fixed.joint_dof.tolist() == [-1, -1]
    fixed.forward_kinematics(ZERO, IDENTITY, [])


@pytest.mark.parametrize("coupling", [NEWTON_MIMIC, PHYSX_MIMIC], ids=["newton", "physx"])
def test_mimic_with_offset(tmp_path: Path, coupling: str) -> None:
    hand = load(tmp_path, PALM, FINGER, HINGE, *second_finger(coupling))
    assert hand.joint_names == ("hinge",)
    value = hand.expand_joint_position([0.2])
    assert value["follower"] == pytest.approx(-0.1 + math.radians(10.0), abs=1e-7)
    # the follower's own limits, -30..90 degrees, leave the leader -160..80 degrees: its upper limit shrinks
    assert hand.dof_lower[0] == pytest.approx(math.radians(-30.0), abs=1e-6)
    assert hand.dof_upper[0] == pytest.approx(math.radians(80.0), abs=1e-6)


def test_hash_follows_references(tmp_path: Path) -> None:
    part = tmp_path / "part.usda"
    part.write_text('#usda 1.0\n(\n    defaultPrim = "part"\n)\ndef Xform "part"\n{\n}\n')
    reference = 'def Xform "extra" (prepend references = @./part.usda@)\n{\n}\n'
    path = write(tmp_path, PALM, FINGER, HINGE, reference)
    from warpgrasp.hands.usd.read import read_hand

    before = read_hand(path).asset_hash
    assert read_hand(path).asset_hash == before
    part.write_text(part.read_text() + "# changed\n")
    assert read_hand(path).asset_hash != before


def test_wrong_joint_count(tmp_path: Path) -> None:
    hand = load(tmp_path, PALM, FINGER, HINGE)
    with pytest.raises(ValueError, match=r"must have shape \(1,\) in the order hinge \(got \(2,\)\)"):
        hand.forward_kinematics(ZERO, IDENTITY, [0.0, 0.0])
