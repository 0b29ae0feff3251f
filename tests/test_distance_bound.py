"""What the coarse distances rule out is farther than asked by an independent distance, and little else is left over."""

from __future__ import annotations

import numpy as np
import pytest
import warp as wp
from cases import example_objects
from oracle_geometry import closest_on_mesh

from warpgrasp.kernels.distance_bound import DistanceBound, surely_farther
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
