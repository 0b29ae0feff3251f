"""Opening of a closed hand: small steps in which every link that is near the object leaves it, all by the same way.

A step looks at the surface points of every link that are nearest to the object, up to three each, and asks those nearer than
the clearance c to move outward: along the distance's gradient g the point at x is to move by r = min(c - d, longest),

    (g . J) dq + g . dp = r,

J the Jacobian of x, dp a translation of the root, which does not turn. The worst pairs of spheres that are nearer to each
other than a gap are asked to part likewise. The step is the damped least-squares solution

    min sum_rows w (row . u - r)^2 + sum_i D_i u_i^2,      u = [dp, dq],

once more without the joints that would pass their limits (Wampler 1986; Nakamura and Hanafusa 1986, damped least squares).
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.distance_bound import DistanceBound, largest_distance, surely_farther
from warpgrasp.kernels.energies.self_penetration import HandSpheres
from warpgrasp.kernels.kinematics import KinematicTree
from warpgrasp.kernels.mesh_distance import MeshSet, query_closest_feature
from warpgrasp.kernels.targets.least_squares import (
    StepScratch,
    add_motion,
    add_row,
    add_spheres,
    clear_system,
    move_joints,
    solve_within_limits,
)

__all__ = ["NEAREST_COUNT", "SurfacePoints", "launch_nearest_points", "launch_opening_step"]

wp.set_module_options({"enable_backward": False})

NEAREST_COUNT = 3
"""Points of a link that a step looks at."""

_NEAREST = wp.constant(NEAREST_COUNT)
_DONE = wp.constant(0.99)  # of the clearance: the last hundredth takes as many steps as the rest


@wp.struct
class SurfacePoints:
    """Points on the surface of a hand, ``P`` in all, those of a link side by side."""

    start: wp.array(dtype=wp.int32)  #: [L + 1]
    position: wp.array(dtype=wp.vec3)  #: [P] m, link frame, neighbours side by side
    link_sphere: wp.array(
        dtype=wp.vec4
    )  #: [L] center and radius [m] around the points of each link, link frame
    link_cluster: wp.array(dtype=wp.int32)  #: [L + 1] first cluster of each link
    cluster_start: wp.array(dtype=wp.int32)  #: [K + 1] first point of each cluster
    cluster_sphere: wp.array(dtype=wp.vec4)  #: [K] center and radius [m], link frame


@wp.func
def _slot_of(
    distance: wp.array3d(dtype=wp.float32),
    position: wp.array3d(dtype=wp.vec3),
    normal: wp.array3d(dtype=wp.vec3),
    grasp: int,
    link: int,
    nearer: float,
) -> int:
    """Where a point at distance ``nearer`` belongs; those behind it move back by one and the last is dropped."""
    slot = int(_NEAREST - 1)
    moving = int(1)
    while moving == 1:
        moving = 0
        if slot > 0:
            if distance[grasp, link, slot - 1] > nearer:
                distance[grasp, link, slot] = distance[grasp, link, slot - 1]
                position[grasp, link, slot] = position[grasp, link, slot - 1]
                normal[grasp, link, slot] = normal[grasp, link, slot - 1]
                slot -= 1
                moving = 1
    return slot


@wp.kernel
def _nearest_points(
    points: SurfacePoints,
    meshes: MeshSet,
    bound: DistanceBound,
    object_index: wp.array(dtype=wp.int32),  # [B]
    running: wp.array(dtype=wp.int32),  # [B]
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    reach: float,
    # outputs
    distance: wp.array3d(dtype=wp.float32),  # [B, L, 3]
    position: wp.array3d(dtype=wp.vec3),  # [B, L, 3]
    normal: wp.array3d(dtype=wp.vec3),  # [B, L, 3]
):
    grasp, link = wp.tid()
    if running[grasp] == 0:
        return
    obj = object_index[grasp]
    pose = link_pose[grasp, link]
    for slot in range(_NEAREST):
        distance[grasp, link, slot] = reach
    for cluster in range(points.link_cluster[link], points.link_cluster[link + 1]):
        sphere = points.cluster_sphere[cluster]
        center = wp.transform_point(pose, wp.vec3(sphere[0], sphere[1], sphere[2]))
        limit = distance[grasp, link, _NEAREST - 1]
        if not surely_farther(bound, obj, center, limit + sphere[3]):
            for index in range(points.cluster_start[cluster], points.cluster_start[cluster + 1]):
                point = wp.transform_point(pose, points.position[index])
                limit = distance[grasp, link, _NEAREST - 1]
                if not surely_farther(bound, obj, point, limit):
                    feature = query_closest_feature(meshes, obj, point, largest_distance(bound, obj, point))
                    if feature.distance < limit:
                        slot = _slot_of(distance, position, normal, grasp, link, feature.distance)
                        distance[grasp, link, slot] = feature.distance
                        position[grasp, link, slot] = point
                        normal[grasp, link, slot] = feature.normal


def launch_nearest_points(
    points: SurfacePoints,
    meshes: MeshSet,
    bound: DistanceBound,
    object_index: wp.array,
    link_pose: wp.array,
    reach: float,
    *,
    running: wp.array | None = None,
    distance: wp.array,
    position: wp.array,
    normal: wp.array,
) -> None:
    """The points of every link that are nearest to the object, nearest first, shape [B, L, 3].

    Only what is nearer than ``reach`` [m] is looked for: where a link has fewer such points, ``distance`` is ``reach``.
    ``distance`` is signed [m], ``position`` the points in the object frame [m], ``normal`` the gradients of the distance.
    Grasps whose ``running`` [B] is 0 are left out; by default none.
    """
    if running is None:
        running = wp.ones(link_pose.shape[0], dtype=wp.int32, device=link_pose.device)
    wp.launch(
        _nearest_points,
        dim=link_pose.shape,
        inputs=[points, meshes, bound, object_index, running, link_pose, reach],
        outputs=[distance, position, normal],
        device=link_pose.device,
        record_tape=False,
    )


@wp.kernel
def _opening_step(
    tree: KinematicTree,
    spheres: HandSpheres,
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    distance: wp.array3d(dtype=wp.float32),  # [B, L, 3]
    position: wp.array3d(dtype=wp.vec3),  # [B, L, 3]
    normal: wp.array3d(dtype=wp.vec3),  # [B, L, 3]
    start: wp.array(dtype=wp.transform),  # [B]
    damping: wp.array(dtype=wp.float32),  # [3 + J]
    largest: wp.array(dtype=wp.float32),  # [3 + J]
    clearance: float,
    sphere_gap: float,
    longest: float,
    root_reach: float,
    scratch: StepScratch,
    # outputs
    running: wp.array(
        dtype=wp.int32
    ),  # [B] 0 where no point is nearer than the clearance, but for a hundredth of it
    root_pose: wp.array(dtype=wp.transform),  # [B] in place
    joint_position: wp.array2d(dtype=wp.float32),  # [B, J] in place
):
    grasp = wp.tid()
    if running[grasp] == 0:
        return
    clear_system(scratch, grasp, damping)
    done = int(1)
    for link in range(distance.shape[1]):
        for slot in range(_NEAREST):
            d = distance[grasp, link, slot]
            if d < _DONE * clearance:
                done = 0
            if d < clearance:
                g = normal[grasp, link, slot]
                add_motion(tree, link_pose, grasp, link, position[grasp, link, slot], g, 3, scratch.row)
                add_row(scratch, grasp, 1.0, wp.min(clearance - d, longest))
    if done == 1:
        running[grasp] = 0
    else:
        add_spheres(tree, spheres, link_pose, grasp, sphere_gap, longest, 3, scratch)
        solve_within_limits(tree, scratch, grasp, 3, joint_position)
        way = wp.vec3(scratch.step[grasp, 0], scratch.step[grasp, 1], scratch.step[grasp, 2])
        way = way * wp.min(1.0, largest[0] / wp.max(wp.length(way), 1.0e-12))
        home = wp.transform_get_translation(start[grasp])
        offset = wp.transform_get_translation(root_pose[grasp]) + way - home
        offset = offset * wp.min(1.0, root_reach / wp.max(wp.length(offset), 1.0e-12))
        root_pose[grasp] = wp.transform(home + offset, wp.transform_get_rotation(root_pose[grasp]))
        move_joints(tree, scratch, grasp, 3, largest, joint_position)


def launch_opening_step(
    tree: KinematicTree,
    spheres: HandSpheres,
    link_pose: wp.array,
    distance: wp.array,
    position: wp.array,
    normal: wp.array,
    start: wp.array,
    damping: wp.array,
    largest: wp.array,
    *,
    clearance: float,
    sphere_gap: float,
    longest: float,
    root_reach: float,
    scratch: StepScratch,
    running: wp.array,
    root_pose: wp.array,
    joint_position: wp.array,
) -> None:
    """One opening step of every hand that is still running, in place; hands that are clear of the object stay.

    Args:
        tree: Joint tree; joints stay inside its limits.
        spheres: Self-collision spheres.
        link_pose: Links at the hand's present pose, shape [B, L].
        distance: Of the nearest points of each link [m], from ``launch_nearest_points``, shape [B, L, 3].
        position: The points [m], shape [B, L, 3].
        normal: Gradients of the distance there, shape [B, L, 3].
        start: Roots before the first step, shape [B].
        damping: D of the unknowns [dp (3), dq (J)]: 1 for lengths, m^2/rad^2 for angles, shape [3 + J].
        largest: Largest change of an unknown in one step [m or rad], shape [3 + J].
        clearance: Distance to the object to be reached [m].
        sphere_gap: Gap between spheres to be kept [m].
        longest: Largest way that a row asks for [m].
        root_reach: The root stays within this distance of ``start`` [m].
        scratch: Working memory.
        running: 0 for hands that are clear, which are left out, shape [B], in place.
        root_pose: Roots, shape [B], in place.
        joint_position: Joints, shape [B, J], in place.
    """
    wp.launch(
        _opening_step,
        dim=link_pose.shape[0],
        inputs=[
            tree,
            spheres,
            link_pose,
            distance,
            position,
            normal,
            start,
            damping,
            largest,
            clearance,
            sphere_gap,
            longest,
            root_reach,
            scratch,
        ],
        outputs=[running, root_pose, joint_position],
        device=link_pose.device,
        record_tape=False,
    )
