"""Shipped assets opened the way usdview and Omniverse do: composition, bounds, purposes, materials, OpenUSD's validators."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from warpgrasp.hands import hand_names, load_hand
from warpgrasp.objects import example_object_names, example_object_path

pytest.importorskip("pxr")
from pxr import Gf, Tf, Usd, UsdGeom, UsdPhysics, UsdShade, UsdUtils

ASSETS = {name: load_hand(name).path for name in hand_names()} | {
    name: example_object_path(name) for name in example_object_names()
}
EVERY_ASSET = pytest.mark.parametrize("path", ASSETS.values(), ids=ASSETS)
SHOWN = [UsdGeom.Tokens.default_, UsdGeom.Tokens.render]


def geometry(stage: Usd.Stage) -> list[Usd.Prim]:
    """All shapes, those of instances and of the annotation too."""
    with Usd.EditContext(stage, stage.GetSessionLayer()):
        if "annotation" in stage.GetDefaultPrim().GetVariantSets().GetNames():
            stage.GetDefaultPrim().GetVariantSet("annotation").SetVariantSelection("grasp")
    proxies = Usd.TraverseInstanceProxies()
    return [prim for prim in Usd.PrimRange.Stage(stage, proxies) if prim.IsA(UsdGeom.Gprim)]


def open_quietly(path: Path) -> Usd.Stage:
    """The stage; whatever OpenUSD has to say while it composes or is walked is an error here."""
    mark = Tf.Error.Mark()
    mark.SetMark()
    stage = Usd.Stage.Open(str(path))
    list(stage.TraverseAll())
    assert not mark.GetErrors()
    return stage


@EVERY_ASSET
def test_composes_without_errors(path: Path) -> None:
    stage = open_quietly(path)
    assert not stage.GetCompositionErrors()
    assert not stage.GetMutedLayers()
    layers, assets, unresolved = UsdUtils.ComputeAllDependencies(str(path))
    assert not unresolved
    assert not assets  # no textures
    for layer in layers:  # all beside the asset, named relatively: the folder can be moved
        assert Path(layer.realPath).parent == path.resolve().parent
        assert not any(Path(name).is_absolute() for name in layer.GetCompositionAssetDependencies())
    for prim in stage.TraverseAll():
        assert prim.IsActive()
        assert prim.IsDefined(), f"{prim.GetPath()} is only an over"
        assert prim.GetPrimTypeInfo().GetTypeName() in ("", prim.GetTypeName())


@EVERY_ASSET
def test_stage_says_what_it_is(path: Path) -> None:
    stage = open_quietly(path)
    root = stage.GetDefaultPrim()
    assert root
    assert [root] == list(stage.GetPseudoRoot().GetChildren())  # a reference to the file brings everything
    assert root.IsA(UsdGeom.Xform)
    assert stage.HasAuthoredMetadata(UsdGeom.Tokens.upAxis)
    assert UsdGeom.GetStageUpAxis(stage) == UsdGeom.Tokens.z
    assert stage.HasAuthoredMetadata(UsdGeom.Tokens.metersPerUnit)
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    assert stage.HasAuthoredMetadata(UsdPhysics.Tokens.kilogramsPerUnit)


@EVERY_ASSET
def test_what_is_seen(path: Path) -> None:
    """What is drawn has a material; patches, spheres and a hand's colliders are guides, which viewers hide until asked."""
    stage = open_quietly(path)
    cache = UsdGeom.BBoxCache(Usd.TimeCode.Default(), SHOWN)
    size = np.array(cache.ComputeWorldBound(stage.GetDefaultPrim()).ComputeAlignedRange().GetSize())
    assert (size > 0.01).all()
    assert size.max() < 0.7
    for prim in geometry(stage):
        imageable = UsdGeom.Imageable(prim)
        purpose = imageable.ComputePurpose()
        annotation = prim.GetParent().GetName() in ("grasp", "spheres") or "grasp" in str(prim.GetPath())
        collider = prim.HasAPI(UsdPhysics.CollisionAPI)
        guide = annotation or "collision" in str(prim.GetPath())
        assert purpose == (UsdGeom.Tokens.guide if guide else UsdGeom.Tokens.default_), prim.GetPath()
        assert not (annotation and collider)
        if purpose == UsdGeom.Tokens.default_:
            assert imageable.ComputeVisibility() == UsdGeom.Tokens.inherited
            material, _ = UsdShade.MaterialBindingAPI(prim).ComputeBoundMaterial()
            surface, *_ = material.ComputeSurfaceSource()
            assert surface.GetIdAttr().Get() == "UsdPreviewSurface"


@EVERY_ASSET
def test_extents_and_topology(path: Path) -> None:
    stage = open_quietly(path)
    for prim in geometry(stage):
        boundable = UsdGeom.Boundable(prim)
        authored = boundable.GetExtentAttr()
        assert authored.HasAuthoredValue(), prim.GetPath()
        expected = UsdGeom.Boundable.ComputeExtentFromPlugins(boundable, Usd.TimeCode.Default())
        np.testing.assert_allclose(np.array(authored.Get()), np.array(expected), atol=1e-6)
        matrix = UsdGeom.Xformable(prim).ComputeLocalToWorldTransform(Usd.TimeCode.Default())
        assert Gf.IsClose(matrix.GetDeterminant(), matrix.GetDeterminant3(), 1e-9)
        assert matrix.GetDeterminant3() > 0.0  # not mirrored
        if prim.IsA(UsdGeom.Mesh):
            mesh = UsdGeom.Mesh(prim)
            counts, indices = mesh.GetFaceVertexCountsAttr().Get(), mesh.GetFaceVertexIndicesAttr().Get()
            valid, reason = UsdGeom.Mesh.ValidateTopology(indices, counts, len(mesh.GetPointsAttr().Get()))
            assert valid, reason
            assert mesh.GetOrientationAttr().Get() == UsdGeom.Tokens.rightHanded
            assert mesh.GetSubdivisionSchemeAttr().Get() == UsdGeom.Tokens.none
            size = {
                UsdGeom.Tokens.uniform: len(counts),
                UsdGeom.Tokens.faceVarying: len(indices),
                UsdGeom.Tokens.vertex: len(mesh.GetPointsAttr().Get()),
            }
            normals = np.array(mesh.GetNormalsAttr().Get())
            assert len(normals) == size[mesh.GetNormalsInterpolation()]
            np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-5)


@EVERY_ASSET
def test_long_arrays_are_not_text(path: Path) -> None:
    stage = open_quietly(path)
    text = stage.GetRootLayer()
    assert list(text.subLayerPaths) == [f"./{path.stem}_meshes.usdc"]
    for prim in stage.TraverseAll():
        spec = text.GetPrimAtPath(prim.GetPath())
        for attribute in spec.attributes if spec else ():
            if attribute.typeName.isArray:
                assert attribute.default is None or len(attribute.default) <= 64, attribute.path


@EVERY_ASSET
def test_openusd_validators_find_nothing(path: Path) -> None:
    """All validators that come with the OpenUSD build, usdchecker's among them."""
    validation = pytest.importorskip("pxr.UsdValidation", reason="this OpenUSD build has no UsdValidation")
    stage = open_quietly(path)
    registry = validation.ValidationRegistry()
    names = [metadata.name for metadata in registry.GetAllValidatorMetadata() if not metadata.isSuite]
    validators = registry.GetOrLoadValidatorsByName(names)
    assert len(validators) > 10
    errors = validation.ValidationContext(validators).Validate(stage)
    assert not [f"{error.GetName()}: {error.GetMessage()}" for error in errors]
