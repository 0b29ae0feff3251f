"""How evenly the lanes of a warp are loaded, counted on the CPU, and what follows for a GPU. Needs no GPU.

    python benchmarks/simt.py [--hands allegro shadow] [--batch 512] [--steps 300] [--lanes 1 32]

A GPU runs 32 threads, a *warp*, in lockstep: what only some of them do, all wait for. The CPU runs the same generated code
thread by thread, so every thread can be counted. Into the code that Warp generates, this script writes a counter at the
beginning of every loop's body, of every branch, of every function and of the kernel, runs a part of an annealed run, and
compares the lanes of each 32 consecutive threads. Of the kernels of ``warpgrasp/kernels/lanes.py`` it counts both arrangements:
one lane per grasp, so that a warp has 32 grasps, and 32, so that it has one.

- *lanes / longest*: iterations of all loops, the mean of the lanes over the sum of the longest of each loop.
- *efficiency*: the same for all blocks, each weighted by its statements: statements that lanes need, per statement that the
  warp issues at least. It is an upper bound: lanes that enter a block at different times are counted as if they did
  together, and queries of meshes, which are native code, count as one statement.
- *statements / thread*, and *issued / grasp*: those statements, of the mean lane, and what warps issue for one grasp. Sums and
  choices over the lanes of a warp count as many statements as ``_COOPERATIVE`` says.
- *bytes / thread*: what array elements are read and written, caches left aside.

With ``--registers`` and ``ptxas`` on the PATH, registers and spilled bytes stand beside them. What follows for an H100 is
estimated by ``simt_estimate.py``.
"""

from __future__ import annotations

import argparse
import ast
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import warp as wp
from device_problems import make_run
from machine import machine_name
from simt_estimate import BATCHES, STEPS, grasps_per_second, microseconds
from warp._src import codegen, context, types

from warpgrasp.synthesis import energy_terms

WARP = 32
# Statements that stand for one call of 32 lanes: instructions of its shuffles and votes, at 0.45 per statement.
_COOPERATIVE = {
    "lanes_where": 5,
    "value_of_lane": 8,
    "masks_of_lanes": 30,
    "_sum": 22,
    "_maximum": 22,
    "wait_for_lanes": 4,
}
_BLOCKS = 4096  # counters of a thread


class Counters:
    """A row of counters per thread, at an address that generated code knows, and what each counter is about."""

    def __init__(self, threads: int) -> None:
        self.rows = np.zeros((threads + 1, _BLOCKS), dtype=np.uint32)
        # Address of the row in use, and by how many counters a thread goes on: none while nothing is counted.
        self.row = np.array([self.rows.ctypes.data, 0], dtype=np.uint64)
        self.kernel: list[str] = []
        self.is_loop: list[bool] = []
        self.statements: list[int] = []
        self.bytes: list[int] = []
        self.open: dict[int, list[int]] = defaultdict(list)

    @property
    def pointer(self) -> str:
        """The row, as generated code names it."""
        return f"(*(unsigned int**)0x{self.row.ctypes.data:x}ULL)"

    def block(self, adjoint: Any, *, is_loop: bool) -> str:
        """Begin a block; the statement that counts it."""
        index = len(self.statements)
        if index >= _BLOCKS:
            raise RuntimeError(f"more than {_BLOCKS} blocks; raise _BLOCKS")
        self.open[id(adjoint)].append(index)
        self.is_loop.append(is_loop)
        self.statements.append(0)
        self.bytes.append(0)
        return f"++{self.pointer}[WP_TILE_THREAD_IDX * {_BLOCKS} + {index}];"

    def end(self, adjoint: Any) -> None:
        """End the innermost block."""
        self.open[id(adjoint)].pop()

    def add(self, adjoint: Any, values: list[int], amount: int) -> None:
        """Add to what an execution of the innermost block costs."""
        if self.open[id(adjoint)]:
            values[self.open[id(adjoint)][-1]] += amount

    def count(self, threads: int, launch: Callable[[], Any], lanes: int = 1) -> np.ndarray:
        """Counts [threads, blocks] of a launch of blocks of so many lanes."""
        if threads + lanes > len(self.rows):
            raise RuntimeError(
                f"{threads} threads are more than {len(self.rows) - lanes} rows; lower --batch"
            )
        self.rows[: threads + lanes] = 0
        self.row[:] = self.rows.ctypes.data, _BLOCKS
        launch()
        self.row[:] = self.rows.ctypes.data, 0
        return self.rows[lanes : threads + lanes].astype(np.int64)

    def next_thread(self) -> str:
        """The statement by which the lanes of a block take their rows, when the first of them begins."""
        step = f"*(unsigned long long*)0x{self.row.ctypes.data + 8:x}ULL"
        return f"if (WP_TILE_THREAD_IDX == 0) {self.pointer} += WP_TILE_BLOCK_DIM * {step};"


