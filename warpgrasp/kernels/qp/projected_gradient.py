"""Accelerated projected gradient for the force-closure QP: same problem, start and result as ``qp``.

    x <- clip(z - (W^T W z + eps z) / L),   z = x + beta (x - x_previous),   L = lambda_max(W W^T) + eps

In float32 the iteration finds the set of free forces, but not their last digits: one unit in the last place of x moves
``W x`` by as much as a small residual wrench measures. Every 16 steps the iterate is therefore polished and certified
by a single Newton step on the dual from ``l = W x``, exact once the free set is right; the polished x is returned.
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.energies.singular_values import gram_matrix, largest_eigenvalue_bound
from warpgrasp.kernels.qp.dual_newton import (
    QpConstants,
    QpSolution,
    dual_model,
    edge_force,
    refused_solution,
    solve_positive_definite,
)
from warpgrasp.kernels.spatial import vec6

__all__ = ["solve_projected_gradient"]

wp.set_module_options({"enable_backward": False})

_POLISH_INTERVAL = wp.constant(16)


@wp.func
def solve_projected_gradient(
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, E]
    grasp: int,
    qp: QpConstants,
    dual_start: vec6,
    # outputs
    force: wp.array2d(dtype=wp.float32),  # [B, E]
    force_previous: wp.array2d(dtype=wp.float32),  # [B, E] scratch
) -> QpSolution:
    """Solve the QP of one grasp by accelerated projected gradient; writes ``x*`` to ``force[grasp]``.

    Nesterov's extrapolation ``z = x + beta (x - x_previous)`` is formed on the fly, ``W z`` follows from ``W
    x`` and ``W x_previous``, and the momentum restarts whenever it points uphill (O'Donoghue and Candes 2015,
    gradient scheme).
    """
    column_count = wrench_matrix.shape[1]
    start = dual_start
    if not wp.isfinite(wp.dot(start, start)):
        start = vec6()
    y = vec6()
    for i in range(column_count):
        w = wrench_matrix[grasp, i]
        x = edge_force(w, start, qp)
        force[grasp, i] = x
        force_previous[grasp, i] = x
        y += w * x
    step = 1.0 / (1.001 * largest_eigenvalue_bound(gram_matrix(wrench_matrix, grasp)) + qp.ridge)
    y_previous = y
    theta = float(1.0)
    beta = float(0.0)
    iteration = int(0)
    dual = y
    model = dual_model(wrench_matrix, grasp, qp, dual)
    gap = float(0.5) * wp.dot(model.gradient, model.gradient)
    while iteration < qp.iteration_limit and gap > qp.tolerance * model.value:
        y_extrapolated = y + (y - y_previous) * beta
        y_previous = y
        y = vec6()
        uphill = float(0.0)
        for i in range(column_count):
            w = wrench_matrix[grasp, i]
            x = force[grasp, i]
            z = x + beta * (x - force_previous[grasp, i])
            x_next = wp.clamp(z - step * (wp.dot(w, y_extrapolated) + qp.ridge * z), qp.lower, qp.upper)
            uphill += (z - x_next) * (x_next - x)
            y += w * x_next
            force_previous[grasp, i] = x
            force[grasp, i] = x_next
        theta_next = 0.5 * (1.0 + wp.sqrt(1.0 + 4.0 * theta * theta))
        beta = (theta - 1.0) / theta_next
        theta = theta_next
        if uphill > 0.0:
            theta = 1.0
            beta = 0.0
        iteration += 1
        if iteration % _POLISH_INTERVAL == 0 or iteration == qp.iteration_limit:
            model = dual_model(wrench_matrix, grasp, qp, y)
            dual = y - solve_positive_definite(model.hessian, model.gradient)
            model = dual_model(wrench_matrix, grasp, qp, dual)
            gap = 0.5 * wp.dot(model.gradient, model.gradient)
    if not wp.isfinite(gap + model.value):
        return refused_solution(wrench_matrix, grasp, qp, iteration, force)
    for i in range(column_count):
        force[grasp, i] = edge_force(wrench_matrix[grasp, i], dual, qp)
    solution = QpSolution()
    solution.dual = dual
    solution.value = model.value
    solution.residual = gap / wp.max(model.value, 1.0e-30)
    solution.iteration_count = iteration
    return solution
