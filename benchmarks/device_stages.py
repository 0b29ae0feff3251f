"""The stages of ``benchmarks/device_check.py``: each measures one thing and prints one table, row by row."""

from __future__ import annotations

import dataclasses
import importlib
import os
import pkgutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import warp as wp
from device_lanes import compare_lanes
from device_problems import STEPS, make_problem, make_run, write_meshes
from device_sizes import Check
from qp import reference
from speed import kernel_shares

import warpgrasp.kernels
from warpgrasp.eval.engines.mujoco_scene import build_scene
from warpgrasp.eval.engines.registry import load_engine
from warpgrasp.eval.protocol.protocols import PROTOCOLS
from warpgrasp.eval.protocol.squeeze_rules import hand_targets
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.hands import load_hand
from warpgrasp.kernels.qp.dual_newton import QpConfig
from warpgrasp.kernels.qp.launch import QpArrays, launch_qp
from warpgrasp.kernels.spatial import vec6
from warpgrasp.objects import example_object_path, load_object
from warpgrasp.objects.convex_pieces import convex_pieces
from warpgrasp.synthesis.synthesize import SynthesisConfig, run_steps, synthesize

_GRASPS = Path(warpgrasp.__file__).parent / "eval" / "isaaclab" / "grasps"


def kernels(check: Check) -> None:
    """Compile and load every kernel of the package, side by side. Seconds of the first time, and when they are cached."""
    for info in pkgutil.walk_packages(warpgrasp.kernels.__path__, "warpgrasp.kernels."):
        importlib.import_module(info.name)
    modules = [
        wp.get_module(name)
        for name in sorted(sys.modules)
        if name.startswith("warpgrasp.kernels.") and wp.get_module(name).kernels
    ]
    if len(check.sizes.hands) == 1:
        modules = modules[:2]
    began = time.perf_counter()
    wp.force_load(check.device, modules=modules, max_workers=os.cpu_count())
    check.head("modules", "seconds")
    check.row(len(modules), f"{time.perf_counter() - began:.1f}")


def agreement(check: Check) -> None:
    """Energies and gradients of the same grasps on the CPU and on the device, all hands, 12 contacts.

    Errors are relative to the largest entry of a grasp.
    """
    check.head("hand", "grasps", "energy, worst", "gradient, median", "gradient, worst", "cosine, least")
    for name in check.sizes.hands:
        results = []
        for device in ("cpu", check.device):
            problem, seeds = make_problem(name, 48, device)
            state = problem.create_state()
            problem.set_variables(state, seeds.root_pose, seeds.joint_position, seeds.contact_index)
            problem.evaluate(state)
            results.append((state.energy.numpy().astype(float), state.gradient.numpy().astype(float)))
        (energy, gradient), (other, own) = results
        apart = np.abs(own - gradient).max(axis=1) / np.abs(gradient).max(axis=1)
        cosine = (
            np.sum(own * gradient, axis=1) / np.linalg.norm(own, axis=1) / np.linalg.norm(gradient, axis=1)
        )
        check.row(
            name,
            len(energy),
            f"{np.max(np.abs(other / energy - 1.0)):.1e}",
            f"{np.median(apart):.1e}",
            f"{apart.max():.1e}",
            f"{cosine.min():.7f}",
        )


