"""What the MuJoCo engine leaves out: the closing that all trials share, and what comes after a grasp's first failure."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eval_factory import EFFORT, STIFFNESS, closing_pads, offset_box, pad_grasps, pad_hand

from warpgrasp.eval.engines.mujoco import MujocoEngine
from warpgrasp.eval.engines.mujoco_scene import Scene, build_scene
from warpgrasp.eval.engines.mujoco_state import mocap_targets, scene_positions
from warpgrasp.eval.protocol import trial as trials
from warpgrasp.eval.protocol.protocols import PROTOCOLS, Protocol
from warpgrasp.eval.protocol.squeeze_rules import HandTargets, hand_targets
from warpgrasp.eval.protocol.verdict import FailureReason
from warpgrasp.objects.convex_pieces import convex_pieces

mujoco = pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")

HALF = (0.02, 0.02, 0.02)


def scene_of(folder: Path, name: str) -> tuple[Scene, HandTargets]:
    """Plates that hold a box, plates too far apart, plates that press too weakly, and plates that hold it again."""
    box = offset_box(folder, HALF)
    protocol: Protocol = PROTOCOLS[name]
    if name == "graspqp":
        hand, grasps = pad_hand(), pad_grasps(box, gap=[HALF[0]] * 4, squeeze=0.5 * EFFORT / STIFFNESS)
        protocol = protocol.with_force(1.5)
    else:
        protocol = dataclasses.replace(protocol, acceleration=2.0)
        hand, one = closing_pads(box, HALF[0])
        grasps = one.select(np.zeros(4, dtype=np.int64))
    scene = build_scene(hand, box, convex_pieces(box), protocol)
    targets = hand_targets(hand, grasps, stiffness=scene.drives.stiffness)
    for joints in (targets.pregrasp_joints, targets.grasp_joints, targets.squeeze_joints):
        joints[1] = 0.08
    targets.squeeze_joints[2] = targets.grasp_joints[2] - 1.0e-4
    return scene, targets


def way_of_whole_trials(scene: Scene, targets: HandTargets) -> np.ndarray:
    """Positions of the object over every trial, each stepped from a fresh reset without a break, shape [T, S, 3]."""
    model, protocol = scene.model, scene.protocol
    data = mujoco.MjData(model)
    runs = []
    for trial in protocol.trials:
        count = trials.step_count(protocol, trial)
        time = trials.step_times(protocol, 0, count)
        joints = trials.joint_targets(protocol, targets, time)[0]
        mocap = mocap_targets(protocol, targets, np.append(time, trials.RESET_TIME))[0]
        force = trials.push_forces(protocol, trial, time)
        mujoco.mj_resetData(model, data)
        data.qpos[:] = scene_positions(scene, trials.start_joints(protocol, targets), mocap[-1:])[0]
        path = []
        for step in range(count):
            data.ctrl[:] = scene.servos.controls(joints[step])
            data.qfrc_applied[scene.object_dof : scene.object_dof + 3] = force[step]
            data.mocap_pos[0], data.mocap_quat[0] = mocap[step, :3], mocap[step, 3:]
            mujoco.mj_step(model, data)
            path.append(data.qpos[scene.object_qpos : scene.object_qpos + 3].copy())
        runs.append(path)
    return np.array(runs)


@pytest.mark.parametrize("name", ["graspqp", "dexgraspbench"])
def test_a_trial_that_goes_on_from_the_closed_hand_is_the_trial_from_the_reset(
    tmp_path: Path, name: str
) -> None:
    """To the last bit: the state at the branch holds the solver's warm start."""
    scene, targets = scene_of(tmp_path, name)
    one = targets.select(np.zeros(1, dtype=np.int64))
    way = np.linalg.norm(way_of_whole_trials(scene, one) - scene.center_of_mass, axis=2)
    if scene.protocol.check_period is not None:
        way = way[:, np.arange(way.shape[1] - 1, trials.settle_step_count(scene.protocol), -50)]
    verdict = MujocoEngine(workers=1).evaluate(scene, one)
    assert verdict.success_all[0]
    np.testing.assert_array_equal(verdict.displacement[0], way.max(axis=1))


@pytest.mark.parametrize("name", ["graspqp", "dexgraspbench"])
def test_a_stop_at_the_first_failure_changes_no_verdict(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, targets = scene_of(tmp_path, name)
    steps = {"whole": 0, "stopped": 0}
    engine = MujocoEngine(workers=2)
    roll = mujoco.rollout.Rollout.rollout
    kind = "whole"

    def counted(self: Any, model: Any, data: Any, state: Any, control: Any, **options: Any) -> Any:
        steps[kind] += control.shape[1]
        return roll(self, model, data, state, control, **options)

    monkeypatch.setattr(mujoco.rollout.Rollout, "rollout", counted)
    whole = engine.evaluate(scene, targets)
    kind = "stopped"
    stopped = engine.evaluate(scene, targets, until_failure=True)
    assert whole.success_all.tolist() == [True, False, False, True]
    assert whole.reason[1] == FailureReason.NO_CONTACT
    for column in ("success_all", "reason", "contact_count", "penetration", "settle_displacement"):
        np.testing.assert_array_equal(getattr(stopped, column), getattr(whole, column), err_msg=column)
    held = whole.success_all
    for column in ("trial_success", "displacement", "rotation", "effort_ratio"):
        np.testing.assert_array_equal(
            getattr(stopped, column)[held], getattr(whole, column)[held], err_msg=column
        )
    # Of the failed ones a trial was not simulated to its end, and the others not at all.
    assert np.isnan(stopped.displacement[~held]).any(axis=1).all()
    per_grasp = steps["whole"] / 4
    assert steps["stopped"] < 2.8 * per_grasp


def test_an_object_that_has_gone_before_the_push_is_not_pushed_where_every_step_counts(
    tmp_path: Path,
) -> None:
    """Plates whose targets leave the object to fly: ``graspqp`` looks at the object from the reset on."""
    scene, targets = scene_of(tmp_path, "graspqp")
    scene = dataclasses.replace(scene, protocol=dataclasses.replace(scene.protocol, position_limit=1.0e-5))
    targets.squeeze_joints[:, 0] += 0.004  # one plate pushes, the other gives way
    whole = MujocoEngine(workers=1).evaluate(scene, targets)
    stopped = MujocoEngine(workers=1).evaluate(scene, targets, until_failure=True)
    assert not stopped.success_all.any()
    assert np.isnan(stopped.displacement[0]).all()
    np.testing.assert_array_equal(stopped.reason, whole.reason)


def test_pieces_end_where_the_protocol_looks() -> None:
    bench = PROTOCOLS["dexgraspbench"]
    assert trials.look_ends(bench, 500, else_every=0.1) == list(range(50, 501, 50))
    assert trials.look_ends(bench, 510, else_every=0.1) == list(range(60, 511, 50))
    assert trials.look_ends(PROTOCOLS["graspqp"], 250, else_every=0.5) == [100, 200, 250]
