"""Read the solid geometry of a USD stage: meshes and gprims, in world space.

The default prim is the object; :mod:`~warpgrasp.objects.formats.usd_selection` says which of its prims are taken. World
transforms, orientation, holes and point instances are honoured, all at the earliest time sample; of a subdivision surface
the control cage is taken.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pxr import Tf, Usd, UsdGeom, UsdUtils

from warpgrasp.base.usd_error import usd_reason
from warpgrasp.geometry.rotations import is_mirror
from warpgrasp.objects.error import ObjectError
from warpgrasp.objects.formats import primitives
from warpgrasp.objects.formats.usd_selection import TIME, object_root, placed_prims, shape_prims
from warpgrasp.objects.raw_mesh import Part, Polygons, RawMesh, merge_parts, polygon_parts

__all__ = ["read_usd"]


def read_usd(path: Path) -> RawMesh:
    """Read the solid geometry of a stage.

    Raises:
        ObjectError: The stage cannot be opened, refers to a file that is missing, or holds no geometry.
    """
    # What OpenUSD would print on the terminal is told by the sentences below.
    quiet = UsdUtils.CoalescingDiagnosticDelegate()
    try:
        return _read(path)
    except Tf.ErrorException as error:
        raise ObjectError(
            f"{path}: cannot be opened as USD ({usd_reason(error)}); export the stage again."
        ) from error
    finally:
        quiet.TakeUncoalescedDiagnostics()
        del quiet


def _read(path: Path) -> RawMesh:
    stage = Usd.Stage.Open(str(path))
    notes: list[str] = []
    unit = float(UsdGeom.GetStageMetersPerUnit(stage))
    if not UsdGeom.StageHasAuthoredMetersPerUnit(stage):
        notes.append(f"The stage states no metersPerUnit, so USD's default of {unit:g} m was used.")
    if not (np.isfinite(unit) and unit > 0.0):
        raise ObjectError(f"{path}: states metersPerUnit {unit:g}; correct it in the file.")
    root = object_root(stage, notes)
    _refuse_missing(path, stage, root)
    placed = placed_prims(path, root, notes)
    polygons, solids = [], []
    for prim, matrix in shape_prims(placed, notes):  # row vectors: p_world = [p 1] M
        if prim.IsA(UsdGeom.Mesh):
            polygons.append(_mesh_polygons(prim, matrix))
        else:
            vertices, faces = _gprim_part(path, prim)
            solids.append((_moved(vertices, matrix), faces[:, ::-1] if is_mirror(matrix) else faces))
    parts, more = polygon_parts(path, polygons)
    vertices, faces = merge_parts(parts + solids)
    if len(faces) == 0:
        if any(prim.IsA(UsdGeom.Points) for prim, _ in placed):
            raise ObjectError(
                f"{path}: holds a point cloud and no triangle; reconstruct a surface mesh first."
            )
        raise ObjectError(
            f"{path}: holds no visible Mesh or solid gprim (0 faces); export the geometry with it."
        )
    return RawMesh(vertices, faces, unit, _stage_hash(stage), tuple(notes + more))


def _refuse_missing(path: Path, stage: Usd.Stage, root: Any) -> None:
    """Refuse a stage of which a part of the object, or a layer, could not be composed."""
    for error in stage.GetCompositionErrors():
        site = re.findall(r"<(/[^>]*)>", str(error.rootSite))
        at = site[-1] if site else "/"
        inside = at == "/" or root.IsPseudoRoot() or f"{at}/".startswith(f"{root.GetPath()}/")
        if inside or str(root.GetPath()).startswith(f"{at}/"):
            text = str(error)
            files = re.findall(r"@([^@]+)@", text)
            if files and ("ould not open asset" in text or "ould not load sublayer" in text):
                raise ObjectError(
                    f"{path}: refers to {files[0]}, which is missing or no USD file; put that file back."
                )
            raise ObjectError(
                f"{path}: cannot be composed ({text.splitlines()[0].rstrip('.')}); export the stage again."
            )


def _moved(vertices: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    # Infinite positions are refused later, with their number.
    with np.errstate(invalid="ignore", over="ignore"):
        moved: NDArray[np.float64] = vertices @ matrix[:3, :3] + matrix[3, :3]
    return moved


def _mesh_polygons(prim: Any, matrix: NDArray[np.float64]) -> Polygons:
    """Polygons of a mesh in world space, counter-clockwise from outside, without its holes."""
    mesh = UsdGeom.Mesh(prim)
    vertices = _moved(np.array(mesh.GetPointsAttr().Get(TIME) or [], np.float64).reshape(-1, 3), matrix)
    counts = np.array(mesh.GetFaceVertexCountsAttr().Get(TIME) or [], np.int64)
    indices = np.array(mesh.GetFaceVertexIndicesAttr().Get(TIME) or [], np.int64)
    name = f"the mesh {prim.GetPath()}"
    if (counts < 0).any() or counts.sum() != len(indices):
        return Polygons(vertices, counts, indices, name)  # refused with the others that do not fit
    holes = np.array(mesh.GetHoleIndicesAttr().Get(TIME) or [], np.int64)
    if len(holes):
        solid = ~np.isin(np.arange(len(counts)), holes)
        indices, counts = indices[np.repeat(solid, counts)], counts[solid]
    left_handed = mesh.GetOrientationAttr().Get(TIME) == UsdGeom.Tokens.leftHanded
    if is_mirror(matrix) ^ left_handed:  # every polygon is run through the other way
        polygon = np.repeat(np.arange(len(counts)), counts)
        indices = indices[np.lexsort((-np.arange(len(indices)), polygon))]
    return Polygons(vertices, counts, indices, name)


def _gprim_part(path: Path, prim: Any) -> Part:
    """Tessellate a cube, sphere, cylinder, capsule or cone about its own axis; outward whatever its orientation says."""

    def value(name: str) -> float:
        number = float(prim.GetAttribute(name).Get(TIME))
        if not (np.isfinite(number) and number >= 0.0):
            raise ObjectError(f"{path}: {prim.GetPath()} has {name} {number:g}; correct it in the file.")
        return number

    if prim.IsA(UsdGeom.Cube):
        return primitives.box([value("size")] * 3)
    if prim.IsA(UsdGeom.Sphere):
        return primitives.sphere(value("radius"))
    make = primitives.cone
    if prim.IsA(UsdGeom.Cylinder):
        make = primitives.cylinder
    elif prim.IsA(UsdGeom.Capsule):
        make = primitives.capsule
    vertices, faces = make(value("radius"), value("height"))
    # Cyclic permutations of the coordinates turn z into x or y and keep the winding.
    shift = {"X": 1, "Y": 2}.get(str(prim.GetAttribute("axis").Get(TIME)), 0)
    return np.roll(vertices, shift, axis=1), faces


def _stage_hash(stage: Usd.Stage) -> str:
    """SHA-256 of the files of all layers that the stage composes, root layer first, the others by name."""
    root = stage.GetRootLayer().realPath
    others = sorted({layer.realPath for layer in stage.GetUsedLayers() if layer.realPath} - {root})
    digest = hashlib.sha256()
    for name in [root, *others]:
        file = Path(name.split("[")[0])  # layers inside a package are named package.usdz[layer.usdc]
        if file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()
