"""Fingers and palms: branching palms, one-jaw grippers, cameras, names against geometry, left hands."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from pxr import Usd
from robot_files import NO_PICTURE, box_chain, box_link, write_boxes

from warpgrasp.geometry.rotations import quaternion_to_matrix
from warpgrasp.hands.convert import convert_hand

PALM = box_link("palm", (0.025, 0.085, 0.09), (0, 0, 0.045), 0.3)
THUMB = box_chain(
    "thumb",
    "palm",
    "0.018 0.045 0.02",
    rpy="-0.9 0 0",
    axes=("0 0 -1", "1 0 0", "1 0 0"),
    lengths=(0.012, 0.046, 0.034),
)
ROW = {"index": 0.028, "middle": 0.0, "ring": -0.028}


def fingers(side: float = 1.0, *, prefix: str = "") -> str:
    return "".join(box_chain(f"{prefix}{name}", "palm", f"0 {side * y} 0.092") for name, y in ROW.items())


def test_fingers_behind_a_palm_joint_are_fingers(tmp_path: Path) -> None:
    arch = box_link("palm2", (0.02, 0.05, 0.04), (0, -0.05, 0.02), 0.1)
    arch += (
        '<joint name="arch" type="revolute"><parent link="palm"/><child link="palm2"/><origin xyz="0 0 0.042"/>'
        '<axis xyz="0 0 1"/><limit lower="-0.3" upper="0.3" effort="1" velocity="1"/></joint>'
    )
    chains = box_chain("index", "palm", "0 0.028 0.092") + box_chain("middle", "palm", "0 0 0.092")
    chains += box_chain("ring", "palm2", "0 -0.028 0.05") + box_chain("little", "palm2", "0 -0.056 0.05")
    result = convert_hand(write_boxes(tmp_path, PALM + arch + chains + THUMB), tmp_path / "out", NO_PICTURE)
    assert set(result.hand.fingers) == {"palm", "index", "middle", "ring", "little", "thumb"}
    assert result.annotation.fingers["palm"] == ("palm", "palm2")
    assert result.annotation.joints["arch"].opening == 0.0


def test_a_camera_is_no_finger(tmp_path: Path) -> None:
    camera = box_link("cam_head", (0.03, 0.02, 0.02), (0, 0, 0.03), 0.05)
    camera += (
        '<joint name="pan" type="revolute"><parent link="palm"/><child link="cam_head"/><origin xyz="-0.02 0 0.02"/>'
        '<axis xyz="0 0 1"/><limit lower="-1" upper="1" effort="1" velocity="1"/></joint>'
    )
    result = convert_hand(
        write_boxes(tmp_path, PALM + fingers() + THUMB + camera), tmp_path / "out", NO_PICTURE
    )
    assert set(result.hand.fingers) == {"palm", "index", "middle", "ring", "thumb"}
    assert "pan" in result.hand.joint_names


def test_names_outrank_geometry(tmp_path: Path) -> None:
    """A thumb that is drawn straight up beside the fingers, and turns against them: by its shape a gripper's jaw."""
    thumb = box_chain(
        "thumb", "palm", "0.03 0.0 0.02", axes=("0 0 -1", "0 -1 0", "0 -1 0"), lengths=(0.012, 0.046, 0.034)
    )
    result = convert_hand(write_boxes(tmp_path, PALM + fingers() + thumb), tmp_path / "out", NO_PICTURE)
    assert set(result.hand.fingers) == {"palm", "index", "middle", "ring", "thumb"}
    assert next(g.value for g in result.guesses if g.topic == "kind of hand").startswith(
        "fingers side by side"
    )


def test_words_within_other_words_name_no_finger(tmp_path: Path) -> None:
    """``spring`` is no ring finger, and a side in every name no finger at all."""
    chains = "".join(
        box_chain(name, "palm", f"0 {y} 0.092")
        for name, y in (("right_spring_link", 0.028), ("right_string", 0.0), ("right_bearing", -0.028))
    )
    result = convert_hand(write_boxes(tmp_path, PALM + chains + THUMB), tmp_path / "out", NO_PICTURE)
    assert next(g for g in result.guesses if g.topic == "fingers").confidence < 1.0
    assert result.annotation.fingers["index"][0].startswith("right_spring_link")  # nearest to the thumb


