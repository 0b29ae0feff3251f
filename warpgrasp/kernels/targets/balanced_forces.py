"""Contact forces that press evenly and cancel: the squeeze that holds an object without pushing it anywhere.

Every contact that touches may push along the edges of its friction pyramid, ``f_c = sum_k a_ck (n_c + mu t_ck)``, n_c the
inward normal and t_ck eight unit tangents at equal angles, a >= 0, so that ``sum_k a_ck`` is its normal force. The forces are

    min_{a >= 0}  1/2 rho |G a|^2 + 1/2 sum_c (sum_k a_ck - 1)^2 + 1/2 eps |a|^2,

G a the wrench about the centre of mass with torques over the object's radius: balance first, equal normal forces next.

Only the six numbers ``y = -rho G a`` couple the contacts. For given y each contact is a problem of eight forces and one sum,
solved exactly (as a projection on a simplex, Michelot 1986); y maximises the concave, piecewise quadratic dual function

    D(y) = -|y|^2 / (2 rho) + sum_c min_{a_c >= 0} [1/2 (sum a_c - 1)^2 + 1/2 eps |a_c|^2 - y . G_c a_c],

whose gradient is ``-y / rho - G a(y)``. A Newton method with line search ends after some ten steps, where the set of pushing
edges no longer changes. In float64: the pyramid's inner forces are decided by eps alone.
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.energies.wrench import tangent_basis

__all__ = ["EDGE_COUNT", "launch_balanced_forces"]

wp.set_module_options({"enable_backward": False})

EDGE_COUNT = 8
"""Edges of the friction pyramid of a contact."""

_EDGES = wp.constant(EDGE_COUNT)
_NEWTON_STEPS = wp.constant(60)
_HALVINGS = wp.constant(30)
_TOLERANCE = wp.constant(
    wp.float64(1.0e-10)
)  # of the dual's gradient, in units of one contact's normal force

vec6d = wp.types.vector(length=6, dtype=wp.float64)
vec8d = wp.types.vector(length=EDGE_COUNT, dtype=wp.float64)
mat66d = wp.types.matrix(shape=(6, 6), dtype=wp.float64)


@wp.struct
class _Contact:
    """A contact's frame for its edges."""

    normal: wp.vec3d  #: inward
    tangent_u: wp.vec3d
    tangent_v: wp.vec3d
    arm: wp.vec3d  #: from the centre of mass, over the radius
    friction: wp.float64


@wp.func
def _contact(
    position: wp.vec3, outward: wp.vec3, center: wp.vec3, radius: float, friction: float
) -> _Contact:
    tangent_u, tangent_v = tangent_basis(-outward)
    result = _Contact()
    result.normal = wp.vec3d(-outward)
    result.tangent_u = wp.vec3d(tangent_u)
    result.tangent_v = wp.vec3d(tangent_v)
    result.arm = wp.vec3d(position - center) / wp.float64(radius)
    result.friction = wp.float64(friction)
    return result


@wp.func
def _edge(contact: _Contact, k: int) -> wp.vec3d:
    """Force of edge ``k`` at a normal force of 1."""
    angle = wp.float64(6.283185307179586) * wp.float64(k) / wp.float64(_EDGES)
    tangent = contact.tangent_u * wp.cos(angle) + contact.tangent_v * wp.sin(angle)
    return contact.normal + contact.friction * tangent


@wp.func
def _wrench(contact: _Contact, force: wp.vec3d) -> vec6d:
    torque = wp.cross(contact.arm, force)
    return vec6d(force[0], force[1], force[2], torque[0], torque[1], torque[2])


@wp.func
def _pulls(contact: _Contact, dual: vec6d) -> vec8d:
    """``y . g_k`` of the edges."""
    result = vec8d()
    for k in range(_EDGES):
        result[k] = wp.dot(dual, _wrench(contact, _edge(contact, k)))
    return result


