"""Energies of the contact positions alone: how their derivatives reach the links, or the ``wp.Tape``.

The closure energies of the methods see a grasp through the wrenches of its contacts, with frozen normals. Their kernels write
a value [B] and its derivative by every contact position [B, C]; what becomes of the derivative is the same for all of them.
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.contact import CandidateSet, Contacts, add_point_force
from warpgrasp.kernels.qp.adjoint import active_tape
from warpgrasp.kernels.spatial import vec6

__all__ = ["add_position_gradient_kernel", "record_position_gradient"]

wp.set_module_options({"enable_backward": False})


@wp.kernel
def add_position_gradient_kernel(
    candidates: CandidateSet,
    contacts: Contacts,
    position_gradient: wp.array2d(dtype=wp.vec3),  # [B, C]
    weight: float,
    # outputs
    link_wrench: wp.array2d(dtype=vec6),  # [B, L] added to
):
    """Add ``weight`` times the derivatives by the contact positions to the wrenches of their links."""
    grasp = wp.tid()
    for contact in range(contacts.index.shape[1]):
        link = candidates.link[contacts.index[grasp, contact]]
        zero = wp.vec3(0.0, 0.0, 0.0)
        force = position_gradient[grasp, contact] * weight
        add_point_force(link_wrench, grasp, link, contacts.position[grasp, contact], force, zero)


@wp.kernel
def _adjoint_kernel(
    position_gradient: wp.array2d(dtype=wp.vec3),  # [B, C]
    value_adjoint: wp.array(dtype=wp.float32),  # [B]
    # outputs
    position_adjoint: wp.array2d(dtype=wp.vec3),  # [B, C] added to
):
    grasp, contact = wp.tid()
    scaled = position_gradient[grasp, contact] * value_adjoint[grasp]
    position_adjoint[grasp, contact] = position_adjoint[grasp, contact] + scaled


def record_position_gradient(
    contact_position: wp.array, value: wp.array, position_gradient: wp.array
) -> None:
    """Record on the active tape that ``value`` [B] has the derivative ``position_gradient`` [B, C] vec3."""
    tape = active_tape()
    if tape is None or not contact_position.requires_grad:
        return

    def backward() -> None:
        wp.launch(
            _adjoint_kernel,
            dim=position_gradient.shape,
            inputs=[position_gradient, value.grad],
            outputs=[contact_position.grad],
            device=contact_position.device,
            record_tape=False,
        )

    tape.record_func(backward, arrays=[contact_position, value])
