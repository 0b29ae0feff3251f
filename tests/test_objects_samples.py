"""Surface samples: on the surface, even, the same every time; farthest points against a plain loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from warpgrasp.geometry.clusters import bounding_disc
from warpgrasp.objects import example_object_path, load_object
from warpgrasp.objects.geometry import farthest_point_indices


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


def test_discs_hold_their_points_and_are_flat_where_those_are() -> None:
    """In float32: every point is within radius and half height; points of a tilted plane give a disc of no height."""
    random = np.random.default_rng(5)
    tilt = Rotation.from_rotvec([0.4, -0.9, 0.3])
    for flatness in (1.0, 0.1, 0.0):
        points = tilt.apply(random.normal(size=(20, 3)) * (0.01, 0.006, 0.004 * flatness)) + 0.3
        disc = bounding_disc(points).astype(np.float32)
        offset = points.astype(np.float32) - disc[:3]
        height = offset @ disc[4:7]
        assert np.all(np.abs(height) <= disc[7])
        assert np.all(np.linalg.norm(offset - height[:, None] * disc[4:7], axis=1) <= disc[3])
        if flatness == 0.0:
            assert disc[7] < 2e-6