@wp.func
def _lack(pulls: vec8d, ridge: wp.float64) -> wp.float64:
    """``1 - sum_k a_k`` of the contact's own minimum, where ``a_k = max(0, pull_k + lack) / ridge``.

    Edges that would pull are left out until none does; the lack falls with every one left out, so none comes back.
    """
    lack = wp.float64(1.0e300)
    for _ in range(_EDGES + 1):
        total = wp.float64(0.0)
        count = wp.float64(0.0)
        for k in range(_EDGES):
            if pulls[k] + lack > wp.float64(0.0):
                total += pulls[k]
                count += wp.float64(1.0)
        lack = (ridge - total) / (ridge + count)
    return lack


@wp.func
def _contact_minimum(pulls: vec8d, lack: wp.float64, ridge: wp.float64) -> wp.float64:
    """Least value of a contact's own problem."""
    value = wp.float64(0.5) * lack * lack
    for k in range(_EDGES):
        force = wp.max(pulls[k] + lack, wp.float64(0.0)) / ridge
        value += force * (wp.float64(0.5) * ridge * force - pulls[k])
    return value


@wp.func
def _contact_force(contact: _Contact, pulls: vec8d, lack: wp.float64, ridge: wp.float64) -> wp.vec3d:
    """Force of the contact on the object at its own minimum."""
    force = wp.vec3d()
    for k in range(_EDGES):
        force += wp.max(pulls[k] + lack, wp.float64(0.0)) / ridge * _edge(contact, k)
    return force


@wp.func
def _add_contact_curvature(
    curvature: mat66d, contact: _Contact, pulls: vec8d, lack: wp.float64, ridge: wp.float64
) -> mat66d:
    """Add ``G_c H_c^-1 G_c^T`` over the pushing edges, ``H_c = ridge I + 1 1^T``, to the lower triangle."""
    total = vec6d()
    count = wp.float64(0.0)
    own = mat66d()
    for k in range(_EDGES):
        if pulls[k] + lack > wp.float64(0.0):
            column = _wrench(contact, _edge(contact, k))
            total += column
            count += wp.float64(1.0)
            for i in range(6):
                for j in range(6):
                    if j <= i:
                        own[i, j] = own[i, j] + column[i] * column[j]
    result = curvature
    for i in range(6):
        for j in range(6):
            if j <= i:
                result[i, j] = result[i, j] + (own[i, j] - total[i] * total[j] / (ridge + count)) / ridge
    return result


@wp.func
def _solve(matrix: mat66d, right: vec6d) -> vec6d:
    """Solution of a positive definite system by ``L D L^T``; only the lower triangle is read."""
    lower = matrix
    for j in range(6):
        for i in range(j + 1, 6):
            factor = lower[i, j] / lower[j, j]
            for k in range(j + 1, 6):
                if k <= i:
                    lower[i, k] = lower[i, k] - factor * lower[k, j]
        for i in range(j + 1, 6):
            lower[i, j] = lower[i, j] / lower[j, j]
    result = right
    for i in range(6):
        for j in range(6):
            if j < i:
                result[i] = result[i] - lower[i, j] * result[j]
    for i in range(6):
        result[i] = result[i] / lower[i, i]
    for back in range(6):
        i = 5 - back
        for j in range(6):
            if j > i:
                result[i] = result[i] - lower[j, i] * result[j]
    return result


