"""Why few grasps hold: each cause is named by the evidence for it."""

from __future__ import annotations

import dataclasses

import pytest

from warpgrasp.base.status import GraspStatus
from warpgrasp.eval.protocol.verdict import FailureReason
from warpgrasp.evaluate.few_hold import why_few_hold
from warpgrasp.evaluate.hand_trial import ShapeRow, TrialRow
from warpgrasp.hands import load_hand

BALL = ShapeRow(
    shape="ball",
    extent=(0.06, 0.06, 0.06),
    grasps=10,
    succ1=(0.2, 0.1),
    succ3=(0.1, 0.0),
    lost={FailureReason.SLIP: 6, FailureReason.PENETRATION: 3},
    status={GraspStatus.OK: 6, GraspStatus.NOT_CLOSED: 4},
    usable_held=1,
    stronger_held=2,
)


def why(*shapes: ShapeRow, hand: str = "robotiq_2f140") -> str:
    return why_few_hold(load_hand(hand), TrialRow("power", (2.0, 5.0), shapes))


def test_rates_of_all_shapes_are_weighed_by_their_grasps() -> None:
    few = dataclasses.replace(BALL, shape="cube", grasps=5, succ1=(0.8, 0.4))
    row = TrialRow("power", (2.0, 5.0), (BALL, few))
    assert row.grasps == 15
    assert row.succ1 == pytest.approx(((0.2 * 10 + 0.8 * 5) / 15, (0.1 * 10 + 0.4 * 5) / 15))
    assert row.usable_succ1 == pytest.approx(2 / 12)
    assert list(row.lost) == [FailureReason.SLIP, FailureReason.PENETRATION]


def test_enough_needs_no_reason() -> None:
    assert why(dataclasses.replace(BALL, succ1=(0.6, 0.1))) == ""


def test_weak_motors_are_shown_by_stronger_ones() -> None:
    sentence = why(dataclasses.replace(BALL, stronger_held=9))
    assert sentence.startswith(
        "its motors are too weak: with 4 times the effort of every joint 90 % of the same grasps hold"
    )


def test_objects_wider_than_the_hand_opens_are_named() -> None:
    """The 2F-140's fingertips face each other up to 135 mm apart."""
    wide = dataclasses.replace(
        BALL, shape="bucket", extent=(0.2, 0.2, 0.2), succ1=(0.0, 0.0), lost={FailureReason.SLIP: 10}
    )
    sentence = why(wide, dataclasses.replace(BALL, succ1=(0.9, 0.9), stronger_held=2))
    assert sentence.startswith("bucket cannot be taken between fingertips")
    assert "of the grasps of the other shapes 90 % hold" in sentence


def test_a_synthesis_that_closes_few_is_named() -> None:
    sentence = why(
        dataclasses.replace(BALL, status={GraspStatus.OK: 2, GraspStatus.NOT_CLOSED: 8}, usable_held=2)
    )
    assert sentence.startswith(
        "only 2 of 10 grasps have the status OK, and of those 100 % hold; 8 touch the object but are not"
    )


def test_what_remains_is_what_the_simulation_saw() -> None:
    sentence = why(BALL)
    assert sentence.startswith("6 of 10 let it slip")
    assert "already in the synthesis 4 touch the object but are not force-closed" in sentence
