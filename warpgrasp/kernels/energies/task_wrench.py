"""The bilevel energy of Chen et al. 2025 (BODex): how badly a grasp can give a set of task wrenches.

    E = sum_j |t_j - sum_c G_c f_cj|^2

with the contact forces f of ``kernels/qp/task_forces``. By the envelope theorem the forces are constants of the derivative. A
contact has the wrench ``G f = [f; (p - o) x f / L]``, L half the diagonal of the object's oriented box, so with
the residual ``r = (r_f, r_t)`` and ``h = -2 (r_f + r_t x (p - o) / L)``

    dE/dp = -2 f x r_t / L,        dE/dn = f_n h - (n . h) f_t   (tangential part),

the second for a frame that turns with the normal n and not about it. Both reach the fingertip through the linear fit of
``kernels/energies/fingertips``.
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.contact import add_point_force
from warpgrasp.kernels.energies.fingertips import PROBE_COUNT, Fingertips, TipContacts
from warpgrasp.kernels.energies.wrench import GraspedObjects, tangent_basis
from warpgrasp.kernels.qp.task_forces import EDGE_COUNT, TaskForces, vec6d
from warpgrasp.kernels.spatial import vec6

__all__ = ["edge_wrenches_kernel", "task_wrench_kernel"]

wp.set_module_options({"enable_backward": False})

_EDGES = wp.constant(EDGE_COUNT)
_PROBES = wp.constant(PROBE_COUNT)


@wp.func
def _edge(normal: wp.vec3, friction: float, k: int) -> wp.vec3:
    """Force of edge ``k`` at a normal force of 1; ``normal`` points into the object."""
    tangent_u, tangent_v = tangent_basis(normal)
    angle = 6.283185307179586 * float(k) / float(_EDGES)
    return normal + friction * (tangent_u * wp.cos(angle) + tangent_v * wp.sin(angle))


@wp.kernel
def edge_wrenches_kernel(
    objects: GraspedObjects,
    radius: wp.array(dtype=wp.float32),  # [O]
    contacts: TipContacts,
    friction: float,
    # outputs
    wrench: wp.array2d(dtype=vec6d),  # [B, F * 8]
):
    """Wrenches of unit edge forces about the centre of mass, torques over the object's ``radius`` [m]."""
    grasp, tip = wp.tid()
    obj = objects.index[grasp]
    arm = (contacts.point[grasp, tip] - objects.center_of_mass[obj]) / radius[obj]
    for k in range(_EDGES):
        force = _edge(-contacts.normal[grasp, tip], friction, k)
        torque = wp.cross(arm, force)
        column = vec6(force[0], force[1], force[2], torque[0], torque[1], torque[2])
        wrench[grasp, tip * _EDGES + k] = vec6d(column)


@wp.kernel
def task_wrench_kernel(
    tips: Fingertips,
    objects: GraspedObjects,
    radius: wp.array(dtype=wp.float32),  # [O]
    contacts: TipContacts,
    fit: wp.array(dtype=wp.vec3),  # [6] rows of the probes' pseudo-inverse
    wrench: wp.array2d(dtype=vec6d),  # [B, F * 8]
    target: wp.array(dtype=vec6d),  # [T]
    forces: TaskForces,
    weight: float,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
    link_wrench: wp.array2d(dtype=vec6),  # [B, L]
):
    """Energy [B] at the forces as they are, and its weighted link wrenches [B, L]."""
    grasp = wp.tid()
    obj = objects.index[grasp]
    total = wp.float64(0.0)
    for t in range(target.shape[0]):
        left = target[t]
        for column in range(wrench.shape[1]):
            left -= forces.edge_force[grasp, t, column] * wrench[grasp, column]
        forces.residual[grasp, t] = left
        total += wp.dot(left, left)
    energy[grasp] = wp.float32(total)
    forces.age[grasp] = forces.age[grasp] + 1
    for tip in range(tips.link.shape[0]):
        normal = wp.vec3d(-contacts.normal[grasp, tip])
        arm = wp.vec3d(contacts.point[grasp, tip] - objects.center_of_mass[obj]) / wp.float64(radius[obj])
        point_slope = wp.vec3d()
        normal_slope = wp.vec3d()
        for t in range(target.shape[0]):
            left = forces.residual[grasp, t]
            left_force = wp.vec3d(left[0], left[1], left[2])
            left_torque = wp.vec3d(left[3], left[4], left[5])
            force = wp.vec3d()
            for k in range(_EDGES):
                edge = wrench[grasp, tip * _EDGES + k]
                force += forces.edge_force[grasp, t, tip * _EDGES + k] * wp.vec3d(edge[0], edge[1], edge[2])
            pressed = wp.dot(force, normal)
            h = wp.float64(-2.0) * (left_force + wp.cross(left_torque, arm))
            along = wp.dot(normal, h)
            point_slope -= (wp.float64(2.0) / wp.float64(radius[obj])) * wp.cross(force, left_torque)
            normal_slope += pressed * (h - along * normal) - along * (force - pressed * normal)
        slope = wp.vec3(0.0, 0.0, 0.0)
        for j in range(_PROBES):
            change = wp.dot(wp.vec3(point_slope), contacts.point_change[grasp, tip, j])
            change -= wp.dot(wp.vec3(normal_slope), contacts.normal_change[grasp, tip, j])
            slope += change * fit[j]
        zero = wp.vec3(0.0, 0.0, 0.0)
        add_point_force(link_wrench, grasp, tips.link[tip], contacts.center[grasp, tip], weight * slope, zero)
