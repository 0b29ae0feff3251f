"""Tables of an evaluation for a terminal; they leave columns out, or move them into a second table, where it is narrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from warpgrasp.eval.protocol.verdict import FailureReason
from warpgrasp.eval.results.agreement import MEANINGFUL_SHARE, Comparison, Disagreement
from warpgrasp.eval.results.columns import (
    METRIC_COLUMNS,
    RESULT_COLUMNS,
    Column,
    counted,
    failure_count,
    reason_name,
)
from warpgrasp.eval.results.rows import row_labels, total_rows

__all__ = [
    "agreement_table",
    "disagreement_table",
    "failure_sentences",
    "metric_rows",
    "metric_table",
    "result_tables",
    "shown_totals",
    "total_sentence",
]

Row = Mapping[str, Any]
_DISPENSABLE = ("unique_pose", "mean_self_penetration_depth", "effort_ratio")  # in a narrow terminal
_REASON_TITLES = {
    FailureReason.PENETRATION: "pene-\ntration",
    FailureReason.SELF_COLLISION: "self col-\nlision",
    FailureReason.INVALID: "in-\nvalid",
}


def result_tables(console: Console, rows: Sequence[Row], *, limit: int) -> list[Table]:
    """The results as one table, or as two where they would not fit the console: numbers, then reasons of failure.

    At most ``limit`` rows, then all grasps of each hand, grasp type and force together.
    """
    labels = row_labels(rows)[:limit]
    totals = shown_totals(rows)
    shown = [*zip(labels, rows, strict=False), *((str(row["object"]), row) for row in totals)]
    groups = _group_columns(rows)
    reasons = [reason for reason in FailureReason if any(reason in failure_count(row) for row in rows)]
    short = tuple(column for column in RESULT_COLUMNS if column.key not in _DISPENSABLE)
    head = RESULT_COLUMNS[:2]
    tables = [_table(shown, len(labels), groups, RESULT_COLUMNS, reasons)]
    if _fits(console, tables):
        return tables
    why = [_table(shown, len(labels), groups, head, reasons)] if reasons else []
    for columns in (RESULT_COLUMNS, short):
        tables = [_table(shown, len(labels), groups, columns, ()), *why]
        if _fits(console, tables):
            break
    return tables


def metric_rows(rows: Sequence[Row]) -> list[Row]:
    """Rows of one force, which is all that most metrics need: 5 N where a file has it, else its largest."""
    chosen: dict[str, Row] = {}
    for row in rows:
        before = chosen.get(row["file"])
        if before is None or (
            before["force"] != 5.0 and (row["force"] == 5.0 or row["force"] > before["force"])
        ):
            chosen[row["file"]] = row
    return list(chosen.values())


def metric_table(rows: Sequence[Row], *, limit: int) -> Table:
    """Geometric and wrench metrics, means over the grasps of each object."""
    chosen = metric_rows(rows)
    labels = row_labels(chosen)[:limit]
    totals = shown_totals(chosen)
    shown = [*zip(labels, chosen, strict=False), *((str(row["object"]), row) for row in totals)]
    return _table(shown, len(labels), _group_columns(chosen), METRIC_COLUMNS, ())


def shown_totals(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows of all grasps together, where there is more than one file."""
    return [row for row in total_rows(rows) if row["files"] > 1]


def total_sentence(rows: Sequence[Row]) -> str:
    """What the last rows are; empty when there are none."""
    totals = shown_totals(rows)
    if not totals:
        return ""
    files = {(row["hand"], row["grasp_type"], row["file"]): row["object"] for row in rows}
    objects = {(*key[:2], name) for key, name in files.items()}
    what = "object" if len(objects) == len(files) else "file"
    counts = sorted({int(row["entropy_files"]) for row in totals})
    span = counted(counts[0], what) if len(counts) == 1 else f"{counts[0]} to {counts[-1]} {what}s"
    return (
        f"All grasps: rates and depths over all grasps requested, H the mean of the {span} with success, "
        "effort the largest."
    )


