"""Forces at the fingertips against differences of the kinematics, and efforts that cannot be true."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from robot_files import NO_PICTURE, box_chain, box_link, write_boxes, write_mjcf_gripper

from warpgrasp.geometry.rotations import IDENTITY_QUATERNION, rotate
from warpgrasp.hands import HandModel, load_hand
from warpgrasp.hands.convert import convert_hand
from warpgrasp.hands.fingertip_force import fingertip_forces, strength_warnings
from warpgrasp.hands.published_forces import PUBLISHED, largest_force, typical_force

PALM = box_link("palm", (0.025, 0.085, 0.09), (0, 0, 0.045), 0.3)


def hand_body(effort: float) -> str:
    rows = {"index": 0.028, "middle": 0.0, "ring": -0.028}
    fingers = "".join(box_chain(name, "palm", f"0 {y} 0.092", effort=effort) for name, y in rows.items())
    return PALM + fingers + box_chain(
        "thumb", "palm", "0.018 0.045 0.02", rpy="-0.9 0 0", axes=("0 0 -1", "1 0 0", "1 0 0"),
        lengths=(0.012, 0.046, 0.034), effort=effort,
    )  # fmt: skip


def motion_along_normal(hand: HandModel, finger: str, step: float = 1e-6) -> np.ndarray:
    """Speed of the tip patch along its normal per unit of each degree of freedom, by central differences."""
    patch = next(p for p in hand.patches if p.finger == finger and p.region == "tip")
    corner = patch.vertices[patch.faces]
    area = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    middle = np.average(corner.mean(axis=1), axis=0, weights=np.linalg.norm(area, axis=1))

    def place(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        position, quaternion = hand.forward_kinematics(np.zeros(3), IDENTITY_QUATERNION, q)
        turn = quaternion[patch.link]
        return position[patch.link] + rotate(turn, middle), rotate(turn, area.sum(axis=0))

    normal = place(hand.dof_opening)[1]
    normal /= np.linalg.norm(normal)
    moves = [
        place(hand.dof_opening + step * e)[0] - place(hand.dof_opening - step * e)[0]
        for e in np.eye(hand.dof_count)
    ]
    return np.array(moves) @ normal / (2.0 * step)


@pytest.mark.parametrize("name", ["allegro", "barrett"])
def test_force_is_that_at_which_the_first_joint_gives_way(name: str) -> None:
    """Barrett's spread joint moves two fingers; its effort is shared."""
    hand = load_hand(name)
    rows = {row.finger: row for row in fingertip_forces(hand)}
    motion = {finger: motion_along_normal(hand, finger) for finger in rows}
    total = sum(np.abs(m) for m in motion.values())
    for finger, row in rows.items():
        own = np.abs(motion[finger]) > 2e-3
        expected = (hand.dof_effort[own] / total[own]).min()
        assert row.force == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["robotiq_2f140", "ability_hand", "shadow"])
def test_shipped_hands_press_as_hands_do(name: str) -> None:
    hand = load_hand(name)
    assert all(3.0 < row.force < 150.0 for row in fingertip_forces(hand))
    assert strength_warnings(hand, object_mass=0.1, push=2.0) == []


def test_placeholder_efforts_are_replaced_with_a_sentence(tmp_path: Path) -> None:
    source = write_boxes(tmp_path, hand_body(100.0))
    result = convert_hand(source, tmp_path / "out", NO_PICTURE)
    (sentence,) = [w for w in result.warnings if "cannot be true" in w]
    assert sentence.startswith("The effort limit of 100 Nm of 'index_j1', 'index_j2'")
    assert "under 'joints' in annotation.yaml" in sentence
    forces = [row.force for row in fingertip_forces(result.hand)]
    assert all(5.0 <= force <= 40.0 for force in forces)
    report = (tmp_path / "out" / "report.md").read_text()
    assert "## Fingertip forces" in report
    assert sentence in report
    # what the annotation file says is believed, but still judged
    path = tmp_path / "out" / "annotation.yaml"
    content = yaml.safe_load(path.read_text())
    for row in content["joints"].values():
        row["effort"] = 100.0
    path.write_text(yaml.safe_dump(content))
    again = convert_hand(source, tmp_path / "out", NO_PICTURE)
    assert again.hand.dof_effort.min() == pytest.approx(100.0)
    assert any("which no hand of" in w for w in again.warnings)


