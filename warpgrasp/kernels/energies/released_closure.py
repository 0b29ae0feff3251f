"""The force-closure energy as the released program of GraspQP computes it (Zurbrügg et al. 2025).

Its friction pyramid has tangents that are not of unit length, so that the friction depends on the direction of the normal:

    b = (1, 1, 1) / sqrt 3,  b_y less by 2 where b.n > 0.9,   t_1 = n x b,   t_2 = n x t_1
    e = (+-mu t + sqrt(1 - mu^2) n) / 4                        for the outward normal n

The value that counts is ``V = 1/2 |W x*|^2`` without the ridge of the program that x* solves. x* moves with W, and the released
program differentiates it: with the free columns F strictly inside the bounds and ``l = W x*``,

    dV/dw_i = (l + h) x_i - [i in F] l (w_i.h / eps - x_i),   h = (I + 1/eps sum_F w w^T)^-1 sum_F x_i w_i .
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.contact import Contacts
from warpgrasp.kernels.energies.force_closure import factor_torque_gradient
from warpgrasp.kernels.energies.singular_values import (
    SingularValueFactor,
    gram_matrix,
    mat66d,
    singular_value_factor,
)
from warpgrasp.kernels.energies.wrench import GraspedObjects, contact_wrench
from warpgrasp.kernels.qp.dual_newton import QpConstants, solve_dual_newton, solve_positive_definite
from warpgrasp.kernels.spatial import vec6

__all__ = ["released_closure_kernel"]

wp.set_module_options({"enable_backward": False})

_vec6d = wp.types.vector(length=6, dtype=wp.float64)
_EDGES = wp.constant(4)
_ROOT_THIRD = wp.constant(0.57735027)


@wp.func
def _edge(normal: wp.vec3, friction: float, j: int) -> wp.vec3:
    """Edge ``j`` of the pyramid around an outward normal."""
    b = wp.vec3(_ROOT_THIRD, _ROOT_THIRD, _ROOT_THIRD)
    if wp.dot(b, normal) > 0.9:
        b = wp.vec3(_ROOT_THIRD, _ROOT_THIRD - 2.0, _ROOT_THIRD)
    tangent = wp.cross(normal, b)
    if j % 2 == 1:
        tangent = wp.cross(normal, tangent)
    sign = wp.where(j < 2, 1.0, -1.0)
    return (tangent * (sign * friction) + normal * wp.sqrt(1.0 - friction * friction)) * 0.25


@wp.func
def _force_slope(
    wrench_matrix: wp.array2d(dtype=vec6), force: wp.array2d(dtype=wp.float32), grasp: int, qp: QpConstants
) -> _vec6d:
    """How the residual wrench answers to the ridge, ``h``."""
    hessian = mat66d()
    right_hand_side = _vec6d()
    for i in range(wrench_matrix.shape[1]):
        x = force[grasp, i]
        if x > qp.lower and x < qp.upper:
            w = _vec6d(wrench_matrix[grasp, i])
            hessian += wp.outer(w, w)
            right_hand_side += w * wp.float64(x)
    hessian = hessian * (wp.float64(1.0) / wp.float64(qp.ridge))
    for j in range(6):
        hessian[j, j] = hessian[j, j] + wp.float64(1.0)
    return solve_positive_definite(hessian, right_hand_side)


@wp.kernel
def released_closure_kernel(
    friction: float,
    torque_weight: float,
    gain: float,
    offset: float,
    decay: float,
    factor_form: int,
    qp: QpConstants,
    objects: GraspedObjects,
    contacts: Contacts,
    # outputs
    dual: wp.array(dtype=vec6),  # [B] warm start and solution
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, 4 C] scratch
    force: wp.array2d(dtype=wp.float32),  # [B, 4 C] x*
    energy: wp.array(dtype=wp.float32),  # [B]
    position_gradient: wp.array2d(dtype=wp.vec3),  # [B, C]
):
    """Energy ``g (V + e0) exp(-v S)`` and its derivatives by the contact positions."""
    grasp = wp.tid()
    center = objects.center_of_mass[objects.index[grasp]]
    contact_count = contacts.index.shape[1]
    for contact in range(contact_count):
        for j in range(_EDGES):
            edge = _edge(contacts.object_normal[grasp, contact], friction, j)
            wrench_matrix[grasp, contact * _EDGES + j] = contact_wrench(
                contacts.position[grasp, contact], edge, center, torque_weight
            )
    solution = solve_dual_newton(wrench_matrix, grasp, qp, dual[grasp], force)
    dual[grasp] = solution.dual
    value = 0.5 * wp.dot(solution.dual, solution.dual)
    factor = SingularValueFactor()
    if factor_form != 0:
        factor = singular_value_factor(gram_matrix(wrench_matrix, grasp), factor_form)
    slope = gain * wp.exp(-decay * factor.value)
    energy[grasp] = slope * (value + offset)
    shift = _force_slope(wrench_matrix, force, grasp, qp)
    residual = _vec6d(solution.dual)
    ridge = wp.float64(qp.ridge)
    for contact in range(contact_count):
        total = wp.vec3()
        for j in range(_EDGES):
            column = contact * _EDGES + j
            w = wrench_matrix[grasp, column]
            x = force[grasp, column]
            gradient = (residual + shift) * wp.float64(x)
            if x > qp.lower and x < qp.upper:
                gradient -= residual * (wp.dot(_vec6d(w), shift) / ridge - wp.float64(x))
            bent = vec6(gradient) * slope
            torque = wp.vec3(bent[3], bent[4], bent[5])
            if factor_form != 0:
                share = -decay * energy[grasp]
                torque += factor_torque_gradient(factor.gradient, w) * share
            total += wp.cross(wp.vec3(w[0], w[1], w[2]), torque)
        position_gradient[grasp, contact] = total * torque_weight
