"""The converter run again on its own annotation: edits are kept, deleted sections proposed anew, mistakes refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from robot_files import NO_PICTURE, box_chain, box_link, write_boxes, write_urdf_hand

from warpgrasp.hands import HandModel
from warpgrasp.hands.check import check_hand
from warpgrasp.hands.convert import ConvertConfig, convert_hand


def edited(folder: Path, section: str, change: object) -> None:
    path = folder / "annotation.yaml"
    content = yaml.safe_load(path.read_text())
    content[section] = change if not callable(change) else change(content[section])
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def assert_same_hand(a: HandModel, b: HandModel, atol: float) -> None:
    np.testing.assert_allclose(b.dof_opening, a.dof_opening, atol=atol)
    np.testing.assert_allclose(b.sphere_position, a.sphere_position, atol=atol)
    np.testing.assert_allclose(b.wrist_position, a.wrist_position, atol=atol)
    assert [patch.name for patch in b.patches] == [patch.name for patch in a.patches]
    for mine, other in zip(a.patches, b.patches, strict=True):
        assert (mine.finger, mine.region, mine.link) == (other.finger, other.region, other.link)
        assert abs(len(mine.faces) - len(other.faces)) <= 2


def test_unedited_annotation_round_trips(tmp_path: Path) -> None:
    source = write_urdf_hand(tmp_path)
    first = convert_hand(source, tmp_path / "out", NO_PICTURE).hand
    text = (tmp_path / "out" / "annotation.yaml").read_text()
    again = convert_hand(source, tmp_path / "out", NO_PICTURE)
    assert (tmp_path / "out" / "annotation.yaml").read_text() == text
    assert set(again.kept_sections) == {
        "wrist",
        "fingers",
        "joints",
        "patches",
        "spheres",
        "grasp_types",
        "ignore",
    }
    assert_same_hand(first, again.hand, atol=2e-6)  # the file holds six decimals


def test_edits_are_kept(tmp_path: Path) -> None:
    source, out = write_urdf_hand(tmp_path), tmp_path / "out"
    convert_hand(source, out, NO_PICTURE)

    def joints(section: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        section["thumb.bend"]["opening"] = 0.77
        section["index.mcp"]["stiffness"] = 12.0
        return section

    edited(out, "joints", joints)
    edited(out, "patches", lambda rows: [row for row in rows if row["name"] != "ring_tip"])
    edited(out, "wrist", lambda wrist: wrist | {"position": [0.02, 0.0, -0.03]})
    hand = convert_hand(source, out, NO_PICTURE).hand
    assert hand.dof_opening[hand.joint_names.index("thumb.bend")] == pytest.approx(0.77)
    assert hand.dof_stiffness[0] == pytest.approx(12.0, rel=1e-6)
    assert "ring_tip" not in [patch.name for patch in hand.patches]
    np.testing.assert_allclose(hand.wrist_position, [0.02, 0.0, -0.03], atol=1e-7)
    fresh = convert_hand(source, out, ConvertConfig(picture=False, fresh=True)).hand
    assert "ring_tip" in [patch.name for patch in fresh.patches]


def test_deleted_section_is_proposed_again(tmp_path: Path) -> None:
    source, out = write_urdf_hand(tmp_path), tmp_path / "out"
    convert_hand(source, out, NO_PICTURE)
    path = out / "annotation.yaml"
    content = yaml.safe_load(path.read_text())
    del content["spheres"]
    content["wrist"]["position"] = [0.03, 0.0, 0.0]
    path.write_text(yaml.safe_dump(content))
    result = convert_hand(source, out, NO_PICTURE)
    assert "spheres" not in result.kept_sections
    assert "spheres" in yaml.safe_load(path.read_text())
    np.testing.assert_allclose(result.hand.wrist_position, [0.03, 0.0, 0.0], atol=1e-7)


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("patches", lambda rows: [*rows, rows[0]], "two patches have the same name"),
        ("patches", lambda rows: [rows[0] | {"link": "elbow"}], "names link 'elbow'"),
        ("patches", lambda rows: [rows[0] | {"region": "nail"}], "region 'nail'"),
        ("grasp_types", {"power": {"fingers": ["toe"]}}, "grasp type 'power' names finger 'toe'"),
        ("joints", lambda rows: rows | {"knee": rows["thumb.bend"]}, "names joint 'knee'"),
        ("joints", lambda rows: rows | {"thumb.bend": {**rows["thumb.bend"], "opening": 9.0}}, "opens at 9"),
        ("toes", [], "unknown section 'toes'"),
    ],
)
def test_wrong_annotation_is_refused(tmp_path: Path, section: str, change: object, message: str) -> None:
    source, out = write_urdf_hand(tmp_path), tmp_path / "out"
    convert_hand(source, out, NO_PICTURE)
    if section == "toes":
        path = out / "annotation.yaml"
        path.write_text(path.read_text() + "\ntoes: []\n")
    else:
        edited(out, section, change)
    with pytest.raises(ValueError, match=message):
        convert_hand(source, out, NO_PICTURE)


def test_long_and_flat_links_get_as_many_spheres_as_cover_them(tmp_path: Path) -> None:
    """A phalanx of 120 mm: four spheres of 8 mm leave it bare; a short one keeps four. What is proposed passes the check."""
    body = box_link("palm", (0.03, 0.09, 0.09), (0, 0, 0.045), 0.3)
    for name, y in (("index", 0.03), ("middle", -0.03)):
        body += box_chain(name, "palm", f"0 {y} 0.092", axes=("0 1 0", "0 1 0"), lengths=(0.12, 0.03))
    body += box_chain(
        "thumb", "palm", "0.05 0 0.03", rpy="0 0.6 0", axes=("0 -1 0", "0 -1 0"), lengths=(0.12, 0.03)
    )
    hand = convert_hand(write_boxes(tmp_path, body), tmp_path / "out", NO_PICTURE).hand
    counts = {name: int((hand.sphere_link == link).sum()) for link, name in enumerate(hand.link_names)}
    assert counts["index_1"] > 4
    assert counts["index_2"] <= 4
    assert {row.topic: row.ok for row in check_hand(hand)}["spheres"]
