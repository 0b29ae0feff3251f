"""Accelerated projected gradient for the force-closure QP: same problem, start and result as ``qp``.

    x <- clip(z - (W^T W z + eps z) / L),   z = x + beta (x - x_previous),   L = lambda_max(W W^T) + eps

The gap is certified with the dual point ``y = W x``; it closes more slowly than V itself, by ``lambda_max / eps``.
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.qp import QpSolution, edge_force, refused_solution
from warpgrasp.kernels.singular_values import gram_matrix, largest_eigenvalue_bound
from warpgrasp.kernels.wrench import vec6

__all__ = ["duality_gap", "solve_projected_gradient"]

wp.set_module_options({"enable_backward": False})

_GAP_INTERVAL = wp.constant(8)


@wp.func
def duality_gap(
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, E]
    grasp: int,
    lower: float,
    upper: float,
    ridge: float,
    y: vec6,
    force: wp.array2d(dtype=wp.float32),  # [B, E]
) -> wp.vec2:
    """``(V(x) - D(y), V(x))`` of a feasible x with ``y = W x``.

    With ``u_i = -w_i.y / eps`` and ``c_i = clip(u_i)`` the gap is ``eps/2 sum_i (x_i - c_i)(x_i + c_i - 2
    u_i)``.
    """
    gap = float(0.0)
    squared_force = float(0.0)
    for i in range(wrench_matrix.shape[1]):
        x = force[grasp, i]
        unconstrained = -wp.dot(wrench_matrix[grasp, i], y) / ridge
        clipped = wp.clamp(unconstrained, lower, upper)
        gap += (x - clipped) * (x + clipped - 2.0 * unconstrained)
        squared_force += x * x
    return wp.vec2(0.5 * ridge * gap, 0.5 * (wp.dot(y, y) + ridge * squared_force))


@wp.func
def solve_projected_gradient(
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, E]
    grasp: int,
    lower: float,
    upper: float,
    ridge: float,
    iteration_limit: int,
    tolerance: float,
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
        x = edge_force(w, start, lower, upper, ridge)
        force[grasp, i] = x
        force_previous[grasp, i] = x
        y += w * x
    step = 1.0 / (1.001 * largest_eigenvalue_bound(gram_matrix(wrench_matrix, grasp)) + ridge)
    y_previous = y
    theta = float(1.0)
    beta = float(0.0)
    iteration = int(0)
    gap = duality_gap(wrench_matrix, grasp, lower, upper, ridge, y, force)
    while iteration < iteration_limit and gap[0] > tolerance * gap[1]:
        y_extrapolated = y + (y - y_previous) * beta
        y_previous = y
        y = vec6()
        uphill = float(0.0)
        for i in range(column_count):
            w = wrench_matrix[grasp, i]
            x = force[grasp, i]
            z = x + beta * (x - force_previous[grasp, i])
            x_next = wp.clamp(z - step * (wp.dot(w, y_extrapolated) + ridge * z), lower, upper)
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
        if iteration % _GAP_INTERVAL == 0 or iteration == iteration_limit:
            gap = duality_gap(wrench_matrix, grasp, lower, upper, ridge, y, force)
    if not wp.isfinite(gap[0] + gap[1]):
        return refused_solution(wrench_matrix, grasp, lower, iteration, force)
    solution = QpSolution()
    solution.dual = y
    solution.value = gap[1]
    solution.residual = wp.max(gap[0], 0.0) / wp.max(gap[1], 1.0e-30)
    solution.iteration_count = iteration
    return solution
