"""``benchmarks/simt.py`` counts what a kernel of known loops does, in a process of its own: it changes what Warp generates."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import warp as wp

FOLDER = Path(__file__).parents[1] / "benchmarks"

# Thread i turns i % 32 times in a loop, a function of its own in each turn; odd ones take a branch. In ``shared``, lane i of
# 32 turns i times before all lanes meet, and takes every 32nd of 40 turns afterwards.
_KERNEL = """
import warp as wp

from warpgrasp.kernels.lanes import lane_sum


@wp.func
def twice(x: float) -> float:
    return x + x


@wp.kernel(enable_backward=False)
def turns(values: wp.array(dtype=float)):
    i = wp.tid()
    total = float(0.0)
    for k in range(i % 32):
        total = twice(total) + float(k)
    if i % 2 == 1:
        total = total + 1.0
    values[i] = total


@wp.kernel(enable_backward=False)
def shared(values: wp.array(dtype=float)):
    row, number = wp.tid()
    lane = number % wp.block_dim()
    total = float(0.0)
    for k in range(lane):
        total += 1.0
    total = lane_sum(total)
    for k in range(lane, 40, wp.block_dim()):
        total += 1.0
    if lane == 0:
        values[row] = total
"""
_COUNT = """
import json, sys
import warp as wp
wp.config.quiet = True
wp.config.kernel_cache_dir = sys.argv[1]
import simt
counters = simt.Counters(128)
simt.instrument(counters)
import turns
values = wp.zeros(64, dtype=float, device="cpu")
def launch():
    wp.launch(turns.turns, dim=64, inputs=[values], device="cpu")
launch()
tally = simt.Tally()
tally.add(counters.count(64, launch))
used = [i for i in range(len(counters.statements)) if tally.lanes[i] > 0]
print(json.dumps([[counters.is_loop[i], tally.lanes[i], tally.longest[i], counters.bytes[i]] for i in used]))
wp.config.enable_cpu_blocks = True
def launch():
    wp.launch_tiled(shared_turns, dim=2, inputs=[values], device="cpu", block_dim=32)
shared_turns = turns.shared
launch()
tally = simt.Tally()
tally.add(counters.count(64, launch, lanes=32))
used = [i for i in range(len(counters.statements)) if tally.lanes[i] > 0 and counters.is_loop[i]]
print(json.dumps([values.numpy()[:2].tolist(), [[tally.lanes[i], tally.longest[i]] for i in used]]))
"""


@pytest.mark.skipif(
    not hasattr(wp.config, "enable_cpu_blocks"), reason="this Warp runs one lane per block on the CPU"
)
def test_lanes_and_the_longest_of_a_warp_are_counted_block_by_block(tmp_path: Path) -> None:
    (tmp_path / "turns.py").write_text(_KERNEL)
    done = subprocess.run(
        [
            *(sys.executable, "-c", f"import sys; sys.path[:0] = {[str(FOLDER), str(tmp_path)]!r}\n{_COUNT}"),
            str(tmp_path / "cache"),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
    blocks, (sums, shared) = map(json.loads, lines)
    loops = [block for block in blocks if block[0]]
    others = sorted(block[1:3] for block in blocks if not block[0])
    turns = 2 * sum(range(32))
    assert [block[1:3] for block in loops] == [[turns, 2 * 31]]
    # The branch of the odd threads, the kernel itself, and the function, once a turn.
    assert others == [[32, 2], [64, 2], [turns, 2 * 31]]
    assert max(block[3] for block in blocks) == 4, "each thread writes one float"
    first = sum(range(32))
    assert sums == [first + 2, first + 2], "the first lane takes two of the 40 turns"
    assert shared == [[2 * first, 2 * 31], [2 * 40, 2 * 2]], (
        "lanes are counted apart, although they wait for each other"
    )
