"""The converter on a small MJCF gripper: couplings, drives and tendons kept, what it cannot express refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from robot_files import NO_PICTURE, write_mjcf_gripper

from warpgrasp.geometry.rotations import quaternion_to_matrix
from warpgrasp.hands.convert import convert_hand


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
    assert any("2 joints" in note for note in result.notes)
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
    assert any("one tendon" in note for note in convert_hand(path, tmp_path / "out", NO_PICTURE).notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("finger.stl", "lost.stl"), "cannot compile .*lost.stl"),
        ((' range="-0.2 0.2"', ""), "joint 'left_twist' has no limits"),
        (
            ("<equality>", '<equality><connect body1="left_pad" body2="right_pad" anchor="0 0 0"/>'),
            "at 'left_pad' closes a kinematic loop",
        ),
        (
            ("\n  </worldbody>", '<body name="arm"><body name="hand2"><joint range="0 1"/><geom size="0.01"/></body>'
             '<geom size="0.01"/></body></worldbody>'),
            "two roots, link 'base' and link 'arm'",
        ),
        (("axis=\"0 0 1\" range", 'axis="0 0 1" ref="0.1" range'), "joint 'left_twist' has ref = 0.1"),
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