def instrument(counters: Counters) -> None:
    """Let Warp write counters into all code that it generates from now on."""
    adjoint = codegen.Adjoint
    kernels: set[int] = set()

    def around(name: str, before: Callable[..., None] | None, after: Callable[..., None] | None) -> None:
        original = getattr(adjoint, name)

        def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
            if before is not None:
                before(self, *args, **kwargs)
            result = original(self, *args, **kwargs)
            if after is not None:
                after(self)
            return result

        setattr(adjoint, name, wrapped)

    def opens(*, is_loop: bool) -> Callable[..., None]:
        return lambda self: self.add_forward(counters.block(self, is_loop=is_loop), skip_replay=True)

    for name, is_loop in (("for", True), ("while", True), ("if", False), ("else", False)):
        around(f"begin_{name}", None, opens(is_loop=is_loop))
        around(f"end_{name}", lambda self, *args, **kwargs: counters.end(self), None)

    def function(self: Any) -> None:
        counters.open[id(self)].clear()
        if id(self) in kernels:
            self.add_forward(counters.next_thread(), skip_replay=True)
        self.add_forward(counters.block(self, is_loop=False), skip_replay=True)

    def statement(self: Any, text: str, *args: Any, **kwargs: Any) -> None:
        if not text.startswith("++"):
            counters.add(self, counters.statements, _weight(text))

    def access(self: Any, name: str, args: Any, *rest: Any, **kwargs: Any) -> None:
        if name in ("load", "array_store"):
            kind = args[-1].type
            kind = codegen.strip_reference(kind) if codegen.is_reference(kind) else kind
            size = (
                types.type_size_in_bytes(kind) if kind in types.value_types or hasattr(kind, "_type_") else 4
            )
            counters.add(self, counters.bytes, size)

    visit = adjoint.node_visitors[ast.FunctionDef]

    def visit_function(self: Any, node: ast.FunctionDef) -> Any:
        function(self)
        return visit(self, node)

    adjoint.node_visitors[ast.FunctionDef] = visit_function
    around("add_forward", statement, None)
    around("add_builtin_call", access, None)
    build = context.ModuleBuilder.build_kernel

    def build_kernel(self: Any, kernel: Any) -> Any:
        kernels.add(id(kernel.adj))
        return build(self, kernel)

    context.ModuleBuilder.build_kernel = build_kernel  # type: ignore[method-assign]


def _weight(text: str) -> int:
    """Statements that one of the generated code stands for."""
    called = re.search(r"\b(\w+?)_\d+\(", text)
    if called and codegen.options.get("block_dim", 1) > 1:
        return _COOPERATIVE.get(called.group(1), 1)
    return 1


class Tally:
    """Sums of one kernel over its launches."""

    def __init__(self) -> None:
        self.launches, self.threads, self.warps = 0, 0, 0
        self.lanes = np.zeros(_BLOCKS)
        self.longest = np.zeros(_BLOCKS)

    def add(self, rows: np.ndarray) -> None:
        """Count a launch, rows [threads, blocks]."""
        padded = np.pad(rows, ((0, -len(rows) % WARP), (0, 0))).reshape(-1, WARP, _BLOCKS)
        self.launches += 1
        self.threads += len(rows)
        self.warps += len(padded)
        self.lanes += rows.sum(axis=0)
        self.longest += padded.max(axis=1).sum(axis=0)


def count_run(hand: str, batch: int, steps: int, lanes: int, counters: Counters) -> dict[str, Tally]:
    """Counts of every kernel over the last five of a run's steps, so many lanes per grasp in the kernels that can."""
    problem, state, config = make_run(hand, batch, "cpu", step_count=max(2 * steps, 10))
    tallies: dict[str, Tally] = defaultdict(Tally)
    launch, launch_tiled, lane_count = wp.launch, wp.launch_tiled, energy_terms.lane_count
    counting = False

    def counted(kernel: Any, dim: Any, *args: Any, block_dim: int = 1, **kwargs: Any) -> Any:
        def run() -> Any:
            if block_dim == 1:
                return launch(kernel, dim, *args, **kwargs)
            return launch_tiled(kernel, *args, dim=dim, block_dim=block_dim, **kwargs)

        if not counting:
            return run()
        rows = counters.count(int(np.prod(dim)) * block_dim, run, lanes=block_dim)
        tallies[kernel.key.lstrip("_").removesuffix("_kernel")].add(rows)
        return None

    def counted_tiled(kernel: Any, dim: Any, *args: Any, block_dim: int, **kwargs: Any) -> Any:
        if block_dim == 1:
            return counted(kernel, (dim, 1), *args, **kwargs)
        return counted(kernel, dim, *args, block_dim=block_dim, **kwargs)

    wp.launch, wp.launch_tiled = counted, counted_tiled
    energy_terms.lane_count = lambda device: lanes if counting else 1
    try:
        for step in range(steps):
            counting = step >= steps - 5
            config.optimizer.step(problem, state)
    finally:
        wp.launch, wp.launch_tiled, energy_terms.lane_count = launch, launch_tiled, lane_count
    return tallies


