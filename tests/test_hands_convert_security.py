"""Files made to exhaust the machine or to slip in numbers that are none: refused with a sentence, before they are expanded."""

from __future__ import annotations

from pathlib import Path

import pytest
from robot_files import NO_PICTURE, write_mjcf_gripper, write_urdf_hand

from warpgrasp.hands.convert import convert_hand
from warpgrasp.hands.convert.annotation_file import read_annotation_file


def test_alias_bomb(tmp_path: Path) -> None:
    rows = ["  x0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    rows += [f"  x{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    path = tmp_path / "annotation.yaml"
    path.write_text("fingers:\n" + "\n".join(rows) + "\n")
    with pytest.raises(ValueError, match="more than 200000 values once its aliases are written out"):
        read_annotation_file(path)


def test_deep_nesting(tmp_path: Path) -> None:
    path = tmp_path / "annotation.yaml"
    path.write_text("fingers: " + "[" * 5000 + "]" * 5000)
    with pytest.raises(ValueError, match=r"nested more than 20 deep|nesting depth"):
        read_annotation_file(path)


def test_replicate_bomb(tmp_path: Path) -> None:
    pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    bomb = '<replicate count="1000"><replicate count="1000"><site/></replicate></replicate>'
    path = write_mjcf_gripper(tmp_path, extra=bomb)
    with pytest.raises(ValueError, match=r"elements once includes and <replicate> are expanded"):
        convert_hand(path, tmp_path / "out", NO_PICTURE)


def test_includes_count_and_loops_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    path = write_mjcf_gripper(
        tmp_path, extra='<replicate count="2000"><include file="part.xml"/></replicate>'
    )
    (tmp_path / "part.xml").write_text("<mujoco>" + "<site/>" * 50 + "</mujoco>")
    with pytest.raises(ValueError, match="elements once includes"):
        convert_hand(path, tmp_path / "out", NO_PICTURE)
    (tmp_path / "part.xml").write_text('<mujoco><include file="part.xml"/></mujoco>')
    with pytest.raises(ValueError, match="includes itself"):
        convert_hand(path, tmp_path / "out", NO_PICTURE)


def test_deep_mjcf(tmp_path: Path) -> None:
    pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra 'sim')")
    path = write_mjcf_gripper(tmp_path, extra="<body>" * 3000 + "</body>" * 3000)
    with pytest.raises(ValueError, match="nests more than 100 elements"):
        convert_hand(path, tmp_path / "out", NO_PICTURE)


def test_endless_urdf(tmp_path: Path) -> None:
    chain = "".join(
        f'<link name="l{n}"/><joint name="j{n}" type="fixed"><parent link="{f"l{n - 1}" if n else "palm-link"}"/>'
        f'<child link="l{n}"/></joint>'
        for n in range(3000)
    )
    path = write_urdf_hand(tmp_path, body=chain)
    with pytest.raises(ValueError, match="at most 1000 are read"):
        convert_hand(path, tmp_path / "out", NO_PICTURE)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("effort: 1.5", "effort: .nan", "effort of joint .* is nan"),
        ("effort: 1.5", "effort: -1", "effort of joint .* is -1"),
        ("opening: 0.16,", "opening: .inf,", "opening of joint .* is inf"),
        ("  position: [", "  position: [.nan, 0, 0] #", "a coordinate is nan"),
        ("angle_deg: 40.0", "angle_deg: .nan", "0 < angle_deg <= 180"),
        ("palm_link:\n  - [", "palm_link:\n  - [0, 0, 0, .nan] #", "radius of a sphere of link 'palm_link' is nan"),
    ],
)  # fmt: skip
def test_numbers_of_an_annotation_are_finite_and_in_range(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    source = write_urdf_hand(tmp_path)
    convert_hand(source, tmp_path / "out", NO_PICTURE)
    path = tmp_path / "out" / "annotation.yaml"
    text = path.read_text()
    if old not in text:
        text = text.replace("palm-link:", "palm_link:")
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=message.replace("palm_link", "palm[-_]link")) as caught:
        read_annotation_file(path)
    assert "\n" not in str(caught.value)
