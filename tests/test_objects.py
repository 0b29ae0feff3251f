"""Objects: mesh formats, scenes, units and target size; the shipped examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from object_factory import asymmetric_shape
from pxr import Gf, Usd, UsdGeom, UsdPhysics

from warpgrasp.objects import (
    ObjectError,
    SignMethod,
    example_object_names,
    example_object_path,
    load_object,
    target_scale,
)
from warpgrasp.objects.sizes import reach_advice


@pytest.mark.parametrize("suffix", ["obj", "stl", "ply", "glb", "gltf", "off"])
def test_every_format_gives_the_same_solid(tmp_path: Path, suffix: str) -> None:
    expected = asymmetric_shape()
    path = tmp_path / f"shape.{suffix}"
    if suffix == "gltf":
        for name, content in expected.export(file_type="gltf").items():
            (tmp_path / (path.name if name == "model.gltf" else name)).write_bytes(content)
    else:
        expected.export(path)
    model = load_object(path)
    assert (model.name, model.path, model.scale, model.meters_per_unit) == ("shape", path, 1.0, 1.0)
    assert model.vertices.shape == (4, 3)
    assert model.faces.shape == (4, 3)
    assert model.faces.dtype == np.int32
    assert model.vertices.dtype == np.float64
    assert model.watertight
    assert model.sign_method == SignMethod.PSEUDO_NORMAL
    assert model.repairs == ()
    np.testing.assert_allclose(model.volume, expected.volume, rtol=1e-6)
    np.testing.assert_allclose(model.center_of_mass, expected.center_mass, atol=1e-8)
    np.testing.assert_allclose(model.extent, [0.11, 0.08, 0.06], atol=1e-8)


def test_scene_geometry_is_merged_with_its_transforms(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    box = trimesh.creation.box(extents=[0.02, 0.02, 0.02])
    scene.add_geometry(box, transform=trimesh.transformations.translation_matrix([0.0, 0.0, 0.05]))
    mirror = np.diag([1.0, 1.0, -1.0, 1.0])
    mirror[2, 3] = 0.07
    scene.add_geometry(box, transform=mirror)
    path = tmp_path / "scene.glb"
    scene.export(path)
    model = load_object(path)  # two boxes that share a face
    np.testing.assert_allclose(model.extent, [0.02, 0.02, 0.04], atol=1e-7)
    np.testing.assert_allclose(model.volume, 2 * 0.02**3, rtol=1e-5)
    np.testing.assert_allclose(model.center_of_mass, [0.0, 0.0, 0.06], atol=1e-6)


def test_scale_and_target_size(tmp_path: Path) -> None:
    path = tmp_path / "box.stl"
    trimesh.creation.box(extents=[100.0, 200.0, 300.0]).export(path)
    model = load_object(path, scale=0.001)
    assert model.scale == 0.001
    np.testing.assert_allclose(model.extent, [0.1, 0.2, 0.3], rtol=1e-6)
    resized = load_object(path, scale=0.001, target_size=True)
    np.testing.assert_allclose(resized.extent, [0.08, 0.16, 0.24], rtol=1e-6)
    np.testing.assert_allclose(resized.scale, 0.0008, rtol=1e-6)
    # Millimetres need no scale where the target size is asked for.
    np.testing.assert_allclose(load_object(path, target_size=True).extent, [0.08, 0.16, 0.24], rtol=1e-6)
    with pytest.raises(ObjectError, match=r"scale must be a positive number \(got 0"):
        load_object(path, scale=0.0)


@pytest.mark.parametrize(
    ("extent", "factor"),
    [
        ([0.05, 0.06, 0.07], 1.0),  # both hold
        ([0.1, 0.2, 0.3], 0.8),  # smallest too large
        ([0.01, 0.02, 0.035], 2.0),  # largest too small
        ([0.16, 0.16, 0.16], 0.5),  # a cube shrinks to 8 cm, not to 7
        ([1e-4, 0.01, 0.01], 7.0),  # thin and small: only the largest extent binds
    ],
)
def test_target_scale_is_the_allowed_factor_nearest_one(extent: list[float], factor: float) -> None:
    assert target_scale(np.array(extent)) == pytest.approx(factor)
    after = np.array(extent) * factor
    assert after.min() <= 0.08 + 1e-12
    assert after.max() >= 0.07 - 1e-12


@pytest.mark.parametrize("name", example_object_names())
def test_example_objects_are_clean_rigid_bodies(name: str) -> None:
    path = example_object_path(name)
    assert path.stat().st_size < 300_000
    model = load_object(path)
    assert model.watertight
    assert model.repairs == ()
    assert 1000 <= len(model.faces) <= 6000
    assert 0.06 <= model.extent.max() <= 0.15
    assert target_scale(model.extent) == 1.0
    np.testing.assert_allclose(model.center_of_mass, 0.0, atol=1e-7)

    stage = Usd.Stage.Open(str(path))
    prim = stage.GetDefaultPrim()
    assert UsdGeom.GetStageUpAxis(stage) == UsdGeom.Tokens.z
    assert prim.HasAPI(UsdPhysics.RigidBodyAPI)
    mass = UsdPhysics.MassAPI(prim)
    density = mass.GetMassAttr().Get() / model.volume
    assert 500.0 < density < 3000.0
    moments = np.diag(np.array(mass.GetDiagonalInertiaAttr().Get(), float))
    axes = np.array(Gf.Matrix3d(Gf.Quatd(mass.GetPrincipalAxesAttr().Get()))).T
    np.testing.assert_allclose(
        axes @ moments @ axes.T, density * model.inertia_unit_density, rtol=1e-4, atol=1e-9
    )
    assert not stage.GetPrimAtPath(f"/{name}/mesh").HasAPI(UsdPhysics.CollisionAPI)  # its pieces collide
    assert stage.GetPrimAtPath(f"/{name}/collision/piece_000").HasAPI(UsdPhysics.CollisionAPI)


def test_example_objects_are_three_and_an_unknown_name_lists_them() -> None:
    assert example_object_names() == ("bottle", "duck", "mug")
    with pytest.raises(ObjectError, match=r"unknown example object 'cup'; choose from bottle, duck, mug"):
        example_object_path("cup")


def test_examples_can_be_authored_again(tmp_path: Path) -> None:
    pytest.importorskip("manifold3d", reason="authoring the examples needs manifold3d")
    pytest.importorskip("coacd", reason="authoring the examples needs CoACD")
    from warpgrasp.objects.shipped.build import EXAMPLES, write_object_usd

    write_object_usd(tmp_path / "bottle.usda", "bottle", EXAMPLES["bottle"])
    again, shipped = load_object(tmp_path / "bottle.usda"), load_object(example_object_path("bottle"))
    np.testing.assert_allclose(again.volume, shipped.volume, rtol=1e-3)
    np.testing.assert_allclose(again.extent, shipped.extent, atol=5e-4)


@pytest.mark.parametrize(
    ("extent", "fragment"),
    [
        ([0.6, 0.5, 0.8], "at least 500 mm thick, and the fingertips of this hand open to 90 mm"),
        ([0.006, 0.005, 0.008], "8 mm large, too small"),
        ([0.5, 0.03, 0.03], ""),  # a rod is grasped across
    ],
)
def test_sizes_out_of_reach_get_advice(extent: list[float], fragment: str) -> None:
    advice = reach_advice(np.array(extent), (0.02, 0.09))
    assert fragment in advice
    assert ("--target-size" in advice) == bool(fragment)
    assert reach_advice(np.array(extent), (np.inf, 0.0)) == ""  # the hand's fingertips never face each other
