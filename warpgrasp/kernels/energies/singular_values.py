"""The factor S(W) of the force-closure energy, from the Gram matrix ``G = W W^T``.

    geometric mean   S = det(G + 1e-8 I)^(1/12)              dS/dW = S/6 (G + 1e-8 I)^-1 W
    sum              S = sum_j sqrt(lambda_j(G) + 1e-8)      dS/dW = (G + 1e-8 I)^(-1/2) W
    none             S = 0

The shift of 1e-8 keeps both gradients finite for rank-deficient grasps (pinch, two pads). It lies below the
float32 rounding of G, so the Gram matrix and everything derived from it is float64; the columns stay float32.
Every form returns its gradient as a 6x6 matrix M with ``dS/dW = M W``, so that callers treat all forms alike.
"""

from __future__ import annotations

import enum

import warp as wp

from warpgrasp.kernels.spatial import vec6

__all__ = [
    "SingularValueFactor",
    "SingularValueForm",
    "geometric_mean_singular_value",
    "gram_matrix",
    "largest_eigenvalue_bound",
    "mat66d",
    "singular_value_factor",
    "singular_value_sum",
    "symmetric_eigenvalues",
]

wp.set_module_options({"enable_backward": False})

mat66d = wp.types.matrix(shape=(6, 6), dtype=wp.float64)
"""6x6 float64 matrix: Gram matrices and what is derived from them."""
_vec6d = wp.types.vector(length=6, dtype=wp.float64)

_SHIFT = wp.constant(wp.float64(1.0e-8))
_ZERO = wp.constant(wp.float64(0.0))
_HALF = wp.constant(wp.float64(0.5))
_ONE = wp.constant(wp.float64(1.0))
_PIVOT_FLOOR = wp.constant(wp.float64(1.0e-30))


class SingularValueForm(enum.IntEnum):
    """Form of S(W) in ``E_fc = g (V + e0) exp(-v S)``."""

    NONE = 0
    GEOMETRIC_MEAN = 1
    SUM = 2


_FORM_GEOMETRIC_MEAN = wp.constant(int(SingularValueForm.GEOMETRIC_MEAN))
_FORM_SUM = wp.constant(int(SingularValueForm.SUM))


@wp.struct
class SingularValueFactor:
    """Value of S(W) and the matrix M of its gradient, ``dS/dW = M W``."""

    value: wp.float32
    gradient: mat66d


@wp.func
def gram_matrix(wrench_matrix: wp.array2d(dtype=vec6), grasp: int) -> mat66d:
    """Gram matrix ``W W^T`` of one grasp, summed in float64."""
    gram = mat66d()
    for i in range(wrench_matrix.shape[1]):
        w = _vec6d(wrench_matrix[grasp, i])
        gram += wp.outer(w, w)
    return gram


@wp.func
def largest_eigenvalue_bound(gram: mat66d) -> wp.float32:
    """Upper bound of the largest eigenvalue, ``tr(G^16)^(1/16)``: between lambda_max and 1.12 lambda_max."""
    scale = wp.trace(gram)
    if not (scale > _PIVOT_FLOOR):
        return 0.0
    power = gram * (_ONE / scale)
    power = power * power
    power = power * power
    power = power * power
    trace = wp.ddot(power, power)
    root = wp.sqrt(wp.sqrt(wp.sqrt(wp.sqrt(trace))))
    return wp.float32(scale * root)


