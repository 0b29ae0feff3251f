"""Signed distance: closed forms, and a float64 brute force over all triangles with the sign of the winding number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
import warp as wp

from warpgrasp.kernels.mesh_distance import launch_signed_distance
from warpgrasp.objects import ObjectModel, SignMethod, example_object_path, load_object
from warpgrasp.objects.device import mesh_set

SHARED = Path(__file__).parents[2] / "shared" / "objects"
TOLERANCE = 1.0e-5  # m
ON_SURFACE = 3.0e-6  # m; what float32 leaves of a distance of zero on a triangle 85 mm long and 1 mm high

SHARED_NAMES = ["os_coffeemug", "os_wineglass", "ycb_035_power_drill", "ycb_065-e_cup", "os_binoculars"]
shared_object = pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=pytest.mark.skipif(not SHARED.is_dir(), reason=f"no shared objects at {SHARED}")
        )
        for name in SHARED_NAMES
    ],
)


def query(
    models: ObjectModel | list[ObjectModel], points: np.ndarray, index: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signed distance, outward normal and closest point from the kernel."""
    meshes, keep_alive = mesh_set(models if isinstance(models, list) else [models], "cpu")
    count = len(points)
    distance = wp.zeros(count, dtype=wp.float32, device="cpu")
    normal, closest = (wp.zeros(count, dtype=wp.vec3, device="cpu") for _ in range(2))
    launch_signed_distance(
        meshes,
        wp.array(np.zeros(count) if index is None else index, dtype=wp.int32, device="cpu"),
        wp.array(points, dtype=wp.vec3, device="cpu"),
        distance=distance,
        normal=normal,
        closest=closest,
    )
    assert keep_alive
    return distance.numpy().astype(float), normal.numpy().astype(float), closest.numpy().astype(float)


def winding_number(model: ObjectModel, points: np.ndarray) -> np.ndarray:
    """Solid angle of all triangles over 4 pi, in float64 [Van Oosterom & Strackee 1983]."""
    result = np.empty(len(points))
    for i, point in enumerate(points):
        a, b, c = (model.vertices[model.faces[:, corner]] - point for corner in range(3))
        la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
        triple = np.einsum("fi,fi->f", a, np.cross(b, c))
        dots = [np.einsum("fi,fi->f", u, v) for u, v in ((a, b), (b, c), (c, a))]
        result[i] = np.arctan2(triple, la * lb * lc + dots[0] * lc + dots[1] * la + dots[2] * lb).sum() / (
            2.0 * np.pi
        )
    return result


def oracle(model: ObjectModel, points: np.ndarray) -> np.ndarray:
    """Signed distance in float64: trimesh's closest point on every triangle, sign from the winding number."""
    # In millimetres: trimesh compares lengths with absolute tolerances that are too coarse for metres.
    corners = 1.0e3 * model.vertices[model.faces]
    closest = [
        trimesh.triangles.closest_point(corners, np.tile(1.0e3 * p, (len(corners), 1))) for p in points
    ]
    offset = 1.0e-3 * np.array(closest) - points[:, None]
    distance = np.linalg.norm(offset, axis=2).min(axis=1)
    return np.where(winding_number(model, points) > 0.5, -distance, distance)


def from_mesh(tmp_path: Path, mesh: trimesh.Trimesh) -> ObjectModel:
    path = tmp_path / "object.ply"
    mesh.export(path)
    return load_object(path)


def assert_consistent(
    points: np.ndarray, distance: np.ndarray, normal: np.ndarray, closest: np.ndarray
) -> None:
    """The normal is a unit vector, and the distance along it leads from the closest point to the query."""
    np.testing.assert_allclose(np.linalg.norm(normal, axis=1), 1.0, atol=1e-5)
    off = np.abs(distance) > ON_SURFACE
    np.testing.assert_allclose((closest + distance[:, None] * normal)[off], points[off], atol=1e-6)


# ------------------------------------------------------------------------------------------------------ closed forms


