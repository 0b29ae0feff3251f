"""Exported MuJoCo scenes and USD stages, read back by MuJoCo and by our own reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from export_runs import COUNT, stage_of, write_grasps

from warpgrasp.export import export_grasps
from warpgrasp.geometry.rotations import compose
from warpgrasp.grasps.usd import read_grasp_usd
from warpgrasp.hands import load_hand


@pytest.mark.parametrize("name", ["allegro", "robotiq_2f140", "ability_hand"])
def test_mjcf_keyframes_put_every_link_where_our_kinematics_does(name: str, tmp_path: Path) -> None:
    mujoco = pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    hand = load_hand(name)
    grasps = write_grasps(tmp_path / "run", hand)
    (path,) = export_grasps([tmp_path / "run"], tmp_path / "out", format="mjcf").paths
    model = mujoco.MjModel.from_xml_path(str(path))
    data = mujoco.MjData(model)
    assert model.nkey == 3 * COUNT
    np.testing.assert_allclose(model.body("object").mass, 500.0 * 8 * 0.03 * 0.02 * 0.01, rtol=1e-6)
    for row in range(COUNT):
        for stage in ("pregrasp", "grasp", "squeeze"):
            mujoco.mj_resetDataKeyframe(model, data, model.key(f"{stage}_{row:04d}").id)
            mujoco.mj_kinematics(model, data)
            shown = "grasp" if stage == "squeeze" else stage
            position, quaternion = hand.forward_kinematics(*stage_of(grasps, shown, row))
            for frame in hand.frames:
                expected = compose(
                    position[frame.link], quaternion[frame.link], frame.position, frame.quaternion
                )
                np.testing.assert_allclose(data.site(frame.name).xpos, expected[0], atol=1e-6)
            target = stage_of(grasps, stage, row)
            np.testing.assert_allclose(data.mocap_pos[0], target[0], atol=1e-6)
            np.testing.assert_allclose(data.mocap_quat[0], np.roll(target[1], 1), atol=1e-6)
            for dof, joint in enumerate(hand.joint_names):
                np.testing.assert_allclose(data.ctrl[model.actuator(joint).id], target[2][dof], atol=1e-6)
            np.testing.assert_allclose(data.body("object").xpos, 0.0, atol=1e-12)


def test_waypoints_are_keyframes(tmp_path: Path) -> None:
    mujoco = pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    hand = load_hand("allegro")
    random = np.random.default_rng(1)
    grasps = write_grasps(
        tmp_path / "run",
        hand,
        waypoint_root_position=random.normal(0.0, 0.1, (COUNT, 2, 3)),
        waypoint_joint_position=random.uniform(hand.dof_lower, hand.dof_upper, (COUNT, 2, hand.dof_count)),
        waypoint_clearance=np.zeros((COUNT, 2)),
    )
    (path,) = export_grasps([tmp_path / "run"], tmp_path / "out", format="mjcf").paths
    model = mujoco.MjModel.from_xml_path(str(path))
    data = mujoco.MjData(model)
    assert model.nkey == (2 + 3) * COUNT
    mujoco.mj_resetDataKeyframe(model, data, model.key("waypoint_1_0002").id)
    mujoco.mj_kinematics(model, data)
    joints = grasps.waypoint_joint_position[2, 1].astype(np.float64)
    turn = grasps.pregrasp_root_quaternion[2].astype(np.float64)
    place = grasps.waypoint_root_position[2, 1].astype(np.float64)
    position, quaternion = hand.forward_kinematics(place, turn, joints)
    for frame in hand.frames:
        expected = compose(position[frame.link], quaternion[frame.link], frame.position, frame.quaternion)
        np.testing.assert_allclose(data.site(frame.name).xpos, expected[0], atol=1e-6)
    np.testing.assert_allclose(data.mocap_pos[0], place, atol=1e-6)


def test_usd_round_trip(tmp_path: Path) -> None:
    grasps = write_grasps(tmp_path / "run", load_hand("robotiq_2f140"))
    (path,) = export_grasps([tmp_path / "run"], tmp_path / "out", format="usd").paths
    again = read_grasp_usd(path)
    np.testing.assert_array_equal(again.root_position, grasps.root_position[grasps.order()])
    assert again.joint_names == grasps.joint_names


def test_mjcf_scenes_of_two_hands_share_a_folder(tmp_path: Path) -> None:
    """Each keeps its own shapes, also where grasps are in a file that is named like their hand."""
    mujoco = pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    names = ("allegro", "robotiq_3f")
    alone = {}
    for name in names:
        write_grasps(tmp_path / name, load_hand(name), name=name)
        (path,) = export_grasps([tmp_path / name], tmp_path / "alone" / name, format="mjcf").paths
        alone[name] = mujoco.MjModel.from_xml_path(str(path))
    paths = [export_grasps([tmp_path / name], tmp_path / "both", format="mjcf").paths[0] for name in names]
    for name, path in zip(names, paths, strict=True):
        model = mujoco.MjModel.from_xml_path(str(path))
        np.testing.assert_array_equal(model.mesh_vert, alone[name].mesh_vert)
        assert model.nkey == 3 * COUNT
