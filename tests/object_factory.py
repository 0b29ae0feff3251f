"""Small meshes, and objects loaded from their vertices and faces exactly as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh

from warpgrasp.objects import ObjectModel, load_object

__all__ = ["SIDE", "asymmetric_shape", "ball", "box", "load_arrays", "load_mesh"]

SIDE = 0.06


def asymmetric_shape() -> trimesh.Trimesh:
    """A tetrahedron without any symmetry, off the origin."""
    vertices = np.array([[0.01, 0.0, 0.0], [0.11, 0.01, 0.0], [0.0, 0.08, 0.01], [0.02, 0.03, 0.06]])
    return trimesh.Trimesh(vertices, [[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]], process=False)


def ball(radius: float = 0.04, subdivisions: int = 4) -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)


def box(center: tuple[float, float, float] = (0.0, 0.0, 0.0), side: float = SIDE) -> trimesh.Trimesh:
    mesh = trimesh.creation.box(extents=[side] * 3)
    mesh.apply_translation(center)
    return mesh


def load_arrays(tmp_path: Path, vertices: np.ndarray, faces: np.ndarray, **options: object) -> ObjectModel:
    """Write an OBJ file by hand, so that nothing is mended on the way, and load it."""
    path = tmp_path / "object.obj"
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in vertices] + [
        f"f {a} {b} {c}" for a, b, c in faces + 1
    ]
    path.write_text("\n".join(lines) + "\n")
    return load_object(path, **options)


def load_mesh(tmp_path: Path, mesh: trimesh.Trimesh, **options: object) -> ObjectModel:
    return load_arrays(tmp_path, np.asarray(mesh.vertices), np.asarray(mesh.faces), **options)
