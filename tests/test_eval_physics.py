"""Physics of the evaluation against closed forms: Coulomb's limit, free flight, rest, effort limits, determinism."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eval_factory import EFFORT, PALM, STIFFNESS, closing_pads, grasps_of, offset_box, pad_grasps, pad_hand

from warpgrasp.base.status import GraspStatus
from warpgrasp.eval.engines import mujoco as mujoco_engine
from warpgrasp.eval.engines.mujoco_scene import build_scene
from warpgrasp.eval.engines.mujoco_state import mocap_targets, scene_positions
from warpgrasp.eval.evaluation import simulation_displacement
from warpgrasp.eval.protocol import trial
from warpgrasp.eval.protocol.drives import joint_drives
from warpgrasp.eval.protocol.protocols import PROTOCOLS, Drive, Protocol, Push, Trial
from warpgrasp.eval.protocol.squeeze_rules import hand_targets
from warpgrasp.eval.protocol.verdict import FailureReason, StartContact, Verdict
from warpgrasp.hands import HandModel, hand_names, load_hand
from warpgrasp.hands.model import JointType
from warpgrasp.objects import ObjectModel
from warpgrasp.objects.convex_pieces import convex_pieces

mujoco = pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")

GRASPQP = PROTOCOLS["graspqp"]
HALF = (0.02, 0.02, 0.02)
DEEP = 0.05  # m; a squeeze this deep saturates the drives


@pytest.fixture
def box(tmp_path: Path) -> ObjectModel:
    return offset_box(tmp_path, HALF)


def run(
    model: ObjectModel,
    grasps: Any,
    protocol: Protocol,
    *,
    hand: HandModel | None = None,
    workers: int = 1,
) -> Verdict:
    hand = hand or pad_hand()
    scene = build_scene(hand, model, convex_pieces(model), protocol)
    targets = hand_targets(hand, grasps, stiffness=scene.drives.stiffness)
    return mujoco_engine.MujocoEngine(workers=workers).evaluate(scene, targets)


@pytest.mark.parametrize("friction", [1.0, 0.4])
def test_box_between_pads_holds_up_to_the_coulomb_limit(box: ObjectModel, friction: float) -> None:
    limit = 2.0 * friction * EFFORT  # two contacts, each pressed with the effort limit
    protocol = dataclasses.replace(GRASPQP, friction=friction)
    grasps = pad_grasps(box, gap=[HALF[0]], squeeze=DEEP)
    below = run(box, grasps, protocol.with_force(0.9 * limit))
    above = run(box, grasps, protocol.with_force(1.1 * limit))
    assert below.trial_success[0, 1:].all()  # along y and z; along x the pads give way
    assert not above.trial_success[0, 1:].any()
    assert below.displacement[0, 1:].max() < 0.005
    assert above.reason[0] == FailureReason.SLIP


def test_pads_give_way_beyond_their_effort(box: ObjectModel) -> None:
    # Pressed with half the effort limit. Pushed along x, the box leaves one plate and leans on the other, which stands
    # against it with all its effort.
    grasps = pad_grasps(box, gap=[HALF[0]], squeeze=0.5 * EFFORT / STIFFNESS)
    assert run(box, grasps, GRASPQP.with_force(0.9 * EFFORT)).trial_success[0, 0]
    assert not run(box, grasps, GRASPQP.with_force(1.1 * EFFORT)).trial_success[0, 0]


def test_object_at_rest_keeps_still(box: ObjectModel) -> None:
    grasps = pad_grasps(box, gap=[HALF[0]], squeeze=0.0)
    verdict = run(box, grasps, GRASPQP.with_force(0.0))
    assert verdict.displacement.max() < 1.0e-5
    assert verdict.rotation.max() < 1.0e-4


def test_object_pressed_on_the_palm_keeps_still(tmp_path: Path) -> None:
    model = offset_box(tmp_path, HALF, (0.0, 0.0, PALM + HALF[2]))
    weight = Trial(name="-z", duration=2.0, pushes=(Push(start=0.25, end=2.0, direction=(0.0, 0.0, -1.0)),))
    protocol = dataclasses.replace(GRASPQP, trials=(weight,), force=0.2 * 9.81)
    verdict = run(model, pad_grasps(model, gap=[0.06], squeeze=0.0), protocol)
    assert verdict.displacement.max() < 3.0e-4  # the soft contact gives way by g tc^2 / 4 = 0.25 mm
    assert verdict.success_all.all()


def test_free_object_flies_as_newton_says(tmp_path: Path) -> None:
    # The centre of mass is off the origin: a force on it must not turn the object.
    model = offset_box(tmp_path, (0.02, 0.015, 0.01), (0.01, -0.02, 0.015))
    verdict = run(model, pad_grasps(model, gap=[0.09], squeeze=0.0), GRASPQP.with_force(0.01))
    acceleration = 0.01 / GRASPQP.object_mass
    # 0.5 s under force, 0.25 s of coasting, 0.5 s of braking
    way = 0.5 * acceleration * 0.5**2 + acceleration * 0.5 * 0.25 + 0.5 * acceleration * 0.5**2
    np.testing.assert_allclose(verdict.displacement, way, rtol=0.01)
    assert verdict.rotation.max() < 1.0e-6
    assert verdict.success_any.all()  # it drifts by 2 cm only


def test_grasp_without_contact_drops_the_object(box: ObjectModel) -> None:
    verdict = run(box, pad_grasps(box, gap=[0.05], squeeze=0.0), GRASPQP)
    assert not verdict.success_any[0]
    assert verdict.contact_count[0] == 0
    assert verdict.reason[0] == FailureReason.NO_CONTACT


def test_object_knocked_away_is_not_called_untouched(box: ObjectModel) -> None:
    # One plate starts 6 mm inside the box and throws it out; the other is far.
    grasps = pad_grasps(box, gap=[HALF[0]], squeeze=0.0)
    joints = np.array([[HALF[0] - 0.002, 0.06], [HALF[0] - 0.006, 0.06]])
    both = dataclasses.replace(
        grasps.select(np.zeros(2, dtype=np.int64)), joint_position=joints, squeeze_joint_position=joints
    )
    verdict = run(box, both, GRASPQP.with_force(0.0))
    assert (verdict.contact_count == 0).all()
    np.testing.assert_array_equal(verdict.reason, [FailureReason.PUSHED_AWAY, FailureReason.PENETRATION])


def test_torques_stay_inside_the_effort_limits(box: ObjectModel) -> None:
    deep = run(box, pad_grasps(box, gap=[HALF[0]], squeeze=DEEP), GRASPQP)
    assert deep.effort_ratio[0] == pytest.approx(1.0, abs=1.0e-9)
    share = 0.25
    slight = run(
        box, pad_grasps(box, gap=[HALF[0]], squeeze=share * EFFORT / STIFFNESS), GRASPQP.with_force(0.0)
    )
    assert slight.effort_ratio[0] == pytest.approx(share, rel=1e-3)


def allegro_grasps(model: ObjectModel, count: int) -> Any:
    hand = load_hand("allegro")
    random = np.random.default_rng(3)
    quaternion = random.normal(size=(count, 4))
    quaternion /= np.linalg.norm(quaternion, axis=1, keepdims=True)
    joints = random.uniform(hand.dof_lower, hand.dof_upper, (count, hand.dof_count))
    return grasps_of(
        hand,
        model,
        root_position=random.uniform(-0.06, 0.06, (count, 3)),
        root_quaternion=quaternion,
        joint_position=joints,
        squeeze_joint_position=joints + 0.01,
    )


def columns(verdict: Verdict) -> dict[str, np.ndarray]:
    return {entry.name: getattr(verdict, entry.name) for entry in dataclasses.fields(verdict)}


def test_verdict_depends_on_neither_workers_nor_batch_nor_time(box: ObjectModel) -> None:
    hand, grasps = load_hand("allegro"), allegro_grasps(box, 7)
    reference = columns(run(box, grasps, GRASPQP, hand=hand))
    for workers in (1, 2, 3):
        again = columns(run(box, grasps, GRASPQP, hand=hand, workers=workers))
        for name, value in reference.items():
            np.testing.assert_array_equal(again[name], value, err_msg=f"{name}, {workers} workers")


def test_invalid_grasps_are_named_and_leave_the_others_alone(box: ObjectModel) -> None:
    grasps = pad_grasps(box, gap=[HALF[0]] * 3, squeeze=DEEP)
    position = grasps.root_position.copy()
    position[1, 0] = np.nan
    broken = dataclasses.replace(
        grasps, root_position=position, status=np.array([0, GraspStatus.NONFINITE_ENERGY, 0])
    )
    verdict, whole = run(box, broken, GRASPQP.with_force(1.0)), run(box, grasps, GRASPQP.with_force(1.0))
    assert verdict.reason[1] == FailureReason.INVALID
    assert not verdict.success_any[1]
    np.testing.assert_array_equal(verdict.displacement[[0, 2]], whole.displacement[[0, 2]])


def test_blow_up_is_a_failure_of_its_own(box: ObjectModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "FASTEST", 1.0)  # m/s
    verdict = run(box, pad_grasps(box, gap=[0.05], squeeze=0.0), GRASPQP)
    assert verdict.reason[0] == FailureReason.BLOW_UP
    assert not verdict.success_any[0]


@pytest.mark.parametrize("name", ["graspqp", "dexgraspbench"])
def test_simulation_displacement_counts_from_the_closed_hand_and_without_a_push(
    box: ObjectModel, name: str
) -> None:
    """An object that is held stays, and so does one that the hand does not reach, however hard the trials push."""
    hand, protocol = pad_hand(), PROTOCOLS[name]
    grasps = pad_grasps(box, gap=[HALF[0], 0.06], squeeze=0.3 * DEEP)
    scene = build_scene(hand, box, convex_pieces(box), protocol)
    targets = hand_targets(hand, grasps, stiffness=scene.drives.stiffness)
    engine = mujoco_engine.MujocoEngine(workers=1)
    way = simulation_displacement(engine, scene, targets)
    assert way.shape == (2,)
    assert way[0] < 2.0e-4  # held
    assert way[1] == pytest.approx(0.0, abs=1.0e-9)  # not touched, and no gravity
    rest = protocol.at_rest(0.5)
    assert rest.push_force == 0.0
    assert trial.settle_step_count(rest) == round((rest.closed_time + 0.5) / rest.time_step)


def test_settle_displacement_is_the_way_since_the_hand_has_closed(box: ObjectModel) -> None:
    protocol = PROTOCOLS["dexgraspbench"].at_rest(1.0)
    closed, count = 200, trial.settle_step_count(protocol)  # 0.8 s at 4 ms
    center = np.array([0.1, 0.0, 0.0])
    position = np.tile(center, (3, count, 1))
    position[:, :closed, 2] += np.linspace(0.0, 0.02, closed)  # while closing
    position[:, closed:, 2] += 0.02
    position[1, closed:, 0] += np.linspace(0.0, 0.004, count - closed)  # in the closed hand
    quaternion = np.tile([0.0, 0.0, 0.0, 1.0], (3, count, 1))
    stable = np.array([True, True, False])
    settle = trial.Recording(position, quaternion, np.zeros(3), stable)
    zero = np.zeros(3)
    contact = StartContact(zero, zero, np.zeros(3, dtype=np.int32))

    def displacement(of: Protocol, motion: trial.Recording) -> Any:
        return trial.trial_verdict(
            of, center, settle=motion, pushed=motion, start=contact, settled=contact
        ).settle_displacement

    np.testing.assert_allclose(displacement(protocol, settle), [0.0, 0.004, np.nan], atol=1e-12)
    # A hand that starts closed: since the reset.
    started = dataclasses.replace(protocol, closing_time=0.0)
    np.testing.assert_allclose(displacement(started, settle)[:2], [0.02, np.hypot(0.02, 0.004)], atol=1e-12)
    pushed_at_once = dataclasses.replace(
        settle, position=position[:, :closed], quaternion=quaternion[:, :closed]
    )
    assert np.isnan(displacement(PROTOCOLS["dexgraspbench"], pushed_at_once)).all()


def test_rollout_that_diverges_counts_as_blow_up_and_says_nothing_else(
    box: ObjectModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # where MuJoCo would write its log
    warn: list[str] = []
    mujoco.set_mju_user_warning(warn.append)
    # Plates driven together with a force that no contact can integrate.
    protocol = dataclasses.replace(GRASPQP, drive=dataclasses.replace(GRASPQP.drive, effort=1.0e12))
    grasps = pad_grasps(box, gap=[HALF[0]] * 4, squeeze=1.0e9)
    try:
        verdict = run(box, grasps, protocol, workers=2)
        assert mujoco.get_mju_user_warning() == warn.append  # a user's own handler is put back
    finally:
        mujoco.set_mju_user_warning(None)
    assert (verdict.reason == FailureReason.BLOW_UP).all()
    assert warn == []
    assert capfd.readouterr() == ("", "")
    assert not (tmp_path / "MUJOCO_LOG.TXT").exists()


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
@pytest.mark.parametrize("hand_name", hand_names())
def test_time_step_resolves_every_drive(name: str, hand_name: str) -> None:
    # Semi-implicit Euler of an undamped oscillator is stable up to a step of 2 / omega; half of that keeps its energy
    # near that of the exact motion. Damping is implicit: a joint without inertia creeps by stiffness / damping x step of the
    # way to its target.
    drives, step = joint_drives(load_hand(hand_name), PROTOCOLS[name]), PROTOCOLS[name].time_step
    slow = drives.stiffness * step**2 <= drives.armature * (1.0 + 1e-9)
    assert (slow | (drives.stiffness * step <= 0.5 * drives.damping)).all()


def test_follower_joints_are_as_heavy_as_their_drive(box: ObjectModel) -> None:
    hand, protocol = load_hand("robotiq_2f140"), PROTOCOLS["graspqp"]
    scene = build_scene(hand, box, convex_pieces(box), protocol)
    names = [
        f"joint_{link}" for link in range(1, hand.link_count) if hand.joint_type[link] != JointType.FIXED
    ]
    armature = [float(scene.model.dof_armature[scene.model.joint(name).dofadr[0]]) for name in names]
    np.testing.assert_allclose(armature, joint_drives(hand, protocol).armature[0])


def test_softer_drive_keeps_the_damping_ratio() -> None:
    hand = load_hand("allegro")
    soft = dataclasses.replace(PROTOCOLS["dexgraspbench"], hand_drives={}, drive=Drive(stiffness=5.0))
    drives = joint_drives(hand, soft)
    own = hand.dof_damping / (2.0 * np.sqrt(hand.dof_stiffness))
    np.testing.assert_allclose(drives.damping / (2.0 * np.sqrt(drives.stiffness)), own)


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
@pytest.mark.parametrize("hand_name", ["allegro", "robotiq_2f140"])
def test_scene_starts_where_our_kinematics_put_the_hand(box: ObjectModel, name: str, hand_name: str) -> None:
    hand, protocol = load_hand(hand_name), PROTOCOLS[name]
    random = np.random.default_rng(0)
    quaternion = random.normal(size=(2, 4))
    quaternion /= np.linalg.norm(quaternion, axis=1, keepdims=True)
    grasps = grasps_of(
        hand,
        box,
        root_position=random.uniform(0.5, 1.0, (2, 3)),
        root_quaternion=quaternion,
        joint_position=random.uniform(hand.dof_lower, hand.dof_upper, (2, hand.dof_count)),
    )
    scene = build_scene(hand, box, convex_pieces(box), protocol)
    targets = hand_targets(hand, grasps, stiffness=scene.drives.stiffness)
    data = mujoco.MjData(scene.model)
    mocap = mocap_targets(protocol, targets, np.array([0.0]))[:, 0]
    positions = scene_positions(scene, trial.start_joints(protocol, targets), mocap)
    bodies = [scene.model.body("hand_root").id]
    bodies += [scene.model.body(f"link_{link}").id for link in range(1, hand.link_count)]
    for i in range(2):
        data.qpos[:] = positions[i]
        data.mocap_pos[0], data.mocap_quat[0] = mocap[i, :3], mocap[i, 3:]
        mujoco.mj_fwdPosition(scene.model, data)
        position, turned = hand.forward_kinematics(
            targets.grasp_position[i], targets.grasp_quaternion[i], targets.grasp_joints[i]
        )
        np.testing.assert_allclose(data.xpos[bodies], position, atol=1.0e-6)
        alignment = np.abs(np.sum(np.roll(data.xquat[bodies], -1, axis=1) * turned, axis=1))
        np.testing.assert_allclose(alignment, 1.0, atol=1.0e-9)
    equality = np.abs(data.efc_pos[data.efc_type == mujoco.mjtConstraint.mjCNSTR_EQUALITY])
    assert equality.max(initial=0.0) < 1.0e-6


def test_scene_takes_mass_and_friction_from_the_protocol(box: ObjectModel) -> None:
    for protocol in PROTOCOLS.values():
        model = build_scene(pad_hand(), box, convex_pieces(box), protocol).model
        body = model.body("object").id
        assert model.body_mass[body] == pytest.approx(protocol.object_mass)
        side = 2.0 * HALF[0]
        np.testing.assert_allclose(
            model.body_inertia[body], protocol.object_mass * side**2 / 6.0, rtol=1.0e-3
        )
        np.testing.assert_array_equal(model.geom_friction[:, 0], protocol.friction)
        np.testing.assert_array_equal(model.geom_condim, protocol.contact_dimension)
        assert model.opt.timestep == protocol.time_step


def test_dexgraspbench_closes_on_a_free_object_and_holds_it(box: ObjectModel) -> None:
    hand, grasps = closing_pads(box, HALF[0])
    verdict = run(box, grasps, PROTOCOLS["dexgraspbench"], hand=hand)
    assert verdict.trial_success.shape == (1, 6)
    # Along x two drives of 5 N/m give way to 1 N by 10 cm; friction holds 2 * 0.6 * 3 N across.
    np.testing.assert_array_equal(verdict.trial_success[0], [False, False, True, True, True, True])
    assert verdict.penetration[0] == 0.0


def test_deep_pregrasp_fails_untested_in_dexgraspbench(box: ObjectModel) -> None:
    verdict = run(box, pad_grasps(box, gap=[HALF[0] - 0.012], squeeze=0.0), PROTOCOLS["dexgraspbench"])
    assert verdict.reason[0] == FailureReason.PENETRATION
    assert verdict.penetration[0] == pytest.approx(0.012, rel=0.02)


def test_joints_at_their_limit_close_gaps_and_press_no_harder(box: ObjectModel) -> None:
    """Pads 3 mm off the box, whose drives reach 2 mm at their limit: without aiming further they would not touch."""
    gap = [HALF[0] + 0.003]
    at_limit = run(box, pad_grasps(box, gap=gap, squeeze=EFFORT / STIFFNESS), GRASPQP.with_force(1.0))
    assert at_limit.trial_success.all()
    assert at_limit.effort_ratio[0] == pytest.approx(1.0, abs=1.0e-9)
    below = run(box, pad_grasps(box, gap=gap, squeeze=0.9 * EFFORT / STIFFNESS), GRASPQP.with_force(1.0))
    assert not below.trial_success[0, 1:].any()  # along x the open pads are in the way


def test_protocols_say_their_conditions_and_refuse_what_they_fix() -> None:
    assert "0.2 kg, friction 1, holds within 3 cm" in GRASPQP.sentence()
    with pytest.raises(ValueError, match="accelerates the object by 10 m/s"):
        PROTOCOLS["dexgraspbench"].with_force(5.0)
    with pytest.raises(ValueError, match="negative"):
        GRASPQP.with_force(-1.0)
    assert GRASPQP.trial_names == ("x", "y", "z")
    assert PROTOCOLS["dexgraspbench"].trial_names == ("+x", "-x", "+y", "-y", "+z", "-z")
    assert PROTOCOLS["bodex-paper"].push_force == pytest.approx(0.294)
    with pytest.raises(dataclasses.FrozenInstanceError):
        GRASPQP.force = 1.0  # type: ignore[misc]
