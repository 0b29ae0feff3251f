"""Grasps per CPU second of a data set against plain commands: ``python benchmarks/data_set_throughput.py --objects 20``.

The same generated objects are worked on three times: by as many ``python -m warpgrasp.generate`` processes as there are
workers, side by side, each on its part; by as many ``--shard i/n`` processes; and by one command that starts Ray with so many
workers. CPU seconds are those of a command and all its descendants, Ray's own processes among them, from start to end. A
ratio above 1 means that the data set is cheaper than the plain commands. Linux only: it reads ``/proc``.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from machine import machine_name

from warpgrasp.dataset.primitives import write_primitives

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: orphans become children of this process, and are found
_TICKS = os.sysconf("SC_CLK_TCK")


def processes() -> dict[int, tuple[int, float]]:
    """Parent and CPU seconds of every process."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found[int(folder.name)] = (int(fields[1]), (int(fields[11]) + int(fields[12])) / _TICKS)
    return found


def descendants() -> dict[int, float]:
    """CPU seconds of every descendant of this process."""
    table = processes()
    family, found = {os.getpid()}, {}
    while True:
        new = {pid for pid, (parent, _) in table.items() if parent in family and pid not in family}
        if not new:
            return found
        family |= new
        found |= {pid: table[pid][1] for pid in new}


def run(commands: Sequence[Sequence[str]]) -> tuple[float, float]:
    """Wall and CPU seconds of commands side by side, with all that they start."""
    started = time.perf_counter()
    open_commands = [
        subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.DEVNULL) for command in commands
    ]
    spent: dict[int, float] = {}
    while any(command.poll() is None for command in open_commands):
        spent |= descendants()
        time.sleep(0.05)
    wall = time.perf_counter() - started
    while left := descendants():
        spent |= left
        time.sleep(0.05)
        for pid in left:
            if processes().get(pid, (0, 0.0))[0] == os.getpid():
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
    if any(command.returncode for command in open_commands):
        raise SystemExit(f"{commands[0]} failed")
    return wall, sum(spent.values())


def ways(files: Sequence[str], options: argparse.Namespace, folder: Path) -> dict[str, list[list[str]]]:
    """The commands of each way."""
    count = options.workers
    settings = ["--grasps", str(options.grasps), "--device", "cpu"]
    if options.steps:
        settings += ["--steps", str(options.steps)]
    plan = ["warpgrasp.dataset", "--objects", *files, *settings]
    if options.objects_per_item:
        plan += ["--objects-per-item", str(options.objects_per_item)]
    plain = ["warpgrasp.generate", *settings, "--workers", "1", "--usd", "none"]
    return {
        "generate": [
            [plain[0], *files[part::count], *plain[1:], "--out", str(folder / f"plain_{part}")]
            for part in range(count)
        ],
        "dataset --shard": [
            [*plan, "--out", str(folder / "shards"), "--shard", f"{part}/{count}"] for part in range(count)
        ],
        "dataset, Ray": [[*plan, "--out", str(folder / "ray"), "--workers", str(count)]],
    }


def main() -> None:
    """Print one line for each way and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=20)
    parser.add_argument("--grasps", type=int, default=32)
    parser.add_argument("--steps", type=int, default=0, help="0: the method's own")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--objects-per-item", type=int, default=0, help="0: the default of the command")
    parser.add_argument("--runs", type=int, default=1)
    options = parser.parse_args()
    ctypes.CDLL(None).prctl(_SUBREAPER, 1)
    print(f"{machine_name()}; {options.objects} objects, {options.grasps} grasps, {options.workers} workers")
    print("| way | wall s | CPU s | grasps per CPU s | of generate |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        files = [str(path) for path in write_primitives(Path(name) / "meshes", options.objects)]
        for number in range(options.runs):
            plain = 0.0
            for title, commands in ways(files, options, Path(name) / f"run_{number}").items():
                wall, cpu = run(commands)
                plain = plain or cpu
                rate = options.objects * options.grasps / cpu
                print(f"| {title} | {wall:.1f} | {cpu:.2f} | {rate:.2f} | {plain / cpu:.3f} |", flush=True)


if __name__ == "__main__":
    main()
