"""What one sees of a hand, apart from what collides, and the variants of its file; read back with pxr, trimesh and Newton."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh
from eval_factory import grasps_of, offset_box
from PIL import Image
from scipy.spatial.transform import Rotation

from warpgrasp.eval.report.scenes import grasp_scenes
from warpgrasp.geometry.shapes import box_shape, capsule_shape, convex_shape
from warpgrasp.grasps.case import GraspCase, _load_hand
from warpgrasp.hands import hand_names, load_hand, picture
from warpgrasp.hands.authoring.rounded import SmoothMesh, barrel, cushion, smooth_shape
from warpgrasp.hands.convert.mirror import mirror_hand
from warpgrasp.hands.picture import write_hand_picture
from warpgrasp.hands.usd import schema
from warpgrasp.hands.usd.stage import flat_layer
from warpgrasp.hands.usd.visuals import hand_visuals

pxr = pytest.importorskip("pxr")
from pxr import Usd, UsdGeom, UsdPhysics, UsdShade  # noqa: E402

ALL_HANDS = pytest.mark.parametrize("name", hand_names())
JOINT_COLOR = (0.28, 0.29, 0.31)
# Of what grasps depend on, before the files had a look: joints, masses, shapes, spheres and patches.
MODELS = {
    "ability_hand": "ae6108279fc1244a",
    "allegro": "b98e341797066042",
    "barrett": "171b9c4874a75b6e",
    "leap": "d788afef09c7868e",
    "robotiq_2f140": "72615b9de53415cf",
    "robotiq_3f": "97cd613db005c292",
    "shadow": "ef69dd3c27bbd8f2",
    "shadow_wristless": "c142dbe88926dcd4",
}


def closed(mesh: SmoothMesh) -> trimesh.Trimesh:
    result = trimesh.Trimesh(mesh.vertices, mesh.faces, process=True)  # merges the vertices of sharp edges
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, atol=1e-9)
    facing = np.einsum(
        "fki,fi->fk", mesh.normals[mesh.faces], trimesh.Trimesh(mesh.vertices, mesh.faces).face_normals
    )
    assert facing.min() > 0.3
    return result


def select(stage: Usd.Stage, **variants: str) -> None:
    """Choose variants for this stage only: its layers are shared with every other opening."""
    with Usd.EditContext(stage, stage.GetSessionLayer()):
        for name, variant in variants.items():
            stage.GetDefaultPrim().GetVariantSet(name).SetVariantSelection(variant)


@pytest.mark.parametrize(
    "shape",
    [
        box_shape((0.01, 0.008, 0.03), (0.1, 0.0, -0.02), (0.0, 0.3826834, 0.0, 0.9238795)),
        convex_shape([(0, 0, 0), (0.03, 0, 0), (0, 0.03, 0), (0, 0, 0.04), (0.02, 0.02, 0.03)]),
        capsule_shape(0.01, 0.02, (0.0, 0.1, 0.0)),
    ],
)
def test_a_rounded_part_lies_inside_its_shape_and_touches_every_face(shape: object) -> None:
    mesh = closed(smooth_shape(shape, 0.002))  # type: ignore[arg-type]
    whole = trimesh.Trimesh(shape.mesh.vertices, shape.mesh.faces)  # type: ignore[attr-defined]
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    # 0.1 mm for a tessellated capsule, of which one is finer than the other
    normals = whole.convex_hull.face_normals
    reach = (mesh.vertices @ normals.T).max(axis=0) - (whole.vertices @ normals.T).max(axis=0)
    assert np.abs(reach).max() < 1.5e-4
    assert 0.85 < mesh.volume / whole.volume < 1.001


def test_edges_between_parts_stay_sharp() -> None:
    left, right = box_shape((0.01,) * 3, (-0.01, 0.0, 0.0)), box_shape((0.01,) * 3, (0.01, 0.0, 0.0))
    mesh = smooth_shape(left, 0.002, [right])
    assert mesh.vertices[:, 0].max() > 0.0015  # goes on inside the neighbour
    rim = mesh.vertices[np.abs(mesh.vertices[:, 0]) < 1e-5]
    assert np.abs(rim[:, 1]).max() == pytest.approx(0.01, abs=1e-6)  # as wide there as anywhere: no groove
    alone = smooth_shape(left, 0.002)
    assert alone.vertices[:, 0].max() == pytest.approx(0.0, abs=1e-6)
    assert mesh.vertices[:, 0].min() == pytest.approx(-0.02, abs=1e-6)


def test_a_barrel_is_closed_and_a_cushion_stands_above_its_patch() -> None:
    assert closed(barrel((0.0, 0.0, 0.1), (0.0, 1.0, 0.0), 0.008, 0.012)).is_watertight
    plane = trimesh.creation.box((0.02, 0.03, 0.001)).subdivide().subdivide()
    top = plane.face_normals[:, 2] > 0.9
    patch = plane.submesh([np.flatnonzero(top)], append=True)
    from warpgrasp.geometry.shapes import TriMesh

    surface = TriMesh(np.asarray(patch.vertices), np.asarray(patch.faces, dtype=np.int32))
    pad = cushion(surface, inset=0.001, height=0.0003)
    assert pad is not None
    assert pad.vertices[:, 2].max() == pytest.approx(0.0005 + 0.0003, abs=1e-9)
    assert np.ptp(pad.vertices[:, 0]) < 0.02
    assert cushion(surface, inset=0.05, height=0.0003) is None  # wider than the patch


@ALL_HANDS
def test_one_sees_where_the_hand_collides(name: str) -> None:
    hand, seen = load_hand(name), hand_visuals(load_hand(name))
    assert {mesh.link for mesh in seen} == set(hand.geometry_link.tolist())
    assert len({mesh.color for mesh in seen}) >= 3
    for link in set(hand.geometry_link.tolist()):
        shapes = np.concatenate(
            [m.vertices for own, m in zip(hand.geometry_link, hand.geometry_mesh, strict=True) if own == link]
        )
        # A barrel may be as wide as the other link at its joint.
        meshes = [mesh for mesh in seen if mesh.link == link and not np.allclose(mesh.color, JOINT_COLOR)]
        visible = np.concatenate([mesh.vertices for mesh in meshes])
        inside = np.concatenate(
            [visible.min(axis=0) - shapes.min(axis=0), shapes.max(axis=0) - visible.max(axis=0)]
        )
        assert inside.min() > -0.0006  # pads stand out, by 0.3 mm where they are flat
        assert inside.max() < 0.004  # corners are cut


@ALL_HANDS
def test_looks_are_few_small_instances_with_materials(name: str) -> None:
    path = load_hand(name).path
    stage = Usd.Stage.Open(str(path))
    seen = 0
    for prim in Usd.PrimRange.Stage(stage, Usd.TraverseInstanceProxies()):
        if prim.IsA(UsdGeom.Gprim) and not prim.HasAPI(UsdPhysics.CollisionAPI):
            assert prim.IsInstanceProxy()
            assert UsdShade.MaterialBindingAPI(prim).ComputeBoundMaterial()[0]
            seen += 1
        if prim.HasAPI(UsdPhysics.CollisionAPI):
            assert UsdGeom.Imageable(prim).ComputePurpose() == UsdGeom.Tokens.guide
    assert seen == len(hand_visuals(load_hand(name)))
    assert sum(file.stat().st_size for file in path.parent.glob("hand*.usd*")) < 700_000


@ALL_HANDS
def test_the_look_changed_nothing_that_grasps_depend_on(name: str) -> None:
    hand = load_hand(name)
    arrays = [
        hand.joint_axis, hand.joint_parent_position, hand.joint_parent_quaternion, hand.joint_child_position,
        hand.dof_lower, hand.dof_upper, hand.dof_stiffness, hand.link_mass, hand.link_inertia, hand.geometry_link,
        hand.geometry_position, hand.sphere_link, hand.sphere_position, hand.sphere_radius,
        *(patch.vertices for patch in hand.patches),
    ]  # fmt: skip
    rounded = [np.round(np.asarray(array, dtype=np.float64), 6) + 0.0 for array in arrays]
    digest = hashlib.sha256(b"".join(array.tobytes() for array in rounded)).hexdigest()[:16]
    assert digest == MODELS[name]


def test_grasps_of_an_earlier_file_are_still_grasps_of_the_hand() -> None:
    hand = load_hand("allegro")
    assert len(hand.earlier_hashes) == 1
    for known, fits in ((hand.earlier_hashes[0], True), (hand.asset_hash, True), ("0" * 64, False)):
        metadata = {"hand": {"name": "allegro", "asset_hash": known}}
        grasps = SimpleNamespace(metadata=metadata, joint_names=hand.joint_names)
        if fits:
            assert _load_hand(Path("grasps.npz"), grasps, None) is hand  # type: ignore[arg-type]
        else:
            with pytest.raises(ValueError, match="has changed"):
                _load_hand(Path("grasps.npz"), grasps, None)  # type: ignore[arg-type]


def test_annotation_is_a_variant() -> None:
    stage = Usd.Stage.Open(str(load_hand("allegro").path))

    def count() -> int:
        names = (schema.FINGER, schema.SELF_COLLISION, schema.GRASP_TYPE)
        return sum(any(prim.HasAttribute(name) for name in names) for prim in stage.Traverse())

    hand = load_hand("allegro")
    assert count() == 0
    select(stage, annotation="grasp")
    assert count() == len(hand.patches) + len(hand.sphere_link) + len(hand.grasp_types)


def test_a_mirrored_and_a_flat_hand_keep_look_and_annotation(tmp_path: Path) -> None:
    hand = load_hand("robotiq_3f")
    mirrored = mirror_hand("robotiq_3f", tmp_path / "mirrored")
    assert len(mirrored.patches) == len(hand.patches)
    assert flat_layer(hand.path).Export(str(tmp_path / "flat.usda"))
    flat = load_hand(tmp_path / "flat.usda")
    np.testing.assert_array_equal(flat.sphere_position, hand.sphere_position)
    for other, sign in ((mirrored, -1.0), (flat, 1.0)):
        for own, theirs in zip(hand_visuals(hand), hand_visuals(other), strict=True):
            np.testing.assert_allclose(theirs.vertices, own.vertices * (1.0, sign, 1.0), atol=1e-6)
            assert own.normals is not None
            assert theirs.normals is not None
            np.testing.assert_allclose(theirs.normals, own.normals * (1.0, sign, 1.0), atol=1e-4)


@pytest.mark.parametrize(
    ("physics", "root"), [("on", "floating"), ("on", "fixed"), ("off", "floating"), ("off", "fixed")]
)
def test_newton_imports_bodies_and_colliders_and_what_is_seen_but_no_annotation(
    physics: str, root: str
) -> None:
    newton = pytest.importorskip("newton")
    hand = load_hand("allegro")
    stage = Usd.Stage.Open(str(hand.path))
    select(stage, physics=physics, root=root)
    builder = newton.ModelBuilder()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a hand without bodies has nothing to simulate
        builder.add_usd(stage)
    colliding = [bool(flags & newton.ShapeFlags.COLLIDE_SHAPES) for flags in builder.shape_flags]
    drawn = [bool(flags & newton.ShapeFlags.VISIBLE) for flags in builder.shape_flags]
    assert sum(drawn) == len(hand_visuals(hand))
    assert not any(np.logical_and(colliding, drawn))
    if physics == "off":
        assert builder.body_count == builder.joint_count == sum(colliding) == 0
        return
    assert builder.body_count == hand.link_count
    assert sum(colliding) == len(hand.geometry_type)
    assert builder.shape_count == len(hand.geometry_type) + len(hand_visuals(hand))
    np.testing.assert_allclose(sum(builder.body_mass), hand.link_mass.sum(), rtol=1e-5)
    free = sum(kind == newton.JointType.FREE for kind in builder.joint_type)
    held = sum(kind == newton.JointType.FIXED for kind in builder.joint_type)
    assert (free, held) == ((1, 0) if root == "floating" else (0, 1))


def test_a_fixed_hand_is_read_as_the_same_hand(tmp_path: Path) -> None:
    hand = load_hand("robotiq_2f140")
    stage = Usd.Stage.CreateNew(str(tmp_path / "fixed.usda"))
    prim = stage.DefinePrim("/robotiq_2f140")
    prim.GetReferences().AddReference(str(hand.path))
    stage.SetDefaultPrim(prim)
    prim.GetVariantSets().SetSelection("root", "fixed")
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.Save()
    fixed = load_hand(tmp_path / "fixed.usda")
    assert fixed.joint_names == hand.joint_names
    assert replace(fixed.grasp_types["power"]) == hand.grasp_types["power"]
    np.testing.assert_array_equal(fixed.geometry_position, hand.geometry_position)


@pytest.mark.parametrize(
    ("name", "earlier"),
    [
        ("ability_hand", "a5c218c9"),
        ("allegro", "61a2482c"),
        ("barrett", "f3d09b37"),
        ("leap", "a98f529c"),
        ("robotiq_2f140", "db34cabd"),
        ("robotiq_3f", "36a59103"),
        ("shadow", "2450ab29"),
        ("shadow_wristless", "552b8e1b"),
    ],
)
def test_grasps_made_before_hands_had_looks_are_of_the_same_hands(name: str, earlier: str) -> None:
    """The hashes are those of the files at c366ba6, as its own code computes them."""
    assert [known[:8] for known in load_hand(name).earlier_hashes] == [earlier]


def test_pictures_draw_looks_but_under_the_spheres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spheres stand for what collides, so that the third view shows the collision pieces."""
    hand, size = load_hand("robotiq_2f140"), 64

    def views(name: str) -> list[np.ndarray]:
        with Image.open(write_hand_picture(tmp_path / name, hand, size=size)) as image:
            return np.split(np.asarray(image)[12:size], 3, axis=1)  # without the titles

    seen = views("looks.png")
    monkeypatch.setattr(picture, "hand_visuals", lambda _: ())
    plain = views("plain.png")
    assert np.mean(np.any(seen[0] != plain[0], axis=2)) > 0.02
    assert np.mean(np.any(seen[1] != plain[1], axis=2)) > 0.02
    np.testing.assert_array_equal(seen[2], plain[2])


