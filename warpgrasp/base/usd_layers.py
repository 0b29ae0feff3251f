"""Long arrays apart from the text: a ``.usda`` stays short and readable, a crate file beside it holds its meshes."""

from __future__ import annotations

from pathlib import Path

from pxr import Sdf, Usd

__all__ = ["mesh_layer_path", "split_long_arrays"]

_LONG_ARRAY = 64  # entries; more are better stored in a crate file


def mesh_layer_path(path: Path) -> Path:
    """Where the long arrays of a ``.usda`` file lie: ``hand.usda`` has them in ``hand_meshes.usdc`` beside it."""
    return path.with_name(f"{path.stem}_meshes.usdc")


def split_long_arrays(stage: Usd.Stage, path: Path) -> tuple[Sdf.Layer, Sdf.Layer]:
    """Content of a stage without its long arrays, and those arrays.

    Args:
        stage: Stage of one layer; it stays as it is.
        path: Where the first layer will be written; it names the second as its sublayer.

    Returns:
        Text layer and mesh layer; the mesh layer is empty when no array is long.
    """
    layer = Sdf.Layer.CreateAnonymous(".usda")
    # Apart from the stage, which would look for the sublayer at once.
    layer.TransferContent(stage.GetRootLayer())
    meshes = Sdf.Layer.CreateAnonymous(".usdc")
    for prim in stage.Traverse():
        _move_long_arrays(layer, meshes, prim.GetPath())
    if not meshes.empty:
        layer.subLayerPaths.append(f"./{mesh_layer_path(path).name}")
    return layer, meshes


def _move_long_arrays(layer: Sdf.Layer, meshes: Sdf.Layer, path: Sdf.Path) -> None:
    """Move attributes of one prim that text is not made for into the other layer."""
    spec = layer.GetPrimAtPath(path)
    for attribute in list(spec.attributes):
        value = attribute.default
        if attribute.typeName.isArray and value is not None and len(value) > _LONG_ARRAY:
            Sdf.CreatePrimInLayer(meshes, path)
            Sdf.CopySpec(layer, attribute.path, meshes, attribute.path)
            spec.RemoveProperty(attribute)