@wp.kernel
def _balanced_forces(
    contact_position: wp.array2d(dtype=wp.vec3),  # [B, C]
    object_normal: wp.array2d(dtype=wp.vec3),  # [B, C] outward
    contact_distance: wp.array2d(dtype=wp.float32),  # [B, C]
    object_index: wp.array(dtype=wp.int32),  # [B]
    center_of_mass: wp.array(dtype=wp.vec3),  # [O]
    radius: wp.array(dtype=wp.float32),  # [O]
    reach: float,
    friction: float,
    balance: float,
    ridge: float,
    # outputs
    force: wp.array2d(dtype=wp.vec3),  # [B, C]
    imbalance: wp.array(dtype=wp.float32),  # [B]
):
    grasp = wp.tid()
    obj = object_index[grasp]
    rho = wp.float64(balance)
    eps = wp.float64(ridge)
    dual = vec6d()
    wrench = vec6d()
    running = int(1)
    steps = int(0)
    while running == 1:
        # value, gradient and curvature of -D at the dual
        curvature = mat66d()
        wrench = vec6d()
        value = wp.float64(0.5) * wp.dot(dual, dual) / rho
        for c in range(contact_position.shape[1]):
            if contact_distance[grasp, c] < reach:
                contact = _contact(
                    contact_position[grasp, c],
                    object_normal[grasp, c],
                    center_of_mass[obj],
                    radius[obj],
                    friction,
                )
                pulls = _pulls(contact, dual)
                lack = _lack(pulls, eps)
                wrench += _wrench(contact, _contact_force(contact, pulls, lack, eps))
                curvature = _add_contact_curvature(curvature, contact, pulls, lack, eps)
                value -= _contact_minimum(pulls, lack, eps)
        gradient = dual / rho + wrench
        steps += 1
        if wp.length(gradient) < _TOLERANCE or steps > _NEWTON_STEPS:
            running = 0
        else:
            for i in range(6):
                curvature[i, i] = curvature[i, i] + wp.float64(1.0) / rho
            step = _solve(curvature, -gradient)
            slope = wp.dot(gradient, step)
            size = wp.float64(1.0)
            halvings = int(0)
            searching = int(1)
            while searching == 1:
                trial = dual + size * step
                found = wp.float64(0.5) * wp.dot(trial, trial) / rho
                for c in range(contact_position.shape[1]):
                    if contact_distance[grasp, c] < reach:
                        contact = _contact(
                            contact_position[grasp, c],
                            object_normal[grasp, c],
                            center_of_mass[obj],
                            radius[obj],
                            friction,
                        )
                        pulls = _pulls(contact, trial)
                        found -= _contact_minimum(pulls, _lack(pulls, eps), eps)
                halvings += 1
                rounding = wp.float64(1.0e-13) * (wp.float64(1.0) + wp.abs(value))
                if found <= value + wp.float64(1.0e-4) * size * slope + rounding or halvings > _HALVINGS:
                    searching = 0
                    dual = trial
                else:
                    size = wp.float64(0.5) * size
    for c in range(contact_position.shape[1]):
        force[grasp, c] = wp.vec3(0.0, 0.0, 0.0)
        if contact_distance[grasp, c] < reach:
            contact = _contact(
                contact_position[grasp, c],
                object_normal[grasp, c],
                center_of_mass[obj],
                radius[obj],
                friction,
            )
            pulls = _pulls(contact, dual)
            force[grasp, c] = wp.vec3(_contact_force(contact, pulls, _lack(pulls, eps), eps))
    imbalance[grasp] = wp.float32(wp.length(wrench))


def launch_balanced_forces(
    contact_position: wp.array,
    object_normal: wp.array,
    contact_distance: wp.array,
    object_index: wp.array,
    center_of_mass: wp.array,
    radius: wp.array,
    *,
    reach: float,
    friction: float,
    balance: float,
    ridge: float,
    force: wp.array,
    imbalance: wp.array,
) -> None:
    """Balanced forces on the object [B, C], about 1 per contact, and what is left of their wrench [B].

    Args:
        contact_position: Contact points [m], shape [B, C].
        object_normal: Outward normals of the object there, shape [B, C].
        contact_distance: Signed distances of the points to the object [m], shape [B, C].
        object_index: Object of each grasp, shape [B].
        center_of_mass: Centres of mass [m], shape [O].
        radius: Lengths that make a torque comparable with a force [m], shape [O].
        reach: Contacts at least this far from the object carry no force [m].
        friction: Coulomb coefficient of the pyramids.
        balance: rho, weight of the squared wrench.
        ridge: eps, weight of the squared edge forces; positive.
        force: Forces on the object, shape [B, C].
        imbalance: Length of the wrench (force, torque / radius), shape [B].
    """
    wp.launch(
        _balanced_forces,
        dim=contact_position.shape[0],
        inputs=[
            contact_position,
            object_normal,
            contact_distance,
            object_index,
            center_of_mass,
            radius,
            reach,
            friction,
            balance,
            ridge,
        ],
        outputs=[force, imbalance],
        device=contact_position.device,
        record_tape=False,
    )
