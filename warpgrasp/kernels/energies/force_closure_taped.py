"""The force-closure energy on the ``wp.Tape``: wrench matrix, QP value and singular-value factor, each with its adjoint.

``E_fc = g (V + e0) exp(-v S)``. V carries the adjoint chosen in ``qp_adjoint`` (envelope by default); S carries
``S_bar dS/dW = S_bar M W`` (``singular_values``); the product of both is an ordinary taped kernel.
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.energies.singular_values import (
    SingularValueForm,
    gram_matrix,
    mat66d,
    singular_value_factor,
)
from warpgrasp.kernels.energies.wrench import launch_wrench_matrix
from warpgrasp.kernels.qp.adjoint import QpAdjoint, active_tape, qp_value
from warpgrasp.kernels.qp.dual_newton import QpConfig
from warpgrasp.kernels.spatial import vec6

__all__ = ["launch_closure_energy", "launch_force_closure_taped", "singular_value_taped"]

wp.set_module_options({"enable_backward": False})


@wp.kernel
def _factor(
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, E]
    form: int,
    # outputs
    value: wp.array(dtype=wp.float32),  # [B]
    gradient: wp.array(dtype=mat66d),  # [B]
):
    grasp = wp.tid()
    factor = singular_value_factor(gram_matrix(wrench_matrix, grasp), form)
    value[grasp] = factor.value
    gradient[grasp] = factor.gradient


@wp.kernel
def _factor_adjoint(
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, E]
    gradient: wp.array(dtype=mat66d),  # [B]
    value_adjoint: wp.array(dtype=wp.float32),  # [B]
    # outputs
    wrench_adjoint: wp.array2d(dtype=vec6),  # [B, E] added to
):
    grasp, column = wp.tid()
    for row in range(6):
        total = wp.float64(0.0)
        for k in range(6):
            total += gradient[grasp][row, k] * wp.float64(wrench_matrix[grasp, column][k])
        wrench_adjoint[grasp, column][row] += value_adjoint[grasp] * wp.float32(total)


def singular_value_taped(
    wrench_matrix: wp.array,
    form: SingularValueForm,
    *,
    value: wp.array | None = None,
    gradient: wp.array | None = None,
) -> wp.array:
    """S(W) of every grasp [B], recorded with its adjoint on the active tape; arrays [B] that are not given are allocated."""
    device = wrench_matrix.device
    count = wrench_matrix.shape[0]
    if value is None:
        value = wp.zeros(count, dtype=wp.float32, device=device, requires_grad=wrench_matrix.requires_grad)
    if gradient is None:
        gradient = wp.zeros(count, dtype=mat66d, device=device)
    wp.launch(
        _factor,
        dim=count,
        inputs=[wrench_matrix, int(form)],
        outputs=[value, gradient],
        device=device,
        record_tape=False,
    )

    def backward() -> None:
        wp.launch(
            _factor_adjoint,
            dim=wrench_matrix.shape,
            inputs=[wrench_matrix, gradient, value.grad],
            outputs=[wrench_matrix.grad],
            device=device,
            record_tape=False,
        )

    tape = active_tape()
    if tape is not None and wrench_matrix.requires_grad:
        tape.record_func(backward, arrays=[wrench_matrix, value])
    return value


@wp.kernel(enable_backward=True)
def _energy(
    gain: float,
    offset: float,
    decay: float,
    value: wp.array(dtype=wp.float32),  # [B]
    factor: wp.array(dtype=wp.float32),  # [B]
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
):
    grasp = wp.tid()
    wp.atomic_add(energy, grasp, gain * (value[grasp] + offset) * wp.exp(-decay * factor[grasp]))


def launch_force_closure_taped(
    contact_position: wp.array,
    object_normal: wp.array,
    center_of_mass: wp.array,
    object_index: wp.array,
    *,
    friction: float,
    edge_count: int,
    torque_weight: float,
    gain: float,
    offset: float,
    decay: float,
    factor: SingularValueForm,
    qp: QpConfig,
    adjoint: QpAdjoint = QpAdjoint.ENVELOPE,
    energy: wp.array,
) -> None:
    """Add ``E_fc`` of every grasp to ``energy`` [B]; gradients flow to ``contact_position`` [B, C], normals frozen."""
    wrench_matrix = launch_wrench_matrix(
        contact_position,
        object_normal,
        center_of_mass,
        object_index,
        friction=friction,
        edge_count=edge_count,
        torque_weight=torque_weight,
    )
    value = qp_value(wrench_matrix, config=qp, adjoint=adjoint).value
    singular = singular_value_taped(wrench_matrix, factor)
    launch_closure_energy(value, singular, gain=gain, offset=offset, decay=decay, energy=energy)


def launch_closure_energy(
    value: wp.array, factor: wp.array, *, gain: float, offset: float, decay: float, energy: wp.array
) -> None:
    """Add ``g (V + e0) exp(-v S)`` of every grasp to ``energy`` [B], from V [B] and S [B]; taped."""
    wp.launch(
        _energy,
        dim=energy.shape[0],
        inputs=[gain, offset, decay, value, factor],
        outputs=[energy],
        device=energy.device,
    )
