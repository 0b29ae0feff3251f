"""Structure of the shipped assets: what an asset validator and a physics engine would complain about."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from warpgrasp.hands import hand_names, load_hand

pxr = pytest.importorskip("pxr")
from pxr import Usd, UsdGeom, UsdPhysics, UsdShade  # noqa: E402

ALL_HANDS = pytest.mark.parametrize("name", hand_names())


def bodies(stage: Usd.Stage) -> list[Usd.Prim]:
    return [prim for prim in stage.Traverse() if prim.HasAPI(UsdPhysics.RigidBodyAPI)]


@ALL_HANDS
def test_bodies_are_siblings_with_mass_and_inertia(name: str) -> None:
    stage = Usd.Stage.Open(str(load_hand(name).path))
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    assert UsdPhysics.GetStageKilogramsPerUnit(stage) == 1.0
    found = bodies(stage)
    assert len(found) == load_hand(name).link_count
    for prim in found:
        assert prim.GetParent() == stage.GetDefaultPrim(), f"{prim.GetPath()} is nested"
        mass = UsdPhysics.MassAPI(prim)
        moments = mass.GetDiagonalInertiaAttr().Get()
        assert mass.GetMassAttr().Get() > 0.0
        assert all(math.isfinite(v) and v > 0.0 for v in moments)
        assert moments[0] + moments[1] >= moments[2] * (1.0 - 1e-5)
    roots = [prim for prim in stage.Traverse() if prim.HasAPI(UsdPhysics.ArticulationRootAPI)]
    assert len(roots) == 1


@ALL_HANDS
def test_joints_form_one_tree(name: str) -> None:
    stage = Usd.Stage.Open(str(load_hand(name).path))
    found = {prim.GetPath() for prim in bodies(stage)}
    children = []
    for prim in stage.Traverse():
        if not prim.IsA(UsdPhysics.Joint):
            continue
        joint = UsdPhysics.Joint(prim)
        ends = [relation.GetTargets() for relation in (joint.GetBody0Rel(), joint.GetBody1Rel())]
        assert [len(targets) for targets in ends] == [1, 1]
        assert {ends[0][0], ends[1][0]} <= found
        children.append(ends[1][0])
        limit = UsdPhysics.RevoluteJoint(prim)
        assert limit.GetLowerLimitAttr().Get() < limit.GetUpperLimitAttr().Get()
        follows = any("MimicAPI" in schema for schema in prim.GetPrimTypeInfo().GetAppliedAPISchemas())
        assert prim.HasAPI(UsdPhysics.DriveAPI, "angular") != follows  # driven, or coupled to one that is
    assert len(children) == len(set(children)) == len(found) - 1


@ALL_HANDS
def test_colliders_can_be_seen_and_rubbed(name: str) -> None:
    stage = Usd.Stage.Open(str(load_hand(name).path))
    colliders = [prim for prim in stage.Traverse() if prim.HasAPI(UsdPhysics.CollisionAPI)]
    assert len(colliders) == len(load_hand(name).geometry_type) <= 64
    for prim in colliders:
        material, _ = UsdShade.MaterialBindingAPI(prim).ComputeBoundMaterial()
        assert material
        assert material.GetPrim().HasAPI(UsdPhysics.MaterialAPI)
        if prim.IsA(UsdGeom.Mesh):
            assert (
                UsdPhysics.MeshCollisionAPI(prim).GetApproximationAttr().Get() == UsdPhysics.Tokens.convexHull
            )


@ALL_HANDS
def test_text_layer_holds_no_long_arrays(name: str) -> None:
    """Meshes stand in a crate file beside the readable one."""
    stage = Usd.Stage.Open(str(load_hand(name).path))
    layer = stage.GetRootLayer()
    assert len(layer.subLayerPaths) == 1
    for prim in stage.Traverse():
        spec = layer.GetPrimAtPath(prim.GetPath())
        arrays = [
            a for a in (spec.attributes if spec else ()) if a.typeName.isArray and a.default is not None
        ]
        assert max((len(a.default) for a in arrays), default=0) <= 64


@ALL_HANDS
def test_grasp_types_use_tips(name: str) -> None:
    hand = load_hand(name)
    region = {patch.name: patch.region for patch in hand.patches}
    assert "power" in hand.grasp_types
    for kind in ("precision", "pinch"):
        if kind in hand.grasp_types:
            assert {region[patch] for patch in hand.grasp_types[kind].patch_names} == {"tip"}
            others = set(hand.fingers) - set(hand.grasp_types[kind].fingers) - {"palm"}
            assert bool(others) == bool(hand.grasp_types[kind].idle_joint_position)


@pytest.mark.parametrize("name", ["robotiq_2f140"])
def test_show_writes_a_picture(name: str, tmp_path: Path) -> None:
    path = tmp_path / "hand.png"
    command = [sys.executable, "-m", "warpgrasp.hands", "--show", name, "--output", str(path), "--size", "64"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert str(path) in done.stdout
    with Image.open(path) as image:
        assert image.width == 3 * 64
    wrong = subprocess.run([*command[:4], "alegro"], capture_output=True, text=True)
    assert wrong.returncode == 1
    assert "unknown hand" in wrong.stderr


@ALL_HANDS
def test_thumbnail_is_beside_the_asset(name: str) -> None:
    with Image.open(load_hand(name).path.with_name("thumbnail.png")) as image:
        assert image.width > image.height
