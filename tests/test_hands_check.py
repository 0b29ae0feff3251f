"""The check after converting: shipped hands pass, and each kind of mistake is named."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from warpgrasp.hands import HandModel, hand_names, load_hand
from warpgrasp.hands.check import check_hand
from warpgrasp.hands.check.__main__ import main
from warpgrasp.hands.check.asset import grasp_range


@pytest.mark.parametrize("name", hand_names())
def test_shipped_hands_pass(name: str) -> None:
    bad = [(row.topic, row.detail) for row in check_hand(load_hand(name)) if not row.ok]
    assert not bad


def findings(hand: HandModel, **changes: object) -> dict[str, str]:
    return {row.topic: row.detail for row in check_hand(dataclasses.replace(hand, **changes)) if not row.ok}


def test_the_palm_is_no_finger() -> None:
    rows = {row.topic: row.detail for row in check_hand(load_hand("allegro"))}
    assert rows["patches"].endswith(" on 4 fingers and palm")
    rows = {row.topic: row.detail for row in check_hand(load_hand("robotiq_2f140"))}
    assert rows["patches"].endswith(" on 2 fingers")


def test_mistakes_are_named() -> None:
    hand = load_hand("allegro")
    count = hand.dof_count
    upper = hand.dof_upper.copy()
    upper[3] = hand.dof_lower[3]
    assert hand.joint_names[3] in findings(hand, dof_upper=upper)["joints"]
    assert "have no stiffness" in findings(hand, dof_stiffness=np.zeros(count))["drives"]
    assert "no hand of" in findings(hand, dof_effort=np.full(count, 100.0))["drives"]
    assert "in grams" in findings(hand, link_mass=1000.0 * hand.link_mass)["masses"]
    flat = hand.link_inertia.copy()
    flat[2] = np.diag([1e-6, 1e-6, 1e-3])
    assert hand.link_names[2] in findings(hand, link_inertia=flat)["masses"]
    assert "stand out" in findings(hand, sphere_radius=0.2 * hand.sphere_radius)["spheres"]
    inside_out = tuple(dataclasses.replace(p, faces=p.faces[:, ::-1]) for p in hand.patches)
    assert "is buried inside its own link" in findings(hand, patches=inside_out)["patches"]
    assert "overlap by" in findings(hand, sphere_radius=3.0 * hand.sphere_radius)["opening pose"]


def test_range_of_a_parallel_gripper() -> None:
    """The 2F-140 opens 140 mm by its data sheet, less the pads of its model; closed, the pads meet."""
    least, most = grasp_range(load_hand("robotiq_2f140"))
    assert least < 5e-3
    assert most == pytest.approx(0.135, abs=0.01)


def test_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["barrett", "--no-trials"]) == 0
    assert "fingertips press with" in capsys.readouterr().out
    assert main(["nobody", "--no-trials"]) == 2


@pytest.mark.slow
def test_trials(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    assert main(["robotiq_2f140", "--grasps", "1", "--candidates", "1", "--steps", "5"]) == 1
    text = capsys.readouterr().out
    assert "power trials" in text
    assert "5 grasps of 5 steps" in " ".join(text.split())
