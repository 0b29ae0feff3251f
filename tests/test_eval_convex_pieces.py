"""Convex pieces of objects: one for a convex object, a cached decomposition for others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from eval_factory import offset_box
from scipy.integrate import trapezoid

from warpgrasp.objects import ObjectError, ObjectModel, decomposition, example_object_path, load_object
from warpgrasp.objects import convex_pieces as pieces_module
from warpgrasp.objects.convex_pieces import ConvexPieceConfig, convex_pieces
from warpgrasp.objects.decomposition import DecompositionError


def test_convex_object_is_one_piece_and_needs_no_decomposition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "coacd", None)
    pieces = convex_pieces(offset_box(tmp_path, (0.01, 0.02, 0.03)), folder=tmp_path)
    assert len(pieces) == 1
    assert len(pieces[0].vertices) == 8


def angle_iron(folder: Path) -> Any:
    bars = [trimesh.creation.box([0.08, 0.02, 0.02]), trimesh.creation.box([0.02, 0.02, 0.06])]
    bars[1].apply_translation([0.03, 0.0, 0.04])
    trimesh.util.concatenate(bars).export(folder / "iron.stl")
    outline = np.array([[-4, -1], [4, -1], [4, 7], [2, 7], [2, 1], [-4, 1]]) * 0.01
    faces = [[0, 1, 4], [0, 4, 5], [1, 2, 3], [1, 3, 4]]
    count = len(outline)
    vertices = np.array([[x, y, z] for y in (-0.01, 0.01) for x, z in outline])
    triangles = [*faces, *([[c + count, b + count, a + count] for a, b, c in faces])]
    for i in range(count):
        j = (i + 1) % count
        triangles += [[i, i + count, j], [j, i + count, j + count]]
    solid = trimesh.Trimesh(vertices, triangles, process=False)
    trimesh.repair.fix_normals(solid)
    solid.export(folder / "iron.stl")
    return load_object(folder / "iron.stl")


def test_missing_coacd_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "coacd", None)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[sim\]'"):
        convex_pieces(angle_iron(tmp_path), folder=tmp_path / "cache")


def test_decomposition_covers_the_object_and_is_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("coacd", reason="CoACD is not installed (extra 'sim')")
    model, cache = angle_iron(tmp_path), tmp_path / "cache"
    pieces = convex_pieces(model, folder=cache)
    volume = sum(trimesh.Trimesh(piece.vertices, piece.faces).volume for piece in pieces)
    assert len(pieces) >= 2
    assert volume == pytest.approx(model.volume, rel=1e-3)
    (file,) = cache.glob("*.npz")
    with monkeypatch.context() as patch:
        patch.setattr(pieces_module, "_decompose", lambda *_: pytest.fail("decomposed again"))
        again = convex_pieces(model, folder=cache)
    for first, second in zip(pieces, again, strict=True):
        np.testing.assert_array_equal(first.vertices, second.vertices)
    file.write_bytes(b"damaged")
    assert len(convex_pieces(model, folder=cache)) == len(pieces)
    convex_pieces(model, ConvexPieceConfig(threshold=0.1), folder=cache)
    assert len(list(cache.glob("*.npz"))) == 2  # another accuracy is another entry


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_shipped_objects_bring_their_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scale: float
) -> None:
    """Without CoACD and without a cache; together they fill the object, each is convex, and faces look outward."""
    monkeypatch.setitem(sys.modules, "coacd", None)
    model = load_object(example_object_path("mug"), scale=scale)
    pieces = convex_pieces(model, folder=tmp_path)
    assert not list(tmp_path.iterdir())
    meshes = [trimesh.Trimesh(piece.vertices, piece.faces, process=False) for piece in pieces]
    assert len(meshes) > 10
    assert all(mesh.volume == pytest.approx(mesh.convex_hull.volume, rel=1e-4) for mesh in meshes)
    assert sum(mesh.volume for mesh in meshes) == pytest.approx(model.volume, rel=0.25)
    corners = np.concatenate([piece.vertices for piece in pieces])
    np.testing.assert_allclose(np.ptp(corners, axis=0), model.extent, atol=0.002 * scale)
    with pytest.raises(ImportError, match="CoACD"):  # another accuracy is none of the file
        convex_pieces(model, ConvexPieceConfig(threshold=0.1), folder=tmp_path)


def crossing_ring(folder: Path) -> ObjectModel:
    """A spindle torus: watertight, but its faces cross near the axis."""
    ring = trimesh.creation.torus(0.02, 0.025, major_sections=40, minor_sections=20)
    ring.export(folder / "ring.stl")
    return load_object(folder / "ring.stl")


def test_a_mesh_that_crosses_itself_is_said_and_measured_once(tmp_path: Path) -> None:
    model = crossing_ring(tmp_path)
    assert any("faces cross or touch others" in sentence for sentence in model.repairs)
    assert not model.watertight
    # Outside of the spindle: the profile at height z is the disc of radius R + sqrt(r^2 - z^2), polygons lie a little inside.
    height = np.linspace(-0.025, 0.025, 20_001)
    volume = trapezoid(np.pi * (0.02 + np.sqrt(0.025**2 - height**2)) ** 2, height)
    assert model.volume == pytest.approx(volume, rel=0.06)
    assert model.volume < volume


def test_a_mesh_that_crosses_itself_gets_a_new_surface_before_it_is_decomposed(tmp_path: Path) -> None:
    model = crossing_ring(tmp_path)
    ((vertices, faces, preprocess),) = decomposition._surfaces(model, ConvexPieceConfig())
    again = trimesh.Trimesh(vertices, faces, process=False)
    assert not preprocess
    assert again.is_watertight
    assert again.volume == pytest.approx(model.volume, rel=0.02)
    np.testing.assert_allclose(again.extents, model.extent, rtol=0.02)


def test_a_dense_mesh_is_decomposed_by_few_triangles_near_its_surface(tmp_path: Path) -> None:
    solid = trimesh.creation.torus(0.04, 0.01, major_sections=200, minor_sections=80)
    solid.export(tmp_path / "dense.stl")
    model = load_object(tmp_path / "dense.stl")
    vertices, faces, preprocess = next(decomposition._surfaces(model, ConvexPieceConfig()))
    assert not preprocess
    assert len(faces) < 0.2 * len(model.faces)
    few = trimesh.Trimesh(vertices, faces, process=False)
    assert few.is_watertight
    # The torus itself, by its equation: vertices stay on it, and centres of triangles are no further in than chords are.
    points = np.concatenate([few.vertices, few.triangles_center])
    ring = np.linalg.norm(points[:, :2], axis=1) - 0.04
    off = np.abs(np.hypot(ring, points[:, 2]) - 0.01)
    chords = 0.2e-3  # of the mesh itself
    assert off.max() < 0.125 * 0.03 * 0.05 + chords


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "crashed with SIGSEGV"),
        ("import time; time.sleep(60)", "was stopped after 1 s"),
        ("raise MemoryError('too much')", "ran out of memory"),
        ("import os, sys; sys.exit('threads: ' + os.environ['OMP_NUM_THREADS'])", "failed: threads: 1"),
    ],
)
def test_a_decomposition_that_crashes_or_hangs_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    child = tmp_path / "child.py"
    child.write_text(script)
    monkeypatch.setattr(decomposition, "_CHILD", child)
    with pytest.raises(ObjectError, match=rf"iron\.stl: cannot be decomposed .*{reason}"):
        decomposition.decompose(angle_iron(tmp_path), ConvexPieceConfig(), time_limit=1.0)


def test_a_crash_is_remembered_and_a_lack_of_memory_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "iron.stl"
    trimesh.util.concatenate(
        [trimesh.creation.box((0.1, 0.02, 0.02)), trimesh.creation.box((0.02, 0.1, 0.02))]
    ).export(path)
    model, tries = load_object(path), []

    def fail(reason: str) -> None:
        def decompose(model: Any, config: Any, stop: Any) -> None:
            tries.append(reason)
            raise DecompositionError(model, reason)

        monkeypatch.setattr(pieces_module, "_decompose", decompose)

    for reason in (
        "ran out of memory",
        "was stopped after 300 s",
        "crashed with SIGSEGV",
        "crashed with SIGSEGV",
    ):
        fail(reason)
        with pytest.raises(ObjectError, match=reason.split(" after")[0]):
            convex_pieces(model, folder=tmp_path / "cache")
    assert tries == ["ran out of memory", "was stopped after 300 s", "crashed with SIGSEGV"]
