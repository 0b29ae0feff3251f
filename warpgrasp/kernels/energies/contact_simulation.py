"""A contact simulation of one step that a tape can differentiate (Turpin et al. 2023).

The hand is thousands of points on its surface and stands still; the object is free, of mass m and inertia ``I = 2/5 m R^2``. In
each of M tests it starts with another velocity, moves for a time ``h``, and is pushed back by position-based dynamics (Müller
et al. 2020): point i at p, with the gradient n of the object's distance rho there, violates its constraint by
``C = max(0, level - rho)``, and moves the object by

    d = -n C / (w m),   t = -(a x n) C / (w I),   a = p - o,   w = 1/m + |a x n|^2 / I,

and against its sliding by at most mu times as much. The pushes of all points that touch are averaged. What remains of the
motion over ``h`` is the velocity after the step, and the energy is its mean size over the tests.

The distance is that to a smoothed surface: the closest point of the mesh is drawn towards the planes of the vertex normals
(Boubekeur and Alexa 2008, Phong tessellation). ``level`` dilates the object, so that a hand far away touches it. Points that
do not touch have no influence on the motion, and would have no gradient; they are given a part of it (leak) where more
contact is asked for. Closest points and their normals are frozen.
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.distance_bound import DistanceBound, largest_distance
from warpgrasp.kernels.energies.wrench import GraspedObjects
from warpgrasp.kernels.mesh_distance import MeshSet
from warpgrasp.kernels.spatial import vec6

__all__ = [
    "ContactSimulation",
    "HandSurface",
    "SurfaceDistance",
    "freeze_surface_kernel",
    "level_kernel",
    "push_kernel",
    "remaining_motion_kernel",
    "touching_kernel",
]

wp.set_module_options({"enable_backward": True})

_SURFACE_TOLERANCE = wp.constant(1.0e-6)  # m; nearer than this, the direction p - c is rounding noise
_SMALL = wp.constant(1.0e-12)


@wp.struct
class HandSurface:
    """Points all over a hand's surface, ``P`` of them."""

    link: wp.array(dtype=wp.int32)  #: [P]
    position: wp.array(dtype=wp.vec3)  #: [P] m, link frame


@wp.struct
class SurfaceDistance:
    """Frozen features of the smoothed object at the points of ``B`` hands, object frame."""

    closest: wp.array2d(dtype=wp.vec3)  #: [B, P] m, on the mesh; on entry those of the last call, or far away
    place: wp.array2d(dtype=wp.vec3)  #: [B, P] m, on the smoothed surface
    normal: wp.array2d(dtype=wp.vec3)  #: [B, P] unit, gradient of the distance
    touching: wp.array2d(dtype=wp.float32)  #: [B, M] points that touch in each test, at least 1


@wp.struct
class ContactSimulation:
    """Constants of the simulation."""

    motion: wp.array(
        dtype=vec6
    )  #: [M] motion of the object in a step: translation [m], rotation vector [rad]
    level: wp.array(dtype=wp.float32)  #: [1] m, dilation of the object
    radius: wp.array(dtype=wp.float32)  #: [O] m, R of the inertia; mass is 1 kg
    friction: float
    leak: float
    step: float  #: s
    squared: int  #: 1: sum of squares (released program); 0: mean of lengths (paper)


@wp.kernel(enable_backward=False)
def level_kernel(
    dilation: wp.array(dtype=wp.float32),  # [1] m
    own: float,
    # outputs
    level: wp.array(dtype=wp.float32),  # [1] m
):
    """Dilation of the object: that of a schedule and a constant one."""
    level[0] = dilation[0] + own


@wp.func
def _phong(
    mesh: wp.uint64, face: int, u: float, v: float, normals: wp.array2d(dtype=wp.vec3), row: int, blend: float
):
    """Closest point drawn towards the tangent planes of the vertices, and the interpolated normal."""
    w = 1.0 - u - v
    plain = wp.mesh_eval_position(mesh, face, u, v)
    corner_u = wp.mesh_eval_position(mesh, face, 1.0, 0.0)
    corner_v = wp.mesh_eval_position(mesh, face, 0.0, 1.0)
    corner_w = wp.mesh_eval_position(mesh, face, 0.0, 0.0)
    normal_u = normals[row, 4]
    normal_v = normals[row, 5]
    normal_w = normals[row, 6]
    drawn = plain - u * wp.dot(plain - corner_u, normal_u) * normal_u
    drawn -= v * wp.dot(plain - corner_v, normal_v) * normal_v
    drawn -= w * wp.dot(plain - corner_w, normal_w) * normal_w
    return (1.0 - blend) * plain + blend * drawn, u * normal_u + v * normal_v + w * normal_w


