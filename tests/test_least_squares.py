"""One-sided rows of the damped least squares: the step is the minimum, found among all sets of rows that may act."""

from __future__ import annotations

import itertools

import numpy as np
import warp as wp
from cases import make_problem

from warpgrasp.kernels.kinematics import KinematicTree
from warpgrasp.kernels.targets.least_squares import (
    StepScratch,
    add_push,
    add_row,
    clear_system,
    solve_with_pushes,
    step_scratch,
)

COUNT, ROWS, PUSHES = 8, 6, 5


@wp.kernel
def _one_step(
    tree: KinematicTree,
    rows: wp.array3d(dtype=wp.float32),
    ways: wp.array2d(dtype=wp.float32),
    damping: wp.array(dtype=wp.float32),
    joint_position: wp.array2d(dtype=wp.float32),
    row_count: int,
    # outputs
    scratch: StepScratch,
):
    i = wp.tid()
    clear_system(scratch, i, damping)
    for number in range(rows.shape[1]):
        for column in range(rows.shape[2]):
            scratch.row[i, column] = rows[i, number, column]
        if number < row_count:
            add_row(scratch, i, 1.0, ways[i, number])
        else:
            add_push(scratch, i, 2.0, ways[i, number])
    solve_with_pushes(tree, scratch, i, 6, joint_position)


def minimum(rows: np.ndarray, ways: np.ndarray, damping: np.ndarray) -> np.ndarray:
    """The minimum by trying every set of acting one-sided rows and keeping the best value."""
    best, found = np.inf, np.zeros(COUNT)
    for acting in itertools.product((False, True), repeat=PUSHES):
        weight = np.concatenate([np.ones(ROWS), 2.0 * np.array(acting)])
        matrix = rows.T @ (weight[:, None] * rows) + np.diag(damping)
        step = np.linalg.solve(matrix, rows.T @ (weight * ways))
        lack = ways - rows @ step
        lack[ROWS:] = np.sqrt(2.0) * np.maximum(lack[ROWS:], 0.0)
        value = lack @ lack + step @ (damping * step)
        if value < best:
            best, found = value, step
    return found


def test_one_sided_rows_act_where_they_must() -> None:
    problem = make_problem("robotiq_2f140", grasp_count=1)
    random, batch = np.random.default_rng(0), 40
    unknowns = 6 + problem.hand.dof_count
    rows = np.zeros((batch, ROWS + PUSHES, unknowns))
    rows[:, :, :6] = random.normal(size=(batch, ROWS + PUSHES, 6))  # of the root alone: no limits
    ways = random.normal(size=(batch, ROWS + PUSHES))
    damping = np.full(unknowns, 0.3)
    scratch = step_scratch(batch, unknowns, "cpu", pushes=PUSHES)
    joints = np.tile(problem.hand.dof_opening, (batch, 1))
    arrays = [wp.array(a, dtype=wp.float32, device="cpu") for a in (rows, ways, damping, joints)]
    wp.launch(_one_step, dim=batch, inputs=[problem.tree, *arrays, ROWS], outputs=[scratch], device="cpu")
    acting = 0
    for i in range(batch):
        padded = np.zeros((ROWS + PUSHES, COUNT))
        padded[:, :6] = rows[i, :, :6]
        expected = minimum(padded, ways[i], np.full(COUNT, 0.3))
        np.testing.assert_allclose(scratch.step.numpy()[i, :6], expected[:6], atol=2e-5)
        acting += int(scratch.push_acts.numpy()[i].sum())
    assert 0 < acting < batch * PUSHES
