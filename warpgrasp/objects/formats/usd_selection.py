"""Which prims of a USD stage are the object, and where they stand.

Taken are all active, visible meshes, cubes, spheres, cylinders, capsules and cones below the default prim, and those that
point instancers place there, whose purpose is not guide (nor proxy where something is for rendering). Where colliders stand
beside what is seen, the colliders are left out. Every choice is said in one sentence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pxr import Usd, UsdGeom, UsdPhysics

from warpgrasp.objects.error import ObjectError

__all__ = ["TIME", "object_root", "placed_prims", "shape_prims"]

TIME = Usd.TimeCode.EarliestTime()
"""Values that are not animated are the same at all times; of animated ones the first sample counts."""
Placed = tuple[Any, NDArray[np.float64]]
"""A prim and its transform to world space, for row vectors: p_world = [p 1] M."""

_SOLIDS = (UsdGeom.Mesh, UsdGeom.Cube, UsdGeom.Sphere, UsdGeom.Cylinder, UsdGeom.Capsule, UsdGeom.Cone)
_UNREAD_SOLIDS = ("TetMesh", "NurbsPatch", "Capsule_1", "Cylinder_1")
_INSTANCE_LIMIT = 10_000
_COLLISION_NAMES = {"collision", "collisions", "collider", "colliders"}
_SAME_BOX = 0.1
"""Colliders whose box differs from that of the visible shape by less than this part of its size stand for the same shape."""


def object_root(stage: Usd.Stage, notes: list[str]) -> Any:
    """The prim below which the object lies: the default prim, or the whole stage."""
    root, whole = stage.GetDefaultPrim(), stage.GetPseudoRoot()
    name = stage.GetRootLayer().defaultPrim
    if not root:
        if name:
            notes.append(f"The default prim {name!r} does not exist, so all geometry of the stage was taken.")
        return whole
    inside = _count_solids(root)
    outside = _count_solids(whole) - inside
    if outside == 0:
        return root
    if inside == 0 and not any(prim.IsA(UsdGeom.PointInstancer) for prim in _range(root)):
        notes.append(
            f"The default prim {root.GetPath()} holds no geometry, so that of the whole stage was taken."
        )
        return whole
    notes.append(f"{outside} shape(s) outside the default prim {root.GetPath()} were left out.")
    return root


def _range(root: Any) -> Any:
    return Usd.PrimRange(root, Usd.TraverseInstanceProxies())


def _count_solids(root: Any) -> int:
    return sum(any(prim.IsA(kind) for kind in _SOLIDS) for prim in _range(root))


def placed_prims(path: Path, root: Any, notes: list[str]) -> list[Placed]:
    """All visible geometry below ``root``, once per instance.

    Raises:
        ObjectError: A solid of a kind that is not read, or too many instances.
    """
    cache = UsdGeom.XformCache(TIME)
    placed: list[Placed] = []
    _collect(path, root, np.eye(4), cache, placed, ())
    left_out: dict[str, int] = {}
    for prim, _ in placed:
        kind = str(prim.GetTypeName())
        if kind in _UNREAD_SOLIDS:
            raise ObjectError(f"{path}: {prim.GetPath()} is a {kind}, which is not read; export it as Mesh.")
        if not any(prim.IsA(solid) for solid in _SOLIDS):
            left_out[kind] = left_out.get(kind, 0) + 1
    notes += [
        f"{count} prim(s) of type {kind} were left out."
        for kind, count in left_out.items()
        if kind != "Points"
    ]
    return placed


def _collect(
    path: Path,
    root: Any,
    place: NDArray[np.float64],
    cache: Any,
    placed: list[Placed],
    prototypes: tuple[Any, ...],
) -> None:
    """Append the geometry below ``root``; a prototype is ``place`` d by its instancer."""
    everything = Usd.TraverseInstanceProxies(Usd.PrimIsActive & Usd.PrimIsLoaded & ~Usd.PrimIsAbstract)
    prims = iter(Usd.PrimRange(root, everything) if prototypes else _range(root))
    for prim in prims:
        if not prim.IsA(UsdGeom.Gprim) and not prim.IsA(UsdGeom.PointInstancer):
            continue
        if UsdGeom.Imageable(prim).ComputeVisibility(TIME) == UsdGeom.Tokens.invisible:
            continue
        if prototypes:
            matrix = np.array(cache.ComputeRelativeTransform(prim, root)[0]) @ place
        else:
            matrix = np.array(cache.GetLocalToWorldTransform(prim))
        if prim.IsA(UsdGeom.PointInstancer):
            if prim in prototypes:
                raise ObjectError(
                    f"{path}: the instancer {prim.GetPath()} places itself; export the stage again."
                )
            for prototype, instance in _instances(path, prim):
                _collect(path, prototype, instance @ matrix, cache, placed, (*prototypes, prim))
            prims.PruneChildren()  # prototypes are drawn where they are placed, nowhere else
        else:
            placed.append((prim, matrix))
        if len(placed) > _INSTANCE_LIMIT:
            raise ObjectError(
                f"{path}: places more than {_INSTANCE_LIMIT} shapes; save one object to a file."
            )


def _instances(path: Path, prim: Any) -> list[Placed]:
    """Prototype and transform of every visible instance; the prototype's own transform is part of it."""
    instancer = UsdGeom.PointInstancer(prim)
    prototypes = [
        prim.GetStage().GetPrimAtPath(target) for target in instancer.GetPrototypesRel().GetForwardedTargets()
    ]
    indices = np.array(instancer.GetProtoIndicesAttr().Get(TIME) or [], np.int64)
    transforms = instancer.ComputeInstanceTransformsAtTime(
        TIME, TIME, UsdGeom.PointInstancer.IncludeProtoXform, UsdGeom.PointInstancer.IgnoreMask
    )
    mask = list(instancer.ComputeMaskAtTime(TIME)) or [True] * len(indices)
    fits = len(transforms) == len(indices) == len(mask) and all(
        0 <= index < len(prototypes) for index in indices
    )
    if not fits or not all(prototypes):
        raise ObjectError(
            f"{path}: the instancer {prim.GetPath()} places {len(indices)} of {len(prototypes)} prototypes at "
            f"{len(transforms)} positions, which do not fit; export the stage again."
        )
    if len(indices) > _INSTANCE_LIMIT:
        raise ObjectError(f"{path}: places more than {_INSTANCE_LIMIT} shapes; save one object to a file.")
    placed = zip(indices, transforms, mask, strict=True)
    return [(prototypes[index], np.array(transform)) for index, transform, visible in placed if visible]


