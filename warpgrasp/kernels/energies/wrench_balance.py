"""DexGraspNet's force-closure surrogate ``|sum_i [n_i ; s (p_i - o) x n_i]|^2`` with frictionless unit wrenches.

Source: Wang et al. 2023.
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.contact import CandidateSet, Contacts, add_point_force
from warpgrasp.kernels.energies.wrench import GraspedObjects, contact_wrench
from warpgrasp.kernels.spatial import vec6

__all__ = ["wrench_balance_kernel"]

wp.set_module_options({"enable_backward": False})


@wp.kernel
def wrench_balance_kernel(
    objects: GraspedObjects,
    candidates: CandidateSet,
    contacts: Contacts,
    torque_weight: float,
    weight: float,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
    link_wrench: wp.array2d(dtype=vec6),  # [B, L]
):
    """Wrench balance energy [B] and its weighted link wrenches [B, L]; torque weight s in 1/m."""
    grasp = wp.tid()
    center = objects.center_of_mass[objects.index[grasp]]
    total = vec6()
    for contact in range(contacts.index.shape[1]):
        total += contact_wrench(
            contacts.position[grasp, contact], -contacts.object_normal[grasp, contact], center, torque_weight
        )
    energy[grasp] = wp.dot(total, total)
    torque = wp.vec3(total[3], total[4], total[5])
    for contact in range(contacts.index.shape[1]):
        force = (2.0 * weight * torque_weight) * wp.cross(-contacts.object_normal[grasp, contact], torque)
        link = candidates.link[contacts.index[grasp, contact]]
        zero = wp.vec3(0.0, 0.0, 0.0)
        add_point_force(link_wrench, grasp, link, contacts.position[grasp, contact], force, zero)
