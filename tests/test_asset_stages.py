"""Shipped objects with their convex pieces, and grasp stages that play; read back with pxr, trimesh and Newton."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import trimesh

import warpgrasp
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.grasps.usd import write_grasp_usd
from warpgrasp.hands import load_hand
from warpgrasp.objects import example_object_names, example_object_path, load_object

pxr = pytest.importorskip("pxr")
from pxr import Usd, UsdGeom, UsdLux, UsdPhysics  # noqa: E402

ALL_OBJECTS = pytest.mark.parametrize("name", example_object_names())
# Meshes of the objects before they had pieces: samples and seeds hang on them.
MESH_HASHES = {"bottle": "a791cb0e89809520", "duck": "8eedb58cef2b3207", "mug": "4e042665d104d149"}


@ALL_OBJECTS
def test_shipped_objects_bring_their_convex_pieces(name: str) -> None:
    model = load_object(example_object_path(name))
    assert model.mesh_hash[:16] == MESH_HASHES[name]
    stage = Usd.Stage.Open(str(example_object_path(name)))
    seen, colliding = [], []
    for prim in stage.Traverse(Usd.TraverseInstanceProxies()):
        if prim.IsA(UsdGeom.Mesh):
            (colliding if prim.HasAPI(UsdPhysics.CollisionAPI) else seen).append(prim)
    assert [prim.GetName() for prim in seen] == ["surface"]
    assert len(colliding) <= 32
    volume, corners = 0.0, []
    for prim in colliding:
        assert UsdPhysics.MeshCollisionAPI(prim).GetApproximationAttr().Get() == "convexHull"
        assert UsdGeom.Imageable(prim).ComputePurpose() == UsdGeom.Tokens.guide
        points = np.array(UsdGeom.Mesh(prim).GetPointsAttr().Get())
        volume += trimesh.convex.convex_hull(points).volume
        corners.append(points)
    reach = np.concatenate(corners)
    size = np.ptp(model.vertices, axis=0).max()
    np.testing.assert_allclose(reach.min(axis=0), model.vertices.min(axis=0), atol=0.03 * size)
    np.testing.assert_allclose(reach.max(axis=0), model.vertices.max(axis=0), atol=0.03 * size)
    assert volume == pytest.approx(model.volume, rel=0.35)  # pieces of a mug's thin wall are thicker


def test_newton_takes_the_pieces_of_a_mug_as_they_are() -> None:
    newton = pytest.importorskip("newton")
    builder = newton.ModelBuilder()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        builder.add_usd(str(example_object_path("mug")))
    colliding = sum(bool(flags & newton.ShapeFlags.COLLIDE_SHAPES) for flags in builder.shape_flags)
    stage = Usd.Stage.Open(str(example_object_path("mug")))
    assert colliding == sum(prim.HasAPI(UsdPhysics.CollisionAPI) for prim in stage.Traverse()) <= 32
    assert builder.shape_count == colliding + 1  # and the mesh that is seen


@pytest.fixture(scope="module")
def stage_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shipped = Path(warpgrasp.__file__).parent / "eval/isaaclab/grasps/allegro/mug.npz"
    path = tmp_path_factory.mktemp("stage") / "mug.usda"
    model = load_object(example_object_path("mug"))
    return write_grasp_usd(path, GraspSet.load(shipped).best(2), load_hand("allegro"), model)


def test_a_stage_has_gravity_light_a_held_root_and_a_ground_on_request(stage_path: Path) -> None:
    stage = Usd.Stage.Open(str(stage_path))
    scenes = [prim for prim in stage.Traverse() if prim.IsA(UsdPhysics.Scene)]
    assert [UsdPhysics.Scene(prim).GetGravityMagnitudeAttr().Get() for prim in scenes] == [
        pytest.approx(9.81)
    ]
    assert len([prim for prim in stage.Traverse() if prim.HasAPI(UsdLux.LightAPI)]) == 2
    joint = UsdPhysics.FixedJoint(stage.GetPrimAtPath("/World/Hand/joints/world_joint"))
    root = UsdGeom.Xformable(stage.GetPrimAtPath("/World/Hand/base_link"))
    matrix = np.array(root.ComputeLocalToWorldTransform(Usd.TimeCode.Default()))
    np.testing.assert_allclose(np.array(joint.GetLocalPos0Attr().Get()), matrix[3, :3], atol=1e-6)
    assert not joint.GetBody0Rel().GetTargets()
    assert not stage.GetPrimAtPath("/World/Ground")
    with Usd.EditContext(stage, stage.GetSessionLayer()):
        stage.GetDefaultPrim().GetVariantSet("ground").SetVariantSelection("plane")
    ground = stage.GetPrimAtPath("/World/Ground")
    assert ground.HasAPI(UsdPhysics.CollisionAPI)
    box = UsdGeom.BBoxCache(Usd.TimeCode.Default(), [UsdGeom.Tokens.default_]).ComputeWorldBound(
        stage.GetPrimAtPath("/World/Object")
    )
    below = box.ComputeAlignedRange().GetMin()[2] - 0.3
    assert UsdGeom.XformCache().GetLocalToWorldTransform(ground).ExtractTranslation()[2] == pytest.approx(
        below
    )


def test_every_colour_of_a_stage_is_written_once(stage_path: Path) -> None:
    stage = Usd.Stage.Open(str(stage_path))
    for name in ("Contacts", "Forces"):
        color = UsdGeom.PrimvarsAPI(stage.GetPrimAtPath(f"/World/{name}")).GetPrimvar("displayColor")
        values, indices = list(color.Get()), list(color.GetIndices())
        assert len(set(values)) == len(values)
        points = UsdGeom.Points(stage.GetPrimAtPath("/World/Contacts")).GetPointsAttr().Get()
        assert len(indices) == len(points)
        assert max(indices) == len(values) - 1


def test_a_stage_plays_and_the_hand_holds_the_mug(stage_path: Path) -> None:
    newton = pytest.importorskip("newton")
    from newton.usd import SchemaResolverNewton, SchemaResolverPhysx

    builder = newton.ModelBuilder()
    newton.solvers.SolverMuJoCo.register_custom_attributes(builder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        builder.add_usd(str(stage_path), schema_resolvers=[SchemaResolverNewton(), SchemaResolverPhysx()])
        model = builder.finalize(device="cpu")
        solver = newton.solvers.SolverMuJoCo(model, use_mujoco_cpu=True, cone="elliptic", impratio=10)
    now, after, control = model.state(), model.state(), model.control()
    newton.eval_fk(model, model.joint_q, model.joint_qd, now)
    body = next(index for index, label in enumerate(builder.body_label) if label.endswith("/Object"))
    start = now.body_q.numpy()[body, :3].copy()
    for _ in range(200):  # 0.4 s, in which it would fall 0.78 m
        now.clear_forces()
        solver.step(now, after, control, None, 0.002)
        now, after = after, now
    assert np.linalg.norm(now.body_q.numpy()[body, :3] - start) < 0.005
