"""The minimum weight of FRoGGeR (Li et al. 2023): how evenly contacts can balance each other.

    l* = max l   subject to   W a = 0,  sum a = 1,  a_k >= l          l_bar = m l*  for m columns

Force closure is ``l_bar > 0``; 1 is reached when the columns sum to zero. With ``S = sum_k w_k`` and ``b_k = m w_k - S`` the
dual has six unknowns and no equations,

    l_bar = 1 - max_v { -S.v :  b_k.v <= 1  for all k } ,

and v = 0 is inside. It is solved by walking: along the objective projected on the faces reached so far, to the next face; at
a vertex the face with the most negative multiplier is left. With the multipliers c_k of the end and the optimal v,

    d l_bar / d w_k = v (l_bar + m c_k) ,

which is m v a_k. Where the contacts do not span all wrenches the dual may be unbounded: the grasp then counts as ``floor``.
float64 throughout. Geometrically ``1 - l_bar`` is the part of the way from the columns' mean to the border of their convex
hull, through the origin, that the origin lies on.
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.contact import Contacts
from warpgrasp.kernels.energies.wrench import GraspedObjects, write_contact_wrenches
from warpgrasp.kernels.spatial import vec6

__all__ = ["minimum_weight_kernel"]

wp.set_module_options({"enable_backward": False})

_vec6d = wp.types.vector(length=6, dtype=wp.float64)
_vec6i = wp.types.vector(length=6, dtype=wp.int32)
_mat66d = wp.types.matrix(shape=(6, 6), dtype=wp.float64)

_ZERO = wp.constant(wp.float64(0.0))
_ONE = wp.constant(wp.float64(1.0))
_PIVOT = wp.constant(wp.float64(1.0e-30))
_FLAT = wp.constant(wp.float64(1.0e-9))  # of the objective: what is left of it when it is met
_SHIFT = wp.constant(wp.float64(1.0e-9))  # of the bounds, so that no two faces meet in one step
_STEP_LIMIT = wp.constant(200)


@wp.struct
class _Walk:
    """Where the walk stands: the point, the faces it lies on and their multipliers."""

    point: _vec6d
    count: int
    face: _vec6i
    multiplier: _vec6d
    bounded: int


@wp.func
def _face(wrench_matrix: wp.array2d(dtype=vec6), grasp: int, k: int, total: _vec6d) -> _vec6d:
    """Normal ``b_k = m w_k - S`` of a face."""
    return _vec6d(wrench_matrix[grasp, k]) * wp.float64(wrench_matrix.shape[1]) - total


@wp.func
def _bound(k: int) -> wp.float64:
    """Right-hand side of a face: one, a little more for each."""
    return _ONE + _SHIFT * wp.float64(1 + (k * 7) % 31)


@wp.func
def _multipliers(
    wrench_matrix: wp.array2d(dtype=vec6), grasp: int, walk: _Walk, total: _vec6d, objective: _vec6d
) -> _vec6d:
    """Least-squares multipliers of the faces, ``min |objective - sum_i x_i b_i|``, by Cholesky."""
    size = int(6)
    a = _mat66d()
    x = _vec6d()
    for i in range(size):
        if i < walk.count:
            bi = _face(wrench_matrix, grasp, walk.face[i], total)
            x[i] = wp.dot(bi, objective)
            for j in range(i + 1):
                a[i, j] = wp.dot(bi, _face(wrench_matrix, grasp, walk.face[j], total))
        else:
            a[i, i] = _ONE
    for j in range(size):
        for k in range(j):
            a[j, j] = a[j, j] - a[j, k] * a[j, k]
        a[j, j] = wp.sqrt(wp.max(a[j, j], _PIVOT))
        for i in range(j + 1, size):
            for k in range(j):
                a[i, j] = a[i, j] - a[i, k] * a[j, k]
            a[i, j] = a[i, j] / a[j, j]
    for i in range(size):
        for k in range(i):
            x[i] = x[i] - a[i, k] * x[k]
        x[i] = x[i] / a[i, i]
    for r in range(size):
        i = size - 1 - r
        for k in range(i + 1, size):
            x[i] = x[i] - a[k, i] * x[k]
        x[i] = x[i] / a[i, i]
    return x


@wp.func
def _advance(
    wrench_matrix: wp.array2d(dtype=vec6), grasp: int, walk: _Walk, total: _vec6d, way: _vec6d
) -> _Walk:
    """Walk along ``way`` to the next face, or mark that there is none."""
    w = walk
    nearest = wp.float64(1.0e300)
    chosen = int(-1)
    length = wp.sqrt(wp.dot(way, way))
    for k in range(wrench_matrix.shape[1]):
        known = int(0)
        for i in range(w.count):
            if w.face[i] == k:
                known = 1
        b = _face(wrench_matrix, grasp, k, total)
        slope = wp.dot(b, way)
        if known == 0 and slope > _FLAT * length * wp.sqrt(wp.dot(b, b)):
            reach = wp.max(_bound(k) - wp.dot(b, w.point), _ZERO) / slope
            if reach < nearest:
                nearest = reach
                chosen = k
    if chosen < 0:
        w.bounded = 0
        return w
    w.point = w.point + way * nearest
    w.face[w.count] = chosen
    w.count = w.count + 1
    return w


@wp.func
def _largest(wrench_matrix: wp.array2d(dtype=vec6), grasp: int, total: _vec6d) -> _Walk:
    """Vertex that is largest along ``-S``, its faces and multipliers."""
    w = _Walk()
    w.bounded = 1
    objective = total * -_ONE
    size = wp.dot(objective, objective)
    if size < _PIVOT:
        return w
    for _step in range(_STEP_LIMIT):
        w.multiplier = _multipliers(wrench_matrix, grasp, w, total, objective)
        way = objective
        for i in range(w.count):
            way = way - _face(wrench_matrix, grasp, w.face[i], total) * w.multiplier[i]
        if w.count == 6 or wp.dot(way, way) <= _FLAT * _FLAT * size:
            least = _ZERO
            worst = int(-1)
            for i in range(w.count):
                if w.multiplier[i] < least:
                    least = w.multiplier[i]
                    worst = i
            if worst < 0:
                break
            for i in range(worst, w.count - 1):
                w.face[i] = w.face[i + 1]
            w.count = w.count - 1
        else:
            w = _advance(wrench_matrix, grasp, w, total, way)
            if w.bounded == 0:
                break
    return w


@wp.kernel
def minimum_weight_kernel(
    edge_direction: wp.array(dtype=wp.vec2),  # [k]
    friction: float,
    torque_weight: float,
    target: float,
    sharpness: float,
    floor: float,
    objects: GraspedObjects,
    contacts: Contacts,
    # outputs
    wrench_matrix: wp.array2d(dtype=vec6),  # [B, C k] scratch
    minimum_weight: wp.array(dtype=wp.float32),  # [B] l_bar, at least floor
    energy: wp.array(dtype=wp.float32),  # [B]
    position_gradient: wp.array2d(dtype=wp.vec3),  # [B, C]
):
    """``softplus(sharpness (target - l_bar)) / sharpness``, or the hinge for sharpness 0, and its derivatives."""
    grasp = wp.tid()
    center = objects.center_of_mass[objects.index[grasp]]
    edge_count = edge_direction.shape[0]
    contact_count = contacts.index.shape[1]
    total = _vec6d()
    for contact in range(contact_count):
        position_gradient[grasp, contact] = wp.vec3(0.0, 0.0, 0.0)
        write_contact_wrenches(
            contacts.position[grasp, contact],
            contacts.object_normal[grasp, contact],
            center,
            friction,
            torque_weight,
            edge_direction,
            grasp,
            contact,
            wrench_matrix,
        )
        for j in range(edge_count):
            total = total + _vec6d(wrench_matrix[grasp, contact * edge_count + j])
    walk = _largest(wrench_matrix, grasp, total)
    value = _ONE + wp.dot(walk.point, total)
    if walk.bounded == 0 or value < wp.float64(floor):
        value = wp.float64(floor)
        walk.bounded = 0
    minimum_weight[grasp] = wp.float32(value)
    short = target - wp.float32(value)
    slope = float(0.0)
    if sharpness > 0.0:
        scaled = sharpness * short
        energy[grasp] = (wp.max(scaled, 0.0) + wp.log(1.0 + wp.exp(-wp.abs(scaled)))) / sharpness
        slope = 1.0 / (1.0 + wp.exp(-scaled))
    else:
        energy[grasp] = wp.max(short, 0.0)
        if short > 0.0:
            slope = 1.0
    if walk.bounded == 0:
        return
    count = wp.float64(wrench_matrix.shape[1])
    torque = wp.vec3(wp.float32(walk.point[3]), wp.float32(walk.point[4]), wp.float32(walk.point[5]))
    for contact in range(contact_count):
        gradient = wp.vec3()
        for j in range(edge_count):
            column = contact * edge_count + j
            share = value
            for i in range(walk.count):
                if walk.face[i] == column:
                    share = share + count * walk.multiplier[i]
            w = wrench_matrix[grasp, column]
            gradient += wp.cross(wp.vec3(w[0], w[1], w[2]), torque) * wp.float32(share)
        position_gradient[grasp, contact] = gradient * (-slope * torque_weight)
