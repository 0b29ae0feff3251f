"""``objects.parquet``, ``hands.parquet``, ``views.parquet``, the data sheet and its machine-readable twin, from the shards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from warpgrasp.dataset.card import write_card
from warpgrasp.dataset.summary import Summary, summarise
from warpgrasp.grasps.sharded.columns import import_pyarrow
from warpgrasp.grasps.sharded.folder import DataSetFolder, is_data_set
from warpgrasp.grasps.sharded.shard import write_table_file

__all__ = ["write_tables"]


def write_tables(folder: Path) -> Summary | None:
    """Write the tables and the data sheet of a data set; ``None`` where it has no grasps, only pictures.

    Raises:
        OutputError: A file cannot be written.
    """
    _write_views(folder)
    if not is_data_set(folder):
        return None
    summary = summarise(folder)
    _write(
        folder / "objects.parquet",
        [{**entry, "mass": 500.0 * entry["volume"]} for entry in summary.objects.values()],
        _object_schema(),
    )
    _write(
        folder / "hands.parquet",
        [_hand_row(folder, entry) for entry in summary.hands.values()],
        _hand_schema(),
    )
    write_card(folder, summary)
    return summary


def _write(path: Path, rows: list[dict[str, Any]], schema: Any, units: dict[str, str] | None = None) -> None:
    pa = import_pyarrow()
    table = pa.Table.from_pylist(sorted(rows, key=lambda row: json.dumps(row, sort_keys=True)), schema=schema)
    write_table_file(path, [table], schema, {"units": units or {}})


def _object_schema() -> Any:
    pa = import_pyarrow()

    def entry(name: str, kind: Any, unit: str = "") -> Any:
        return pa.field(name, kind, metadata={"unit": unit} if unit else None)

    return pa.schema(
        [
            entry("object", pa.string()),
            entry("object_hash", pa.string()),
            entry("file", pa.string()),
            entry("file_hash", pa.string()),
            entry("scale", pa.float64(), "factor from the lengths of the file to metres"),
            entry("extent", pa.list_(pa.float64(), 3), "m"),
            entry("volume", pa.float64(), "m^3"),
            entry("mass", pa.float64(), "kg, at 500 kg/m^3"),
            entry("center_of_mass", pa.list_(pa.float64(), 3), "m"),
            entry("inertia_unit_density", pa.list_(pa.list_(pa.float64(), 3), 3), "kg m^2 at 1 kg/m^3"),
            entry("face_count", pa.int64()),
            entry("watertight", pa.bool_()),
            entry("repairs", pa.list_(pa.string())),
            entry("licence", pa.string()),
            entry("category", pa.string()),
            entry("split", pa.string()),
            entry("asset", pa.string()),
        ]
    )


def _hand_schema() -> Any:
    pa = import_pyarrow()
    limits = pa.list_(pa.float64())
    return pa.schema(
        [
            pa.field("hand", pa.string()),
            pa.field("asset_hash", pa.string()),
            pa.field("asset", pa.string()),
            pa.field("joint_names", pa.list_(pa.string())),
            pa.field("joint_lower", limits, metadata={"unit": "rad or m"}),
            pa.field("joint_upper", limits, metadata={"unit": "rad or m"}),
            pa.field("joint_effort", limits, metadata={"unit": "N m or N"}),
            pa.field("opening_pose", limits, metadata={"unit": "rad or m"}),
            pa.field("wrist_position", limits, metadata={"unit": "m, hand root"}),
            pa.field("wrist_quaternion", limits, metadata={"unit": "xyzw, hand root"}),
            pa.field("grasp_types", pa.list_(pa.string())),
        ]
    )


def _hand_row(folder: Path, entry: dict[str, Any]) -> dict[str, Any]:
    hand = DataSetFolder(folder).hand(entry["name"], entry["asset_hash"])
    copy = DataSetFolder(folder).hand_copy(entry["name"], entry["asset_hash"])
    return {
        "hand": entry["name"],
        "asset_hash": entry["asset_hash"],
        "asset": "" if copy is None else str(copy[0].relative_to(folder)),
        "joint_names": list(hand.joint_names),
        "joint_lower": hand.dof_lower.tolist(),
        "joint_upper": hand.dof_upper.tolist(),
        "joint_effort": hand.dof_effort.tolist(),
        "opening_pose": hand.dof_opening.tolist(),
        "wrist_position": hand.wrist_position.tolist(),
        "wrist_quaternion": hand.wrist_quaternion.tolist(),
        "grasp_types": sorted(entry["grasp_types"]),
    }


def _write_views(folder: Path) -> None:
    """The pictures' table without the pixels: where each lies and from where it was taken."""
    files = sorted((folder / "views").glob("*.parquet"))
    if not files:
        return
    from warpgrasp.dataset.views import view_index

    tables, schema = view_index(folder, files)
    write_table_file(folder / "views.parquet", tables, schema, {})
