"""Tables of the report as HTML: results, further metrics, agreement of two engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from warpgrasp.eval.protocol.verdict import FailureReason
from warpgrasp.eval.report.terminal_tables import failure_sentences, metric_rows, shown_totals, total_sentence
from warpgrasp.eval.results.agreement import MEANINGFUL_SHARE, Comparison
from warpgrasp.eval.results.columns import (
    METRIC_COLUMNS,
    NOTE,
    RESULT_COLUMNS,
    Column,
    failure_count,
    reason_name,
)
from warpgrasp.eval.results.rows import row_labels

__all__ = ["agreement_section", "metric_section", "result_section"]

_MISSING = "–"


def result_section(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line per file and force, then all grasps together, and what the columns mean."""
    totals = shown_totals(rows)
    body = _body(rows, totals, RESULT_COLUMNS, why=True)
    why = "".join(f"<li>{escape(text.strip())}</li>" for text in failure_sentences(rows)[1:])
    first = escape("".join(failure_sentences(rows)[:1]))
    note = escape(" ".join(text for text in (NOTE, total_sentence(rows)) if text))
    return f'<div class="wide">{body}</div><p>{note}</p><p>{first}</p><ul>{why}</ul>'


def metric_section(rows: Sequence[Mapping[str, Any]]) -> str:
    """Metrics of pose and wrench per file; columns that no file has are left out."""
    chosen = metric_rows(rows)
    columns = [
        column
        for column in METRIC_COLUMNS
        if any(np.isfinite(float(row.get(column.key, np.nan))) for row in chosen)
    ]
    if not columns:
        return ""
    totals = shown_totals(chosen)
    notes = escape("; ".join(f"{column.title}: {column.note}" for column in columns))
    missing = "" if len(columns) == len(METRIC_COLUMNS) else " <code>--all-metrics</code> adds the others."
    return (
        f'<h3>Further metrics</h3><div class="wide">{_body(chosen, totals, columns, why=False)}</div>'
        f"<p>Means over the grasps of each object. {notes}.{missing}</p>"
    )


def agreement_section(comparison: Comparison | None) -> str:
    """How often two engines give the same verdict, with Cohen's kappa, by force."""
    if comparison is None or not comparison.forces:
        return ""
    first, second = escape(comparison.first), escape(comparison.second)
    low, high = (100.0 * share for share in MEANINGFUL_SHARE)
    lines = []
    for force in comparison.forces:
        for name, agreement in comparison.agreements(force).items():
            kappa = f"{agreement.kappa:.2f}" if np.isfinite(agreement.kappa) else _MISSING
            shares = (agreement.first_share, agreement.second_share, agreement.observed)
            numbers = [f"{agreement.count}", *(f"{100.0 * share:.0f}" for share in shares), kappa]
            cells = "".join(f'<td class="n">{text}</td>' for text in numbers)
            note = "" if agreement.meaningful else f"says little: not {low:.0f} to {high:.0f} % hold"
            lines.append(f'<tr><td class="n">{force:g}</td><td>{name}</td>{cells}<td>{note}</td></tr>')
    titles = ("number", f"{first} [%]", f"{second} [%]", "equal [%]", "kappa")
    head = "".join(f'<th class="n">{title}</th>' for title in titles)
    count = len(comparison.disagreements())
    return (
        f"<section><h2>{first} and {second}</h2>"
        f'<div class="wide"><table class="agreement"><thead><tr><th class="n">push [N]</th><th>verdict</th>{head}<th></th>'
        f"</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
        f"<p>Share of grasps that hold according to each engine, of equal verdicts, and Cohen's kappa. They differ on Succ1 or "
        f"Succ3 in {count} cases; <code>agreement.json</code> lists them.</p></section>"
    )


def _body(
    rows: Sequence[Mapping[str, Any]],
    totals: Sequence[Mapping[str, Any]],
    columns: Sequence[Column],
    *,
    why: bool,
) -> str:
    names = "".join(
        f'<th class="n">{escape(column.title)}{f" [{column.unit}]" if column.unit else ""}</th>'
        for column in columns
    )
    reasons = [item for item in FailureReason if why and any(item in failure_count(row) for row in rows)]
    names += "".join(f'<th class="n why">{reason_name(reason)}</th>' for reason in reasons)
    head = f"<tr><th>object</th><th>hand</th><th>type</th>{names}</tr>"
    body = [_line(label, row, columns, reasons) for label, row in zip(row_labels(rows), rows, strict=True)]
    body += [_line(str(row["object"]), row, columns, reasons, ' class="total"') for row in totals]
    style = "" if why else ' class="metrics"'
    return f"<table{style}><thead>{head}</thead><tbody>{''.join(body)}</tbody></table>"


def _line(
    label: str,
    row: Mapping[str, Any],
    columns: Sequence[Column],
    reasons: Sequence[FailureReason],
    style: str = "",
) -> str:
    texts = "".join(f"<td>{escape(str(text))}</td>" for text in (label, row["hand"], row["grasp_type"]))
    numbers = "".join(f'<td class="n">{column.text(row, missing=_MISSING)}</td>' for column in columns)
    failures = failure_count(row)
    counts = "".join(f'<td class="n why">{failures.get(reason, "·")}</td>' for reason in reasons)
    return f"<tr{style}>{texts}{numbers}{counts}</tr>"
