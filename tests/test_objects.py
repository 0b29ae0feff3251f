"""Objects: formats, units, mass, pseudo normals, samples, shipped examples; oracles are closed forms and trimesh."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import trimesh
from pxr import Gf, Usd, UsdGeom, UsdPhysics
from scipy.spatial import cKDTree

from warpgrasp.objects import (
    ObjectError,
    SignMethod,
    example_object_names,
    example_object_path,
    feature_normals,
    load_object,
    target_scale,
)
from warpgrasp.objects.geometry import corner_normals, farthest_point_indices, mass_properties
from warpgrasp.objects.usd import triangulate_polygons

SHARED = Path(__file__).parents[2] / "shared" / "objects"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"the shared objects are not at {SHARED}")


def asymmetric_shape() -> trimesh.Trimesh:
    """A tetrahedron without any symmetry, off the origin."""
    vertices = np.array([[0.01, 0.0, 0.0], [0.11, 0.01, 0.0], [0.0, 0.08, 0.01], [0.02, 0.03, 0.06]])
    return trimesh.Trimesh(vertices, [[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]], process=False)


# ----------------------------------------------------------------------------------------------------------- formats


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


# --------------------------------------------------------------------------------------------------------------- USD


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


# -------------------------------------------------------------------------------------------------------------- mass


def test_mass_of_a_box_is_exact() -> None:
    box = trimesh.creation.box(extents=[0.1, 0.06, 0.03])
    center = np.array([0.3, -0.2, 0.5])
    mass = mass_properties(box.vertices + center, box.faces)
    volume = 0.1 * 0.06 * 0.03
    inertia = volume / 12.0 * np.array([0.06**2 + 0.03**2, 0.1**2 + 0.03**2, 0.1**2 + 0.06**2])
    np.testing.assert_allclose(mass.volume, volume, rtol=1e-12)
    np.testing.assert_allclose(mass.center_of_mass, center, rtol=1e-12)
    np.testing.assert_allclose(mass.inertia, np.diag(inertia), rtol=1e-10, atol=1e-18)


def test_mass_of_ball_and_torus_converges_to_the_closed_form() -> None:
    radius, tube = 0.05, 0.02
    ball = trimesh.creation.icosphere(subdivisions=5, radius=radius)
    mass = mass_properties(ball.vertices, ball.faces)
    volume = 4.0 / 3.0 * np.pi * radius**3
    np.testing.assert_allclose(mass.volume, volume, rtol=1e-3)
    np.testing.assert_allclose(mass.inertia, 0.4 * volume * radius**2 * np.eye(3), rtol=2e-3, atol=1e-12)

    torus = trimesh.creation.torus(radius, tube, major_sections=200, minor_sections=100)
    mass = mass_properties(torus.vertices, torus.faces)
    volume = 2.0 * np.pi**2 * radius * tube**2
    axial = volume * (radius**2 + 0.75 * tube**2)
    radial = volume * (0.5 * radius**2 + 0.625 * tube**2)
    np.testing.assert_allclose(mass.volume, volume, rtol=2e-3)
    np.testing.assert_allclose(np.diag(mass.inertia), [radial, radial, axial], rtol=4e-3)


@needs_shared
@pytest.mark.parametrize("name", ["os_coffeemug", "ycb_035_power_drill", "os_binoculars"])
def test_shared_objects_agree_with_trimesh(name: str) -> None:
    start = time.perf_counter()
    model = load_object(SHARED / f"{name}.obj")
    assert time.perf_counter() - start < 5.0
    expected = trimesh.load(SHARED / f"{name}.obj")
    assert model.watertight
    assert model.repairs == ()
    np.testing.assert_allclose(model.volume, expected.volume, rtol=1e-9)
    np.testing.assert_allclose(model.center_of_mass, expected.center_mass, atol=1e-12)
    np.testing.assert_allclose(model.inertia_unit_density, expected.moment_inertia, rtol=1e-6, atol=1e-14)


# ---------------------------------------------------------------------------------------------------- pseudo normals


def test_feature_normals_of_a_box_are_the_obvious_diagonals() -> None:
    box = trimesh.creation.box(extents=[0.1, 0.06, 0.03])
    normals = feature_normals(box.vertices, box.faces)
    assert normals.shape == (12, 7, 3)
    assert normals.dtype == np.float32
    np.testing.assert_allclose(normals[:, 0], box.face_normals, atol=1e-6)
    corners = np.sign(box.vertices[box.faces]) / np.sqrt(
        3.0
    )  # angles of the faces at a corner add up to 90 degrees each
    np.testing.assert_allclose(normals[:, 4:], corners, atol=1e-6)
    for edge, (start, end) in enumerate([(1, 2), (2, 0), (0, 1)]):
        middle = np.sign(np.round(box.vertices[box.faces[:, start]] + box.vertices[box.faces[:, end]], 9))
        # On a box edge two coordinates of the midpoint are extreme, on a face diagonal one.
        expected = middle / np.linalg.norm(middle, axis=1, keepdims=True)
        np.testing.assert_allclose(normals[:, 1 + edge], expected, atol=1e-6)


def test_feature_normals_agree_with_a_plain_loop() -> None:
    mesh = trimesh.creation.icosphere(subdivisions=1, radius=0.05)
    vertices = mesh.vertices * [1.0, 0.6, 0.3] + 0.004 * np.sin(400.0 * mesh.vertices[:, [1, 2, 0]])
    normals = feature_normals(vertices, mesh.faces)
    face_normal = {}
    vertex_sum, edge_sum = np.zeros_like(vertices), {}
    for index, face in enumerate(mesh.faces):
        a, b, c = vertices[face]
        normal = np.cross(b - a, c - a)
        normal /= np.linalg.norm(normal)
        face_normal[index] = normal
        for k in range(3):
            p, q, r = vertices[face[k]], vertices[face[(k + 1) % 3]], vertices[face[(k + 2) % 3]]
            cosine = (q - p) @ (r - p) / np.linalg.norm(q - p) / np.linalg.norm(r - p)
            vertex_sum[face[k]] += np.arccos(cosine) * normal
            edge = frozenset((int(face[(k + 1) % 3]), int(face[(k + 2) % 3])))
            edge_sum[edge] = edge_sum.get(edge, 0.0) + normal
    for index, face in enumerate(mesh.faces):
        expected = [face_normal[index]]
        expected += [edge_sum[frozenset((int(face[(k + 1) % 3]), int(face[(k + 2) % 3])))] for k in range(3)]
        expected += [vertex_sum[face[k]] for k in range(3)]
        expected = [vector / np.linalg.norm(vector) for vector in expected]
        np.testing.assert_allclose(normals[index], expected, atol=1e-6)


def test_corner_normals_are_smooth_around_a_cylinder_and_flat_on_its_caps() -> None:
    solid = trimesh.creation.cylinder(radius=0.02, height=0.05, sections=32)
    normals = corner_normals(solid.vertices, solid.faces)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=2), 1.0, atol=1e-12)
    cap = np.abs(solid.face_normals[:, 2]) > 0.5
    np.testing.assert_allclose(
        normals[cap], np.repeat(solid.face_normals[cap][:, None], 3, axis=1), atol=1e-6
    )
    outward = solid.vertices[solid.faces[~cap]] * [1.0, 1.0, 0.0] / 0.02
    np.testing.assert_allclose(normals[~cap], outward, atol=0.04)  # of the true cylinder, not of its facets
    ball = trimesh.creation.icosphere(subdivisions=3)
    np.testing.assert_allclose(
        corner_normals(ball.vertices, ball.faces), ball.vertices[ball.faces], atol=0.01
    )


def test_corner_normals_keep_creases_and_do_not_mind_broken_meshes() -> None:
    box = trimesh.creation.box()
    flat = np.repeat(box.face_normals[:, None], 3, axis=1)
    np.testing.assert_allclose(corner_normals(box.vertices, box.faces), flat, atol=1e-6)
    # One face turned around, one doubled, one without area.
    faces = np.concatenate([box.faces, box.faces[3:4], [[0, 1, 1]]])
    faces[0] = faces[0, ::-1]
    broken = corner_normals(box.vertices, faces)
    np.testing.assert_allclose(np.linalg.norm(broken, axis=2), 1.0, atol=1e-6)
    np.testing.assert_allclose(broken[0], -flat[0], atol=1e-6)


def test_feature_normals_of_a_face_without_area_are_its_neighbours() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0.5, 0, 0], [0.5, 1, 0], [0.5, -1, 0]], float)
    normals = feature_normals(vertices, np.array([[0, 1, 2], [0, 2, 3], [2, 1, 3], [1, 0, 4]]))
    np.testing.assert_allclose(normals.reshape(-1, 3), np.tile([0.0, 0.0, 1.0], (28, 1)), atol=1e-6)


# ----------------------------------------------------------------------------------------------------------- samples


def test_surface_samples_lie_on_the_surface_and_cover_it_evenly() -> None:
    model = load_object(example_object_path("mug"))
    points, normals = model.surface_samples(1000)
    assert points.shape == normals.shape == (1000, 3)
    mesh = trimesh.Trimesh(model.vertices, model.faces, process=False)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-6)
    # Each point lies in the plane of a face with its normal and inside that face (barycentric weights >= 0).
    corners = model.vertices[model.faces]
    for point, normal in zip(points[::5], normals[::5], strict=True):
        offset = np.einsum("fi,fi->f", point - corners[:, 0], mesh.face_normals)
        weights = trimesh.triangles.points_to_barycentric(corners, np.tile(point, (len(corners), 1)))
        on_face = (np.abs(offset) < 1e-9) & (weights.min(axis=1) > -1e-6)
        assert np.any(on_face & (mesh.face_normals @ normal > 1.0 - 1e-6))

    random_points = trimesh.sample.sample_surface(mesh, 1000, seed=0)[0]
    dense = trimesh.sample.sample_surface(mesh, 20000, seed=1)[0]
    covering, random_covering = (cKDTree(p).query(dense)[0].max() for p in (points, random_points))
    assert covering < 0.75 * random_covering
    spacing = cKDTree(points).query(points, k=2)[0][:, 1]
    assert spacing.min() > 0.4 * covering


def test_surface_samples_are_deterministic_and_cached(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.obj", "b.obj", "c.obj")]
    shape = trimesh.creation.icosphere(subdivisions=3, radius=0.05)
    shape.export(paths[0])
    shape.export(paths[1])
    shape.apply_scale(1.01)
    shape.export(paths[2])
    first, second, third = (load_object(path) for path in paths)
    assert first.mesh_hash == second.mesh_hash != third.mesh_hash
    assert first.file_hash == second.file_hash != third.file_hash
    np.testing.assert_array_equal(first.surface_samples(300)[0], second.surface_samples(300)[0])
    assert first.surface_samples(300)[0] is first.surface_samples(300)[0]
    assert not np.allclose(first.surface_samples(300)[0] * 1.01, third.surface_samples(300)[0])
    with pytest.raises(ValueError, match=r"count must be at least 1 \(got 0\)"):
        first.surface_samples(0)


def test_farthest_points_agree_with_a_plain_loop() -> None:
    points = np.random.default_rng(3).random((400, 3))
    selected = farthest_point_indices(points, 50)
    expected = [int(np.argmax(np.linalg.norm(points - points.mean(axis=0), axis=1)))]
    while len(expected) < 50:
        distance = np.linalg.norm(points[:, None] - points[expected], axis=2).min(axis=1)
        expected.append(int(distance.argmax()))
    np.testing.assert_array_equal(selected, expected)
    with pytest.raises(ValueError, match=r"\[1, 400\].*got 401"):
        farthest_point_indices(points, 401)


# ---------------------------------------------------------------------------------------------------------- examples


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
    assert stage.GetPrimAtPath(f"/{name}/mesh").HasAPI(UsdPhysics.CollisionAPI)


def test_example_objects_are_three_and_an_unknown_name_lists_them() -> None:
    assert example_object_names() == ("bottle", "duck", "mug")
    with pytest.raises(ObjectError, match=r"unknown example object 'cup'; choose from bottle, duck, mug"):
        example_object_path("cup")


def test_examples_can_be_authored_again(tmp_path: Path) -> None:
    pytest.importorskip("manifold3d", reason="authoring the examples needs manifold3d")
    from warpgrasp.assets.build import EXAMPLES, write_object_usd

    write_object_usd(tmp_path / "bottle.usda", "bottle", EXAMPLES["bottle"])
    again, shipped = load_object(tmp_path / "bottle.usda"), load_object(example_object_path("bottle"))
    np.testing.assert_allclose(again.volume, shipped.volume, rtol=1e-3)
    np.testing.assert_allclose(again.extent, shipped.extent, atol=5e-4)
