"""How far an evaluation is: a bar of grasps on a terminal, elsewhere a line per file and every half minute."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from warpgrasp.base.npz import read_npz

__all__ = ["FileProgress", "grasp_count", "show_progress"]

_LINE_PERIOD = 30.0  # s between two lines about one file where output is not a terminal
_NAME_WIDTH = 32


def grasp_count(path: Path) -> int:
    """Number of grasps in a file; 0 when it cannot be read."""
    try:
        return len(read_npz(path)["energy"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


class FileProgress:
    """Counts grasps over files; a file counts by the share of its work that is done.

    Args:
        files: Grasp files, in the order in which they come.
        show: Hears name, position of the file, grasps done, grasps in all, and whether the file is finished.
    """

    def __init__(self, files: list[Path], show: Callable[[str, int, float, int, bool], None]) -> None:
        self._counts = [grasp_count(path) for path in files]
        several = len({path.parent for path in files}) > 1
        self._names = [f"{path.parent.name}/{path.stem}" if several else path.stem for path in files]
        self._show = show
        self._index = -1

    def next_file(self) -> None:
        """Work on the next file begins."""
        self._index += 1
        self._tell(0.0)

    def share(self, done: float) -> None:
        """The share of the work on the file that is done."""
        self._tell(min(max(done, 0.0), 1.0))

    def finished(self) -> None:
        """The file is done."""
        self._tell(1.0, finished=True)

    def _tell(self, share: float, *, finished: bool = False) -> None:
        before = sum(self._counts[: self._index])
        done = before + share * self._counts[self._index]
        self._show(self._names[self._index], self._index, done, sum(self._counts), finished)


@contextmanager
def show_progress(console: Console, files: list[Path]) -> Iterator[FileProgress]:
    """Yield what hears about progress and shows it on ``console``."""
    if not console.is_terminal:
        yield FileProgress(files, _Lines(console, len(files)))
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(24),
        TextColumn("{task.fields[count]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=1.0, count="")

        def show(name: str, index: int, done: float, total: int, finished: bool) -> None:
            short = name if len(name) <= _NAME_WIDTH else name[: _NAME_WIDTH - 1] + "…"
            progress.update(
                task,
                description=escape(short),
                completed=done,
                total=max(total, 1),
                count=f"{int(done + 1.0e-6)}/{total} grasps, file {index + 1}/{len(files)}",
            )

        yield FileProgress(files, show)


class _Lines:
    def __init__(self, console: Console, file_count: int) -> None:
        self._console = console
        self._file_count = file_count
        self._started = self._last = time.monotonic()

    def __call__(self, name: str, index: int, done: float, total: int, finished: bool) -> None:
        now = time.monotonic()
        if not finished and now - self._last < _LINE_PERIOD:
            return
        self._last = now
        rest = (now - self._started) * (total - done) / done if done > 0.0 else 0.0
        left = f", {rest:.0f} s left" if rest >= 1.0 else ""
        text = (
            f"{name} (file {index + 1} of {self._file_count}): {int(done + 1.0e-6)} of {total} grasps{left}"
        )
        self._console.print(escape(text), soft_wrap=True)
