"""Copies of the hand and object assets beside a grasp stage, so that its folder can be moved and shared.

A copied folder carries the first digits of the asset's hash in its name: what is there is never written again.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pxr import Gf, Sdf, Tf, Usd, UsdGeom, UsdPhysics, UsdUtils

from warpgrasp.base.atomic_file import OutputError, temporary_path
from warpgrasp.grasps.usd_units import differing_fields, in_metres_and_kilograms, units_of
from warpgrasp.hands.usd.schema import VENDOR_NAME
from warpgrasp.objects.usd_write import ObjectAsset, write_object_asset

if TYPE_CHECKING:
    from warpgrasp.hands.model import HandModel
    from warpgrasp.objects import ObjectModel

__all__ = ["LinkPrim", "asset_files", "asset_prims", "hand_asset", "object_asset"]

LinkPrim = tuple[str, Gf.Matrix4d, Gf.Vec3d]
"""Path of a link below the default prim, transform of its parent there, and its scale in the world."""

_USD_SUFFIXES = {".usd", ".usda", ".usdc", ".usdz"}


_HAND_ASSETS: dict[tuple[Path, str, Path], Path] = {}  # copies that this process has made or seen whole


def hand_asset(hand: HandModel, folder: Path) -> Path:
    """Copy the hand's USD file and all it references below ``folder``; return the path of the copy.

    A stage in other units than metres and kilograms is converted: a reference shows its numbers as they are.

    Raises:
        OutputError: The copy cannot be written, or the hand refers to a file outside its folder.
    """
    target = folder / _folder_name(hand.name, hand.asset_hash)
    known = _HAND_ASSETS.get((hand.path, hand.asset_hash, folder))
    if known is not None and known.exists():
        return known
    asset = _new_hand_asset(hand, target)
    _HAND_ASSETS[hand.path, hand.asset_hash, folder] = asset
    return asset


def _new_hand_asset(hand: HandModel, target: Path) -> Path:
    if units_of(Usd.Stage.Open(str(hand.path))) != (1.0, 1.0):
        return _converted_hand(hand, target)
    return _copy_asset(hand.path, target)


def object_asset(model: ObjectModel, folder: Path) -> Path:
    """Put the object below ``folder`` as USD and return its path.

    A USD file is copied with all it references when it *is* the object of the synthesis: in metres and kilograms, unscaled,
    unrepaired, nothing but this mesh, and no file of it outside its folder. Everything else is written as a mesh, exactly as
    the synthesis saw it.

    Raises:
        OutputError: The asset cannot be written.
    """
    if model.path.suffix.lower() in _USD_SUFFIXES and _is_same_geometry(model):
        with suppress(OutputError):  # refers to a file outside its folder: the mesh itself is complete
            return _copy_asset(model.path, folder / _folder_name(model.name, model.file_hash))
    path = folder / f"{_folder_name(model.name, model.mesh_hash)}.usdc"
    if not path.exists():
        write_object_asset(path, _mesh_asset(model))
    return path


def _folder_name(name: str, asset_hash: str) -> str:
    return f"{Tf.MakeValidIdentifier(name)}_{asset_hash[:8]}"


def asset_files(source: Path) -> list[Path]:
    """The file and all that it refers to and that is there: layers, textures and other files; resolved paths.

    Raises:
        OutputError: One of them, or one that is missing, lies outside the folder of ``source``: such files are never copied.
    """
    source = source.resolve()
    quiet = UsdUtils.CoalescingDiagnosticDelegate()  # OpenUSD warns about missing files on stderr
    layers, assets, missing = UsdUtils.ComputeAllDependencies(str(source))
    quiet.TakeUncoalescedDiagnostics()
    del quiet
    names = [layer.realPath or layer.identifier for layer in layers] + [str(asset) for asset in assets]
    # A file inside a package (usdz) is named "package[file]".
    found = {Path(name.partition("[")[0]).resolve() for name in names if name} | {source}
    files = sorted(file for file in found if file.is_file())
    # What is no path of a file here, such as OmniPBR.mdl or an address, is looked up by whoever opens the asset.
    absent = [Path(name) for name in missing if Path(name).is_absolute()]
    outside = [file for file in (*files, *absent) if not file.resolve().is_relative_to(source.parent)]
    if outside:
        raise OutputError(
            f"{source} refers to {outside[0]}, which lies outside its folder and is not copied into the output; "
            "move it below that folder and correct the reference, or leave it out."
        )
    return files


def _copy_asset(source: Path, folder: Path) -> Path:
    """Copy an asset with its files, each at its place below the asset's folder."""
    source = source.resolve()
    files = asset_files(source)

    def fill(temporary: Path) -> Path:
        for file in files:
            copy = temporary / file.relative_to(source.parent)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
            if copy.suffix.lower() in _USD_SUFFIXES - {".usdz"}:
                _make_paths_relative(copy, file, source.parent)
        return temporary / source.name

    return _put(folder, source.name, fill)


