"""Another model of the hand in its place (``--hand-model``): joints are found by their axes, the same hand judges the same.

The other models are made here: the exported MJCF of a shipped hand, put elsewhere, with other names, joints that count
the other way, or another servo.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from xml.etree import ElementTree

import mujoco
import numpy as np
import pytest
from eval_factory import offset_box
from eval_runs import Run, robotiq_grasps
from scipy.spatial.transform import Rotation

from warpgrasp.eval.engines.hand_file import find_hand_file
from warpgrasp.eval.engines.mujoco_scene import Scene, build_scene
from warpgrasp.eval.engines.mujoco_state import scene_positions
from warpgrasp.eval.protocol.protocols import PROTOCOLS, RootMount
from warpgrasp.hands import HandModel, load_hand
from warpgrasp.hands.export.mjcf import write_mjcf
from warpgrasp.objects import ObjectModel
from warpgrasp.objects.convex_pieces import convex_pieces

PROTOCOL = PROTOCOLS["dexgraspbench"]


@pytest.fixture(scope="module")
def hand() -> HandModel:
    return load_hand("allegro")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> ObjectModel:
    return offset_box(tmp_path_factory.mktemp("box"), (0.02, 0.02, 0.02))


@pytest.fixture(scope="module")
def moved(hand: HandModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported hand: renamed, branches in another order, its base moved and turned, a joint counting backwards, a floor."""
    folder = tmp_path_factory.mktemp("mjcf")
    tree = ElementTree.parse(write_mjcf(hand, folder))
    world = tree.getroot().find("worldbody")
    assert world is not None
    base = world.find("body")
    assert base is not None
    base.set("pos", "0.1 -0.2 0.3")
    base.set("quat", " ".join(str(v) for v in np.array([0.2, 0.5, -0.3, 0.7]) / np.sqrt(0.87)))
    for body in sorted(base.findall("body"), key=lambda entry: str(entry.get("name")), reverse=True):
        base.remove(body)
        base.append(body)
    backwards = next(joint for joint in tree.iter("joint") if joint.get("name") == hand.joint_names[5])
    low, high = str(backwards.get("range")).split()
    backwards.set("axis", " ".join(str(-float(v)) for v in str(backwards.get("axis")).split()))
    backwards.set("range", f"{-float(high)} {-float(low)}")
    for position in tree.iter("position"):
        if position.get("joint") == hand.joint_names[5]:
            low, high = str(position.get("ctrlrange")).split()
            position.set("ctrlrange", f"{-float(high)} {-float(low)}")
    ElementTree.SubElement(world, "geom", {"type": "plane", "size": "1 1 1"})
    ElementTree.SubElement(
        tree.getroot(), "option", {"cone": "pyramidal", "impratio": "77", "timestep": "0.001"}
    )
    for index, joint in enumerate(hand.joint_names):
        for element in tree.iter():
            for attribute in ("name", "joint"):
                if element.get(attribute) == joint:
                    element.set(attribute, f"motor {97 * index % 16}")
    path = folder / "moved.xml"
    tree.write(path)
    return path


