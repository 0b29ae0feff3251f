"""What the synthesis says of an object without a usable grasp."""

from __future__ import annotations

import pytest

from warpgrasp.base.status import GraspStatus
from warpgrasp.generate.diagnosis import diagnosis
from warpgrasp.synthesis.methods import method_config

CONFIG = method_config()
SHORT = method_config(step_count=20)


def test_an_object_with_a_usable_grasp_needs_no_diagnosis() -> None:
    assert diagnosis("mug", {"OK": 1, "PREGRASP_NOT_CLEAR": 7}, CONFIG) == ""
    assert diagnosis("mug", {}, CONFIG) == ""


def test_the_stage_at_which_most_grasps_were_lost_decides_the_remedy() -> None:
    counts = {"PREGRASP_NOT_CLEAR": 2, "HAND_INSIDE_OBJECT": 5}
    sentence = diagnosis("mug", counts, CONFIG)
    assert sentence == (
        "mug: no grasp is usable: 5 of 7 end with the hand inside the object, "
        "2 of 7 have a pregrasp that is not clear of the object; "
        "pass more --steps, or --target-size."
    )
    assert diagnosis("mug", counts, SHORT).endswith("20 steps are few, pass --steps 1500.")


def test_a_method_without_the_last_stage_is_told_of_it_and_of_its_own_steps() -> None:
    counts = {"NOT_TOUCHING": 5, "NOT_CLOSED": 3}
    assert diagnosis("mug", counts, method_config("dexgraspnet", step_count=1500)).endswith(
        "1500 steps are few, pass --steps 6000."
    )
    assert diagnosis("mug", counts, method_config("dexgraspnet")).endswith(
        "dexgraspnet does without our last stage: pass --closing.steps 16 to bring contacts onto the object."
    )
    assert "--closing" not in diagnosis("mug", {"HAND_INSIDE_OBJECT": 1}, method_config("dexgraspnet"))
    assert "--closing" not in diagnosis("mug", counts, method_config("graspqp"))


def test_a_size_out_of_reach_comes_first() -> None:
    sentence = diagnosis("box", {"HAND_INSIDE_OBJECT": 3}, SHORT, size="is 8 mm large. Pass --target-size.")
    assert sentence.endswith("Its size: it is 8 mm large. Pass --target-size.")


@pytest.mark.parametrize("status", [status for status in GraspStatus if status != GraspStatus.OK])
def test_every_status_has_a_stage_and_a_remedy(status: GraspStatus) -> None:
    sentence = diagnosis("mug", {status.name: 2}, CONFIG)
    assert sentence.startswith("mug: no grasp is usable: 2 of 2 ")
    assert "see the statuses above" not in sentence
