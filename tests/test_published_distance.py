"""Contact distances at the states of the published GraspQP implementation (``../shared/reference``)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
import warp as wp

from warpgrasp.kernels.mesh_distance import launch_signed_distance
from warpgrasp.objects import load_object
from warpgrasp.objects.device import mesh_set

REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "reference"

pytestmark = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason="needs the published reference data in ../shared/reference"
)


@pytest.mark.parametrize("hand", ["allegro", "shadow"])
def test_plain_distance_at_published_contacts(hand: str) -> None:
    with np.load(REFERENCE / f"published_{hand}_blob.npz") as data:
        contacts = data["contact_position"].astype(np.float64)
        published = data["energy_distance"].astype(np.float64)
    model = load_object(REFERENCE / "blob.obj")
    points = contacts.reshape(-1, 3)
    meshes, owner = mesh_set([model], "cpu")
    assert owner
    distance = wp.empty(len(points), dtype=wp.float32, device="cpu")
    normal, closest = (wp.empty(len(points), dtype=wp.vec3, device="cpu") for _ in range(2))
    launch_signed_distance(
        meshes,
        wp.zeros(len(points), dtype=wp.int32, device="cpu"),
        wp.array(points.astype(np.float32), dtype=wp.vec3, device="cpu"),
        distance=distance,
        normal=normal,
        closest=closest,
    )
    # In millimetres: trimesh's tolerances are absolute.
    mesh = trimesh.Trimesh(1e3 * model.vertices, model.faces, process=False)
    oracle = np.concatenate(
        [
            1e-3 * trimesh.proximity.closest_point_naive(mesh, part)[1]
            for part in np.array_split(1e3 * points, 16)
        ]
    )
    np.testing.assert_allclose(np.abs(distance.numpy()), oracle, atol=1e-5)
    # The stored energy weighs |d| = sqrt(d^2 + 1e-8) by exp(1 - <n_hand, -n_obj>), which lies between 1 and e^2.
    plain = np.sqrt(distance.numpy().astype(np.float64) ** 2 + 1e-8).reshape(contacts.shape[:2]).sum(axis=1)
    assert (plain <= published * (1 + 1e-3)).all()
    assert (published <= np.exp(2.0) * plain * (1 + 1e-3)).all()
    assert np.median(published / plain) < 1.5
