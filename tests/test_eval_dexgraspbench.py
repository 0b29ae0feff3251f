"""``dexgraspbench`` to the letter: what its program does to targets, contacts, drives and looks, in closed form."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from eval_factory import grasps_of, offset_box, pad_hand

from warpgrasp.eval.protocol.drives import joint_drives
from warpgrasp.eval.protocol.protocols import PROTOCOLS
from warpgrasp.eval.protocol.squeeze_rules import HandTargets, hand_targets
from warpgrasp.eval.protocol.trial import (
    RESET_TIME,
    Recording,
    joint_targets,
    root_targets,
    settle_step_count,
    step_count,
    step_times,
    trial_verdict,
)
from warpgrasp.eval.protocol.verdict import StartContact
from warpgrasp.hands import load_hand
from warpgrasp.objects.convex_pieces import convex_pieces

PROTOCOL = PROTOCOLS["dexgraspbench"]


def _targets(folder: Path) -> HandTargets:
    hand = pad_hand()
    grasps = grasps_of(
        hand,
        offset_box(folder, (0.02, 0.02, 0.02)),
        root_position=np.array([[0.0, 0.0, 0.1]]),
        root_quaternion=np.array([[0.0, 0.0, 0.0, 1.0]]),
        joint_position=np.array([[0.02, 0.02]]),
        pregrasp_root_position=np.array([[0.0, 0.0, 0.2]]),
        pregrasp_joint_position=np.array([[0.03, 0.03]]),
        squeeze_joint_position=np.array([[0.01, 0.015]]),
        squeeze_torque=np.zeros((1, 2)),
    )
    return dataclasses.replace(
        hand_targets(hand, grasps, stiffness=hand.dof_stiffness), squeeze_joints=np.array([[0.01, 0.015]])
    )


def test_targets_jump_ten_times_a_leg(tmp_path: Path) -> None:
    """``linspace(a, b, 11)[1:]``, each held for ten steps; before the first, the hand is at the pregrasp."""
    targets = _targets(tmp_path)
    time = step_times(PROTOCOL, 0, step_count(PROTOCOL, PROTOCOL.trials[0]))
    joints = joint_targets(PROTOCOL, targets, time)[0]
    way = [
        np.linspace(a, b, 11)[1:] for a, b in (([0.03, 0.03], [0.02, 0.02]), ([0.02, 0.02], [0.01, 0.015]))
    ]
    expected = np.repeat(np.concatenate(way), 10, axis=0)
    np.testing.assert_allclose(joints[:200], expected, atol=1e-7)
    np.testing.assert_allclose(joints[200:], np.tile([[0.01, 0.015]], (len(time) - 200, 1)), atol=1e-7)
    root = root_targets(PROTOCOL, targets, time)[0]
    np.testing.assert_allclose(root[:100, 2], np.repeat(np.linspace(0.2, 0.1, 11)[1:], 10), atol=1e-7)
    np.testing.assert_allclose(root[100:, 2], 0.1, atol=1e-7)
    before = np.array([RESET_TIME])
    np.testing.assert_allclose(joint_targets(PROTOCOL, targets, before)[0, 0], [0.03, 0.03], atol=1e-7)
    np.testing.assert_allclose(root_targets(PROTOCOL, targets, before)[0, 0, 2], 0.2, atol=1e-7)


@pytest.mark.parametrize(("step", "held"), [(49, False), (48, True), (50, True), (499, False), (498, True)])
def test_the_object_is_looked_at_every_fifth_of_a_second(step: int, held: bool) -> None:
    """After 50, 100, ..., 500 steps of the push; where it is in between, and while the hand closes, nobody asks."""
    steps = step_count(PROTOCOL, PROTOCOL.trials[0]) - settle_step_count(PROTOCOL)
    assert steps == 500

    def recording(count: int, runs: int) -> Recording:
        turn = np.tile([0.0, 0.0, 0.0, 1.0], (runs, count, 1))
        return Recording(np.zeros((runs, count, 3)), turn, np.zeros(runs), np.ones(runs, dtype=bool))

    settle, pushed = recording(200, 1), recording(steps, 6)
    settle.position[:, 100] = 0.2
    pushed.position[3, step] = 0.06
    start = StartContact(np.zeros(1), np.zeros(1), np.ones(1, dtype=np.int32))
    verdict = trial_verdict(PROTOCOL, np.zeros(3), settle=settle, pushed=pushed, start=start, settled=start)
    np.testing.assert_array_equal(verdict.trial_success[0], [True, True, True, held, True, True])


def test_contacts_mix_both_sides(tmp_path: Path) -> None:
    mujoco = pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    from warpgrasp.eval.engines.mujoco_scene import build_scene

    box = offset_box(tmp_path, (0.02, 0.02, 0.02))
    scene = build_scene(pad_hand(), box, convex_pieces(box), PROTOCOL)
    data = mujoco.MjData(scene.model)
    data.qpos[scene.joint_qpos] = 0.0195
    mujoco.mj_forward(scene.model, data)
    between = [c for c in data.contact if scene.hand_geom[c.geom1] != scene.hand_geom[c.geom2]]
    assert between
    for contact in between:
        np.testing.assert_allclose(contact.solref, [0.0125, 1.0])
        np.testing.assert_allclose(contact.solimp, [0.7, 0.97, 0.00055, 0.5, 2.0])
        np.testing.assert_allclose(contact.friction, [0.6, 0.6, 0.02, 0.0, 0.0], atol=1e-5)
        assert contact.dim == 4


def test_drives_are_those_of_its_hands() -> None:
    """Of the Menagerie models it uses: no rotor and no dry friction in Allegro, 3 Nm/rad in LEAP, 3 Nm in Shadow."""
    allegro = joint_drives(load_hand("allegro"), PROTOCOL)
    np.testing.assert_array_equal(allegro.armature, 0.0)
    np.testing.assert_array_equal(allegro.friction, 0.0)
    np.testing.assert_array_equal(allegro.damping, 0.1)
    np.testing.assert_array_equal(joint_drives(load_hand("leap"), PROTOCOL).stiffness, 3.0)
    shadow = joint_drives(load_hand("shadow_wristless"), PROTOCOL)
    np.testing.assert_array_equal(shadow.effort, 3.0)
    np.testing.assert_array_equal(shadow.stiffness, 5.0)
