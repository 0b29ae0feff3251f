"""What ``python -m warpgrasp.evaluate`` shows: progress, tables, reasons of failure, how two engines agree."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from warpgrasp.eval.report.progress import FileProgress, show_progress
from warpgrasp.eval.report.terminal_tables import (
    agreement_table,
    disagreement_table,
    failure_sentences,
    metric_table,
    result_tables,
    total_sentence,
)
from warpgrasp.eval.results.agreement import Comparison
from warpgrasp.eval.results.columns import METRIC_COLUMNS, NOTE

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

    def warn(self, text: str) -> None:
        """One line that does not end the run."""
        self.error_console.print(f"[yellow]warning:[/yellow] {escape(text)}", soft_wrap=True)

    def progress(self, files: Sequence[Path]) -> AbstractContextManager[FileProgress]:
        """Hears how far the work on each file is."""
        return show_progress(self.console, list(files))

    def table(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """One line per object and force, then all grasps together, then why grasps fail."""
        if not rows:
            return
        groups = {(row["hand"], row["grasp_type"]) for row in rows}
        if len(groups) == 1:
            self.say(", ".join(next(iter(groups))))
        for table in result_tables(self.console, rows, limit=_SHOWN_ROWS):
            self.console.print(table)
        if len(rows) > _SHOWN_ROWS:
            self.say(f"... and {len(rows) - _SHOWN_ROWS} more rows, see results.csv")
        self.say(" ".join(text for text in (NOTE, total_sentence(rows)) if text))
        for sentence in failure_sentences(rows):
            self.say(sentence)

    def metrics(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """The further metrics, one line per object."""
        if rows:
            self.console.print(metric_table(rows, limit=_SHOWN_ROWS))
            notes = "; ".join(f"{column.title}: {column.note}" for column in METRIC_COLUMNS)
            self.say(f"Means over the grasps of each object. {notes}.")

    def comparison(self, comparison: Comparison) -> None:
        """How two engines agree, and each grasp on which they do not."""
        self.console.print(agreement_table(comparison))
        entries = comparison.disagreements()
        if not entries:
            self.say(f"{comparison.first} and {comparison.second} agree on Succ1 and Succ3 of every grasp.")
            return
        self.console.print(disagreement_table(comparison, entries[:_SHOWN_ROWS]))
        if len(entries) > _SHOWN_ROWS:
            self.say(f"... and {len(entries) - _SHOWN_ROWS} more, see agreement.json")
