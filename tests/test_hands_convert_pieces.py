"""Meshes before they are decomposed: few faces, and a surface that has hardly moved."""

from __future__ import annotations

import subprocess
from pathlib import Path

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


def test_a_decomposition_that_fails_or_stalls_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child that handles the tube alone dies; the others' pieces come out."""
    pytest.importorskip("coacd", reason="CoACD is not installed (extra 'sim')")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    good = tube(1)
    jobs = {"good": (good, 0.1, 4), "bad": (TriMesh(good.vertices[:3], good.faces[:1] * 0), 0.1, 4)}
    done = decompose.decompose_all(jobs, lambda _: None)
    assert len(done["good"]) > 1
    monkeypatch.setattr(decompose, "_SCRIPT", "while True: pass")
    monkeypatch.setattr(decompose, "_WALL_LIMIT", 0.5)
    assert decompose.decompose_all({"good": jobs["good"]}, lambda _: None) == {}


def test_pieces_are_kept_and_those_of_another_mesh_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second time no process is started; the same arrays come out. Other settings are another entry."""
    pytest.importorskip("coacd", reason="CoACD is not installed (extra 'sim')")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    job = (tube(1), 0.1, 4)
    first = decompose.decompose_all({"a": job}, lambda _: None)["a"]

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no process is started")

    monkeypatch.setattr(subprocess, "run", refuse)
    again = decompose.decompose_all({"b": job}, lambda _: None)["b"]
    assert len(first) == len(again) > 1
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert decompose.decompose_all({"c": (tube(1), 0.2, 4)}, lambda _: None) == {}
    moved = TriMesh(1.01 * job[0].vertices, job[0].faces)
    assert decompose.decompose_all({"d": (moved, 0.1, 4)}, lambda _: None) == {}
    (entry,) = tmp_path.rglob("*.npz")
    entry.write_bytes(b"damaged")
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert len(decompose.decompose_all({"a": job}, lambda _: None)["a"]) == len(first)


def test_a_mesh_that_ends_its_process_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(decompose, "_SCRIPT", "import os; os.abort()")
    assert decompose.decompose_all({"a": (tube(0), 0.1, 4)}, lambda _: None) == {}
    (marker,) = tmp_path.rglob("*.failed")
    assert "delete this file" in marker.read_text()
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("tried again"))
    assert decompose.decompose_all({"a": (tube(0), 0.1, 4)}, lambda _: None) == {}
