"""The force-closure energy ``E_fc = g (V + e0) exp(-v S(W))`` and its gradient in the contact positions.

    dE_fc/dW  = g exp(-v S) (W x*) x*^T - v E_fc M W          (envelope theorem; dS/dW = M W)
    dE_fc/dp_i = sum_j s e_ij x (dE_fc/dw_ij)_torque          (normals frozen)

Derived in ``docs/concepts/force_closure.md``; V and x* come from ``qp``, S and M from ``singular_values``.
Functions for fused kernels.
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.energies.singular_values import mat66d
from warpgrasp.kernels.spatial import vec6

__all__ = ["contact_position_gradient", "factor_torque_gradient", "force_closure_energy"]

wp.set_module_options({"enable_backward": False})


@wp.func
def force_closure_energy(value: float, factor: float, gain: float, offset: float, decay: float) -> float:
    """``E_fc = g (V + e0) exp(-v S)`` with ``g`` = gain, ``e0`` = offset, ``v`` = decay (Zurbrügg et al. 2025, Eq. 5)."""
    return gain * (value + offset) * wp.exp(-decay * factor)


@wp.func
def contact_position_gradient(
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, C k]
    force: wp.array2d(dtype=wp.float32),  # [B, C k]
    grasp: int,
    contact: int,
    edge_count: int,
    torque_weight: float,
    dual: vec6,
    value_gradient: float,
    factor_gradient: mat66d,
    factor_scale: float,
) -> wp.vec3:
    """Gradient of a force-closure energy with respect to one contact position, normals frozen.

    With ``dE/dW = a (W x*) x*^T + b M W`` (a = ``value_gradient`` = g exp(-v S), b = ``factor_scale`` = -v
    E_fc, M = ``factor_gradient``, ``dS/dW = M W``): ``dE/dp_i = sum_j s e_ij x (dE/dw_ij)_torque``.
    """
    y_torque = wp.vec3(dual[3], dual[4], dual[5]) * value_gradient
    total = wp.vec3()
    for j in range(edge_count):
        column = contact * edge_count + j
        w = wrench_matrix[grasp, column]
        edge = wp.vec3(w[0], w[1], w[2])
        torque = y_torque * force[grasp, column]
        if factor_scale != 0.0:
            torque += factor_torque_gradient(factor_gradient, w) * factor_scale
        total += wp.cross(edge, torque)
    return total * torque_weight


@wp.func
def factor_torque_gradient(factor_gradient: mat66d, w: vec6) -> wp.vec3:
    """Torque rows of ``dS/dw = M w``, in float64 because M holds entries up to 1e8 that cancel."""
    torque = wp.vec3()
    for r in range(3):
        total = wp.float64(0.0)
        for c in range(6):
            total = total + factor_gradient[r + 3, c] * wp.float64(w[c])
        torque[r] = wp.float32(total)
    return torque