def _make_paths_relative(copy: Path, original: Path, root: Path) -> None:
    """Absolute paths in a layer to relative ones: they would lead back to where the asset was copied from."""
    layer = Sdf.Layer.OpenAsAnonymous(str(copy))
    found = [
        path for path in layer.GetCompositionAssetDependencies() if Path(path.partition("[")[0]).is_absolute()
    ]
    if not found and original.read_bytes().find(os.fsencode(root)) < 0:
        return

    def relative(path: str) -> str:
        file, bracket, inside = path.partition("[")
        target = Path(file)
        if not target.is_absolute() or not target.resolve().is_relative_to(root):
            return path
        return "./" + Path(os.path.relpath(target.resolve(), original.parent)).as_posix() + bracket + inside

    UsdUtils.ModifyAssetPaths(layer, relative)
    layer.Export(str(copy))


def _converted_hand(hand: HandModel, folder: Path) -> Path:
    """Write a hand whose stage is in other units as one layer in metres and kilograms, with its other files beside it."""
    source = hand.path.resolve()
    files, name = asset_files(source), f"{source.stem}.usdc"

    def fill(temporary: Path) -> Path:
        layer = in_metres_and_kilograms(Usd.Stage.Open(str(source)))
        for file in files:
            if file.suffix.lower() not in _USD_SUFFIXES:
                copy = temporary / file.relative_to(source.parent)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)

        def relative(path: str) -> str:
            target = Path(path)
            inside = target.is_absolute() and target.resolve().is_relative_to(source.parent)
            return "./" + target.resolve().relative_to(source.parent).as_posix() if inside else path

        UsdUtils.ModifyAssetPaths(layer, relative)
        layer.Export(str(temporary / name))
        differing = differing_fields(hand, temporary / name)
        if differing:
            raise OutputError(
                f"{source} is in other units than metres and kilograms and could not be converted ({differing[0]} differs); "
                "convert it with python -m warpgrasp.hands.convert and use the hand that this writes."
            )
        return temporary / name

    return _put(folder, name, fill)


def _put(folder: Path, name: str, fill: Callable[[Path], Path]) -> Path:
    """Fill a temporary folder, then rename it; a folder with the main file is complete."""
    target = folder / name
    if target.exists():
        return target
    temporary = temporary_path(folder)
    try:
        temporary.mkdir(parents=True, exist_ok=True)
        if not fill(temporary).exists():
            raise OutputError(f"cannot write {target}; is the disk full?")
        if not target.exists():  # else another process was faster
            shutil.rmtree(folder, ignore_errors=True)  # an incomplete folder without the main file
        os.replace(temporary, folder)
    except (OSError, Tf.ErrorException) as error:
        if target.exists():
            return target
        raise OutputError(f"cannot write {target}: {error}.") from error
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
    if not prim or units_of(stage) != (1.0, 1.0) or UsdGeom.GetStageUpAxis(stage) != "Z":
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


@functools.lru_cache(maxsize=32)
def asset_prims(
    asset: Path,
) -> tuple[dict[str, LinkPrim], dict[str, tuple[str, str]]]:
    """Find the links of a hand asset by prim name and its joints by vendor name, as the hand reader does.

    Returns:
        links: name -> (path below the default prim, transform of the parent prim in the default prim, scale of the link in
            the world). Links are never below links: the reader refuses that.

        joints: name -> (path below the default prim, "angular" or "linear").
    """
    stage = Usd.Stage.Open(str(asset))
    root = stage.GetDefaultPrim()
    cache = UsdGeom.XformCache()
    whole = cache.GetLocalToWorldTransform(root).GetInverse()
    links: dict[str, LinkPrim] = {}
    joints: dict[str, tuple[str, str]] = {}
    for prim in Usd.PrimRange(root):
        vendor = prim.GetAttribute(VENDOR_NAME)
        joint_name = str(vendor.Get()) if vendor else prim.GetName()
        path = str(prim.GetPath().MakeRelativePath(root.GetPath()))
        if prim.HasAPI(UsdPhysics.RigidBodyAPI):
            linear = np.array(cache.GetLocalToWorldTransform(prim))[:3, :3]
            group = cache.GetLocalToWorldTransform(prim.GetParent()) * whole
            links[prim.GetName()] = (path, group, Gf.Vec3d(*np.linalg.norm(linear, axis=1).tolist()))
        elif prim.IsA(UsdPhysics.RevoluteJoint):
            joints[joint_name] = (path, "angular")
        elif prim.IsA(UsdPhysics.PrismaticJoint):
            joints[joint_name] = (path, "linear")
    return links, joints
