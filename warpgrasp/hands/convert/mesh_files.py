"""Mesh files of a hand description: finding and reading OBJ, STL, DAE, GLB and PLY."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray

from warpgrasp.base.extras import install_extra
from warpgrasp.geometry.rotations import rotate
from warpgrasp.geometry.shapes import TriMesh, box_shape, capsule_shape
from warpgrasp.hands.convert.source import SourceGeometry
from warpgrasp.objects.read import read_mesh as read_raw_mesh

__all__ = ["MESH_SUFFIXES", "box_piece", "capsule_piece", "cylinder_piece", "find_mesh", "read_mesh"]

MESH_SUFFIXES = (".obj", ".stl", ".dae", ".glb", ".gltf", ".ply")
_OWN_READERS = (
    ".obj",
    ".stl",
    ".ply",
)  # without a unit or an up axis that a robot description would have to interpret
_CYLINDER_SIDES = 48
_FIND = re.compile(r"^\$\(find ([^)\s]+)\)/*")

FloatArray = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def find_mesh(reference: str, folder: Path, owner: str, package_path: tuple[Path, ...] = ()) -> Path:
    """Path of a mesh that a file in ``folder`` refers to, ``package://NAME/...`` and ``$(find NAME)/...`` included.

    A package is looked for in ``package_path``, then beside and above the file.

    Raises:
        ValueError: It is nowhere; the message names ``owner`` (the link) and says where it was looked for.
    """
    text = _FIND.sub(r"package://\1/", reference.removeprefix("file://"))
    if not text.startswith(("package://", "model://")):
        path = Path(text) if Path(text).is_absolute() else folder / text
        if path.is_file():
            return path
        raise ValueError(
            f"mesh file '{reference}' of {owner} does not exist (looked for {path}); put it there or correct the path"
        )
    inside = text.split("://", 1)[1]
    package, _, rest = inside.partition("/")
    for base in (*package_path, folder, *folder.parents):
        named = [base / rest] if base.name == package else []
        for path in (*named, base / inside, base / rest):
            if path.is_file():
                return path
    raise ValueError(
        f"mesh file '{reference}' of {owner} does not exist; put the folder '{package}' beside {folder} or above it, "
        "give --package-path FOLDER that holds it, or write a path relative to the file"
    )


def read_mesh(path: Path, owner: str) -> TriMesh:
    """Triangles of a mesh file, all its parts in one, in the file's own coordinates."""
    if path.suffix.lower() not in MESH_SUFFIXES:
        raise ValueError(
            f"mesh '{path.name}' of {owner} has an unsupported format; use one of {', '.join(MESH_SUFFIXES)}"
        )
    return _read(path.resolve(), path.stat().st_mtime_ns, owner)


@lru_cache(maxsize=128)
def _read(path: Path, modified: int, owner: str) -> TriMesh:
    if path.suffix.lower() in _OWN_READERS:
        try:
            raw = read_raw_mesh(path)
        except ValueError as error:
            raise ValueError(f"mesh of {owner}: {error}") from error
        return _checked(raw.vertices, raw.faces.astype(np.int32), path, owner)
    try:
        loaded = trimesh.load_mesh(path, process=False, skip_materials=True)
    except ImportError as error:
        raise ImportError(
            f"reading '{path.name}' of {owner} needs another package ({error}); {install_extra('sim')}"
        ) from error
    except Exception as error:  # the readers of the many formats raise whatever they like
        raise ValueError(
            f"mesh file '{path}' of {owner} cannot be read ({error}); export it again"
        ) from error
    scene = loaded.to_mesh() if isinstance(loaded, trimesh.Scene) else loaded
    vertices = np.asarray(getattr(scene, "vertices", np.zeros((0, 3))), dtype=np.float64)
    faces = np.asarray(getattr(scene, "faces", np.zeros((0, 3))), dtype=np.int32)
    return _checked(vertices, faces, path, owner)


def _checked(vertices: FloatArray, faces: NDArray[np.int32], path: Path, owner: str) -> TriMesh:
    if len(faces) == 0 or not np.isfinite(vertices).all():
        raise ValueError(f"mesh file '{path}' of {owner} has no triangles; export it again")
    return TriMesh(vertices, faces)


def box_piece(size: FloatArray, position: FloatArray, quaternion: FloatArray) -> SourceGeometry:
    """Box of full edge lengths."""
    shape = box_shape(0.5 * size, position, quaternion)
    return SourceGeometry("box", shape.mesh, shape)


def capsule_piece(
    radius: float, half_length: float, position: FloatArray, quaternion: FloatArray
) -> SourceGeometry:
    """Capsule along z, or a sphere."""
    shape = capsule_shape(radius, half_length, position, quaternion)
    return SourceGeometry("capsule" if half_length else "sphere", shape.mesh, shape)


def cylinder_piece(
    radius: float, half_length: float, position: FloatArray, quaternion: FloatArray
) -> SourceGeometry:
    """Cylinder along z as a prism; it becomes a convex piece."""
    solid = trimesh.creation.cylinder(radius, 2.0 * half_length, sections=_CYLINDER_SIDES)
    vertices = position + rotate(quaternion, np.asarray(solid.vertices))
    return SourceGeometry("cylinder", TriMesh(vertices, np.asarray(solid.faces, dtype=np.int32)))
