"""What the coarse distances rule out is farther than asked by an independent distance, and little else is left over."""

from __future__ import annotations

import numpy as np
import pytest
import warp as wp
from cases import example_objects
from oracle_geometry import closest_on_mesh

from warpgrasp.kernels.distance_bound import DistanceBound, query_nearer, surely_farther
from warpgrasp.kernels.mesh_distance import UNBOUNDED, MeshSet, query_closest_feature
from warpgrasp.objects.device import distance_bound, mesh_set


@wp.kernel
def _rule_out(
    bound: DistanceBound,
    object_index: wp.array(dtype=wp.int32),
    points: wp.array(dtype=wp.vec3),
    reach: wp.array(dtype=wp.float32),
    # outputs
    out: wp.array(dtype=wp.bool),
):
    i = wp.tid()
    out[i] = surely_farther(bound, object_index[i], points[i], reach[i])


@pytest.mark.parametrize("extent", [1.0, 3.0])
def test_points_ruled_out_are_farther(extent: float) -> None:
    """Points within ``extent`` times the bounding box, asked around their own distance."""
    models = example_objects(3)
    meshes, keep_alive = mesh_set(models, "cpu")
    bound = distance_bound(models, meshes, "cpu")
    rng = np.random.default_rng(0)
    index = np.repeat(np.arange(len(models)), 40)
    lower = np.array([models[i].vertices.min(axis=0) for i in index])
    upper = np.array([models[i].vertices.max(axis=0) for i in index])
    offset = extent * 0.5 * (upper - lower) * rng.uniform(-1.0, 1.0, lower.shape)
    points = (0.5 * (lower + upper) + offset).astype(np.float32).astype(np.float64)
    exact = np.array([closest_on_mesh(models[i], p)[1] for i, p in zip(index, points, strict=True)])
    # A node is at most half a cell's diagonal away, and its own distance differs by as much again.
    loose = np.sqrt(3.0) * np.array([np.ptp(models[i].vertices, axis=0).max() / 48 for i in index]) + 2e-5

    def ruled_out(reach: np.ndarray) -> np.ndarray:
        out = wp.zeros(len(points), dtype=wp.bool, device="cpu")
        inputs = [wp.array(points, dtype=wp.vec3), wp.array(reach, dtype=wp.float32), out]
        wp.launch(
            _rule_out, dim=len(points), inputs=[bound, wp.array(index, dtype=wp.int32), *inputs], device="cpu"
        )
        return np.asarray(out.numpy())

    assert keep_alive
    assert (exact < 0.0).any()
    assert not ruled_out(exact + 1e-6).any()
    box = np.linalg.norm(points - np.clip(points, lower, upper), axis=1)
    assert ruled_out(np.where(box == 0.0, exact - loose, box - 2e-5)).all()


@wp.kernel
def _query(
    meshes: MeshSet,
    bound: DistanceBound,
    object_index: wp.array(dtype=wp.int32),
    points: wp.array(dtype=wp.vec3),
    reach: wp.array(dtype=wp.float32),
    # outputs
    nearer: wp.array(dtype=wp.float32),
    near_normal: wp.array(dtype=wp.vec3),
    distance: wp.array(dtype=wp.float32),
    normal: wp.array(dtype=wp.vec3),
):
    i = wp.tid()
    near = query_nearer(meshes, bound, object_index[i], points[i], reach[i])
    nearer[i] = near.distance
    near_normal[i] = near.normal
    feature = query_closest_feature(meshes, object_index[i], points[i], UNBOUNDED)
    distance[i] = feature.distance
    normal[i] = feature.normal


def test_nearer_features_are_the_closest_ones_to_the_bit() -> None:
    """Points inside and outside, reaches from 5 mm inside to 2 cm outside; where nothing is nearer, a bound of the distance."""
    models, count = example_objects(3), 3000
    meshes, keep_alive = mesh_set(models, "cpu")
    bound = distance_bound(models, meshes, "cpu")
    random = np.random.default_rng(1)
    index = np.arange(count) % len(models)
    surface = np.array([models[i].surface_samples(200)[0][random.integers(200)] for i in index])
    points = surface + random.normal(size=(count, 3)) * random.choice([0.001, 0.01], size=(count, 1))
    reach: wp.array = wp.array(random.uniform(-0.005, 0.02, count), dtype=wp.float32, device="cpu")
    numbers = [wp.zeros(count, dtype=wp.float32, device="cpu") for _ in range(2)]
    normals = [wp.zeros(count, dtype=wp.vec3, device="cpu") for _ in range(2)]
    seen = [wp.array(index, dtype=wp.int32), wp.array(points, dtype=wp.vec3), reach]
    outputs = [numbers[0], normals[0], numbers[1], normals[1]]
    wp.launch(_query, dim=count, inputs=[meshes, bound, *seen], outputs=outputs, device="cpu")
    nearer, distance = (array.numpy() for array in numbers)
    here = distance < reach.numpy()
    assert 0.2 < here.mean() < 0.8
    assert np.sum(here & (distance < -0.002)) > 20
    np.testing.assert_array_equal(nearer[here], distance[here])
    np.testing.assert_array_equal(normals[0].numpy()[here], normals[1].numpy()[here])
    assert np.all(nearer[~here] >= reach.numpy()[~here])
    assert np.all(nearer[~here] <= distance[~here] + 1e-6)
    assert len(keep_alive) == len(models)
