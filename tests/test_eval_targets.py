"""Targets of the hand under each squeeze rule, in closed form."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
from eval_factory import grasps_of, offset_box, pad_hand

from warpgrasp.eval.protocol.squeeze_rules import SqueezeRule, hand_targets


def test_squeeze_rules(tmp_path: Path) -> None:
    hand, box = pad_hand(), offset_box(tmp_path, (0.02, 0.02, 0.02))
    joints = np.array([[0.02, 0.03]])
    turned = np.array([[0.0, 0.0, math.sin(0.1), math.cos(0.1)]])  # 0.2 rad about z
    grasps = grasps_of(
        hand,
        box,
        root_position=np.array([[0.1, 0.2, 0.3]]),
        root_quaternion=turned,
        joint_position=joints,
        squeeze_joint_position=joints - [[0.001, 0.0005]],
        pregrasp_joint_position=joints + 0.01,
        pregrasp_root_position=np.array([[0.1, 0.2, 0.4]]),
        pregrasp_root_quaternion=np.array([[0.0, 0.0, 0.0, 1.0]]),
    )
    soft = 0.1 * hand.dof_stiffness

    def squeeze(rule: SqueezeRule, **options: Any) -> Any:
        return hand_targets(hand, grasps, stiffness=soft, rule=rule, **options)

    close = {"rtol": 0.0, "atol": 1.0e-6}
    # The same torque through a tenth of the stiffness: ten times as deep.
    np.testing.assert_allclose(squeeze(SqueezeRule.TORQUE).squeeze_joints, joints - [[0.01, 0.005]], **close)
    # Where the file tells torques, they count and not its positions.
    told = dataclasses.replace(grasps, squeeze_torque=np.array([[-1.0, 0.5]]))
    np.testing.assert_allclose(
        hand_targets(hand, told, stiffness=soft).squeeze_joints, joints + [[-1.0, 0.5]] / soft, **close
    )
    # Joints at their limit, and only those, aim 1 cm further; the drives' bounds keep their torque.
    further = np.array([[0.01, 0.0]])
    full = squeeze(SqueezeRule.TORQUE, squeeze_effort=1.0).squeeze_joints + further
    np.testing.assert_allclose(soft * (joints - full) / hand.dof_effort, [[1.0, 0.5]], rtol=1.0e-4)
    strong = squeeze(SqueezeRule.TORQUE, squeeze_effort=1.5).squeeze_joints + further
    np.testing.assert_allclose(soft * (joints - strong) / hand.dof_effort, [[1.0, 0.75]], rtol=1.0e-4)
    np.testing.assert_allclose(
        squeeze(SqueezeRule.POSITION).squeeze_joints, joints - [[0.001, 0.0005]], **close
    )
    beyond = squeeze(SqueezeRule.EXTRAPOLATE)
    np.testing.assert_allclose(beyond.squeeze_joints, joints - 0.01, **close)
    np.testing.assert_allclose(beyond.squeeze_position, [[0.1, 0.2, 0.2]], **close)
    np.testing.assert_allclose(beyond.squeeze_quaternion, [[0.0, 0.0, math.sin(0.2), math.cos(0.2)]], **close)
    np.testing.assert_allclose(
        squeeze(SqueezeRule.EXTRAPOLATE_JOINTS).squeeze_position, [[0.1, 0.2, 0.3]], **close
    )
