"""COLLADA (DAE): the polygons of the scene, by pycollada."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from warpgrasp.geometry.rotations import is_mirror
from warpgrasp.objects.error import ObjectError
from warpgrasp.objects.raw_mesh import Polygons

__all__ = ["read_collada"]

_KEPT = ("asset", "library_geometries", "library_nodes", "library_visual_scenes", "scene")
"""The rest (materials, images, lights, animation) is of no use here, and often broken."""


def read_collada(path: Path) -> tuple[list[Polygons], list[str], float]:
    """Read a DAE file.

    Returns:
        The meshes of the scene in its frame, sentences on what was decided, and the unit of the file [m].

    Raises:
        ObjectError: The file states no valid unit, or holds polygons with holes.
    """
    import collada  # takes a while to import, and few files need it

    text, notes = _geometry_only(path)
    content = collada.Collada(io.BytesIO(text))
    unit = float(content.assetInfo.unitmeter or 1.0)
    if not (np.isfinite(unit) and unit > 0.0):
        raise ObjectError(f"{path}: states a unit of {unit} m; correct <unit meter=...> in the file.")
    up = str(content.assetInfo.upaxis)
    if up in ("X_UP", "Y_UP"):
        notes.append(f"The file calls its {up[0].lower()} axis up; the axes were kept.")
    with warnings.catch_warnings():  # pycollada 0.9 binds geometry by numpy.matrix
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return _meshes(content), notes, unit


def _meshes(content: Any) -> list[Polygons]:
    """All faces of the scene, in its frame."""
    meshes: list[Polygons] = []
    for geometry in content.scene.objects("geometry") if content.scene is not None else ():
        for primitive in geometry.primitives():
            polygons = _polygons(primitive, str(geometry.original.name or geometry.original.id))
            if polygons is not None:
                mirrored = is_mirror(geometry.matrix)
                meshes.append(_turned(polygons) if mirrored else polygons)
    return meshes


def _geometry_only(path: Path) -> tuple[bytes, list[str]]:
    """The document without everything but geometry and its placement."""
    root = ElementTree.parse(path).getroot()
    notes = []

    def tag(element: Any) -> str:
        return str(element.tag).rpartition("}")[2]

    if any(tag(element) == "ph" for element in root.iter()):
        raise ObjectError(f"{path}: holds polygons with holes (<ph>); export it with triangles.")
    for child in list(root):
        if tag(child) not in _KEPT:
            root.remove(child)
    dropped = 0
    for parent in root.iter():
        for child in list(parent):
            if tag(child) == "bind_material" or (tag(child).startswith("instance_") and tag(child) not in (
                "instance_geometry", "instance_node", "instance_visual_scene"
            )):  # fmt: skip
                dropped += tag(child) == "instance_controller"
                parent.remove(child)
    if dropped:
        notes.append(f"{dropped} skinned mesh(es) were left out: only rigid geometry is read.")
    return ElementTree.tostring(root), notes


def _polygons(primitive: Any, name: str) -> Polygons | None:
    """Faces of a bound primitive in the frame of the scene; None for lines."""
    import collada

    index, vertices = getattr(primitive, "vertex_index", None), primitive.vertex
    if index is None or vertices is None:
        return None
    if isinstance(primitive, collada.triangleset.BoundTriangleSet):
        return Polygons.of_triangles(vertices, index, name)
    if isinstance(primitive, collada.polylist.BoundPolylist):  # polygons too
        counts = np.asarray(primitive.original.vcounts, np.int64)
        return Polygons(
            np.asarray(vertices, np.float64), counts, np.asarray(index, np.int64).reshape(-1), name
        )
    return None


def _turned(mesh: Polygons) -> Polygons:
    """The same polygons, each run through the other way."""
    polygon = np.repeat(np.arange(len(mesh.counts)), mesh.counts)
    order = np.lexsort((-np.arange(len(mesh.indices)), polygon))
    return Polygons(mesh.vertices, mesh.counts, mesh.indices[order], mesh.name)
