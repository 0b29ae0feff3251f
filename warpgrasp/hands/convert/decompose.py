"""Convex decomposition (CoACD) in child processes: several meshes at once, and one that stalls or ends CoACD harms no other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from warpgrasp.base.atomic_file import scratch_folder
from warpgrasp.geometry.shapes import TriMesh

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
    resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[3]), int(sys.argv[3])))
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
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
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
    with scratch_folder() as folder:
        given, result = folder / "mesh.npz", folder / "pieces.npz"
        np.savez(given, vertices=mesh.vertices, faces=mesh.faces, threshold=threshold, limit=limit)
        command = [sys.executable, "-c", _SCRIPT, str(given), str(result), str(_CPU_LIMIT)]
        try:
            subprocess.run(command, capture_output=True, timeout=_WALL_LIMIT, check=True)
        except (subprocess.SubprocessError, OSError):
            return []
        with np.load(result) as file:
            return [np.asarray(file[key], dtype=np.float64) for key in file.files]
