"""Variants of object assets, and what references to one share: in OpenUSD and in Newton."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from object_asset_cases import no_decomposition, write_l
from pxr import Gf, Usd, UsdGeom, UsdPhysics, UsdShade

from warpgrasp.objects.assets import AssetConfig, make_object_asset
from warpgrasp.objects.usd_write import DEFAULT_COLOR

autouse = pytest.fixture(autouse=True)(no_decomposition)


def _two_references(path: str, **selection: str) -> Any:
    """A stage with two objects of one file."""
    stage = Usd.Stage.CreateInMemory()
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    for number in range(2):
        shape = UsdGeom.Xform.Define(stage, f"/World/object_{number}")
        shape.AddTranslateOp().Set(Gf.Vec3d(number, 0.0, 0.0))
        shape.GetPrim().GetReferences().AddReference(path)
        for name, value in selection.items():
            assert shape.GetPrim().GetVariantSet(name).SetVariantSelection(value)
    return stage


def test_references_to_an_asset_share_what_is_seen(tmp_path: Path) -> None:
    report = make_object_asset(write_l(tmp_path), tmp_path / "out")
    stage = _two_references(report.path)
    assert len(stage.GetPrototypes()) == 1
    for number in range(2):
        mesh = stage.GetPrimAtPath(f"/World/object_{number}/mesh/surface")
        assert mesh.IsInstanceProxy()
        color = UsdGeom.PrimvarsAPI(mesh).FindPrimvarWithInheritance("displayColor").Get()
        np.testing.assert_allclose(color, [DEFAULT_COLOR], rtol=1e-6)
        material = UsdShade.MaterialBindingAPI(mesh).ComputeBoundMaterial()[0]
        assert material.GetPath() == f"/World/object_{number}/material"


def test_variants_switch_physics_off_and_fix_the_body(tmp_path: Path) -> None:
    """The defaults are a free body; switched off nothing of physics is left; fixed, the body is kinematic."""
    report = make_object_asset(write_l(tmp_path), tmp_path / "out")
    for selection, body, collider_count, fixed in (
        ({}, True, 2, False),
        ({"root": "fixed"}, True, 2, True),
        ({"physics": "off"}, False, 0, False),
    ):
        stage = _two_references(report.path, **selection)
        prim = stage.GetPrimAtPath("/World/object_1")
        assert prim.HasAPI(UsdPhysics.RigidBodyAPI) == prim.HasAPI(UsdPhysics.MassAPI) == body
        colliders = [each for each in Usd.PrimRange(prim) if each.HasAPI(UsdPhysics.CollisionAPI)]
        assert len(colliders) == collider_count
        assert bool(UsdPhysics.RigidBodyAPI(prim).GetKinematicEnabledAttr().Get()) == fixed


@pytest.mark.parametrize("instanceable", [False, True])
def test_newton_reads_clones_and_variants(tmp_path: Path, instanceable: bool) -> None:
    newton = pytest.importorskip("newton", reason="Newton is not installed (extra 'sim')")
    report = make_object_asset(write_l(tmp_path), tmp_path / "out", config=AssetConfig(mass=0.2))
    kinematic = int(newton.BodyFlags.KINEMATIC)
    for selection, body_count, fixed in (
        ({}, 2, False),
        ({"root": "fixed"}, 2, True),
        ({"physics": "off"}, 0, False),
    ):
        stage = _two_references(report.path, **selection)
        for number in range(2):  # the whole object as an instance, pieces included
            stage.GetPrimAtPath(f"/World/object_{number}").SetInstanceable(instanceable)
        builder = newton.ModelBuilder()
        builder.add_usd(stage)
        assert builder.body_count == body_count
        np.testing.assert_allclose(builder.body_mass, 0.2, rtol=1e-5)
        assert all(bool(flags & kinematic) == fixed for flags in builder.body_flags)
        flags = np.array(builder.shape_flags)
        assert ((flags & int(newton.ShapeFlags.COLLIDE_SHAPES)) != 0).sum() == 2 * body_count
        assert ((flags & int(newton.ShapeFlags.VISIBLE)) != 0).sum() == 2
