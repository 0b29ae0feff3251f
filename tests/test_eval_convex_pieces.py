"""Convex pieces of objects: one for a convex object, a cached decomposition for others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from eval_factory import offset_box

from warpgrasp.objects import convex_pieces as pieces_module
from warpgrasp.objects import load_object
from warpgrasp.objects.convex_pieces import ConvexPieceConfig, convex_pieces


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
