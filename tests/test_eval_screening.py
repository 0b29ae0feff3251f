"""Grasps that have failed before anything moves: told apart, left out of the simulation, and harmless to the others."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from eval_factory import closing_pads, offset_box

from warpgrasp.eval.engines.mujoco_scene import Scene, build_scene
from warpgrasp.eval.engines.mujoco_state import mocap_targets, scene_positions
from warpgrasp.eval.engines.registry import load_engine
from warpgrasp.eval.engines.screening import screen
from warpgrasp.eval.protocol.protocols import PROTOCOLS
from warpgrasp.eval.protocol.squeeze_rules import HandTargets, hand_targets
from warpgrasp.eval.protocol.verdict import FailureReason
from warpgrasp.hands import load_hand
from warpgrasp.objects import example_object_path, load_object
from warpgrasp.objects.convex_pieces import convex_pieces

mujoco = pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")

HALF = (0.02, 0.02, 0.02)


@pytest.fixture
def closing(tmp_path: Path) -> tuple[Scene, HandTargets]:
    """Plates that hold a box, 12 mm inside it, 12 mm inside on one side, not a number, and again holding it."""
    box = offset_box(tmp_path, HALF)
    hand, grasps = closing_pads(box, HALF[0])
    scene = build_scene(hand, box, convex_pieces(box), PROTOCOLS["dexgraspbench"])
    one = hand_targets(hand, grasps, stiffness=scene.drives.stiffness)
    targets = one.select(np.zeros(5, dtype=np.int64))
    targets.pregrasp_joints[1] = HALF[0] - 0.012
    targets.pregrasp_joints[2, 0] = HALF[0] - 0.012
    targets.squeeze_joints[3, 0] = np.nan
    return scene, targets


def test_starts_deeper_than_the_protocol_allows_are_not_simulated(
    closing: tuple[Scene, HandTargets],
) -> None:
    result = screen(*closing)
    np.testing.assert_array_equal(result.index, [0, 4])
    verdict = result.verdict
    np.testing.assert_array_equal(verdict.reason[1:3], int(FailureReason.PENETRATION))
    np.testing.assert_allclose(verdict.penetration[1:3], 0.012, atol=1.0e-4)
    assert verdict.reason[3] == FailureReason.INVALID
    assert not verdict.trial_success.any()


@pytest.mark.parametrize("name", ["mujoco", "newton"])
def test_grasps_left_out_change_nothing_for_the_others(closing: tuple[Scene, HandTargets], name: str) -> None:
    if name == "newton":
        pytest.importorskip("newton", reason="Newton is not installed (extra 'sim')")
    scene, targets = closing
    whole = load_engine(name, workers=1).evaluate(scene, targets)
    alone = load_engine(name, workers=1).evaluate(scene, targets.select(slice(0, 1)))
    np.testing.assert_array_equal(whole.trial_success[[0, 4]], np.repeat(alone.trial_success, 2, axis=0))
    np.testing.assert_array_equal(whole.displacement[[0, 4]], np.repeat(alone.displacement, 2, axis=0))
    assert alone.trial_success.any()
    assert np.isnan(whole.displacement[1:4]).all()
    assert whole.reason[3] == FailureReason.INVALID


def test_protocol_without_a_limit_simulates_deep_starts(closing: tuple[Scene, HandTargets]) -> None:
    scene, targets = closing
    free = dataclasses.replace(
        scene, protocol=dataclasses.replace(scene.protocol, start_penetration_limit=None)
    )
    np.testing.assert_array_equal(screen(free, targets).index, [0, 1, 2, 4])


def test_scene_has_room_for_the_contacts_of_a_hand_deep_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such contacts do not fit into the memory that MuJoCo takes by itself; it then ends the process."""
    hand, model = load_hand("robotiq_3f"), load_object(example_object_path("mug"))
    random, count = np.random.default_rng(0), 24
    joints = random.uniform(hand.dof_lower, hand.dof_upper, (count, hand.dof_count))
    position = model.center_of_mass + random.normal(0.0, 0.03, (count, 3))
    quaternion = random.normal(size=(count, 4))
    quaternion /= np.linalg.norm(quaternion, axis=1, keepdims=True)
    targets, protocol = HandTargets(*3 * (position, quaternion, joints)), PROTOCOLS["dexgraspbench"]
    scene = build_scene(hand, model, convex_pieces(model), protocol)
    mocap = mocap_targets(protocol, targets, np.zeros(1))[:, 0]
    data, used = mujoco.MjData(scene.model), []
    for state, root in zip(scene_positions(scene, joints, mocap), mocap, strict=True):
        mujoco.mj_resetData(scene.model, data)
        data.qpos[:], data.mocap_pos[0], data.mocap_quat[0] = state, root[:3], root[3:]
        mujoco.mj_forward(scene.model, data)
        used.append(int(data.maxuse_arena))
    monkeypatch.setattr("warpgrasp.eval.engines.mujoco_scene.ARENA_BYTES", -1)  # MuJoCo's own choice
    smaller = build_scene(hand, model, convex_pieces(model), protocol).model.narena
    assert smaller < max(used) < 0.5 * scene.model.narena
    deep = screen(scene, targets).verdict
    assert (deep.reason == FailureReason.PENETRATION).any()
