"""Who works: this process alone on its share of the items, or actors of Ray."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from warpgrasp.base.extras import install_extra
from warpgrasp.dataset.items import WorkItem
from warpgrasp.dataset.status import finished_files
from warpgrasp.dataset.worker import Outcome, Worker, set_aside_items

__all__ = ["RayEngine", "open_items", "run_here", "shard_of"]

_START_LIMIT = 5  # workers that cannot start in a row
Hear = Callable[[Outcome], None]


def shard_of(text: str) -> tuple[int, int]:
    """Number and count of ``--shard i/n``, the first is 0.

    Raises:
        ValueError: Not of that form, or out of range.
    """
    number, slash, count = text.partition("/")
    if not slash or not number.isdigit() or not count.isdigit() or int(number) >= int(count):
        raise ValueError(f"--shard must be i/n with i from 0 to n - 1, such as 0/8 (got {text!r})")
    return int(number), int(count)


def open_items(folder: Path, items: Iterable[WorkItem]) -> Iterator[WorkItem]:
    """Items that are neither finished nor set aside."""
    there = finished_files(folder) | set(set_aside_items(folder))
    return (item for item in items if item.id not in there)


def run_here(folder: Path, items: Iterable[WorkItem], *, device: str, threads: int = 0, hear: Hear) -> None:
    """Work on items in this process, one after the other; those that fail come again at the end."""
    worker = Worker(folder, device=device, threads=threads)
    again: deque[WorkItem] = deque()
    for item in items:
        outcome = worker.run(item)
        hear(outcome)
        if outcome.state == "failed":
            again.append(item)
    while again:
        item = again.popleft()
        outcome = worker.run(item)
        hear(outcome)
        if outcome.state == "failed":
            again.append(item)


class RayEngine:
    """Actors of Ray, one per GPU, or one per CPU where there is none; each writes its own files.

    An actor that dies is started again by Ray, and its item is given out again. Grasps never pass through Ray.

    Args:
        folder: Data set; all machines must see it at the same path.
        address: Cluster: ``auto``, ``ray://...``; ``None`` starts Ray on this machine for this run.
        actors: Number of actors; by default one per GPU, or per CPU.

    Raises:
        ImportError: Ray is not installed.
        ValueError: The cluster cannot be reached.
    """

    def __init__(
        self, folder: Path, *, address: str | None, actors: int | None = None, device: str = "auto"
    ) -> None:
        try:
            import ray
        except ImportError as error:
            raise ImportError(
                f"Working on a data set in parallel needs Ray; {install_extra('scale')}. Without it, --shard 0/1 works on all "
                "items in this process, and --shard i/n on a share of them."
            ) from error
        self.ray = ray
        self.folder = folder.absolute()
        self._start(address, actors)
        total = ray.cluster_resources()
        self.gpus = 0 if device == "cpu" else int(total.get("GPU", 0))
        cpus = max(int(total.get("CPU", 1)), 1)
        self.count = actors or self.gpus or cpus
        per_actor = max(cpus // self.count, 1) if self.gpus else 1
        remote = ray.remote(
            max_restarts=-1, max_task_retries=0, num_cpus=per_actor, num_gpus=1 if self.gpus else 0
        )
        self._kind = remote(Worker)
        self._arguments = {"device": device, "threads": per_actor}
        self._failed_starts = 0
        self.deaths = 0
        """Actors that ended while they were at an item."""

    def _start(self, address: str | None, actors: int | None) -> None:
        options: dict[str, Any] = {
            "include_dashboard": False,
            "log_to_driver": False,
            "logging_level": "ERROR",
        }
        if address is None:
            options |= {"num_cpus": actors, "address": "local"}
        else:
            options = {"address": address, "log_to_driver": False, "logging_level": "ERROR"}
        try:
            self.ray.init(**options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(
                f"no Ray cluster answers at --address {address} ({reason}); start one with `ray start --head`, or leave "
                "--address out to use this machine alone."
            ) from error

    def run(self, items: Iterable[WorkItem], *, hear: Hear) -> None:
        """Work on all items; returns when each is finished or set aside."""
        actors = [self._kind.remote(self.folder, **self._arguments) for _ in range(self.count)]
        source = iter(items)
        again: deque[WorkItem] = deque()
        busy: dict[Any, tuple[Any, WorkItem]] = {}

        def next_item() -> WorkItem | None:
            return next(source, None) or (again.popleft() if again else None)

        def give(actor: Any) -> None:
            item = next_item()
            if item is not None:
                busy[actor.run.remote(item)] = (actor, item)
            else:
                idle.append(actor)

        idle: list[Any] = []
        for actor in actors:
            give(actor)
        while busy:
            ready, _ = self.ray.wait(list(busy), num_returns=1)
            actor, item = busy.pop(ready[0])
            outcome = self._outcome(ready[0], item)
            if outcome is None:  # Ray does not start it again
                actors[actors.index(actor)] = actor = self._kind.remote(self.folder, **self._arguments)
                outcome = Outcome(item.id, "failed", sentence="its worker could not start")
            hear(outcome)
            if outcome.state == "failed":
                again.append(item)
                if idle:  # nobody else may be left to take it
                    give(idle.pop())
            give(actor)
        for actor in actors:
            self.ray.kill(actor)

    def _outcome(self, reference: Any, item: WorkItem) -> Outcome | None:
        """What an actor says of an item; one that died says nothing, and its attempt is on the disk.

        ``None`` where the actor could not start, as on a machine that is just going down.

        Raises:
            OutputError: No worker can write.
            ValueError: Workers could not start several times in a row.
        """
        errors = self.ray.exceptions
        try:
            result: Outcome = self.ray.get(reference)
            self._failed_starts = 0
            return result
        except errors.RayTaskError as error:
            raise error.as_instanceof_cause() from None
        except errors.ActorDiedError as error:
            if "creation task" in str(error) or "__init__" in str(error):
                self._failed_starts += 1
                if self._failed_starts >= _START_LIMIT:
                    raise ValueError(f"workers cannot start: {str(error).splitlines()[-1]}") from error
                return None
            self.deaths += 1
            return Outcome(item.id, "failed", sentence="its worker died")
        except (errors.RayActorError, errors.NodeDiedError, errors.WorkerCrashedError):
            self.deaths += 1
            return Outcome(item.id, "failed", sentence="its worker died")

    def stop(self) -> None:
        """Leave Ray; a local one ends."""
        self.ray.shutdown()
