"""Grasp stages: what USD composes is the posed hand, every column comes back, the folder can be moved."""

from __future__ import annotations

import errno
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_models import FakeObject
from grasp_factory import make_grasp_set
from pxr import Gf, Usd, UsdGeom, UsdPhysics

from warpgrasp.base import atomic_file
from warpgrasp.geometry.rotations import rotate
from warpgrasp.grasps.grasp_set import GraspSet, OutputError
from warpgrasp.grasps.usd import (
    VARIANT_SET,
    gf_quatf_wxyz_from_xyzw,
    read_grasp_usd,
    write_grasp_usd,
    xyzw_from_gf_quat_wxyz,
)
from warpgrasp.hands import HandModel, hand_names, load_hand

CUBE = FakeObject()


def _grasps(hand: HandModel, count: int = 3, waypoints: int = 0) -> GraspSet:
    rng = np.random.default_rng(3)
    joints = rng.uniform(hand.dof_lower, hand.dof_upper, (count, hand.dof_count))
    grasps = make_grasp_set(
        count=count,
        joint_names=hand.joint_names,
        contact_count=5,
        waypoint_count=waypoints,
        joint_position=joints,
    )
    return replace(grasps, squeeze_joint_position=joints + 0.01)


def test_quaternion_border_keeps_the_order() -> None:
    xyzw = np.array([0.1, -0.5, 0.7, 0.5]) / np.linalg.norm([0.1, -0.5, 0.7, 0.5])
    turned = Gf.Rotation(Gf.Quatd(gf_quatf_wxyz_from_xyzw(xyzw))).TransformDir(Gf.Vec3d(0.3, 0.2, -0.9))
    np.testing.assert_allclose(turned, rotate(xyzw, [0.3, 0.2, -0.9]), atol=1e-6)
    np.testing.assert_allclose(xyzw_from_gf_quat_wxyz(gf_quatf_wxyz_from_xyzw(xyzw)), xyzw, atol=1e-7)


@pytest.mark.parametrize(("suffix", "waypoints"), [(".usda", 3), (".usdc", 0)])
def test_every_column_comes_back_exactly(tmp_path: Path, suffix: str, waypoints: int) -> None:
    grasps = _grasps(load_hand("allegro"), waypoints=waypoints)
    path = write_grasp_usd(tmp_path / f"cube{suffix}", grasps, load_hand("allegro"), CUBE)  # type: ignore[arg-type]
    loaded = read_grasp_usd(path)
    assert loaded.metadata == grasps.metadata
    for name in GraspSet.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(loaded, name), getattr(grasps, name), err_msg=name)


def test_a_stage_tells_nothing_of_the_folders_it_was_made_in(tmp_path: Path) -> None:
    hand = load_hand("allegro")
    places = {
        "hand": {"name": "allegro", "path": "/home/somebody/hands/allegro.usda"},
        "object": {"name": "cube", "path": "/home/somebody/meshes/cube.obj", "scale": 1.0},
    }
    grasps = _grasps(hand)
    grasps = replace(grasps, metadata={**grasps.metadata, **places})
    path = write_grasp_usd(tmp_path / "cube.usda", grasps, hand, CUBE)  # type: ignore[arg-type]
    assert "somebody" not in path.read_text()
    assert read_grasp_usd(path).metadata["object"]["path"] == "cube.obj"
    assert grasps.metadata["object"]["path"] == "/home/somebody/meshes/cube.obj"


