"""Kernels and launch function of the force-closure QP: one thread per grasp, mathematics in ``qp``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import warp as wp

from warpgrasp.kernels.qp.dual_newton import QpConfig, QpConstants, QpSolver, qp_status, solve_dual_newton
from warpgrasp.kernels.qp.projected_gradient import solve_projected_gradient
from warpgrasp.kernels.spatial import vec6

__all__ = ["QpArrays", "launch_qp"]

wp.set_module_options({"enable_backward": False})


@dataclass(frozen=True, kw_only=True)
class QpArrays:
    """Device arrays of a batch of solves."""

    force: Any
    """Edge forces ``x*``, float32, shape [grasp_count, column_count]."""
    dual: Any
    """``l = W x*``, vec6, shape [grasp_count]; the warm start of the next solve."""
    value: Any
    """V, float32, shape [grasp_count]; infinite where W is not finite."""
    residual: Any
    """Relative duality gap, float32, shape [grasp_count]; bounds the relative error of V."""
    iteration_count: Any
    """Iterations spent, int32, shape [grasp_count]."""
    status: Any
    """:class:`warpgrasp.base.status.GraspStatus`, int32, shape [grasp_count]."""
    force_previous: Any
    """Scratch of the projected gradient, float32, shape [grasp_count, column_count]; ``None`` for the Newton
    solver."""

    @classmethod
    def allocate(
        cls,
        grasp_count: int,
        column_count: int,
        *,
        config: QpConfig,
        device: Any,
        requires_grad: bool = False,
    ) -> QpArrays:
        """Allocate the arrays for one batch; the dual starts at zero (a cold start)."""
        shape = (grasp_count, column_count)
        scratch = config.solver == QpSolver.PROJECTED_GRADIENT
        return cls(
            force=wp.zeros(shape, dtype=wp.float32, device=device, requires_grad=requires_grad),
            dual=wp.zeros(grasp_count, dtype=vec6, device=device, requires_grad=requires_grad),
            value=wp.zeros(grasp_count, dtype=wp.float32, device=device, requires_grad=requires_grad),
            residual=wp.zeros(grasp_count, dtype=wp.float32, device=device),
            iteration_count=wp.zeros(grasp_count, dtype=wp.int32, device=device),
            status=wp.zeros(grasp_count, dtype=wp.int32, device=device),
            force_previous=wp.zeros(shape, dtype=wp.float32, device=device) if scratch else None,
        )


@wp.kernel
def _dual_newton_kernel(
    qp: QpConstants,
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, E]
    dual_start: wp.array(dtype=vec6),  # [B]
    # outputs
    force: wp.array2d(dtype=wp.float32),  # [B, E]
    dual: wp.array(dtype=vec6),  # [B]
    value: wp.array(dtype=wp.float32),  # [B]
    residual: wp.array(dtype=wp.float32),  # [B]
    iteration_count: wp.array(dtype=wp.int32),  # [B]
    status: wp.array(dtype=wp.int32),  # [B]
):
    grasp = wp.tid()
    solution = solve_dual_newton(wrench_matrix, grasp, qp, dual_start[grasp], force)
    dual[grasp] = solution.dual
    value[grasp] = solution.value
    residual[grasp] = solution.residual
    iteration_count[grasp] = solution.iteration_count
    status[grasp] = qp_status(solution, qp.tolerance)


@wp.kernel
def _projected_gradient_kernel(
    qp: QpConstants,
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, E]
    dual_start: wp.array(dtype=vec6),  # [B]
    # outputs
    force: wp.array2d(dtype=wp.float32),  # [B, E]
    force_previous: wp.array2d(dtype=wp.float32),  # [B, E]
    dual: wp.array(dtype=vec6),  # [B]
    value: wp.array(dtype=wp.float32),  # [B]
    residual: wp.array(dtype=wp.float32),  # [B]
    iteration_count: wp.array(dtype=wp.int32),  # [B]
    status: wp.array(dtype=wp.int32),  # [B]
):
    grasp = wp.tid()
    solution = solve_projected_gradient(
        wrench_matrix,
        grasp,
        qp,
        dual_start[grasp],
        force,
        force_previous,
    )
    dual[grasp] = solution.dual
    value[grasp] = solution.value
    residual[grasp] = solution.residual
    iteration_count[grasp] = solution.iteration_count
    status[grasp] = qp_status(solution, qp.tolerance)


def launch_qp(wrench_matrix: Any, *, config: QpConfig, arrays: QpArrays, dual_start: Any = None) -> None:
    """Solve the QP of every grasp; allocates and tapes nothing (taped: ``qp_adjoint.qp_value``).

    Args:
        wrench_matrix: vec6, shape [grasp_count, column_count].
        config: Settings; ``config.solver`` chooses the kernel.
        arrays: Outputs from :meth:`QpArrays.allocate`.
        dual_start: Warm start, vec6, shape [grasp_count]; ``None`` starts at ``arrays.dual``, the previous
            solution.
    """
    inputs = [config.constants(), wrench_matrix, arrays.dual if dual_start is None else dual_start]
    results = [arrays.dual, arrays.value, arrays.residual, arrays.iteration_count, arrays.status]
    if config.solver == QpSolver.DUAL_NEWTON:
        kernel, outputs = _dual_newton_kernel, [arrays.force, *results]
    else:
        kernel, outputs = _projected_gradient_kernel, [arrays.force, arrays.force_previous, *results]
    wp.launch(
        kernel,
        dim=wrench_matrix.shape[0],
        inputs=inputs,
        outputs=outputs,
        device=wrench_matrix.device,
        record_tape=False,
    )
