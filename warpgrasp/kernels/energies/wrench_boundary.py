"""The wrench boundary energy of TDG (Chen et al. 2023): wrenches a grasp gives towards test directions.

For a direction u of force, every contact presses with the admissible force nearest to what it sees of u. With the inward
normal n, ``a = n.u``, ``b = u - a n`` and the friction mu, its force of normal component 1 is

    n + b / a                              inside the cone, |b| <= mu a
    n + mu b / |b|                         beside it, a >= 0
    (n + mu b / |b|) |b| / (|b| - 2 mu a)  behind it, fading to zero at u = -n

and ``w(u) = sum_i c_i [f_i ; s (p_i - o) x f_i]``. The energy is the mean of ``1 - cos(w(u), u)``, where u has no torque, so
that torques that are left over count against the grasp. Forces depend on the frozen normals alone; hence

    dE/dp_i = s c_i mean_u f_i(u) x g(u),    g = d(1 - cos)/dw_torque = cos(w, u) w_torque / |w|^2 .
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.contact import Contacts
from warpgrasp.kernels.energies.wrench import GraspedObjects, contact_wrench
from warpgrasp.kernels.spatial import vec6

__all__ = ["boundary_gradient_kernel", "boundary_mean_kernel", "boundary_wrench_kernel", "nearest_force"]

wp.set_module_options({"enable_backward": False})

_LEAST_DENSITY = wp.constant(1.0e-4)
_LEAST_LENGTH = wp.constant(1.0e-12)


@wp.func
def nearest_force(direction: wp.vec3, normal: wp.vec3, friction: float) -> wp.vec3:
    """Force of normal component 1, or less behind the contact, that is nearest to a unit direction."""
    along = wp.dot(direction, normal)
    across = direction - normal * along
    length = wp.length(across)
    if length <= friction * along:
        return normal + across / along
    edge = normal + across * (friction / wp.max(length, _LEAST_LENGTH))
    if along >= 0.0:
        return edge
    return edge * (length / (length - 2.0 * friction * along))


@wp.func
def _density_weight(contacts: Contacts, grasp: int, contact: int, density: int) -> float:
    """1, or one over the number of contacts that press the same way."""
    if density == 0:
        return 1.0
    total = float(0.0)
    for other in range(contacts.index.shape[1]):
        aligned = wp.dot(contacts.object_normal[grasp, contact], contacts.object_normal[grasp, other])
        total += wp.max(aligned, 0.0)
    return 1.0 / wp.max(total, _LEAST_DENSITY)


@wp.kernel
def boundary_wrench_kernel(
    objects: GraspedObjects,
    contacts: Contacts,
    direction: wp.array(dtype=wp.vec3),  # [D] unit
    friction: float,
    torque_weight: wp.array(dtype=wp.float32),  # [O] 1/m
    density: int,
    # outputs
    cosine: wp.array2d(dtype=wp.float32),  # [B, D] cos(w(u), u)
    torque_gradient: wp.array2d(dtype=wp.vec3),  # [B, D] g
):
    """Cosine of every wrench with its direction, and the derivative of ``1 - cos`` by the wrench's torque."""
    grasp, d = wp.tid()
    obj = objects.index[grasp]
    u = direction[d]
    wrench = vec6()
    for contact in range(contacts.index.shape[1]):
        force = nearest_force(u, -contacts.object_normal[grasp, contact], friction)
        force = force * _density_weight(contacts, grasp, contact, density)
        wrench += contact_wrench(
            contacts.position[grasp, contact], force, objects.center_of_mass[obj], torque_weight[obj]
        )
    square = wp.dot(wrench, wrench)
    cosine[grasp, d] = 0.0
    torque_gradient[grasp, d] = wp.vec3(0.0, 0.0, 0.0)
    if square > _LEAST_LENGTH:
        value = (wrench[0] * u[0] + wrench[1] * u[1] + wrench[2] * u[2]) / wp.sqrt(square)
        cosine[grasp, d] = value
        torque_gradient[grasp, d] = wp.vec3(wrench[3], wrench[4], wrench[5]) * (value / square)


@wp.kernel
def boundary_gradient_kernel(
    objects: GraspedObjects,
    contacts: Contacts,
    direction: wp.array(dtype=wp.vec3),  # [D]
    friction: float,
    torque_weight: wp.array(dtype=wp.float32),  # [O]
    density: int,
    torque_gradient: wp.array2d(dtype=wp.vec3),  # [B, D]
    # outputs
    position_gradient: wp.array2d(dtype=wp.vec3),  # [B, C]
):
    """Derivatives of the energy by the contact positions."""
    grasp, contact = wp.tid()
    count = direction.shape[0]
    total = wp.vec3()
    for d in range(count):
        force = nearest_force(direction[d], -contacts.object_normal[grasp, contact], friction)
        total += wp.cross(force, torque_gradient[grasp, d])
    share = _density_weight(contacts, grasp, contact, density) / float(count)
    position_gradient[grasp, contact] = total * (share * torque_weight[objects.index[grasp]])


@wp.kernel
def boundary_mean_kernel(
    cosine: wp.array2d(dtype=wp.float32),  # [B, D]
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
):
    """Mean of ``1 - cos`` over the directions."""
    grasp = wp.tid()
    count = cosine.shape[1]
    total = float(0.0)
    for d in range(count):
        total += 1.0 - cosine[grasp, d]
    energy[grasp] = total / float(count)