@pytest.mark.parametrize("hand_name", hand_names())
def test_each_variant_poses_the_hand_as_its_kinematics_do(tmp_path: Path, hand_name: str) -> None:
    hand = load_hand(hand_name)
    grasps = _grasps(hand)
    stage = Usd.Stage.Open(str(write_grasp_usd(tmp_path / "cube.usda", grasps, hand, CUBE)))  # type: ignore[arg-type]
    variants = stage.GetPrimAtPath("/World").GetVariantSets().GetVariantSet(VARIANT_SET)
    assert variants.GetVariantSelection() == f"grasp_{grasps.order()[0]:04d}", "the best grasp shows first"
    for index, name in enumerate(variants.GetVariantNames()):
        variants.SetVariantSelection(name)
        cache = UsdGeom.XformCache()
        links = {
            prim.GetName(): cache.GetLocalToWorldTransform(prim)
            for prim in stage.Traverse()
            if prim.HasAPI(UsdPhysics.RigidBodyAPI) and "Hand" in str(prim.GetPath())
        }
        assert set(links) == set(hand.link_names)
        position, quaternion = hand.forward_kinematics(
            grasps.root_position[index], grasps.root_quaternion[index], grasps.joint_position[index]
        )
        for link, link_name in enumerate(hand.link_names):
            probe = np.array([0.03, -0.02, 0.05])
            seen = np.array(links[link_name].Transform(Gf.Vec3d(*probe)))
            expected = rotate(quaternion[link] / np.linalg.norm(quaternion[link]), probe) + position[link]
            np.testing.assert_allclose(seen, expected, atol=1e-6, err_msg=link_name)
        for name in ("Contacts", "Forces"):
            drawn = UsdGeom.Boundable(stage.GetPrimAtPath(f"/World/{name}"))
            expected = UsdGeom.Boundable.ComputeExtentFromPlugins(drawn, Usd.TimeCode.Default())
            np.testing.assert_allclose(np.array(drawn.GetExtentAttr().Get()), np.array(expected), atol=1e-6)
        shown = UsdGeom.Points(stage.GetPrimAtPath("/World/Contacts")).GetPointsAttr().Get()
        np.testing.assert_array_equal(np.array(shown), grasps.contact_position[index])
        # A force ends at its contact, and the largest one is 3 cm long.
        lines = UsdGeom.BasisCurves(stage.GetPrimAtPath("/World/Forces")).GetPointsAttr().Get()
        tail, tip = np.array(lines).reshape(-1, 2, 3).transpose(1, 0, 2)
        force = grasps.contact_force[index]
        np.testing.assert_array_equal(tip, grasps.contact_position[index])
        np.testing.assert_allclose(tip - tail, 0.03 * force / np.linalg.norm(force, axis=1).max(), atol=1e-7)


def test_joint_states_and_drive_targets_are_grasp_and_squeeze_in_degrees(tmp_path: Path) -> None:
    hand = load_hand("allegro")
    grasps = _grasps(hand, count=1)
    stage = Usd.Stage.Open(str(write_grasp_usd(tmp_path / "cube.usda", grasps, hand, CUBE)))  # type: ignore[arg-type]
    joint = stage.GetPrimAtPath("/World/Hand/joints/joint_2_0")
    index = hand.joint_names.index("joint_2.0")
    state = joint.GetAttribute("state:angular:physics:position").Get()
    target = UsdPhysics.DriveAPI(joint, "angular").GetTargetPositionAttr().Get()
    assert state == pytest.approx(np.degrees(grasps.joint_position[0, index]), abs=1e-4)
    assert target == pytest.approx(np.degrees(grasps.squeeze_joint_position[0, index]), abs=1e-4)


@pytest.mark.parametrize("hand_name", hand_names())
def test_newton_loads_the_stage_at_the_grasp(tmp_path: Path, hand_name: str) -> None:
    newton = pytest.importorskip("newton", reason="extra sim is not installed")
    resolvers = pytest.importorskip("newton.usd")
    hand = load_hand(hand_name)
    grasps = _grasps(hand, count=1)
    path = write_grasp_usd(tmp_path / "cube.usda", grasps, hand, CUBE)  # type: ignore[arg-type]
    builder = newton.ModelBuilder()
    builder.add_usd(
        str(path),
        schema_resolvers=[resolvers.SchemaResolverNewton(), resolvers.SchemaResolverPhysx()],
        skip_mesh_approximation=True,
    )
    model = builder.finalize(device="cpu")
    state = model.state()
    newton.eval_fk(model, model.joint_q, model.joint_qd, state)
    bodies = dict(zip(model.body_label, state.body_q.numpy(), strict=True))
    position, quaternion = hand.forward_kinematics(
        grasps.root_position[0], grasps.root_quaternion[0], grasps.joint_position[0]
    )
    for link, name in enumerate(hand.link_names):
        body = bodies[f"/World/Hand/{name}"]
        np.testing.assert_allclose(body[:3], position[link], atol=1e-5, err_msg=name)
        assert abs(body[3:] @ quaternion[link]) == pytest.approx(1.0, abs=1e-5), name
    np.testing.assert_allclose(bodies["/World/Object"], [0, 0, 0, 0, 0, 0, 1], atol=1e-6)


def test_one_hand_at_a_time_and_one_prim_per_grasp(tmp_path: Path) -> None:
    hand = load_hand("allegro")
    stage = Usd.Stage.Open(str(write_grasp_usd(tmp_path / "cube.usda", _grasps(hand), hand, CUBE)))  # type: ignore[arg-type]
    roots = [prim for prim in stage.Traverse() if prim.HasAPI(UsdPhysics.ArticulationRootAPI)]
    assert len(roots) == 1
    assert [prim.GetName() for prim in stage.GetPrimAtPath("/World/Grasps").GetChildren()] == [
        "grasp_0000",
        "grasp_0001",
        "grasp_0002",
    ]
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    points = UsdGeom.Mesh(stage.GetPrimAtPath("/World/Object/mesh")).GetPointsAttr().Get()
    np.testing.assert_allclose(np.array(points), CUBE.vertices, atol=1e-8)


