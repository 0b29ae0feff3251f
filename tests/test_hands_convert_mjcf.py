"""The converter on a small MJCF gripper: couplings, drives and tendons kept, what it cannot express refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from robot_files import NO_PICTURE, write_mjcf_gripper

from warpgrasp.geometry.rotations import quaternion_to_matrix
from warpgrasp.hands.convert import ConvertConfig, convert_hand


def test_mjcf_couplings_and_drives(tmp_path: Path) -> None:
    pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    result = convert_hand(write_mjcf_gripper(tmp_path), tmp_path / "out", NO_PICTURE)
    hand = result.hand
    assert hand.joint_names == ("left_slide", "left_twist", "left_tilt")
    values = hand.expand_joint_position([0.03, 0.1, 0.2])
    assert values["right_slide"] == pytest.approx(0.03)
    assert values["right_tilt"] == pytest.approx((0.02 - 0.2) / 2.0)  # left + 2 right = 0.02
    # the coupling narrows the leader: right in +-0.3 leaves left in [-0.58, 0.62], so its own +-0.3 stays
    np.testing.assert_allclose(hand.dof_lower, [0.0, -0.2, -0.3], atol=1e-7)
    assert hand.dof_stiffness[[0, 2]] == pytest.approx([300.0, 2.0])
    assert hand.dof_damping[0] == pytest.approx(5.5)  # the drive's and the joint's own
    assert hand.dof_effort[[0, 2]] == pytest.approx([30.0, 0.4])
    assert hand.dof_friction[2] == pytest.approx(0.02)
    assert any("2 joints" in note for note in result.warnings)
    assert set(hand.fingers) == {"left", "right", "palm"}
    assert abs(float(quaternion_to_matrix(hand.wrist_quaternion)[2, 2])) > 0.99


def test_tendon_drive_couples_in_proportion(tmp_path: Path) -> None:
    pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    path = write_mjcf_gripper(tmp_path, coupling='<joint joint1="right_slide" joint2="left_slide"/>')
    text = path.read_text().replace('name="tilt" joint="left_tilt"', 'name="tilt" tendon="tilts"')
    path.write_text(text)
    hand = convert_hand(path, tmp_path / "out", NO_PICTURE).hand
    values = hand.expand_joint_position([0.0, 0.0, 0.1])
    assert values["right_tilt"] == pytest.approx(0.2)
    assert any("one tendon" in note for note in convert_hand(path, tmp_path / "out", NO_PICTURE).warnings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("finger.stl", "lost.stl"), "cannot compile .*lost.stl"),
        ((' range="-0.2 0.2"', ""), "joint 'left_twist' has no limits"),
        (
            ("<equality>", '<equality><weld body1="left_pad" body2="right_pad"/>'),
            "at 'left_pad' closes a kinematic loop",
        ),
        (
            ("<equality>", '<equality><connect body1="left_pad" body2="base" anchor="0 0 0.5"/>'),
            "the loop at body 'left_pad' does not move with joint 'left_slide'",
        ),
        (
            ("\n  </worldbody>", '<body name="arm"><body name="hand2"><joint range="0 1"/><geom size="0.01"/></body>'
             '<geom size="0.01"/></body></worldbody>'),
            "two roots, link 'base' and link 'arm'",
        ),
    ],
)  # fmt: skip
def test_bad_mjcf(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    path = write_mjcf_gripper(tmp_path)
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change))
    with pytest.raises(ValueError, match=message) as caught:
        convert_hand(path, tmp_path / "out", NO_PICTURE)
    assert "\n" not in str(caught.value)


def test_ball_joint_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    path = tmp_path / "ball.xml"
    finger = (
        '<body name="finger" pos="0 0 0.05"><joint name="knuckle" type="ball"/><geom size="0.01"/></body>'
    )
    path.write_text(
        f'<mujoco><worldbody><body name="palm"><geom size="0.03"/>{finger}</body></worldbody></mujoco>'
    )
    with pytest.raises(ValueError, match="joint 'knuckle' is a ball joint, which is not supported; split it"):
        convert_hand(path, tmp_path / "out", NO_PICTURE)


FINGER = (
    '<body name="{0}_1" pos="{1} 0.05"><joint name="{0}_j1" axis="0 1 0" range="0 1.5"/>'
    '<geom type="capsule" size="0.008" fromto="0 0 0 0 0 0.04" mass="0.03"/>'
    '<body name="{0}_2" pos="0 0 0.046"><joint name="{0}_j2" axis="0 1 0" range="0 1.5"/>'
    '<geom type="capsule" size="0.008" fromto="0 0 0 0 0 0.03" mass="0.02"/></body></body>'
)
PALM = '<geom type="box" size="0.012 0.04 0.045" mass="0.3"/>'
FINGERS = "".join(
    FINGER.format(name, place)
    for name, place in (("index", "0 0.02"), ("middle", "0 -0.02"), ("thumb", "0.03 0"))
)
SIX = "".join(
    f'<joint name="b{n}" type="{"slide" if n < 3 else "hinge"}" axis="{axis}" range="-2 2"/>'
    for n, axis in enumerate(("1 0 0", "0 1 0", "0 0 1") * 2)
)


@pytest.mark.parametrize(
    ("world", "rest", "note"),
    [
        (PALM + FINGERS, "", "the world body is taken as the palm"),
        (f'<body name="palm">{SIX}{PALM}{FINGERS}</body>', "", "'b5' only place the root body 'palm'"),
        (
            f'<body name="m" mocap="true"/><body name="palm"><freejoint/>{PALM}{FINGERS}</body>',
            '<equality><weld body1="m" body2="palm"/></equality>',
            "weld of 'palm' to 'm' only holds the hand",
        ),
    ],
    ids=["palm in the world", "six base joints", "mocap weld"],
)
def test_hands_held_in_the_world(tmp_path: Path, world: str, rest: str, note: str) -> None:
    pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    path = tmp_path / "hand.xml"
    path.write_text(
        f'<mujoco><compiler angle="radian" autolimits="true"/><worldbody>{world}</worldbody>{rest}</mujoco>'
    )
    result = convert_hand(path, tmp_path / "out", NO_PICTURE)
    assert result.hand.joint_names == tuple(f"{f}_j{n}" for f in ("index", "middle", "thumb") for n in (1, 2))
    assert any(note in text for text in result.warnings)
    assert set(result.hand.fingers) == {"palm", "index", "middle", "thumb"}


def test_reference_values_shift_the_zero(tmp_path: Path) -> None:
    """A joint's ``ref`` is its value in the pose in which the file is drawn; MuJoCo's kinematics agree at any value."""
    mujoco = pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    path = write_mjcf_gripper(tmp_path)
    text = path.read_text().replace(
        'axis="0 0 1" range="-0.2 0.2"', 'axis="0 0 1" range="-0.2 0.2" ref="0.1"'
    )
    text = text.replace('range="0 0.04" damping', 'range="0 0.04" ref="0.01" damping')
    path.write_text(
        text.replace('pos="0 0 -0.01" range="-0.3 0.3"', 'pos="0 0 -0.01" range="-0.3 0.3" ref="0.2"')
    )
    hand = convert_hand(path, tmp_path / "out", NO_PICTURE).hand
    model = mujoco.MjModel.from_xml_path(str(path))
    data = mujoco.MjData(model)
    for q in np.random.default_rng(0).uniform(hand.dof_lower, hand.dof_upper, size=(20, hand.dof_count)):
        for name, value in hand.expand_joint_position(q).items():
            data.qpos[model.joint(name).qposadr[0]] = value
        mujoco.mj_kinematics(model, data)
        base = model.body("base").id
        position, _ = hand.forward_kinematics(data.xpos[base], (0, 0, 0, 1), q)
        for link in ("left_finger", "left_pad", "right_pad"):
            np.testing.assert_allclose(
                position[hand.link_index(link)], data.xpos[model.body(link).id], atol=1e-6
            )


def test_joint_equalities_couple_deviations_from_the_reference(tmp_path: Path) -> None:
    """MuJoCo's equality of joints is about ``q - ref``: simulated to rest, the coupled value is ours."""
    mujoco = pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    path = write_mjcf_gripper(
        tmp_path, coupling='<joint joint1="right_slide" joint2="left_slide" polycoef="0.001 0.5 0 0 0"/>'
    )
    path.write_text(path.read_text().replace('range="0 0.04" damping', 'range="0 0.04" ref="0.01" damping'))
    hand = convert_hand(path, tmp_path / "out", NO_PICTURE).hand
    ours = hand.expand_joint_position([0.02, *np.zeros(hand.dof_count - 1)])["right_slide"]
    model = mujoco.MjModel.from_xml_path(str(path))
    data = mujoco.MjData(model)
    data.qpos[model.joint("left_slide").qposadr[0]] = 0.02
    data.qpos[model.joint("right_slide").qposadr[0]] = ours
    mujoco.mj_forward(model, data)
    row = list(data.efc_type[: data.nefc]).index(mujoco.mjtConstraint.mjCNSTR_EQUALITY)
    assert abs(data.efc_pos[row]) < 1e-9