def test_reports_show_the_looks_where_the_links_are(tmp_path: Path) -> None:
    hand, half_turn = load_hand("robotiq_2f140"), np.array([1.0, 0.0, 0.0, 0.0])
    model = offset_box(tmp_path, (0.02, 0.02, 0.02))
    place = np.array([0.01, 0.02, 0.2])
    grasps = grasps_of(
        hand, model, root_position=place[None], root_quaternion=half_turn[None], joint_position=hand.dof_opening[None]
    )  # fmt: skip
    case = GraspCase(tmp_path / "box.npz", "00", grasps, hand, model)
    found = grasp_scenes([case], [[0]])
    assert found is not None
    scene = trimesh.load(io.BytesIO(found.glb), file_type="glb")
    position, quaternion = hand.forward_kinematics(place, half_turn, hand.dof_opening)
    for link in {mesh.link for mesh in hand_visuals(hand)}:
        shown = np.concatenate([mesh.vertices for mesh in hand_visuals(hand) if mesh.link == link])
        expected = Rotation.from_quat(quaternion[link]).apply(shown) + position[link]
        matrix, name = scene.graph[f"hand/{hand.link_names[link]}"]
        points = trimesh.transform_points(scene.geometry[name].vertices, matrix)
        for bound in (np.min, np.max):
            np.testing.assert_allclose(bound(points, axis=0), bound(expected, axis=0), atol=1e-6)
