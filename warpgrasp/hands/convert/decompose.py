"""Convex decomposition (CoACD) in child processes: several meshes at once, and one that stalls or ends CoACD harms no other.

Pieces are kept in the user's cache (``$XDG_CACHE_HOME/warpgrasp/hand_pieces``) by the hash of the mesh and of everything else
that decides them, so that a hand whose annotation was edited, or another one with the same meshes, is converted without
waiting. A mesh that ended its process, or used up its processor time, is remembered too.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from warpgrasp.base.atomic_file import OutputError, scratch_folder, write_bytes, write_text
from warpgrasp.base.cores import core_count
from warpgrasp.base.npz import npz_bytes, read_npz
from warpgrasp.geometry.shapes import TriMesh
from warpgrasp.objects.cache import SIZE_LIMIT, cache_root, remove_oldest

__all__ = ["decompose_all"]

FloatArray = NDArray[np.float64]

_CPU_LIMIT = 12  # s of processor time for one mesh
_WALL_LIMIT = 60  # s, where the machine is busy or a limit on processor time is unknown
_SCRIPT = """
import sys
import numpy
import coacd
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[3]), int(sys.argv[3]) + 1))
except ImportError:
    pass
given = numpy.load(sys.argv[1])
coacd.set_log_level("error")
parts = coacd.run_coacd(
    coacd.Mesh(given["vertices"], given["faces"]),
    threshold=float(given["threshold"]), max_convex_hull=int(given["limit"]),
    preprocess_resolution=40, mcts_iterations=60, mcts_max_depth=2, mcts_nodes=15, seed=0,
)
numpy.savez(sys.argv[2], *[vertices for vertices, _ in parts])
"""


def decompose_all(
    meshes: dict[str, tuple[TriMesh, float, int]], progress: Callable[[str], None]
) -> dict[str, list[FloatArray]]:
    """Vertices of the convex pieces of every mesh; a mesh that CoACD cannot do within its time is missing.

    Args:
        meshes: Mesh, concavity threshold (relative to its size) and largest number of pieces by a key.
        progress: Called with what is done next.
    """
    found: dict[str, list[FloatArray]] = {}
    with ThreadPoolExecutor(max_workers=core_count()) as pool:
        jobs = {key: pool.submit(_decompose, *row) for key, row in meshes.items()}
        try:
            for number, (key, job) in enumerate(jobs.items(), start=1):
                progress(f"splitting meshes into convex pieces, {number} of {len(jobs)}")
                pieces = job.result()
                if pieces:
                    found[key] = pieces
        except BaseException:  # an interrupt: what has not begun never does
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


def _decompose(mesh: TriMesh, threshold: float, limit: int) -> list[FloatArray]:
    """Pieces from the cache, or else computed and kept there; none where CoACD cannot do the mesh."""
    kept = _cache_file(mesh, threshold, limit)
    failed = kept.with_suffix(".failed")
    with suppress(OSError, ValueError):
        columns = read_npz(kept)
        os.utime(kept)  # used just now
        return [columns[f"piece_{k}"].astype(np.float64) for k in range(len(columns))]
    if failed.is_file():
        return []
    pieces, lasts = _split(mesh, threshold, limit)
    with suppress(OutputError):  # slower next time, not wrong
        if pieces:
            write_bytes(kept, npz_bytes({f"piece_{k}": piece for k, piece in enumerate(pieces)}))
            remove_oldest(kept.parent, SIZE_LIMIT)
        elif lasts:
            write_text(
                failed,
                "CoACD ended or ran out of its processor time on this mesh; delete this file to try again\n",
            )
    return pieces


def _cache_file(mesh: TriMesh, threshold: float, limit: int) -> Path:
    digest = hashlib.sha256(f"{threshold!r} {limit} {_CPU_LIMIT} {_SCRIPT}".encode())
    with suppress(PackageNotFoundError):
        digest.update(version("coacd").encode())
    for array in (np.asarray(mesh.vertices, dtype=np.float64), np.asarray(mesh.faces, dtype=np.int32)):
        digest.update(str(array.shape).encode() + array.tobytes())
    return cache_root() / "hand_pieces" / f"{digest.hexdigest()[:32]}.npz"


def _split(mesh: TriMesh, threshold: float, limit: int) -> tuple[list[FloatArray], bool]:
    """Pieces, and where there are none, whether another try would end alike (a busy machine may have been the reason)."""
    with scratch_folder() as folder:
        given, result = folder / "mesh.npz", folder / "pieces.npz"
        np.savez(given, vertices=mesh.vertices, faces=mesh.faces, threshold=threshold, limit=limit)
        command = [sys.executable, "-c", _SCRIPT, str(given), str(result), str(_CPU_LIMIT)]
        try:
            subprocess.run(command, capture_output=True, timeout=_WALL_LIMIT, check=True)
        except subprocess.CalledProcessError as error:
            return (
                [],
                error.returncode < 0 and -error.returncode != signal.SIGKILL,
            )  # killed: perhaps for memory
        except (subprocess.SubprocessError, OSError):
            return [], False
        with np.load(result) as file:
            return [np.asarray(file[key], dtype=np.float64) for key in file.files], True
