"""The process that decomposes one mesh by CoACD: ``python decomposition_child.py INPUT.npz OUTPUT.npz BYTES SECONDS``.

CoACD ends its process (SIGSEGV) or never returns on some meshes whose faces cross. This script imports nothing of the package,
so that it starts fast, and writes its result only when it is complete. Whoever starts it sees to it that it has one thread
(``OMP_NUM_THREADS``), because the order of the pieces depends on their number.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

__all__: list[str] = []

# Of CoACD's tree search. With 20 nodes, 150 iterations and 2,000 samples, its own defaults, pieces cost three times as much and
# are no closer to the mesh; fewer nodes or a depth below 3 cut into more parts, whose merging costs more than the search saves.
_NODES = 5
_ITERATIONS = 15
_DEPTH = 3
_SAMPLES = 1000


def _main(source: str, target: str, memory: str, seconds: str) -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 5))
    except (ImportError, ValueError, OSError):
        pass  # Windows has no such limit; a stricter one may be set already
    import coacd
    import numpy as np

    with np.load(source) as given:
        arrays = {name: given[name] for name in given.files}
    coacd.set_log_level("error")
    parts = coacd.run_coacd(
        coacd.Mesh(arrays["vertices"], arrays["faces"]),
        threshold=float(arrays["threshold"]),
        max_convex_hull=int(arrays["piece_limit"]),
        preprocess_mode="on" if arrays["preprocess"] else "off",
        max_ch_vertex=int(arrays["vertex_limit"]),
        decimate=True,
        resolution=_SAMPLES,
        mcts_nodes=_NODES,
        mcts_iterations=_ITERATIONS,
        mcts_max_depth=_DEPTH,
        seed=0,
    )
    found: dict[str, Any] = {f"vertices_{i}": np.asarray(vertices) for i, (vertices, _) in enumerate(parts)}
    np.savez(target, **found)
    Path(f"{target}.done").touch()


if __name__ == "__main__":
    _main(*sys.argv[1:])
