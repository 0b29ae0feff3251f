"""Exports read back: MJCF by MuJoCo, URDF by our importer, USD by the reader, all with the hand's kinematics."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_runs import write_grasps
from robot_files import write_mjcf_gripper

from warpgrasp.export.__main__ import main as export_main
from warpgrasp.hands import HandModel, hand_names, load_hand
from warpgrasp.hands.convert import ConvertConfig, convert_hand
from warpgrasp.hands.export import export_hand
from warpgrasp.hands.export.__main__ import main
from warpgrasp.hands.export.meshes import vendor_link_names, write_pieces
from warpgrasp.hands.export.mjcf import hand_spec, write_mjcf
from warpgrasp.hands.mujoco_spec import neighbouring_links

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


@pytest.fixture(scope="module", params=hand_names())
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A hand, the model its specification compiles to, and the model read from its document."""
    mujoco = pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    hand, folder = load_hand(request.param), tmp_path_factory.mktemp(request.param)
    files = write_pieces(hand, folder)
    spec = hand_spec(hand, files, floating=True)
    spec.assets = {file: (folder / file).read_bytes() for file in files.values()}
    return hand, spec.compile(), mujoco.MjModel.from_xml_path(str(write_mjcf(hand, folder, floating=True)))


def test_mjcf_text_loses_nothing_of_the_model(written: Any) -> None:
    """Ten digits are written, and MuJoCo keeps what it draws and collides in single precision."""
    _, compiled, read = written
    paths = {"paths", "npaths", "mesh_pathadr", "nbuffer"}
    filled_by_the_reader = {"actuator_ctrlspec", "eq_objtype", "eq_data"}  # the kind of element; unused data
    compared = 0
    for field in set(dir(compiled)) - paths - filled_by_the_reader:
        expected, got = getattr(compiled, field), getattr(read, field)
        if not field.startswith("_") and isinstance(expected, (int, np.ndarray)):
            largest = np.abs(expected).max(initial=0.0) if isinstance(expected, np.ndarray) else 0
            np.testing.assert_allclose(got, expected, rtol=0.0, atol=1e-6 * largest, err_msg=field)
            compared += 1
    assert compared > 300
    assert read.names == compiled.names
    np.testing.assert_allclose(read.eq_data[:, :5], compiled.eq_data[:, :5], atol=1e-9)


def test_mjcf_says_what_the_hand_says(written: Any) -> None:
    """Against the asset itself: mass, inertia, limits, rotors, dry friction, servos and couplings."""
    hand, _, model = written
    bodies = [model.body(f"{n}_link" if n == "world" else n).id for n in vendor_link_names(hand)]
    np.testing.assert_allclose(model.body_mass[bodies], hand.link_mass, rtol=1e-6)
    np.testing.assert_allclose(
        np.sort(model.body_inertia[bodies]), np.linalg.eigvalsh(hand.link_inertia), rtol=1e-4
    )
    joints = [model.joint(name) for name in hand.joint_names]
    ranges = np.array([joint.range for joint in joints])
    np.testing.assert_allclose(ranges, np.stack([hand.dof_lower, hand.dof_upper], 1), atol=1e-6)
    np.testing.assert_allclose([joint.armature[0] for joint in joints], hand.dof_armature, rtol=1e-6)
    np.testing.assert_allclose([joint.frictionloss[0] for joint in joints], hand.dof_friction, rtol=1e-6)
    assert [model.actuator(row).name for row in range(model.nu)] == list(hand.joint_names)
    np.testing.assert_allclose(model.actuator_gainprm[:, 0], hand.dof_stiffness, rtol=1e-6)
    np.testing.assert_allclose(model.actuator_biasprm[:, 2], -hand.dof_damping, rtol=1e-6)
    np.testing.assert_allclose(model.actuator_forcerange[:, 1], hand.dof_effort, rtol=1e-6)
    np.testing.assert_allclose(model.actuator_ctrlrange, ranges, atol=1e-6)
    for row in range(model.neq):
        follower, leader = model.joint(model.eq_obj1id[row]).name, model.joint(model.eq_obj2id[row]).name
        constant, slope = model.eq_data[row, :2]
        assert model.equality(row).name == follower
        for values in (hand.dof_lower, hand.dof_upper):
            value = hand.expand_joint_position(values)
            np.testing.assert_allclose(value[follower], constant + slope * value[leader], atol=1e-6)


def test_neighbours_pass_through_each_other(written: Any) -> None:
    """No contact at the opening pose, parents and children never; other pairs stay able to collide."""
    import mujoco

    hand, _, model = written
    pairs = neighbouring_links(hand)
    assert {(int(hand.link_parent[link]), link) for link in range(1, hand.link_count)} <= pairs
    assert model.nexclude == len(pairs) < hand.link_count * (hand.link_count - 1) // 2
    data = mujoco.MjData(model)
    for name, value in hand.expand_joint_position(hand.dof_opening).items():
        data.qpos[model.joint(name).qposadr[0]] = value
    mujoco.mj_forward(model, data)
    assert data.ncon == 0


def test_links_over_a_shapeless_link_are_neighbours(tmp_path: Path) -> None:
    """The body with two joints becomes two links, one without shape: its pad still turns against the finger."""
    pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    source = write_mjcf_gripper(tmp_path)
    hand = convert_hand(source, tmp_path / "gripper", ConvertConfig(picture=False)).hand
    pairs = {frozenset(hand.link_names[link] for link in pair) for pair in neighbouring_links(hand)}
    assert {frozenset(("left_finger", "left_pad")), frozenset(("right_finger", "right_pad"))} <= pairs
    assert frozenset(("left_finger", "right_finger")) not in pairs


@pytest.mark.parametrize("format", ["hand", "scene"])
def test_mjcf_without_mujoco_names_the_extra(
    format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mujoco", None)
    if format == "hand":
        assert main(["allegro", "-o", str(tmp_path / "out")]) == 1
    else:
        write_grasps(tmp_path / "run", load_hand("allegro"))
        assert export_main([str(tmp_path / "run"), "--format", "mjcf", "-o", str(tmp_path / "out")]) == 2
    assert "Writing MJCF needs mujoco; install warpgrasp with its extra 'sim'" in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("*.*"))


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
