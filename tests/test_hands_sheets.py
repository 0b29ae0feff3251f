"""The shipped hands against the vendors' data sheets they were built from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from warpgrasp.geometry.rotations import compose
from warpgrasp.hands import HandModel, hand_names, load_hand

SHEETS = Path(__file__).parents[2] / "shared" / "hands" / "specs"
SHEET_OF = {"shadow_wristless": "shadow"}
ALL_HANDS = pytest.mark.parametrize("name", hand_names())
pytestmark = pytest.mark.skipif(not SHEETS.is_dir(), reason=f"the data sheets are not at {SHEETS}")
FloatArray = NDArray[np.float64]

# Where the sheet's number is not physical and ours is used instead; the reasons stand in the hands' build.py.
_DISTAL = {f"{finger}distal": 0.013 for finger in ("ff", "mf", "rf", "lf")} | {"thdistal": 0.017}
OTHER_MASS: dict[str, dict[str, float]] = {
    "robotiq_3f": {"palm": 1.15},
    "shadow": _DISTAL,
    "shadow_wristless": _DISTAL,
}
OTHER_VELOCITY = {"robotiq_3f": 0.88}


def read_sheet(name: str) -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    name = SHEET_OF.get(name, name)
    path = SHEETS / f"{name}__upstream.yaml"
    loaded: dict[str, Any] = yaml.safe_load((path if path.is_file() else SHEETS / f"{name}.yaml").read_text())
    return loaded


def prim_name(name: str) -> str:
    return re.sub(r"\W", "_", name)


def sheet_poses(sheet: dict[str, Any], value: dict[str, float]) -> dict[str, FloatArray]:
    """Link poses by the sheet's own kinematics, as 4 x 4 matrices."""
    from scipy.spatial.transform import Rotation

    pose = {sheet["root_link"]: np.eye(4)}
    for joint in sheet["joints"]:
        local = np.eye(4)
        local[:3, :3] = Rotation.from_euler("xyz", joint["origin"]["rpy"]).as_matrix()
        local[:3, 3] = joint["origin"]["xyz"]
        if joint["type"] == "revolute":
            mimic = joint.get("mimic")
            q = (
                value.get(joint["name"], 0.0)
                if mimic is None
                else mimic["multiplier"] * value[mimic["joint"]] + mimic["offset"]
            )
            motion = np.eye(4)
            motion[:3, :3] = Rotation.from_rotvec(q * np.array(joint["axis"])).as_matrix()
            local = local @ motion
        pose[joint["child"]] = pose[joint["parent"]] @ local
    return pose


def frame_positions(hand: HandModel, joint_position: FloatArray) -> dict[str, FloatArray]:
    position, quaternion = hand.forward_kinematics(np.zeros(3), (0.0, 0.0, 0.0, 1.0), joint_position)
    return {
        frame.name: compose(position[frame.link], quaternion[frame.link], frame.position, frame.quaternion)[0]
        for frame in hand.frames
    }


def tip_of_frame(frame: str, tips: dict[str, Any]) -> dict[str, Any]:
    """The sheet's fingertip a frame stands for: ``finger_1_tip_frame`` is ``1`` or ``finger1`` there."""
    finger = re.sub(r"_(tip|pad)_frame$", "", frame)
    names = {re.sub(r"finger|_", "", name): tip for name, tip in tips.items()}
    found: dict[str, Any] = names[re.sub(r"finger|_", "", finger)]
    return found


@ALL_HANDS
def test_kinematics_follow_the_sheet(name: str) -> None:
    sheet = read_sheet(name)
    hand = load_hand(name)
    link_of = {link: index for index, link in enumerate(hand.link_names)}
    random = np.random.default_rng(3)
    for _ in range(50):
        q = random.uniform(hand.dof_lower, hand.dof_upper)
        pose = sheet_poses(sheet, dict(zip(hand.joint_names, q, strict=True)))
        root = next(matrix for link, matrix in pose.items() if prim_name(link) == hand.link_names[0])
        pose = {link: np.linalg.solve(root, matrix) for link, matrix in pose.items()}
        position, _ = hand.forward_kinematics(np.zeros(3), (0.0, 0.0, 0.0, 1.0), q)
        compared = set()
        for link, matrix in pose.items():
            index = link_of.get(prim_name(link))
            if index is not None:
                np.testing.assert_allclose(position[index], matrix[:3, 3], atol=1e-6)
                compared.add(index)
        assert len(compared) == hand.link_count
        frames = frame_positions(hand, q)
        assert len(frames) >= 2
        for frame, point in frames.items():
            tip = tip_of_frame(frame, sheet["fingertips"])
            expected = (pose[tip["link"]] @ np.append(tip["position"], 1.0))[:3]
            np.testing.assert_allclose(point, expected, atol=1e-6)


@ALL_HANDS
def test_limits_and_velocities_follow_the_sheet(name: str) -> None:
    sheet, hand = read_sheet(name), load_hand(name)
    limits = {joint["name"]: joint["limits"] for joint in sheet["joints"] if "limits" in joint}
    follower = {joint["name"]: joint["mimic"] for joint in sheet["joints"] if joint.get("mimic")}
    for dof, joint in enumerate(hand.joint_names):
        ends = np.array([limits[joint]["lower"], limits[joint]["upper"]])
        for other, mimic in follower.items():  # a leader stops where its follower does
            if mimic["joint"] == joint:
                both = (np.array([limits[other]["lower"], limits[other]["upper"]]) - mimic["offset"]) / mimic[
                    "multiplier"
                ]
                ends = np.array([max(ends[0], both.min()), min(ends[1], both.max())])
        np.testing.assert_allclose([hand.dof_lower[dof], hand.dof_upper[dof]], ends, atol=1e-5)
        velocity = OTHER_VELOCITY.get(name, limits[joint]["velocity"])
        assert hand.dof_velocity[dof] == pytest.approx(velocity, rel=1e-6)
    expected = {
        joint["name"] for joint in sheet["joints"] if joint["type"] != "fixed" and not joint.get("mimic")
    }
    assert set(hand.joint_names) <= expected
    if name not in SHEET_OF:
        assert set(hand.joint_names) == expected


@ALL_HANDS
def test_masses_follow_the_sheet(name: str) -> None:
    """Every link weighs what the sheet states for it and for what is rigidly attached to it."""
    sheet, hand = read_sheet(name), load_hand(name)
    expected = {link: float(entry.get("mass") or 0.0) for link, entry in sheet["links"].items()}
    ours = set(hand.link_names)
    for joint in reversed(sheet["joints"]):
        if joint["type"] == "fixed" and prim_name(joint["child"]) not in ours:
            expected[joint["parent"]] = expected.get(joint["parent"], 0.0) + expected[joint["child"]]
    by_prim = {prim_name(link): mass for link, mass in expected.items()} | OTHER_MASS.get(name, {})
    for link, mass in zip(hand.link_names, hand.link_mass, strict=True):
        assert mass == pytest.approx(by_prim[link], rel=1e-5), link
