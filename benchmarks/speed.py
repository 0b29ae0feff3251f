"""Cost of a grasp-step over whole annealed runs, every step counted, and the share of each kernel.

    python benchmarks/speed.py                    # CPU: Allegro and 2F-140, batch 32 and 256, 12 contacts, 7000 steps
    python benchmarks/speed.py --device cuda      # GPU: grasps per second for batch 1k, 8k, 64k

Times are of the default settings, the same at which ``benchmarks/qp.py`` states the accuracy of the QP. The reference is
the published GraspQP implementation on a CPU: 5.3 ms of CPU time per grasp-step with culling, 29 ms without (Allegro,
12 contacts, batch 32; measured once on a machine like the development machine, not in this run).
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import warp as wp
from machine import machine_name

from warpgrasp.hands import load_hand
from warpgrasp.objects import example_object_names, example_object_path, load_object
from warpgrasp.synthesis.optimizer import MalaState
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.seeds import seed_grasps
from warpgrasp.synthesis.synthesize import SynthesisConfig, bytes_per_grasp, run_steps

PUBLISHED_MS = 5.3  # Allegro, 12 contacts, batch 32, culled


def prepare(
    hand_name: str, batch: int, config: SynthesisConfig, device: str
) -> tuple[GraspProblem, MalaState]:
    """A problem of ``batch`` grasps, 32 per object, over copies of the example objects, ready to step."""
    hand = load_hand(hand_name)
    examples = [load_object(example_object_path(name)) for name in example_object_names()]
    count = max(1, batch // 32)
    objects = [examples[i % len(examples)] for i in range(count)]
    problem = GraspProblem(
        hand,
        objects,
        grasp_count=batch // count,
        contact_count=config.contact_count,
        terms=config.energy.active_terms(),
        device=device,
    )
    optimizer = config.optimizer
    resets = optimizer.reset_count(config.step_count)
    seeds = [seed_grasps(problem, config.initialize, seed=0, reset=i) for i in range(1 + resets)]
    return problem, optimizer.init(problem, seeds[0], seeds[1:], step_count=config.step_count)


def measure(hand_name: str, batch: int, config: SynthesisConfig, device: str) -> tuple[float, float]:
    """CPU and wall seconds of a whole run; kernels are compiled and loaded before the clock starts."""
    problem, state = prepare(hand_name, batch, config, device)
    problem.evaluate(state.proposal)
    wp.synchronize()
    cpu, wall = time.process_time(), time.perf_counter()
    run_steps(problem, config.optimizer, state, config.step_count)
    wp.synchronize()
    return time.process_time() - cpu, time.perf_counter() - wall


def kernel_shares(hand_name: str, batch: int, config: SynthesisConfig) -> dict[str, float]:
    """Microseconds per grasp-step of each kernel, launches timed one by one on the CPU."""
    problem, state = prepare(hand_name, batch, config, "cpu")
    config.optimizer.step(problem, state)
    spent: dict[str, float] = defaultdict(float)
    launch, launch_tiled = wp.launch, wp.launch_tiled

    def timed(start_kernel: Callable[..., Any]) -> Callable[..., Any]:
        def run(kernel: Any, *args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            result = start_kernel(kernel, *args, **kwargs)
            spent[kernel.key.lstrip("_").removesuffix("_kernel")] += time.perf_counter() - start
            return result

        return run

    wp.launch, wp.launch_tiled = timed(launch), timed(launch_tiled)
    try:
        for _ in range(config.step_count - 1):
            config.optimizer.step(problem, state)
    finally:
        wp.launch, wp.launch_tiled = launch, launch_tiled
    return {name: 1e6 * value / batch / (config.step_count - 1) for name, value in spent.items()}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=7000)
    parser.add_argument("--batch", type=int, nargs="*")
    parser.add_argument("--hands", nargs="*", default=["allegro", "robotiq_2f140"])
    arguments = parser.parse_args()
    config = SynthesisConfig(step_count=arguments.steps)
    cuda = wp.get_device(arguments.device).is_cuda
    batches = arguments.batch or ([1024, 8192, 65536] if cuda else [32, 256])
    print(machine_name(arguments.device))
    print(
        "| hand | batch | steps | CPU ms / grasp-step | wall ms / grasp-step | grasps/s | against published 5.3 ms |"
    )
    print("|---|---|---|---|---|---|---|")
    for hand in arguments.hands:
        for batch in batches:
            cpu, wall = measure(hand, batch, config, arguments.device)
            per_step = 1e3 / batch / config.step_count
            ratio = f"{PUBLISHED_MS / (cpu * per_step):.0f}x" if hand == "allegro" and not cuda else "-"
            print(
                f"| {hand} | {batch} | {config.step_count} | {cpu * per_step:.4f} | {wall * per_step:.5f} "
                f"| {batch / wall:.1f} | {ratio} |",
                flush=True,
            )
    for hand in arguments.hands:
        print(
            f"\nmemory per grasp, {hand}: {bytes_per_grasp(load_hand(hand), config) / 1024:.1f} KiB, linear in the batch"
        )
    if not cuda:
        short = SynthesisConfig(step_count=min(arguments.steps, 1000))
        for hand in arguments.hands:
            print(f"\n{hand}, batch 32: microseconds per grasp-step by kernel (launch overhead included)")
            shares = kernel_shares(hand, 32, short)
            total = sum(shares.values())
            for name, value in sorted(shares.items(), key=lambda item: -item[1]):
                print(f"  {name:22s} {value:7.2f}  {100 * value / total:5.1f} %")


if __name__ == "__main__":
    main()
