"""How a file is read when asked: up axis, sizes, bodies that do not touch, open shells and sheets; against closed forms."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from generate_shell import Shell, make_shell
from object_factory import SIDE, asymmetric_shape, box, load_mesh

from warpgrasp.grasps.case import load_recorded_object
from warpgrasp.objects import ObjectError, load_object
from warpgrasp.objects.__main__ import main
from warpgrasp.objects.reading import Reading

FAR = trimesh.util.concatenate([box(), box((SIDE + 0.02, 0.0, 0.0), side=0.5 * SIDE)])


def test_the_up_axis_becomes_z(tmp_path: Path) -> None:
    """A rotation by 90 degrees: the axis that was up is z, and the object is not mirrored."""
    plain = load_mesh(tmp_path, asymmetric_shape())
    for up, axes in (("y", (0, 2, 1)), ("x", (2, 1, 0))):
        turned = load_mesh(tmp_path, asymmetric_shape(), reading=Reading(up=up))  # type: ignore[arg-type]
        np.testing.assert_allclose(turned.extent, plain.extent[list(axes)], rtol=1e-12)
        np.testing.assert_allclose(turned.center_of_mass[2], plain.center_of_mass["xyz".index(up)], rtol=1e-9)
        np.testing.assert_allclose(turned.volume, plain.volume, rtol=1e-9)  # positive: turned, not mirrored
        assert f"The file's {up} axis points up and was turned to z." in turned.repairs


def test_a_size_is_the_largest_extent(tmp_path: Path) -> None:
    model = load_mesh(tmp_path, asymmetric_shape(), size=0.08)
    np.testing.assert_allclose(model.extent.max(), 0.08, rtol=1e-12)
    with pytest.raises(ObjectError, match="size must be a positive number"):
        load_mesh(tmp_path, asymmetric_shape(), size=0.08, target_size=True)


def test_bodies_that_do_not_touch_are_chosen_as_asked(tmp_path: Path) -> None:
    with pytest.raises(
        ObjectError, match=r"2 bodies that do not touch; .* --parts separate .*--join-gap 0.001"
    ):
        load_mesh(tmp_path, FAR)
    largest = load_mesh(tmp_path, FAR, reading=Reading(parts="largest"))
    np.testing.assert_allclose(largest.volume, SIDE**3, rtol=1e-9)
    assert "The largest of 2 bodies that do not touch was kept, with 88.9 %" in largest.repairs[-1]
    separate = Reading(parts="separate")
    parts = [load_mesh(tmp_path, FAR, reading=separate, part=part) for part in (1, 2)]
    np.testing.assert_allclose([part.volume for part in parts], [SIDE**3, SIDE**3 / 8.0], rtol=1e-9)
    assert [part.part_count for part in parts] == [2, 2]
    with pytest.raises(ObjectError, match="has no part 3, it holds 2 bodies"):
        load_mesh(tmp_path, FAR, reading=separate, part=3)
    assert load_mesh(tmp_path, box(), reading=separate).part_count == 1


def test_an_open_shell_is_closed_when_asked(tmp_path: Path) -> None:
    """A box without its top: half of the solid angle at the middle of the opening is missing, so the cap is nearly flat."""
    shell = box()
    shell.update_faces(shell.triangles_center[:, 2] < 0.49 * SIDE)
    with pytest.raises(ObjectError, match="--open-shells close, or --sheet-thickness"):
        load_mesh(tmp_path, shell)
    model = load_mesh(tmp_path, shell, reading=Reading(open_shells="close"))
    assert model.watertight
    np.testing.assert_allclose(model.volume, SIDE**3, rtol=0.03)  # edges are rounded
    assert model.repairs[0].startswith(
        "An open surface was closed where its winding number falls below one half"
    )


@pytest.mark.parametrize("curved", [False, True])
def test_a_sheet_gets_a_thickness_when_asked(tmp_path: Path, curved: bool) -> None:
    """Area times thickness, and the rounded rim: half a tube of the perimeter."""
    side, thickness = 0.05, 0.004
    count = 11
    x, y = np.meshgrid(*[np.linspace(-0.5 * side, 0.5 * side, count)] * 2, indexing="ij")
    z = 4.0 * (x**2 + y**2) if curved else 0.0 * x
    vertices = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    corner = np.arange(count * count).reshape(count, count)
    a, b, c, d = (
        part.reshape(-1) for part in (corner[:-1, :-1], corner[1:, :-1], corner[1:, 1:], corner[:-1, 1:])
    )
    sheet = trimesh.Trimesh(vertices, np.concatenate([np.c_[a, b, c], np.c_[a, c, d]]), process=False)
    with pytest.raises(ObjectError, match=r"--sheet-thickness 0\.002"):
        load_mesh(tmp_path, sheet)
    model = load_mesh(tmp_path, sheet, reading=Reading(sheet_thickness=thickness))
    rim = 0.5 * np.pi * (0.5 * thickness) ** 2 * 4.0 * side
    np.testing.assert_allclose(model.volume, sheet.area * thickness + rim, rtol=0.06)  # marching cubes
    assert model.watertight
    assert "was given a thickness of 4 mm" in model.repairs[0]
    with pytest.raises(ObjectError, match="or more"):
        load_mesh(tmp_path, sheet, reading=Reading(sheet_thickness=1.0e-5))


def test_what_excludes_each_other_or_is_unknown_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="join_gap"):
        Reading(join_gap=0.001, parts="largest")
    with pytest.raises(ValueError, match="sheet_thickness must be finite and not negative"):
        Reading(sheet_thickness=-1.0)
    with pytest.raises(ValueError, match="nothing that decides how a mesh is read"):
        Reading.of({"up": 3})
    assert Reading.of(Reading(up="y", sheet_thickness=0.002).changes()) == Reading(
        up="y", sheet_thickness=0.002
    )
    with pytest.raises(ObjectError, match="part 2 takes --parts separate"):
        load_mesh(tmp_path, box(), part=2)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    return make_shell(tmp_path, monkeypatch)


def test_every_size_and_every_part_is_an_object_of_its_own(shell: Shell) -> None:
    FAR.export(shell.folder / "pair.stl")
    arguments = (
        str(shell.folder / "pair.stl"),
        "--sizes",
        "0.06",
        "0.1",
        "--parts",
        "separate",
        "--grasps",
        "2",
    )
    arguments += ("--steps", "2", "--out", "out")
    assert shell(*arguments) == 0
    names = ["pair_60mm_part1", "pair_60mm_part2", "pair_100mm_part1", "pair_100mm_part2"]
    assert shell.synthesis.names == names
    rows = json.loads((shell.folder / "out" / "summary.json").read_text())["objects"]
    assert sorted(row["name"] for row in rows) == sorted(names)
    assert shell(*arguments) == 0
    assert shell.synthesis.names == names
    assert "4 of 4 objects were finished before" in shell.output
    more = ("--sizes", "0.06", "0.08", "--parts", "separate", *arguments[6:])
    assert shell(arguments[0], *more) == 0
    assert shell.synthesis.names == [*names, "pair_80mm_part1", "pair_80mm_part2"]
    with pytest.raises(SystemExit, match="2"):
        shell(arguments[0], "--sizes", "0.06", "--scale", "2")


def test_the_file_of_grasps_says_how_its_object_was_read(tmp_path: Path) -> None:
    FAR.export(tmp_path / "pair.stl")
    model = load_object(tmp_path / "pair.stl", size=0.07, reading=Reading(up="y", parts="separate"), part=2)
    from warpgrasp.synthesis.synthesize import _read_as

    known = {"scale": model.scale, **_read_as(model)}
    assert (
        load_recorded_object(tmp_path / "pair.stl", json.loads(json.dumps(known))).mesh_hash
        == model.mesh_hash
    )


def test_assets_of_every_part_and_one_report_of_several_commands(tmp_path: Path) -> None:
    FAR.export(tmp_path / "pair.stl")
    box().export(tmp_path / "box.stl")
    out = tmp_path / "out"
    assert main([str(tmp_path / "pair.stl"), "-o", str(out), "--parts", "separate"]) == 0
    assert main([str(tmp_path / "box.stl"), str(tmp_path / "missing.stl"), "-o", str(out)]) == 1
    content = json.loads((out / "objects.json").read_text())
    assert [row["name"] for row in content["objects"]] == ["box", "pair_part1", "pair_part2"]
    assert list(content["failures"]) == [str(tmp_path / "missing.stl")]
    (tmp_path / "other").mkdir()
    box(side=0.04).export(tmp_path / "other" / "box.stl")
    assert main([str(tmp_path / "other" / "box.stl"), "-o", str(out)]) == 0
    assert {path.name for path in out.glob("box*.usda")} == {"box.usda", "box_2.usda"}
