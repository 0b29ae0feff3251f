"""Convex pieces of objects that are soon needed, cut in the background while other work goes on."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from warpgrasp.base.cores import core_count
from warpgrasp.objects.convex_pieces import ConvexPiece, ConvexPieceConfig, convex_pieces

if TYPE_CHECKING:
    from warpgrasp.objects.model import ObjectModel

__all__ = ["BackgroundPieces"]


class BackgroundPieces:
    """Finds convex pieces side by side, each object in a process of its own, as a context manager.

    What has begun is stopped when the context ends, and what has not is not begun.

    Args:
        config: Accuracy.
        workers: Objects at a time; 0 takes all cores.
    """

    def __init__(self, config: ConvexPieceConfig | None = None, *, workers: int = 0) -> None:
        self._config = config or ConvexPieceConfig()
        self._stop = threading.Event()
        self.workers = workers or core_count()
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="pieces")
        self._found: dict[str, Future[tuple[ConvexPiece, ...]]] = {}

    def begin(self, model: ObjectModel) -> None:
        """Start on an object, unless its mesh is being worked on already."""
        if model.mesh_hash not in self._found:
            self._found[model.mesh_hash] = self._pool.submit(
                convex_pieces, model, self._config, stop=self._stop
            )

    def pieces(self, model: ObjectModel) -> tuple[ConvexPiece, ...]:
        """The pieces of an object, when they are there; later calls find them in the cache.

        Raises:
            ImportError: The mesh is not convex and CoACD is not installed.
            ObjectError: The decomposition crashed, or was stopped by its limit of time or memory.
        """
        self.begin(model)
        return self._found.pop(model.mesh_hash).result()

    def __enter__(self) -> BackgroundPieces:
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)
