"""Objects of a data set: their mesh file, and what ``objects.parquet`` says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from warpgrasp.base.atomic_file import write_text
from warpgrasp.dataset.primitives import obj_text
from warpgrasp.grasps.sharded.folder import object_file_name
from warpgrasp.objects import ObjectModel

__all__ = ["object_record", "write_object_asset"]


def write_object_asset(model: ObjectModel, folder: Path) -> Path:
    """Put the mesh below ``assets/objects`` of a data set, once, with all its digits; returns the file.

    Raises:
        OutputError: It cannot be written.
    """
    path = folder / "assets" / "objects" / object_file_name(model.mesh_hash)
    if not path.exists():
        write_text(path, obj_text(model.vertices, model.faces))
    return path


def object_record(
    model: ObjectModel, *, name: str, licence: str = "", category: str = "", split: str = ""
) -> dict[str, Any]:
    """Row of ``objects.parquet``, as in the footers of the shards."""
    return {
        "object": name,
        "object_hash": model.mesh_hash,
        "file": model.path.name,
        "file_hash": model.file_hash,
        "scale": model.scale,
        "extent": model.extent.tolist(),
        "volume": model.volume,
        "center_of_mass": model.center_of_mass.tolist(),
        "inertia_unit_density": model.inertia_unit_density.tolist(),
        "face_count": len(model.faces),
        "watertight": model.watertight,
        "repairs": list(model.repairs),
        "licence": licence,
        "category": category,
        "split": split,
        "asset": f"assets/objects/{object_file_name(model.mesh_hash)}",
    }