@wp.kernel(enable_backward=False)
def freeze_surface_kernel(
    surface: HandSurface,
    meshes: MeshSet,
    bound: DistanceBound,
    object_index: wp.array(dtype=wp.int32),  # [B]
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    blend: float,
    # outputs
    distance: SurfaceDistance,
):
    """Places on the smoothed surface closest to the points of the hand, and the gradients of the distance there."""
    grasp, i = wp.tid()
    obj = object_index[grasp]
    point = wp.transform_point(link_pose[grasp, surface.link[i]], surface.position[i])
    mesh = meshes.mesh[obj]
    within = wp.min(largest_distance(bound, obj, point), wp.length(point - distance.closest[grasp, i]))
    query = wp.mesh_query_point_no_sign(mesh, point, 1.001 * within + 1.0e-5)
    distance.closest[grasp, i] = wp.mesh_eval_position(mesh, query.face, query.u, query.v)
    row = meshes.face_start[obj] + query.face
    place, normal = _phong(mesh, query.face, query.u, query.v, meshes.feature_normal, row, blend)
    offset = point - place
    length = wp.length(offset)
    if length > _SURFACE_TOLERANCE:
        side = wp.where(wp.dot(offset, normal) < 0.0, -1.0, 1.0)
        distance.normal[grasp, i] = (side / length) * offset
    else:
        distance.normal[grasp, i] = wp.normalize(normal)
    distance.place[grasp, i] = place


@wp.func
def _moved_distance(rho: float, motion: vec6, arm: wp.vec3, normal: wp.vec3) -> float:
    """Distance after the object has moved."""
    way = wp.vec3(motion[0], motion[1], motion[2])
    turn = wp.vec3(motion[3], motion[4], motion[5])
    return rho - wp.dot(normal, way + wp.cross(turn, arm))


@wp.kernel(enable_backward=False)
def touching_kernel(
    surface: HandSurface,
    objects: GraspedObjects,
    simulation: ContactSimulation,
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    # outputs
    distance: SurfaceDistance,
):
    """Number of points that touch the moved object, shape [B, M], at least 1."""
    grasp, test = wp.tid()
    center = objects.center_of_mass[objects.index[grasp]]
    count = float(0.0)
    for i in range(surface.link.shape[0]):
        point = wp.transform_point(link_pose[grasp, surface.link[i]], surface.position[i])
        normal = distance.normal[grasp, i]
        rho = wp.dot(normal, point - distance.place[grasp, i])
        if _moved_distance(rho, simulation.motion[test], point - center, normal) < simulation.level[0]:
            count += 1.0
    distance.touching[grasp, test] = wp.max(count, 1.0)


@wp.func
def _leaky_depth(depth: float, leak: float) -> float:
    """``max(0, depth)``, whose derivative outside is ``leak`` where a larger depth would lower the energy."""
    return wp.max(depth, 0.0)


@wp.func_grad(_leaky_depth)
def _adjoint_leaky_depth(depth: float, leak: float, adjoint: float):
    if depth > 0.0:
        wp.adjoint[depth] += adjoint
    elif adjoint < 0.0:
        wp.adjoint[depth] += leak * adjoint


@wp.kernel
def push_kernel(
    surface: HandSurface,
    objects: GraspedObjects,
    simulation: ContactSimulation,
    distance: SurfaceDistance,
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    # outputs
    push: wp.array2d(dtype=vec6),  # [B, M] added to
):
    """Add the averaged pushes of all points on the object: translation [m] and rotation vector [rad]; taped."""
    grasp, test, i = wp.tid()
    obj = objects.index[grasp]
    point = wp.transform_point(link_pose[grasp, surface.link[i]], surface.position[i])
    normal = distance.normal[grasp, i]
    arm = point - objects.center_of_mass[obj]
    motion = simulation.motion[test]
    rho = wp.dot(normal, point - distance.place[grasp, i])
    depth = _leaky_depth(simulation.level[0] - _moved_distance(rho, motion, arm, normal), simulation.leak)
    inertia = 0.4 * simulation.radius[obj] * simulation.radius[obj]
    lever = wp.cross(arm, normal)
    pressure = depth / (1.0 + wp.dot(lever, lever) / inertia)
    way = wp.vec3(motion[0], motion[1], motion[2])
    turn = wp.vec3(motion[3], motion[4], motion[5])
    sliding = way + wp.cross(turn, arm)
    sliding = sliding - wp.dot(sliding, normal) * normal
    speed = wp.length(sliding)
    impulse = -pressure * normal
    if speed > 1.0e-9:
        along = sliding / speed
        cross_lever = wp.cross(arm, along)
        stopping = speed / (1.0 + wp.dot(cross_lever, cross_lever) / inertia)
        impulse = impulse - wp.min(stopping, simulation.friction * pressure) * along
    moment = wp.cross(arm, impulse) / inertia
    share = 1.0 / distance.touching[grasp, test]
    wp.atomic_add(
        push,
        grasp,
        test,
        share * vec6(impulse[0], impulse[1], impulse[2], moment[0], moment[1], moment[2]),
    )


@wp.kernel
def remaining_motion_kernel(
    objects: GraspedObjects,
    simulation: ContactSimulation,
    push: wp.array2d(dtype=vec6),  # [B, M]
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B] added to
):
    """Add the sizes of the velocities after the step over all tests [m/s], turns times the radius; taped."""
    grasp, test = wp.tid()
    moved = (simulation.motion[test] + push[grasp, test]) / simulation.step
    velocity = wp.vec3(moved[0], moved[1], moved[2])
    spin = simulation.radius[objects.index[grasp]] * wp.vec3(moved[3], moved[4], moved[5])
    if simulation.squared != 0:
        wp.atomic_add(energy, grasp, wp.dot(velocity, velocity) + wp.dot(spin, spin))
    else:
        size = wp.sqrt(wp.dot(velocity, velocity) + _SMALL) + wp.sqrt(wp.dot(spin, spin) + _SMALL)
        wp.atomic_add(energy, grasp, size / float(simulation.motion.shape[0]))
