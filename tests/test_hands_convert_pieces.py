"""Meshes before they are decomposed: few faces, and a surface that has hardly moved."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from warpgrasp.geometry.shapes import TriMesh
from warpgrasp.hands.convert import decompose
from warpgrasp.hands.convert.collision_pieces import simplified_mesh


def tube(subdivisions: int) -> TriMesh:
    solid = trimesh.creation.annulus(0.02, 0.025, 0.06)
    for _ in range(subdivisions):
        solid = solid.subdivide()
    return TriMesh(np.asarray(solid.vertices), np.asarray(solid.faces, dtype=np.int32))


def test_dense_meshes_lose_faces_and_little_shape() -> None:
    """A quarter of a million faces (a decomposition of minutes) become a few thousand within 2 mm of the surface."""
    dense = tube(5)
    few = simplified_mesh(dense)
    assert len(dense.faces) > 200_000
    assert 500 < len(few.faces) <= 6000
    distance, _ = cKDTree(dense.vertices).query(few.vertices)
    assert distance.max() < 2e-3
    before, after = (trimesh.Trimesh(m.vertices, m.faces, process=False) for m in (dense, few))
    assert abs(after.volume / before.volume - 1.0) < 0.1


def test_small_meshes_stay_as_they_are() -> None:
    mesh = tube(1)
    np.testing.assert_array_equal(simplified_mesh(mesh).vertices, mesh.vertices)


def test_a_decomposition_that_fails_or_stalls_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child that handles the tube alone dies; the others' pieces come out."""
    pytest.importorskip("coacd", reason="CoACD is not installed (extra 'sim')")
    good = tube(1)
    jobs = {"good": (good, 0.1, 4), "bad": (TriMesh(good.vertices[:3], good.faces[:1] * 0), 0.1, 4)}
    done = decompose.decompose_all(jobs, lambda _: None)
    assert len(done["good"]) > 1
    monkeypatch.setattr(decompose, "_SCRIPT", "while True: pass")
    monkeypatch.setattr(decompose, "_WALL_LIMIT", 0.5)
    assert decompose.decompose_all({"good": jobs["good"]}, lambda _: None) == {}
