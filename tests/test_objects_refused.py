"""Objects that are refused: each with one clear sentence that names the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from object_factory import ball, box, load_arrays
from pxr import Usd, UsdGeom

from warpgrasp.objects import ObjectError, load_object


def refuse(path: Path, *fragments: str, **options: object) -> None:
    """The error is one sentence that names the file and every fragment."""
    with pytest.raises(ObjectError) as caught:
        load_object(path, **options)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: "), sentence
    assert sentence.endswith("."), sentence
    assert "\n" not in sentence
    for fragment in fragments:
        assert fragment in sentence


def refuse_mesh(tmp_path: Path, vertices: np.ndarray, faces: np.ndarray, *fragments: str) -> None:
    with pytest.raises(ObjectError):
        load_arrays(tmp_path, vertices, faces)
    refuse(tmp_path / "object.obj", *fragments)


def test_missing_file_folder_and_unknown_suffix(tmp_path: Path) -> None:
    refuse(tmp_path / "nothing.obj", "no such file")
    refuse(tmp_path, "is not a file")
    path = tmp_path / "object.step"
    path.write_text("ISO-10303-21;")
    refuse(path, "unknown suffix '.step'", ".obj, .stl, .ply, .glb, .gltf, .off, .dae, .urdf, .usd")


@pytest.mark.parametrize("suffix", ["obj", "stl", "ply", "glb", "gltf", "off", "dae", "urdf"])
def test_empty_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"object.{suffix}"
    path.write_bytes(b"")
    refuse(path, "is empty (0 bytes)")


@pytest.mark.parametrize(
    "suffix", ["obj", "stl", "ply", "glb", "gltf", "off", "dae", "urdf", "usd", "usda", "usdc", "usdz"]
)
def test_file_that_is_not_a_mesh(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"object.{suffix}"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8)
    refuse(path, "again" if suffix not in ("obj", "stl") else "")
    path.write_text("Dear reader, this is not a mesh.\n" * 5)
    refuse(path)


def test_mesh_without_faces(tmp_path: Path) -> None:
    path = tmp_path / "object.obj"
    path.write_text("# nothing\n")
    refuse(path, "holds no triangle (0 faces)")
    stage = Usd.Stage.CreateNew(str(tmp_path / "stage.usda"))
    UsdGeom.Mesh.Define(stage, "/mesh")
    stage.GetRootLayer().Save()
    refuse(tmp_path / "stage.usda", "0 faces")


def test_point_cloud(tmp_path: Path) -> None:
    path = tmp_path / "object.ply"
    trimesh.PointCloud(ball().vertices).export(path)
    refuse(path, "holds 2562 points and no triangle")
    stage = Usd.Stage.CreateNew(str(tmp_path / "cloud.usda"))
    UsdGeom.Points.Define(stage, "/points")
    stage.GetRootLayer().Save()
    refuse(tmp_path / "cloud.usda", "point cloud")


def test_broken_usd_indices(tmp_path: Path) -> None:
    stage = Usd.Stage.CreateNew(str(tmp_path / "stage.usda"))
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    mesh = UsdGeom.Mesh.Define(stage, "/mesh")
    mesh.GetPointsAttr().Set([(0, 0, 0), (1, 0, 0), (0, 1, 0)])
    mesh.GetFaceVertexCountsAttr().Set([3])
    mesh.GetFaceVertexIndicesAttr().Set([0, 1, 3])
    stage.GetRootLayer().Save()
    refuse(tmp_path / "stage.usda", "/mesh", "such as 3 of 3 vertices")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_a_number(tmp_path: Path, value: float) -> None:
    mesh = box()
    mesh.vertices[3, 1] = value
    corners = int((mesh.faces == 3).sum())
    refuse_mesh(tmp_path, mesh.vertices, mesh.faces, f"{corners} face corners are NaN or infinite")


def test_sizes_no_hand_can_grasp(tmp_path: Path) -> None:
    path = tmp_path / "object.stl"
    box(side=1000.0).export(path)
    refuse(path, "is 1000 m large", "looks like millimetres", "--scale 0.001")
    refuse(path, "is 10 m large", "looks like centimetres (100 mm then)", "--scale 0.0001", scale=0.01)
    assert load_object(path, scale=0.001).extent.max() == pytest.approx(1.0)
    box(side=0.004).export(path)
    refuse(path, "is 4 mm large", "--target-size")
    assert load_object(path, target_size=True).extent.max() == pytest.approx(0.07)
    box((20.0, 0.0, 0.0)).export(path)
    refuse(path, "m from the origin", "move it")


@pytest.mark.parametrize(
    ("unit", "meters"), [("millimetres", 0.001), ("centimetres", 0.01), ("inches", 0.0254)]
)
def test_the_unit_of_a_file_is_told_from_its_size(tmp_path: Path, unit: str, meters: float) -> None:
    path = tmp_path / "object.stl"
    box(side=0.08 / meters).export(path)
    refuse(path, f"looks like {unit} (80 mm then)", f"--scale {meters}", "--target-size")
    assert load_object(path, scale=meters).extent.max() == pytest.approx(0.08)


def test_flat_sheets(tmp_path: Path) -> None:
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]) * 0.1
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    refuse_mesh(tmp_path, square, faces, "is a flat sheet", "give it a thickness")
    grid = trimesh.creation.icosphere(subdivisions=3, radius=0.05)
    bowl = grid.faces[grid.triangles_center[:, 2] < 0.0]
    refuse_mesh(tmp_path, grid.vertices, bowl, "is an open surface", "% more area over 1 hole(s)")
    # A bowl of two layers that fall together: closed, but empty.
    folded = np.concatenate([bowl, bowl[:, ::-1] + len(grid.vertices)])
    with pytest.raises(ObjectError):
        load_arrays(tmp_path, np.concatenate([grid.vertices, grid.vertices]), folded)


def test_open_box(tmp_path: Path) -> None:
    refuse_mesh(tmp_path, box().vertices, box().faces[2:], "is an open surface", "20 % more area")


def test_bodies_that_do_not_touch(tmp_path: Path) -> None:
    parts = trimesh.util.concatenate([box(), box((0.1, 0.0, 0.0)), box((0.0, 0.2, 0.0))])
    refuse_mesh(
        tmp_path,
        parts.vertices,
        parts.faces,
        "falls apart into 3 bodies that do not touch",
        "file of its own",
    )


def test_moebius_strip(tmp_path: Path) -> None:
    angle = np.linspace(0.0, 2.0 * np.pi, 60, endpoint=False)
    rings = []
    for side in (-0.01, 0.01):
        radius = 0.05 + side * np.cos(0.5 * angle)
        rings.append(
            np.stack([radius * np.cos(angle), radius * np.sin(angle), side * np.sin(0.5 * angle)], axis=1)
        )
    faces = []
    for i in range(60):
        j, twist = (i + 1) % 60, 60 if i == 59 else 0
        a, b, c, d = i, i + 60, (j + twist) % 120, (j + 60 + twist) % 120
        faces += [[a, c, b], [b, c, d]]
    refuse_mesh(tmp_path, np.concatenate(rings), np.array(faces), "one-sided surface")


def test_shredded_mesh(tmp_path: Path) -> None:
    mesh = ball(subdivisions=3)
    lost = np.random.default_rng(0).random(len(mesh.faces)) < 0.5
    refuse_mesh(tmp_path, mesh.vertices, mesh.faces[~lost], "is an open surface")
