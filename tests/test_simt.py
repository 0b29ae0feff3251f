"""``benchmarks/simt.py`` counts what a kernel of known loops does, in a process of its own: it changes what Warp generates."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "benchmarks"

# Thread i turns i % 32 times in a loop, a function of its own in each turn; the odd ones take a branch.
_KERNEL = """
import warp as wp


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
"""


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
    blocks = json.loads(done.stdout.strip().splitlines()[-1])
    loops = [block for block in blocks if block[0]]
    others = sorted(block[1:3] for block in blocks if not block[0])
    turns = 2 * sum(range(32))
    assert [block[1:3] for block in loops] == [[turns, 2 * 31]]
    # The branch of the odd threads, the kernel itself, and the function, once a turn.
    assert others == [[32, 2], [64, 2], [turns, 2 * 31]]
    assert max(block[3] for block in blocks) == 4, "each thread writes one float"
