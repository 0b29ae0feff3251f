"""URDF files the converter refuses: one sentence that names the link or joint and the remedy, and remedies that work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from robot_files import NO_PICTURE, write_urdf_hand

from warpgrasp.hands.convert import ConvertConfig, convert_hand

BAD_URDFS = {
    "missing mesh": (
        ('<mesh filename="meshes/phalanx.stl"/>', '<mesh filename="meshes/lost.stl"/>'),
        r"mesh file 'meshes/lost.stl' of link 'index_1' does not exist .*put it there or correct the path",
    ),
    "missing package": (
        ("package://my_hand/meshes/palm.stl", "package://other/meshes/lost.stl"),
        r"mesh file 'package://other/.*' of link 'palm-link' does not exist; put the folder 'other'",
    ),
    "no limits": (
        (
            '<axis xyz="0 -1 0"/><limit lower="0" upper="1.6" effort="1.5" velocity="3"/>',
            '<axis xyz="0 -1 0"/>',
        ),
        r"joint 'thumb.bend' has no limits; .*--joint-limits thumb.bend LOWER UPPER",
    ),
    "zero mass": (
        ('<mass value="0.4"/>', '<mass value="0"/>'),
        r"link 'palm-link' has no mass \(or zero\); .*--density 1000",
    ),
    "no mass": (('<mass value="0.4"/>', ""), r"link 'palm-link' has no mass"),
    "two roots": (
        ("\n</robot>", '<link name="camera"/></robot>'),
        r"two roots, link 'palm-link' and link 'camera'; .*--root palm-link",
    ),
    "loop": (
        (
            "\n</robot>",
            '<joint name="strut" type="fixed"><parent link="index_2"/><child link="middle_2"/></joint></robot>',
        ),
        r"joint 'strut' closes a kinematic loop at link 'middle_2'.*'middle.pip'; remove one of the two",
    ),
    "ring": (
        (
            "\n</robot>",
            '<joint name="hook" type="fixed"><parent link="index_2"/><child link="palm-link"/></joint></robot>',
        ),
        r"link 'palm-link' is its own ancestor: .* kinematic loop; remove",
    ),
    "unsupported joint": (
        ('name="thumb.turn" type="revolute"', 'name="thumb.turn" type="planar"'),
        r"joint 'thumb.turn' is of type 'planar', which is not supported; use revolute",
    ),
    "unknown link": (
        ('<child link="thumb_2"/>', '<child link="thumb_3"/>'),
        r"joint 'thumb.bend' names link 'thumb_3', which does not exist",
    ),
    "mimics nobody": (
        ('joint="ring.mcp"', 'joint="rong.mcp"'),
        r"joint 'ring.pip' mimics joint 'rong.mcp', which is no moving joint",
    ),
    "millimetre mesh": (
        (
            '<mesh filename="meshes/phalanx.stl"/>',
            '<mesh filename="meshes/phalanx.stl" scale="1000 1000 1000"/>',
        ),
        r"mesh phalanx.stl of link 'index_1' is 45 m long: .*millimetres; give --mesh-scale 0.001",
    ),
    "millimetre joints": (
        ('<origin xyz="0 0 0.047"', '<origin xyz="0 0 47"'),
        r"joint 'index.pip' lies 47 m from its parent link 'index_1': .*millimetres; give --scale 0.001",
    ),
    "reversed limits": (
        ('lower="-0.4" upper="0.9"', 'lower="0.9" upper="-0.4"'),
        r"joint 'thumb.turn' has limits \[0.9, -0.4\], which leave no range",
    ),
    "not XML": (("<robot", "robot"), r"is no XML that can be read"),
    "xacro": (
        ("\n</robot>", '<xacro:macro name="x"/></robot>'),
        r"still holds xacro macros; expand it first",
    ),
}


@pytest.mark.parametrize("case", BAD_URDFS)
def test_bad_urdf(tmp_path: Path, case: str) -> None:
    (old, new), message = BAD_URDFS[case]
    path = write_urdf_hand(tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=message) as caught:
        convert_hand(path, tmp_path / "out", NO_PICTURE)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "hand.usda").exists()


def test_remedies_work(tmp_path: Path) -> None:
    path = write_urdf_hand(tmp_path)
    good = path.read_text()
    path.write_text(good.replace("\n</robot>", '<link name="camera"/></robot>'))
    assert (
        convert_hand(path, tmp_path / "a", ConvertConfig(picture=False, root="palm-link")).hand.dof_count == 5
    )
    limit = '<limit lower="0" upper="1.6" effort="1.5" velocity="3"/>'
    path.write_text(good.replace(f'<axis xyz="0 -1 0"/>{limit}', '<axis xyz="0 -1 0"/>'))
    config = ConvertConfig(picture=False, joint_limits={"thumb.bend": (0.0, 1.1)})
    assert convert_hand(path, tmp_path / "b", config).hand.dof_upper[4] == pytest.approx(1.1)
    path.write_text(good.replace('<mass value="0.4"/>', ""))
    hand = convert_hand(path, tmp_path / "c", ConvertConfig(picture=False, density=500.0)).hand
    assert hand.link_mass[0] == pytest.approx(500.0 * 0.025 * 0.08 * 0.09, rel=1e-3)
    path.write_text(good.replace('stl"/>', 'stl" scale="1000 1000 1000"/>'))
    hand = convert_hand(path, tmp_path / "d", ConvertConfig(picture=False, mesh_scale=0.001)).hand
    np.testing.assert_allclose(np.ptp(hand.geometry_mesh[0].vertices, axis=0), [0.025, 0.08, 0.09], atol=1e-6)
