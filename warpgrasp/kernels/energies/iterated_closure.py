"""Force closure whose inner problem is iterated and not solved: softmax and barrier (Zurbrügg et al. 2025, Table 2).

    softmax   min_b 1/2 |s W softmax(b)|^2                                 weights of sum 1
    barrier   min_x 1/2 |s W x|^2 + sum_i [ B(x_i - l) + B(u - x_i) ]      B(h) = -h below 0, -log(h + 1e-6) / tau above

A fixed number of damped Gauss-Newton steps of a fixed length is taken from the same start in every evaluation, and the
gradient flows through the last of them. Both make these ablations what they are: solved to the end, the softmax would be the
nearest point of a polytope (``minimum_norm``). One step of ``E`` weights costs a 6 x 6 solve by the matrix inversion lemma,

    softmax   b <- b - t J^T (J J^T + d I)^-1 r,                           J_i = s a_i (w_i - W a),  r = s W a
    barrier   x <- x - t (p - D^-1 s W^T (I + s^2 W D^-1 W^T)^-1 s W p),   p = D^-1 g,  D = B'' + d

float64, as the curvature of a barrier spans many orders. Sums over columns are kernels of one thread per column, and each step
has arrays of its own: both are what a ``wp.Tape`` asks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import warp as wp

from warpgrasp.kernels.spatial import vec6

__all__ = ["Allocate", "ClosureIterations"]

Allocate = Callable[[str, Any, Any], wp.array]
"""Array of a name, shape and type, with a gradient."""

wp.set_module_options({"enable_backward": True})

_vec6d = wp.types.vector(length=6, dtype=wp.float64)
_mat66 = wp.types.matrix(shape=(6, 6), dtype=wp.float64)

_SCALE = wp.constant(wp.float64(7.07))  # s
_DAMPING = wp.constant(wp.float64(1.0e-3))  # d
_SHIFT = wp.constant(wp.float64(1.0e-6))


@wp.func
def _solve(a: _mat66, b: _vec6d) -> _vec6d:
    """``a^-1 b`` of a symmetric positive definite matrix by Cholesky; its adjoint is another solve."""
    low = a
    x = b
    size = int(6)
    for j in range(size):
        for k in range(j):
            low[j, j] = low[j, j] - low[j, k] * low[j, k]
        low[j, j] = wp.sqrt(wp.max(low[j, j], wp.float64(1.0e-20)))
        for i in range(j + 1, size):
            for k in range(j):
                low[i, j] = low[i, j] - low[i, k] * low[j, k]
            low[i, j] = low[i, j] / low[j, j]
    for i in range(size):
        for k in range(i):
            x[i] = x[i] - low[i, k] * x[k]
        x[i] = x[i] / low[i, i]
    for r in range(size):
        i = size - 1 - r
        for k in range(i + 1, size):
            x[i] = x[i] - low[k, i] * x[k]
        x[i] = x[i] / low[i, i]
    return x


@wp.func_grad(_solve)
def _solve_adjoint(a: _mat66, b: _vec6d, adj_ret: _vec6d):
    y = _solve(a, adj_ret)
    wp.adjoint[b] += y
    wp.adjoint[a] += wp.outer(-y, _solve(a, b))


@wp.kernel
def _exponential_kernel(
    logit: wp.array2d(dtype=wp.float64),  # [B, E]
    # outputs
    exponential: wp.array2d(dtype=wp.float64),  # [B, E]
    total: wp.array(dtype=wp.float64),  # [B]
):
    grasp, i = wp.tid()
    value = wp.exp(logit[grasp, i])
    exponential[grasp, i] = value
    wp.atomic_add(total, grasp, value)


@wp.kernel
def _share_kernel(
    exponential: wp.array2d(dtype=wp.float64),  # [B, E]
    total: wp.array(dtype=wp.float64),  # [B]
    # outputs
    weight: wp.array2d(dtype=wp.float64),  # [B, E]
):
    grasp, i = wp.tid()
    weight[grasp, i] = exponential[grasp, i] / total[grasp]


@wp.kernel
def _wrench_kernel(
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, E]
    weight: wp.array2d(dtype=wp.float64),  # [B, E]
    # outputs
    wrench: wp.array(dtype=_vec6d),  # [B]
):
    grasp, i = wp.tid()
    wp.atomic_add(wrench, grasp, _vec6d(wrench_matrix[grasp, i]) * weight[grasp, i])


@wp.kernel
def _softmax_normal_kernel(
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, E]
    weight: wp.array2d(dtype=wp.float64),  # [B, E]
    wrench: wp.array(dtype=_vec6d),  # [B]
    # outputs
    normal_matrix: wp.array(dtype=_mat66),  # [B] J J^T
):
    grasp, i = wp.tid()
    column = (_vec6d(wrench_matrix[grasp, i]) - wrench[grasp]) * (_SCALE * weight[grasp, i])
    wp.atomic_add(normal_matrix, grasp, wp.outer(column, column))


@wp.kernel
def _softmax_step_kernel(
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, E]
    logit: wp.array2d(dtype=wp.float64),  # [B, E]
    weight: wp.array2d(dtype=wp.float64),  # [B, E]
    wrench: wp.array(dtype=_vec6d),  # [B]
    normal_matrix: wp.array(dtype=_mat66),  # [B]
    length: wp.float64,
    # outputs
    next_logit: wp.array2d(dtype=wp.float64),  # [B, E]
):
    grasp, i = wp.tid()
    damped = normal_matrix[grasp] + wp.identity(n=6, dtype=wp.float64) * _DAMPING
    z = _solve(damped, wrench[grasp] * _SCALE)
    column = (_vec6d(wrench_matrix[grasp, i]) - wrench[grasp]) * (_SCALE * weight[grasp, i])
    next_logit[grasp, i] = logit[grasp, i] - length * wp.dot(column, z)


@wp.func
def _barrier_slope(room: wp.float64, sharpness: wp.float64) -> wp.float64:
    """Derivative of B."""
    if room < wp.float64(0.0):
        return wp.float64(-1.0)
    return wp.float64(-1.0) / (sharpness * (room + _SHIFT))


@wp.func
def _barrier_curvature(room: wp.float64, sharpness: wp.float64) -> wp.float64:
    """Second derivative of B, damped."""
    if room < wp.float64(0.0):
        return _DAMPING
    return wp.float64(1.0) / (sharpness * (room + _SHIFT) * (room + _SHIFT)) + _DAMPING


@wp.kernel
def _barrier_normal_kernel(
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, E]
    weight: wp.array2d(dtype=wp.float64),  # [B, E]
    wrench: wp.array(dtype=_vec6d),  # [B]
    lower: wp.float64,
    upper: wp.float64,
    sharpness: wp.float64,
    # outputs
    scaled_slope: wp.array2d(dtype=wp.float64),  # [B, E] p
    curvature: wp.array2d(dtype=wp.float64),  # [B, E] D
    right_hand_side: wp.array(dtype=_vec6d),  # [B] s W p
    normal_matrix: wp.array(dtype=_mat66),  # [B] s^2 W D^-1 W^T
):
    grasp, i = wp.tid()
    w = _vec6d(wrench_matrix[grasp, i]) * _SCALE
    x = weight[grasp, i]
    slope = wp.dot(w, wrench[grasp]) * _SCALE
    slope += _barrier_slope(x - lower, sharpness) - _barrier_slope(upper - x, sharpness)
    bend = _barrier_curvature(x - lower, sharpness) + _barrier_curvature(upper - x, sharpness)
    p = slope / bend
    scaled_slope[grasp, i] = p
    curvature[grasp, i] = bend
    wp.atomic_add(right_hand_side, grasp, w * p)
    wp.atomic_add(normal_matrix, grasp, wp.outer(w, w) / bend)


@wp.kernel
def _barrier_step_kernel(
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, E]
    weight: wp.array2d(dtype=wp.float64),  # [B, E]
    scaled_slope: wp.array2d(dtype=wp.float64),  # [B, E]
    curvature: wp.array2d(dtype=wp.float64),  # [B, E]
    right_hand_side: wp.array(dtype=_vec6d),  # [B]
    normal_matrix: wp.array(dtype=_mat66),  # [B]
    length: wp.float64,
    # outputs
    next_weight: wp.array2d(dtype=wp.float64),  # [B, E]
):
    grasp, i = wp.tid()
    z = _solve(normal_matrix[grasp] + wp.identity(n=6, dtype=wp.float64), right_hand_side[grasp])
    correction = wp.dot(_vec6d(wrench_matrix[grasp, i]), z) * _SCALE / curvature[grasp, i]
    next_weight[grasp, i] = weight[grasp, i] - length * (scaled_slope[grasp, i] - correction)


@wp.kernel
def _half_square_kernel(
    wrench: wp.array(dtype=_vec6d),  # [B]
    total: wp.float64,
    # outputs
    value: wp.array(dtype=wp.float32),  # [B]
):
    grasp = wp.tid()
    square = wp.dot(wrench[grasp], wrench[grasp])
    value[grasp] = wp.float32(wp.float64(0.5) * total * total * square)


class ClosureIterations:
    """Weights of one wrench matrix, step after step.

    Args:
        wrench_matrix: vec6, shape [B, E].
        allocate: Makes, or finds, the array of a name, shape and type, with a gradient; it is set to zero here.
        length: Length t of the steps.
    """

    def __init__(self, wrench_matrix: wp.array, allocate: Allocate, *, length: float) -> None:
        self._wrench_matrix = wrench_matrix
        self._allocate = allocate
        self._length = length
        self._name = ""
        self._record = True

    def start(self, value: float) -> wp.array:
        """Where the iterations start [B, E], the same number everywhere."""
        weight = self._new("start", self._wrench_matrix.shape, wp.float64)
        weight.fill_(value)
        return weight

    def softmax(self, logit: wp.array) -> wp.array:
        """Weights [B, E] of sum 1."""
        shape = logit.shape
        exponential, weight = (self._new(name, shape, wp.float64) for name in ("exponential", "weight"))
        total = self._new("total", shape[0], wp.float64)
        self._launch(_exponential_kernel, shape, [logit], [exponential, total])
        self._launch(_share_kernel, shape, [exponential, total], [weight])
        return weight

    def softmax_step(self, logit: wp.array, *, step: int, record: bool) -> wp.array:
        """Logits [B, E] after step number ``step``."""
        self._name, self._record = f"{step}.", record
        columns, shape = self._wrench_matrix, logit.shape
        weight = self.softmax(logit)
        wrench = self._wrench(weight)
        normal_matrix = self._new("normal_matrix", shape[0], _mat66)
        moved = self._new("moved", shape, wp.float64)
        self._launch(_softmax_normal_kernel, shape, [columns, weight, wrench], [normal_matrix])
        inputs = [columns, logit, weight, wrench, normal_matrix, self._length]
        self._launch(_softmax_step_kernel, shape, inputs, [moved])
        self._name, self._record = "", True
        return moved

    def barrier_step(
        self, weight: wp.array, bounds: tuple[float, float], sharpness: float, *, step: int, record: bool
    ) -> wp.array:
        """Weights [B, E] after step number ``step``."""
        self._name, self._record = f"{step}.", record
        columns, shape = self._wrench_matrix, weight.shape
        wrench = self._wrench(weight)
        slope, curvature, moved = (
            self._new(name, shape, wp.float64) for name in ("slope", "curvature", "moved")
        )
        right_hand_side = self._new("right_hand_side", shape[0], _vec6d)
        normal_matrix = self._new("normal_matrix", shape[0], _mat66)
        system = [slope, curvature, right_hand_side, normal_matrix]
        self._launch(_barrier_normal_kernel, shape, [columns, weight, wrench, *bounds, sharpness], system)
        self._launch(_barrier_step_kernel, shape, [columns, weight, *system, self._length], [moved])
        self._name, self._record = "", True
        return moved

    def value(self, weight: wp.array, *, total: float) -> wp.array:
        """``1/2 |total W x|^2`` of weights x [B, E], shape [B]."""
        value = self._new("value", weight.shape[0], wp.float32)
        self._launch(_half_square_kernel, value.shape, [self._wrench(weight), total], [value])
        return value

    def _wrench(self, weight: wp.array) -> wp.array:
        """``W x`` of every grasp, vec6, shape [B]."""
        wrench = self._new("wrench", weight.shape[0], _vec6d)
        self._launch(_wrench_kernel, weight.shape, [self._wrench_matrix, weight], [wrench])
        return wrench

    def _new(self, name: str, shape: Any, dtype: Any) -> wp.array:
        array = self._allocate(self._name + name, shape, dtype)
        array.zero_()
        return array

    def _launch(self, kernel: Any, dim: Any, inputs: list[Any], outputs: list[wp.array]) -> None:
        device = self._wrench_matrix.device
        wp.launch(kernel, dim=dim, inputs=inputs, outputs=outputs, device=device, record_tape=self._record)