def test_none_given_differs_from_given_and_discarded(tmp_path: Path) -> None:
    body = hand_body(1.0).replace(' effort="1.0"', "")
    warnings = convert_hand(write_boxes(tmp_path, body), tmp_path / "out", NO_PICTURE).warnings
    assert any(w.startswith("No effort limit is stated for 'index_j1'") for w in warnings)
    assert not any("cannot be true" in w for w in warnings)


def test_true_efforts_are_kept(tmp_path: Path) -> None:
    result = convert_hand(write_boxes(tmp_path, hand_body(0.7)), tmp_path / "out", NO_PICTURE)
    np.testing.assert_allclose(result.hand.dof_effort, 0.7, rtol=1e-6)
    assert result.warnings == ()


def test_a_hand_too_weak_for_the_push_is_told(tmp_path: Path) -> None:
    hand = convert_hand(write_boxes(tmp_path, hand_body(0.05)), tmp_path / "out", NO_PICTURE).hand
    (sentence,) = strength_warnings(hand, object_mass=0.2, push=5.0, friction=0.6)
    assert "is too weak" in sentence
    assert "the 7 N of weight and push" in sentence  # 5 + 0.2 x 9.81


def test_what_can_be_true_follows_from_published_forces() -> None:
    """By hand: the best hand gives 19.6 N at 0.4 kg, the best gripper 170 N at 0.51 kg; medians 24 and 160 N/kg."""
    assert largest_force(1.0, 5) == pytest.approx(2 * 19.6 / 0.4)
    assert largest_force(1.0, 2) == pytest.approx(2 * 170 / 0.51)
    assert largest_force(0.05, 5) == 60.0
    assert largest_force(0.05, 2) == 235.0
    assert typical_force(1.0, 3) == pytest.approx(24.0)
    assert typical_force(1.0, 2) == pytest.approx(160.0)
    assert typical_force(0.01, 5) == pytest.approx(7.06)
    assert typical_force(100.0, 2) == 235.0


def test_the_page_shows_every_published_force() -> None:
    page = (Path(__file__).parents[1] / "docs" / "howto" / "hands_in_practice.md").read_text(encoding="utf-8")
    for row in PUBLISHED:
        mass = "-" if row.mass is None else f"{row.mass:g}"
        assert f"| {row.name} | {row.force:g} | {mass} |" in page
        assert all(part in page for part in row.source.split("; ")[-1:])


def test_gains_that_hold_only_far_from_the_target_are_replaced_with_a_sentence(tmp_path: Path) -> None:
    """0.4 Nm at 0.5 Nm/rad is 0.8 rad of error; at 2 Nm/rad it is 0.2 rad, and stays."""
    source = write_mjcf_gripper(tmp_path)
    kept = convert_hand(source, tmp_path / "kept", NO_PICTURE)
    assert kept.hand.dof_stiffness[kept.hand.joint_names.index("left_tilt")] == pytest.approx(2.0)
    assert not any("position gains" in warning for warning in kept.warnings)
    source.write_text(source.read_text().replace('kp="2"', 'kp="0.5"'))
    result = convert_hand(source, tmp_path / "soft", NO_PICTURE)
    (sentence,) = [warning for warning in result.warnings if "position gains" in warning]
    assert "of 'left_tilt' reach the effort limit only 0.8 rad" in sentence
    assert result.hand.dof_stiffness[result.hand.joint_names.index("left_tilt")] == pytest.approx(24.0)
