"""Fingertips as springs: where the object comes to rest, and whether the springs push inside their friction cones.

Fingertip i touches the object at x_i with the outward normal n_i and is drawn to a target y_i by a spring of stiffness k_i. The
object, held by its contacts, comes to rest where (Chen et al. 2024, SpringGrasp)

    (R, t) = argmin sum_i k_i |R x_i + t - y_i|^2,

the weighted Kabsch problem; gravity is one more spring. With ``X_i = R x_i + t``,
``a_i = <X_i - y_i, R n_i> / |X_i - y_i|`` and
``m_i = a_i - 1 / sqrt(1 + mu^2)`` the energy is

    - w_r sum_i [0.2 log(1 + a_i) + 0.8 log(1 + m_i)]      at rest, and half as much before the object moves
    - w_f mean_i min(k_i |X_i - y_i|, f_max) + w_m mean_i |X_i - x_i| + w_k sum_i k_i + w_y sum_i d(y_i) + w_x sum_i |d(x_i)|,

d the distance to the object. The logarithms go on as straight lines below 0.05.

The rotation is a function of (x, y, k) through its stationarity ``sum_i k_i c_i x b_i = 0``, ``c_i = R (x_i - x_mean)``,
``b_i = y_i - y_mean``. Turned by w, the left side changes by ``M w``, ``M = sum_i k_i (c_i b_i^T - (c_i . b_i) I)``, so the
adjoint of the rotation, a torque G, becomes ``l = -M^-T G`` and gives ``k_i R^T (b_i x l)`` to x_i, ``k_i l x c_i`` to y_i
and ``l . (c_i x b_i)`` to k_i. Normals are frozen. In float64.
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.contact import add_point_force
from warpgrasp.kernels.energies.fingertips import Fingertips, TipContacts
from warpgrasp.kernels.energies.wrench import GraspedObjects
from warpgrasp.kernels.mesh_distance import UNBOUNDED, MeshSet, query_closest_feature
from warpgrasp.kernels.spatial import vec6

__all__ = ["SpringWeights", "Springs", "spring_equilibrium_kernel"]

wp.set_module_options({"enable_backward": False})

_FLOOR = wp.constant(wp.float64(0.05))
_SMALL = wp.constant(wp.float64(1.0e-8))  # m^2 under roots


@wp.struct
class SpringWeights:
    """Weights of the parts of the energy."""

    reward: wp.float64
    force: wp.float64
    largest_force: wp.float64  #: N
    motion: wp.float64  #: 1/m
    stiffness: wp.float64  #: m/N
    target: wp.float64  #: 1/m
    distance: wp.float64  #: 1/m
    cosine: wp.float64  #: of the friction angle
    gravity: wp.vec3d  #: way of gravity's spring [m]
    gravity_stiffness: wp.float64  #: N/m; 0 leaves it out


@wp.struct
class Springs:
    """Targets and stiffnesses of ``B`` grasps, their derivatives, and working memory."""

    target: wp.array2d(dtype=wp.vec3)  #: [B, F] m, object frame
    stiffness: wp.array2d(dtype=wp.float32)  #: [B, F] N/m
    target_slope: wp.array2d(dtype=wp.vec3)  #: [B, F]
    stiffness_slope: wp.array2d(dtype=wp.float32)  #: [B, F]
    pull: wp.array2d(dtype=wp.vec3d)  #: [B, F] derivative with respect to X_i
    margin: wp.array(dtype=wp.float32)  #: [B] least m_i at rest


@wp.func
def _log(s: wp.float64) -> wp.float64:
    value = wp.log(wp.max(s, _FLOOR))
    if s < _FLOOR:
        value += (s - _FLOOR) / _FLOOR
    return value


@wp.func
def _reward(weights: SpringWeights, a: wp.float64):
    """Reward of a cosine and its slope."""
    one = wp.float64(1.0)
    inner = one + a - weights.cosine
    value = wp.float64(0.2) * _log(one + a) + wp.float64(0.8) * _log(inner)
    slope = wp.float64(0.2) / wp.max(one + a, _FLOOR) + wp.float64(0.8) / wp.max(inner, _FLOOR)
    return value, slope


@wp.func
def _rotation(moment: wp.mat33d) -> wp.mat33d:
    """The rotation R that maximises ``tr(R^T H)``."""
    u = wp.mat33d()
    s = wp.vec3d()
    v = wp.mat33d()
    wp.svd3(moment, u, s, v)
    side = wp.identity(n=3, dtype=wp.float64)
    side[2, 2] = wp.determinant(u) * wp.determinant(v)
    return u * side * wp.transpose(v)


@wp.struct
class _Rest:
    """Where the object comes to rest."""

    rotation: wp.mat33d
    x_mean: wp.vec3d
    y_mean: wp.vec3d
    total: wp.float64  #: of the stiffnesses


@wp.struct
class _Tip:
    """What one spring adds to the energy, and the derivatives."""

    value: wp.float64
    pull: wp.vec3d  #: by X
    torque: wp.vec3d  #: by a turn of the object
    direct: wp.vec3d  #: by x, the rest pose fixed
    target_slope: wp.vec3d  #: by y, the rest pose fixed
    stiffness_slope: wp.float64  #: by k, the rest pose fixed
    margin: wp.float64


@wp.func
def _rest(
    contacts: TipContacts, springs: Springs, weights: SpringWeights, center: wp.vec3d, grasp: int
) -> _Rest:
    """Centroids and rotation; gravity pulls at the centre of mass."""
    result = _Rest()
    result.total = weights.gravity_stiffness
    result.x_mean = result.total * center
    result.y_mean = result.total * (center + weights.gravity)
    for i in range(springs.target.shape[1]):
        k = wp.float64(springs.stiffness[grasp, i])
        result.total += k
        result.x_mean += k * wp.vec3d(contacts.center[grasp, i])
        result.y_mean += k * wp.vec3d(springs.target[grasp, i])
    result.x_mean = result.x_mean / result.total
    result.y_mean = result.y_mean / result.total
    moment = weights.gravity_stiffness * wp.outer(
        center + weights.gravity - result.y_mean, center - result.x_mean
    )
    for i in range(springs.target.shape[1]):
        k = wp.float64(springs.stiffness[grasp, i])
        b = wp.vec3d(springs.target[grasp, i]) - result.y_mean
        moment += k * wp.outer(b, wp.vec3d(contacts.center[grasp, i]) - result.x_mean)
    result.rotation = _rotation(moment)
    return result


@wp.func
def _spring(
    weights: SpringWeights,
    rest: _Rest,
    number: wp.float64,
    x: wp.vec3d,
    y: wp.vec3d,
    normal: wp.vec3d,
    k: wp.float64,
) -> _Tip:
    """Reward at rest and before, force, stiffness and motion of one spring."""
    result = _Tip()
    place = rest.y_mean + rest.rotation * (x - rest.x_mean)
    turned = rest.rotation * normal
    way = place - y
    length = wp.sqrt(wp.dot(way, way) + _SMALL)
    a = wp.dot(way, turned) / length
    reward, slope = _reward(weights, a)
    result.margin = a - weights.cosine
    result.value = weights.stiffness * k - weights.reward * reward
    result.pull = (-weights.reward * slope / length) * (turned - (a / length) * way)
    result.torque = wp.cross(turned, (-weights.reward * slope / length) * way)
    result.stiffness_slope = weights.stiffness
    if k * length < weights.largest_force:
        result.value -= weights.force / number * k * length
        result.pull -= (weights.force / number * k / length) * way
        result.stiffness_slope -= weights.force / number * length
    else:
        result.value -= weights.force / number * weights.largest_force
    result.target_slope = -result.pull  # both depend on X - y
    moved = place - x
    far = wp.sqrt(wp.dot(moved, moved) + _SMALL)
    result.value += weights.motion / number * far
    push = (weights.motion / number / far) * moved
    result.pull += push
    still = x - y
    span = wp.sqrt(wp.dot(still, still) + _SMALL)
    cosine = wp.dot(still, normal) / span
    reward, slope = _reward(weights, cosine)
    result.value -= wp.float64(0.5) * weights.reward * reward
    change = (wp.float64(-0.5) * weights.reward * slope / span) * (normal - (cosine / span) * still)
    result.direct = change - push
    result.target_slope -= change
    result.torque += wp.cross(place - rest.y_mean, result.pull)
    return result


@wp.func
def _turn_adjoint(
    contacts: TipContacts,
    springs: Springs,
    weights: SpringWeights,
    rest: _Rest,
    center: wp.vec3d,
    torque: wp.vec3d,
    grasp: int,
) -> wp.vec3d:
    """``-M^-T G`` of the balance of torques."""
    one = wp.identity(n=3, dtype=wp.float64)
    arm = rest.rotation * (center - rest.x_mean)
    lever = center + weights.gravity - rest.y_mean
    system = weights.gravity_stiffness * (wp.outer(arm, lever) - wp.dot(arm, lever) * one)
    for i in range(springs.target.shape[1]):
        k = wp.float64(springs.stiffness[grasp, i])
        c = rest.rotation * (wp.vec3d(contacts.center[grasp, i]) - rest.x_mean)
        b = wp.vec3d(springs.target[grasp, i]) - rest.y_mean
        system += k * (wp.outer(c, b) - wp.dot(c, b) * one)
    return -(wp.inverse(wp.transpose(system)) * torque)


@wp.kernel
def spring_equilibrium_kernel(
    tips: Fingertips,
    objects: GraspedObjects,
    meshes: MeshSet,
    contacts: TipContacts,
    weights: SpringWeights,
    weight: float,
    # outputs
    springs: Springs,
    energy: wp.array(dtype=wp.float32),  # [B]
    link_wrench: wp.array2d(dtype=vec6),  # [B, L]
):
    """Energy [B], its weighted link wrenches [B, L], and its unweighted derivatives by targets and stiffnesses."""
    grasp = wp.tid()
    obj = objects.index[grasp]
    count = tips.link.shape[0]
    zero = wp.vec3(0.0, 0.0, 0.0)
    center = wp.vec3d(objects.center_of_mass[obj])
    rest = _rest(contacts, springs, weights, center, grasp)
    value = wp.float64(0.0)
    torque = wp.vec3d()
    pull_sum = wp.vec3d()
    least = wp.float64(2.0)
    for i in range(count):
        x = contacts.center[grasp, i]
        normal = wp.vec3d(contacts.normal[grasp, i])
        k = wp.float64(springs.stiffness[grasp, i])
        y = wp.vec3d(springs.target[grasp, i])
        tip = _spring(weights, rest, wp.float64(count), wp.vec3d(x), y, normal, k)
        inside = query_closest_feature(meshes, obj, springs.target[grasp, i], UNBOUNDED)
        gap = wp.float64(contacts.distance[grasp, i])
        smooth = wp.sqrt(gap * gap + _SMALL)
        value += tip.value + weights.target * wp.float64(inside.distance) + weights.distance * smooth
        torque += tip.torque
        pull_sum += tip.pull
        least = wp.min(least, tip.margin)
        springs.pull[grasp, i] = tip.pull
        springs.target_slope[grasp, i] = wp.vec3(tip.target_slope + weights.target * wp.vec3d(inside.normal))
        springs.stiffness_slope[grasp, i] = wp.float32(tip.stiffness_slope)
        direct = tip.direct + (weights.distance * gap / smooth) * normal
        add_point_force(link_wrench, grasp, tips.link[i], x, weight * wp.vec3(direct), zero)
    energy[grasp] = wp.float32(value)
    springs.margin[grasp] = wp.float32(least)
    turn = _turn_adjoint(contacts, springs, weights, rest, center, torque, grasp)
    for i in range(count):
        x = contacts.center[grasp, i]
        k = wp.float64(springs.stiffness[grasp, i])
        c = rest.rotation * (wp.vec3d(x) - rest.x_mean)
        b = wp.vec3d(springs.target[grasp, i]) - rest.y_mean
        slope = springs.pull[grasp, i] - (k / rest.total) * pull_sum + k * wp.cross(b, turn)
        target_change = (k / rest.total) * pull_sum + k * wp.cross(turn, c)
        change = wp.dot(pull_sum, b - c) / rest.total + wp.dot(turn, wp.cross(c, b))
        springs.target_slope[grasp, i] = springs.target_slope[grasp, i] + wp.vec3(target_change)
        springs.stiffness_slope[grasp, i] = springs.stiffness_slope[grasp, i] + wp.float32(change)
        force = weight * wp.vec3(wp.transpose(rest.rotation) * slope)
        add_point_force(link_wrench, grasp, tips.link[i], x, force, zero)
