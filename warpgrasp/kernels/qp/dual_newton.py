"""The quadratic program (QP) of force closure, its dual and its default solver.

Derived step by step, with the same symbols, in ``docs/concepts/force_closure.md``.

    x* = argmin  1/2 |W x|^2 + eps/2 |x|^2,   lower <= x <= upper          W: 6 x E wrench matrix
    V(W) = 1/2 |W x*|^2 + eps/2 |x*|^2                                     (the ridge eps is part of V)
    E_fc = g (V + e0) exp(-v S(W))

Dual. With ``y = W x`` and its multiplier l in R^6 the Lagrangian separates into columns and the minimiser
over the box is explicit, ``x(l) = clip(-W^T l / eps, lower, upper)``. The dual function is concave in six
variables, whatever E:

    D(l) = -1/2 |l|^2 + sum_i [ eps/2 x_i(l)^2 + x_i(l) w_i.l ],     -grad D(l) = F(l) = l - W x(l)

At the optimum ``l* = W x*``. For any l the duality gap is *exactly* ``V(x(l)) - D(l) = 1/2 |F(l)|^2``, which
bounds the error of V from above. So although x(l) divides by eps = 1e-4 and float32 rounding of ``w_i.l`` is
amplified 10,000 times in x, it enters V squared: float32 is enough, and what is reported as the residual is a
proof and not an estimate.

Solvers (both write x, both start from a dual estimate, so that contacts may be exchanged between two solves):

- :func:`solve_dual_newton` (default): semismooth Newton on F, ``H = I + 1/eps sum_{free} w_i w_i^T`` (free:
  strictly inside the box), 6x6 Cholesky, line search on the monotone piecewise linear directional derivative.
  Finite termination.
- ``solve_projected_gradient`` (in ``projected_gradient``): projected gradient on the box with Nesterov acceleration,
  adaptive restart and step ``1 / (lambda_max(W W^T) + eps)``. First order: slow, because ``lambda_max / eps``
  is ~ 1e4.

Envelope theorem: ``dV/dW = (W x*) x*^T``; the gradient uses ``l`` for ``W x*``, which Newton knows to more
digits than the sum ``W x``, whose terms cancel. One grasp is one thread; functions take global arrays and the
row of the grasp.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import warp as wp

from warpgrasp.base.ranges import POSITIVE, check_numbers
from warpgrasp.base.status import GraspStatus
from warpgrasp.kernels.spatial import vec6

__all__ = [
    "QpConfig",
    "QpConstants",
    "QpSolution",
    "QpSolver",
    "dual_model",
    "edge_force",
    "qp_status",
    "refused_solution",
    "solve_dual_newton",
    "solve_positive_definite",
]

wp.set_module_options({"enable_backward": False})

mat66 = wp.types.matrix(shape=(6, 6), dtype=wp.float32)

_STATUS_OK = wp.constant(int(GraspStatus.OK))
_STATUS_NONFINITE = wp.constant(int(GraspStatus.NONFINITE_ENERGY))
_STATUS_NOT_CONVERGED = wp.constant(int(GraspStatus.QP_NOT_CONVERGED))
_LINE_SEARCH_LIMIT = wp.constant(16)
_LARGEST_STEP = wp.constant(wp.float32(1.0e30))


class QpSolver(enum.IntEnum):
    """Solver of the force-closure QP."""

    DUAL_NEWTON = 0
    PROJECTED_GRADIENT = 1


@dataclass(frozen=True, kw_only=True)
class QpConfig:
    """Settings of the force-closure QP (Zurbrügg et al. 2025, Eq. 4-5). Defaults: the paper's bounds, the faster solver."""

    lower: float = 1.0
    """Lower bound of every edge force."""
    upper: float = 50.0
    """Upper bound of every edge force; 50 in the paper, 21 in its published code."""
    ridge: float = 1e-4
    """Ridge eps, part of the value."""
    solver: QpSolver = QpSolver.DUAL_NEWTON
    """Solver; both have the same interface and reach the same tolerance."""
    iteration_limit: int | None = None
    """Largest number of iterations; ``None``: 50 Newton steps, 4000 gradient steps."""
    tolerance: float = 1e-7
    """Relative duality gap ``(V - D) / V`` at which a solve stops; above it a grasp is
    ``QP_NOT_CONVERGED``."""

    def __post_init__(self) -> None:
        check_numbers(self, "qp", ridge=POSITIVE, tolerance=POSITIVE, iteration_limit=POSITIVE)
        if not self.lower < self.upper:
            raise ValueError(
                f"qp.lower must be smaller than qp.upper (got {self.lower:g} and {self.upper:g}); they bound every force"
            )

    def constants(self) -> QpConstants:
        """The settings as a kernel argument."""
        result = QpConstants()
        result.lower = self.lower
        result.upper = self.upper
        result.ridge = self.ridge
        result.iteration_limit = self.resolved_iteration_limit
        result.tolerance = self.tolerance
        return result

    @property
    def resolved_iteration_limit(self) -> int:
        """The iteration limit with the solver's default filled in."""
        if self.iteration_limit is not None:
            return self.iteration_limit
        return 50 if self.solver == QpSolver.DUAL_NEWTON else 4000


