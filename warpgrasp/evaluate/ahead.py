"""Grasp files read ahead, so that their objects are cut into convex pieces while the files before them are simulated."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from warpgrasp.grasps.case import GraspCase
from warpgrasp.objects.background_pieces import BackgroundPieces

__all__ = ["read_ahead"]


def read_ahead(
    files: Sequence[Path],
    load: Callable[[Path], GraspCase],
    pieces: BackgroundPieces,
    *,
    result: Callable[[Path], Path] | None = None,
) -> Iterator[tuple[Path, Callable[[], GraspCase]]]:
    """Every file in order, and what gives its content or raises why it cannot be read.

    Args:
        files: Grasp files.
        load: Reads one.
        pieces: Begins with the objects of the files ahead, two for each of its workers.
        result: Where the result of a file lies that is kept; a file that has one needs no pieces.
    """
    ahead: deque[tuple[Path, Callable[[], GraspCase]]] = deque()
    for path in files:
        try:
            case = load(path)
        except Exception as error:  # told at its turn
            ahead.append((path, partial(_fail, error)))
        else:
            ahead.append((path, partial(_same, case)))
            if result is None or not result(path).is_file():
                pieces.begin(case.model)
        if len(ahead) > 2 * pieces.workers:
            yield ahead.popleft()
    yield from ahead


def _same(case: GraspCase) -> GraspCase:
    return case


def _fail(error: Exception) -> NoReturn:
    raise error