def test_the_folder_can_be_moved(tmp_path: Path) -> None:
    hand = load_hand("allegro")
    write_grasp_usd(tmp_path / "a" / "cube.usda", _grasps(hand), hand, CUBE)  # type: ignore[arg-type]
    shutil.move(tmp_path / "a", tmp_path / "b")
    text = (tmp_path / "b" / "cube.usda").read_text()
    assert str(tmp_path) not in text
    assert str(hand.path.parent) not in text
    stage = Usd.Stage.Open(str(tmp_path / "b" / "cube.usda"))
    assert stage.GetPrimAtPath("/World/Hand/base_link").IsValid()
    assert stage.GetPrimAtPath("/World/Object/mesh").IsValid()


def test_a_usd_object_in_metres_is_referenced_itself_and_another_is_rewritten(tmp_path: Path) -> None:
    hand = load_hand("allegro")
    source = tmp_path / "in" / "cube.usda"
    source.parent.mkdir()
    for unit in (1.0, 0.01):
        stage = Usd.Stage.CreateNew(str(source)) if unit == 1.0 else Usd.Stage.Open(str(source))
        UsdGeom.SetStageMetersPerUnit(stage, unit)
        UsdGeom.SetStageUpAxis(stage, "Z")
        mesh = UsdGeom.Mesh.Define(stage, "/cube/shape")
        stage.SetDefaultPrim(stage.GetPrimAtPath("/cube"))
        mesh.CreatePointsAttr((CUBE.vertices / unit).tolist())
        mesh.CreateFaceVertexCountsAttr([3] * len(CUBE.faces))
        mesh.CreateFaceVertexIndicesAttr(CUBE.faces.ravel().tolist())
        mesh.CreateExtentAttr(
            [Gf.Vec3f(*(CUBE.vertices.min(0) / unit)), Gf.Vec3f(*(CUBE.vertices.max(0) / unit))]
        )
        stage.Save()
        model = replace(CUBE, path=source, file_hash=f"{unit}", mesh_hash=f"{unit}")
        path = write_grasp_usd(tmp_path / f"out{unit}" / "cube.usda", _grasps(hand), hand, model)  # type: ignore[arg-type]
        composed = Usd.Stage.Open(str(path))
        expected = "/World/Object/shape" if unit == 1.0 else "/World/Object/mesh"
        points = UsdGeom.Mesh(composed.GetPrimAtPath(expected)).GetPointsAttr().Get()
        np.testing.assert_allclose(np.array(points), CUBE.vertices, atol=1e-7)


def test_an_empty_set_and_failed_grasps_can_be_written(tmp_path: Path) -> None:
    hand = load_hand("allegro")
    empty = _grasps(hand).select([])
    assert len(read_grasp_usd(write_grasp_usd(tmp_path / "a.usda", empty, hand, CUBE))) == 0  # type: ignore[arg-type]
    grasps = _grasps(hand)
    contact = grasps.contact_position.copy()
    contact[1] = np.nan
    failed = replace(grasps, contact_position=contact, status=np.array([0, 1, 0]))
    loaded = read_grasp_usd(write_grasp_usd(tmp_path / "b.usda", failed, hand, CUBE))  # type: ignore[arg-type]
    np.testing.assert_array_equal(loaded.contact_position, contact)


def test_wrong_input_is_refused_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hand = load_hand("allegro")
    with pytest.raises(ValueError, match=r"\.usda or \.usdc \(got 'a\.usd'\)"):
        write_grasp_usd(tmp_path / "a.usd", _grasps(hand), hand, CUBE)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="joint_names of the grasps must be those of hand 'allegro'"):
        write_grasp_usd(tmp_path / "a.usda", make_grasp_set(), hand, CUBE)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        read_grasp_usd(tmp_path / "absent.usda")
    (tmp_path / "other.usda").write_text("#usda 1.0\n")
    with pytest.raises(ValueError, match="not a grasp stage"):
        read_grasp_usd(tmp_path / "other.usda")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic_file.os, "fsync", full)
    with pytest.raises(OutputError, match="the disk is full"):
        write_grasp_usd(tmp_path / "b.usda", _grasps(hand), hand, CUBE)  # type: ignore[arg-type]
    assert not (tmp_path / "b.usda").exists()
