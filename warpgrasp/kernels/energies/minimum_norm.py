"""The shortest wrench that weights of a fixed sum can make: the point of a polytope that is nearest to the origin.

    V = 1/2 |W a*|^2,   a* = argmin |W a|  subject to  a >= 0,  sum a = N

This is condition (ii) of Zurbrügg et al. 2025 (Table 2), and, with another N, the quadratic program of BODex without a target
wrench (Chen et al. 2025). Solved by Wolfe's algorithm (Wolfe 1976), which is exact after finitely many steps: the corral holds
at most seven columns, whose affine hull's point nearest to the origin is a 7 x 7 solve. float64, as the weights of nearly
dependent columns cancel. The envelope theorem gives ``dV/dW = (W a*) a*^T``.
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.contact import Contacts
from warpgrasp.kernels.energies.force_closure import contact_position_gradient, force_closure_energy
from warpgrasp.kernels.energies.singular_values import SingularValueFactor, gram_matrix, singular_value_factor
from warpgrasp.kernels.energies.wrench import GraspedObjects, write_contact_wrenches
from warpgrasp.kernels.spatial import vec6

__all__ = ["ClosureConstants", "minimum_norm_kernel"]

wp.set_module_options({"enable_backward": False})

_vec6d = wp.types.vector(length=6, dtype=wp.float64)
_vec7d = wp.types.vector(length=7, dtype=wp.float64)
_vec7i = wp.types.vector(length=7, dtype=wp.int32)
_mat77d = wp.types.matrix(shape=(7, 7), dtype=wp.float64)

_ZERO = wp.constant(wp.float64(0.0))
_ONE = wp.constant(wp.float64(1.0))
_PIVOT = wp.constant(wp.float64(1.0e-14))
_TOLERANCE = wp.constant(wp.float64(1.0e-9))  # of the largest squared column
_LEAST_WEIGHT = wp.constant(wp.float64(1.0e-12))
_MAJOR_LIMIT = wp.constant(100)
_MINOR_LIMIT = wp.constant(8)


@wp.struct
class ClosureConstants:
    """Constants of ``g (V + e0) exp(-v S)`` over a friction pyramid."""

    edge_direction: wp.array(dtype=wp.vec2)  #: [k]
    friction: float
    torque_weight: float  #: 1/m
    gain: float
    offset: float
    decay: float
    factor_form: int
    total: float  #: N, the sum of the weights


@wp.struct
class _Corral:
    """Columns whose convex hull holds the nearest point so far, and their weights."""

    count: int
    index: _vec7i
    weight: _vec7d
    point: _vec6d


@wp.func
def _affine_weights(wrench_matrix: wp.array2d(dtype=vec6), grasp: int, corral: _Corral) -> _vec7d:
    """Weights of sum 1 of the point of the corral's affine hull that is nearest to the origin."""
    size = int(7)
    a = _mat77d()
    for i in range(size):
        for j in range(i + 1):
            value = _ZERO
            if i < corral.count and j < corral.count:
                wi = _vec6d(wrench_matrix[grasp, corral.index[i]])
                wj = _vec6d(wrench_matrix[grasp, corral.index[j]])
                value = _ONE + wp.dot(wi, wj)
            elif i == j:
                value = _ONE
            a[i, j] = value
    # Cholesky in place, then both triangular solves with a right-hand side of ones
    x = _vec7d()
    for j in range(size):
        for k in range(j):
            a[j, j] = a[j, j] - a[j, k] * a[j, k]
        a[j, j] = wp.sqrt(wp.max(a[j, j], _PIVOT))
        for i in range(j + 1, size):
            for k in range(j):
                a[i, j] = a[i, j] - a[i, k] * a[j, k]
            a[i, j] = a[i, j] / a[j, j]
    for i in range(size):
        right = _ZERO
        if i < corral.count:
            right = _ONE
        for k in range(i):
            right = right - a[i, k] * x[k]
        x[i] = right / a[i, i]
    total = _ZERO
    for r in range(size):
        i = size - 1 - r
        right = x[i]
        for k in range(i + 1, size):
            right = right - a[k, i] * x[k]
        x[i] = right / a[i, i]
        total = total + x[i]
    return x / total


