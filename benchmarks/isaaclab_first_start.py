"""What a first start of an Isaac Lab task compiles: ``python benchmarks/isaaclab_first_start.py [--adjoints] [TASK]``.

Runs in the environment of Isaac Lab, on the CPU, with an empty cache of kernels in a temporary folder. Modules that take more
than 0.05 s of processor time are counted by whose they are. ``--adjoints`` leaves Warp's default on, under which kernels come
with their adjoints.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from collections import defaultdict
from typing import Any

from machine import machine_name

OWNERS = {"warpgrasp": "warpgrasp", "newton": "Newton", "isaaclab": "Isaac Lab"}
OTHERS = "MuJoCo Warp, and kernels generated for the model"
LEAST = 0.05  # s


def main() -> None:
    """Start, take three steps, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", nargs="?", default="WarpGrasp-Grasp-Robotiq2f140")
    parser.add_argument("--adjoints", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["WARP_CACHE_PATH"] = cache
        loaded = _watch_modules()
        began = time.process_time()
        _start(options.task, options.adjoints)
        whole = time.process_time() - began
    print(f"\n{machine_name()}; {options.task}\n| whose | modules | CPU s |\n|---|---|---|")
    for owner in (*OWNERS.values(), OTHERS):
        print(f"| {owner} | {len(loaded[owner])} | {sum(loaded[owner]):.1f} |")
    every = [seconds for own in loaded.values() for seconds in own]
    print(f"| all | {len(every)} | {sum(every):.1f} |\n| until three steps are done | | {whole:.1f} |")


def _watch_modules() -> dict[str, list[float]]:
    """Processor seconds of modules that are loaded from now on, by owner."""
    from warp._src.context import Module

    loaded: dict[str, list[float]] = defaultdict(list)
    load = Module.load

    def watched(module: Any, *arguments: Any, **options: Any) -> Any:
        began = time.process_time()
        try:
            return load(module, *arguments, **options)
        finally:
            spent = time.process_time() - began
            if spent > LEAST:
                owner = next((own for word, own in OWNERS.items() if word in module.name), OTHERS)
                loaded[owner].append(spent)

    Module.load = watched
    return loaded


def _start(task: str, adjoints: bool) -> None:
    import gymnasium
    import torch

    import warpgrasp.eval.isaaclab
    from warpgrasp.eval.isaaclab.envs import configs

    assert warpgrasp.eval.isaaclab.TASKS  # importing it registers the tasks
    if adjoints:
        configs.without_adjoints = contextlib.nullcontext
    environment: Any = gymnasium.make(task, num_envs=4, device="cpu")
    environment.reset()
    for _ in range(3):
        environment.step(torch.zeros(environment.action_space.shape))
    environment.close()


if __name__ == "__main__":
    main()
