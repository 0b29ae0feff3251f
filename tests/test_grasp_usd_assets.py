"""What a grasp stage refers to: hands in any unit, of several files, and no file from outside the asset's folder."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from fake_models import FakeObject
from grasp_factory import make_grasp_set
from hand_prims import FINGER, HINGE, PALM, write
from pxr import Gf, Sdf, Usd, UsdGeom, UsdPhysics, UsdUtils
from test_hands_usd import in_centimetres

from warpgrasp.base.atomic_file import OutputError
from warpgrasp.geometry.rotations import rotate
from warpgrasp.geometry.shapes import GeometryType
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.grasps.usd import write_grasp_usd
from warpgrasp.grasps.usd_assets import asset_files, object_asset
from warpgrasp.hands import HandModel, load_hand
from warpgrasp.objects import load_object

CUBE = FakeObject()
AROUND = """
    double3 xformOp:translate = (1, 2, 3)
    quatd xformOp:orient = (0.5, 0.5, -0.5, 0.5)
    float3 xformOp:scale = (2, 2, 2)
    uniform token[] xformOpOrder = ["xformOp:translate", "xformOp:orient", "xformOp:scale"]
"""


def _grasps(hand: HandModel) -> GraspSet:
    joints = np.random.default_rng(3).uniform(hand.dof_lower, hand.dof_upper, (2, hand.dof_count))
    grasps = make_grasp_set(count=2, joint_names=hand.joint_names, contact_count=2, joint_position=joints)
    # Small hands have no patches.
    return dataclasses.replace(grasps, contact_position=np.full((2, 2, 3), np.nan), status=np.ones(2))


def _stage(hand: HandModel, folder: Path) -> Usd.Stage:
    return Usd.Stage.Open(str(write_grasp_usd(folder / "cube.usda", _grasps(hand), hand, CUBE)))  # type: ignore[arg-type]


def _check_shown(stage: Usd.Stage, hand: HandModel) -> None:
    """Links and the bounding boxes of their collision shapes are where the hand model has them, in metres."""
    grasps = _grasps(hand)
    index = int(grasps.order()[0])
    position, quaternion = hand.forward_kinematics(
        grasps.root_position[index], grasps.root_quaternion[index], grasps.joint_position[index]
    )
    cache = UsdGeom.XformCache()
    for link, name in enumerate(hand.link_names):
        (prim,) = (prim for prim in stage.Traverse() if prim.GetName() == name)
        seen = np.array(cache.GetLocalToWorldTransform(prim).ExtractTranslation())
        np.testing.assert_allclose(seen, position[link], atol=1e-6, err_msg=name)
        box = UsdGeom.BBoxCache(0.0, [UsdGeom.Tokens.default_]).ComputeWorldBound(prim).ComputeAlignedRange()
        corners = []
        for shape in np.flatnonzero(hand.geometry_link == link):
            half = hand.geometry_size[shape]
            signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
            if hand.geometry_type[shape] == GeometryType.CAPSULE:  # radius, half length along z
                half = np.array([half[0], half[0], half[0] + half[1]])
            inside = rotate(hand.geometry_quaternion[shape], signs * half) + hand.geometry_position[shape]
            corners.append(rotate(quaternion[link], inside) + position[link])
        if corners:
            expected = np.ptp(np.concatenate(corners), axis=0)
            np.testing.assert_allclose(np.array(box.GetSize()), expected, atol=1e-5, err_msg=name)


def test_a_hand_in_centimetres_is_shown_and_simulated_in_metres(tmp_path: Path) -> None:
    metres = load_hand(write(_folder(tmp_path, "m"), PALM, FINGER, HINGE))
    prims = [in_centimetres(prim) for prim in (PALM, FINGER, HINGE)]
    hand = load_hand(write(_folder(tmp_path, "cm"), *prims, meters=0.01, up="Y"))
    stage = _stage(hand, tmp_path / "out")
    _check_shown(stage, hand)
    for name, value in (("stiffness", 2.0), ("damping", 0.5), ("maxForce", 1.5)):
        drive = stage.GetPrimAtPath("/World/Hand/hinge").GetAttribute(f"drive:angular:physics:{name}").Get()
        assert drive == pytest.approx(value, rel=1e-5)
    hinge = stage.GetPrimAtPath("/World/Hand/hinge")
    assert "PhysicsJointStateAPI:angular" in hinge.GetPrimTypeInfo().GetAppliedAPISchemas()
    joint = UsdPhysics.Joint(hinge)
    np.testing.assert_allclose(joint.GetLocalPos0Attr().Get(), (0.0, 0.0, 0.03), atol=1e-7)
    (copy,) = (tmp_path / "out" / "assets").glob("hand_*/hand.usdc")
    again = load_hand(copy)
    for name in (
        "geometry_size",
        "link_mass",
        "link_inertia",
        "dof_stiffness",
        "dof_effort",
        "joint_parent_position",
    ):
        np.testing.assert_allclose(getattr(again, name), getattr(metres, name), rtol=1e-5, atol=1e-9)


def test_a_hand_in_other_units_that_cannot_be_converted_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prims = [in_centimetres(prim) for prim in (PALM, FINGER, HINGE)]
    hand = load_hand(write(_folder(tmp_path, "cm"), *prims, meters=0.01))
    wrong = dataclasses.replace(
        hand, dof_effort=2.0 * hand.dof_effort
    )  # stands for an attribute that is not known
    with pytest.raises(OutputError, match=r"could not be converted \(dof_effort differs\)"):
        _stage(wrong, tmp_path / "out")
    assert not list((tmp_path / "out" / "assets").glob("*"))


def test_a_rotated_and_scaled_root_does_not_move_the_hand(tmp_path: Path) -> None:
    hand = load_hand(write(_folder(tmp_path, "in"), PALM, FINGER, HINGE, around=AROUND))
    _check_shown(_stage(hand, tmp_path / "out"), hand)


@pytest.mark.parametrize("around", ["", AROUND])
def test_links_in_a_moved_group_are_where_the_kinematics_put_them(tmp_path: Path, around: str) -> None:
    """The transform of a prim between the root and the links counts, also scaled and below a moved root."""
    group = 'def Xform "links"\n{\n' + AROUND + "\n".join((PALM, FINGER)) + "\n}\n"
    hinge = HINGE.replace("/hand/palm", "/hand/links/palm").replace("/hand/finger", "/hand/links/finger")
    hand = load_hand(write(_folder(tmp_path, "in"), group, hinge, around=around))
    _check_shown(_stage(hand, tmp_path / "out"), hand)


@pytest.mark.parametrize("arc", ["reference", "sublayer", "absolute"])
def test_a_hand_of_several_files_is_copied_whole(tmp_path: Path, arc: str) -> None:
    """The mesh layer of a referenced hand too: without it the copy has no convex meshes."""
    folder = tmp_path / "in"
    shutil.copytree(
        load_hand("allegro").path.parent, folder / "base", ignore=shutil.ignore_patterns("*.py", "__*")
    )
    target = str(folder / "base" / "hand.usda") if arc == "absolute" else "./base/hand.usda"
    layer = Sdf.Layer.CreateNew(str(folder / "mine.usda"))
    if arc == "sublayer":
        layer.subLayerPaths.append(target)
    else:
        Sdf.PrimSpec(layer, "allegro", Sdf.SpecifierDef).referenceList.prependedItems = [
            Sdf.Reference(target)
        ]
    layer.defaultPrim = "allegro"
    layer.Save()
    stage = Usd.Stage.Open(layer)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    UsdPhysics.SetStageKilogramsPerUnit(stage, 1.0)
    stage.Save()
    del stage, layer
    hand = load_hand(folder / "mine.usda")
    write_grasp_usd(tmp_path / "out" / "cube.usda", _grasps(hand), hand, CUBE)  # type: ignore[arg-type]
    shutil.rmtree(folder)
    shutil.move(tmp_path / "out", tmp_path / "moved")
    (copy,) = (tmp_path / "moved" / "assets").glob("allegro_*/mine.usda")
    again = load_hand(copy)
    np.testing.assert_array_equal(again.plane, hand.plane)
    layers, _, unresolved = UsdUtils.ComputeAllDependencies(str(tmp_path / "moved" / "cube.usda"))
    assert not unresolved
    assert all(Path(layer.realPath).is_relative_to(tmp_path / "moved") for layer in layers)


def test_a_hand_that_refers_to_a_file_outside_its_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("nobody's business")
    leak = "    custom asset note = @../secret.txt@\n"
    hand = load_hand(write(_folder(tmp_path, "in"), PALM, FINGER, HINGE, around=leak))
    with pytest.raises(OutputError, match=r"refers to .*secret\.txt, which lies outside its folder"):
        _stage(hand, tmp_path / "out")
    assert not [file for file in (tmp_path / "out").rglob("*") if file.is_file()]


@pytest.mark.parametrize("kind", ["path", "link", "missing"])
def test_an_object_carries_no_file_from_outside_into_the_output(
    tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A path that leaves the folder, or a link inside it that does: the object is written as its mesh instead."""
    if kind != "missing":
        (tmp_path / "secret.txt").write_text("nobody's business")
    target = "./secret.txt" if kind == "link" else "../secret.txt"
    folder = _folder(tmp_path, "in")
    if kind == "link":
        (folder / "secret.txt").symlink_to(tmp_path / "secret.txt")
    stage = Usd.Stage.CreateNew(str(folder / "o.usda"))
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    UsdGeom.SetStageUpAxis(stage, "Z")
    root = UsdGeom.Xform.Define(stage, "/o").GetPrim()
    stage.SetDefaultPrim(root)
    root.CreateAttribute("anything", Sdf.ValueTypeNames.Asset).Set(target)
    cube = UsdGeom.Cube.Define(stage, "/o/c")
    cube.GetSizeAttr().Set(0.05)
    cube.GetExtentAttr().Set([Gf.Vec3f(-0.025), Gf.Vec3f(0.025)])
    stage.Save()
    del stage
    model = load_object(folder / "o.usda")
    path = object_asset(model, tmp_path / "out")
    assert path.suffix == ".usdc"
    assert not [file for file in (tmp_path / "out").rglob("*") if "secret" in file.name]
    assert load_object(path).volume == pytest.approx(0.05**3, rel=1e-4)
    with pytest.raises(OutputError, match="outside its folder"):
        asset_files(folder / "o.usda")
    assert capfd.readouterr().err == ""


def test_an_object_in_grams_is_written_again(tmp_path: Path) -> None:
    stage = Usd.Stage.CreateNew(str(tmp_path / "o.usda"))
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    UsdGeom.SetStageUpAxis(stage, "Z")
    UsdPhysics.SetStageKilogramsPerUnit(stage, 0.001)
    root = UsdGeom.Cube.Define(stage, "/o")
    root.GetSizeAttr().Set(0.05)
    stage.SetDefaultPrim(root.GetPrim())
    UsdPhysics.MassAPI.Apply(root.GetPrim()).CreateMassAttr(100.0)
    stage.Save()
    del stage
    path = object_asset(load_object(tmp_path / "o.usda"), tmp_path / "out")
    written = Usd.Stage.Open(str(path))
    assert UsdPhysics.GetStageKilogramsPerUnit(written) == 1.0
    masses = [UsdPhysics.MassAPI(prim).GetMassAttr().Get() for prim in written.Traverse()]
    assert 100.0 not in masses


def _folder(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).mkdir()
    return tmp_path / name
