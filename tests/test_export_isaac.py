"""``isaac_grasp`` files: written as Isaac Sim's documentation shows them, read back exactly, read from other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from eval_factory import offset_box
from export_runs import COUNT, write_grasps
from scipy.spatial.transform import Rotation

from warpgrasp.export import export_grasps
from warpgrasp.export.import_isaac import main
from warpgrasp.export.isaac_grasp import read_isaac_grasps
from warpgrasp.grasps.case import load_case
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.hands import HandModel, hand_names, load_hand
from warpgrasp.objects import ObjectModel


def _exported(folder: Path, hand: HandModel) -> tuple[GraspSet, Path]:
    grasps = write_grasps(folder / "run", hand)
    result = export_grasps([folder / "run"], folder / "out", format="isaac_grasp")
    assert result.paths == (folder / "out" / "cube.yaml",)
    return grasps, result.paths[0]


@pytest.fixture
def box(tmp_path: Path) -> ObjectModel:
    return offset_box(tmp_path, (0.03, 0.02, 0.01), (0.01, 0.0, 0.002))


def _write(path: Path, grasp: dict[str, Any], **top: Any) -> Path:
    content = {"format": "isaac_grasp", "format_version": 1.0, "grasps": {"grasp_0": grasp}, **top}
    path.write_text(yaml.safe_dump(content))
    return path


def _panda_like(**changes: Any) -> dict[str, Any]:
    """A grasp with the fields that Isaac Sim's Grasp Editor writes."""
    return {
        "confidence": 0.8,
        "position": [-0.043, 0.068, 0.199],
        "orientation": {"w": 0.5, "xyz": [0.5, -0.5, 0.5]},
        "cspace_position": {"finger_joint": 0.4},
        "pregrasp_cspace_position": {"finger_joint": 0.1},
        **changes,
    }


@pytest.mark.parametrize("hand_name", hand_names())
def test_every_pose_comes_back(tmp_path: Path, box: ObjectModel, hand_name: str) -> None:
    """Positions and joints exactly (float32 in, float64 text, float32 out), quaternions to their last digit."""
    hand = load_hand(hand_name)
    grasps, path = _exported(tmp_path, hand)
    read = read_isaac_grasps(path, hand, box)
    best_first = grasps.select(grasps.order())
    for prefix in ("", "pregrasp_", "squeeze_"):
        for part in ("root_position", "joint_position"):
            name = prefix + part
            np.testing.assert_array_equal(getattr(read, name), getattr(best_first, name), err_msg=name)
        name = f"{prefix}root_quaternion"
        np.testing.assert_allclose(getattr(read, name), getattr(best_first, name), atol=2e-7, err_msg=name)


def test_the_file_is_as_isaac_sim_documents_it(tmp_path: Path) -> None:
    hand = load_hand("allegro")
    grasps, path = _exported(tmp_path, hand)
    content = yaml.safe_load(path.read_text())
    assert (content["format"], content["format_version"]) == ("isaac_grasp", 1.0)
    assert content["gripper_frame"] == content["gripper_frame_link"]
    row = int(grasps.order()[0])
    best = content["grasps"][f"grasp_{row:04d}"]
    assert [entry["confidence"] for entry in content["grasps"].values()] == pytest.approx(
        [1.0 - index / COUNT for index in range(COUNT)]
    )
    wxyz = np.array([best["orientation"]["w"], *best["orientation"]["xyz"]])
    turn = Rotation.from_quat(np.roll(wxyz, -1)).as_matrix()
    expected = Rotation.from_quat(grasps.root_quaternion[row]).as_matrix()
    np.testing.assert_allclose(turn, expected, atol=1e-6)
    # A joint of the asset's prims for every degree of freedom, no couplings.
    prims = {path.rsplit("/", 1)[-1] for path in hand.joint_paths if path}
    assert len(best["cspace_position"]) == hand.dof_count
    assert set(best["cspace_position"]) <= prims


def test_the_squeeze_is_for_the_drives_that_will_read_it(tmp_path: Path, box: ObjectModel) -> None:
    """Ten times the asset's stiffness: the same torque at a tenth of the way (2F-140: one joint)."""
    hand = load_hand("robotiq_2f140")
    grasps, _ = _exported(tmp_path, hand)
    stiffness = 10.0 * float(hand.dof_stiffness[0])
    result = export_grasps([tmp_path / "run"], tmp_path / "stiff", format="isaac_grasp", stiffness=stiffness)
    read = read_isaac_grasps(result.paths[0], hand, box)
    best_first = grasps.select(grasps.order())
    way = best_first.squeeze_joint_position - best_first.joint_position
    np.testing.assert_allclose(read.squeeze_joint_position - read.joint_position, 0.1 * way, atol=1e-5)


