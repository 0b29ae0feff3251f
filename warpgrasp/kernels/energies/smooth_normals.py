"""Interpolated normals of the object in the force closure, and the derivative of the energy through them.

On a flat triangle the normal of a contact does not turn as the contact moves, so that frozen normals hide most of the
derivative of the force closure. Here the normal is interpolated between the corners of the closest face (Phong 1975),

    n = m / |m|,   m = sum_i lambda_i n_i,        J = dn/dp = (I - n n^T) A / |m|,   A = sum_i n_i (x) grad lambda_i,

lambda the barycentric weights of the closest point. Away from the surface the closest point moves less than the contact
by about 1 + ``|d|`` times the curvature, so that J is divided by ``1 + |d| |J|``; it also keeps sharp curvature in bounds.
Corners on a crease keep the normals of their side, and a flat face has no curvature.
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.contact import CandidateSet, Contacts, add_point_force
from warpgrasp.kernels.energies.force_closure_fused import ForceClosureArrays, ForceClosureConstants
from warpgrasp.kernels.energies.singular_values import SingularValueFactor, gram_matrix, singular_value_factor
from warpgrasp.kernels.energies.wrench import GraspedObjects, tangent_slope_sign
from warpgrasp.kernels.mesh_distance import MeshSet
from warpgrasp.kernels.spatial import vec6

__all__ = ["normal_derivative_kernel", "smooth_normals_kernel"]

wp.set_module_options({"enable_backward": False})

_NEAR = wp.constant(1.0e-3)  # m; a closest point is on the mesh, up to rounding


@wp.kernel
def smooth_normals_kernel(
    meshes: MeshSet,
    corner_normal: wp.array2d(dtype=wp.vec3),  # [sum of faces, 3]
    object_index: wp.array(dtype=wp.int32),  # [B]
    contacts: Contacts,
    # outputs
    normal: wp.array2d(dtype=wp.vec3),  # [B, C] unit
    curvature: wp.array2d(dtype=wp.mat33),  # [B, C] 1/m, J damped
):
    """Interpolated outward normal at the closest point of every contact, and its derivative in the contact's position."""
    grasp, contact = wp.tid()
    obj = object_index[grasp]
    mesh = meshes.mesh[obj]
    query = wp.mesh_query_point_no_sign(mesh, contacts.closest_point[grasp, contact], _NEAR)
    n = contacts.object_normal[grasp, contact]
    slope = wp.mat33(0.0)
    if query.result:
        row = meshes.face_start[obj] + query.face
        a = wp.mesh_get_point(mesh, 3 * query.face)
        b = wp.mesh_get_point(mesh, 3 * query.face + 1)
        c = wp.mesh_get_point(mesh, 3 * query.face + 2)
        area = wp.cross(b - a, c - a)
        na = corner_normal[row, 0]
        nb = corner_normal[row, 1]
        nc = corner_normal[row, 2]
        m = query.u * na + query.v * nb + (1.0 - query.u - query.v) * nc
        length = wp.length(m)
        twice = wp.length_sq(area)
        if length > 0.0 and twice > 0.0:
            n = m / length
            spread = wp.outer(na, wp.cross(area, c - b)) + wp.outer(nb, wp.cross(area, a - c))
            spread = (spread + wp.outer(nc, wp.cross(area, b - a))) / twice
            slope = (spread - wp.outer(n, wp.transpose(spread) * n)) / length
            size = wp.sqrt(wp.ddot(slope, slope))
            slope = slope / (1.0 + wp.abs(contacts.distance[grasp, contact]) * size)
    normal[grasp, contact] = n
    curvature[grasp, contact] = slope


@wp.func
def _inward_normal_gradient(
    inward: wp.vec3, edge_gradient: wp.vec3, friction: float, edge_direction: wp.vec2, edge_count: int
) -> wp.vec3:
    """``(de/dn)^T h`` of an edge of the friction pyramid, through its tangents (Duff et al. 2017, differentiated)."""
    sign = tangent_slope_sign(inward)
    h = edge_gradient
    x = inward[0]
    y = inward[1]
    a = -1.0 / (sign + inward[2])
    along_u = wp.vec3(
        2.0 * sign * x * a * h[0] + sign * y * a * h[1] - sign * h[2],
        sign * x * a * h[1],
        sign * x * a * a * (x * h[0] + y * h[1]),
    )
    along_v = wp.vec3(
        y * a * h[0], x * a * h[0] + 2.0 * y * a * h[1] - h[2], y * a * a * (x * h[0] + y * h[1])
    )
    turned = edge_direction[0] * along_u + edge_direction[1] * along_v
    return (friction * turned + h) / (wp.sqrt(1.0 + friction * friction) * float(edge_count))


@wp.kernel
def normal_derivative_kernel(
    constants: ForceClosureConstants,
    objects: GraspedObjects,
    candidates: CandidateSet,
    contacts: Contacts,
    curvature: wp.array2d(dtype=wp.mat33),  # [B, C]
    qp_dual: wp.array(dtype=vec6),  # [B] W x*
    arrays: ForceClosureArrays,
    energy: wp.array(dtype=wp.float32),  # [B]
    weight: float,
    # outputs
    link_wrench: wp.array2d(dtype=vec6),  # [B, L] added to
):
    """Add what the turning of the normals changes in the force closure; reads what ``force_closure_kernel`` has written."""
    grasp = wp.tid()
    factor = SingularValueFactor()
    if constants.factor_form != 0:
        factor = singular_value_factor(gram_matrix(arrays.wrench_matrix, grasp), constants.factor_form)
    slope = weight * constants.gain * wp.exp(-constants.decay * factor.value)
    scale = -weight * constants.decay * energy[grasp]
    center = objects.center_of_mass[objects.index[grasp]]
    edge_count = constants.edge_direction.shape[0]
    for contact in range(contacts.index.shape[1]):
        point = contacts.position[grasp, contact]
        inward = -contacts.object_normal[grasp, contact]
        total = wp.vec3()
        for j in range(edge_count):
            column = contact * edge_count + j
            w = arrays.wrench_matrix[grasp, column]
            g = slope * arrays.force[grasp, column] * qp_dual[grasp]
            if scale != 0.0:
                for r in range(6):
                    entry = wp.float64(0.0)
                    for c in range(6):
                        entry = entry + factor.gradient[r, c] * wp.float64(w[c])
                    g[r] = g[r] + scale * wp.float32(entry)
            arm = constants.torque_weight * (point - center)
            edge_gradient = wp.vec3(g[0], g[1], g[2]) + wp.cross(wp.vec3(g[3], g[4], g[5]), arm)
            total += _inward_normal_gradient(
                inward, edge_gradient, constants.friction, constants.edge_direction[j], edge_count
            )
        force = -(wp.transpose(curvature[grasp, contact]) * total)
        link = candidates.link[contacts.index[grasp, contact]]
        add_point_force(link_wrench, grasp, link, point, force, wp.vec3(0.0, 0.0, 0.0))
