"""Binary glTF 2.0 (GLB) with many scenes that share their meshes: one scene per grasp, each link stored once.

Scene writers at hand export one scene per file, which would repeat hand and object for every grasp. Positions are metres in
the object frame, z up as in the files of the objects; glTF viewers take y as up, so that other viewers show them lying down.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["GltfBuilder", "GltfNode", "crease_normals"]

_FLOAT, _UNSIGNED_SHORT, _UNSIGNED_INT = 5126, 5123, 5125
_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963
_SHARP_COSINE = 0.8  # faces that meet at a larger angle (37 deg) have an edge between them


@dataclass(frozen=True, eq=False)
class GltfNode:
    """A mesh placed in a scene."""

    name: str
    mesh: int
    """As :meth:`GltfBuilder.mesh` returned it."""
    position: ArrayLike = (0.0, 0.0, 0.0)
    """[m], shape [3]."""
    quaternion: ArrayLike = (0.0, 0.0, 0.0, 1.0)
    """xyzw, unit length, shape [4]."""
    scale: float = 1.0


class GltfBuilder:
    """Collects meshes and scenes; equal meshes and materials are stored once."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._views: list[dict[str, Any]] = []
        self._accessors: list[dict[str, Any]] = []
        self._materials: list[dict[str, Any]] = []
        self._meshes: list[dict[str, Any]] = []
        self._nodes: list[dict[str, Any]] = []
        self._scenes: list[dict[str, Any]] = []
        self._known: dict[str, int] = {}

    def mesh(
        self,
        name: str,
        vertices: ArrayLike,
        faces: ArrayLike,
        *,
        color: ArrayLike,
        normals: ArrayLike | None = None,
        vertex_color: ArrayLike | None = None,
    ) -> int:
        """Store a mesh and return its index.

        Args:
            name: For people; meshes that differ in nothing else are one.
            vertices: [m], shape [V, 3].
            faces: Shape [F, 3].
            color: Linear RGB in [0, 1], shape [3]; multiplies ``vertex_color``.
            normals: Unit vectors, shape [V, 3]; by default :func:`crease_normals`.
            vertex_color: Linear RGB in [0, 1], shape [V, 3].
        """
        points, triangles = np.asarray(vertices, dtype=np.float32), np.asarray(faces, dtype=np.uint32)
        colors = None if vertex_color is None else np.asarray(vertex_color, dtype=np.float64)
        if normals is None:
            points, directions, triangles, source = crease_normals(points, triangles)
            colors = None if colors is None else colors[source]
        else:
            directions = np.asarray(normals, dtype=np.float32)
        material = self._material(np.asarray(color, dtype=np.float64))
        parts = [points.tobytes(), triangles.tobytes(), directions.tobytes(), str(material).encode()]
        parts += [] if colors is None else [colors.tobytes()]
        key = hashlib.sha256(b"|".join(parts)).hexdigest()
        if key not in self._known:
            attributes = {
                "POSITION": self._accessor(points, "VEC3", _FLOAT, _ARRAY_BUFFER, bounds=True),
                "NORMAL": self._accessor(directions, "VEC3", _FLOAT, _ARRAY_BUFFER),
            }
            if colors is not None:
                attributes["COLOR_0"] = self._vertex_color(colors)
            kind = _UNSIGNED_SHORT if len(points) < 65535 else _UNSIGNED_INT
            index = triangles.ravel().astype(np.uint16 if kind == _UNSIGNED_SHORT else np.uint32)
            indices = self._accessor(index, "SCALAR", kind, _ELEMENT_ARRAY_BUFFER)
            primitive = {"attributes": attributes, "indices": indices, "material": material}
            self._meshes.append({"name": name, "primitives": [primitive]})
            self._known[key] = len(self._meshes) - 1
        return self._known[key]

    def scene(self, name: str, nodes: Sequence[GltfNode], extras: Mapping[str, Any] | None = None) -> int:
        """Store a scene, at least one node, and return its index; ``extras`` is what JSON can hold."""
        if not nodes:
            raise ValueError(f"scene {name!r} must hold at least one node (got none)")
        start = len(self._nodes)
        self._nodes += [_plain_node(node) for node in nodes]
        scene: dict[str, Any] = {"name": name, "nodes": list(range(start, len(self._nodes)))}
        if extras:
            scene["extras"] = dict(extras)
        self._scenes.append(scene)
        return len(self._scenes) - 1

    def glb(self) -> bytes:
        """The file.

        Raises:
            ValueError: No scene.
        """
        if not self._scenes:
            raise ValueError("a glTF file needs at least one scene (got none)")
        content = {
            "asset": {"version": "2.0", "generator": "warpgrasp"},
            "scene": 0,
            "scenes": self._scenes,
            "nodes": self._nodes,
            "meshes": self._meshes,
            "materials": self._materials,
            "accessors": self._accessors,
            "bufferViews": self._views,
            "buffers": [{"byteLength": len(self._data)}],
        }
        text = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text
        chunks += struct.pack("<I4s", len(self._data), b"BIN\0") + bytes(self._data)
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks

    def _accessor(
        self, values: NDArray, kind: str, component: int, target: int, *, bounds: bool = False, **more: Any
    ) -> int:
        data = np.ascontiguousarray(values).tobytes()
        view = {"buffer": 0, "byteOffset": len(self._data), "byteLength": len(data), "target": target}
        self._data += data + b"\0" * (-len(data) % 4)
        self._views.append(view)
        accessor = {
            "bufferView": len(self._views) - 1, "componentType": component, "count": len(values), "type": kind
        }  # fmt: skip
        if bounds:
            accessor["min"], accessor["max"] = values.min(axis=0).tolist(), values.max(axis=0).tolist()
        self._accessors.append({**accessor, **more})
        return len(self._accessors) - 1

    def _vertex_color(self, colors: NDArray[np.float64]) -> int:
        """RGBA of 16 bits: 8 bits of linear RGB would show steps in the dark colours."""
        opaque = np.concatenate([np.clip(colors, 0.0, 1.0), np.ones((len(colors), 1))], axis=1)
        quantized = np.round(65535.0 * opaque).astype(np.uint16)
        return self._accessor(quantized, "VEC4", _UNSIGNED_SHORT, _ARRAY_BUFFER, normalized=True)

    def _material(self, color: NDArray[np.float64]) -> int:
        material = {
            "pbrMetallicRoughness": {
                "baseColorFactor": [*(round(float(value), 6) for value in color), 1.0],
                "metallicFactor": 0.0,
                "roughnessFactor": 0.6,
            },
            "doubleSided": True,
        }
        if material not in self._materials:
            self._materials.append(material)
        return self._materials.index(material)


