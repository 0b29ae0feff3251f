"""Copies of the hand and object assets beside a grasp stage, so that its folder can be moved and shared.

A copied folder carries the first digits of the asset's hash in its name: what is there is never written again.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pxr import Tf, Usd, UsdGeom, UsdUtils

from warpgrasp.base.atomic_file import OutputError, temporary_path
from warpgrasp.objects.usd_write import ObjectAsset, write_object_asset

if TYPE_CHECKING:
    from warpgrasp.hands.model import HandModel
    from warpgrasp.objects import ObjectModel

__all__ = ["hand_asset", "object_asset"]

_USD_SUFFIXES = {".usd", ".usda", ".usdc", ".usdz"}


def hand_asset(hand: HandModel, folder: Path) -> Path:
    """Copy the hand's USD file and all it references below ``folder``; return the path of the copy.

    Raises:
        OutputError: The copy cannot be written.
    """
    return _localize(hand.path, folder / _folder_name(hand.name, hand.asset_hash))


def object_asset(model: ObjectModel, folder: Path) -> Path:
    """Put the object below ``folder`` as USD and return its path.

    A USD file is copied with all it references when it *is* the object of the synthesis: in metres, unscaled,
    unrepaired, nothing but this mesh. Everything else is written as a mesh, exactly as the synthesis saw it.

    Raises:
        OutputError: The asset cannot be written.
    """
    if model.path.suffix.lower() in _USD_SUFFIXES and _is_same_geometry(model):
        with suppress(OutputError):  # a reference that cannot be resolved: the mesh itself is complete
            return _localize(model.path, folder / _folder_name(model.name, model.file_hash))
    path = folder / f"{_folder_name(model.name, model.mesh_hash)}.usdc"
    if not path.exists():
        write_object_asset(path, _mesh_asset(model))
    return path


def _folder_name(name: str, asset_hash: str) -> str:
    return f"{Tf.MakeValidIdentifier(name)}_{asset_hash[:8]}"


def _localize(source: Path, folder: Path) -> Path:
    """Copy an asset with its dependencies: into a temporary folder first, then renamed."""
    target = folder / source.name
    if target.exists():
        return target
    temporary = temporary_path(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        copied = bool(UsdUtils.LocalizeAsset(str(source.resolve()), str(temporary)))
        if not copied or not (temporary / source.name).exists():
            raise OutputError(f"cannot copy {source} and what it references to {folder}.")
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)  # an incomplete folder without the main file
        os.replace(temporary, folder)
    except (OSError, Tf.ErrorException) as error:
        raise OutputError(f"cannot copy {source} to {folder}: {error}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _is_same_geometry(model: ObjectModel) -> bool:
    """Whether a reference to the file's default prim shows the vertices of the model, by their bounding box."""
    if model.repairs or model.scale != 1.0:
        return False
    try:
        stage = Usd.Stage.Open(str(model.path))
    except Tf.ErrorException:
        return False
    prim = stage.GetDefaultPrim()
    if not prim or UsdGeom.GetStageMetersPerUnit(stage) != 1.0 or UsdGeom.GetStageUpAxis(stage) != "Z":
        return False
    cache = UsdGeom.BBoxCache(Usd.TimeCode.Default(), [UsdGeom.Tokens.default_, UsdGeom.Tokens.render])
    box = cache.ComputeWorldBound(prim).ComputeAlignedRange()
    if box.IsEmpty():
        return False
    lower, upper = model.vertices.min(axis=0), model.vertices.max(axis=0)
    tolerance = 1e-4 * float((upper - lower).max())
    close_lower = np.allclose(np.array(box.GetMin()), lower, rtol=0.0, atol=tolerance)
    return close_lower and np.allclose(np.array(box.GetMax()), upper, rtol=0.0, atol=tolerance)


def _mesh_asset(model: ObjectModel) -> ObjectAsset:
    """One rigid body with one collision mesh in metres."""
    return ObjectAsset(
        name=model.name,
        vertices=model.vertices,
        faces=model.faces,
        center_of_mass=model.center_of_mass,
        documentation=f"Mesh of {model.path.name} as used by warpgrasp, scaled by {model.scale:g}.",
    )
