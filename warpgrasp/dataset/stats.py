"""``python -m warpgrasp.dataset stats``: counts per hand, grasp type and object, and a page with coverage pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray
from PIL import Image

from warpgrasp.base.atomic_file import write_text
from warpgrasp.dataset.command import command
from warpgrasp.dataset.coverage import (
    contact_figure,
    joint_figure,
    palm_directions,
    palm_figure,
    principal_components,
    yield_figure,
)
from warpgrasp.dataset.summary import Summary
from warpgrasp.dataset.tables import write_tables
from warpgrasp.grasps.sharded.folder import DataSetFolder
from warpgrasp.grasps.sharded.rows import list_values

__all__ = ["StatsOptions", "object_statistics", "stats", "stats_command"]

_LARGEST = 20_000  # grasps of a picture


@dataclass(frozen=True, kw_only=True)
class StatsOptions:
    """Count what a data set holds, write its tables and data sheet again, and draw what it covers."""

    data_set: tyro.conf.Positional[Path]
    """Folder of the data set."""
    page: bool = True
    """Write stats.html with the pictures; needs matplotlib (extra sim)."""
    heat_maps: int = 6
    """Objects whose contacts are drawn on their surface."""


def stats_command(arguments: Sequence[str]) -> int:
    """Command line of :func:`stats`."""
    return command(StatsOptions, arguments, "stats", stats)


def stats(options: StatsOptions) -> str:
    """Write tables, data sheet, ``object_statistics.parquet`` and the page; returns what to say.

    Raises:
        ValueError: There is no data set.
        ImportError: matplotlib is not installed.
        OutputError: A file cannot be written.
    """
    folder = DataSetFolder(options.data_set)
    summary = write_tables(folder.path)
    assert summary is not None
    rows = object_statistics(folder)
    _write_object_statistics(folder.path, rows)
    lines = [
        f"{hand}, {kind}: {cell.rows} rows of {cell.requested} made, {cell.status.get('OK', 0)} OK"
        + "".join(f", {count} hold under {label}" for label, count in sorted(cell.held.items()))
        for (hand, kind), cell in sorted(summary.cells.items())
    ]
    lines.append(
        f"{len(summary.objects)} objects; grasps of each in {folder.path / 'object_statistics.parquet'}"
    )
    if options.page:
        lines.append(f"page      {_write_page(folder, summary, rows, options.heat_maps)}")
    return "\n".join(lines)


def object_statistics(folder: DataSetFolder) -> list[dict[str, Any]]:
    """Counts of every object, hand and grasp type: rows, status OK, and how many hold under each protocol."""
    found: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    for shard in folder.shards():
        file = shard.open()
        labels = [name for name in file.schema_arrow.names if name.startswith("held_")]
        table = file.read(columns=["object", "object_hash", "status", *labels])
        names, hashes = (np.asarray(table[name].to_pylist()) for name in ("object", "object_hash"))
        ok = np.asarray(table["status"].to_pylist()) == "OK"
        for mesh_hash in np.unique(hashes):
            rows = hashes == mesh_hash
            key = (shard.hand, shard.grasp_type, str(names[rows][0]), str(mesh_hash))
            row = found.setdefault(
                key,
                dict(zip(("hand", "grasp_type", "object", "object_hash"), key, strict=True), rows=0, ok=0),
            )
            row["rows"] += int(rows.sum())
            row["ok"] += int((ok & rows).sum())
            for label in labels:
                held = np.asarray(table[label].fill_null(False))
                row[label] = row.get(label, 0) + int((held & rows).sum())
    return [found[key] for key in sorted(found)]


def _write_object_statistics(path: Path, rows: list[dict[str, Any]]) -> None:
    from warpgrasp.grasps.sharded.columns import import_pyarrow
    from warpgrasp.grasps.sharded.shard import write_table_file

    names = dict.fromkeys(name for row in rows for name in row)
    table = import_pyarrow().table({name: [row.get(name) for row in rows] for name in names})
    write_table_file(path / "object_statistics.parquet", [table], table.schema, {})


def _write_page(folder: DataSetFolder, summary: Summary, rows: list[dict[str, Any]], heat_maps: int) -> Path:
    parts = []
    for hand in sorted({shard.hand for shard in folder.shards()}):
        parts.append(f"<h2>{escape(hand)}</h2>")
        parts += _hand_parts(folder, hand)
    parts.append("<h2>Grasps of each object</h2>")
    parts.append(
        "<p>Each point of a line is an object; objects are sorted by the number of grasps that are OK.</p>"
    )
    parts.append(yield_figure(rows))
    parts.append("<h2>Where the grasps touch</h2>")
    parts.append(
        "<p>Density of the contacts of grasps with status OK on the surface, brighter is denser, from two sides.</p>"
    )
    parts.append(f'<div class="maps">{_heat_maps(folder, rows, heat_maps)}</div>')
    total = sum(cell.rows for cell in summary.cells.values())
    text = _PAGE.substitute(
        title=escape(str(folder.path.name)),
        lead=f"{total} grasps of {len(summary.hands)} hands on {len(summary.objects)} objects.",
        body="\n".join(parts),
    )
    path = folder.path / "stats.html"
    write_text(path, text)
    return path


def _hand_parts(folder: DataSetFolder, hand: str) -> list[str]:
    """Palm directions and joints of one hand, by grasp type."""
    names = ["status", "root_quaternion", "joint_position"]
    asset_hash = folder.shards(hand=hand)[0].footer()["hand"]["asset_hash"]
    model = folder.hand(hand, asset_hash)
    palms: dict[str, NDArray[np.float64]] = {}
    joints: dict[str, NDArray[np.float64]] = {}
    for kind in sorted({shard.grasp_type for shard in folder.shards(hand=hand)}):
        table = folder.read(folder.shards(hand=hand, grasp_type=kind), names)
        ok = np.flatnonzero(np.asarray(table["status"].to_pylist()) == "OK")
        if len(ok) < 3:
            continue
        if len(ok) > _LARGEST:
            ok = np.random.default_rng(0).choice(ok, _LARGEST, replace=False)
        palms[kind] = palm_directions(model, list_values(table["root_quaternion"])[ok])
        joints[kind] = list_values(table["joint_position"])[ok].astype(np.float64)
    if not palms:
        return ["<p>Fewer than three grasps of this hand are OK.</p>"]
    components, shares = principal_components(joints)
    return [
        "<p>Directions into which the palm looks, in the object frame, of grasps with status OK: the sphere as a map, z up. "
        "Empty regions are sides from which the objects are not grasped.</p>",
        palm_figure(palms),
        f"<p>Joints of the same grasps on their first two principal components, which carry {100 * shares[0]:.0f} % and "
        f"{100 * shares[1]:.0f} % of the variance.</p>",
        joint_figure(components),
    ]


def _heat_maps(folder: DataSetFolder, rows: list[dict[str, Any]], count: int) -> str:
    """Pictures of the objects with most grasps."""
    totals: dict[str, int] = {}
    names: dict[str, str] = {}
    for row in rows:
        totals[row["object_hash"]] = totals.get(row["object_hash"], 0) + row["ok"]
        names[row["object_hash"]] = row["object"]
    chosen = sorted(totals, key=lambda mesh_hash: (-totals[mesh_hash], names[mesh_hash]))[:count]
    contacts: dict[str, list[NDArray[np.float64]]] = {
        mesh_hash: [] for mesh_hash in chosen if totals[mesh_hash]
    }
    for shard in folder.shards():
        table = shard.open().read(columns=["object_hash", "status", "contact_position", "contact_normal"])
        ok = np.asarray(table["status"].to_pylist()) == "OK"
        hashes = np.asarray(table["object_hash"].to_pylist())
        both = np.concatenate(
            [list_values(table[f"contact_{name}"]) for name in ("position", "normal")], axis=2
        )
        for mesh_hash, found in contacts.items():
            own = both[ok & (hashes == mesh_hash)].reshape(-1, 6)
            found.append(own[np.isfinite(own).all(axis=1)].astype(np.float64))
    pictures = []
    for mesh_hash, found in contacts.items():
        touching = np.concatenate(found)
        picture = contact_figure(folder.object_model(mesh_hash), touching[:, :3], touching[:, 3:])
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "PNG")
        data = base64.b64encode(buffer.getvalue()).decode()
        label = f"{names[mesh_hash]}, {totals[mesh_hash]} grasps"
        pictures.append(f'<figure><img alt="{escape(label)}" src="data:image/png;base64,{data}">'
                        f"<figcaption>{escape(label)}</figcaption></figure>")  # fmt: skip
    return "\n".join(pictures) or "<p>No grasp is OK.</p>"


_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title><style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
svg { max-width: 100%; height: auto; } .maps { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; }
figcaption { font-size: 0.85rem; color: #555; }
</style></head><body><h1>$title</h1><p>$lead</p>
$body
</body></html>
""")
