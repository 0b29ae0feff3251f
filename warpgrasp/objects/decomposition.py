"""CoACD in a process of its own, with a limit of time and memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.base.atomic_file import scratch_folder
from warpgrasp.base.ranges import NumberRange, check_numbers
from warpgrasp.objects.error import ObjectError
from warpgrasp.objects.geometry import signed_volumes
from warpgrasp.objects.remesh import remesh_solid, simplified

if TYPE_CHECKING:
    from warpgrasp.objects.model import ObjectModel

__all__ = ["CPU_LIMIT", "MEMORY_LIMIT", "TIME_LIMIT", "ConvexPieceConfig", "DecompositionError", "decompose"]

CPU_LIMIT = 300
"""Seconds of processor time, of all threads together; ordinary objects take a few, the slowest of the examples a minute."""
TIME_LIMIT = 600.0
"""Seconds that one decomposition may take, however busy the machine is."""
MEMORY_LIMIT = 16 * 2**30
"""Bytes of address space that it may take."""
_SAME_VOLUME = 0.1
"""A new surface whose volume differs by more than this part has lost thin walls."""
_SIMPLIFY = 0.125
"""Part of the concavity allowed by which the surface may move when flat regions get larger triangles; CoACD's time goes with
their number."""
_WATCH = 0.1
"""Seconds between two looks at whether to stop."""
_CHILD = Path(__file__).with_name("decomposition_child.py")


@dataclass(frozen=True, kw_only=True)
class ConvexPieceConfig:
    """Accuracy of the decomposition; part of the cache key."""

    threshold: float = 0.03
    """CoACD's concavity threshold, relative to the object's size."""
    piece_limit: int = 32
    """Largest number of pieces."""
    vertex_limit: int = 64
    """Largest number of vertices of a piece."""

    def __post_init__(self) -> None:
        threshold = NumberRange(lower=0.01, upper=1.0)  # what CoACD takes
        count = NumberRange(lower=1.0)
        vertices = NumberRange(lower=4.0)
        check_numbers(self, "pieces", threshold=threshold, piece_limit=count, vertex_limit=vertices)


class DecompositionError(ObjectError):
    """CoACD crashed or was stopped.

    Args:
        model: The object.
        reason: What CoACD did, such as ``crashed with SIGSEGV``.
    """

    def __init__(self, model: ObjectModel, reason: str) -> None:
        super().__init__(
            f"{model.path}: cannot be decomposed into convex pieces (CoACD {reason}); repair or simplify the mesh."
        )
        self.reason = reason

    @property
    def lasts(self) -> bool:
        """Whether another try would end the same way: it does not hang on the memory or the time that are left."""
        return "memory" not in self.reason and "seconds" not in self.reason and not self.reason.endswith(" s")


def decompose(
    model: ObjectModel,
    config: ConvexPieceConfig,
    *,
    time_limit: float = TIME_LIMIT,
    stop: threading.Event | None = None,
) -> list[NDArray[np.float64]]:
    """Vertices of the convex parts of a mesh, each of shape [V, 3]; the same however many threads there are.

    CoACD sees the mesh with as few triangles as an eighth of the concavity it may leave allows (0.19 mm for 10 cm). A mesh that
    is not watertight, or with which CoACD does not finish, gets a new surface first: that of its winding number or, where walls
    are too thin for that, CoACD's own.

    Args:
        model: The object.
        config: Accuracy.
        time_limit: Seconds for each way.
        stop: Ends the process once another thread has set it.

    Raises:
        CancelledError: ``stop`` was set.
        ObjectError: CoACD crashed or was stopped each time; the sentence names the file and the reason.
    """
    reason = ""
    for vertices, faces, preprocess in _surfaces(model, config):
        with scratch_folder() as folder:
            np.savez(
                folder / "mesh.npz",
                vertices=vertices,
                faces=faces,
                threshold=config.threshold,
                piece_limit=config.piece_limit,
                vertex_limit=config.vertex_limit,
                preprocess=preprocess,
            )
            reason = _run(folder, time_limit, stop or threading.Event())
            if not reason:
                with np.load(folder / "parts.npz") as parts:
                    return [np.asarray(parts[f"vertices_{i}"], np.float64) for i in range(len(parts.files))]
    raise DecompositionError(model, reason)


def _surfaces(
    model: ObjectModel, config: ConvexPieceConfig
) -> Iterator[tuple[NDArray[np.float64], NDArray[Any], bool]]:
    """Surfaces to try one after the other, and whether CoACD makes them watertight."""
    if model.watertight:
        concavity = config.threshold * 0.5 * float(np.max(model.extent))  # CoACD scales objects to [-1, 1]
        faces = model.faces.astype(np.int64)
        yield *simplified(model.vertices, faces, tolerance=_SIMPLIFY * concavity), False
    vertices, faces = remesh_solid(model.vertices, model.faces.astype(np.int64))
    volume = signed_volumes(vertices, faces, vertices.mean(axis=0)).sum() if len(faces) else 0.0
    if abs(volume - model.volume) < _SAME_VOLUME * model.volume:
        yield vertices, faces, False
    else:
        yield model.vertices, model.faces, True


def _run(folder: Path, time_limit: float, stop: threading.Event) -> str:
    """Run the child process; why it did not finish, empty if it did."""
    target = folder / "parts.npz"
    limits = [str(MEMORY_LIMIT), str(CPU_LIMIT)]
    command = [sys.executable, "-P", str(_CHILD), str(folder / "mesh.npz"), str(target), *limits]
    with (folder / "errors").open("wb") as errors:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # the order of pieces depends on the threads
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, env=environment
        )
        try:
            end = time.monotonic() + time_limit
            while (code := process.poll()) is None:
                if stop.is_set():
                    raise CancelledError
                if time.monotonic() > end:
                    return f"was stopped after {time_limit:g} s"
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=_WATCH)
        finally:  # an interrupt of this process ends it too
            process.kill()
            process.wait()
    if code == 0 and Path(f"{target}.done").exists():
        return ""
    said = (folder / "errors").read_bytes().decode("utf-8", "replace").strip()
    if code and any(word in said for word in ("bad_alloc", "MemoryError", "allocate memory")):
        return "ran out of memory"
    if code == -getattr(signal, "SIGXCPU", 0):
        return f"was stopped after {CPU_LIMIT} s of processor time"
    if code < 0:
        return f"crashed with {signal.Signals(-code).name}"
    lines = said.splitlines()
    return f"failed: {lines[-1][:160].rstrip('.')}" if lines else f"failed with exit code {code}"
