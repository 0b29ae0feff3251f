"""Objects from USD: transforms, units, handedness, primitives, purposes, instances and concave polygons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from object_factory import asymmetric_shape
from pxr import Gf, Usd, UsdGeom

from warpgrasp.objects import load_object
from warpgrasp.objects.usd import triangulate_polygons


def write_usd_mesh(
    path: Path, shape: trimesh.Trimesh, *, unit: float | None, left_handed: bool = False
) -> None:
    """``shape`` under two nested transforms: a translation with rotation, and a mirroring scale."""
    stage = Usd.Stage.CreateNew(str(path))
    if unit is not None:
        UsdGeom.SetStageMetersPerUnit(stage, unit)
    outer = UsdGeom.Xform.Define(stage, "/outer")
    outer.AddTranslateOp().Set(Gf.Vec3d(1.0, -2.0, 3.0))
    outer.AddRotateXYZOp().Set(Gf.Vec3f(20.0, 35.0, -50.0))
    inner = UsdGeom.Xform.Define(stage, "/outer/inner")
    inner.AddScaleOp().Set(Gf.Vec3f(2.0, 3.0, -1.0))
    mesh = UsdGeom.Mesh.Define(stage, "/outer/inner/mesh")
    mesh.GetPointsAttr().Set(shape.vertices.tolist())
    mesh.GetFaceVertexCountsAttr().Set([3] * len(shape.faces))
    faces = shape.faces[:, ::-1] if left_handed else shape.faces
    mesh.GetFaceVertexIndicesAttr().Set(faces.ravel().tolist())
    if left_handed:
        mesh.GetOrientationAttr().Set(UsdGeom.Tokens.leftHanded)
    stage.GetRootLayer().Save()


@pytest.mark.parametrize("suffix", ["usd", "usda", "usdc"])
@pytest.mark.parametrize("left_handed", [False, True])
def test_usd_transform_unit_and_handedness(tmp_path: Path, suffix: str, left_handed: bool) -> None:
    shape = asymmetric_shape()
    shape.apply_scale(100.0)  # centimetres
    path = tmp_path / f"shape.{suffix}"
    write_usd_mesh(path, shape, unit=0.01, left_handed=left_handed)
    model = load_object(path, scale=0.5)

    def rotation(axis: int, degrees: float) -> np.ndarray:
        return trimesh.transformations.rotation_matrix(np.radians(degrees), np.eye(3)[axis])[:3, :3]

    turn = rotation(2, -50.0) @ rotation(1, 35.0) @ rotation(0, 20.0)
    world = ((shape.vertices * [2.0, 3.0, -1.0]) @ turn.T + [1.0, -2.0, 3.0]) * 0.01 * 0.5
    assert model.repairs == ()  # neither mirroring nor the left hand turned the faces
    assert (model.scale, model.meters_per_unit) == (0.5, 0.01)
    np.testing.assert_allclose(np.sort(model.vertices, axis=0), np.sort(world, axis=0), atol=1e-8)
    np.testing.assert_allclose(model.volume, 6.0 * shape.volume * 0.005**3, rtol=1e-6)


def test_usd_without_unit_says_that_the_default_was_used(tmp_path: Path) -> None:
    path = tmp_path / "shape.usda"
    shape = asymmetric_shape()
    shape.apply_scale(100.0)
    write_usd_mesh(path, shape, unit=None)
    assert load_object(path).repairs == (
        "The stage states no metersPerUnit, so USD's default of 0.01 m was used.",
    )


@pytest.mark.parametrize(
    ("kind", "volume", "center_x", "tolerance"),
    [
        ("Cube", 8.0, 0.0, 1e-12),
        ("Sphere", 4.0 / 3.0 * np.pi, 0.0, 3e-3),
        ("Cylinder", 2.0 * np.pi, 0.0, 2e-3),
        ("Capsule", np.pi / 4.0 + np.pi / 6.0, 0.0, 5e-3),
        ("Cone", 2.0 * np.pi / 3.0, -0.5, 2e-3),
    ],
)
def test_usd_gprims_stand_on_their_axis(
    tmp_path: Path, kind: str, volume: float, center_x: float, tolerance: float
) -> None:
    path = tmp_path / "gprim.usda"
    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageMetersPerUnit(stage, 0.04)
    prim = getattr(UsdGeom, kind).Define(stage, "/shape")
    if kind not in ("Cube", "Sphere"):
        prim.GetAxisAttr().Set("X")
    prim.GetOrientationAttr().Set(UsdGeom.Tokens.leftHanded)  # must not turn a gprim inside out
    stage.GetRootLayer().Save()
    model = load_object(path)
    assert model.repairs == ()
    np.testing.assert_allclose(model.volume, volume * 0.04**3, rtol=tolerance)
    np.testing.assert_allclose(model.center_of_mass, [center_x * 0.04, 0.0, 0.0], atol=1e-9)


def test_usd_takes_render_geometry_once_and_instances_too(tmp_path: Path) -> None:
    path = tmp_path / "scene.usda"
    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageMetersPerUnit(stage, 0.05)
    prototype = stage.CreateClassPrim("/prototype")
    UsdGeom.Cube.Define(stage, "/prototype/cube")
    instance = stage.DefinePrim("/instance")
    instance.GetReferences().AddInternalReference(prototype.GetPath())
    instance.SetInstanceable(True)
    for name, purpose in (("guide", "guide"), ("proxy", "proxy")):
        cube = UsdGeom.Cube.Define(stage, f"/{name}")
        cube.GetSizeAttr().Set(5.0)
        cube.GetPurposeAttr().Set(purpose)
    hidden = UsdGeom.Cube.Define(stage, "/hidden")
    hidden.GetSizeAttr().Set(5.0)
    hidden.MakeInvisible()
    UsdGeom.Cube.Define(stage, "/render").GetPurposeAttr().Set("render")
    UsdGeom.XformCommonAPI(stage.GetPrimAtPath("/render")).SetTranslate((1.5, 0.0, 0.0))
    stage.GetRootLayer().Save()
    np.testing.assert_allclose(load_object(path).extent, [3.5 * 0.05, 0.1, 0.1], rtol=1e-6)


def test_concave_polygons_are_cut_into_ears() -> None:
    outline = np.array(
        [[0, 0], [4, 0], [4, 3], [3, 3], [3, 1], [1, 1], [1, 3], [0, 3]], float
    )  # a U of area 8
    indices = np.arange(len(outline))
    for axes, order in (
        ([0, 1], indices),
        ([1, 2], indices),
        ([0, 2], indices[::-1]),
        ([0, 1], np.roll(indices, 3)),
    ):
        vertices = np.zeros((len(outline), 3))
        vertices[:, axes] = outline
        faces = triangulate_polygons(vertices, np.array([len(outline)]), order)
        corners = vertices[faces][:, :, axes]
        a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        areas = 0.5 * (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
        orientation = -1.0 if order[0] > order[1] else 1.0
        assert len(faces) == 6
        assert np.all(areas * orientation > 0.0)
        assert abs(areas.sum()) == pytest.approx(8.0)
