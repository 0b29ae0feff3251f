"""Valid grasps per second from the command to the files: ``python benchmarks/throughput.py --objects 1 32``.

Clocks ``python -m warpgrasp.generate`` from process start to exit, in a process of its own, with all its files written, and
then ``python -m warpgrasp.evaluate`` on what it wrote, under both protocols. Objects are the shipped ones in slightly
different sizes, so that no two are the same. CPU seconds are those of the command and all its children, and so of all cores;
valid grasps per second and core are those per CPU second. A cache of objects is empty in the first run of a row (``cold``), the
cache of convex pieces in the first of two evaluations. ``--valid-only 32`` also runs ``generate --valid-only 32`` under each
protocol, without and with convex pieces in the cache.

``--memory 500`` measures something else: the resident memory of one process that works through so many boxes, cylinders
and spheres, two grasps of two steps each, stages and all, as it goes. It should not grow.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import warp as wp
from device_problems import write_meshes
from machine import machine_name

from warpgrasp.dataset.primitives import write_primitives
from warpgrasp.grasps.grasp_set import GraspSet

PROTOCOLS = ("graspqp", "dexgraspbench")


def run(*command: str, environment: dict[str, str]) -> tuple[float, float]:
    """Wall and CPU seconds of a command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", *command], env=environment, capture_output=True, text=True, check=False
    )
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def share_valid(folder: Path, protocol: str) -> float:
    """Share of the grasps that hold in all trials of a protocol."""
    results = json.loads((folder / "evaluation" / protocol / "results.json").read_text())
    total = max(results["totals"], key=lambda found: found["force"])
    return float(total["succ3"])


def row(title: str, grasps: int, valid: float | None, wall: float, cpu: float) -> str:
    """One line of the table."""
    kept = grasps * (1.0 if valid is None else valid)
    share = "-" if valid is None else f"{100 * valid:.0f}"
    return (
        f"| {title} | {grasps} | {share} | {wall:.1f} | {cpu:.1f} | {1e3 * cpu / grasps:.1f} "
        f"| {kept / wall:.2f} | {kept / cpu:.2f} |"
    )


def stage_rows(folder: Path, grasps: int) -> list[str]:
    """CPU milliseconds per grasp of the stages that the run has recorded."""
    stages = json.loads((folder / "timing.json").read_text())["stages"]
    return [
        f"| {name} | {spent['cpu']:.2f} | {1e3 * spent['cpu'] / grasps:.2f} |"
        for name, spent in stages.items()
    ]


def measure(count: int, options: argparse.Namespace, folder: Path, environment: dict[str, str]) -> None:
    """Print the rows of one number of objects."""
    (folder / f"meshes_{count}").mkdir()
    meshes = [str(path) for path in write_meshes(folder / f"meshes_{count}", count)]
    for state in ("cold", "warm"):
        out = folder / f"run_{count}_{state}"
        command = ["warpgrasp.generate", *meshes, "--hand", options.hand, "--out", str(out)]
        command += ["--grasps", str(options.grasps), "--steps", str(options.steps), *options.generate]
        wall, cpu = run(*command, environment=environment)
        grasps = count * options.grasps
        ok = float(np.mean([np.mean(GraspSet.load(file).status == 0) for file in out.glob("*.npz")]))
        print(row(f"generate, {count} objects, {state}, status OK", grasps, ok, wall, cpu), flush=True)
    for protocol in options.protocols:
        for state in ("cold", "warm"):
            forget_pieces(state, environment)
            verify = ["warpgrasp.evaluate", str(out), "--protocol", protocol, "--no-resume"]
            verify_wall, verify_cpu = run(*verify, environment=environment)
            valid = share_valid(out, protocol)
            title = f"{count} objects, {protocol}, pieces {state}"
            print(row(f"verify alone, {title}", grasps, None, verify_wall, verify_cpu), flush=True)
            print(
                row(f"generate + verify, {title}", grasps, valid, wall + verify_wall, cpu + verify_cpu),
                flush=True,
            )
    print("\n| stage | CPU s | CPU ms / grasp |\n|---|---|---|")
    print("\n".join(stage_rows(out, grasps)), end="\n\n", flush=True)


