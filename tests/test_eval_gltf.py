"""Grasps as glTF: scenes that share geometry, normals sharp at edges and smooth elsewhere, nothing empty written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from report_factory import make_case

from warpgrasp.eval.report.gltf import GltfBuilder, crease_normals
from warpgrasp.eval.report.scenes import grasp_scenes, posed


def test_scenes_share_geometry(tmp_path: Path) -> None:
    case = make_case(tmp_path, "mug")
    one, four = grasp_scenes([case], [[0]]), grasp_scenes([case], [[0, 1, 2, 3]])
    assert one is not None
    assert four is not None
    assert len(four.glb) < 1.15 * len(one.glb)
    assert grasp_scenes([case], [[]]) is None
    assert posed(case).tolist() == [True] * 4 + [False]
    again = grasp_scenes([case], [[0]])
    assert again is not None
    assert again.glb == one.glb


def test_normals_are_sharp_at_edges_and_smooth_elsewhere() -> None:
    box = trimesh.creation.box((1, 2, 3))
    vertices, normals, faces, source = crease_normals(box.vertices, box.faces)
    assert len(vertices) == 24
    assert np.abs(normals).max(axis=1) == pytest.approx(1.0)
    assert np.allclose(vertices[faces], box.vertices[box.faces])
    assert np.array_equal(source[faces], box.faces)
    ball = trimesh.creation.icosphere(subdivisions=3)
    vertices, normals, _, _ = crease_normals(ball.vertices, ball.faces)
    assert len(vertices) == len(ball.vertices)
    assert np.abs(vertices - normals).max() < 0.02


def test_builder_refuses_nothing() -> None:
    with pytest.raises(ValueError, match="at least one scene"):
        GltfBuilder().glb()
    with pytest.raises(ValueError, match="at least one node"):
        GltfBuilder().scene("empty", [])
