"""``DATASHEET.md`` and ``croissant.json``: what a data set is, for people and for machines.

The machine-readable file follows Croissant 1.0 [MLCommons, ``http://mlcommons.org/croissant/1.0``].
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

from warpgrasp.base.atomic_file import write_text
from warpgrasp.dataset.summary import Summary
from warpgrasp.grasps.sharded.columns import DATA_SET_VERSION, Columns

__all__ = ["write_card"]


def write_card(folder: Path, summary: Summary) -> None:
    """Write both files of a data set.

    Raises:
        OutputError: They cannot be written.
    """
    settings = _settings(folder)
    write_text(folder / "DATASHEET.md", _sheet(summary, settings))
    write_text(folder / "croissant.json", json.dumps(_croissant(folder, summary, settings), indent=2) + "\n")


def _settings(folder: Path) -> dict[str, Any]:
    """Settings of the first plan; empty for a data set that was converted or merged."""
    files = sorted((folder / "plan").glob("[0-9]*.json"))
    if not files:
        return {}
    found: dict[str, Any] = json.loads(files[0].read_text(encoding="utf-8"))["settings"]
    return found


def _sheet(summary: Summary, settings: dict[str, Any]) -> str:
    rows = sum(cell.rows for cell in summary.cells.values())
    splits = Counter(entry["split"] or "not said" for entry in summary.objects.values())
    licences = Counter(entry["licence"] or "not said" for entry in summary.objects.values())
    parts = ", ".join(f"{count} {name}" for name, count in sorted(splits.items()))
    versions = ", ".join(
        f"{name} {' and '.join(sorted(found))}" for name, found in sorted(summary.versions.items())
    )
    lines = [
        f"# {settings.get('name') or 'warpgrasp data set'}",
        "",
        f"{rows} grasps of {len(summary.hands)} hands on {len(summary.objects)} objects ({parts}), in {summary.files} files of "
        f"{summary.bytes / 1e6:.1f} MB together, data set version {DATA_SET_VERSION}. Made by {versions}.",
        "",
        "## What is in it",
        "",
        "The table counts grasps by hand and grasp type. *Made* are all that were synthesised, *rows* those in the files, *OK* "
        "those whose status is OK; further columns count the grasps that passed a test. Percentages are of all made.",
        "",
        *_cell_table(summary),
        "",
        "## How it was made",
        "",
        _tests(settings),
        "",
        *(
            f"- config `{key}`: {_config_sentence(content)}"
            for key, content in sorted(summary.configs.items())
        ),
        "",
        "## Objects and licences",
        "",
        *(f"- {licence}: {count} objects" for licence, count in sorted(licences.items())),
        f"- licence of the grasps: {settings.get('licence') or 'not said'}",
        "",
        "## What is not in it",
        "",
        *_failures(summary),
        "",
        "## Conventions",
        "",
        "SI units, quaternions xyzw, poses of the hand root in the object frame, joints in the order of `hands.parquet`. The "
        "unit of a column stands in the metadata of its field, the rest in the footer of every file under the key `warpgrasp`.",
        "",
    ]
    return "\n".join(lines)


def _cell_table(summary: Summary) -> list[str]:
    labels = sorted({label for cell in summary.cells.values() for label in cell.held})
    head = ["hand", "grasp type", "made", "rows", "OK", *labels]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for (hand, kind), cell in sorted(summary.cells.items()):
        share = 100.0 / max(cell.requested, 1)
        counts = [cell.status.get("OK", 0), *(cell.held.get(label, 0) for label in labels)]
        cells = [
            hand,
            kind,
            str(cell.requested),
            str(cell.rows),
            *(f"{n} ({share * n:.1f} %)" for n in counts),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _tests(settings: dict[str, Any]) -> str:
    if not settings:
        return "The data set was converted or curated; its plan is not part of it."
    kept = {
        "all": "All grasps were kept.",
        "ok": "Grasps with status OK were kept.",
        "held": "Grasps that hold were kept.",
    }
    protocols = [
        entry["name"]
        + (f" at {', '.join(f'{force:g}' for force in entry['forces'])} N" if entry["forces"] else "")
        for entry in settings["protocols"]
    ]
    tests = (
        f"Grasps with status OK were tested by {' and '.join(protocols)}."
        if protocols
        else "No test in physics."
    )
    split = settings["split"]
    return (
        f"{settings['grasps']} grasps per object, hand, grasp type, contact count, method and seed. "
        f"{tests} {kept[settings['keep']]} The split is by object file, stratified by category, "
        f"{100.0 * split['test_share']:g} % test, seed {split['seed']}."
    )


def _config_sentence(content: dict[str, Any]) -> str:
    if not isinstance(content, dict) or "step_count" not in content:
        return str(content.get("type", "not said")) if isinstance(content, dict) else "not said"
    optimizer = content["optimizer"]["type"]
    return f"{content['grasp_type']}, {content['contact_count']} contacts, {content['step_count']} steps, {optimizer}"


def _failures(summary: Summary) -> list[str]:
    if not summary.failures:
        return ["Every object of the plan has grasps."]
    stages = Counter(entry["stage"] for entry in summary.failures)
    lines = [
        f"- {count} times an object gave no grasps at the stage {stage}"
        for stage, count in sorted(stages.items())
    ]
    named = {f"{entry['object']}: {entry['sentence']}" for entry in summary.failures}
    return lines + [f"  - {sentence}" for sentence in sorted(named)[:50]]


def _croissant(folder: Path, summary: Summary, settings: dict[str, Any]) -> dict[str, Any]:
    name = settings.get("name") or "warpgrasp data set"
    tables = [entry for entry in ("objects", "hands", "views") if (folder / f"{entry}.parquet").exists()]
    files: list[dict[str, Any]] = [
        {
            "@type": "cr:FileObject",
            "@id": "repository",
            "name": "repository",
            "contentUrl": ".",
            "encodingFormat": "git+https",
            "sha256": "main",
        }
    ]
    files += [
        {
            "@type": "cr:FileObject",
            "@id": f"{table}.parquet",
            "name": f"{table}.parquet",
            "contentUrl": f"{table}.parquet",
            "encodingFormat": "application/x-parquet",
            "sha256": hashlib.sha256((folder / f"{table}.parquet").read_bytes()).hexdigest(),
        }
        for table in tables
    ]
    sets = []
    for hand in sorted(summary.columns):
        files.append(
            {
                "@type": "cr:FileSet",
                "@id": f"grasps-{hand}",
                "name": f"grasps-{hand}",
                "containedIn": {"@id": "repository"},
                "encodingFormat": "application/x-parquet",
                "includes": f"grasps/hand={hand}/*/*.parquet",
            }
        )
        sets.append(_record_set(hand, Columns.from_footer(summary.columns[hand])))
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": name,
        "description": f"Dexterous grasps of {len(summary.hands)} hands on {len(summary.objects)} objects.",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "license": settings.get("licence") or "not said",
        "version": f"{DATA_SET_VERSION}.0.0",
        "url": ".",
        "distribution": files,
        "recordSet": sets,
    }


_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "arrayShape": "cr:arrayShape",
    "recordSet": "cr:recordSet",
    "repeated": "cr:repeated",
    "source": "cr:source",
}


def _record_set(hand: str, columns: Columns) -> dict[str, Any]:
    fields = []
    for entry in columns.schema():
        kind, shape = entry.type, []
        while hasattr(kind, "list_size"):
            shape.append(kind.list_size)
            kind = kind.value_type
        described: dict[str, Any] = {
            "@type": "cr:Field",
            "@id": f"{hand}/{entry.name}",
            "name": f"{hand}/{entry.name}",
            "dataType": _data_type(str(kind)),
            "source": {"fileSet": {"@id": f"grasps-{hand}"}, "extract": {"column": entry.name}},
        }
        if entry.metadata and b"unit" in entry.metadata:
            described["description"] = entry.metadata[b"unit"].decode()
        if shape:
            described |= {"isArray": True, "arrayShape": ",".join(map(str, shape))}
        fields.append(described)
    return {"@type": "cr:RecordSet", "@id": hand, "name": hand, "field": fields}


def _data_type(kind: str) -> str:
    if kind.startswith(("float", "double")):
        return "sc:Float"
    if kind == "bool":
        return "sc:Boolean"
    return "sc:Integer" if kind.startswith("int") else "sc:Text"