def four_bar(stretch: float) -> str:
    """A crank and a rocker from the base, joined by a coupler; the rocker carries a pad. 1: a parallelogram."""
    bars = ""
    for name, sign in (("left", 1), ("right", -1)):
        bars += f"""
      <body name="{name}_crank" pos="0 {0.03 * sign} 0.03"><joint name="{name}_crank" axis="{sign} 0 0" range="0 0.6"/>
        <geom type="box" size="0.005 0.003 0.02" pos="0 0 0.02" mass="0.01"/>
        <body name="{name}_bar" pos="0 0 0.04"><joint name="{name}_bar" axis="{sign} 0 0" range="-2 2"/>
          <geom type="box" size="0.005 0.01 0.002" pos="0 {0.01 * sign} 0" mass="0.01"/></body></body>
      <body name="{name}_rocker" pos="0 {0.05 * sign} 0.03"><joint name="{name}_rocker" axis="{sign} 0 0" range="-2 2"/>
        <geom type="box" size="0.005 0.003 0.02" pos="0 0 {0.02 * stretch}" mass="0.01"/>
        <body name="{name}_pad" pos="0 0 {0.04 * stretch}"><geom type="box" size="0.01 0.003 0.02" pos="0 0 0.02" mass="0.01"/>
        </body></body>"""
    return f"""<mujoco><compiler angle="radian" autolimits="true"/><worldbody><body name="base">
      <geom type="box" size="0.02 0.06 0.03" mass="0.5"/>{bars}</body></worldbody>
      <equality><connect body1="left_bar" body2="left_rocker" anchor="0 0.02 0"/>
      <connect body1="right_bar" body2="right_rocker" anchor="0 -0.02 0"/>
      <joint joint1="right_crank" joint2="left_crank"/></equality>
      <actuator><position joint="left_crank" kp="20" forcerange="-3 3"/></actuator></mujoco>"""


