"""How long the stages of a run take: seconds by the clock on the wall, and processor seconds of all threads."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

__all__ = ["StageClock"]


class StageClock:
    """Adds up the time of named stages; a stage inside another one interrupts the outer one's time."""

    def __init__(self) -> None:
        self._wall: dict[str, float] = {}
        self._cpu: dict[str, float] = {}
        self._open: list[str] = []
        self._since = self._now()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens inside to ``name``."""
        self._charge()
        self._open.append(name)
        try:
            yield
        finally:
            self._charge()
            self._open.pop()

    def add(self, name: str, *, wall: float, cpu: float) -> None:
        """Add seconds that were measured elsewhere."""
        self._wall[name] = self._wall.get(name, 0.0) + wall
        self._cpu[name] = self._cpu.get(name, 0.0) + cpu

    def add_all(self, seconds: Mapping[str, Mapping[str, float]]) -> None:
        """Add the stages of another clock, such as that of another process."""
        for name, spent in seconds.items():
            self.add(name, wall=spent["wall"], cpu=spent["cpu"])

    def seconds(self) -> dict[str, dict[str, float]]:
        """``{"wall": s, "cpu": s}`` of every stage, in the order in which they first began."""
        return {name: {"wall": self._wall[name], "cpu": self._cpu[name]} for name in self._wall}

    def take(self) -> dict[str, dict[str, float]]:
        """:meth:`seconds` so far, which count no more."""
        seconds = self.seconds()
        self._wall, self._cpu = {}, {}
        return seconds

    @staticmethod
    def _now() -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    def _charge(self) -> None:
        """Count the time since the last change to the innermost open stage."""
        wall, cpu = self._now()
        if self._open:
            self.add(self._open[-1], wall=wall - self._since[0], cpu=cpu - self._since[1])
        self._since = wall, cpu
