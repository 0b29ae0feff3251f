"""Boxes, capsules and convex shapes of the hands against trimesh: distances, volumes, inertias, merged planes."""

from __future__ import annotations

import numpy as np
import pytest

from warpgrasp.geometry.rotations import rpy_to_quaternion
from warpgrasp.geometry.shapes import box_shape, capsule_shape, combine_mass, convex_shape
from warpgrasp.hands import GeometryType


def test_shapes_agree_with_trimesh() -> None:
    """Distance, closest point, volume and inertia of posed shapes against an independent library."""
    trimesh = pytest.importorskip("trimesh")
    random = np.random.default_rng(5)
    turn = rpy_to_quaternion((0.3, -0.7, 1.1))
    corners = random.normal(size=(20, 3)) * (0.01, 0.02, 0.03)
    shapes = [
        box_shape((0.01, 0.02, 0.005), (0.01, 0.0, -0.02), turn),
        convex_shape(corners),
        capsule_shape(0.01, 0.02, (0.0, 0.01, 0.0), turn),
    ]
    for shape, tolerance in zip(shapes, (1e-9, 1e-9, 2e-4), strict=True):
        mesh = trimesh.Trimesh(shape.mesh.vertices, shape.mesh.faces, process=False)
        assert mesh.is_watertight
        outside = random.normal(size=(200, 3)) * 0.04
        closest, distance, _ = trimesh.proximity.closest_point_naive(mesh, outside)
        surface, normal, signed = shape.closest_surface_points(outside)
        out = signed > tolerance
        assert out.sum() > 50
        np.testing.assert_allclose(signed[out], distance[out], atol=tolerance)
        if shape.type != GeometryType.CAPSULE:
            np.testing.assert_allclose(surface[out], closest[out], atol=1e-8)
        np.testing.assert_allclose(surface + signed[:, None] * normal, outside, atol=1e-9)
        mass = shape.mass_properties(2.0)
        mesh.density = 2.0 / mesh.volume
        np.testing.assert_allclose(mass.center_of_mass, mesh.center_mass, atol=1e-9)
        np.testing.assert_allclose(mass.inertia, mesh.moment_inertia, rtol=1e-6, atol=1e-12)


def test_combined_mass_of_two_halves_is_the_whole() -> None:
    left = box_shape((0.01, 0.01, 0.01), (-0.01, 0.0, 0.0)).mass_properties(1.0)
    right = box_shape((0.01, 0.01, 0.01), (0.01, 0.0, 0.0)).mass_properties(1.0)
    whole = box_shape((0.02, 0.01, 0.01), (0.0, 0.0, 0.0)).mass_properties(2.0)
    both = combine_mass([left, right])
    np.testing.assert_allclose(both.inertia, whole.inertia, atol=1e-12)


def test_merged_planes_of_a_cube() -> None:
    corners = [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
    assert len(convex_shape(corners).plane) == 6
    with pytest.raises(ValueError, match="not in one plane"):
        convex_shape([(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0)])