@wp.struct
class QpConstants:
    """The settings of a solve as a kernel argument."""

    lower: float
    upper: float
    ridge: float
    iteration_limit: int
    tolerance: float


@wp.struct
class QpSolution:
    """Result of one solve."""

    dual: vec6
    """l, the estimate of the residual wrench ``W x*``; start the next solve here."""
    value: wp.float32
    """V; infinite when W is not finite."""
    residual: wp.float32
    """Relative duality gap, an upper bound of the relative error of V; infinite when W is not finite."""
    iteration_count: wp.int32


@wp.struct
class DualModel:
    """Local quadratic model of ``-D`` at l."""

    gradient: vec6  #: F(l) = l - W x(l)
    hessian: mat66  #: I + 1/eps sum_{free} w w^T
    value: wp.float32  #: V(x(l))


@wp.func
def edge_force(w: vec6, dual: vec6, qp: QpConstants) -> float:
    """Force of one edge at the dual point, ``x_i(l) = clip(-w_i.l / eps, lower, upper)``."""
    return wp.clamp(-wp.dot(w, dual) / qp.ridge, qp.lower, qp.upper)


@wp.func
def solve_positive_definite(matrix: Any, right_hand_side: Any):
    """Solve a symmetric positive definite 6x6 system, float32 or float64, by unrolled Cholesky."""
    a = matrix
    x = right_hand_side
    # a becomes L below the diagonal and 1/L_jj on it; L is applied to x on the way
    for j in range(6):
        for k in range(j):
            a[j, j] = a[j, j] - a[j, k] * a[j, k]
            x[j] = x[j] - a[j, k] * x[k]
        reciprocal = x.dtype(1.0) / wp.sqrt(wp.max(a[j, j], x.dtype(1.0e-20)))
        a[j, j] = reciprocal
        x[j] = x[j] * reciprocal
        for i in range(j + 1, 6):
            for k in range(j):
                a[i, j] = a[i, j] - a[i, k] * a[j, k]
            a[i, j] = a[i, j] * reciprocal
    for j in range(6):
        i = 5 - j
        for k in range(i + 1, 6):
            x[i] = x[i] - a[k, i] * x[k]
        x[i] = x[i] * a[i, i]
    return x


@wp.func
def dual_model(
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, E]
    grasp: int,
    qp: QpConstants,
    dual: vec6,
) -> DualModel:
    """F(l), its generalised Jacobian H and V(x(l)) in one pass over the columns."""
    y = vec6()
    hessian = mat66()
    squared_force = float(0.0)
    reciprocal_ridge = 1.0 / qp.ridge
    for i in range(wrench_matrix.shape[1]):
        w = wrench_matrix[grasp, i]
        unconstrained = -wp.dot(w, dual) * reciprocal_ridge
        x = wp.clamp(unconstrained, qp.lower, qp.upper)
        y += w * x
        squared_force += x * x
        if x == unconstrained:
            hessian += wp.outer(w, w)
    hessian = hessian * reciprocal_ridge
    for j in range(6):
        hessian[j, j] = hessian[j, j] + 1.0
    model = DualModel()
    model.gradient = dual - y
    model.hessian = hessian
    model.value = 0.5 * (wp.dot(y, y) + qp.ridge * squared_force)
    return model


