"""Batches that run at the same time in several processes, while this one loads objects and writes files."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any

from warpgrasp.generate.pool import Job, WorkerPool

if TYPE_CHECKING:
    from warpgrasp.base.stage_clock import StageClock
    from warpgrasp.generate.terminal import Report
    from warpgrasp.grasps.grasp_set import GraspSet
    from warpgrasp.objects import ObjectModel

__all__ = ["SideBySide"]


class SideBySide:
    """Hands batches to a pool and what comes back to the command; a batch that fails is tried again object by object.

    Args:
        pool: The processes.
        report: Where progress is shown.
        clock: Gets the stages of the processes.
        stop: Whether the command was asked to end: batches in work then come back with their best grasps so far.
        store: Called with the objects of a batch, their grasps and its seconds.
        fail: Called with an object and the sentence why it gave no grasps.
    """

    def __init__(
        self,
        pool: WorkerPool,
        report: Report,
        clock: StageClock,
        *,
        stop: Callable[[], bool],
        store: Callable[[Sequence[ObjectModel], Sequence[GraspSet], float], None],
        fail: Callable[[ObjectModel, str], None],
    ) -> None:
        self._pool, self._report, self._clock = pool, report, clock
        self._stop, self._store, self._fail = stop, store, fail
        self._again: list[ObjectModel] = []
        self._stopping = False

    @property
    def is_stopping(self) -> bool:
        """Whether the command was asked to end: nothing new is started."""
        return self._stopping

    @property
    def models(self) -> list[ObjectModel]:
        """Objects in work, and those that wait for another try."""
        return [model for job in self._pool.jobs for model in job.models] + self._again

    def submit(self, models: list[ObjectModel], title: str) -> None:
        """Start a batch as soon as a process is free."""
        while self._pool.is_full and not self._stopping:
            self._hear()
        if not self._stopping:
            self._pool.start(Job(models, title, {"began": time.perf_counter(), "bars": ExitStack()}))

    def drain(self) -> None:
        """Wait until no batch is in work or waits for another try."""
        while self._pool.jobs or (self._again and not self._stopping):
            if self._again and not self._pool.is_full and not self._stopping:
                model = self._again.pop()
                self.submit([model], model.name)
            else:
                self._hear()

    def _hear(self) -> None:
        if self._stop() and not self._stopping:
            self._stopping = True
            self._pool.terminate()
        for job, answer in self._pool.answers():
            self._answer(job, *answer)

    def _answer(self, job: Job, kind: str, *content: Any) -> None:
        bars: ExitStack = job.state["bars"]
        if kind == "say":
            self._report.say(*content)
        elif kind == "begin":
            batch: AbstractContextManager[Any] = self._report.batch(*content)
            job.state["batch"] = bars.enter_context(batch)
        elif kind == "step":
            job.state["batch"].step(*content)
        elif kind == "end":
            bars.close()
        elif kind == "done":
            sets, seconds = content
            self._clock.add_all(seconds)
            self._store(job.models, sets, time.perf_counter() - job.state["began"])
        else:
            bars.close()
            self._failed(job, kind, *content)

    def _failed(self, job: Job, kind: str, *content: Any) -> None:
        if kind == "failed":
            sentence, seconds = content
            self._clock.add_all(seconds)
        elif self._stopping:
            return
        else:
            sentence = f"the process that worked on it ended with exit code {content[0]}"
        if len(job.models) > 1:
            self._again += job.models
        else:
            self._fail(job.models[0], sentence)
