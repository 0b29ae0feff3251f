"""Newton and MuJoCo read the shipped hand assets and agree with our forward kinematics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from warpgrasp.hands import HandModel, JointType, hand_names, load_hand

newton = pytest.importorskip("newton", reason="Newton is not installed (extra 'sim')")
mujoco = pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
wp = pytest.importorskip("warp")

CONFIGURATIONS = 100
TOLERANCE = 1e-5  # m


@pytest.fixture(scope="module", params=hand_names())
def loaded(request: pytest.FixtureRequest) -> tuple[HandModel, Any]:
    hand = load_hand(request.param)
    builder = newton.ModelBuilder()
    builder.add_usd(str(hand.path))
    return hand, builder.finalize(device="cpu")


def joint_values(hand: HandModel, q: np.ndarray) -> dict[str, float]:
    """Value of every moving joint by prim path, mimic joints included."""
    by_name = hand.expand_joint_position(q)
    moving = [link for link in range(1, hand.link_count) if hand.joint_type[link] != JointType.FIXED]
    return {hand.joint_paths[link]: by_name[hand.link_joint_names[link]] for link in moving}


def random_pose(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    quaternion = random.normal(size=4)
    return random.uniform(-0.2, 0.2, size=3), quaternion / np.linalg.norm(quaternion)


def test_forward_kinematics_agrees_with_newton(loaded: tuple[HandModel, Any]) -> None:
    hand, model = loaded
    assert set(model.body_label) == set(hand.link_paths)
    link_of = [hand.link_paths.index(label) for label in model.body_label]
    start = dict(zip(model.joint_label, model.joint_q_start.numpy(), strict=False))
    free = [label for label in model.joint_label if label not in hand.joint_paths]
    assert len(free) == 1  # the root floats
    state = model.state()
    random = np.random.default_rng(0)
    for _ in range(CONFIGURATIONS):
        q = random.uniform(hand.dof_lower, hand.dof_upper)
        root = random_pose(random)
        joint_q = model.joint_q.numpy()
        joint_q[start[free[0]] : start[free[0]] + 7] = np.concatenate(root)
        for path, value in joint_values(hand, q).items():
            joint_q[start[path]] = value
        newton.eval_fk(model, wp.array(joint_q, dtype=wp.float32, device="cpu"), model.joint_qd, state)
        position, quaternion = hand.forward_kinematics(*root, q)
        body = state.body_q.numpy()
        np.testing.assert_allclose(body[:, :3], position[link_of], atol=TOLERANCE)
        alignment = np.abs(np.sum(body[:, 3:] * quaternion[link_of], axis=1))
        np.testing.assert_allclose(alignment, 1.0, atol=1e-6)


def test_newton_reads_the_same_drives_and_masses(loaded: tuple[HandModel, Any]) -> None:
    hand, model = loaded
    start = dict(zip(model.joint_label, model.joint_qd_start.numpy(), strict=False))
    dof = [start[hand.joint_paths[hand.link_joint_names.index(name)]] for name in hand.joint_names]
    close = {"rtol": 1e-5, "atol": 1e-7}
    np.testing.assert_allclose(model.joint_target_ke.numpy()[dof], hand.dof_stiffness, **close)
    np.testing.assert_allclose(model.joint_target_kd.numpy()[dof], hand.dof_damping, **close)
    np.testing.assert_allclose(model.joint_effort_limit.numpy()[dof], hand.dof_effort, **close)
    np.testing.assert_allclose(model.joint_velocity_limit.numpy()[dof], hand.dof_velocity, **close)
    np.testing.assert_allclose(model.joint_armature.numpy()[dof], hand.dof_armature, **close)
    np.testing.assert_allclose(model.joint_friction.numpy()[dof], hand.dof_friction, **close)
    np.testing.assert_allclose(model.joint_limit_lower.numpy()[dof], hand.dof_lower, **close)
    np.testing.assert_allclose(model.joint_limit_upper.numpy()[dof], hand.dof_upper, **close)
    link_of = [hand.link_paths.index(label) for label in model.body_label]
    np.testing.assert_allclose(model.body_mass.numpy(), hand.link_mass[link_of], **close)
    np.testing.assert_allclose(
        model.body_com.numpy(), hand.link_center_of_mass[link_of], rtol=1e-4, atol=1e-7
    )
    inertia = hand.link_inertia[link_of]
    error = np.abs(model.body_inertia.numpy() - inertia).max(axis=(1, 2))
    assert np.all(error < 1e-5 * np.trace(inertia, axis1=1, axis2=2))


@pytest.fixture(scope="module")
def mujoco_model(
    loaded: tuple[HandModel, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[HandModel, Any]:
    hand, model = loaded
    path: Path = tmp_path_factory.mktemp("mjcf") / f"{hand.name}.xml"
    newton.solvers.SolverMuJoCo(model, save_to_mjcf=str(path), use_mujoco_cpu=True)
    return hand, mujoco.MjModel.from_xml_path(str(path))


def test_forward_kinematics_agrees_with_mujoco(mujoco_model: tuple[HandModel, Any]) -> None:
    hand, model = mujoco_model
    data = mujoco.MjData(model)
    body = [model.body(path.replace("/", "_")).id for path in hand.link_paths]
    free = next(j for j in range(model.njnt) if model.jnt_type[j] == mujoco.mjtJoint.mjJNT_FREE)
    random = np.random.default_rng(1)
    for _ in range(CONFIGURATIONS):
        q = random.uniform(hand.dof_lower, hand.dof_upper)
        position, quaternion = random_pose(random)
        address = model.jnt_qposadr[free]
        data.qpos[address : address + 3] = position
        data.qpos[address + 3 : address + 7] = quaternion[[3, 0, 1, 2]]  # MuJoCo writes wxyz
        for path, value in joint_values(hand, q).items():
            data.qpos[model.joint(path.replace("/", "_")).qposadr[0]] = value
        mujoco.mj_fwdPosition(model, data)
        link_position, link_quaternion = hand.forward_kinematics(position, quaternion, q)
        np.testing.assert_allclose(data.xpos[body], link_position, atol=TOLERANCE)
        alignment = np.abs(np.sum(data.xquat[body][:, [1, 2, 3, 0]] * link_quaternion, axis=1))
        np.testing.assert_allclose(alignment, 1.0, atol=1e-8)
        equality = data.efc_pos[data.efc_type == mujoco.mjtConstraint.mjCNSTR_EQUALITY]
        # MuJoCo's couplings hold where ours do; the MJCF writes coefficients with six digits
        assert np.abs(equality).max(initial=0.0) < 1e-5


def test_mimic_joints_reach_mujoco(mujoco_model: tuple[HandModel, Any]) -> None:
    hand, model = mujoco_model
    moving = int(np.sum(hand.joint_type != JointType.FIXED))
    assert model.neq == moving - hand.dof_count


def test_opening_pose_is_free_of_self_collision(mujoco_model: tuple[HandModel, Any]) -> None:
    hand, model = mujoco_model
    data = mujoco.MjData(model)
    for path, value in joint_values(hand, hand.dof_opening).items():
        data.qpos[model.joint(path.replace("/", "_")).qposadr[0]] = value
    mujoco.mj_fwdPosition(model, data)
    assert min((contact.dist for contact in data.contact), default=0.0) > -1e-4


def test_spheres_agree_with_mujocos_contacts(mujoco_model: tuple[HandModel, Any]) -> None:
    """The spheres see what MuJoCo sees: deep self-collisions are found, and clear poses are left alone."""
    hand, model = mujoco_model
    data = mujoco.MjData(model)
    pairs = hand.self_collision_pairs()
    reach = hand.sphere_radius[pairs].sum(axis=1)
    random = np.random.default_rng(0)
    depth = []
    for _ in range(CONFIGURATIONS):
        q = random.uniform(hand.dof_lower, hand.dof_upper)
        for path, value in joint_values(hand, q).items():
            data.qpos[model.joint(path.replace("/", "_")).qposadr[0]] = value
        mujoco.mj_fwdPosition(model, data)
        center = hand.sphere_centers(np.zeros(3), (0.0, 0.0, 0.0, 1.0), q)
        overlap = reach - np.linalg.norm(center[pairs[:, 0]] - center[pairs[:, 1]], axis=1)
        depth.append(
            (max((-contact.dist for contact in data.contact), default=0.0), overlap.max(initial=0.0))
        )
    exact, spheres = np.array(depth).T
    deep, claimed = exact > 5e-3, spheres > 5e-3
    assert np.all(spheres[exact > 12e-3] > 0.0)
    assert deep.sum() == 0 or np.mean(spheres[deep] > 0.0) > 0.9
    assert claimed.sum() == 0 or np.mean(exact[claimed] > 0.0) > 0.85
