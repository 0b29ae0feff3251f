"""Exports read back: MJCF by MuJoCo, URDF by our importer, USD by the reader, all with the hand's kinematics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from robot_files import write_mjcf_gripper

from warpgrasp.hands import HandModel, load_hand
from warpgrasp.hands.convert import ConvertConfig, convert_hand
from warpgrasp.hands.export import export_hand
from warpgrasp.hands.export.__main__ import main

IDENTITY = (0.0, 0.0, 0.0, 1.0)
HANDS = ("allegro", "robotiq_2f140")


def positions(hand: HandModel, values: np.ndarray) -> np.ndarray:
    return hand.forward_kinematics(np.zeros(3), IDENTITY, values)[0]


def assert_same_kinematics(hand: HandModel, other: HandModel) -> None:
    assert other.joint_names == hand.joint_names
    np.testing.assert_allclose(other.link_mass, hand.link_mass, rtol=1e-5)
    np.testing.assert_allclose(other.link_inertia, hand.link_inertia, rtol=1e-3, atol=1e-10)
    for q in np.random.default_rng(3).uniform(hand.dof_lower, hand.dof_upper, size=(20, hand.dof_count)):
        np.testing.assert_allclose(positions(other, q), positions(hand, q), atol=1e-5)


@pytest.mark.parametrize("name", HANDS)
def test_urdf_reads_back(name: str, tmp_path: Path) -> None:
    hand = load_hand(name)
    urdf = export_hand(name, tmp_path, format="urdf")
    assert_same_kinematics(hand, convert_hand(urdf, tmp_path / "again", ConvertConfig(picture=False)).hand)


@pytest.mark.parametrize("name", HANDS)
def test_usd_is_one_file(name: str, tmp_path: Path) -> None:
    hand = load_hand(name)
    path = export_hand(name, tmp_path, format="usd")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert_same_kinematics(hand, load_hand(path))
    assert set(load_hand(path).grasp_types) == set(hand.grasp_types)


@pytest.mark.parametrize("floating", [False, True])
def test_mjcf_holds_drives_and_opening_pose(floating: bool, tmp_path: Path) -> None:
    mujoco = pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    hand = load_hand("allegro")
    model = mujoco.MjModel.from_xml_path(str(export_hand("allegro", tmp_path, floating=floating)))
    assert model.nv == 16 + 6 * floating
    data = mujoco.MjData(model)
    data.ctrl[:] = hand.dof_opening
    for name, value in hand.expand_joint_position(hand.dof_opening).items():
        data.qpos[model.joint(name).qposadr[0]] = value
    model.opt.gravity[:] = 0.0
    for _ in range(200):
        mujoco.mj_step(model, data)
    held = np.array([data.qpos[model.joint(name).qposadr[0]] for name in hand.joint_names])
    np.testing.assert_allclose(
        held, hand.dof_opening, atol=2e-3
    )  # it holds its pose: nothing collides, nothing drifts


def test_joint_away_from_its_link_survives(tmp_path: Path) -> None:
    """MJCF in, our USD, MJCF and URDF out: hinges that do not sit at their body's origin."""
    mujoco = pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    source = write_mjcf_gripper(tmp_path)
    hand = convert_hand(source, tmp_path / "gripper", ConvertConfig(picture=False)).hand
    original = mujoco.MjModel.from_xml_path(str(source))
    exported = mujoco.MjModel.from_xml_path(str(export_hand(hand.path, tmp_path / "mjcf")))
    for q in np.random.default_rng(4).uniform(hand.dof_lower, hand.dof_upper, size=(20, hand.dof_count)):
        expected = positions(hand, q)
        for model in (original, exported):
            data = mujoco.MjData(model)
            for name, value in hand.expand_joint_position(q).items():
                data.qpos[model.joint(name).qposadr[0]] = value
            mujoco.mj_kinematics(model, data)
            root = data.body("base").xpos
            for link in ("left_pad", "right_pad", "left_finger"):
                got = data.body(link).xpos - root
                np.testing.assert_allclose(got, expected[hand.link_names.index(link)], atol=1e-5)
    urdf = export_hand(hand.path, tmp_path / "urdf", format="urdf")
    again = convert_hand(urdf, tmp_path / "again", ConvertConfig(picture=False)).hand
    # in URDF the link's own frame becomes a frame on the anchor at the joint
    frames = {frame.name: frame for frame in again.frames}
    assert "left_pad_frame" in frames
    assert again.joint_names == hand.joint_names


def test_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="format must be one of mjcf, urdf, usd \\(got 'sdf'\\)"):
        export_hand("allegro", tmp_path, format="sdf")
    assert main(["alegro", "-o", str(tmp_path)]) == 1
    assert "unknown hand 'alegro'" in capsys.readouterr().err