def test_four_bars_become_coupled_joints(tmp_path: Path) -> None:
    """Of a parallelogram the rocker turns with the crank and the bar against it."""
    pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    path = tmp_path / "gripper.xml"
    path.write_text(four_bar(1.0))
    result = convert_hand(path, tmp_path / "out", NO_PICTURE)
    hand = result.hand
    assert hand.joint_names == ("left_crank",)
    values = hand.expand_joint_position([0.4])
    for side in ("left", "right"):
        assert values[f"{side}_rocker"] == pytest.approx(0.4, abs=1e-5)
        assert values[f"{side}_bar"] == pytest.approx(-0.4, abs=1e-5)
    assert sum("driven by joint" in note for note in result.warnings) == 2
    assert set(hand.fingers) == {"palm", "left", "right"}  # the bars are no fingers
    assert {hand.link_names[p.link] for p in hand.patches if p.region == "tip"} == {
        "left_rocker",
        "right_rocker",
    }
    assert hand.dof_effort[0] == pytest.approx(3.0)


def test_a_crooked_four_bar_is_followed_by_a_straight_line(tmp_path: Path) -> None:
    """The line stays near the true curve, found here from the law of cosines, and the report says how near."""
    pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    path = tmp_path / "gripper.xml"
    path.write_text(
        four_bar(1.0).replace('pos="0 0.05 0.03"', 'pos="0 0.05 0.02"').replace("-2 2", "-1.2 1.2")
    )
    result = convert_hand(path, tmp_path / "out", NO_PICTURE)
    assert any("left_rocker" in note for note in result.warnings)
    crank = np.linspace(result.hand.dof_lower[0], result.hand.dof_upper[0], 7)
    for value in crank:
        joints = result.hand.expand_joint_position([value])
        # end of the crank, then of the rocker, in the plane (y, z)
        tip = np.array([0.03 - 0.04 * np.sin(value), 0.03 + 0.04 * np.cos(value)])
        angle = joints["left_rocker"]
        point = np.array([0.05, 0.02]) + np.array(
            [-0.05 * np.sin(angle), 0.05 * np.cos(angle)]  # the anchor lies 0.05 m above the rocker's hinge
        )
        assert abs(np.linalg.norm(point - tip) - 0.02) < 2e-3