@wp.func
def geometric_mean_singular_value(gram: mat66d) -> SingularValueFactor:
    """Geometric mean ``S = det(G + 1e-8 I)^(1/12)`` and ``M = S/6 (G + 1e-8 I)^-1`` by Cholesky."""
    a = gram
    for j in range(6):
        a[j, j] = a[j, j] + _SHIFT
    log_determinant = _ZERO
    # a becomes L below the diagonal and 1/L_jj on it
    for j in range(6):
        for k in range(j):
            a[j, j] = a[j, j] - a[j, k] * a[j, k]
        pivot = wp.max(a[j, j], _PIVOT_FLOOR)
        log_determinant = log_determinant + wp.log(pivot)
        reciprocal = _ONE / wp.sqrt(pivot)
        a[j, j] = reciprocal
        for i in range(j + 1, 6):
            for k in range(j):
                a[i, j] = a[i, j] - a[i, k] * a[j, k]
            a[i, j] = a[i, j] * reciprocal
    value = wp.exp(log_determinant / wp.float64(12.0))
    # L^-1 in place
    for j in range(6):
        for i in range(j + 1, 6):
            total = a[i, j] * a[j, j]
            for k in range(j + 1, i):
                total = total + a[i, k] * a[k, j]
            a[i, j] = -total * a[i, i]
    # G^-1 = L^-T L^-1
    gradient = mat66d()
    for i in range(6):
        for j in range(i + 1):
            total = _ZERO
            for k in range(i, 6):
                total = total + a[k, i] * a[k, j]
            total = total * value / wp.float64(6.0)
            gradient[i, j] = total
            gradient[j, i] = total
    factor = SingularValueFactor()
    factor.value = wp.float32(value)
    factor.gradient = gradient
    return factor


@wp.func
def symmetric_eigenvalues(matrix: mat66d):
    """Eigenvalues (diagonal) and eigenvectors (columns) of a symmetric 6x6 matrix by cyclic Jacobi."""
    a = matrix
    vectors = wp.identity(n=6, dtype=wp.float64)
    size = int(6)  # a variable: the loops must not be unrolled, 15 rotations of straight code compile slowly
    for _sweep in range(20):
        off_diagonal = wp.float64(0.0)
        for i in range(size):
            for j in range(i):
                off_diagonal += a[i, j] * a[i, j]
        if off_diagonal <= wp.float64(1.0e-28) * wp.ddot(a, a):
            break
        for p in range(size - 1):
            for q in range(p + 1, size):
                if a[p, q] != _ZERO:
                    theta = (a[q, q] - a[p, p]) * _HALF / a[p, q]
                    t = wp.where(theta >= _ZERO, _ONE, -_ONE) / (
                        wp.abs(theta) + wp.sqrt(theta * theta + _ONE)
                    )
                    c = _ONE / wp.sqrt(t * t + _ONE)
                    s = t * c
                    for k in range(size):
                        row_p = a[k, p]
                        row_q = a[k, q]
                        a[k, p] = c * row_p - s * row_q
                        a[k, q] = s * row_p + c * row_q
                    for k in range(size):
                        column_p = a[p, k]
                        column_q = a[q, k]
                        a[p, k] = c * column_p - s * column_q
                        a[q, k] = s * column_p + c * column_q
                        vector_p = vectors[k, p]
                        vector_q = vectors[k, q]
                        vectors[k, p] = c * vector_p - s * vector_q
                        vectors[k, q] = s * vector_p + c * vector_q
    return a, vectors


@wp.func
def singular_value_sum(gram: mat66d) -> SingularValueFactor:
    """Sum ``S = sum_j sqrt(lambda_j + 1e-8)`` and ``M = sum_j u_j u_j^T / sqrt(lambda_j + 1e-8)``."""
    eigenvalues, vectors = symmetric_eigenvalues(gram)
    value = wp.float64(0.0)
    scaled = mat66d()
    size = int(6)
    for j in range(size):
        root = wp.sqrt(wp.max(eigenvalues[j, j], _ZERO) + _SHIFT)
        value += root
        for i in range(size):
            scaled[i, j] = vectors[i, j] / root
    factor = SingularValueFactor()
    factor.value = wp.float32(value)
    factor.gradient = scaled * wp.transpose(vectors)
    return factor


@wp.func
def singular_value_factor(gram: mat66d, form: int) -> SingularValueFactor:
    """S(W) and its gradient matrix in the form ``form`` (:class:`SingularValueForm`)."""
    if form == _FORM_GEOMETRIC_MEAN:
        return geometric_mean_singular_value(gram)
    if form == _FORM_SUM:
        return singular_value_sum(gram)
    return SingularValueFactor()