def box_distance(points: np.ndarray, half: np.ndarray) -> np.ndarray:
    offset = np.abs(points) - half
    return np.linalg.norm(np.maximum(offset, 0.0), axis=1) + np.minimum(offset.max(axis=1), 0.0)


def test_box_is_exact_everywhere(tmp_path: Path) -> None:
    half = np.array([0.05, 0.03, 0.015])
    model = from_mesh(tmp_path, trimesh.creation.box(extents=2.0 * half))
    random = np.random.default_rng(0)
    cases = [random.uniform(-1.6, 1.6, (3000, 3)) * half]
    grid = np.stack(np.meshgrid(*[[-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5]] * 3), axis=-1).reshape(-1, 3)
    cases.append(grid * half)  # faces, edges and corners, their continuations, and the medial planes
    points = np.concatenate(cases)
    distance, normal, closest = query(model, points)
    np.testing.assert_allclose(distance, box_distance(points, half), atol=1e-6)
    assert_consistent(points, distance, normal, closest)


def test_box_normals_on_the_surface_point_out(tmp_path: Path) -> None:
    half = np.array([0.05, 0.03, 0.015])
    model = from_mesh(tmp_path, trimesh.creation.box(extents=2.0 * half))
    points, normals = model.surface_samples(500)
    distance, normal, _ = query(model, points)
    np.testing.assert_array_less(np.abs(distance), ON_SURFACE)
    # Within float32 of an edge either face may be the closest.
    inner = np.sort(half - np.abs(points), axis=1)[:, 1] > 1e-5
    np.testing.assert_allclose(normal[inner], normals[inner], atol=1e-4)


def test_ball_and_torus_within_their_tessellation(tmp_path: Path) -> None:
    radius, tube = 0.05, 0.02
    random = np.random.default_rng(1)
    points = random.uniform(-0.08, 0.08, (3000, 3))

    ball = trimesh.creation.icosphere(subdivisions=6, radius=radius)
    sag = radius - np.linalg.norm(ball.triangles_center, axis=1).min()
    distance, normal, closest = query(from_mesh(tmp_path, ball), points)
    expected = np.linalg.norm(points, axis=1) - radius
    assert sag < TOLERANCE
    np.testing.assert_array_less(expected - 1e-6, distance)  # the inscribed mesh is never farther out
    np.testing.assert_allclose(distance, expected, atol=1.4 * sag + 1e-6)
    assert_consistent(points, distance, normal, closest)

    torus = trimesh.creation.torus(radius, tube, major_sections=400, minor_sections=200)
    sag = radius * (1.0 - np.cos(np.pi / 400)) + tube * (1.0 - np.cos(np.pi / 200))
    distance, normal, closest = query(from_mesh(tmp_path, torus), points)
    ring = np.hypot(points[:, 0], points[:, 1]) - radius
    np.testing.assert_allclose(distance, np.hypot(ring, points[:, 2]) - tube, atol=2.0 * sag)
    assert_consistent(points, distance, normal, closest)


# ------------------------------------------------------------------------------------------------------- brute force


def probes(model: ObjectModel, count: int) -> dict[str, np.ndarray]:
    """Query points around, on and in an object, ``count`` of each kind."""
    random = np.random.default_rng(int(model.mesh_hash[:8], 16))
    low, high = model.vertices.min(axis=0), model.vertices.max(axis=0)
    surface, normals = model.surface_samples(count)
    face = random.choice(len(model.faces), count)
    corner = random.integers(3, size=count)
    start, end = (
        model.vertices[model.faces[face, corner]],
        model.vertices[model.faces[face, (corner + 1) % 3]],
    )
    columns = model.face_pseudo_normals[face].astype(float)
    # Edge (corner, corner + 1) is the one opposite the third vertex.
    edge_normal = columns[np.arange(count), 1 + (corner + 2) % 3]
    vertex_normal = columns[np.arange(count), 4 + corner]
    step = 10.0 ** random.uniform(-5.0, -3.0, (count, 1)) * random.choice([-1.0, 1.0], (count, 1))
    return {
        "around": random.uniform(low - 0.02, high + 0.02, (count, 3)),
        "near faces": surface + step * normals,
        "near edges": start + random.random((count, 1)) * (end - start) + step * edge_normal,
        "near vertices": start + step * vertex_normal,
        "shallow inside": surface - 3e-4 * normals,
        "on faces": surface,
        "on edges": start + random.random((count, 1)) * (end - start),
        "on vertices": start,
    }


