"""Real robot hands through the converter: every reader sees the same kinematics, names, limits and masses."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hand_models import MODEL_FOLDER, MODELS, RobotModel
from numpy.typing import NDArray

from warpgrasp.geometry.rotations import rotate
from warpgrasp.hands import HandModel, JointType
from warpgrasp.hands.convert import ConvertConfig, convert_hand
from warpgrasp.hands.export import export_hand
from warpgrasp.hands.export.meshes import vendor_link_names

mujoco = pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not MODEL_FOLDER.is_dir(), reason=f"the robot models are not at {MODEL_FOLDER}"),
]

CONFIGURATIONS = 100
TOLERANCE = 1e-5  # m
IDENTITY = (0.0, 0.0, 0.0, 1.0)
FloatArray = NDArray[np.float64]


@pytest.fixture(scope="module", params=MODELS)
def converted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RobotModel, HandModel]:
    model = MODELS[request.param]
    config = ConvertConfig(picture=False, density=model.density)
    folder = tmp_path_factory.mktemp(request.param)
    return model, convert_hand(MODEL_FOLDER / model.path, folder / request.param, config).hand


def configurations(hand: HandModel) -> FloatArray:
    random = np.random.default_rng(5)
    return random.uniform(hand.dof_lower, hand.dof_upper, size=(CONFIGURATIONS, hand.dof_count))


def mujoco_poses(
    hand: HandModel, model: Any, bodies: dict[int, int], root: int, q: FloatArray
) -> dict[int, FloatArray]:
    """Link positions in the frame of body ``root`` (0: the world)."""
    data = mujoco.MjData(model)
    for name, value in hand.expand_joint_position(q).items():
        data.qpos[model.joint(name).qposadr[0]] = value
    mujoco.mj_kinematics(model, data)
    frame = data.xmat[root].reshape(3, 3)
    return {link: (data.xpos[body] - data.xpos[root]) @ frame for link, body in bodies.items()}


def test_original_file_agrees(converted: tuple[RobotModel, HandModel]) -> None:
    """MuJoCo reads the vendor's file by itself."""
    source, hand = converted
    model = mujoco.MjModel.from_xml_path(str(source.mujoco_path))
    names = [model.body(body).name for body in range(model.nbody)]
    vendor = vendor_link_names(hand)
    bodies = {link: names.index(name) for link, name in enumerate(vendor) if link > 0 and name in names}
    assert len(bodies) == hand.link_count - 1
    root = names.index(vendor[0]) if vendor[0] in names else 0
    for q in configurations(hand):
        expected = mujoco_poses(hand, model, bodies, root, q)
        position, _ = hand.forward_kinematics(np.zeros(3), IDENTITY, q)
        for link, point in expected.items():
            np.testing.assert_allclose(position[link], point, atol=TOLERANCE)


def test_our_mjcf_agrees(converted: tuple[RobotModel, HandModel], tmp_path: Path) -> None:
    _, hand = converted
    model = mujoco.MjModel.from_xml_path(str(export_hand(hand.path, tmp_path)))
    bodies = {link: link + 1 for link in range(hand.link_count)}
    for q in configurations(hand):
        position, _ = hand.forward_kinematics(np.zeros(3), IDENTITY, q)
        for link, point in mujoco_poses(hand, model, bodies, 1, q).items():
            np.testing.assert_allclose(position[link], point, atol=TOLERANCE)
    names = [model.joint(joint).name for joint in range(model.njnt)]
    assert names == [name for name in hand.link_joint_names if name]
    assert [model.actuator(a).name for a in range(model.nu)] == list(hand.joint_names)
    np.testing.assert_allclose(model.body_mass[1:], hand.link_mass, rtol=1e-6)
    own = [names.index(name) for name in hand.joint_names]
    np.testing.assert_allclose(model.jnt_range[own], np.stack([hand.dof_lower, hand.dof_upper], 1), atol=1e-6)
    np.testing.assert_allclose(model.actuator_gainprm[:, 0], hand.dof_stiffness, rtol=1e-6)
    np.testing.assert_allclose(model.actuator_forcerange[:, 1], hand.dof_effort, rtol=1e-6)
    assert model.neq == len(names) - hand.dof_count


def test_newton_agrees(converted: tuple[RobotModel, HandModel]) -> None:
    newton = pytest.importorskip("newton", reason="Newton is not installed (extra 'sim')")
    import warp as wp

    _, hand = converted
    builder = newton.ModelBuilder()
    builder.add_usd(str(hand.path))
    model = builder.finalize(device="cpu")
    link_of = [hand.link_paths.index(label) for label in model.body_label]
    start = dict(zip(model.joint_label, model.joint_q_start.numpy(), strict=False))
    (free,) = [label for label in model.joint_label if label not in hand.joint_paths]
    moving = {hand.link_joint_names[k]: hand.joint_paths[k] for k in range(1, hand.link_count)}
    state = model.state()
    for q in configurations(hand):
        joint_q = model.joint_q.numpy()
        joint_q[start[free] : start[free] + 7] = (0, 0, 0, *IDENTITY)
        for name, value in hand.expand_joint_position(q).items():
            joint_q[start[moving[name]]] = value
        newton.eval_fk(model, wp.array(joint_q, dtype=wp.float32, device="cpu"), model.joint_qd, state)
        position, _ = hand.forward_kinematics(np.zeros(3), IDENTITY, q)
        np.testing.assert_allclose(state.body_q.numpy()[:, :3], position[link_of], atol=TOLERANCE)
    np.testing.assert_allclose(model.body_mass.numpy(), hand.link_mass[link_of], rtol=1e-5)
    # Newton sorts the joints of a tree in its own way, so the names are compared, not their order
    assert {moving[name] for name in hand.link_joint_names if name} == {*model.joint_label} - {free}


