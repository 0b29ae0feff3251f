"""Contact wrenches: friction cones, the wrench matrix and the DexGraspNet baseline.

The documentation page *Force closure* (``docs/concepts/force_closure.md``) derives what stands here, with the same symbols.

A contact at the hand point ``p_i`` presses along the inward normal ``n_i = -n_obj`` of the object. Its
friction cone of coefficient ``mu`` is replaced by a pyramid of ``k`` edges with *unit* tangents ``t_ik`` at
equal angles,

    e_ik = (mu t_ik + n_i) / sqrt(1 + mu^2) / k,        w_ik = [ e_ik ; s (p_i - o) x e_ik ],

so the edges lie exactly on the Coulomb cone whatever the direction of the normal, and the cone's edges
together weigh one unit force. Columns are ordered contact first: column ``i k + j`` is edge ``j`` of contact
``i``.

Normals are frozen features: gradients flow through the contact positions only,
``dE/dp_i = sum_j s e_ij x (dE/dw_ij)_torque``.

The ``wp.func``s compile under the options of the module that calls them. The kernels of this module are
small, have one thread per contact edge and no loops, and are therefore compiled with their adjoints for the
``wp.Tape``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import warp as wp

from warpgrasp.base.status import GraspStatus
from warpgrasp.kernels.spatial import vec6

__all__ = [
    "GraspedObjects",
    "contact_status",
    "contact_wrench",
    "edge_directions",
    "friction_cone_edge",
    "launch_wrench_matrix",
    "launch_wrench_sum_energy",
    "tangent_basis",
    "tangent_slope_sign",
    "write_contact_wrenches",
]

wp.set_module_options({"enable_backward": True})


_STATUS_OK = wp.constant(int(GraspStatus.OK))
_STATUS_NONFINITE = wp.constant(int(GraspStatus.NONFINITE_ENERGY))
_STATUS_DEGENERATE = wp.constant(int(GraspStatus.DEGENERATE_CONTACTS))
_DISTINCT_DISTANCE = wp.constant(wp.float32(1.0e-6))


@wp.struct
class GraspedObjects:
    """Which object each of ``B`` grasps holds, and where the torques of ``O`` objects count from."""

    index: wp.array(dtype=wp.int32)  #: [B]
    center_of_mass: wp.array(dtype=wp.vec3)  #: [O] m, object frame


@lru_cache(maxsize=64)
def _edge_directions(edge_count: int, device: str) -> Any:
    angle = 2.0 * np.pi * np.arange(edge_count) / edge_count
    direction = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    direction[np.abs(direction) < 1e-15] = 0.0
    return wp.array(direction.astype(np.float32), dtype=wp.vec2, device=device)


def edge_directions(edge_count: int, device: Any = None) -> Any:
    """``(cos, sin)`` of the edge angles around the normal, ``wp.array`` of vec2, shape [edge_count].

    Computed once on the host, so that no thread evaluates a sine. Cached per count and device.

    Raises:
        ValueError: if ``edge_count`` is below 3, where a pyramid has no volume.
    """
    if edge_count < 3:
        raise ValueError(
            f"edge_count must be at least 3 (got {edge_count}); use 4 or 8 edges per friction cone."
        )
    return _edge_directions(int(edge_count), str(wp.get_device(device)))


@wp.func
def tangent_slope_sign(normal: wp.vec3) -> float:
    """Which of the two halves of the basis of :func:`tangent_basis` a normal lies in, 1 or -1."""
    oblique = 0.2718 * normal[0] + 0.4472 * normal[1] + 0.8521 * normal[2]
    return wp.where(oblique >= 0.0, 1.0, -1.0)


@wp.func
def tangent_basis(normal: wp.vec3):
    """Two unit tangents, right-handed with the unit ``normal`` (Duff et al., JCGT 6(1), 2017).

    Duff's basis turns by a quarter where its sign flips. At ``n_z = 0`` that would be every vertical wall, where rounding
    decides the sign of n_z; an oblique plane keeps the flip off the axes. ``|sign + n_z|`` stays above 0.47.
    """
    sign = tangent_slope_sign(normal)
    a = -1.0 / (sign + normal[2])
    b = normal[0] * normal[1] * a
    tangent_u = wp.vec3(1.0 + sign * normal[0] * normal[0] * a, sign * b, -sign * normal[0])
    tangent_v = wp.vec3(b, sign + normal[1] * normal[1] * a, -normal[1])
    return tangent_u, tangent_v


@wp.func
def friction_cone_edge(
    inward_normal: wp.vec3,
    tangent_u: wp.vec3,
    tangent_v: wp.vec3,
    friction: float,
    edge_direction: wp.vec2,
    edge_count: int,
) -> wp.vec3:
    """Edge ``e_ik = (mu t_ik + n_i) / sqrt(1 + mu^2) / k`` of the linearised friction cone."""
    tangent = tangent_u * edge_direction[0] + tangent_v * edge_direction[1]
    return (tangent * friction + inward_normal) / (wp.sqrt(1.0 + friction * friction) * float(edge_count))


@wp.func
def contact_wrench(position: wp.vec3, force: wp.vec3, center: wp.vec3, torque_weight: float) -> vec6:
    """Wrench ``[f ; s (p - o) x f]`` of a force at a contact position."""
    torque = wp.cross(position - center, force) * torque_weight
    return vec6(force[0], force[1], force[2], torque[0], torque[1], torque[2])


@wp.func
def write_contact_wrenches(
    position: wp.vec3,
    object_normal: wp.vec3,
    center: wp.vec3,
    friction: float,
    torque_weight: float,
    edge_direction: wp.array(dtype=wp.vec2),  # [k]
    grasp: int,
    contact: int,
    # outputs
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, C k]
):
    """Write the ``k`` columns ``w_ik`` of one contact into row ``grasp`` of the wrench matrix."""
    edge_count = edge_direction.shape[0]
    inward_normal = -object_normal
    tangent_u, tangent_v = tangent_basis(inward_normal)
    for j in range(edge_count):
        edge = friction_cone_edge(
            inward_normal, tangent_u, tangent_v, friction, edge_direction[j], edge_count
        )
        wrench_matrix[grasp, contact * edge_count + j] = contact_wrench(position, edge, center, torque_weight)


@wp.func
def contact_status(
    contact_position: wp.array2d(dtype=wp.vec3),  # [B, C]
    object_normal: wp.array2d(dtype=wp.vec3),  # [B, C]
    grasp: int,
) -> int:
    """Contact status: NONFINITE_ENERGY, DEGENERATE_CONTACTS (one distinct point, zero normal) or OK."""
    first = contact_position[grasp, 0]
    distinct = int(0)
    status = int(_STATUS_OK)
    for i in range(contact_position.shape[1]):
        position = contact_position[grasp, i]
        normal = object_normal[grasp, i]
        if wp.length(position - first) > _DISTINCT_DISTANCE:
            distinct = 1
        if not (wp.length(normal) >= 0.5):
            status = _STATUS_DEGENERATE
        if not wp.isfinite(wp.length(position) + wp.length(normal)):
            return _STATUS_NONFINITE
    if distinct == 0:
        status = _STATUS_DEGENERATE
    return status


@wp.kernel
def _wrench_matrix_kernel(
    edge_direction: wp.array(dtype=wp.vec2),  # [k]
    center_of_mass: wp.array(dtype=wp.vec3),  # [O]
    friction: float,
    torque_weight: float,
    object_index: wp.array(dtype=wp.int32),  # [B]
    contact_position: wp.array2d(dtype=wp.vec3),  # [B, C]
    object_normal: wp.array2d(dtype=wp.vec3),  # [B, C]
    # outputs
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, C k]
):
    grasp, contact, j = wp.tid()
    edge_count = edge_direction.shape[0]
    inward_normal = -object_normal[grasp, contact]
    tangent_u, tangent_v = tangent_basis(inward_normal)
    edge = friction_cone_edge(inward_normal, tangent_u, tangent_v, friction, edge_direction[j], edge_count)
    center = center_of_mass[object_index[grasp]]
    wrench_matrix[grasp, contact * edge_count + j] = contact_wrench(
        contact_position[grasp, contact], edge, center, torque_weight
    )


def launch_wrench_matrix(
    contact_position: Any,
    object_normal: Any,
    center_of_mass: Any,
    object_index: Any,
    *,
    friction: float = 0.2,
    edge_count: int = 4,
    torque_weight: float = 5.0,
    wrench_matrix: Any = None,
) -> Any:
    """Build the wrench matrices of all grasps; recorded on the active ``wp.Tape``.

    Args:
        contact_position: Hand contact points in the object frame [m], vec3, shape [grasp_count,
            contact_count].
        object_normal: Outward object normals (unit), vec3, shape [grasp_count, contact_count]. Frozen: give
            an array without gradient.
        center_of_mass: Centres of mass ``o`` [m], vec3, shape [object_count].
        object_index: Object of each grasp, int32, shape [grasp_count].
        friction: Coefficient ``mu``.
        edge_count: Edges ``k`` per cone, at least 3.
        torque_weight: ``s`` [1/m].
        wrench_matrix: Output, vec6, shape [grasp_count, contact_count * edge_count]; allocated when ``None``.

    Returns:
        The wrench matrix, columns ``w_ik`` contact first.

    Raises:
        ValueError: if ``friction`` is negative or ``edge_count`` is below 3.
    """
    if not friction >= 0.0:
        raise ValueError(f"friction must be zero or positive (got {friction}).")
    device = contact_position.device
    grasp_count, contact_count = contact_position.shape
    direction = edge_directions(edge_count, device)
    if wrench_matrix is None:
        wrench_matrix = wp.empty(
            (grasp_count, contact_count * edge_count),
            dtype=vec6,
            device=device,
            requires_grad=contact_position.requires_grad,
        )
    wp.launch(
        _wrench_matrix_kernel,
        dim=(grasp_count, contact_count, edge_count),
        inputs=[
            direction,
            center_of_mass,
            friction,
            torque_weight,
            object_index,
            contact_position,
            object_normal,
        ],
        outputs=[wrench_matrix],
        device=device,
    )
    return wrench_matrix


@wp.kernel
def _wrench_sum_kernel(
    center_of_mass: wp.array(dtype=wp.vec3),  # [O]
    torque_weight: float,
    object_index: wp.array(dtype=wp.int32),  # [B]
    contact_position: wp.array2d(dtype=wp.vec3),  # [B, C]
    object_normal: wp.array2d(dtype=wp.vec3),  # [B, C]
    # outputs
    wrench_sum: wp.array(dtype=vec6),  # [B]
):
    grasp, contact = wp.tid()
    center = center_of_mass[object_index[grasp]]
    wrench = contact_wrench(
        contact_position[grasp, contact], -object_normal[grasp, contact], center, torque_weight
    )
    wp.atomic_add(wrench_sum, grasp, wrench)


@wp.kernel
def _squared_norm_kernel(
    wrench_sum: wp.array(dtype=vec6),  # [B]
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
):
    grasp = wp.tid()
    energy[grasp] = wp.dot(wrench_sum[grasp], wrench_sum[grasp])


def launch_wrench_sum_energy(
    contact_position: Any,
    object_normal: Any,
    center_of_mass: Any,
    object_index: Any,
    *,
    torque_weight: float = 1.0,
) -> Any:
    """DexGraspNet force closure ``|sum_i [n_i ; s (p_i - o) x n_i]|^2`` (Wang et al. 2023); taped.

    Args:
        contact_position: Hand contact points in the object frame [m], vec3, shape [grasp_count,
            contact_count].
        object_normal: Outward object normals (unit, frozen), vec3, shape [grasp_count, contact_count].
        center_of_mass: Centres of mass ``o`` [m], vec3, shape [object_count].
        object_index: Object of each grasp, int32, shape [grasp_count].
        torque_weight: ``s`` inside the wrench, 1 (published) or 5 [1/m].

    Returns:
        Energies, float32, shape [grasp_count].
    """
    device = contact_position.device
    grasp_count, contact_count = contact_position.shape
    requires_grad = contact_position.requires_grad
    wrench_sum = wp.zeros(grasp_count, dtype=vec6, device=device, requires_grad=requires_grad)
    energy = wp.empty(grasp_count, dtype=wp.float32, device=device, requires_grad=requires_grad)
    wp.launch(
        _wrench_sum_kernel,
        dim=(grasp_count, contact_count),
        inputs=[center_of_mass, torque_weight, object_index, contact_position, object_normal],
        outputs=[wrench_sum],
        device=device,
    )
    wp.launch(_squared_norm_kernel, dim=grasp_count, inputs=[wrench_sum], outputs=[energy], device=device)
    return energy
