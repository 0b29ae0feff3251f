"""An object for tests of assets, and pieces for it without CoACD."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from warpgrasp.objects import ObjectModel
from warpgrasp.objects import convex_pieces as pieces_module
from warpgrasp.objects.convex_pieces import ConvexPiece


def no_decomposition(monkeypatch: pytest.MonkeyPatch) -> None:
    """CoACD takes many seconds per object: an L falls into its two boxes."""

    def two_boxes(model: ObjectModel, config: Any, stop: Any) -> tuple[ConvexPiece, ...]:
        low, high = model.vertices.min(axis=0), model.vertices.max(axis=0)
        split = low[0] + (high[0] - low[0]) / 3.0
        return tuple(
            pieces_module._piece(np.array(trimesh.creation.box(bounds=[a, b]).vertices))
            for a, b in (
                (low, [split, high[1], high[2]]),
                ([split, low[1], low[2]], [high[0], low[1] + 0.02, high[2]]),
            )
        )

    monkeypatch.setattr(pieces_module, "_decompose", two_boxes)
    monkeypatch.setattr(pieces_module, "_read", lambda path: None)
    monkeypatch.setattr(pieces_module, "_write", lambda path, pieces: None)


def write_l(folder: Path, name: str = "angle.stl", scale: float = 1.0) -> Path:
    """An L of 60 x 50 x 40 mm, off the origin and turned, so that nothing is symmetric."""
    outline = np.array([(0, 0), (0.06, 0), (0.06, 0.02), (0.02, 0.02), (0.02, 0.05), (0, 0.05)])
    faces = [(0, 1, 2), (0, 2, 3), (0, 3, 4), (0, 4, 5)]
    count = len(outline)
    vertices = np.concatenate([np.c_[outline, np.zeros(count)], np.c_[outline, np.full(count, 0.04)]])
    triangles = [f[::-1] for f in faces] + [tuple(i + count for i in f) for f in faces]
    for i in range(count):
        j = (i + 1) % count
        triangles += [(i, j, j + count), (i, j + count, i + count)]
    mesh = trimesh.Trimesh(scale * (vertices + np.array([0.01, -0.02, 0.005])), triangles, process=False)
    folder.mkdir(parents=True, exist_ok=True)
    mesh.export(folder / name)
    return folder / name
