"""Everything that a GPU has to be asked, in one command: whether it agrees with the CPU, repeats itself, and how fast it is.

    python benchmarks/device_check.py --minutes 8                     # all stages on cuda:0
    python benchmarks/device_check.py --minutes 3 --stages loop qp    # some of them
    python benchmarks/device_check.py --device cpu --small            # a rehearsal of every stage on the CPU

Stages run in order, each in a process of its own with a limit: its share of the time that is left, so that what a quick stage
does not need goes to those after it. A table is printed as its rows are known, and also written to ``--out``: a stage that is
cut has told what it knew, and the next one begins.

``kernels`` compiles every kernel side by side; the other stages find them in Warp's cache. Speeds of the loop are those of
the steps after the first 50, for a whole run of 7,000 steps; those of a command are of the command, files written.

Learning in Isaac Lab does not fit these minutes and has an environment of its own (Python 3.12). It follows by hand:

    python benchmarks/reacting.py --device cuda:0 --num-envs 4096 --iterations 20               # taught
    python benchmarks/reacting.py --device cuda:0 --num-envs 4096 --iterations 300 --agent ppo  # by trial
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import device_stages
import warp as wp
from device_sizes import FULL, SMALL, Check
from machine import machine_name

from warpgrasp.base.warp_messages import quiet_warp

SHARES = {
    "kernels": 0.15,
    "agreement": 0.08,
    "repeat": 0.08,
    "graph": 0.05,
    "loop": 0.2,
    "command": 0.16,
    "by_kernel": 0.05,
    "lanes": 0.04,
    "qp": 0.03,
    "newton": 0.2,  # MuJoCo Warp compiles its kernels there
}
"""Stages in order and their shares of the time."""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=8.0, help="time of all stages together")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--stages", nargs="+", choices=list(SHARES), default=list(SHARES), metavar="STAGE")
    parser.add_argument("--small", action="store_true", help="tiny batches, in this process: a rehearsal")
    parser.add_argument("--out", type=Path, help="file that gets the tables too")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # a stage in a process of its own
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stages; 1 where one failed or was cut."""
    options = parse(arguments)
    quiet_warp()
    if options.device.startswith("cuda") and not wp.is_cuda_available():
        print(f"no CUDA device is here; rehearse with --device cpu --small (got --device {options.device})")
        return 2
    sizes = SMALL if options.small else FULL
    if options.one:
        getattr(device_stages, options.one)(Check(options.device, sizes, print_line))
        return 0
    say = Tee(options.out)
    say(f"machine: {machine_name(options.device)}")
    ends = time.monotonic() + 60.0 * options.minutes
    bad = 0
    for number, name in enumerate(options.stages):
        left = ends - time.monotonic()
        rest = sum(SHARES[other] for other in options.stages[number:])
        limit = max(left * SHARES[name] / rest, 1.0)
        began = time.monotonic()
        say(f"\n## {name} (limit {limit:.0f} s)")
        say(" ".join(str(getattr(device_stages, name).__doc__).split()) + "\n")
        if options.small:
            getattr(device_stages, name)(Check(options.device, sizes, say))
            ended = "done"
        else:
            ended = run_stage(name, options, limit, say)
        bad += ended != "done"
        say(f"\n{name}: {ended} after {time.monotonic() - began:.1f} s")
    return 1 if bad else 0


class Tee:
    """Prints lines at once and appends them to a file."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        if path is not None:
            path.write_text("")

    def __call__(self, line: str) -> None:
        """Print and write one line."""
        print_line(line)
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(line + "\n")


def print_line(line: str) -> None:
    """Print without waiting for more."""
    print(line, flush=True)


def run_stage(name: str, options: argparse.Namespace, limit: float, say: Tee) -> str:
    """Run one stage in a process that is ended at its limit; how it ended."""
    command = [sys.executable, "-u", __file__, "--one", name, "--device", options.device]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    # The output ends when the process does, so a timer ends the process.
    cut = Alarm(process, limit)
    assert process.stdout is not None
    for line in process.stdout:
        say(line.rstrip("\n"))
    code = process.wait()
    cut.cancel()
    if cut.rang:
        return "CUT at its limit"
    return "done" if code == 0 else f"FAILED with exit code {code}"


class Alarm:
    """Kills a process after a time."""

    def __init__(self, process: subprocess.Popen[str], seconds: float) -> None:
        self.rang = False
        self._process = process
        self._timer = threading.Timer(seconds, self._ring)
        self._timer.daemon = True
        self._timer.start()

    def _ring(self) -> None:
        self.rang = True
        self._process.kill()

    def cancel(self) -> None:
        """Let the process be."""
        self._timer.cancel()


if __name__ == "__main__":
    sys.exit(main())