def registers() -> dict[str, tuple[int, int]]:
    """Registers and spilled bytes of the forward pass of every kernel, by ``ptx_report.py``; empty without ``ptxas``."""
    if shutil.which("ptxas") is None:
        return {}
    script = Path(__file__).with_name("ptx_report.py")
    text = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True).stdout
    found = {}
    for line in text.splitlines():
        part = line.split()
        if len(part) == 6 and part[2] == "forward":
            found[part[1].lstrip("_").removesuffix("_kernel")] = (int(part[3]), int(part[5]))
    return found


def report(
    hand: str,
    batch: int,
    lanes: int,
    tallies: dict[str, Tally],
    counters: Counters,
    known: dict[str, tuple[int, int]],
) -> None:
    """Print the table of a hand and an arrangement."""
    statements = np.pad(np.array(counters.statements, dtype=float), (0, _BLOCKS - len(counters.statements)))
    sizes = np.pad(np.array(counters.bytes, dtype=float), (0, _BLOCKS - len(counters.bytes)))
    loops = np.pad(np.array(counters.is_loop), (0, _BLOCKS - len(counters.is_loop)))
    print(f"\n{hand}, batch {batch}, {lanes} lanes per grasp where a warp can share one\n")
    print(
        "| kernel | threads / grasp | loop iterations, mean lane / longest | efficiency, % | statements / thread "
        "| issued / grasp | share of issued, % | bytes / grasp | registers | spills, B |\n"
        + "|---" * 10
        + "|"
    )
    grasp_steps = 5 * batch
    issued_total = sum(float(tally.longest @ statements) for tally in tallies.values())
    needed_total = sum(float(tally.lanes @ statements) for tally in tallies.values())
    bytes_total = sum(float(tally.lanes @ sizes) for tally in tallies.values())
    for name, tally in sorted(tallies.items(), key=lambda item: -float(item[1].longest @ statements)):
        needed, issued = tally.lanes @ statements, tally.longest @ statements
        iterations = tally.lanes[loops].sum() / tally.threads
        longest = tally.longest[loops].sum() / tally.warps
        register, spill = known.get(name, ("-", "-"))
        print(
            f"| {name} | {tally.threads / grasp_steps:.2g} | {iterations:.1f} / {longest:.1f} "
            f"| {100.0 * needed / WARP / issued:.0f} | {needed / tally.threads:.0f} | {issued / grasp_steps:.0f} "
            f"| {100.0 * issued / issued_total:.1f} | {tally.lanes @ sizes / grasp_steps:.0f} | {register} | {spill} |"
        )
    print(
        f"\nwhole step: {needed_total / grasp_steps:.0f} statements and {bytes_total / grasp_steps:.0f} bytes per grasp; "
        f"warps issue {issued_total / grasp_steps:.0f} statements per grasp; "
        f"efficiency {100.0 * needed_total / WARP / issued_total:.0f} %"
    )
    parts = {
        name: (float(tally.longest @ statements) / grasp_steps, tally.threads / grasp_steps)
        for name, tally in tallies.items()
    }
    for size in BATCHES:
        quick, slow = microseconds(parts, size)
        rates = grasps_per_second(slow, size), grasps_per_second(quick, size)
        print(
            f"H100, batch {size}: a step of {quick:.0f} to {slow:.0f} us, {rates[0]:.0f} to {rates[1]:.0f} grasps/s "
            f"that are kept, after {STEPS} steps of two candidates each"
        )


def main() -> None:
    """Count, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hands", nargs="+", default=["allegro", "shadow"])
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument(
        "--steps", type=int, default=300, help="steps before the end of the count; the run is twice as long"
    )
    parser.add_argument("--lanes", nargs="+", type=int, choices=[1, WARP], default=[1, WARP])
    parser.add_argument(
        "--registers", action="store_true", help="compile for sm_90 too and ask ptxas, which takes a minute"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wp.config.kernel_cache_dir = folder  # code with counters is for this process alone
        counters = Counters(threads=max(64 * options.batch, 4096))
        instrument(counters)
        print(f"machine: {machine_name()}")
        known = registers() if options.registers else {}
        wp.config.enable_cpu_blocks = True
        for hand in options.hands:
            for lanes in options.lanes:
                tallies = count_run(hand, options.batch, options.steps, lanes, counters)
                report(hand, options.batch, lanes, tallies, counters, known)


if __name__ == "__main__":
    main()
