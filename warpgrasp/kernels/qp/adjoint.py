"""The force-closure QP on the ``wp.Tape``: envelope, implicit and unrolled adjoints.

- envelope (default): ``dV/dW = (W x*) x*^T``. Exact for V at the optimum, costs one outer product. The forces x*
  carry no gradient.
- implicit: additionally differentiates x* itself through the active set. With the free columns F strictly inside
  the box, ``x_i = -w_i.l / eps`` on F and constant elsewhere, and l = W x:

      H = I + 1/eps sum_F w w^T,   h = H^-1 ( l_bar - 1/eps sum_F x_bar_i w_i )
      w_bar_i = h x_i - [i in F] l (x_bar_i + w_i.h) / eps

  x* is piecewise smooth in W; where a force sits exactly at a bound this is one of its one-sided derivatives.
- unrolled: differentiates a fixed number of projected-gradient steps, all iterates stored. For tests.
"""

from __future__ import annotations

import enum
from typing import Any

import warp as wp

from warpgrasp.kernels.energies.singular_values import mat66d
from warpgrasp.kernels.qp.dual_newton import (
    QpConfig,
    QpConstants,
    QpSolution,
    qp_status,
    solve_positive_definite,
)
from warpgrasp.kernels.qp.launch import QpArrays, launch_qp
from warpgrasp.kernels.qp.unrolled import unrolled_projected_gradient
from warpgrasp.kernels.spatial import vec6

__all__ = ["QpAdjoint", "active_tape", "qp_value"]

wp.set_module_options({"enable_backward": False})

_vec6d = wp.types.vector(length=6, dtype=wp.float64)


class QpAdjoint(enum.IntEnum):
    """How the gradient of a taped solve is computed."""

    ENVELOPE = 0
    IMPLICIT = 1
    UNROLLED = 2


@wp.kernel
def _envelope_kernel(
    force: wp.array2d(dtype=wp.float32),  # [B, E]
    dual: wp.array(dtype=vec6),  # [B]
    value_gradient: wp.array(dtype=wp.float32),  # [B]
    # outputs
    wrench_gradient: wp.array2d(dtype=vec6),  # [B, E], added to
):
    grasp, i = wp.tid()
    scale = value_gradient[grasp] * force[grasp, i]
    wrench_gradient[grasp, i] = wrench_gradient[grasp, i] + dual[grasp] * scale


@wp.kernel
def _implicit_kernel(
    qp: QpConstants,
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, E]
    force: wp.array2d(dtype=wp.float32),  # [B, E]
    dual: wp.array(dtype=vec6),  # [B]
    force_gradient: wp.array2d(dtype=wp.float32),  # [B, E]
    dual_gradient: wp.array(dtype=vec6),  # [B]
    # outputs
    wrench_gradient: wp.array2d(dtype=vec6),  # [B, E], added to
):
    # float64: x_bar_i + w_i.h is a projection on the null space of the free columns and is divided by eps
    grasp = wp.tid()
    reciprocal_ridge = wp.float64(1.0) / wp.float64(qp.ridge)
    hessian = mat66d()
    right_hand_side = _vec6d()
    for i in range(wrench_matrix.shape[1]):
        x = force[grasp, i]
        if x > qp.lower and x < qp.upper:
            w = _vec6d(wrench_matrix[grasp, i])
            hessian += wp.outer(w, w)
            right_hand_side -= w * wp.float64(force_gradient[grasp, i])
    hessian = hessian * reciprocal_ridge
    for j in range(6):
        hessian[j, j] = hessian[j, j] + wp.float64(1.0)
    right_hand_side = right_hand_side * reciprocal_ridge + _vec6d(dual_gradient[grasp])
    h = solve_positive_definite(hessian, right_hand_side)
    dual_grasp = _vec6d(dual[grasp])
    for i in range(wrench_matrix.shape[1]):
        x = force[grasp, i]
        gradient = h * wp.float64(x)
        if x > qp.lower and x < qp.upper:
            w = _vec6d(wrench_matrix[grasp, i])
            scale = (wp.float64(force_gradient[grasp, i]) + wp.dot(w, h)) * reciprocal_ridge
            gradient -= dual_grasp * scale
        wrench_gradient[grasp, i] = wrench_gradient[grasp, i] + vec6(gradient)


@wp.func
def duality_gap(
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, E]
    grasp: int,
    qp: QpConstants,
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
        unconstrained = -wp.dot(wrench_matrix[grasp, i], y) / qp.ridge
        clipped = wp.clamp(unconstrained, qp.lower, qp.upper)
        gap += (x - clipped) * (x + clipped - 2.0 * unconstrained)
        squared_force += x * x
    return wp.vec2(0.5 * qp.ridge * gap, 0.5 * (wp.dot(y, y) + qp.ridge * squared_force))


