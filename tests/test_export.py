"""``python -m warpgrasp.export``: every format read back, fingertips where the peer's own kinematics puts them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from export_runs import COUNT, read_torch, stage_of, write_grasps
from menagerie_chains import TIP_BODY, menagerie_model

from warpgrasp.export import export_grasps
from warpgrasp.export.peer_hands import (
    PeerHand,
    dexgraspbench_hand,
    graspqp_hand,
    pose_xyz_wxyz,
)
from warpgrasp.export.torch_file import write_torch
from warpgrasp.geometry.rotations import compose, quaternion_from_wxyz, quaternion_to_matrix
from warpgrasp.hands import HandModel, load_hand

REFERENCE_HANDS = Path(__file__).parents[2] / "shared" / "hands" / "models" / "graspqp"
DISTAL = {
    "allegro": ("link_3_0", "link_7_0", "link_11_0", "link_15_0"),
    "shadow": ("ffdistal", "mfdistal", "rfdistal", "lfdistal", "thdistal"),
    "shadow_wristless": ("ffdistal", "mfdistal", "rfdistal", "lfdistal", "thdistal"),
    "leap": ("fingertip", "fingertip_2", "fingertip_3", "thumb_fingertip"),
}
DEXGRASPBENCH_ORDER = {
    "allegro": [f"{finger}j{joint}" for finger in ("ff", "mf", "rf", "th") for joint in range(4)],
    "shadow": [
        f"rh_{finger}J{joint}"
        for finger, count in (("FF", 4), ("MF", 4), ("RF", 4), ("LF", 5), ("TH", 5))
        for joint in range(count, 0, -1)
    ],
    "leap": [f"{finger}_{joint}" for finger in ("if", "mf", "rf") for joint in ("mcp", "rot", "pip", "dip")]
    + [f"th_{joint}" for joint in ("cmc", "axl", "mcp", "ipl")],
}


# -------------------------------------------------------------------------------------------------------------- frames


def test_pose_border_puts_the_real_part_first() -> None:
    quaternion = np.array([[0.1, -0.5, 0.7, 0.5]])  # xyzw, length 1
    pose = pose_xyz_wxyz(np.array([[1.0, 2.0, 3.0]]), quaternion)
    np.testing.assert_allclose(pose, [[1.0, 2.0, 3.0, 0.5, 0.1, -0.5, 0.7]])
    np.testing.assert_allclose(pose_xyz_wxyz(np.zeros((1, 3)), 1.0005 * quaternion)[0, 3:], pose[0, 3:])


def test_root_frames_are_those_of_the_definition() -> None:
    """The definitions as formulas on the palm pose, with a rotation that has no symmetry."""
    quaternion = np.array([[0.1, -0.5, 0.7, 0.5]])
    rotation = quaternion_to_matrix(quaternion[0])
    palm = np.array([[0.3, -0.2, 0.1]])

    def root(name: str) -> tuple[np.ndarray, np.ndarray]:
        hand = load_hand(name)
        peer = dexgraspbench_hand(hand)
        position, xyzw = peer.root_poses(hand, palm, quaternion, np.zeros((1, hand.dof_count)))
        return position[0], quaternion_to_matrix(xyzw[0])

    position, matrix = root("shadow_wristless")
    np.testing.assert_allclose(position, palm[0] - rotation @ [0.0, 0.0, 0.034], atol=1e-12)
    np.testing.assert_allclose(matrix, rotation, atol=1e-12)
    position, matrix = root("allegro")
    turn = quaternion_to_matrix(quaternion_from_wxyz([0.0, 1.0, 0.0, 1.0]))
    np.testing.assert_allclose(position, palm[0], atol=1e-12)
    np.testing.assert_allclose(matrix, rotation @ turn.T, atol=1e-12)
    position, matrix = root("leap")
    turn = quaternion_to_matrix(quaternion_from_wxyz([0.0, 1.0, 0.0, 0.0]))
    np.testing.assert_allclose(matrix, rotation @ turn.T, atol=1e-12)
    np.testing.assert_allclose(position, palm[0] - matrix @ [0.0, 0.0, 0.1], atol=1e-12)


@pytest.mark.parametrize("name", ["allegro", "shadow", "shadow_wristless", "leap"])
def test_dexgraspbench_fingertips_are_where_the_menagerie_puts_them(name: str, tmp_path: Path) -> None:
    mujoco = pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    hand = load_hand(name)
    kind = name.removesuffix("_wristless")
    grasps = write_grasps(tmp_path / "run", hand)
    result = export_grasps([tmp_path / "run"], tmp_path / "out", format="dexgraspbench")
    assert (result.grasp_count, len(result.paths), result.failures) == (COUNT, COUNT, {})
    order = json.loads((tmp_path / "out" / f"{name}_dexgraspbench_joints.json").read_text())["joint_order"]
    assert order == DEXGRASPBENCH_ORDER[kind]
    model = menagerie_model(mujoco, kind)
    assert [model.joint(i).name for i in range(1, model.njnt)] == order
    data = mujoco.MjData(model)
    for row in range(COUNT):
        entry = np.load(
            tmp_path / "out" / "graspdata" / "cube" / "1" / f"{row:04d}.npy", allow_pickle=True
        ).item()
        assert entry["squeeze_qpos"].shape == (7 + len(order),)
        for stage in ("pregrasp", "grasp"):
            qpos = entry[f"{stage}_qpos"]
            assert qpos.shape == (7 + len(order),)
            data.qpos[:] = qpos
            mujoco.mj_kinematics(model, data)
            links = hand.forward_kinematics(*stage_of(grasps, stage, row))
            for body, link in zip(TIP_BODY[kind], DISTAL[name], strict=True):
                index = hand.link_index(link)
                # Shadow's sheet puts the knuckle of the little finger 0.1 mm higher than the Menagerie.
                tolerance = 1.2e-4 if body == "lfdistal" else 2e-5
                np.testing.assert_allclose(data.body(body).xpos, links[0][index], atol=tolerance)
            joint = model.body(TIP_BODY[kind][0]).jntadr[0]
            own = hand.link_index(DISTAL[name][0])
            axis = _joint_axis(hand, own, links[1][own])
            np.testing.assert_allclose(data.xaxis[joint], axis, atol=2e-4)


@pytest.mark.parametrize(("name", "stiffness"), [("allegro", 5.0), ("shadow", 5.0), ("leap", 3.0)])
def test_dexgraspbench_servos_press_with_the_torques(name: str, stiffness: float, tmp_path: Path) -> None:
    """What the reader's servos do at the squeeze target when the object holds the fingers at the grasp, by its own model.

    Shadow's two outer joints share a servo on the sum of their positions: each gets the mean of their torques.
    """
    mujoco = pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    hand = load_hand(name)
    rng = np.random.default_rng(5)
    torque = rng.uniform(-1.5, 1.5, (COUNT, hand.dof_count))
    torque[0] *= 4.0
    write_grasps(tmp_path / "run", hand, squeeze_torque=torque)
    export_grasps([tmp_path / "run"], tmp_path / "out", format="dexgraspbench")
    export_grasps([tmp_path / "run"], tmp_path / "stiff", format="dexgraspbench", stiffness=50.0)
    model = menagerie_model(mujoco, name)
    order = [model.joint(i).name for i in range(1, model.njnt)]
    peer = {joint.name: joint.own for joint in dexgraspbench_hand(hand).joints}
    for row in range(COUNT):
        path = Path("graspdata") / "cube" / "1" / f"{row:04d}.npy"
        entry, stiff = (
            np.load(tmp_path / folder / path, allow_pickle=True).item() for folder in ("out", "stiff")
        )
        expected = {joint: torque[row, hand.joint_names.index(str(peer[joint]))] for joint in order}
        way = dict(zip(order, entry["squeeze_qpos"][7:] - entry["grasp_qpos"][7:], strict=True))
        if name == "shadow":
            for finger in ("FF", "MF", "RF", "LF"):
                first, second = f"rh_{finger}J2", f"rh_{finger}J1"
                both = 0.5 * (expected[first] + expected[second])
                expected[first] = expected[second] = both
                way[first] = way[second] = way[first] + way[second]  # what their servo holds
            expected = {joint: float(np.clip(value, -3.0, 3.0)) for joint, value in expected.items()}
        for joint in order:
            assert stiffness * way[joint] == pytest.approx(expected[joint], abs=2e-5)
        ratio = (stiff["squeeze_qpos"] - stiff["grasp_qpos"])[7:] * 50.0 / stiffness
        np.testing.assert_allclose(ratio, (entry["squeeze_qpos"] - entry["grasp_qpos"])[7:], atol=1e-5)


def test_stiffness_is_for_formats_that_hold_targets_of_servos(tmp_path: Path) -> None:
    write_grasps(tmp_path / "run", load_hand("allegro"))
    with pytest.raises(ValueError, match=r"format 'mjcf' carries its own servos.*got 5.*dexgraspbench"):
        export_grasps([tmp_path / "run"], tmp_path / "out", format="mjcf", stiffness=5.0)
    with pytest.raises(ValueError, match=r"stiffness must be positive and finite \(got 0\.0\)"):
        export_grasps([tmp_path / "run"], tmp_path / "out", format="dexgraspbench", stiffness=0.0)


def _joint_axis(hand: HandModel, link: int, quaternion: np.ndarray) -> np.ndarray:
    """Axis of the joint above a link in the world."""
    child = quaternion_to_matrix(hand.joint_child_quaternion[link])
    return np.asarray(quaternion_to_matrix(quaternion) @ child @ hand.joint_axis[link])


@pytest.mark.parametrize("name", ["allegro", "shadow", "shadow_wristless"])
def test_graspqp_links_are_where_its_own_urdf_puts_them(name: str) -> None:
    mujoco = pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    folder = {"allegro": "allegro/allegro_hand"}.get(name, "shadow_hand/shadow_hand")
    file = REFERENCE_HANDS / f"{folder}.mujoco.urdf"
    if not file.exists():
        pytest.skip("GraspQP's hand files are not here")
    model = mujoco.MjModel.from_xml_path(str(file))
    data = mujoco.MjData(model)
    hand = load_hand(name)
    peer = graspqp_hand(hand)
    assert {joint.name for joint in peer.joints} == {model.joint(i).name for i in range(model.njnt)}
    rng = np.random.default_rng(1)
    for _ in range(3):
        joints = rng.uniform(hand.dof_lower, hand.dof_upper)
        quaternion = rng.normal(size=4)
        quaternion /= np.linalg.norm(quaternion)
        position = rng.normal(size=3)
        root = peer.root_poses(hand, position[None], quaternion[None], joints[None])
        for joint, value in zip(peer.joints, peer.joint_values(hand, joints[None])[0], strict=True):
            data.joint(joint.name).qpos[0] = value
        mujoco.mj_forward(model, data)
        links = hand.forward_kinematics(position, quaternion, joints)
        for joint in peer.joints:
            if joint.own is None:
                continue
            body = int(model.joint(joint.name).bodyid[0])
            index = hand.link_joint_names.index(joint.own)
            expected = compose(root[0][0], root[1][0], data.xpos[body], [0.0, 0.0, 0.0, 1.0])[0]
            # Two models of one hand: the thumb of GraspQP's Allegro is 2 mm off, base links are cut elsewhere, axes rounded.
            cut = ("LFJ5", "joint_0.0", "joint_4.0", "joint_8.0", "joint_12.0", "joint_13.0")
            if joint.own not in cut:
                np.testing.assert_allclose(links[0][index], expected, atol=2.5e-3, err_msg=joint.name)
            axis = quaternion_to_matrix(root[1][0]) @ data.xaxis[model.joint(joint.name).id]
            np.testing.assert_allclose(
                joint.sign * _joint_axis(hand, index, links[1][index]), axis, atol=5e-3, err_msg=joint.name
            )


def test_other_hands_keep_their_root_and_joint_order(tmp_path: Path) -> None:
    hand = load_hand("robotiq_3f")
    grasps = write_grasps(tmp_path / "run", hand)
    export_grasps([tmp_path / "run"], tmp_path / "out", format="dexgraspbench")
    description = json.loads((tmp_path / "out" / "robotiq_3f_dexgraspbench_joints.json").read_text())
    assert description["joint_order"] == list(hand.joint_names)
    assert hand.link_names[0] in description["root_frame"]
    entry = np.load(tmp_path / "out/graspdata/cube/1/0001.npy", allow_pickle=True).item()
    np.testing.assert_allclose(entry["grasp_qpos"][:3], grasps.root_position[1], atol=1e-6)
    np.testing.assert_allclose(entry["grasp_qpos"][3], grasps.root_quaternion[1, 3], atol=1e-6)
    np.testing.assert_allclose(entry["grasp_qpos"][7:], grasps.joint_position[1], atol=1e-6)


def test_a_hand_of_the_same_name_with_other_joints_is_not_taken_for_the_known_one() -> None:
    hand = load_hand("allegro")
    other = dataclasses.replace(hand, joint_names=tuple(f"my_{name}" for name in hand.joint_names))
    for peer in (dexgraspbench_hand(other), graspqp_hand(other)):
        assert isinstance(peer, PeerHand)
        assert tuple(joint.name for joint in peer.joints) == other.joint_names


# ------------------------------------------------------------------------------------------------------- dexgraspbench


def test_dexgraspbench_object_folder(tmp_path: Path) -> None:
    """Pieces in file units and info that give the reader the true volume; nothing else among the pieces."""
    import trimesh

    from warpgrasp.objects import load_object

    run = tmp_path / "run"
    grasps = write_grasps(run, load_hand("robotiq_2f140"))
    scaled = load_object(grasps.metadata["object"]["path"], scale=1.5)
    entry = {**grasps.metadata["object"], "scale": 1.5, "mesh_hash": scaled.mesh_hash}
    dataclasses.replace(grasps, metadata={**grasps.metadata, "object": entry}).save(run / "cube.npz")
    meshes = tmp_path / "out" / "object" / "cube" / "urdf" / "meshes"
    meshes.mkdir(parents=True)
    (meshes / "stale.obj").write_text("v 0 0 0\n")
    export_grasps([run], tmp_path / "out", format="dexgraspbench")
    assert [path.name for path in meshes.iterdir()] == ["convex_piece_000.obj"]
    grasp = np.load(tmp_path / "out/graspdata/cube/1.5/0000.npy", allow_pickle=True).item()
    assert set(grasp) == {
        "obj_path", "obj_scale", "obj_pose", "pregrasp_qpos", "grasp_qpos", "squeeze_qpos",
    }  # fmt: skip
    assert grasp["obj_scale"] == 1.5
    np.testing.assert_array_equal(grasp["obj_pose"], [0, 0, 0, 1, 0, 0, 0])
    assert Path(grasp["obj_path"]) == (tmp_path / "out/object/cube").resolve()
    info = json.loads((Path(grasp["obj_path"]) / "info" / "simplified.json").read_text())
    assert set(info) == {"mass", "density", "scale"}
    piece = trimesh.load(meshes / "convex_piece_000.obj", force="mesh")
    unit_volume = info["mass"] / (info["density"] * info["scale"] ** 3)
    np.testing.assert_allclose(unit_volume, piece.volume, rtol=1e-5)
    np.testing.assert_allclose(piece.volume * grasp["obj_scale"] ** 3, scaled.volume, rtol=1e-5)
    np.testing.assert_allclose(
        piece.bounds * 1.5, [scaled.vertices.min(0), scaled.vertices.max(0)], atol=1e-7
    )


def test_exporting_again_leaves_no_grasp_of_the_first_time(tmp_path: Path) -> None:
    write_grasps(tmp_path / "run", load_hand("robotiq_2f140"))
    first = export_grasps([tmp_path / "run"], tmp_path / "out", format="dexgraspbench")
    second = export_grasps([tmp_path / "run"], tmp_path / "out", format="dexgraspbench", best=1)
    assert (first.grasp_count, second.grasp_count) == (COUNT, 1)
    # The energies fall with the row, so the last is the best.
    assert [path.name for path in (tmp_path / "out/graspdata/cube/1").iterdir()] == [f"{COUNT - 1:04d}.npy"]


# ------------------------------------------------------------------------------------------------------------- graspqp


def test_graspqp_file_has_the_keys_shapes_and_values(tmp_path: Path) -> None:
    hand = load_hand("leap")
    grasps = write_grasps(tmp_path / "run", hand)
    (path,) = export_grasps([tmp_path / "run"], tmp_path / "out", format="graspqp").paths
    assert path.name == "cube.dexgrasp.pt"
    content = read_torch(path)
    assert set(content) == {"parameters", "grasp_velocities", "values", "contact_idx", "grasp_type"}
    best_first = grasps.order()
    parameters = content["parameters"]
    assert list(parameters) == [*hand.joint_names, "root_pose"]
    np.testing.assert_allclose(
        parameters["root_pose"],
        np.c_[grasps.root_position, grasps.root_quaternion[:, 3:], grasps.root_quaternion[:, :3]][best_first],
        atol=1e-6,
    )
    further = grasps.squeeze_joint_position - grasps.joint_position
    for column, name in enumerate(hand.joint_names):
        np.testing.assert_allclose(parameters[name], grasps.joint_position[best_first, column], atol=1e-6)
        np.testing.assert_allclose(content["grasp_velocities"][name], further[best_first, column], atol=1e-6)
    np.testing.assert_array_equal(content["values"], grasps.energy[best_first])
    np.testing.assert_array_equal(content["contact_idx"], grasps.contact_index[best_first])
    assert content["contact_idx"].dtype == np.int64
    assert content["grasp_type"] == "power"


def test_graspqp_file_loads_with_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    write_grasps(tmp_path / "run", load_hand("allegro"))
    (path,) = export_grasps([tmp_path / "run"], tmp_path / "out", format="graspqp").paths
    content = torch.load(path, weights_only=True)
    assert content["parameters"]["root_pose"].shape == (COUNT, 7)
    assert content["parameters"]["index_joint_0"].dtype == torch.float32
    assert content["contact_idx"].dtype == torch.int64


def test_torch_file_is_reproducible_and_refuses_other_values(tmp_path: Path) -> None:
    content = {"a": np.zeros((0, 7), np.float32), "n": {"b": np.arange(4.0)[::2], "size": 7}, "yes": True}
    for name in ("one.pt", "two.pt"):
        write_torch(tmp_path / name, content)
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "two.pt").read_bytes()
    again = read_torch(tmp_path / "one.pt")
    assert again["a"].shape == (0, 7)
    np.testing.assert_array_equal(again["n"]["b"], [0.0, 2.0])
    assert (again["n"]["size"], again["yes"]) == (7, True)
    with pytest.raises(TypeError, match="complex"):
        write_torch(tmp_path / "bad.pt", {"a": 1j})
    with pytest.raises(TypeError, match="uint8"):
        write_torch(tmp_path / "bad.pt", {"a": np.zeros(2, np.uint8)})
    assert not (tmp_path / "bad.pt").exists()


# ----------------------------------------------------------------------------------------------------------- bad input
