"""Read a mesh file of any supported format into one triangle soup; nothing is repaired here."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from warpgrasp.base.file_hash import file_hash
from warpgrasp.objects.error import ObjectError
from warpgrasp.objects.raw_mesh import Part, RawMesh, merge_parts

__all__ = ["MESH_SUFFIXES", "USD_SUFFIXES", "read_mesh"]

MESH_SUFFIXES = (".obj", ".stl", ".ply", ".glb", ".gltf", ".off")
USD_SUFFIXES = (".usd", ".usda", ".usdc", ".usdz")


def read_mesh(path: Path) -> RawMesh:
    """Read OBJ, STL, PLY, GLB, GLTF, OFF (trimesh) or USD, USDA, USDC, USDZ (OpenUSD).

    Raises:
        ObjectError: The file is missing, of an unknown kind, unreadable, a point cloud, or holds no triangle.
    """
    if not path.exists():
        raise ObjectError(f"{path}: no such file; check the path.")
    if not path.is_file():
        raise ObjectError(f"{path}: is not a file; name the mesh file itself.")
    suffix = path.suffix.lower()
    if suffix in USD_SUFFIXES:
        from warpgrasp.objects.usd import read_usd  # OpenUSD takes a quarter of a second to import

        return read_usd(path)
    if suffix not in MESH_SUFFIXES:
        known = ", ".join(MESH_SUFFIXES + USD_SUFFIXES)
        raise ObjectError(f"{path}: unknown suffix {suffix!r}; convert the mesh to one of {known}.")
    return _read_with_trimesh(path, suffix)


def _read_with_trimesh(path: Path, suffix: str) -> RawMesh:
    import trimesh  # a third of a second to import

    if path.stat().st_size == 0:
        raise ObjectError(f"{path}: is empty (0 bytes); export the mesh again.")
    try:
        source: Any = path
        if suffix == ".obj":  # a comment in a foreign encoding must not stop the reader
            source = io.StringIO(path.read_text(encoding="utf-8", errors="replace"))
        # Materials are of no use here, and loading them would read further files and need an imaging library.
        scene = trimesh.load_scene(source, file_type=suffix[1:], process=False, skip_materials=True)
    except Exception as error:  # the readers raise anything from KeyError to struct.error on a broken file
        reason = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".")
        raise ObjectError(
            f"{path}: cannot be read as {suffix[1:].upper()} ({reason}); export the mesh again."
        ) from error

    parts: list[Part] = []
    point_count = 0
    for node in scene.graph.nodes_geometry:
        transform, geometry_name = scene.graph[node]
        geometry: Any = scene.geometry[geometry_name]
        if not isinstance(geometry, trimesh.Trimesh) or len(geometry.faces) == 0:
            point_count += len(getattr(geometry, "vertices", ()))
            continue
        with np.errstate(invalid="ignore"):  # infinite positions are refused later, with their number
            vertices = np.asarray(geometry.vertices, np.float64) @ transform[:3, :3].T + transform[:3, 3]
        faces = np.asarray(geometry.faces, np.int64)
        parts.append((vertices, faces[:, ::-1] if np.linalg.det(transform[:3, :3]) < 0.0 else faces))
    vertices, faces = merge_parts(parts)
    if len(faces) == 0:
        if point_count:
            raise ObjectError(
                f"{path}: holds {point_count} points and no triangle; reconstruct a surface mesh first."
            )
        raise ObjectError(
            f"{path}: holds no triangle (0 faces); check that the file is a {suffix[1:].upper()} mesh."
        )
    return RawMesh(vertices, faces, 1.0, file_hash(path))
