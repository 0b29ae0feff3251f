"""Rigid bodies of a USD stage: their prims, poses, scales and the stage's units."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pxr import Sdf, Usd, UsdGeom, UsdPhysics

from warpgrasp.base.usd_error import usd_reason
from warpgrasp.hands.usd import schema

__all__ = [
    "Body",
    "HandStage",
    "applied_schemas",
    "asset_hash",
    "attribute",
    "earlier_hashes",
    "flat_layer",
    "open_hand_stage",
    "show_annotation",
    "split_affine",
    "vendor_name",
]

# OpenUSD takes schemas only before its first stage; after ours, Newton would not see mimic joints.
with contextlib.suppress(ImportError):
    importlib.import_module("newton_usd_schemas")

FloatArray = NDArray[np.float64]

_SHEAR_TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class Body:
    """A rigid body prim; ``rotation`` and ``position`` (stage units) place it in the world, after its ``scale``."""

    prim: Usd.Prim
    position: FloatArray
    rotation: FloatArray
    scale: FloatArray

    @property
    def path(self) -> str:
        """Prim path."""
        return str(self.prim.GetPath())


@dataclass(frozen=True, eq=False)
class HandStage:
    """An opened hand asset. ``length`` and ``mass`` convert stage units to metres and kilograms."""

    stage: Usd.Stage
    path: Path
    length: float
    mass: float
    bodies: dict[Sdf.Path, Body]

    def prims(self) -> list[Usd.Prim]:
        """All active prims, instances opened up, in stage order."""
        return list(Usd.PrimRange.Stage(self.stage, Usd.TraverseInstanceProxies()))

    def body_of(self, prim: Usd.Prim) -> Body | None:
        """The rigid body that carries a prim (itself or the nearest ancestor)."""
        while prim and not prim.IsPseudoRoot():
            if prim.GetPath() in self.bodies:
                return self.bodies[prim.GetPath()]
            prim = prim.GetParent()
        return None

    def matrix_in_body(self, prim: Usd.Prim, body: Body) -> FloatArray:
        """Affine map [3, 4] from a prim's own coordinates to its body's frame, the result in metres.

        The body frame is rigid: a scale on the body itself is part of the map.
        """
        world = _world_matrix(prim)
        linear = body.rotation.T @ world[:, :3]
        offset = body.rotation.T @ (world[:, 3] - body.position)
        return self.length * np.column_stack([linear, offset])


def open_hand_stage(path: Path) -> HandStage:
    """Open an asset and collect its rigid bodies."""
    if not path.is_file():
        raise ValueError(
            f"hand asset '{path}' does not exist; give the path of a .usd, .usda, .usdc or .usdz file"
        )
    try:
        stage = Usd.Stage.Open(str(path))
    except Exception as error:  # pxr raises its own Tf.ErrorException, which is no ValueError
        raise ValueError(f"'{path}' is not a USD file that can be read ({usd_reason(error)})") from error
    show_annotation(stage)
    bodies: dict[Sdf.Path, Body] = {}
    for prim in Usd.PrimRange.Stage(stage, Usd.TraverseInstanceProxies()):
        if (
            not prim.HasAPI(UsdPhysics.RigidBodyAPI)
            or UsdPhysics.RigidBodyAPI(prim).GetRigidBodyEnabledAttr().Get() is False
        ):
            continue
        _refuse_nested(prim, bodies)
        world = _world_matrix(prim)
        rotation, scale = split_affine(world[:, :3], str(prim.GetPath()))
        if np.any(scale < 0.0):
            raise ValueError(
                f"rigid body {prim.GetPath()} is mirrored (scale {scale.tolist()}); bake the mirror into its geometry"
            )
        bodies[prim.GetPath()] = Body(prim, world[:, 3], rotation, scale)
    if not bodies:
        raise ValueError(f"'{path}' has no prim with PhysicsRigidBodyAPI; apply it to every link of the hand")
    return HandStage(
        stage=stage,
        path=path,
        length=float(UsdGeom.GetStageMetersPerUnit(stage)),
        mass=float(UsdPhysics.GetStageKilogramsPerUnit(stage)),
        bodies=bodies,
    )


def show_annotation(stage: Usd.Stage) -> None:
    """Select the variant with patches, spheres and grasp types of every hand of a stage, for this opening only."""
    with Usd.EditContext(stage, stage.GetSessionLayer()):
        for prim in list(stage.Traverse()):
            variants = prim.GetVariantSet(schema.ANNOTATION_SET) if prim.HasVariantSets() else None
            if variants and schema.GRASP_ANNOTATION in variants.GetVariantNames():
                variants.SetVariantSelection(schema.GRASP_ANNOTATION)


def flat_layer(path: Path) -> Sdf.Layer:
    """All that a hand's file composes as one layer without references, variants and instances, annotation shown."""
    stage = Usd.Stage.Open(str(path))
    show_annotation(stage)
    with Usd.EditContext(stage, stage.GetSessionLayer()):
        for prim in list(stage.Traverse()):
            if prim.IsInstance():
                prim.SetInstanceable(False)
        for prim in [prim for prim in stage.TraverseAll() if prim.IsAbstract()]:
            if prim:
                prim.SetActive(False)
    layer = stage.Flatten(addSourceFileComment=False)
    abstract: list[Sdf.Path] = []
    layer.Traverse(Sdf.Path.absoluteRootPath, abstract.append)
    for found in abstract:
        spec = layer.GetPrimAtPath(found) if found.IsPrimPath() else None
        if spec and spec.specifier == Sdf.SpecifierClass:
            del layer.GetPrimAtPath(found.GetParentPath()).nameChildren[found.name]
    return layer


