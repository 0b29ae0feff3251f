"""glTF 2.0: the triangles of the scene, with the transforms and the instances of its nodes.

Materials, animation, skins and morph targets are not read. An extension that the file *requires* and that is not known here
is refused by its name, because without it the shape would be another.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.geometry.rotations import is_mirror
from warpgrasp.objects.error import ObjectError
from warpgrasp.objects.formats.gltf_accessors import GltfFile, quaternion_matrix_xyzw
from warpgrasp.objects.formats.ply import strip_triangles
from warpgrasp.objects.raw_mesh import Polygons

__all__ = ["read_gltf"]

_INSTANCING = "EXT_mesh_gpu_instancing"
_GEOMETRY = {"KHR_mesh_quantization", _INSTANCING}
_HARMLESS = re.compile(r"(KHR|EXT|ADOBE|MSFT)_(materials?|texture|lights)_\w+|KHR_xmp\w*|EXT_lights\w*")
"""Extensions that do not change the shape."""
_NODE_LIMIT, _INSTANCE_LIMIT = 100_000, 100_000
_TRIANGLES, _STRIP, _FAN = 4, 5, 6  # primitive modes


def read_gltf(path: Path) -> tuple[list[Polygons], list[str], list[Path]]:
    """Read a glTF or GLB file.

    Returns:
        The meshes of the scene in its frame, sentences on what was decided, and the files that were read.

    Raises:
        ObjectError: An extension is required that is not known, a buffer is missing, or the file is damaged.
    """
    file = GltfFile(path)
    for name in file.document.get("extensionsRequired", ()):
        if name not in _GEOMETRY and not _HARMLESS.fullmatch(str(name)):
            raise ObjectError(
                f"{path}: needs the glTF extension {name}, which is not read; export it without (uncompressed)."
            )
    notes: list[str] = []
    meshes: list[Polygons] = []
    for index, matrix in _placed_meshes(file, notes):
        mesh = file.entries("meshes")[index]
        for primitive in mesh["primitives"]:
            polygons = _primitive(file, primitive, str(mesh.get("name", f"mesh {index}")))
            if polygons is not None:
                meshes.append(_moved(polygons, matrix))
    for key, what in (("skins", "skins"), ("animations", "animations")):
        if file.document.get(key):
            notes.append(
                f"The {what} of the glTF file were left out: the shape is that of its nodes at rest."
            )
    return meshes, notes, file.files


def _placed_meshes(file: GltfFile, notes: list[str]) -> list[tuple[int, NDArray[np.float64]]]:
    """Index and transform [4, 4] of every mesh of the scene, once per instance."""
    nodes, scenes = file.entries("nodes"), file.entries("scenes")
    children = {int(child) for node in nodes for child in node.get("children", ())}
    roots = [index for index in range(len(nodes)) if index not in children]
    if scenes:
        chosen = int(file.document.get("scene", 0))
        if len(scenes) > 1:
            notes.append(f"The glTF file has {len(scenes)} scenes; number {chosen} was taken.")
        roots = [int(index) for index in scenes[chosen].get("nodes", ())]
    placed: list[tuple[int, NDArray[np.float64]]] = []
    stack = [(index, np.eye(4)) for index in reversed(roots)]
    seen = 0
    while stack:
        index, parent = stack.pop()
        seen += 1
        if seen > max(_NODE_LIMIT, len(nodes)):
            raise ObjectError(
                f"{file.path}: its nodes refer to each other in a circle; export the scene again."
            )
        node = nodes[index]
        world = parent @ _node_matrix(node)
        if "mesh" in node:
            matrices = _instances(file, node)
            if len(placed) + len(matrices) > _INSTANCE_LIMIT:
                raise ObjectError(
                    f"{file.path}: places more than {_INSTANCE_LIMIT} meshes; save one object to a file."
                )
            placed += [(int(node["mesh"]), world @ matrix) for matrix in matrices]
        stack += [(int(child), world) for child in reversed(node.get("children", ()))]
    return placed


def _node_matrix(node: dict[str, Any]) -> NDArray[np.float64]:
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T  # stored by columns
    return _composed(
        node.get("translation", (0.0, 0.0, 0.0)),
        node.get("rotation", (0.0, 0.0, 0.0, 1.0)),
        node.get("scale", (1.0,) * 3),
    )


def _composed(translation: Any, rotation_xyzw: Any, scale: Any) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3] = quaternion_matrix_xyzw(rotation_xyzw) * np.asarray(scale, np.float64)
    matrix[:3, 3] = translation
    return matrix


def _instances(file: GltfFile, node: dict[str, Any]) -> list[NDArray[np.float64]]:
    """Transforms of the instances of a node's mesh relative to the node; one where there are none."""
    entry = node.get("extensions", {}).get(_INSTANCING)
    if entry is None:
        return [np.eye(4)]
    columns = {
        name: file.accessor(int(index)).astype(np.float64)
        for name, index in entry["attributes"].items()
        if name in ("TRANSLATION", "ROTATION", "SCALE")
    }
    count = max((len(values) for values in columns.values()), default=1)
    if count > _INSTANCE_LIMIT:
        raise ObjectError(
            f"{file.path}: places more than {_INSTANCE_LIMIT} meshes; save one object to a file."
        )
    translation = columns.get("TRANSLATION", np.zeros((count, 3)))
    rotation = columns.get("ROTATION", np.tile([0.0, 0.0, 0.0, 1.0], (count, 1)))
    scale = columns.get("SCALE", np.ones((count, 3)))
    return [_composed(*values) for values in zip(translation, rotation, scale, strict=True)]


def _primitive(file: GltfFile, primitive: dict[str, Any], name: str) -> Polygons | None:
    """Triangles of one primitive; None for points and lines."""
    mode = int(primitive.get("mode", _TRIANGLES))
    compressed = [key for key in primitive.get("extensions", {}) if "compression" in key]
    position = primitive["attributes"].get("POSITION")
    if compressed and "bufferView" not in file.entries("accessors")[int(position)]:
        raise ObjectError(
            f"{file.path}: {name} is compressed by {compressed[0]}, which is not read; export it without."
        )
    if position is None or mode not in (_TRIANGLES, _STRIP, _FAN):
        return None
    vertices = file.accessor(int(position)).astype(np.float64)
    if "indices" in primitive:
        indices = file.accessor(int(primitive["indices"])).reshape(-1).astype(np.int64)
    else:
        indices = np.arange(len(vertices))
    if mode == _STRIP:
        triangles = strip_triangles(indices)
    elif mode == _FAN:
        triangles = np.stack([np.full(len(indices[2:]), indices[:1]), indices[1:-1], indices[2:]], axis=1)
    else:
        triangles = indices[: len(indices) // 3 * 3].reshape(-1, 3)
    return Polygons.of_triangles(vertices, triangles, name)


def _moved(mesh: Polygons, matrix: NDArray[np.float64]) -> Polygons:
    """A mesh in the frame of the scene; mirrored faces are turned."""
    # Infinite positions are refused later, with their number.
    with np.errstate(invalid="ignore", over="ignore"):
        vertices = mesh.vertices @ matrix[:3, :3].T + matrix[:3, 3]
    triangles = mesh.indices.reshape(-1, 3)
    return Polygons.of_triangles(vertices, triangles[:, ::-1] if is_mirror(matrix) else triangles, mesh.name)
