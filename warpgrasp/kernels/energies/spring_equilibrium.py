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
    number = wp.float64(count)
    zero = wp.vec3(0.0, 0.0, 0.0)
    # centroids and rotation; gravity pulls at the centre of mass
    center = wp.vec3d(objects.center_of_mass[obj])
    total = weights.gravity_stiffness
    x_mean = total * center
    y_mean = total * (center + weights.gravity)
    for i in range(count):
        k = wp.float64(springs.stiffness[grasp, i])
        total += k
        x_mean += k * wp.vec3d(contacts.center[grasp, i])
        y_mean += k * wp.vec3d(springs.target[grasp, i])
    x_mean = x_mean / total
    y_mean = y_mean / total
    moment = weights.gravity_stiffness * wp.outer(center + weights.gravity - y_mean, center - x_mean)
    for i in range(count):
        k = wp.float64(springs.stiffness[grasp, i])
        moment += k * wp.outer(
            wp.vec3d(springs.target[grasp, i]) - y_mean, wp.vec3d(contacts.center[grasp, i]) - x_mean
        )
    rotation = _rotation(moment)
    # value, and derivatives by X, R n, and what enters directly
    value = wp.float64(0.0)
    torque = wp.vec3d()
    pull_sum = wp.vec3d()
    least = wp.float64(2.0)
    for i in range(count):
        x = wp.vec3d(contacts.center[grasp, i])
        y = wp.vec3d(springs.target[grasp, i])
        normal = wp.vec3d(contacts.normal[grasp, i])
        k = wp.float64(springs.stiffness[grasp, i])
        rest = y_mean + rotation * (x - x_mean)
        turned = rotation * normal
        way = rest - y
        length = wp.sqrt(wp.dot(way, way) + _SMALL)
        a = wp.dot(way, turned) / length
        reward, slope = _reward(weights, a)
        least = wp.min(least, a - weights.cosine)
        value -= weights.reward * reward
        pull = (-weights.reward * slope / length) * (turned - (a / length) * way)
        torque += wp.cross(turned, (-weights.reward * slope / length) * way)
        stiffness_slope = weights.stiffness
        value += weights.stiffness * k
        if k * length < weights.largest_force:
            value -= weights.force / number * k * length
            pull -= (weights.force / number * k / length) * way
            stiffness_slope -= weights.force / number * length
        else:
            value -= weights.force / number * weights.largest_force
        target_slope = -pull  # both depend on X - y
        # how far the object moves
        moved = rest - x
        far = wp.sqrt(wp.dot(moved, moved) + _SMALL)
        value += weights.motion / number * far
        push = (weights.motion / number / far) * moved
        pull += push
        direct = -push
        # before it moves
        still = x - y
        span = wp.sqrt(wp.dot(still, still) + _SMALL)
        cosine = wp.dot(still, normal) / span
        reward, slope = _reward(weights, cosine)
        value -= wp.float64(0.5) * weights.reward * reward
        change = (wp.float64(-0.5) * weights.reward * slope / span) * (normal - (cosine / span) * still)
        direct += change
        target_slope -= change
        # distances of target and tip
        inside = query_closest_feature(meshes, obj, springs.target[grasp, i], UNBOUNDED)
        value += weights.target * wp.float64(inside.distance)
        target_slope += weights.target * wp.vec3d(inside.normal)
        gap = wp.float64(contacts.distance[grasp, i])
        smooth = wp.sqrt(gap * gap + _SMALL)
        value += weights.distance * smooth
        direct += (weights.distance * gap / smooth) * normal
        torque += wp.cross(rest - y_mean, pull)
        pull_sum += pull
        springs.pull[grasp, i] = pull
        springs.target_slope[grasp, i] = wp.vec3(target_slope)
        springs.stiffness_slope[grasp, i] = wp.float32(stiffness_slope)
        force = weight * wp.vec3(direct)
        add_point_force(link_wrench, grasp, tips.link[i], contacts.center[grasp, i], force, zero)
    energy[grasp] = wp.float32(value)
    springs.margin[grasp] = wp.float32(least)
    # through the rest pose
    arm = rotation * (center - x_mean)
    lever = center + weights.gravity - y_mean
    system = weights.gravity_stiffness * (
        wp.outer(arm, lever) - wp.dot(arm, lever) * wp.identity(n=3, dtype=wp.float64)
    )
    for i in range(count):
        k = wp.float64(springs.stiffness[grasp, i])
        c = rotation * (wp.vec3d(contacts.center[grasp, i]) - x_mean)
        b = wp.vec3d(springs.target[grasp, i]) - y_mean
        system += k * (wp.outer(c, b) - wp.dot(c, b) * wp.identity(n=3, dtype=wp.float64))
    turn = -(wp.inverse(wp.transpose(system)) * torque)
    back = wp.transpose(rotation)
    for i in range(count):
        k = wp.float64(springs.stiffness[grasp, i])
        c = rotation * (wp.vec3d(contacts.center[grasp, i]) - x_mean)
        b = wp.vec3d(springs.target[grasp, i]) - y_mean
        tip_slope = back * (springs.pull[grasp, i] - (k / total) * pull_sum + k * wp.cross(b, turn))
        target_change = (k / total) * pull_sum + k * wp.cross(turn, c)
        stiffness_change = wp.dot(pull_sum, b - c) / total + wp.dot(turn, wp.cross(c, b))
        springs.target_slope[grasp, i] = springs.target_slope[grasp, i] + wp.vec3(target_change)
        springs.stiffness_slope[grasp, i] = springs.stiffness_slope[grasp, i] + wp.float32(stiffness_change)
        add_point_force(
            link_wrench, grasp, tips.link[i], contacts.center[grasp, i], weight * wp.vec3(tip_slope), zero
        )