@wp.kernel
def _certificate_kernel(
    qp: QpConstants,
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, E]
    force: wp.array2d(dtype=wp.float32),  # [B, E]
    dual: wp.array(dtype=vec6),  # [B]
    # outputs
    residual: wp.array(dtype=wp.float32),  # [B]
    status: wp.array(dtype=wp.int32),  # [B]
):
    grasp = wp.tid()
    gap = duality_gap(wrench_matrix, grasp, qp, dual[grasp], force)
    solution = QpSolution()
    solution.value = gap[1]
    solution.residual = wp.max(gap[0], 0.0) / wp.max(gap[1], 1.0e-30)
    residual[grasp] = solution.residual
    status[grasp] = qp_status(solution, qp.tolerance)


def qp_value(
    wrench_matrix: Any,
    *,
    config: QpConfig | None = None,
    adjoint: QpAdjoint = QpAdjoint.ENVELOPE,
    dual_start: Any = None,
    tape: wp.Tape | None = None,
) -> QpArrays:
    """Solve the QP of every grasp and record the adjoint on a tape.

    Args:
        wrench_matrix: vec6, shape [grasp_count, column_count].
        config: Settings; ``None`` for the defaults. The unrolled adjoint takes ``config.iteration_limit`` steps
            (4000 when ``None``) of projected gradient whatever ``config.solver``.
        adjoint: ``ENVELOPE``: gradients flow from ``value``. ``IMPLICIT``: from ``value``, ``force`` and ``dual``.
            ``UNROLLED``: from ``value`` and ``force``.
        dual_start: Warm start, vec6, shape [grasp_count]; ``None`` starts cold.
        tape: Tape to record on; ``None`` records on the tape whose ``with`` block is active, if any.

    Returns:
        The solution, newly allocated, with gradient arrays if ``wrench_matrix`` has one.

    Raises:
        ValueError: if a ``tape`` is given and ``wrench_matrix`` carries no gradient.
    """
    config = QpConfig() if config is None else config
    if tape is not None and not wrench_matrix.requires_grad:
        raise ValueError(
            "wrench_matrix has requires_grad=False; build it with requires_grad=True to use a tape."
        )
    if adjoint == QpAdjoint.UNROLLED:
        return _unrolled_value(wrench_matrix, config, dual_start)
    grasp_count, column_count = wrench_matrix.shape
    arrays = QpArrays.allocate(
        grasp_count,
        column_count,
        config=config,
        device=wrench_matrix.device,
        requires_grad=wrench_matrix.requires_grad,
    )
    launch_qp(wrench_matrix, config=config, arrays=arrays, dual_start=dual_start)
    tape = active_tape() if tape is None else tape
    if tape is not None and wrench_matrix.requires_grad:
        _record(tape, wrench_matrix, arrays, config, adjoint)
    return arrays


def _unrolled_value(wrench_matrix: Any, config: QpConfig, dual_start: Any) -> QpArrays:
    """Solve by taped projected-gradient steps and certify the last iterate."""
    device = wrench_matrix.device
    grasp_count = wrench_matrix.shape[0]
    iteration_count = 4000 if config.iteration_limit is None else config.iteration_limit
    force, dual, value = unrolled_projected_gradient(
        wrench_matrix, config=config, iteration_count=iteration_count, dual_start=dual_start
    )
    residual = wp.zeros(grasp_count, dtype=wp.float32, device=device)
    status = wp.zeros(grasp_count, dtype=wp.int32, device=device)
    wp.launch(
        _certificate_kernel,
        dim=grasp_count,
        inputs=[config.constants(), wrench_matrix, force, dual],
        outputs=[residual, status],
        device=device,
        record_tape=False,
    )
    return QpArrays(
        force=force,
        dual=dual,
        value=value,
        residual=residual,
        iteration_count=wp.full(grasp_count, iteration_count, dtype=wp.int32, device=device),
        status=status,
        force_previous=None,
    )


def active_tape() -> wp.Tape | None:
    """Tape of the enclosing ``with wp.Tape()`` block. Warp has no public accessor for it (1.17 to 1.19)."""
    tape: wp.Tape | None = wp._src.context.runtime.tape
    return tape


def _record(
    tape: wp.Tape, wrench_matrix: Any, arrays: QpArrays, config: QpConfig, adjoint: QpAdjoint
) -> None:
    """Record the backward function of one batch of solves."""

    def backward() -> None:
        wp.launch(
            _envelope_kernel,
            dim=wrench_matrix.shape,
            inputs=[arrays.force, arrays.dual, arrays.value.grad],
            outputs=[wrench_matrix.grad],
            device=wrench_matrix.device,
            record_tape=False,
        )
        if adjoint == QpAdjoint.IMPLICIT:
            wp.launch(
                _implicit_kernel,
                dim=wrench_matrix.shape[0],
                inputs=[
                    config.constants(),
                    wrench_matrix,
                    arrays.force,
                    arrays.dual,
                    arrays.force.grad,
                    arrays.dual.grad,
                ],
                outputs=[wrench_matrix.grad],
                device=wrench_matrix.device,
                record_tape=False,
            )

    tape.record_func(backward, arrays=[wrench_matrix, arrays.value, arrays.force, arrays.dual])