def test_one_name_alone_says_nothing(tmp_path: Path) -> None:
    """Of ``finger_1``, ``finger_2`` and ``finger_middle`` the last may well be the one that stands against the others."""
    chains = box_chain("finger_1", "palm", "0 0.028 0.092") + box_chain("finger_2", "palm", "0 -0.028 0.092")
    lone = box_chain("finger_middle", "palm", "0.06 0 0.092", axes=("0 -1 0",) * 3)
    result = convert_hand(write_boxes(tmp_path, PALM + chains + lone), tmp_path / "out", NO_PICTURE)
    assert result.annotation.fingers["thumb"][0] == "finger_middle_1"


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("limits", [(0.0, 0.06), (-0.06, 0.0)])
def test_a_gripper_with_one_moving_jaw(tmp_path: Path, sign: float, limits: tuple[float, float]) -> None:
    """The fixed jaw is part of the base; the moving one opens away from it along ``sign`` y."""
    base = box_link("base", (0.06, 0.12, 0.06), (0, 0, 0.03), 0.5)
    jaws = box_link("fixed", (0.02, 0.012, 0.05), (0, 0, 0.025), 0.05)
    jaws += box_link("jaw", (0.02, 0.012, 0.05), (0, 0, 0.025), 0.05)
    place = f'<origin xyz="0 {-0.006 * sign} 0.06"/>'
    jaws += f'<joint name="f" type="fixed"><parent link="base"/><child link="fixed"/>{place}</joint>'
    outward = sign if limits[0] == 0.0 else -sign
    jaws += (
        f'<joint name="slide" type="prismatic"><parent link="base"/><child link="jaw"/><origin xyz="0 {0.006 * sign} 0.06"/>'
        f'<axis xyz="0 {outward} 0"/><limit lower="{limits[0]}" upper="{limits[1]}" effort="40" velocity="0.1"/></joint>'
    )
    result = convert_hand(write_boxes(tmp_path, base + jaws), tmp_path / "out", NO_PICTURE)
    hand = result.hand
    assert set(hand.grasp_types["pinch"].fingers) == {"fixed_jaw", "moving_jaw"}
    assert abs(hand.dof_opening[0]) == pytest.approx(0.06)
    direction = {patch.name: np.array(patch.direction) for patch in result.annotation.patches}
    np.testing.assert_allclose(direction["fixed_jaw_tip"], (0, sign, 0), atol=1e-6)
    np.testing.assert_allclose(direction["moving_jaw_tip"], (0, -sign, 0), atol=1e-6)
    assert quaternion_to_matrix(hand.wrist_quaternion)[2, 2] > 0.99  # the palm looks along the jaws
    patch = next(patch for patch in hand.patches if patch.name == "fixed_jaw_tip")
    assert patch.vertices[:, 2].min() > 0.05  # the jaw, not the side of the base


def test_left_hands_are_described_in_plain_words(tmp_path: Path) -> None:
    """Fingers along z, palm towards +x, thumb at -y: a left hand. x of the wrist frame points away from its thumb."""
    thumb = box_chain(
        "thumb", "palm", "0.018 -0.045 0.02", rpy="0.9 0 0", axes=("0 0 1", "-1 0 0", "-1 0 0"),
        lengths=(0.012, 0.046, 0.034),
    )  # fmt: skip
    source = write_boxes(tmp_path, PALM + fingers(-1.0) + thumb)
    result = convert_hand(source, tmp_path / "out", NO_PICTURE)
    axes = quaternion_to_matrix(result.hand.wrist_quaternion).T
    for axis, expected in zip(axes, ((0, 1, 0), (0, 0, 1), (1, 0, 0)), strict=True):
        assert float(axis @ expected) > 0.99
    assert "a left hand" in next(g.reason for g in result.guesses if g.topic == "palm frame")
    path = tmp_path / "out" / "annotation.yaml"
    text = path.read_text()
    assert "away from the thumb of a left one" in text
    # correcting the palm normal does not turn the fingers' direction
    content = yaml.safe_load(text)
    content["wrist"]["palm_normal"] = [-1.0, 0.0, 0.0]
    path.write_text(yaml.safe_dump(content))
    axes = quaternion_to_matrix(convert_hand(source, tmp_path / "out", NO_PICTURE).hand.wrist_quaternion).T
    assert axes[1] @ (0, 0, 1) > 0.99
    assert axes[2] @ (-1, 0, 0) > 0.99


def test_annotations_of_older_versions_are_read(tmp_path: Path) -> None:
    source = write_boxes(tmp_path, PALM + fingers() + THUMB)
    new = convert_hand(source, tmp_path / "out", NO_PICTURE).hand
    path = tmp_path / "out" / "annotation.yaml"
    content = yaml.safe_load(path.read_text())
    wrist = content["wrist"]
    wrist["thumb_direction"] = np.cross(wrist.pop("finger_direction"), wrist["palm_normal"]).tolist()
    path.write_text(yaml.safe_dump(content))
    old = convert_hand(source, tmp_path / "out", NO_PICTURE).hand
    np.testing.assert_allclose(old.wrist_quaternion, new.wrist_quaternion, atol=1e-6)


def test_chains_of_couplings_are_written_without_links_between(tmp_path: Path) -> None:
    """j3 = 0.5 j2 + 0.1 and j2 = 0.8 j1 - 0.2, so j3 = 0.4 j1: Newton refuses a follower of a follower, as a 2F-85 has it."""
    text = PALM + THUMB + "".join(box_chain(name, "palm", f"0 {y} 0.092") for name, y in ROW.items())
    for follower, leader, rule in (("3", "2", (0.5, 0.1)), ("2", "1", (0.8, -0.2))):
        mimic = f'<mimic joint="index_j{leader}" multiplier="{rule[0]}" offset="{rule[1]}"/>'
        text = re.sub(
            rf'(<joint name="index_j{follower}".*?)(\s*</joint>)', rf"\1{mimic}\2", text, flags=re.DOTALL
        )
    hand = convert_hand(write_boxes(tmp_path, text), tmp_path / "out", NO_PICTURE).hand
    stage = Usd.Stage.Open(str(hand.path))
    for joint, coefficients in (("index_j2", (-0.2, 0.8)), ("index_j3", (0.0, 0.4))):
        prim = stage.GetPrimAtPath(hand.joint_paths[hand.link_joint_names.index(joint)])
        assert [path.name for path in prim.GetRelationship("newton:mimicJoint").GetTargets()] == ["index_j1"]
        found = [prim.GetAttribute(f"newton:mimicCoef{k}").Get() for k in (0, 1)]
        assert found[1] == pytest.approx(coefficients[1], abs=1e-6)
        assert found[0] == pytest.approx(math.degrees(coefficients[0]), abs=1e-4)  # USD's angles are degrees