def test_a_hand_is_cut_out_of_an_arm_before_anything_is_compiled(tmp_path: Path) -> None:
    """The arm's lost mesh, actuators, tendons, sensors and exclusions go with it."""
    pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    arm = "".join(
        f'<body name="arm{n}" pos="0 0 {0.1 if n == 1 else 0.3}"><joint name="a{n}" axis="{axis}" range="-3 3"/>'
        '<geom type="capsule" size="0.04" fromto="0 0 0 0 0 0.3" mass="2"/>'
        for n, axis in ((1, "0 0 1"), (2, "0 1 0"), (3, "0 0 1"))
    )
    path = tmp_path / "arm.xml"
    path.write_text(
        '<mujoco><compiler angle="radian" autolimits="true"/><asset><mesh name="lost" file="lost.stl"/></asset>'
        f'<worldbody><body name="base"><geom type="mesh" mesh="lost" mass="3"/>{arm}<body name="palm" pos="0 0 0.3">'
        f"{PALM}{FINGERS}</body></body></body></body></body></worldbody>"
        '<tendon><fixed name="pull"><joint joint="a1" coef="1"/><joint joint="a2" coef="1"/></fixed></tendon>'
        '<actuator><position joint="a1" kp="10"/><position tendon="pull" kp="10"/>'
        '<position joint="index_j1" kp="7" forcerange="-1 1"/></actuator>'
        '<sensor><jointpos joint="a1"/></sensor><contact><exclude body1="base" body2="arm1"/></contact>'
        '<keyframe><key qpos="0 0 0 0 0 0 0 0 0"/></keyframe></mujoco>'
    )
    result = convert_hand(path, tmp_path / "out", ConvertConfig(picture=False, root="palm"))
    assert result.hand.dof_count == 6
    assert result.hand.dof_stiffness[0] == pytest.approx(7.0)
    path.write_text(path.read_text().replace('type="mesh" mesh="lost"', 'type="sphere" size="0.05"'))
    path.write_text(path.read_text().replace('<mesh name="lost" file="lost.stl"/>', ""))
    with pytest.raises(ValueError, match=r"belong to an arm; convert the hand alone with --root palm"):
        convert_hand(path, tmp_path / "out", NO_PICTURE)