def check_against_oracle(model: ObjectModel, count: int) -> int:
    """Compare all distances; returns at how many points only the sign differs."""
    wrong_signs = 0
    for kind, points in probes(model, count).items():
        points = points.astype(np.float32).astype(np.float64)  # the kernel and the oracle see the same point
        distance, normal, closest = query(model, points)
        assert_consistent(points, distance, normal, closest)
        if kind.startswith("on "):
            np.testing.assert_array_less(np.abs(distance), ON_SURFACE, err_msg=kind)
            continue
        expected = oracle(model, points)
        np.testing.assert_allclose(np.abs(distance), np.abs(expected), atol=TOLERANCE, err_msg=kind)
        wrong_signs += int(np.sum(np.abs(distance - expected) > TOLERANCE))
    return wrong_signs


@shared_object
def test_shared_objects_agree_with_brute_force(name: str) -> None:
    # The simplified meshes intersect themselves here and there (the drill does at its chuck), and in such a fold of less
    # than a millimetre the winding number is 0 or 2 where the pseudo normal sees one layer.
    assert check_against_oracle(load_object(SHARED / f"{name}.obj"), 100) <= 1


def test_example_mug_agrees_with_brute_force() -> None:
    assert check_against_oracle(load_object(example_object_path("mug")), 100) == 0


def test_sign_inside_a_thin_wall(tmp_path: Path) -> None:
    # A card of 0.2 mm: the pseudo normal decides between two faces a hair apart, and on rims with acute edges.
    wedge = trimesh.creation.box(extents=[0.08, 0.06, 0.0002])
    wedge.vertices[wedge.vertices[:, 0] > 0.0, 2] *= (
        0.02  # the rim is 4 um thick, the angle there 0.14 degrees
    )
    model = from_mesh(tmp_path, wedge)
    assert model.sign_method == SignMethod.PSEUDO_NORMAL
    random = np.random.default_rng(2)
    points = random.uniform(-1.0, 1.0, (2000, 3)) * [0.05, 0.04, 0.0003]
    distance, _, _ = query(model, points)
    expected = oracle(model, points.astype(np.float32).astype(np.float64))
    np.testing.assert_allclose(distance, expected, atol=TOLERANCE)
    clear = np.abs(expected) > 1e-6
    np.testing.assert_array_equal(np.sign(distance[clear]), np.sign(expected[clear]))
    assert np.sum(expected < -1e-6) > 150


def test_obtuse_and_acute_corners_keep_their_sign(tmp_path: Path) -> None:
    # A fan of needles around one apex, half of them folded in: the case for which angle weights were made.
    angle = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
    radius = np.where(np.arange(24) % 2 == 0, 0.05, 0.012)
    rim = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.zeros(24)], axis=1)
    vertices = np.concatenate([rim, [[0.0, 0.0, 0.03], [0.01, 0.0, -0.06]]])
    following = np.roll(np.arange(24), -1)
    top = np.stack([np.arange(24), following, np.full(24, 24)], axis=1)
    bottom = np.stack([following, np.arange(24), np.full(24, 25)], axis=1)
    model = from_mesh(tmp_path, trimesh.Trimesh(vertices, np.concatenate([top, bottom]), process=False))
    assert model.watertight
    random = np.random.default_rng(5)
    points = random.uniform(-0.06, 0.06, (3000, 3)).astype(np.float32).astype(np.float64)
    distance, normal, closest = query(model, points)
    np.testing.assert_allclose(distance, oracle(model, points), atol=1e-6)
    assert_consistent(points, distance, normal, closest)


