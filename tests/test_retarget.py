"""Targets made anew for finished grasps are those of the synthesis, and other options change only the targets."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from cases import example_objects

from warpgrasp.hands import load_hand
from warpgrasp.synthesis.retarget import retarget
from warpgrasp.synthesis.synthesize import SynthesisConfig, synthesize
from warpgrasp.synthesis.target_config import TargetConfig

_TARGETS = (
    "pregrasp_root_position",
    "pregrasp_root_quaternion",
    "pregrasp_joint_position",
    "squeeze_joint_position",
    "squeeze_torque",
    "contact_force",
    "status",
)
_KEPT = ("root_position", "root_quaternion", "joint_position", "contact_index", "energy", "energy_terms")


def test_retargeted_grasps_are_those_of_the_synthesis() -> None:
    hand, model = load_hand("allegro"), example_objects(1)[0]
    config = SynthesisConfig(grasp_count=4, contact_count=6, step_count=200, device="cpu")
    (grasps,) = synthesize(hand, [model], config)
    forgotten = dataclasses.replace(
        grasps,
        squeeze_torque=np.full_like(grasps.squeeze_torque, np.nan),
        contact_force=0.0 * grasps.contact_force,
    )
    again = retarget(hand, model, forgotten, device="cpu")
    for name in (*_TARGETS, *_KEPT):
        np.testing.assert_allclose(getattr(again, name), getattr(grasps, name), atol=2e-4, err_msg=name)
    soft = retarget(hand, model, grasps, TargetConfig(squeeze_effort=0.25), device="cpu")
    np.testing.assert_allclose(soft.squeeze_torque, 0.25 * again.squeeze_torque, atol=1e-5)
    for name in _KEPT:
        np.testing.assert_array_equal(getattr(soft, name), getattr(grasps, name), err_msg=name)


def test_grasps_of_another_hand_are_refused() -> None:
    hand, model = load_hand("allegro"), example_objects(1)[0]
    config = SynthesisConfig(grasp_count=1, contact_count=4, step_count=2, device="cpu")
    (grasps,) = synthesize(hand, [model], config)
    with pytest.raises(ValueError, match=r"the grasps have the joints joint_0\.0.*hand 'leap' has"):
        retarget(load_hand("leap"), model, grasps)
    wrong = dataclasses.replace(grasps, contact_index=np.full_like(grasps.contact_index, 10_000))
    with pytest.raises(ValueError, match=r"contact point 10000 of hand 'allegro', which has"):
        retarget(hand, model, wrong)