def test_a_grasp_of_the_grasp_editor_is_read(tmp_path: Path, box: ObjectModel) -> None:
    """Without keys of ours: opened at the same pose, squeezed to the grasp itself, a joint by another name."""
    hand = load_hand("robotiq_2f140")
    path = _write(tmp_path / "grasps.yaml", _panda_like(), object_frame_link="/World/mug")
    grasps = read_isaac_grasps(path, hand, box, joints={"finger_joint": hand.joint_names[0]})
    np.testing.assert_allclose(grasps.root_position, [[-0.043, 0.068, 0.199]], rtol=1e-6)
    np.testing.assert_allclose(grasps.root_quaternion, [[0.5, -0.5, 0.5, 0.5]], atol=1e-7)  # xyzw
    np.testing.assert_array_equal(grasps.pregrasp_root_position, grasps.root_position)
    assert grasps.joint_position.tolist() == pytest.approx(np.array([[0.4]]))
    assert grasps.pregrasp_joint_position.tolist() == pytest.approx(np.array([[0.1]]))
    np.testing.assert_array_equal(grasps.squeeze_joint_position, grasps.joint_position)
    assert grasps.energy.tolist() == pytest.approx([0.2])


def test_poses_may_be_of_another_link(tmp_path: Path, box: ObjectModel) -> None:
    """The link is where forward kinematics from the root that was read puts it."""
    hand = load_hand("allegro")
    joints = dict.fromkeys(hand.joint_names, 0.3)
    grasp = _panda_like(cspace_position=joints, pregrasp_cspace_position=joints)
    path = _write(tmp_path / "grasps.yaml", grasp)
    link = hand.link_names[-1]
    grasps = read_isaac_grasps(path, hand, box, gripper_link=link)
    position, quaternion = hand.forward_kinematics(
        grasps.root_position[0], grasps.root_quaternion[0], grasps.joint_position[0]
    )
    np.testing.assert_allclose(position[-1], [-0.043, 0.068, 0.199], atol=1e-6)
    np.testing.assert_allclose(np.abs(quaternion[-1] @ [0.5, -0.5, 0.5, 0.5]), 1.0, atol=1e-6)


def test_couplings_are_passed_over_and_files_without_joints_take_the_default(
    tmp_path: Path, box: ObjectModel
) -> None:
    hand = load_hand("robotiq_2f140")
    joints = {path.rsplit("/", 1)[-1]: 0.25 for path in hand.joint_paths if path}
    moving = {name for name in joints if any(name == own for own in hand.expand_joint_position([0.25]))}
    grasp = _panda_like(cspace_position=dict.fromkeys(moving, 0.25))
    del grasp["pregrasp_cspace_position"]
    grasps = read_isaac_grasps(_write(tmp_path / "a.yaml", grasp), hand, box)
    assert grasps.joint_position.tolist() == [[0.25]]
    np.testing.assert_allclose(grasps.pregrasp_joint_position[0], hand.dof_opening, rtol=1e-6)
    del grasp["cspace_position"]  # as GraspGen writes them
    path = _write(tmp_path / "b.yaml", grasp)
    grasps = read_isaac_grasps(path, hand, box, default_joints=[0.5])
    assert grasps.joint_position.tolist() == [[0.5]]
    with pytest.raises(ValueError, match="it has no cspace_position; say where the joints are"):
        read_isaac_grasps(path, hand, box)


@pytest.mark.parametrize(
    ("grasp", "top", "sentence"),
    [
        ({}, {"format": "other"}, "its key 'format' must be 'isaac_grasp'"),
        ({}, {"format_version": 2.0}, "has format_version 2.0; this reader knows 1.0"),
        ({}, {"grasps": {}}, "holds no grasps"),
        (
            {"cspace_position": {"elbow": 0.1}},
            {},
            "has the joint 'elbow', which hand 'robotiq_2f140' has not",
        ),
        ({"position": [0.0, 0.0]}, {}, "must have three numbers"),
        ({"position": [0.0, float("nan"), 0.0]}, {}, "its numbers must be finite"),
        ({"orientation": {"w": 0.0, "xyz": [0.0, 0.0, 0.0]}}, {}, "must be a quaternion with a length"),
        ({"orientation": {"w": 1.0}}, {}, "'xyz' is missing"),
    ],
)
def test_files_that_do_not_fit_are_refused(
    tmp_path: Path, box: ObjectModel, grasp: dict[str, Any], top: dict[str, Any], sentence: str
) -> None:
    hand = load_hand("robotiq_2f140")
    name = hand.joint_names[0]
    whole = _panda_like(cspace_position={name: 0.4}, pregrasp_cspace_position={name: 0.1})
    path = _write(tmp_path / "grasps.yaml", {**whole, **grasp}, **top)
    with pytest.raises(ValueError, match=sentence):
        read_isaac_grasps(path, hand, box)


def test_the_command_writes_grasps_that_the_evaluation_loads(
    tmp_path: Path, box: ObjectModel, capsys: pytest.CaptureFixture[str]
) -> None:
    _, path = _exported(tmp_path, load_hand("allegro"))
    arguments = [str(path), "--hand", "allegro", "--object", str(box.path), "-o", str(tmp_path / "in")]
    assert main(arguments) == 0
    assert f"{COUNT} grasps of hand allegro" in capsys.readouterr().out
    case = load_case(tmp_path / "in" / f"{box.name}.npz")
    assert len(case.grasps) == COUNT
    assert case.model.mesh_hash == box.mesh_hash
    assert main([*arguments, "--gripper-link", "nose"]) == 2
    assert "has no link 'nose'" in capsys.readouterr().err
    assert main(["nothing.yaml", *arguments[1:]]) == 2
    assert "error: 'nothing.yaml' does not exist; give the path of" in capsys.readouterr().err