def earlier_hashes(stage: Usd.Stage) -> tuple[str, ...]:
    """Hashes of earlier versions of the file that differ in nothing that a grasp depends on."""
    known = stage.GetRootLayer().customLayerData.get("warpgrasp", {})
    listed = known.get(schema.EARLIER_HASHES, ()) if isinstance(known, dict) else ()
    return tuple(str(entry) for entry in listed)


def asset_hash(stage: Usd.Stage) -> str:
    """SHA-256 over the root layer and all layers it uses, independent of where the asset lies."""
    digest = hashlib.sha256()
    root = stage.GetRootLayer()
    others = [layer for layer in stage.GetUsedLayers() if layer != root and layer.realPath]
    ordered = [root, *sorted(others, key=lambda layer: Path(layer.realPath).name)]
    for layer in ordered:
        if layer.realPath and Path(layer.realPath).is_file():
            digest.update(Path(layer.realPath).read_bytes())
    return digest.hexdigest()


def split_affine(linear: FloatArray, where: str) -> tuple[FloatArray, FloatArray]:
    """Rotation and scale of ``linear = rotation @ diag(scale)``; a mirror shows as a negative first scale."""
    scale = np.linalg.norm(linear, axis=0)
    if np.any(scale < 1e-12):
        raise ValueError(f"{where} has a zero scale; give it a positive one")
    rotation = linear / scale
    if np.abs(rotation.T @ rotation - np.eye(3)).max() > _SHEAR_TOLERANCE:
        raise ValueError(f"{where} is sheared by its xform stack; use uniform scales above rotated prims")
    if np.linalg.det(rotation) < 0.0:
        rotation[:, 0] *= -1.0
        scale[0] *= -1.0
    return rotation, scale


def applied_schemas(prim: Usd.Prim) -> list[str]:
    """API schemas of a prim, also those whose definitions are not installed here."""
    listed = prim.GetMetadata("apiSchemas")
    return [str(token) for token in listed.GetAppliedItems()] if listed else []


def attribute(prim: Usd.Prim, name: str) -> object | None:
    """Value of an attribute, or None where there is none."""
    found = prim.GetAttribute(name)
    return found.Get() if found and found.HasValue() else None


def vendor_name(prim: Usd.Prim) -> str:
    """The vendor's name of a joint or link: the kept one, else the prim's."""
    kept = attribute(prim, schema.VENDOR_NAME)
    return str(kept) if kept else str(prim.GetName())


def _refuse_nested(prim: Usd.Prim, bodies: dict[Sdf.Path, Body]) -> None:
    parent = prim.GetParent()
    while parent and not parent.IsPseudoRoot():
        if parent.GetPath() in bodies:
            raise ValueError(
                f"rigid body {prim.GetPath()} is nested in rigid body {parent.GetPath()}; "
                "make links siblings and connect them with joints"
            )
        parent = parent.GetParent()


def _world_matrix(prim: Usd.Prim) -> FloatArray:
    """Affine map [3, 4] from a prim's coordinates to the world, stage units (USD's own matrices act on rows)."""
    matrix = UsdGeom.Imageable(prim).ComputeLocalToWorldTransform(Usd.TimeCode.Default())
    return np.array(matrix, dtype=np.float64).T[:3]