def urdf_facts(path: Path) -> tuple[list[str], dict[str, tuple[float, float]], float]:
    """Independent joints depth first in file order, their own limits, and the total mass: read without the library."""
    robot = ElementTree.fromstring(path.read_text().replace("drake:", "drake_"))
    below: dict[str, list[ElementTree.Element]] = {}
    children = set()
    for joint in robot.findall("joint"):
        below.setdefault(joint.find("parent").get("link"), []).append(joint)
        children.add(joint.find("child").get("link"))
    (root,) = [link.get("name") for link in robot.findall("link") if link.get("name") not in children]
    names: list[str] = []
    limits = {}

    def visit(link: str) -> None:
        for joint in below.get(link, []):
            if joint.get("type") != "fixed" and joint.find("mimic") is None:
                names.append(joint.get("name"))
                limit = joint.find("limit")
                limits[names[-1]] = (float(limit.get("lower", 0)), float(limit.get("upper", 0)))
            visit(joint.find("child").get("link"))

    visit(root)
    mass = sum(float(m.get("value")) for m in robot.findall("link/inertial/mass"))
    return names, limits, mass


def test_names_limits_and_mass_are_the_file_s(converted: tuple[RobotModel, HandModel]) -> None:
    source, hand = converted
    if not source.path.endswith(".urdf"):
        pytest.skip("the MJCF's own reader is MuJoCo, which another test compares with")
    names, limits, mass = urdf_facts(MODEL_FOLDER / source.path)
    followed = {hand.joint_names[hand.joint_dof[k]] for k in range(hand.link_count) if _follows(hand, k)}
    assert list(hand.joint_names) == names
    for dof, name in enumerate(names):
        lower, upper = limits[name]
        if name in followed:  # a follower may narrow its leader
            assert hand.dof_lower[dof] >= lower - 1e-6
            assert hand.dof_upper[dof] <= upper + 1e-6
        else:
            assert (hand.dof_lower[dof], hand.dof_upper[dof]) == pytest.approx((lower, upper), abs=1e-6)
    if source.density is None:
        assert hand.link_mass.sum() == pytest.approx(mass, rel=1e-5)


def _follows(hand: HandModel, link: int) -> bool:
    return hand.joint_type[link] != JointType.FIXED and hand.link_joint_names[link] not in hand.joint_names


def test_hand_is_usable(converted: tuple[RobotModel, HandModel]) -> None:
    _, hand = converted
    assert len(hand.geometry_mesh) <= 64
    assert len(hand.patches) >= 3
    assert {"power", "pinch"} <= set(hand.grasp_types)
    for grasp_type in hand.grasp_types:
        candidates = hand.contact_candidates(grasp_type)
        assert np.bincount(candidates.patch).min() >= 8
    assert np.all(hand.dof_opening >= hand.dof_lower)
    assert np.all(hand.dof_opening <= hand.dof_upper)
    assert len(hand.self_collision_pairs()) > 0
    axes = [hand.wrist_quaternion]
    assert math.isclose(float(np.linalg.norm(axes[0])), 1.0, abs_tol=1e-6)


def test_fingers_alike_get_patches_alike(converted: tuple[RobotModel, HandModel]) -> None:
    """Index, middle and ring of these hands differ in where they stand, not in their links."""
    _, hand = converted
    found = {
        finger: [p.name.removeprefix(finger) for p in hand.patches if p.finger == finger]
        for finger in ("index", "middle", "ring")
        if finger in hand.fingers
    }
    if len(found) < 3:
        pytest.skip("no three fingers side by side")
    assert found["index"] == found["middle"] == found["ring"]


def test_grippers_open_wide(converted: tuple[RobotModel, HandModel]) -> None:
    """A pregrasp can clear the object only if the opening pose leaves it room: half a can's diameter to either side."""
    _, hand = converted
    position, quaternion = hand.forward_kinematics(np.zeros(3), IDENTITY, hand.dof_opening)
    tips = {
        patch.finger: position[patch.link] + rotate(quaternion[patch.link], patch.vertices.mean(axis=0))
        for patch in hand.patches
        if patch.region == "tip"
    }
    apart = max(float(np.linalg.norm(a - b)) for a in tips.values() for b in tips.values())
    assert apart > 0.06
