"""Unrolled projected gradient of the force-closure QP, every iterate stored and taped. For tests of the adjoints.

The momentum is the constant ``(sqrt(L / eps) - 1) / (sqrt(L / eps) + 1)`` of strongly convex problems, so that the
iteration is a fixed, piecewise smooth map. Step, momentum and start are constants of the derivative and are computed
on the host. Two launches and three arrays of shape [grasp_count, column_count] per step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import warp as wp

from warpgrasp.kernels.qp.dual_newton import QpConfig
from warpgrasp.kernels.spatial import vec6

__all__ = ["unrolled_projected_gradient"]

wp.set_module_options({"enable_backward": True})


@wp.kernel
def _wrench_kernel(
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, E]
    force: wp.array2d(dtype=wp.float32),  # [B, E]
    # outputs
    wrench: wp.array(dtype=vec6),  # [B], zero on entry
):
    grasp, i = wp.tid()
    wp.atomic_add(wrench, grasp, wrench_matrix[grasp, i] * force[grasp, i])


@wp.kernel
def _step_kernel(
    lower: float,
    upper: float,
    ridge: float,
    step: wp.array(dtype=wp.float32),  # [B]
    momentum: wp.array(dtype=wp.float32),  # [B]
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, E]
    force: wp.array2d(dtype=wp.float32),  # [B, E]
    extrapolated: wp.array2d(dtype=wp.float32),  # [B, E]
    wrench: wp.array(dtype=vec6),  # [B], W z
    # outputs
    force_next: wp.array2d(dtype=wp.float32),  # [B, E]
    extrapolated_next: wp.array2d(dtype=wp.float32),  # [B, E]
):
    grasp, i = wp.tid()
    z = extrapolated[grasp, i]
    gradient = wp.dot(wrench_matrix[grasp, i], wrench[grasp]) + ridge * z
    x = wp.clamp(z - step[grasp] * gradient, lower, upper)
    force_next[grasp, i] = x
    extrapolated_next[grasp, i] = x + momentum[grasp] * (x - force[grasp, i])


@wp.kernel
def _value_kernel(
    ridge: float,
    force: wp.array2d(dtype=wp.float32),  # [B, E]
    wrench: wp.array(dtype=vec6),  # [B]
    # outputs
    value: wp.array(dtype=wp.float32),  # [B], zero on entry
):
    grasp, i = wp.tid()
    x = force[grasp, i]
    term = 0.5 * ridge * x * x
    if i == 0:
        term = term + 0.5 * wp.dot(wrench[grasp], wrench[grasp])
    wp.atomic_add(value, grasp, term)


def unrolled_projected_gradient(
    wrench_matrix: Any, *, config: QpConfig, iteration_count: int, dual_start: Any = None
) -> tuple[Any, Any, Any]:
    """Take ``iteration_count`` projected-gradient steps, recorded on the active ``wp.Tape``.

    Args:
        wrench_matrix: vec6, shape [grasp_count, column_count].
        config: Bounds and ridge.
        iteration_count: Number of steps; ``20 sqrt(lambda_max / eps)``, about 2000, reach float32 accuracy.
        dual_start: Start ``x = clip(-W^T l / eps)``, vec6, shape [grasp_count]; ``None`` starts at ``lower``.

    Returns:
        force [grasp_count, column_count], ``W x`` [grasp_count] (vec6) and value [grasp_count].
    """
    device = wrench_matrix.device
    options = {"device": device, "requires_grad": wrench_matrix.requires_grad}
    shape = wrench_matrix.shape
    columns = wrench_matrix.numpy().astype(np.float64)
    curvature = np.linalg.norm(columns, ord=2, axis=(1, 2)) ** 2 + config.ridge
    ratio = np.sqrt(curvature / config.ridge)
    step = wp.array((1.0 / curvature).astype(np.float32), dtype=wp.float32, device=device)
    momentum = wp.array(((ratio - 1.0) / (ratio + 1.0)).astype(np.float32), dtype=wp.float32, device=device)
    dual = np.zeros((shape[0], 6)) if dual_start is None else dual_start.numpy().astype(np.float64)
    start = np.clip(-np.einsum("bij,bj->bi", columns, dual) / config.ridge, config.lower, config.upper)
    force = wp.array(start.astype(np.float32), dtype=wp.float32, **options)
    extrapolated = force
    for _iteration in range(iteration_count):
        wrench = wp.zeros(shape[0], dtype=vec6, **options)
        force_next = wp.empty(shape, dtype=wp.float32, **options)
        extrapolated_next = wp.empty(shape, dtype=wp.float32, **options)
        wp.launch(
            _wrench_kernel, dim=shape, inputs=[wrench_matrix, extrapolated], outputs=[wrench], device=device
        )
        wp.launch(
            _step_kernel,
            dim=shape,
            inputs=[
                config.lower,
                config.upper,
                config.ridge,
                step,
                momentum,
                wrench_matrix,
                force,
                extrapolated,
                wrench,
            ],
            outputs=[force_next, extrapolated_next],
            device=device,
        )
        force, extrapolated = force_next, extrapolated_next
    wrench = wp.zeros(shape[0], dtype=vec6, **options)
    value = wp.zeros(shape[0], dtype=wp.float32, **options)
    wp.launch(_wrench_kernel, dim=shape, inputs=[wrench_matrix, force], outputs=[wrench], device=device)
    wp.launch(_value_kernel, dim=shape, inputs=[config.ridge, force, wrench], outputs=[value], device=device)
    return force, wrench, value