def failure_sentences(rows: Sequence[Row]) -> list[str]:
    """How many grasps do not hold in all trials, of how many verdicts, and what each reason means."""
    counts = dict.fromkeys(FailureReason, 0)
    for row in rows:
        for reason, count in failure_count(row).items():
            counts[reason] += count
    total, failed = sum(int(row["grasps"]) for row in rows), sum(counts.values())
    if not failed:
        return []
    forces = sorted({float(row["force"]) for row in rows})
    grasps = sum({row["file"]: int(row["grasps"]) for row in rows}.values())
    whole = (
        f"{total} grasps" if len(forces) == 1 else f"{total} verdicts ({grasps} grasps, {len(forces)} forces)"
    )
    lines = [f"Not held in all trials: {failed} of {whole}."]
    lines += [
        f"  {count} {reason_name(reason)}: {reason.sentence}" for reason, count in counts.items() if count
    ]
    return lines


def agreement_table(comparison: Comparison) -> Table:
    """How often two engines say the same, by force."""
    table = _empty_table()
    first, second = comparison.first, comparison.second
    for name in ("F [N]", "verdict", "number", f"{first} %", f"{second} %", "equal %", "kappa", ""):
        table.add_column(name, justify="left" if name in ("verdict", "") else "right", no_wrap=True)
    low, high = (100.0 * share for share in MEANINGFUL_SHARE)
    for force in comparison.forces:
        for name, agreement in comparison.agreements(force).items():
            shares = (agreement.first_share, agreement.second_share, agreement.observed)
            kappa = f"{agreement.kappa:.2f}" if np.isfinite(agreement.kappa) else "-"
            note = "" if agreement.meaningful else f"says little: not {low:.0f} to {high:.0f} % hold"
            numbers = [f"{100.0 * share:.0f}" for share in shares]
            table.add_row(f"{force:g}", name, str(agreement.count), *numbers, kappa, note)
    return table


def disagreement_table(comparison: Comparison, entries: Sequence[Disagreement]) -> Table:
    """Each grasp on which two engines differ, one line per engine."""
    table = _empty_table()
    table.add_column("object", overflow="fold")
    for name in ("grasp", "F [N]", "engine", "holds", "way in each trial [mm]", "contacts", "reason"):
        justify: JustifyMethod = "right" if name in ("grasp", "F [N]", "contacts") else "left"
        table.add_column(escape(name), justify=justify)
    for entry in entries:
        for side, engine in enumerate((comparison.first, comparison.second)):
            head = (escape(entry.object), str(entry.grasp), f"{entry.force:g}") if side == 0 else ("",) * 3
            holds = "".join("+" if held else "-" for held in entry.trial_success[side])
            ways = " ".join(f"{1000.0 * way:.1f}" for way in entry.displacement[side])
            reason = reason_name(entry.reason[side])
            table.add_row(*head, engine, holds, ways, str(entry.contact_count[side]), reason)
    return table


def _empty_table() -> Table:
    return Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)


def _table(
    shown: Sequence[tuple[str, Row]],
    count: int,
    groups: Sequence[str],
    columns: Sequence[Column],
    reasons: Sequence[FailureReason],
) -> Table:
    """Labelled rows, the first ``count`` of them of single files, the others totals."""
    table = _empty_table()
    table.add_column("object", overflow="fold")
    for name in groups:
        table.add_column(name.removeprefix("grasp_"), overflow="fold")
    for column in columns:
        unit = f"[{column.unit}]" if column.unit else ""
        table.add_column(escape(f"{column.heading or column.title}\n{unit}"), justify="right", no_wrap=True)
    for reason in reasons:
        title = _REASON_TITLES.get(reason, reason_name(reason).replace(" ", "\n"))
        table.add_column(title, justify="right", no_wrap=True, style="dim")
    for number, (label, row) in enumerate(shown):
        if number == count:
            table.add_section()
        failures = failure_count(row)
        table.add_row(
            escape(label),
            *(escape(str(row[name])) for name in groups),
            *(column.text(row) for column in columns),
            *(str(failures.get(reason, "·")) for reason in reasons),
            style="bold" if number >= count else "",
        )
    return table


def _group_columns(rows: Sequence[Row]) -> tuple[str, ...]:
    """Hand and grasp type, unless all rows have the same."""
    return tuple(name for name in ("hand", "grasp_type") if len({row[name] for row in rows}) > 1)


def _fits(console: Console, tables: Sequence[Table]) -> bool:
    options = console.options.update(max_width=10_000)
    return all(Measurement.get(console, options, table).maximum <= console.width for table in tables)
