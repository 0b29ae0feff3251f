"""What the footers of all files of a data set say together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warpgrasp.grasps.sharded.folder import DataSetFolder

__all__ = ["CellCount", "Summary", "summarise"]


@dataclass
class CellCount:
    """Counts of one hand, grasp type, contact count and method."""

    requested: int = 0
    rows: int = 0
    status: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)


@dataclass
class Summary:
    """What the footers of all shards say."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By mesh hash."""
    hands: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By asset hash."""
    cells: dict[tuple[str, str], CellCount] = field(default_factory=dict)
    """By hand and grasp type."""
    failures: list[dict[str, str]] = field(default_factory=list)
    configs: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, set[str]] = field(default_factory=dict)
    columns: dict[str, Any] = field(default_factory=dict)
    """Footers' description of the columns, by hand."""
    files: int = 0
    bytes: int = 0


def summarise(folder: Path) -> Summary:
    """Read the footers of all shards of a data set."""
    summary = Summary()
    for shard in DataSetFolder(folder).shards():
        footer = shard.footer()
        summary.files += 1
        summary.bytes += shard.path.stat().st_size
        for entry in footer["objects"]:
            summary.objects.setdefault(entry["object_hash"], entry)
        hand = footer["hand"]
        known = summary.hands.setdefault(hand["asset_hash"], {**hand, "grasp_types": []})
        if shard.grasp_type not in known["grasp_types"]:
            known["grasp_types"].append(shard.grasp_type)
        known["joint_names"] = footer["columns"]["joint_names"]
        cell = summary.cells.setdefault((shard.hand, shard.grasp_type), CellCount())
        counted = footer["yield"]
        cell.requested += int(counted["requested"])
        cell.rows += int(counted["rows"])
        cell.status.update(counted["status"])
        cell.held.update(counted["held"])
        summary.failures += footer["failures"]
        summary.configs.update(footer["configs"])
        for package, version in footer["versions"].items():
            summary.versions.setdefault(package, set()).add(version)
        summary.columns.setdefault(shard.hand, footer["columns"])
    return summary
