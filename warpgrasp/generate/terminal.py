"""What ``python -m warpgrasp.generate`` shows: progress while it works, a table when it is done."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Table
from rich.text import Text

from warpgrasp.base.status import GraspStatus

if TYPE_CHECKING:
    from warpgrasp.generate.object_rows import ObjectRow
    from warpgrasp.synthesis.synthesize import Progress as SynthesisProgress

__all__ = ["Report"]

_SHOWN_ROWS = 40
_NAMED_OBJECTS = 5
_FILE_WIDTH = 120  # columns where output is not a terminal
_NARROW = 100  # columns below which the table leaves out what OK and not OK add up to
_CAPTION = "upper number: best, lower: median of the OK grasps; terms are shown without their weights"
_LINE_SHARE = 0.1  # of a batch between two lines where output is not a terminal


class Report:
    """Writes for people: to a terminal with a live bar, elsewhere as plain lines.

    Args:
        console: Where progress and table go.
        error_console: Where errors go.
    """

    def __init__(self, console: Console | None = None, error_console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, width=None if sys.stdout.isatty() else _FILE_WIDTH)
        self.error_console = error_console or Console(highlight=False, stderr=True)
        self._bars: Progress | None = None

    def say(self, text: str) -> None:
        """One line about what happens now."""
        self.console.print(escape(text), soft_wrap=True)

    def warn(self, text: str) -> None:
        """One line about something the user should know."""
        self.error_console.print(f"[yellow]warning:[/yellow] {escape(text)}", soft_wrap=True)

    def error(self, text: str) -> None:
        """One line about what went wrong and what to do."""
        self.error_console.print(f"[red]error:[/red] {escape(text)}", soft_wrap=True)

    @contextmanager
    def batch(self, title: str, step_count: int) -> Iterator[BatchReport]:
        """Show one batch of objects from kernel preparation to the last step."""
        if not self.console.is_terminal:
            yield _LineReport(self.console, title)
            return
        with self.side_by_side():
            assert self._bars is not None
            bar = _BarReport(self._bars, title, step_count)
            yield bar
            bar.close()

    @contextmanager
    def side_by_side(self) -> Iterator[None]:
        """Show the bars of batches that run at the same time below each other."""
        if self._bars is not None or not self.console.is_terminal:
            yield
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(16),
            TextColumn("{task.fields[state]}"),
        )
        with Progress(*columns, _ClockColumn(), console=self.console, transient=True) as self._bars:
            try:
                yield
            finally:
                self._bars = None

    def table(self, rows: Sequence[ObjectRow]) -> None:
        """Print one row per object: grasps by status, best and median energy per term, seconds."""
        if rows:
            terms = list(rows[0].energy_best)
            table = Table(
                box=SIMPLE_HEAD,
                collapse_padding=True,
                pad_edge=False,
                caption=_CAPTION,
                caption_justify="left",
            )
            table.add_column("object", overflow="fold", min_width=8)
            counts = ("OK", "not OK") if self.console.width < _NARROW else ("grasps", "OK", "not OK")
            for name in counts:
                table.add_column(name, justify="right", no_wrap=True)
            for term in terms:
                table.add_column(_heading(term), justify="right", no_wrap=True)
            table.add_column("s", justify="right", no_wrap=True)
            for row in rows[:_SHOWN_ROWS]:
                table.add_row(*_cells(row, counts, terms))
            self.console.print(table)
            if len(rows) > _SHOWN_ROWS:
                self.say(f"... and {len(rows) - _SHOWN_ROWS} more objects, see summary.json")
        for status in GraspStatus:
            if status != GraspStatus.OK:
                self._explain(status, rows)

    def _explain(self, status: GraspStatus, rows: Sequence[ObjectRow]) -> None:
        """Say how many grasps have a status, of which objects, and what it means."""
        counts = {row.name: row.status_count[status.name] for row in rows if status.name in row.status_count}
        if not counts:
            return
        objects = ", ".join(f"{count} of {name}" for name, count in list(counts.items())[:_NAMED_OBJECTS])
        more = f", ... ({len(counts)} objects)" if len(counts) > _NAMED_OBJECTS else ""
        name = status.name.lower().replace("_", " ")
        self.say(f"{sum(counts.values())} x {name} ({objects}{more}): {status.sentence}")


class BatchReport:
    """Receives the progress of one batch."""

    def step(self, progress: SynthesisProgress) -> None:
        """Show where the batch stands."""
        raise NotImplementedError


_PREPARING = "preparing kernels (the first run compiles them)"


class _ClockColumn(ProgressColumn):
    """Seconds since the batch began, until there are steps to tell the time left from."""

    def render(self, task: Task) -> Text:
        """Text of the column."""
        left = task.time_remaining
        return Text(f"{task.fields['clock']():.0f} s" if left is None else f"{left:.0f} s left")


class _BarReport(BatchReport):
    def __init__(self, progress: Progress, title: str, step_count: int) -> None:
        self._progress = progress
        self._started = False
        began = time.perf_counter()
        self._task = progress.add_task(
            escape(title),
            total=step_count,
            start=False,
            state=_PREPARING,
            clock=lambda: time.perf_counter() - began,
        )

    def step(self, progress: SynthesisProgress) -> None:
        if not self._started:  # time left counts steps, not the compilation before them
            self._progress.start_task(self._task)
            self._started = True
        self._progress.update(self._task, completed=progress.step, state=_state(progress))

    def close(self) -> None:
        """Take the bar away."""
        self._progress.remove_task(self._task)


class _LineReport(BatchReport):
    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._next = 0.0
        self._first: tuple[float, int] | None = None
        console.print(escape(f"{title}: {_PREPARING}"), soft_wrap=True)

    def step(self, progress: SynthesisProgress) -> None:
        share = progress.step / max(progress.step_count, 1)
        if self._first is None:
            self._first = (time.perf_counter(), progress.step)
        if share < self._next and progress.step < progress.step_count:
            return
        self._next = share + _LINE_SHARE
        started, first_step = self._first
        done = progress.step - first_step
        left = ""
        if done > 0:
            per_step = (time.perf_counter() - started) / done
            left = f", {per_step * (progress.step_count - progress.step):.0f} s left"
        self._console.print(escape(f"{self._title}: {_state(progress)}{left}"), soft_wrap=True)


def _state(progress: SynthesisProgress) -> str:
    accepted = "" if progress.accept_rate is None else f", accepted {100 * progress.accept_rate:.0f} %"
    return (
        f"step {progress.step}/{progress.step_count}, energy {progress.energy_mean:.3g}, "
        f"best {progress.energy_best:.3g}{accepted}"
    )


def _heading(term: str) -> str:
    """Name of a term in lines short enough for a terminal of 80 columns."""
    return term.replace("_", "\n").replace("penetration", "pene-\ntration")


def _cells(row: ObjectRow, counts: Sequence[str], terms: Sequence[str]) -> list[str]:
    ok = row.status_count.get(GraspStatus.OK.name, 0)
    values = {"grasps": row.grasp_count, "OK": ok, "not OK": row.grasp_count - ok}
    energies = [
        f"{row.energy_best[term]:.2g}\n{row.energy_median[term]:.2g}" if ok else "-" for term in terms
    ]
    seconds = "-" if math.isnan(row.seconds) else f"{row.seconds:.1f}"
    return [escape(row.name), *(str(values[name]) for name in counts), *energies, seconds]
