"""What the synthesis says of an object without a usable grasp."""

from __future__ import annotations

import pytest

from warpgrasp.base.status import GraspStatus
from warpgrasp.generate.diagnosis import diagnosis


def test_an_object_with_a_usable_grasp_needs_no_diagnosis() -> None:
    assert diagnosis("mug", {"OK": 1, "PREGRASP_NOT_CLEAR": 7}, step_count=7000) == ""
    assert diagnosis("mug", {}, step_count=7000) == ""


def test_the_stage_at_which_most_grasps_were_lost_decides_the_remedy() -> None:
    counts = {"PREGRASP_NOT_CLEAR": 2, "HAND_INSIDE_OBJECT": 5}
    sentence = diagnosis("mug", counts, step_count=7000)
    assert sentence == (
        "mug: no grasp is usable: 5 of 7 end with the hand inside the object, 2 of 7 have a pregrasp that is blocked; "
        "pass more --steps, or --target-size."
    )
    assert diagnosis("mug", counts, step_count=20).endswith("20 steps are few, pass --steps 1500.")


def test_a_size_out_of_reach_comes_first() -> None:
    sentence = diagnosis(
        "box", {"HAND_INSIDE_OBJECT": 3}, step_count=20, size="is 8 mm large. Pass --target-size."
    )
    assert sentence.endswith("Its size: it is 8 mm large. Pass --target-size.")


@pytest.mark.parametrize("status", [status for status in GraspStatus if status != GraspStatus.OK])
def test_every_status_has_a_stage_and_a_remedy(status: GraspStatus) -> None:
    sentence = diagnosis("mug", {status.name: 2}, step_count=7000)
    assert sentence.startswith("mug: no grasp is usable: 2 of 2 ")
    assert "see the statuses above" not in sentence
