"""Where the processor time of the Evaluate environment goes: by Warp kernel, per world and physics step.

python benchmarks/isaaclab_profile.py [--worlds 4] [--steps 100] [--cone pyramidal]   (with Isaac Lab, on the CPU)
"""

from __future__ import annotations

import collections
import dataclasses
import time
from typing import Any

import tyro
import warp as wp
from machine import machine_name

import warpgrasp.eval.isaaclab  # noqa: F401


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Profile Evaluate."""

    hand: str = "Allegro"
    worlds: int = 4
    steps: int = 100
    cone: str = "elliptic"
    contact_limit: int = 56


def main() -> None:
    """Run some steps with every launch clocked and print the dearest kernels."""
    import gymnasium
    import torch

    options = tyro.cli(Options)
    start = time.process_time()
    environment = gymnasium.make(
        f"WarpGrasp-Evaluate-{options.hand}",
        num_envs=options.worlds,
        device="cpu",
        cone=options.cone,
        contact_limit=options.contact_limit,
    ).unwrapped
    environment.reset()
    still = torch.zeros(options.worlds, environment.cfg.action_space)
    environment._advance(still)
    print(machine_name())
    print(f"until the first step: {time.process_time() - start:.1f} s of processor time")
    seconds: collections.Counter[str] = collections.Counter()
    calls: collections.Counter[str] = collections.Counter()
    original = {name: getattr(wp, name) for name in ("launch", "launch_tiled")}

    def clocked(name: str) -> Any:
        def launch(kernel: Any, *args: Any, **kwargs: Any) -> Any:
            begin = time.process_time()
            try:
                return original[name](kernel, *args, **kwargs)
            finally:
                key = getattr(kernel, "key", str(kernel))
                seconds[key] += time.process_time() - begin
                calls[key] += 1

        return launch

    for name in original:
        setattr(wp, name, clocked(name))
    begin = time.process_time()
    for _ in range(options.steps):
        environment._advance(still)
    whole = time.process_time() - begin
    count = options.steps * options.worlds
    print(
        f"{1e3 * whole / count:.2f} ms per world and step, of which kernels {100.0 * sum(seconds.values()) / whole:.0f} %"
    )
    for key, spent in seconds.most_common(14):
        print(
            f"{100.0 * spent / whole:5.1f} %  {1e3 * spent / count:7.3f} ms  {calls[key] / options.steps:6.1f} calls  {key}"
        )
    for name, function in original.items():
        setattr(wp, name, function)
    environment.close()


if __name__ == "__main__":
    main()
