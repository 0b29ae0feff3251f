"""Accuracy and time of the force-closure QP on wrench matrices recorded from real runs, side by side.

    python benchmarks/qp.py                     10,000 matrices: both hands, five objects, 7000 steps (about 90 s)
    python benchmarks/qp.py --steps 500 --matrices 1000

Every matrix comes with the warm start the run had for it, that is the dual of the last accepted grasp. Both solvers
then solve all matrices in one launch, cold and warm, at the default settings of ``QpConfig``, on the CPU (one core).
Reference: ``scipy.optimize.lsq_linear`` (active set, float64) on the same float32 matrices. The gradient error is the
largest error of ``dV/dW = (W x*) x*^T`` relative to its largest entry.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import warp as wp
from scipy.optimize import lsq_linear

from warpgrasp.hands import load_hand
from warpgrasp.kernels.qp.dual_newton import QpConfig, QpSolver
from warpgrasp.kernels.qp.launch import QpArrays, launch_qp
from warpgrasp.kernels.spatial import vec6
from warpgrasp.objects import example_object_names, load_object
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.optimizer import OptimizerMalaStar
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.seeds import InitializeConfig, seed_grasps
from warpgrasp.synthesis.state import GraspState

SHARED = Path(__file__).resolve().parents[2] / "shared" / "objects"
SHARED_OBJECTS = ("os_coffeemug", "os_duck", "ycb_011_banana", "ycb_035_power_drill", "ycb_061_foam_brick")
HANDS = ("allegro", "robotiq_2f140")
DEVICE = "cpu"


def record_run(
    hand_name: str, *, step_count: int, record_count: int, grasp_count: int
) -> dict[str, np.ndarray]:
    """Wrench matrices [N, E, 6], warm starts [N, 6] and steps [N] of one run, uniform over its steps."""
    paths = [SHARED / f"{name}.obj" for name in SHARED_OBJECTS]
    names: list[Any] = list(paths) if paths[0].exists() else list(example_object_names())
    hand = load_hand(hand_name)
    problem = GraspProblem(
        hand,
        [load_object(name) for name in names],
        grasp_count=grasp_count,
        terms=EnergyConfig().active_terms(),
        device=DEVICE,
    )
    optimizer = OptimizerMalaStar()
    seeds = seed_grasps(problem, InitializeConfig(), seed=0)
    resets = [
        seed_grasps(problem, InitializeConfig(), seed=0, reset=1 + i)
        for i in range(optimizer.reset_count(step_count))
    ]
    run_state = optimizer.init(problem, seeds, resets, step_count=step_count)
    wanted = set(np.linspace(1, step_count, record_count, dtype=int).tolist())
    rows: dict[str, list[np.ndarray]] = {"matrix": [], "start": [], "step": []}
    evaluate = problem.evaluate
    step = 0

    def recording_evaluate(state: GraspState) -> None:
        if step not in wanted:
            evaluate(state)
            return
        rows["start"].append(state.qp_dual.numpy().copy())  # numpy() is a view on the CPU
        evaluate(state)
        arrays: Any = state.scratch["force_closure"]
        rows["matrix"].append(arrays.wrench_matrix.numpy().copy())
        rows["step"].append(np.full(problem.batch_size, step))

    problem.evaluate = recording_evaluate  # type: ignore[method-assign]
    for step in range(1, step_count + 1):  # noqa: B007 - read by recording_evaluate
        optimizer.step(problem, run_state)
    return {name: np.concatenate(values) for name, values in rows.items()}


def reference(matrices: np.ndarray, config: QpConfig) -> tuple[np.ndarray, np.ndarray]:
    """Values [N] and gradients [N, E, 6] of SciPy in float64."""
    values, gradients = np.empty(len(matrices)), np.empty(matrices.shape)
    started = time.perf_counter()
    for i, columns in enumerate(matrices.astype(np.float64)):
        edges = len(columns)
        stacked = np.vstack([columns.T, np.sqrt(config.ridge) * np.eye(edges)])
        x = lsq_linear(
            stacked,
            np.zeros(6 + edges),
            (config.lower, config.upper),
            method="bvls",
            tol=1e-14,
            max_iter=1000,
        ).x
        y = columns.T @ x
        values[i] = 0.5 * (y @ y + config.ridge * x @ x)
        gradients[i] = x[:, None] * y
    print(f"SciPy: {(time.perf_counter() - started) / len(matrices) * 1e6:.0f} us per solve")
    return values, gradients


def report(
    label: str,
    matrices: np.ndarray,
    start: np.ndarray,
    config: QpConfig,
    expected: tuple[np.ndarray, np.ndarray],
) -> None:
    """Solve all matrices and print one row of the table."""
    columns: Any = wp.array(matrices, dtype=vec6, device=DEVICE)
    dual_start: Any = wp.array(start, dtype=vec6, device=DEVICE)
    arrays = QpArrays.allocate(*columns.shape, config=config, device=DEVICE)
    seconds = []
    for _ in range(4 if config.solver == QpSolver.DUAL_NEWTON else 2):
        started = time.perf_counter()
        launch_qp(columns, config=config, arrays=arrays, dual_start=dual_start)
        seconds.append(time.perf_counter() - started)
    value, gradient = expected
    value_error = np.abs(arrays.value.numpy() / value - 1.0)
    computed = arrays.force.numpy()[..., None] * arrays.dual.numpy()[:, None].astype(np.float64)
    gradient_error = np.abs(computed - gradient).max(axis=(1, 2)) / np.abs(gradient).max(axis=(1, 2))
    iterations = arrays.iteration_count.numpy()
    print(
        f"{label:26s} {min(seconds) / len(matrices) * 1e6:8.2f} us  "
        f"{iterations.mean():7.1f} / {iterations.max():4d}  "
        f"{np.median(value_error):8.1e} {np.percentile(value_error, 99):8.1e} {value_error.max():8.1e}  "
        f"{np.median(gradient_error):8.1e} {np.percentile(gradient_error, 99):8.1e} {gradient_error.max():8.1e}  "
        f"{arrays.residual.numpy().max():8.1e} {int((arrays.status.numpy() != 0).sum()):5d}"
    )


def main() -> None:
    """Record, solve, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=7000, help="length of the recorded runs")
    parser.add_argument("--matrices", type=int, default=10_000, help="matrices in all")
    parser.add_argument("--grasps", type=int, default=20, help="grasps per object")
    parser.add_argument("--save", type=Path, help="npz file to write the recorded matrices to")
    parser.add_argument("--load", type=Path, help="npz file of matrices recorded before")
    options = parser.parse_args()
    if options.load:
        with np.load(options.load) as data:
            recorded = {name: data[name] for name in ("matrix", "start", "step")}
    else:
        per_run = options.matrices // len(HANDS)
        record_count = max(1, round(per_run / (options.grasps * len(SHARED_OBJECTS))))
        runs = []
        for hand in HANDS:
            started = time.perf_counter()
            runs.append(
                record_run(
                    hand, step_count=options.steps, record_count=record_count, grasp_count=options.grasps
                )
            )
            print(f"{hand}: {len(runs[-1]['step'])} matrices in {time.perf_counter() - started:.0f} s")
        recorded = {name: np.concatenate([run[name] for run in runs]) for name in runs[0]}
        if options.save:
            np.savez(options.save, **recorded)
    matrices, start = recorded["matrix"], recorded["start"]
    print(
        f"{len(matrices)} matrices {matrices.shape[1]} x 6, steps {recorded['step'].min()} to {recorded['step'].max()}"
    )
    expected = reference(matrices, QpConfig())
    print(
        f"\n{'':26s} {'time':>11s}  {'iterations':>14s}  {'value error':>26s}  {'gradient error':>26s}  "
        f"{'gap':>8s} {'failed':>5s}\n{'':39s}  {'mean / max':>14s}  {'median      p99      max':>26s}  "
        f"{'median      p99      max':>26s}  {'max':>8s}"
    )
    for solver in QpSolver:
        config = QpConfig(solver=solver)
        label = solver.name.lower().replace("_", " ")
        report(f"{label}, cold", matrices, np.zeros_like(start), config, expected)
        report(f"{label}, warm", matrices, start, config, expected)


if __name__ == "__main__":
    main()
