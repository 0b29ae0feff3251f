"""Between npz files of small runs and Parquet files of data sets, both ways."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from warpgrasp.base.atomic_file import OutputError
from warpgrasp.base.json_text import to_json
from warpgrasp.base.status import GraspStatus
from warpgrasp.dataset.command import command
from warpgrasp.dataset.object_assets import object_record, write_object_asset
from warpgrasp.dataset.planned_objects import digest
from warpgrasp.dataset.tables import write_tables
from warpgrasp.grasps.case import GraspCase, grasp_files, load_case
from warpgrasp.grasps.sharded.columns import Columns
from warpgrasp.grasps.sharded.folder import DataSetFolder
from warpgrasp.grasps.sharded.rows import Lineage, grasp_table
from warpgrasp.grasps.sharded.shard import write_table_file
from warpgrasp.grasps.usd_assets import hand_asset

__all__ = ["FromNpzOptions", "ToNpzOptions", "from_npz", "from_npz_command", "to_npz", "to_npz_command"]


@dataclass(frozen=True, kw_only=True)
class FromNpzOptions:
    """Put the grasps of runs of python -m warpgrasp.generate into a data set."""

    inputs: tyro.conf.Positional[tuple[Path, ...]]
    """Grasp files (npz) or folders of them."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder of the data set; files of the same grasps are replaced."""


@dataclass(frozen=True, kw_only=True)
class ToNpzOptions:
    """Write the grasps of a data set as one npz file per hand, grasp type and object."""

    data_set: tyro.conf.Positional[Path]
    """Folder of the data set."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder; the files lie in HAND/GRASP_TYPE below it, and python -m warpgrasp.evaluate and export read them."""
    hand: str | None = None
    """Name or path of the hand, where the data set does not find it."""


def from_npz_command(arguments: Sequence[str]) -> int:
    """Command line of :func:`from_npz`."""
    return command(
        FromNpzOptions, arguments, "from-npz", lambda o: f"{from_npz(o.inputs, o.out)} grasps in {o.out}"
    )


def to_npz_command(arguments: Sequence[str]) -> int:
    """Command line of :func:`to_npz`."""

    def run(options: ToNpzOptions) -> str:
        return f"{len(to_npz(options.data_set, options.out, hand=options.hand))} files in {options.out}"

    return command(ToNpzOptions, arguments, "to-npz", run)


def from_npz(inputs: Sequence[Path], folder: Path) -> int:
    """Put grasp files into a data set, a Parquet file each; returns the number of grasps.

    Raises:
        ValueError: A grasp file cannot be read, or its hand or object is missing or has changed.
        OutputError: A file cannot be written.
    """
    count = 0
    for path in grasp_files(inputs):
        count += _write_case(load_case(path), folder)
    write_tables(folder)
    return count


def _write_case(case: GraspCase, folder: Path) -> int:
    grasps, model, hand = case.grasps, case.model, case.hand
    config = grasps.metadata.get("config", {})
    method = str(config.get("method", "")) or "npz"
    hand_asset(hand, folder / "assets" / "hands")
    write_object_asset(model, folder)
    columns = Columns(grasps.joint_names, grasps.contact_index.shape[1], grasps.energy_term_names)
    content = {name: value for name, value in to_json(config).items() if name not in ("seed", "device")}
    key = digest([case.file_hash])
    lineage = Lineage(
        object=case.object_name,
        object_hash=model.mesh_hash,
        scale=model.scale,
        split="",
        method=method,
        config_hash=digest(content),
        task=key,
    )
    known = grasps.metadata.get("seed", 0)
    seed = np.full(len(grasps), known if isinstance(known, int) else 0, dtype=np.int64)
    table = grasp_table(grasps, columns, lineage, seed=seed)
    values, counts = np.unique(grasps.status, return_counts=True)
    footer = {
        "items": [key],
        "hand": {"name": hand.name, "asset_hash": hand.asset_hash, "path": str(hand.path)},
        "grasp_type": case.grasp_type,
        "columns": columns.to_footer(),
        "configs": {lineage.config_hash: content},
        "versions": grasps.metadata.get("versions", {}),
        "objects": [object_record(model, name=case.object_name)],
        "failures": [],
        "yield": {
            "requested": len(grasps),
            "rows": len(grasps),
            "status": {GraspStatus(int(v)).name: int(n) for v, n in zip(values, counts, strict=True)},
            "held": {},
        },
    }
    place = folder / "grasps" / f"hand={hand.name}" / f"grasp_type={case.grasp_type}"
    write_table_file(place / f"{key}.parquet", [table], columns.schema(), footer)
    return len(grasps)


def to_npz(data_set: Path, folder: Path, *, hand: str | None = None) -> list[Path]:
    """Write every object of a data set as a grasp file; returns the files.

    Raises:
        ValueError: There is no data set, or an asset is missing or has changed.
        OutputError: A file cannot be written.
    """
    paths = []
    for path, load in DataSetFolder(data_set).cases(hand=hand).items():
        case = load()
        metadata = {**case.grasps.metadata, "object": _absolute(case.grasps.metadata["object"])}
        target = folder / path.relative_to(data_set)
        try:
            paths.append(dataclasses.replace(case.grasps, metadata=metadata).save(target))
        except OSError as error:
            raise OutputError(f"cannot write {target}: {error.strerror}; choose another --out.") from error
    return paths


def _absolute(described: dict[str, Any]) -> dict[str, Any]:
    path = Path(described["path"]).absolute()
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    return {**json.loads(json.dumps(described)), "path": str(path), "file_hash": content}
