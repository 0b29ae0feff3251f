"""``python -m warpgrasp.evaluate --report``: one HTML page that needs no network and no server.

Tables, plots, contact heat maps, pictures of held and dropped grasps, and every grasp in 3-D. Everything lies inside the
page; its content security policy forbids the browser to fetch anything.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from warpgrasp.base.atomic_file import write_text
from warpgrasp.base.web_page import filled_page, page_part, script_json, three_parts
from warpgrasp.eval.protocol.verdict import FailureReason, Verdict
from warpgrasp.eval.report.figures import (
    Curve,
    import_matplotlib,
    reason_figure,
    success_figure,
    unique_curve,
    unique_figure,
)
from warpgrasp.eval.report.html_tables import agreement_section, metric_section, result_section
from warpgrasp.eval.report.pictures import (
    ReportEntry,
    ReportLimits,
    gallery_choice,
    gallery_tiles,
    heat_map_figures,
    scene_choice,
    state_of,
)
from warpgrasp.eval.report.scenes import grasp_scenes
from warpgrasp.eval.results.agreement import Comparison
from warpgrasp.eval.results.columns import reason_name
from warpgrasp.eval.results.rows import total_rows

__all__ = ["ReportContent", "ReportEntry", "ReportLimits", "reference_force", "write_report"]

_REFERENCE_FORCE = 5.0  # N, of the protocol graspqp


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportContent:
    """What the page shows."""

    entries: Sequence[ReportEntry]
    conditions: Sequence[str]
    """Sentences that must stand beside the numbers: protocols, engine, squeeze."""
    problems: Sequence[str] = ()
    """Sentences about files and grasps that were skipped."""
    comparison: Comparison | None = None
    """With a second engine."""
    limits: ReportLimits = field(default_factory=ReportLimits)

    @property
    def rows(self) -> list[Mapping[str, Any]]:
        """Rows of all entries."""
        return [row for entry in self.entries for row in entry.rows]


def write_report(path: Path, content: ReportContent, *, device: wp.DeviceLike = "cpu") -> Path:
    """Write the page, whole or not at all, and return its path.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: There is nothing to report.
        OutputError: The file cannot be written.
    """
    import_matplotlib()
    if not content.entries:
        raise ValueError("a report needs at least one evaluated grasp file (got none)")
    limits = content.limits
    common = np.array(_common_forces(content.entries))
    force = float(common[reference_force(common)])
    # Files that were not tested at this force are in the tables and curves only.
    entries = [entry for entry in content.entries if force in entry.result.force]
    verdicts = [entry.result.at([force]).verdict(0) for entry in entries]
    forces = _all_forces(entries)
    chosen = scene_choice(entries, limits)
    scenes = grasp_scenes([entry.case for entry in entries], chosen, device=device)
    scene_index = {} if scenes is None else scenes.scene_index
    pictures = gallery_choice(entries, verdicts, limits.picture_count)
    values = {
        "title": escape(f"Grasps of {_names(content.entries)}"),
        "conditions": "".join(f"<li>{escape(text)}</li>" for text in content.conditions),
        "problems": _problems(content.problems),
        "headline": _headline(content.rows, force),
        "figures": _figures(content, force),
        "heat_maps": heat_map_figures(entries[: limits.object_count], verdicts, limits, device),
        "gallery": gallery_tiles(entries, verdicts, pictures, limits, device),
        "grasp_lists": _grasp_lists(entries, verdicts, scene_index),
        "table": result_section(content.rows) + metric_section(content.rows),
        "agreement": agreement_section(content.comparison),
        "notes": _notes(entries, scene_index, limits, len(content.entries)),
        "force": f"{force:g} N",
        "data": script_json({"grasps": _grasp_data(entries, scene_index, forces), "forces": forces}),
        "glb": "" if scenes is None else base64.b64encode(scenes.glb).decode(),
        "style": _part("page.css"),
        "viewer": _part("viewer.js"),
        **three_parts(),
    }
    write_text(path, filled_page(_part("page.html"), values))
    return path


def reference_force(force: NDArray[np.float64]) -> int:
    """Index of the push that pictures and colours are about: 5 N where it was tested, else the largest."""
    equal = np.flatnonzero(np.isclose(force, _REFERENCE_FORCE))
    return int(equal[0]) if equal.size else int(np.argmax(force))


def _all_forces(entries: Sequence[ReportEntry]) -> list[float]:
    return sorted({float(force) for entry in entries for force in entry.result.force})


def _common_forces(entries: Sequence[ReportEntry]) -> list[float]:
    """The forces that most files were tested at: those of a curve, which must be about the same grasps everywhere."""
    counts = Counter(float(force) for entry in entries for force in entry.result.force)
    return sorted(force for force, count in counts.items() if count == max(counts.values()))


def _figures(content: ReportContent, reference: float) -> str:
    groups = list(dict.fromkeys((row["hand"], row["grasp_type"]) for row in content.rows))
    totals = total_rows(content.rows)
    success, unique = [], []
    for color, group in enumerate(groups):
        members = [e for e in content.entries if (e.case.hand.name, e.case.grasp_type) == group]
        pushes = _common_forces(members)
        rows = [row for row in totals if (row["hand"], row["grasp_type"]) == group and row["force"] in pushes]
        rows.sort(key=lambda row: row["force"])
        force = np.array([row["force"] for row in rows])
        prefix = f"{group[0]} {group[1]}: " if len(groups) > 1 else ""
        for name, label in (("succ1", "Succ1: in at least one trial"), ("succ3", "Succ3: in all trials")):
            share = np.array([row[name] for row in rows])
            success.append(Curve(prefix + label, force, share, dashed=name == "succ3", color=color))
        for k, push in enumerate(pushes if len(groups) == 1 else [reference]):
            tested = [entry for entry in members if push in entry.result.force]
            if not tested:
                continue
            values = _mean_unique_curve(tested, push)
            x = np.arange(len(values), dtype=np.float64)
            unique.append(Curve(f"{prefix}{push:g} N", x, values, color=max(color, k)))
    whole = _common_forces(content.entries) == _all_forces(content.entries)
    some = "" if whole else " Pushes at which only some files were tested are in the table."
    figures = (
        ("Success over force", success_figure(success), f"Of all grasps.{some}"),
        (
            "Unique grasps over seeds",
            unique_figure(unique),
            "Different grasps with Succ1 (bins of 2 cm, 4 deg, 1.15 deg) that this many seeds give on average; mean "
            "over the objects.",
        ),
        (
            "Why grasps fail",
            _reason_figure(content.entries),
            "Grasps that hold in all trials, and the others.",
        ),
    )
    return "".join(
        f"<figure><h3>{title}</h3>{svg}<figcaption>{caption}</figcaption></figure>"
        for title, svg, caption in figures
    )


def _mean_unique_curve(entries: Sequence[ReportEntry], force: float) -> NDArray[np.float64]:
    curves = []
    for entry in entries:
        grasps = entry.case.grasps
        success = entry.result.at([force]).verdict(0).success_any
        curves.append(
            unique_curve(grasps.root_position, grasps.root_quaternion, grasps.joint_position, success)
        )
    shortest = min(len(curve) for curve in curves)
    return np.mean([curve[:shortest] for curve in curves], axis=0)


def _reason_figure(entries: Sequence[ReportEntry]) -> str:
    forces = _common_forces(entries)
    reasons = [
        np.concatenate([np.ravel(entry.result.at([force]).columns["reason"]) for entry in entries])
        for force in forces
    ]
    counts = {item: [int((reason == item).sum()) for reason in reasons] for item in FailureReason}
    return reason_figure([f"{value:g} N" for value in forces], counts)


def _grasp_lists(
    entries: Sequence[ReportEntry],
    verdicts: Sequence[Verdict],
    scene_index: Mapping[tuple[int, int], int],
) -> str:
    """Every grasp of every object as a small square, coloured by what became of it."""
    parts = []
    for number, (entry, verdict) in enumerate(zip(entries, verdicts, strict=True)):
        squares = []
        for index in range(len(verdict)):
            trials = verdict.trial_success[index]
            reason = FailureReason(int(verdict.reason[index]))
            title = f"grasp {index}: {reason_name(reason)}, {int(trials.sum())} of {len(trials)} trials"
            flat = "" if (number, index) in scene_index else " flat"
            squares.append(
                f'<button class="{state_of(verdict, index)}{flat}" data-grasp="{number}/{index}" '
                f'title="{title}">{index}</button>'
            )
        parts.append(f"<h3>{escape(entry.name)}</h3><div>{''.join(squares)}</div>")
    return "".join(parts)


def _grasp_data(
    entries: Sequence[ReportEntry], scene_index: Mapping[tuple[int, int], int], forces: Sequence[float]
) -> dict[str, dict[str, Any]]:
    """What the viewer says about each grasp, by ``entry/grasp``; ``None`` at forces it was not tested at."""
    data = {}
    for number, entry in enumerate(entries):
        known = {float(force): k for k, force in enumerate(entry.result.force)}
        trials = entry.result.columns["trial_success"]
        reasons = entry.result.columns["reason"]
        for index in range(len(entry.result)):
            held = [int(trials[index, known[force]].sum()) if force in known else None for force in forces]
            data[f"{number}/{index}"] = {
                "name": f"{entry.name}, grasp {index}",
                "scene": scene_index.get((number, index), -1),
                "energy": _finite(entry.case.grasps.energy[index]),
                "trials": held,
                "trial_count": int(trials.shape[2]),
                "reasons": [
                    reason_name(FailureReason(int(reasons[index, known[force]]))) if force in known else None
                    for force in forces
                ],
            }
    return data


def _headline(rows: Sequence[Mapping[str, Any]], force: float) -> str:
    cards = []
    for row in total_rows(rows):
        if not np.isclose(row["force"], force):
            continue
        numbers = (
            ("Succ1", f"{100.0 * row['succ1']:.0f} %"),
            ("Succ3", f"{100.0 * row['succ3']:.0f} %"),
            ("unique", f"{100.0 * row['unique']:.0f} %"),
            ("entropy H", _number(row["entropy"], 1.0, "{:.2f}")),
            ("penetration", _number(row.get("mean_penetration_depth", np.nan), 1000.0, "{:.1f} mm")),
        )
        cells = "".join(f"<div><b>{value}</b><span>{name}</span></div>" for name, value in numbers)
        title = f"{row['hand']}, {row['grasp_type']}: {row['grasps']} grasps at {force:g} N"
        cards.append(f'<section class="card"><h3>{escape(title)}</h3><div>{cells}</div></section>')
    return "".join(cards)


def _notes(
    entries: Sequence[ReportEntry],
    scene_index: Mapping[tuple[int, int], int],
    limits: ReportLimits,
    file_count: int,
) -> str:
    total = sum(len(entry.result) for entry in entries)
    shown = len(scene_index)
    notes = []
    if shown < total:
        notes.append(f"{shown} of {total} grasps are in 3-D; pale squares are not.")
    if len(entries) > limits.object_count:
        notes.append(f"Heat maps and 3-D show the first {limits.object_count} of {len(entries)} files.")
    if len(entries) < file_count:
        notes.append(f"{file_count - len(entries)} files were not tested at this push: see the table.")
    return " ".join(notes)


def _problems(problems: Sequence[str]) -> str:
    if not problems:
        return ""
    items = "".join(f"<li>{escape(text)}</li>" for text in problems)
    return f'<section class="problems"><h2>Skipped</h2><ul>{items}</ul></section>'


def _names(entries: Sequence[ReportEntry]) -> str:
    hands = ", ".join(dict.fromkeys(entry.case.hand.name for entry in entries))
    count = len({(entry.case.object_name, entry.case.model.mesh_hash) for entry in entries})
    return f"{hands} on {count} object{'s' if count != 1 else ''}"


def _number(value: float, factor: float, form: str) -> str:
    return form.format(factor * float(value)) if np.isfinite(float(value)) else "–"


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _part(name: str) -> str:
    return page_part("warpgrasp.eval.report", f"page/{name}")
