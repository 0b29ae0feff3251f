"""The fused force-closure step of the optimiser: wrench matrix, QP, singular-value factor and gradient in one kernel."""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.contact import CandidateSet, Contacts, add_point_force
from warpgrasp.kernels.energies.force_closure import contact_position_gradient, force_closure_energy
from warpgrasp.kernels.energies.singular_values import SingularValueFactor, gram_matrix, singular_value_factor
from warpgrasp.kernels.energies.wrench import GraspedObjects, contact_status, write_contact_wrenches
from warpgrasp.kernels.qp.dual_newton import (
    QpConfig,
    QpConstants,
    QpSolution,
    QpSolver,
    qp_status,
    solve_dual_newton,
)
from warpgrasp.kernels.qp.projected_gradient import solve_projected_gradient
from warpgrasp.kernels.spatial import vec6

__all__ = ["ForceClosureArrays", "ForceClosureConstants", "force_closure_arrays", "force_closure_kernel"]

wp.set_module_options({"enable_backward": False})

_NEWTON = wp.constant(int(QpSolver.DUAL_NEWTON))


@wp.struct
class ForceClosureArrays:
    """Buffers of the force-closure step; everything but ``wrench_matrix`` is a result worth reading."""

    wrench_matrix: wp.array2d(dtype=vec6)  #: [B, C k]
    force: wp.array2d(dtype=wp.float32)  #: [B, C k] x*
    force_previous: wp.array2d(dtype=wp.float32)  #: [B, C k] scratch of the projected gradient
    residual: wp.array(dtype=wp.float32)  #: [B] relative duality gap
    iteration_count: wp.array(dtype=wp.int32)  #: [B]
    status: wp.array(dtype=wp.int32)  #: [B] GraspStatus


@wp.struct
class ForceClosureConstants:
    """Constants of the energy; the symbols are those of ``docs/concepts/force_closure.md``."""

    edge_direction: wp.array(dtype=wp.vec2)  #: [k]
    friction: float
    torque_weight: float
    gain: float
    offset: float
    decay: float
    factor_form: int
    qp: QpConstants
    solver: int


@wp.kernel
def force_closure_kernel(
    constants: ForceClosureConstants,
    objects: GraspedObjects,
    candidates: CandidateSet,
    contacts: Contacts,
    weight: float,
    # outputs
    qp_dual: wp.array(dtype=vec6),  # [B] warm start and solution
    arrays: ForceClosureArrays,
    energy: wp.array(dtype=wp.float32),  # [B]
    link_wrench: wp.array2d(dtype=vec6),  # [B, L]
):
    """Force-closure energy ``g (V + e0) exp(-v S)`` [B] and its weighted link wrenches; ``qp_dual`` is the warm start."""
    grasp = wp.tid()
    status = contact_status(contacts.position, contacts.object_normal, grasp)
    arrays.status[grasp] = status
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
            arrays.wrench_matrix,
        )
    solution = QpSolution()
    if constants.solver == _NEWTON:
        solution = solve_dual_newton(
            arrays.wrench_matrix,
            grasp,
            constants.qp,
            qp_dual[grasp],
            arrays.force,
        )
    else:
        solution = solve_projected_gradient(
            arrays.wrench_matrix,
            grasp,
            constants.qp,
            qp_dual[grasp],
            arrays.force,
            arrays.force_previous,
        )
    qp_dual[grasp] = solution.dual
    arrays.residual[grasp] = solution.residual
    arrays.iteration_count[grasp] = solution.iteration_count
    if status == 0:
        arrays.status[grasp] = qp_status(solution, constants.qp.tolerance)
    factor = SingularValueFactor()
    if constants.factor_form != 0:
        factor = singular_value_factor(gram_matrix(arrays.wrench_matrix, grasp), constants.factor_form)
    value = force_closure_energy(
        solution.value, factor.value, constants.gain, constants.offset, constants.decay
    )
    energy[grasp] = value
    slope = constants.gain * wp.exp(-constants.decay * factor.value)
    for contact in range(contact_count):
        force = contact_position_gradient(
            arrays.wrench_matrix,
            arrays.force,
            grasp,
            contact,
            edge_count,
            constants.torque_weight,
            solution.dual,
            weight * slope,
            factor.gradient,
            -weight * constants.decay * value,
        )
        link = candidates.link[contacts.index[grasp, contact]]
        zero = wp.vec3(0.0, 0.0, 0.0)
        add_point_force(link_wrench, grasp, link, contacts.position[grasp, contact], force, zero)


def force_closure_arrays(
    grasp_count: int, contact_count: int, edge_count: int, qp: QpConfig, device: wp.Device
) -> ForceClosureArrays:
    """Allocate the buffers of :func:`launch_force_closure`."""
    shape = (grasp_count, contact_count * edge_count)
    previous_shape = shape if qp.solver == QpSolver.PROJECTED_GRADIENT else (1, 1)
    arrays = ForceClosureArrays()
    arrays.wrench_matrix = wp.zeros(shape, dtype=vec6, device=device)
    arrays.force = wp.zeros(shape, dtype=wp.float32, device=device)
    arrays.force_previous = wp.zeros(previous_shape, dtype=wp.float32, device=device)
    arrays.residual = wp.zeros(grasp_count, dtype=wp.float32, device=device)
    arrays.iteration_count = wp.zeros(grasp_count, dtype=wp.int32, device=device)
    arrays.status = wp.zeros(grasp_count, dtype=wp.int32, device=device)
    return arrays