@wp.func
def _shrink(wrench_matrix: wp.array2d(dtype=vec6), grasp: int, corral: _Corral) -> _Corral:
    """Minor cycles: move to the affine hull's nearest point, leaving columns whose weight would turn negative."""
    c = corral
    for _cycle in range(_MINOR_LIMIT):
        wanted = _affine_weights(wrench_matrix, grasp, c)
        share = _ONE
        for i in range(c.count):
            if wanted[i] < _LEAST_WEIGHT:
                share = wp.min(share, c.weight[i] / wp.max(c.weight[i] - wanted[i], _PIVOT))
        kept = int(0)
        count = c.count
        for i in range(count):
            weight = c.weight[i] + share * (wanted[i] - c.weight[i])
            if weight > _LEAST_WEIGHT:
                c.weight[kept] = weight
                c.index[kept] = c.index[i]
                kept += 1
        c.count = kept
        if share >= _ONE:
            break
    c.point = _vec6d()
    for i in range(c.count):
        c.point = c.point + _vec6d(wrench_matrix[grasp, c.index[i]]) * c.weight[i]
    return c


@wp.func
def _minimum_norm(wrench_matrix: wp.array2d(dtype=vec6), grasp: int) -> _Corral:
    """Nearest point of the convex hull of the columns to the origin."""
    c = _Corral()
    largest = _ZERO
    least = wp.float64(1.0e300)
    for i in range(wrench_matrix.shape[1]):
        w = _vec6d(wrench_matrix[grasp, i])
        square = wp.dot(w, w)
        largest = wp.max(largest, square)
        if square < least:
            least = square
            c.index[0] = i
            c.point = w
    c.count = 1
    c.weight[0] = _ONE
    for _major in range(_MAJOR_LIMIT):
        lowest = wp.float64(1.0e300)
        chosen = int(0)
        for i in range(wrench_matrix.shape[1]):
            height = wp.dot(c.point, _vec6d(wrench_matrix[grasp, i]))
            if height < lowest:
                lowest = height
                chosen = i
        known = int(0)
        for i in range(c.count):
            if c.index[i] == chosen:
                known = 1
        if lowest > wp.dot(c.point, c.point) - _TOLERANCE * largest or known == 1 or c.count == 7:
            break
        c.index[c.count] = chosen
        c.weight[c.count] = _ZERO
        c.count = c.count + 1
        c = _shrink(wrench_matrix, grasp, c)
    return c


@wp.kernel
def minimum_norm_kernel(
    constants: ClosureConstants,
    objects: GraspedObjects,
    contacts: Contacts,
    # outputs
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, C k] scratch
    force: wp.array2d(dtype=wp.float32),  # [B, C k] a*
    energy: wp.array(dtype=wp.float32),  # [B]
    position_gradient: wp.array2d(dtype=wp.vec3),  # [B, C]
):
    """Energy ``g (V + e0) exp(-v S)`` of the shortest wrench, and its derivatives by the contact positions."""
    grasp = wp.tid()
    center = objects.center_of_mass[objects.index[grasp]]
    edge_count = constants.edge_direction.shape[0]
    contact_count = contacts.index.shape[1]
    for contact in range(contact_count):
        write_contact_wrenches(
            contacts.position[grasp, contact],
            contacts.object_normal[grasp, contact],
            center,
            constants.friction,
            constants.torque_weight,
            constants.edge_direction,
            grasp,
            contact,
            wrench_matrix,
        )
        for j in range(edge_count):
            force[grasp, contact * edge_count + j] = 0.0
    corral = _minimum_norm(wrench_matrix, grasp)
    for i in range(corral.count):
        force[grasp, corral.index[i]] = constants.total * wp.float32(corral.weight[i])
    wrench = vec6(corral.point) * constants.total
    factor = SingularValueFactor()
    if constants.factor_form != 0:
        factor = singular_value_factor(gram_matrix(wrench_matrix, grasp), constants.factor_form)
    half = 0.5 * wp.dot(wrench, wrench)
    value = force_closure_energy(half, factor.value, constants.gain, constants.offset, constants.decay)
    energy[grasp] = value
    slope = constants.gain * wp.exp(-constants.decay * factor.value)
    for contact in range(contact_count):
        position_gradient[grasp, contact] = contact_position_gradient(
            wrench_matrix,
            force,
            grasp,
            contact,
            edge_count,
            constants.torque_weight,
            wrench,
            slope,
            factor.gradient,
            -constants.decay * value,
        )
