"""What ``python -m warpgrasp.evaluate`` shows: progress, a table per object, hand and grasp type, reasons of failure."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from warpgrasp.eval.agreement import MEANINGFUL_SHARE, Comparison, Disagreement
from warpgrasp.eval.results import total_rows
from warpgrasp.eval.verdict import FailureReason

__all__ = ["EvaluationReport"]

_FILE_WIDTH = 150  # columns where output is not a terminal
_SHOWN_ROWS = 60


class EvaluationReport:
    """Writes for people: to a terminal with a live bar, elsewhere as plain lines."""

    def __init__(self, console: Console | None = None, error_console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, width=None if sys.stdout.isatty() else _FILE_WIDTH)
        self.error_console = error_console or Console(highlight=False, stderr=True)

    def say(self, text: str) -> None:
        """One line about what happens now."""
        self.console.print(escape(text), soft_wrap=True)

    def error(self, text: str) -> None:
        """One line about what went wrong and what to do."""
        self.error_console.print(f"[red]error:[/red] {escape(text)}", soft_wrap=True)

    @contextmanager
    def files(self, total: int) -> Iterator[Callable[[str, float], None]]:
        """Yield a function that hears what is worked on and how many files (with fractions) are done."""
        if not self.console.is_terminal:
            yield lambda text, done: None
            return
        columns = (
            TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn()
        )  # fmt: skip
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task("", total=total)

            def update(text: str, done: float) -> None:
                progress.update(task, description=escape(text), completed=round(done, 2))

            yield update

    def table(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """One line per object and force, then the means."""
        if not rows:
            return
        table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        for name in ("object", "hand", "type"):
            table.add_column(name, overflow="fold")
        for name in _COLUMNS:
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("why not", overflow="fold")
        for row in rows[:_SHOWN_ROWS]:
            table.add_row(*_cells(row))
        table.add_section()
        totals = total_rows(rows)
        for row in totals:
            table.add_row(*_cells(row), style="bold")
        self.console.print(table)
        if len(rows) > _SHOWN_ROWS:
            self.say(f"... and {len(rows) - _SHOWN_ROWS} more rows, see results.csv")
        self.say(
            "Succ1: holds along at least one trial, Succ3: along all; unique: different grasps with Succ1 per grasp "
            "requested (2 cm, 4 deg, 1.15 deg), then by pose (2 cm, 15 deg); H: entropy of grasps with Succ1; pen and "
            "self: mean of the deepest point [mm]; effort: largest torque per limit"
        )
        for reason in FailureReason:
            count = sum(int(row[reason.name.lower()]) for row in totals)
            if count and reason != FailureReason.HOLDS:
                self.say(f"{count} x {_name(reason)}: {reason.sentence}")

    def comparison(self, comparison: Comparison) -> None:
        """How two engines agree, and each grasp on which they do not."""
        first, second = comparison.first, comparison.second
        table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        for name in ("F [N]", "verdict", "number", f"{first} %", f"{second} %", "equal %", "kappa", ""):
            table.add_column(name, justify="left" if name in ("verdict", "") else "right", no_wrap=True)
        for force in comparison.forces:
            for name, agreement in comparison.agreements(force).items():
                shares = (agreement.first_share, agreement.second_share, agreement.observed)
                kappa = f"{agreement.kappa:.2f}" if np.isfinite(agreement.kappa) else "-"
                low, high = (100.0 * share for share in MEANINGFUL_SHARE)
                note = "" if agreement.meaningful else f"says little: not {low:.0f} to {high:.0f} % hold"
                numbers = [f"{100.0 * share:.0f}" for share in shares]
                table.add_row(f"{force:g}", name, str(agreement.count), *numbers, kappa, note)
        self.console.print(table)
        entries = comparison.disagreements()
        if not entries:
            self.say(f"{first} and {second} agree on Succ1 and Succ3 of every grasp.")
            return
        table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        table.add_column("object", overflow="fold")
        for name in ("grasp", "F [N]", "engine", "holds", "way in each trial [mm]", "contacts", "reason"):
            table.add_column(name, justify="right" if name in ("grasp", "F [N]", "contacts") else "left")
        for entry in entries[:_SHOWN_ROWS]:
            for side, engine in enumerate((first, second)):
                head = (
                    (escape(entry.object), str(entry.grasp), f"{entry.force:g}") if side == 0 else ("",) * 3
                )
                table.add_row(*head, engine, *_side_cells(entry, side))
        self.console.print(table)
        if len(entries) > _SHOWN_ROWS:
            self.say(f"... and {len(entries) - _SHOWN_ROWS} more, see agreement.json")


def _side_cells(entry: Disagreement, side: int) -> list[str]:
    holds = "".join("+" if held else "-" for held in entry.trial_success[side])
    ways = " ".join(f"{1000.0 * way:.1f}" for way in entry.displacement[side])
    return [holds, ways, str(entry.contact_count[side]), _name(entry.reason[side])]


_COLUMNS = {
    "F [N]": ("force", 1.0, "{:g}"),
    "grasps": ("grasps", 1.0, "{:.0f}"),
    "Succ1 %": ("succ1", 100.0, "{:.0f}"),
    "Succ3 %": ("succ3", 100.0, "{:.0f}"),
    "unique %": ("unique", 100.0, "{:.0f}"),
    "by pose %": ("unique_pose", 100.0, "{:.0f}"),
    "H": ("entropy", 1.0, "{:.2f}"),
    "pen": ("mean_penetration_depth", 1000.0, "{:.1f}"),
    "self": ("mean_self_penetration_depth", 1000.0, "{:.1f}"),
    "effort": ("effort_ratio", 1.0, "{:.2f}"),
}


def _cells(row: Mapping[str, Any]) -> list[str]:
    numbers = []
    for key, factor, form in _COLUMNS.values():
        value = float(row.get(key, np.nan))
        numbers.append(form.format(factor * value) if np.isfinite(value) else "-")
    reasons = [
        f"{row[reason.name.lower()]} {_name(reason)}"
        for reason in FailureReason
        if reason != FailureReason.HOLDS and row.get(reason.name.lower())
    ]
    texts = [escape(str(row[key])) for key in ("object", "hand", "grasp_type")]
    return [*texts, *numbers, ", ".join(reasons)]


def _name(reason: FailureReason) -> str:
    return reason.name.lower().replace("_", " ")
