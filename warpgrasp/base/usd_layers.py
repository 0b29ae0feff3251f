"""Long arrays apart from the text: a ``.usda`` stays short and readable, a crate file beside it holds its meshes.

The two are one unit: the crate file carries the first digits of its content's hash in its name, and the text, which names
it, is replaced last. Whoever is killed between leaves the text of before with the meshes of before.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from pxr import Sdf, Tf, Usd

from warpgrasp.base.atomic_file import OutputError, replace_file, scratch_folder, write_bytes

__all__ = ["has_long_arrays", "mesh_layers", "write_layers"]

_LONG_ARRAY = 64  # entries; more are better stored in a crate file
_MESH_LAYER = re.compile(r"(?P<stem>.+)_meshes(_(?P<hash>[0-9a-f]{8}))?\.usdc", re.DOTALL)


def mesh_layers(files: Iterable[Path]) -> set[Path]:
    """Those files that hold the long arrays of a ``.usda`` file among them: they are a part of it."""
    files = list(files)
    texts = {file.with_suffix("") for file in files if file.suffix == ".usda"}
    return {
        file
        for file in files
        if (match := _MESH_LAYER.fullmatch(file.name)) and file.with_name(match["stem"]) in texts
    }


def write_layers(stage: Usd.Stage, path: Path, *, fixed_mesh_name: bool = False) -> None:
    """Write a stage of one layer, and beside a ``.usda`` its long arrays; the stage stays as it is.

    Args:
        stage: What to write.
        path: ``hand.usda`` has its long arrays in ``hand_meshes_<hash>.usdc``; another suffix holds all in one file.
        fixed_mesh_name: Leave the hash out, for files under version control; such a pair is not written as one unit.

    Raises:
        OutputError: A file cannot be written; what was there before is as it was.
    """
    layer, meshes = stage.GetRootLayer(), None
    if path.suffix.lower() == ".usda":
        layer, meshes = _split_long_arrays(stage)
    mesh_file = None
    if meshes is not None and not meshes.empty:
        content = _crate_bytes(meshes)
        suffix = "" if fixed_mesh_name else f"_{hashlib.sha256(content).hexdigest()[:8]}"
        mesh_file = path.with_name(f"{path.stem}_meshes{suffix}.usdc")
        layer.subLayerPaths.append(f"./{mesh_file.name}")
        write_bytes(mesh_file, content)
    before = _own_mesh_layers(path)
    with replace_file(path) as temporary:
        _export(layer, temporary, path)
    for file in before - {mesh_file}:
        with suppress(OSError):
            file.unlink()


def _own_mesh_layers(path: Path) -> set[Path]:
    """Crate files of earlier versions of a file: those of a hash, and the one that its present version names."""
    found = {
        file
        for file in path.parent.glob("*_meshes_*.usdc")
        if (match := _MESH_LAYER.fullmatch(file.name)) and match["hash"] and match["stem"] == path.stem
    }
    fixed = path.with_name(f"{path.stem}_meshes.usdc")
    with suppress(OSError, UnicodeDecodeError):
        if f"@./{fixed.name}@" in path.read_text(encoding="utf-8"):
            found.add(fixed)
    return found


def _crate_bytes(layer: Sdf.Layer) -> bytes:
    """Content of a crate file."""
    with scratch_folder() as folder:
        file = folder / "meshes.usdc"
        _export(layer, file, file)
        return file.read_bytes()


def _export(layer: Sdf.Layer, file: Path, path: Path) -> None:
    try:
        written = layer.Export(str(file))
    except Tf.ErrorException as error:
        raise OutputError(f"cannot write {path}: {error}.") from error
    if not written:
        raise OutputError(f"cannot write {path}: OpenUSD could not export it; is the disk full?")


def _split_long_arrays(stage: Usd.Stage) -> tuple[Sdf.Layer, Sdf.Layer]:
    """Content of a stage without its long arrays, and those arrays; the second is empty when no array is long."""
    layer = Sdf.Layer.CreateAnonymous(".usda")
    # Apart from the stage, which would look for the sublayer at once.
    layer.TransferContent(stage.GetRootLayer())
    meshes = Sdf.Layer.CreateAnonymous(".usdc")
    for path in list(_prims_below(layer.pseudoRoot)):
        _move_long_arrays(layer, meshes, path)
    return layer, meshes


def has_long_arrays(prim: Sdf.PrimSpec) -> bool:
    """Whether :func:`write_layers` moves an array of the prim, or of one below it, to the other file."""
    own = any(
        attribute.typeName.isArray and attribute.default is not None and len(attribute.default) > _LONG_ARRAY
        for attribute in prim.attributes
    )
    return own or any(has_long_arrays(child) for child in prim.nameChildren)


def _prims_below(prim: Sdf.PrimSpec) -> Iterator[Sdf.Path]:
    """Paths of all prims in their order, which the sublayer must have too: abstract ones and those of variants."""
    for child in prim.nameChildren:
        yield child.path
        yield from _prims_below(child)
        for variants in child.variantSets.values():
            for variant in variants.variants.values():
                yield from _prims_below(variant.primSpec)


def _move_long_arrays(layer: Sdf.Layer, meshes: Sdf.Layer, path: Sdf.Path) -> None:
    """Move attributes of one prim that text is not made for into the other layer."""
    spec = layer.GetPrimAtPath(path)
    for attribute in list(spec.attributes):
        value = attribute.default
        if attribute.typeName.isArray and value is not None and len(value) > _LONG_ARRAY:
            Sdf.CreatePrimInLayer(meshes, path)
            Sdf.CopySpec(layer, attribute.path, meshes, attribute.path)
            spec.RemoveProperty(attribute)