def crease_normals(
    vertices: ArrayLike, faces: ArrayLike
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint32], NDArray[np.int64]]:
    """Split vertices at sharp edges, so that smooth surfaces shade smoothly and boxes keep their edges.

    Args:
        vertices: [m], shape [V, 3].
        faces: Shape [F, 3].

    Returns:
        Vertices [W, 3], unit normals [W, 3], faces [F, 3], and for each vertex the one it comes from [W].
    """
    points, triangles = np.asarray(vertices, dtype=np.float64), np.asarray(faces, dtype=np.int64)
    corners = points[triangles]
    area_normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    flat = _unit(area_normal)
    first_corner, second_corner = _corner_pairs(triangles.ravel())
    first_face, second_face = first_corner // 3, second_corner // 3
    smooth = np.einsum("ij,ij->i", flat[first_face], flat[second_face]) > _SHARP_COSINE
    first_corner, second_face = first_corner[smooth], second_face[smooth]
    total = np.zeros((3 * len(triangles), 3))
    for axis in range(3):
        total[:, axis] = np.bincount(first_corner, area_normal[second_face, axis], len(total))
    normal = _unit(total)
    keys = np.concatenate([triangles.reshape(-1, 1), np.round(1.0e4 * normal).astype(np.int64)], axis=1)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    source = triangles.ravel()[first]
    return (
        points[source].astype(np.float32),
        _unit(normal[first]).astype(np.float32),
        inverse.reshape(-1, 3).astype(np.uint32),
        source,
    )


def _corner_pairs(vertex: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All ordered pairs of corners (indices into ``vertex``) at the same vertex, each corner with itself too."""
    order = np.argsort(vertex, kind="stable")
    count = np.bincount(vertex)
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    partners = count[vertex]
    first = np.repeat(np.arange(len(vertex)), partners)
    within = np.arange(len(first)) - np.repeat(np.cumsum(partners) - partners, partners)
    return first, order[np.repeat(start[vertex], partners) + within]


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    # A face without area has no direction; any unit vector keeps the file valid.
    return np.where(length > 1.0e-20, vectors / np.maximum(length, 1.0e-20), [0.0, 0.0, 1.0])


def _plain_node(node: GltfNode) -> dict[str, Any]:
    quaternion = np.asarray(node.quaternion, dtype=np.float64)
    quaternion = quaternion / np.linalg.norm(quaternion)
    plain: dict[str, Any] = {"name": node.name, "mesh": node.mesh}
    position = np.round(np.asarray(node.position, dtype=np.float64), 6)
    if position.any():
        plain["translation"] = position.tolist()
    if np.abs(quaternion[:3]).max() > 1.0e-9:
        plain["rotation"] = np.round(quaternion, 7).tolist()
    if node.scale != 1.0:
        plain["scale"] = [float(node.scale)] * 3
    return plain