@wp.func
def dual_step_length(
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, E]
    grasp: int,
    qp: QpConstants,
    dual: vec6,
    direction: vec6,
    slope_start: float,
    slope_full: float,
) -> float:
    """Step length t where the slope of ``-D(l + t d)`` has fallen to 0.3 of its start.

    The slope ``F(l + t d).d`` is increasing and piecewise linear in t; ``slope_start < 0`` is its value at t
    = 0 and ``slope_full`` at t = 1. Newton's method on the slope, kept inside the bracket.
    """
    reciprocal_ridge = 1.0 / qp.ridge
    slope_change = wp.dot(direction, direction)
    slope_dual = wp.dot(dual, direction)
    low = float(0.0)
    high = float(_LARGEST_STEP)
    t = float(2.0)
    if slope_full > 0.0:
        high = float(1.0)
        t = slope_start / (slope_start - slope_full)
    else:
        low = float(1.0)
    for _iteration in range(_LINE_SEARCH_LIMIT):
        slope = slope_dual + t * slope_change
        curvature = float(slope_change)
        dual_t = dual + direction * t
        for i in range(wrench_matrix.shape[1]):
            w = wrench_matrix[grasp, i]
            p = wp.dot(w, direction)
            unconstrained = -wp.dot(w, dual_t) * reciprocal_ridge
            x = wp.clamp(unconstrained, qp.lower, qp.upper)
            slope -= p * x
            if x == unconstrained:
                curvature += p * p * reciprocal_ridge
        if wp.abs(slope) <= -0.3 * slope_start:
            break
        if slope < 0.0:
            low = t
        else:
            high = t
        candidate = t - slope / curvature
        if not (candidate > low and candidate < high):
            candidate = wp.where(high < _LARGEST_STEP, 0.5 * (low + high), 2.0 * t)
        t = candidate
    return t


@wp.func
def refused_solution(
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, E]
    grasp: int,
    qp: QpConstants,
    iteration: int,
    # outputs
    force: wp.array2d(dtype=wp.float32),  # [B, E]
) -> QpSolution:
    """Result for a wrench matrix that is not finite: infinite value and residual, a clean dual."""
    for i in range(wrench_matrix.shape[1]):
        force[grasp, i] = qp.lower
    solution = QpSolution()
    solution.value = wp.inf
    solution.residual = wp.inf
    solution.iteration_count = iteration
    return solution


@wp.func
def solve_dual_newton(
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, E]
    grasp: int,
    qp: QpConstants,
    dual_start: vec6,
    # outputs
    force: wp.array2d(dtype=wp.float32),  # [B, E]
) -> QpSolution:
    """Solve the QP of one grasp by semismooth Newton on its dual; writes ``x*`` to ``force[grasp]``."""
    solution = QpSolution()
    dual = dual_start
    if not wp.isfinite(wp.dot(dual, dual)):
        dual = vec6()
    model = dual_model(wrench_matrix, grasp, qp, dual)
    gap = float(0.5) * wp.dot(model.gradient, model.gradient)
    iteration = int(0)
    # not (a > b): a NaN gap leaves the loop
    while iteration < qp.iteration_limit and gap > qp.tolerance * model.value:
        direction = -solve_positive_definite(model.hessian, model.gradient)
        slope_start = wp.dot(model.gradient, direction)
        trial = dual + direction
        model = dual_model(wrench_matrix, grasp, qp, trial)
        slope_full = wp.dot(model.gradient, direction)
        if wp.abs(slope_full) > -0.5 * slope_start:
            step = dual_step_length(wrench_matrix, grasp, qp, dual, direction, slope_start, slope_full)
            trial = dual + direction * step
            model = dual_model(wrench_matrix, grasp, qp, trial)
        dual = trial
        gap = 0.5 * wp.dot(model.gradient, model.gradient)
        iteration += 1
    solution.iteration_count = iteration
    if not wp.isfinite(gap + model.value):
        return refused_solution(wrench_matrix, grasp, qp, iteration, force)
    for i in range(wrench_matrix.shape[1]):
        force[grasp, i] = edge_force(wrench_matrix[grasp, i], dual, qp)
    solution.dual = dual
    solution.value = model.value
    solution.residual = gap / wp.max(model.value, 1.0e-30)
    return solution


@wp.func
def qp_status(solution: QpSolution, tolerance: float) -> int:
    """Status of a solve: NONFINITE_ENERGY, QP_NOT_CONVERGED (gap above the tolerance) or OK."""
    if not wp.isfinite(solution.value):
        return _STATUS_NONFINITE
    if not (solution.residual <= tolerance):
        return _STATUS_NOT_CONVERGED
    return _STATUS_OK
