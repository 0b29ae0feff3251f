"""What belongs to the hand: arms, virtual base joints, second hands and markers are recognised, nothing is cut silently."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from robot_files import NO_PICTURE, arm_links, base_joints, write_urdf_hand

from warpgrasp.hands.convert import ConvertConfig, convert_hand

PALM_ROOT = ConvertConfig(picture=False, root="palm-link")


def second_hand(text: str) -> str:
    """The links and joints of a robot once more, under other names, and a torso that carries both."""
    inner = text[text.index(">") + 1 : text.rindex("</robot>")]
    other = re.sub(
        r'(link|joint|name|parent link|child link)="(?!package|meshes)([^"/]+)"', r'\1="R_\2"', inner
    )
    torso = '<link name="torso"/>'
    for side, y in (("palm-link", "0.3"), ("R_palm-link", "-0.3")):
        torso += (
            f'<joint name="m_{side}" type="fixed"><parent link="torso"/><child link="{side}"/>'
            f'<origin xyz="0 {y} 0"/></joint>'
        )
    return f'<robot name="both">{inner}{other}{torso}</robot>'


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (arm_links("palm-link"), r"3 joints above the palm \('a1', 'a2', 'a3'\) belong to an arm"),
        (
            base_joints("palm-link"),
            r"6 joints above the palm \('v0', 'v1', 'v2', \.\.\.\) only place it in space",
        ),
    ],
    ids=["arm", "virtual base"],
)
def test_joints_above_the_palm_are_not_converted_silently(tmp_path: Path, body: str, reason: str) -> None:
    path = write_urdf_hand(tmp_path, body=body)
    with pytest.raises(ValueError, match=rf"{reason}.*--root palm-link \(or all of it with --root"):
        convert_hand(path, tmp_path / "out", NO_PICTURE)
    assert not (tmp_path / "out").exists()
    hand = convert_hand(path, tmp_path / "out", PALM_ROOT).hand
    assert hand.dof_count == 5
    assert hand.link_names[0] == "palm_link"


def test_two_hands_are_offered_one_at_a_time(tmp_path: Path) -> None:
    path = write_urdf_hand(tmp_path)
    path.write_text(second_hand(path.read_text()))
    with pytest.raises(
        ValueError, match=r"holds 2 hands, at link 'palm-link' .* --root palm-link or --root R_palm-link"
    ):
        convert_hand(path, tmp_path / "out", NO_PICTURE)
    hand = convert_hand(path, tmp_path / "out", ConvertConfig(picture=False, root="R_palm-link")).hand
    assert hand.dof_count == 5
    assert hand.fingers[0] == "palm"


def test_a_forearm_that_carries_another_hand_is_no_root(tmp_path: Path) -> None:
    """As in the public description of two Shadow hands: the left forearm is fixed to the right one."""
    path = write_urdf_hand(tmp_path)
    both = second_hand(path.read_text())
    for side in ("", "R_"):
        wrist = f'<link name="{side}forearm"/><joint name="{side}wrist" type="revolute"><parent link="{side}forearm"/>'
        wrist += (
            f'<child link="{side}palm-link"/><axis xyz="0 1 0"/><limit lower="-0.5" upper="0.5"/></joint>'
        )
        both = both.replace("</robot>", wrist + "</robot>")
    for old, new in (
        ('<parent link="torso"/><child link="palm-link"/>', '<parent link="torso"/><child link="forearm"/>'),
        (
            '<parent link="torso"/><child link="R_palm-link"/>',
            '<parent link="forearm"/><child link="R_forearm"/>',
        ),
    ):
        assert old in both
        both = both.replace(old, new)
    path.write_text(both)
    with pytest.raises(ValueError, match=r"holds 2 hands, .* --root R_forearm or --root palm-link"):
        convert_hand(path, tmp_path / "out", NO_PICTURE)


def test_what_lies_outside_the_root_is_neither_read_nor_judged(tmp_path: Path) -> None:
    """A lost mesh, a joint of an unknown type, a leader and a mass of an arm do not matter to the hand."""
    arm = arm_links("palm-link", mesh="package://arm/lost.stl").replace(
        'name="a1" type="revolute"', 'name="a1" type="planar"'
    )
    path = write_urdf_hand(tmp_path, body=arm)
    path.write_text(path.read_text().replace('<mimic joint="ring.mcp"', '<mimic joint="a2"'))
    result = convert_hand(path, tmp_path / "out", PALM_ROOT)
    assert "ring.pip" in result.hand.joint_names  # independent, since its leader is not part of the hand
    assert any("'ring.pip' follows 'a2', which is no part of 'palm-link'" in note for note in result.warnings)


def test_only_visible_links_beside_solid_ones_are_not_solid(tmp_path: Path) -> None:
    rod = (
        '<visual><origin xyz="0 0 0.2"/><geometry><cylinder radius="0.003" length="0.3"/></geometry></visual>'
    )
    joint = '<joint name="frame_fix" type="fixed"><parent link="palm-link"/><child link="frame_rod"/></joint>'
    path = write_urdf_hand(tmp_path, body=f'<link name="frame_rod">{rod}</link>{joint}')
    result = convert_hand(path, tmp_path / "out", NO_PICTURE)
    palm = np.concatenate([mesh.vertices for mesh in result.hand.geometry_mesh[:1]])
    assert palm[:, 2].max() < 1e-6  # the palm alone reaches from -0.09 m to 0
    assert any("frame_rod" in note for note in result.warnings)


def test_visible_links_are_solid_where_the_part_has_nothing_else(tmp_path: Path) -> None:
    path = write_urdf_hand(tmp_path)
    text = path.read_text()
    start = text.index('<link name="index_1">')
    end = text.index("</link>", start)
    text = text[:start] + text[start:end].replace("collision>", "visual>") + text[end:]
    path.write_text(text)
    result = convert_hand(path, tmp_path / "out", NO_PICTURE)
    assert len(result.hand.link_shapes(result.hand.link_index("index_1"))) == 1


def test_annotation_ignores_a_link(tmp_path: Path) -> None:
    path = write_urdf_hand(tmp_path)
    out = tmp_path / "out"
    before = convert_hand(path, out, NO_PICTURE).hand
    annotation = out / "annotation.yaml"
    annotation.write_text(annotation.read_text().replace("ignore: []", "ignore: [index_cap]"))
    after = convert_hand(path, out, NO_PICTURE).hand
    assert len(after.geometry_mesh) == len(before.geometry_mesh) - 1
    annotation.write_text(annotation.read_text().replace("[index_cap]", "[index_cup]"))
    with pytest.raises(ValueError, match="link 'index_cup' is to be ignored, but there is none of that name"):
        convert_hand(path, out, NO_PICTURE)


def test_packages_are_found_where_the_user_says(tmp_path: Path) -> None:
    path = write_urdf_hand(tmp_path)
    (tmp_path / "meshes").rename(tmp_path / "hidden")
    (tmp_path / "elsewhere" / "my_hand").mkdir(parents=True)
    (tmp_path / "hidden").rename(tmp_path / "elsewhere" / "my_hand" / "meshes")
    text = path.read_text().replace('"meshes/', '"$(find my_hand)/meshes/')
    path.write_text(text)
    with pytest.raises(ValueError, match="--package-path FOLDER"):
        convert_hand(path, tmp_path / "out", NO_PICTURE)
    config = ConvertConfig(picture=False, package_path=(tmp_path / "elsewhere",))
    assert convert_hand(path, tmp_path / "out", config).hand.dof_count == 5


def test_follower_range_that_excludes_its_leader_is_widened_with_a_sentence(tmp_path: Path) -> None:
    path = write_urdf_hand(tmp_path)
    follower = '<limit lower="0" upper="1.7" effort="1.5" velocity="3"/>'
    path.write_text(
        path.read_text().replace(follower, follower.replace('"0" upper="1.7"', '"-1.7" upper="0"'), 1)
    )
    result = convert_hand(path, tmp_path / "out", NO_PICTURE)
    assert result.hand.dof_upper[0] == pytest.approx(1.6)  # not held still
    assert any("'index.pip' follows 'index.mcp' through [0.1, 1.38]" in note for note in result.warnings)
    path.write_text(path.read_text().replace('<limit lower="-1.7" upper="0" effort="1.5" velocity="3"/>', ""))
    assert convert_hand(path, tmp_path / "out", NO_PICTURE).hand.dof_upper[0] == pytest.approx(1.6)