def forget_pieces(state: str, environment: dict[str, str]) -> None:
    """Empty the cache of convex pieces for a ``cold`` run."""
    if state == "cold":
        shutil.rmtree(Path(environment["XDG_CACHE_HOME"]) / "warpgrasp" / "convex", ignore_errors=True)


def measure_valid_only(
    count: int, options: argparse.Namespace, folder: Path, environment: dict[str, str]
) -> None:
    """Print the rows of ``generate --valid-only``."""
    meshes = sorted(str(path) for path in (folder / f"meshes_{count}").iterdir())
    stages: list[str] = []
    for protocol in options.protocols:
        for state in ("cold", "warm"):
            forget_pieces(state, environment)
            out = folder / f"valid_{count}_{protocol}_{state}"
            command = ["warpgrasp.generate", *meshes, "--hand", options.hand, "--out", str(out)]
            command += ["--grasps", str(options.grasps), "--steps", str(options.steps)]
            command += ["--valid-only", str(options.valid_only), "--protocol", protocol, *options.generate]
            wall, cpu = run(*command, environment=environment)
            sets = [GraspSet.load(file) for file in out.glob("*.npz")]
            title = f"generate --valid-only {options.valid_only}, {count} objects, {protocol}, pieces {state}"
            print(row(title, sum(len(grasps) for grasps in sets), None, wall, cpu), flush=True)
            made = sum(grasps.metadata["valid_only"]["made"] for grasps in sets)
            stages += [f"\n| {title}; per grasp made | CPU s | CPU ms / grasp |", "|---|---|---|"]
            stages += stage_rows(out, made)
    print("\n".join(stages), end="\n\n", flush=True)


def resident(process: int) -> float:
    """Resident memory of a process [MiB]."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024.0


def measure_memory(
    count: int, options: argparse.Namespace, folder: Path, environment: dict[str, str]
) -> None:
    """Print the resident memory of a command after every twentieth part of its objects."""
    (folder / "primitives").mkdir()
    kinds = ("box", "cylinder", "sphere")
    meshes = [str(path) for path in write_primitives(folder / "primitives", count, kinds=kinds)]
    command = ["warpgrasp.generate", *meshes, "--hand", options.hand, "--out", str(folder / "memory")]
    command += ["--grasps", "2", "--candidates", "1", "--steps", "2", "--samples", "200", "--workers", "1"]
    print("| objects finished | resident MiB |\n|---|---|")
    due = max(count // 20, 1)
    with (folder / "memory.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, *options.generate], env=environment, stdout=log, stderr=log
        )
        while process.poll() is None:
            done = len(list((folder / "memory").glob("*.npz")))
            if done >= due:
                print(f"| {done} | {resident(process.pid):.0f} |", flush=True)
                due = done + max(count // 20, 1)
            time.sleep(0.2)
    if process.returncode != 0:
        raise SystemExit((folder / "memory.log").read_text()[-2000:])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--hand", default="allegro")
    parser.add_argument("--grasps", type=int, default=32)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--protocols", nargs="*", default=list(PROTOCOLS))
    parser.add_argument("--valid-only", type=int, default=0, help="also clock generate --valid-only N")
    parser.add_argument("--memory", type=int, default=0, help="objects of the run whose memory is watched")
    parser.add_argument("generate", nargs="*", help="options for warpgrasp.generate, after --")
    options = parser.parse_args()
    print(f"{machine_name()}; hand {options.hand}, {options.grasps} grasps per object, {options.steps} steps")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
        wp.init()
        environment["WARP_CACHE_PATH"] = str(
            Path(wp.config.kernel_cache_dir).resolve().parent
        )  # kernels are compiled
        if options.memory:
            measure_memory(options.memory, options, folder, environment)
            return
        header = (
            "| run | grasps | valid % | wall s | CPU s | CPU ms / grasp | valid / s | valid / s and core |"
        )
        for count in options.objects:
            print(f"{header}\n|---|---|---|---|---|---|---|---|")
            measure(count, options, folder, environment)
            if options.valid_only:
                print(f"{header}\n|---|---|---|---|---|---|---|---|")
                measure_valid_only(count, options, folder, environment)


if __name__ == "__main__":
    main()
