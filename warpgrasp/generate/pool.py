"""Processes that make batches side by side: the command hands out jobs and hears how they go.

Grasps of an object depend on nothing else in a run, so that it does not matter which process makes them.
"""

from __future__ import annotations

import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from warpgrasp.objects import ObjectModel

__all__ = ["Job", "WorkerPool"]

_PATIENCE = 0.2  # s between two looks whether the command is to stop
_LAST_WORDS = 10.0  # s that a process gets to end by itself


@dataclass(eq=False)
class Job:
    """A batch that a process works on."""

    models: list[ObjectModel]
    title: str
    state: dict[str, Any] = field(default_factory=dict)
    """What the command remembers of it."""


class _Worker:
    """One process, the job it works on, and a thread that hears its answers."""

    def __init__(
        self, arguments: Sequence[str], answers: queue.Queue[tuple[_Worker, tuple[Any, ...]]]
    ) -> None:
        self.job: Job | None = None
        self.process = subprocess.Popen(
            [sys.executable, "-m", "warpgrasp.generate.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._send((list(sys.path), list(arguments)))
        self._answers = answers
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def start(self, job: Job) -> None:
        self.job = job
        self._send((job.models, job.title))

    def _send(self, message: Any) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: the thread that listens says so
            pickle.dump(message, self.process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            self.process.stdin.flush()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as answers:
            try:
                while True:
                    self._answers.put((self, pickle.load(answers)))
            except (EOFError, OSError, pickle.UnpicklingError):
                self._answers.put((self, ("ended", self.process.wait())))

    def end_input(self) -> None:
        """Tell the process that no further job comes."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()

    def wait(self) -> None:
        """Wait until it has ended, a while by itself."""
        try:
            self.process.wait(timeout=_LAST_WORDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._listener.join(timeout=_LAST_WORDS)


class WorkerPool:
    """Up to ``count`` processes with the options of the command's ``arguments``; they start with their first jobs.

    A process that ends in the middle of a job is replaced when the next job comes.
    """

    def __init__(self, count: int, arguments: Sequence[str]) -> None:
        self.count = count
        self._arguments = list(arguments)
        self._answers: queue.Queue[tuple[_Worker, tuple[Any, ...]]] = queue.Queue()
        self._workers: list[_Worker] = []
        self._ready = False  # kernels are compiled: until then a second process would compile them too

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.end_input()
            if worker.job is not None:
                worker.process.kill()
        for worker in self._workers:
            worker.wait()

    @property
    def jobs(self) -> list[Job]:
        """Jobs in work."""
        return [worker.job for worker in self._workers if worker.job is not None]

    @property
    def is_full(self) -> bool:
        """Whether a job has to wait."""
        return len(self.jobs) >= (self.count if self._ready else 1)

    def start(self, job: Job) -> None:
        """Hand a job to a process without one; the processes start with the first job, and where one has ended."""
        while len(self._workers) < self.count:
            self._workers.append(_Worker(self._arguments, self._answers))
        next(worker for worker in self._workers if worker.job is None).start(job)

    def terminate(self) -> None:
        """Ask all processes to end with the best grasps so far."""
        for worker in self._workers:
            worker.process.terminate()

    def answers(self) -> Iterator[tuple[Job, tuple[Any, ...]]]:
        """Answers that have come, waiting a little for the first; after the last answer of a job its process is free."""
        try:
            pending = [self._answers.get(timeout=_PATIENCE)]
        except queue.Empty:
            return
        with suppress(queue.Empty):
            while True:
                pending.append(self._answers.get_nowait())
        for worker, answer in pending:
            job = worker.job
            if answer[0] == "ended":
                self._workers.remove(worker)
                worker.end_input()
            if answer[0] in ("done", "failed", "ended"):
                worker.job = None
            self._ready = self._ready or answer[0] in ("step", "done", "failed", "ended")
            if job is not None:
                yield job, answer