def shape_prims(placed: list[Placed], notes: list[str]) -> list[Placed]:
    """The solids of the object's shape: no guides, no proxies of what is rendered, no colliders of what is seen."""
    by_purpose: dict[str, list[Placed]] = {"default": [], "render": [], "proxy": [], "guide": []}
    for entry in placed:
        if any(entry[0].IsA(kind) for kind in _SOLIDS):
            by_purpose[str(UsdGeom.Imageable(entry[0]).ComputePurpose())].append(entry)
    shapes = by_purpose["default"] + by_purpose["render"]
    # A proxy stands for render geometry; both together would be two overlapping objects.
    if not by_purpose["render"]:
        shapes += by_purpose["proxy"]
    colliders = [entry for entry in shapes if _is_collider(entry[0])]
    seen = [entry for entry in shapes if not _is_collider(entry[0])]
    if colliders and seen:
        named = all(_below_collision(entry[0]) for entry in colliders)
        if named or _same_box(_box(seen), _box(colliders)):
            notes.append(f"{len(colliders)} collider(s) beside the visible shape were left out.")
            shapes = seen
    moving = sum(_moves(prim) for prim, _ in shapes)
    if moving:
        notes.append(f"{moving} shape(s) move over time: taken at the earliest time sample.")
    return shapes


def _is_collider(prim: Any) -> bool:
    return bool(prim.HasAPI(UsdPhysics.CollisionAPI)) or _below_collision(prim)


def _below_collision(prim: Any) -> bool:
    """Whether the prim lies in a scope for collision shapes, as Isaac Sim's importers make them."""
    return any(str(part).lower() in _COLLISION_NAMES for part in str(prim.GetPath()).split("/"))


def _box(placed: list[Placed]) -> NDArray[np.float64]:
    """Lowest and highest corner of shapes in world space, shape [2, 3]."""
    corners = []
    for prim, matrix in placed:
        box = UsdGeom.Boundable.ComputeExtentFromPlugins(UsdGeom.Boundable(prim), TIME)
        if box is not None and len(box) == 2:
            low, high = np.array(box, np.float64)
            grid = np.stack(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), axis=-1).reshape(-1, 3)
            corners.append(grid @ matrix[:3, :3] + matrix[3, :3])
    if not corners:
        return np.zeros((2, 3))
    points = np.concatenate(corners)
    return np.stack([points.min(axis=0), points.max(axis=0)])


def _same_box(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    size = float(np.ptp(one, axis=0).max())
    return bool(np.abs(one - other).max() < _SAME_BOX * size)


def _moves(prim: Any) -> bool:
    if UsdGeom.Mesh(prim) and UsdGeom.Mesh(prim).GetPointsAttr().ValueMightBeTimeVarying():
        return True
    while prim and not prim.IsPseudoRoot():
        if UsdGeom.Xformable(prim) and UsdGeom.Xformable(prim).TransformMightBeTimeVarying():
            return True
        prim = prim.GetParent()
    return False