def repeat(check: Check) -> None:
    """The whole synthesis twice with one seed, and once with another, on the device: which columns are identical."""
    model = load_object(example_object_path("mug"))
    check.head("hand", "same seed, identical columns", "not identical", "other seed differs")
    for name in check.sizes.fast_hands:
        hand, sets = load_hand(name), []
        for seed in (0, 0, 1):
            config = SynthesisConfig(
                grasp_count=min(32, check.sizes.matrices // 10),
                step_count=check.sizes.steps,
                device=check.device,
                seed=seed,
            )
            sets += synthesize(hand, [model], config)
        columns = [
            entry.name
            for entry in dataclasses.fields(GraspSet)
            if isinstance(getattr(sets[0], entry.name), np.ndarray)
        ]
        same = [
            n for n in columns if np.array_equal(getattr(sets[0], n), getattr(sets[1], n), equal_nan=True)
        ]
        check.row(
            name,
            f"{len(same)} of {len(columns)}",
            ", ".join(sorted(set(columns) - set(same))) or "-",
            not np.array_equal(sets[0].root_position, sets[2].root_position),
        )


def graph(check: Check) -> None:
    """A run as plain launches and as one captured graph: whether they end in the same bits, and what a step costs."""
    check.head("hand", "batch", "identical", "plain, ms / step", "graph, ms / step")
    batch = check.sizes.batches[0]
    for name in check.sizes.fast_hands:
        found = []
        for captured in (False, True):
            problem, state, config = make_run(name, batch, check.device)
            config.optimizer.step(problem, state)
            wp.synchronize()
            began = time.perf_counter()
            if captured:
                run_steps(problem, config.optimizer, state, check.sizes.steps, done=1)
            else:
                for _ in range(check.sizes.steps - 1):
                    config.optimizer.step(problem, state)
            wp.synchronize()
            seconds = (time.perf_counter() - began) / (check.sizes.steps - 1)
            found.append((state.current.energy.numpy(), seconds))
        (plain, first), (replayed, second) = found
        check.row(name, batch, np.array_equal(plain, replayed), f"{1e3 * first:.3f}", f"{1e3 * second:.3f}")


def loop(check: Check) -> None:
    """Steps of the optimiser alone, by captured graph, 12 contacts; grasps per second of a run of 7,000 such steps."""
    check.head(
        "hand", "batch", "ms / step", "us / grasp-step", "grasps/s", "memory, MiB", "upload and seeds, s"
    )
    for batch in check.sizes.batches:
        for name in check.sizes.fast_hands:
            began = time.perf_counter()
            free = _free(check.device)
            problem, state, config = make_run(name, batch, check.device)
            warm = min(50, check.sizes.timed_steps)
            run_steps(problem, config.optimizer, state, warm)
            wp.synchronize()
            used, prepared = free - _free(check.device), time.perf_counter() - began
            began = time.perf_counter()
            run_steps(problem, config.optimizer, state, warm + check.sizes.timed_steps, done=1)
            wp.synchronize()
            step = (time.perf_counter() - began) / (warm + check.sizes.timed_steps - 1)
            check.row(
                name,
                batch,
                f"{1e3 * step:.3f}",
                f"{1e6 * step / batch:.3f}",
                f"{batch / step / STEPS:.1f}",
                f"{used / 2**20:.0f}" if check.is_cuda else "-",
                f"{prepared:.1f}",
            )


def command(check: Check) -> None:
    """`python -m warpgrasp.generate` from process start to exit, files written; objects of different sizes, 32 grasps each."""
    check.head("hand", "objects", "grasps", "steps", "s", "CPU s", "grasps/s")
    for count in check.sizes.command_objects:
        for name in check.sizes.fast_hands:
            with tempfile.TemporaryDirectory() as folder:
                paths = write_meshes(Path(folder), count)
                before, began = os.times(), time.perf_counter()
                done = subprocess.run(
                    [
                        *(sys.executable, "-m", "warpgrasp.generate", *map(str, paths), "--hand", name),
                        *(
                            "--grasps",
                            str(check.sizes.command_grasps),
                            "--steps",
                            str(check.sizes.command_steps),
                        ),
                        *("--device", check.device, "--out", str(Path(folder) / "out")),
                    ],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                wall, after = time.perf_counter() - began, os.times()
            grasps = count * check.sizes.command_grasps
            if done.returncode:
                check.row(name, count, grasps, f"exit code {done.returncode}: {done.stderr[-200:]!r}", *"---")
                continue
            cores = (
                after.children_user + after.children_system - before.children_user - before.children_system
            )
            check.row(
                name,
                count,
                grasps,
                check.sizes.command_steps,
                f"{wall:.1f}",
                f"{cores:.1f}",
                f"{grasps / wall:.1f}",
            )


def by_kernel(check: Check) -> None:
    """Microseconds of each kernel in a step, launched one by one, largest batch but one."""
    batch = check.sizes.batches[len(check.sizes.batches) // 2]
    for name in check.sizes.fast_hands:
        check.say(f"\n{name}, batch {batch}\n")
        check.head("kernel", "us / step", "share, %")
        if check.is_cuda:
            spent = _timed_kernels(name, batch, check)
        else:
            config = SynthesisConfig(step_count=check.sizes.timed_steps)
            spent = {key: batch * value for key, value in kernel_shares(name, batch, config).items()}
        total = sum(spent.values())
        for kernel, value in sorted(spent.items(), key=lambda item: -item[1]):
            check.row(kernel, f"{value:.1f}", f"{100.0 * value / total:.1f}")


def lanes(check: Check) -> None:
    """Kernels in which the lanes of a warp share a grasp: with one lane, as on the CPU, and with 32, which run twice.

    On a GPU one lane leaves the other 31 of its warp idle. Energies and forces on links are compared with those of one lane,
    relative to the largest of a grasp.
    """
    check.head(
        "hand", "batch", "term", "lanes", "us / launch", "us / grasp", "apart, worst", "same bits twice"
    )
    batch = check.sizes.batches[len(check.sizes.batches) // 2]
    for name in check.sizes.fast_hands:
        for row in compare_lanes(name, batch, check.device, check.sizes.timed_steps):
            check.row(name, batch, *row)


def qp(check: Check) -> None:
    """The force-closure QP alone, dual Newton from zero, on wrenches of random contacts; errors against SciPy in float64."""
    count = check.sizes.matrices
    random = np.random.default_rng(0)
    force = random.normal(size=(count, 48, 3))
    force /= np.linalg.norm(force, axis=2, keepdims=True)
    arm = 0.04 * random.normal(size=(count, 48, 3))
    matrices = np.concatenate([force, 5.0 * np.cross(arm, force)], axis=2).astype(np.float32) / 4.0
    columns: Any = wp.array(matrices, dtype=vec6, device=check.device)
    arrays = QpArrays.allocate(*columns.shape, config=QpConfig(), device=check.device)
    start: Any = wp.zeros(count, dtype=vec6, device=check.device)
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        launch_qp(columns, config=QpConfig(), arrays=arrays, dual_start=start)
        wp.synchronize()
        seconds.append(time.perf_counter() - began)
    sample = slice(0, min(count, 300))
    value, _ = reference(matrices[sample], QpConfig())
    error = np.abs(arrays.value.numpy()[sample] / value - 1.0)
    iterations = arrays.iteration_count.numpy()
    check.head("matrices", "us / solve", "iterations mean / max", "value error median / worst", "not solved")
    check.row(
        count,
        f"{1e6 * min(seconds) / count:.4f}",
        f"{iterations.mean():.1f} / {iterations.max()}",
        f"{np.median(error):.1e} / {error.max():.1e}",
        int((arrays.status.numpy() != 0).sum()),
    )


def newton(check: Check) -> None:
    """Verdicts of `graspqp` by Newton on the device and by MuJoCo on all cores, on the same grasps.

    They are shipped ones of Allegro, their roots moved by about 1 mm. A grasp takes three worlds. Newton's time is that of a
    second run, whose graph is captured.
    """
    hand = load_hand("allegro")
    model = load_object(example_object_path("duck"))
    shipped = GraspSet.load(_GRASPS / "allegro" / "duck.npz")
    count = check.sizes.worlds // 3
    random = np.random.default_rng(0)
    grasps = shipped.select(np.arange(count) % len(shipped))
    moved = grasps.root_position + random.normal(0.0, 1.0e-3, (count, 3))
    grasps = dataclasses.replace(grasps, root_position=moved)
    engine, other = load_engine("newton", device=check.device), load_engine("mujoco")
    check.head(
        "push, N", "grasps", "Newton, s", "grasps/s", "MuJoCo, s", "Succ3 Newton", "Succ3 MuJoCo", "agree, %"
    )
    for force in (5.0, 15.0, 30.0) if count > 2 else (5.0,):
        protocol = PROTOCOLS["graspqp"].with_force(force)
        scene = build_scene(hand, model, convex_pieces(model), protocol)
        targets = hand_targets(hand, grasps, stiffness=scene.drives.stiffness, effort=scene.drives.effort)
        if check.is_cuda:
            engine.evaluate(scene, targets)
        began = time.perf_counter()
        first = engine.evaluate(scene, targets)
        took = time.perf_counter() - began
        began = time.perf_counter()
        second = other.evaluate(scene, targets)
        check.row(
            f"{force:g}",
            count,
            f"{took:.2f}",
            f"{count / took:.0f}",
            f"{time.perf_counter() - began:.2f}",
            f"{first.success_all.mean():.3f}",
            f"{second.success_all.mean():.3f}",
            f"{100.0 * np.mean(first.success_all == second.success_all):.1f}",
        )


def _timed_kernels(hand_name: str, batch: int, check: Check) -> dict[str, float]:
    """Microseconds of each kernel in a step, by CUDA's events."""
    problem, state, config = make_run(hand_name, batch, check.device)
    for _ in range(10):
        config.optimizer.step(problem, state)
    steps = max(check.sizes.timed_steps // 10, 1)
    wp.timing_begin(cuda_filter=wp.TIMING_KERNEL)
    for _ in range(steps):
        config.optimizer.step(problem, state)
    spent: dict[str, float] = defaultdict(float)
    for result in wp.timing_end():
        spent[result.name.removeprefix("forward kernel ")] += 1e3 * result.elapsed / steps
    return spent


def _free(device: str) -> int:
    found = wp.get_device(device)
    return int(found.free_memory) if found.is_cuda else 0
