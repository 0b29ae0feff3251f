"""DexGraspNet's force-closure surrogate ``|sum_i [n_i ; s (p_i - o) x n_i]|^2`` with frictionless unit wrenches.

Source: Wang et al. 2023.
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.contact import CandidateSet, add_point_force
from warpgrasp.kernels.energies.wrench import contact_wrench
from warpgrasp.kernels.kinematics import vec6

__all__ = ["launch_wrench_balance"]

wp.set_module_options({"enable_backward": False})


@wp.kernel
def _wrench_balance(
    center_of_mass: wp.array(dtype=wp.vec3),  # [O]
    torque_weight: float,
    candidates: CandidateSet,
    object_index: wp.array(dtype=wp.int32),  # [B]
    contact_index: wp.array2d(dtype=wp.int32),  # [B, C]
    contact_position: wp.array2d(dtype=wp.vec3),  # [B, C]
    object_normal: wp.array2d(dtype=wp.vec3),  # [B, C]
    weight: float,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
    link_wrench: wp.array2d(dtype=vec6),  # [B, L]
):
    grasp = wp.tid()
    center = center_of_mass[object_index[grasp]]
    total = vec6()
    for contact in range(contact_index.shape[1]):
        total += contact_wrench(
            contact_position[grasp, contact], -object_normal[grasp, contact], center, torque_weight
        )
    energy[grasp] = wp.dot(total, total)
    torque = wp.vec3(total[3], total[4], total[5])
    for contact in range(contact_index.shape[1]):
        force = (2.0 * weight * torque_weight) * wp.cross(-object_normal[grasp, contact], torque)
        link = candidates.link[contact_index[grasp, contact]]
        zero = wp.vec3(0.0, 0.0, 0.0)
        add_point_force(link_wrench, grasp, link, contact_position[grasp, contact], force, zero)


def launch_wrench_balance(
    center_of_mass: wp.array,
    torque_weight: float,
    candidates: CandidateSet,
    object_index: wp.array,
    contact_index: wp.array,
    contact_position: wp.array,
    object_normal: wp.array,
    weight: float,
    *,
    energy: wp.array,
    link_wrench: wp.array,
) -> None:
    """Wrench balance energy [B] and its weighted link wrenches [B, L]; torque weight s in 1/m."""
    wp.launch(
        _wrench_balance,
        dim=contact_index.shape[0],
        inputs=[
            center_of_mass,
            torque_weight,
            candidates,
            object_index,
            contact_index,
            contact_position,
            object_normal,
            weight,
        ],
        outputs=[energy, link_wrench],
        device=contact_position.device,
    )