def link_points(scene: Scene, joints: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Centres of mass of all bodies of the hand, sorted, at a pose of its root (wxyz)."""
    data = mujoco.MjData(scene.model)
    data.qpos[:] = scene_positions(scene, joints[None], root[None])[0]
    data.mocap_pos[0], data.mocap_quat[0] = root[:3], root[3:]
    mujoco.mj_kinematics(scene.model, data)
    mujoco.mj_comPos(scene.model, data)
    bodies = [i for i in range(scene.model.nbody) if scene.model.body_mass[i] > 1.5e-4]
    points = data.xipos[bodies]
    return np.asarray(points[np.lexsort(np.round(points, 6).T)])


@pytest.mark.parametrize("mount", list(RootMount))
def test_a_moved_and_renamed_model_stands_where_the_hand_does(
    hand: HandModel, box: ObjectModel, moved: Path, mount: RootMount
) -> None:
    protocol = dataclasses.replace(PROTOCOL, root=mount)
    own = build_scene(hand, box, convex_pieces(box), protocol)
    other = build_scene(hand, box, convex_pieces(box), protocol, hand_file=moved)
    rng = np.random.default_rng(3)
    quaternion = np.roll(Rotation.random(rng=rng).as_quat(), 1)
    root = np.concatenate([rng.normal(size=3), quaternion])
    joints = rng.uniform(hand.dof_lower, hand.dof_upper)
    np.testing.assert_allclose(link_points(other, joints, root), link_points(own, joints, root), atol=1.0e-5)
    assert not np.any(other.model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE)
    for name in ("timestep", "impratio", "cone"):
        assert getattr(other.model.opt, name) == getattr(own.model.opt, name)
    # Friction and softness are the protocol's, stiffness is the file's.
    colliding = other.hand_geom & (other.model.geom_contype > 0)
    assert np.all(other.model.geom_friction[colliding, 0] == protocol.friction)
    np.testing.assert_allclose(other.drives.stiffness, hand.dof_stiffness, rtol=1.0e-6)


def test_controls_hold_the_joints_of_the_file(hand: HandModel, box: ObjectModel, moved: Path) -> None:
    scene = build_scene(hand, box, convex_pieces(box), PROTOCOL, hand_file=moved)
    joints = np.random.default_rng(4).uniform(hand.dof_lower, hand.dof_upper)
    data = mujoco.MjData(scene.model)
    data.qpos[:] = scene_positions(scene, joints[None], np.array([[0, 0, 0, 1.0, 0, 0, 0]]))[0]
    data.ctrl[:] = scene.servos.controls(joints)
    mujoco.mj_forward(scene.model, data)
    np.testing.assert_allclose(data.actuator_force, 0.0, atol=1.0e-9)
    assert np.sum(scene.joint_sign < 0.0) == 1


def test_a_servo_on_the_sum_of_two_joints_gets_their_mean_torque(
    hand: HandModel, box: ObjectModel, tmp_path: Path
) -> None:
    tree = ElementTree.parse(write_mjcf(hand, tmp_path))
    pair = hand.joint_names[2:4]
    tendon = ElementTree.SubElement(
        ElementTree.SubElement(tree.getroot(), "tendon"), "fixed", {"name": "both"}
    )
    for name in pair:
        ElementTree.SubElement(tendon, "joint", {"joint": name, "coef": "1"})
    actuators = tree.getroot().find("actuator")
    assert actuators is not None
    for position in [entry for entry in actuators if entry.get("joint") in pair]:
        actuators.remove(position)
    ElementTree.SubElement(actuators, "position", {"name": "both", "tendon": "both", "kp": "4"})
    path = tmp_path / "coupled.xml"
    tree.write(path)
    scene = build_scene(hand, box, convex_pieces(box), PROTOCOL, hand_file=path)
    torque = np.zeros(hand.dof_count)
    torque[2:4] = (0.3, 0.1)
    data = mujoco.MjData(scene.model)
    data.qpos[:] = scene_positions(scene, np.zeros((1, hand.dof_count)), np.array([[0, 0, 0, 1.0, 0, 0, 0]]))[
        0
    ]
    data.ctrl[:] = scene.servos.controls(torque / scene.drives.stiffness)
    mujoco.mj_forward(scene.model, data)
    driven = [scene.model.joint(f"hand-{name}").dofadr[0] for name in pair]
    np.testing.assert_allclose(data.qfrc_actuator[driven], 0.2, rtol=1.0e-6)


def test_the_same_hand_from_its_own_file_judges_the_same(tmp_path: Path) -> None:
    """2F-140: six joints follow one; the exported file has the couplings, shapes and masses of the hand."""
    robotiq_grasps(tmp_path / "run")
    file = write_mjcf(load_hand("robotiq_2f140"), tmp_path)
    own, other = (Run(tmp_path / "run", "--force", "2", *more) for more in ((), ("--hand-model", str(file))))
    assert (own.code, other.code) == (0, 0), other.error
    assert "hand simulated as robotiq_2f140-" in other.out
    folders = {path.parent.name: path for path in (tmp_path / "run" / "evaluation").glob("*/cube.npz")}
    assert len(folders) == 2
    verdicts = [np.load(path)["trial_success"].all(axis=-1).tolist() for path in folders.values()]
    assert verdicts[0] == verdicts[1]


def test_another_hand_is_refused(tmp_path: Path) -> None:
    robotiq_grasps(tmp_path / "run")
    file = write_mjcf(load_hand("leap"), tmp_path)
    run = Run(tmp_path / "run", "--hand-model", file)
    assert run.code == 1
    assert "its joints are not those of hand 'robotiq_2f140'" in run.error
    assert "isaaclab" in Run(tmp_path / "run", "--hand-model", file, "--compare", "isaaclab").error


def test_mirrored_hand_is_refused_by_how_far_its_axes_are(hand: HandModel, tmp_path: Path) -> None:
    tree = ElementTree.parse(write_mjcf(hand, tmp_path))
    thumb = [body for body in tree.iter("body") if body.find("joint[@name='joint_12.0']") is not None]
    thumb[0].set("pos", "0 0.05 0")
    path = tmp_path / "other.xml"
    tree.write(path)
    model = offset_box(tmp_path, (0.02, 0.02, 0.02))
    with pytest.raises(ValueError, match=r"axes differ by up to \d+\.\d mm"):
        build_scene(hand, model, convex_pieces(model), PROTOCOL, hand_file=path)


def test_menagerie_is_found_by_the_name_of_the_hand(
    hand: HandModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "wonik_allegro" / "right_hand.xml"
    with pytest.raises(ValueError, match="there is no file"):
        find_hand_file(str(tmp_path), hand)
    file.parent.mkdir()
    file.write_text("<mujoco/>")
    monkeypatch.setenv("MUJOCO_MENAGERIE_PATH", str(tmp_path))
    assert find_hand_file("menagerie", hand) == find_hand_file(str(tmp_path), hand) == file
    monkeypatch.setenv("MUJOCO_MENAGERIE_PATH", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="git clone"):
        find_hand_file("menagerie", hand)
    with pytest.raises(ValueError, match="name the MJCF file itself"):
        find_hand_file(str(tmp_path), load_hand("barrett"))