def test_sign_around_a_pinch(tmp_path: Path) -> None:
    # A tube flattened to nothing at one place: edges of four faces, taken apart into sheets while loading.
    ring = trimesh.creation.torus(0.04, 0.015)
    waist = np.abs(np.arctan2(ring.vertices[:, 1], ring.vertices[:, 0])) < 1e-6
    ring.vertices[waist] = ring.vertices[waist] * [1.0, 1.0, 0.0]
    model = from_mesh(tmp_path, ring)
    assert model.sign_method == SignMethod.PSEUDO_NORMAL
    random = np.random.default_rng(7)
    points = (
        random.uniform([0.02, -0.01, -0.006], [0.06, 0.01, 0.006], (800, 3))
        .astype(np.float32)
        .astype(np.float64)
    )
    distance, normal, closest = query(model, points)
    np.testing.assert_allclose(distance, oracle(model, points), atol=TOLERANCE)
    assert_consistent(points, distance, normal, closest)


# ------------------------------------------------------------------------------------------------------ broken meshes


def test_mesh_with_a_hole_uses_the_winding_number(tmp_path: Path) -> None:
    ball = trimesh.creation.icosphere(subdivisions=4, radius=0.04)
    ball.update_faces(ball.triangles_center[:, 2] < 0.034)
    model = from_mesh(tmp_path, ball)
    assert model.sign_method == SignMethod.WINDING
    random = np.random.default_rng(3)
    points = random.uniform(-0.06, 0.06, (3000, 3))
    level = np.linalg.norm(points, axis=1)
    clear = (np.abs(level - 0.04) > 2e-4) & ((points[:, 2] < 0.028) | (points[:, 2] > 0.04))
    points, level = points[clear], level[clear]
    distance, normal, closest = query(model, points)
    np.testing.assert_array_equal(distance < 0.0, level < 0.04)
    assert_consistent(points, distance, normal, closest)
    subset = points[:150].astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(query(model, subset)[0], oracle(model, subset), atol=TOLERANCE)


def test_overlapping_bodies_use_the_winding_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "manifold3d", None)
    first = trimesh.creation.box(extents=[0.06, 0.04, 0.04])
    second = first.copy()
    second.apply_translation([0.03, 0.01, 0.0])
    model = from_mesh(tmp_path, trimesh.util.concatenate([first, second]))
    assert model.sign_method == SignMethod.WINDING
    points = np.random.default_rng(4).uniform(-0.06, 0.09, (2000, 3))
    half = np.array([0.03, 0.02, 0.02])
    separate = [box_distance(points, half), box_distance(points - [0.03, 0.01, 0.0], half)]
    distance, _, _ = query(model, points)
    union = np.minimum(*separate)
    clear = np.abs(union) > 1e-5
    np.testing.assert_array_equal((distance < 0.0)[clear], (union < 0.0)[clear])
    outside = union > 0.0
    np.testing.assert_allclose(distance[outside], union[outside], atol=TOLERANCE)


def test_objects_of_one_set_do_not_mix(tmp_path: Path) -> None:
    ball = from_mesh(tmp_path, trimesh.creation.icosphere(subdivisions=3, radius=0.04))
    box = from_mesh(tmp_path, trimesh.creation.box(extents=[0.06, 0.04, 0.08]))
    mug = load_object(example_object_path("mug"))
    models = [ball, box, mug]
    random = np.random.default_rng(6)
    points, index = random.uniform(-0.06, 0.06, (600, 3)), random.integers(3, size=600)
    together = query(models, points, index)
    for i, model in enumerate(models):
        for mixed, alone in zip(together, query(model, points[index == i]), strict=True):
            np.testing.assert_array_equal(mixed[index == i], alone)
