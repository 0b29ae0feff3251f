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

__all__ = ["NEAREST_COUNT", "OpeningScratch", "SurfacePoints", "launch_nearest_points", "launch_opening_step"]

wp.set_module_options({"enable_backward": False})

NEAREST_COUNT = 3
"""Points of a link that a step looks at."""

_NEAREST = wp.constant(NEAREST_COUNT)
_PAIRS = wp.constant(6)  # of spheres that a step looks at
_PAIR_WEIGHT = wp.constant(2.0)
_FIXED = wp.constant(0)
_REVOLUTE = wp.constant(1)


@wp.struct
class SurfacePoints:
    """Points on the surface of a hand, ``P`` in all, those of a link side by side."""

    start: wp.array(dtype=wp.int32)  #: [L + 1]
    position: wp.array(dtype=wp.vec3)  #: [P] m, link frame


@wp.struct
class OpeningScratch:
    """Working memory of ``launch_opening_step``, N = 3 + J unknowns."""

    row: wp.array2d(dtype=wp.float32)  #: [B, N]
    right: wp.array2d(dtype=wp.float32)  #: [B, N]
    matrix: wp.array3d(dtype=wp.float32)  #: [B, N, N]
    factor: wp.array3d(dtype=wp.float32)  #: [B, N, N]
    held: wp.array2d(dtype=wp.int32)  #: [B, N]
    step: wp.array2d(dtype=wp.float32)  #: [B, N]


@wp.kernel
def _nearest_points(
    points: SurfacePoints,
    meshes: MeshSet,
    bound: DistanceBound,
    object_index: wp.array(dtype=wp.int32),  # [B]
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    reach: float,
    # outputs
    distance: wp.array3d(dtype=wp.float32),  # [B, L, 3]
    position: wp.array3d(dtype=wp.vec3),  # [B, L, 3]
    normal: wp.array3d(dtype=wp.vec3),  # [B, L, 3]
):
    grasp, link = wp.tid()
    obj = object_index[grasp]
    pose = link_pose[grasp, link]
    for slot in range(_NEAREST):
        distance[grasp, link, slot] = reach
    for index in range(points.start[link], points.start[link + 1]):
        point = wp.transform_point(pose, points.position[index])
        limit = distance[grasp, link, _NEAREST - 1]
        if not surely_farther(bound, obj, point, limit):
            feature = query_closest_feature(meshes, obj, point, largest_distance(bound, obj, point))
            if feature.distance < limit:
                slot = int(_NEAREST - 1)
                moving = int(1)
                while moving == 1:
                    moving = 0
                    if slot > 0:
                        if distance[grasp, link, slot - 1] > feature.distance:
                            distance[grasp, link, slot] = distance[grasp, link, slot - 1]
                            position[grasp, link, slot] = position[grasp, link, slot - 1]
                            normal[grasp, link, slot] = normal[grasp, link, slot - 1]
                            slot -= 1
                            moving = 1
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
    distance: wp.array,
    position: wp.array,
    normal: wp.array,
) -> None:
    """The points of every link that are nearest to the object, nearest first, shape [B, L, 3].

    Only what is nearer than ``reach`` [m] is looked for: where a link has fewer such points, ``distance`` is ``reach``.
    ``distance`` is signed [m], ``position`` the points in the object frame [m], ``normal`` the gradients of the distance.
    """
    wp.launch(
        _nearest_points,
        dim=link_pose.shape,
        inputs=[points, meshes, bound, object_index, link_pose, reach],
        outputs=[distance, position, normal],
        device=link_pose.device,
        record_tape=False,
    )


@wp.func
def _add_motion(
    tree: KinematicTree,
    link_pose: wp.array2d(dtype=wp.transform),
    grasp: int,
    last_link: int,
    point: wp.vec3,
    direction: wp.vec3,
    row: wp.array2d(dtype=wp.float32),
):
    """Add to ``row`` how fast a point of a link moves along ``direction`` with each unknown."""
    for axis in range(3):
        row[grasp, axis] = row[grasp, axis] + direction[axis]
    link = int(last_link)
    while link > 0:
        parent = tree.link_parent[link]
        if tree.joint_type[link] != _FIXED:
            joint = wp.transform_multiply(link_pose[grasp, parent], tree.joint_parent[link])
            motion = wp.quat_rotate(wp.transform_get_rotation(joint), tree.joint_axis[link])
            if tree.joint_type[link] == _REVOLUTE:
                motion = wp.cross(motion, point - wp.transform_get_translation(joint))
            column = 3 + tree.joint_dof[link]
            speed = tree.joint_multiplier[link] * wp.dot(motion, direction)
            row[grasp, column] = row[grasp, column] + speed
        link = parent


@wp.func
def _add_row(scratch: OpeningScratch, grasp: int, weight: float, way: float):
    """Add ``weight (row . u - way)^2`` to the least squares, and clear the row."""
    for i in range(scratch.row.shape[1]):
        value = scratch.row[grasp, i]
        if value != 0.0:
            scratch.right[grasp, i] = scratch.right[grasp, i] + weight * way * value
            for j in range(i + 1):
                scratch.matrix[grasp, i, j] = (
                    scratch.matrix[grasp, i, j] + weight * value * scratch.row[grasp, j]
                )
    for i in range(scratch.row.shape[1]):
        scratch.row[grasp, i] = 0.0


@wp.func
def _solve(scratch: OpeningScratch, grasp: int):
    """Solve for ``step`` by Cholesky; unknowns that are held stay 0."""
    count = scratch.row.shape[1]
    for i in range(count):
        for j in range(i + 1):
            value = scratch.matrix[grasp, i, j]
            if scratch.held[grasp, i] + scratch.held[grasp, j] > 0:
                value = wp.where(i == j, 1.0, 0.0)
            for k in range(j):
                value -= scratch.factor[grasp, i, k] * scratch.factor[grasp, j, k]
            if i == j:
                scratch.factor[grasp, i, i] = wp.sqrt(wp.max(value, 1.0e-12))
            else:
                scratch.factor[grasp, i, j] = value / scratch.factor[grasp, j, j]
    for i in range(count):
        value = wp.where(scratch.held[grasp, i] > 0, 0.0, scratch.right[grasp, i])
        for k in range(i):
            value -= scratch.factor[grasp, i, k] * scratch.step[grasp, k]
        scratch.step[grasp, i] = value / scratch.factor[grasp, i, i]
    for back in range(count):
        i = count - 1 - back
        value = scratch.step[grasp, i]
        for k in range(i + 1, count):
            value -= scratch.factor[grasp, k, i] * scratch.step[grasp, k]
        scratch.step[grasp, i] = value / scratch.factor[grasp, i, i]


@wp.func
def _add_spheres(
    tree: KinematicTree,
    spheres: HandSpheres,
    link_pose: wp.array2d(dtype=wp.transform),
    grasp: int,
    gap: float,
    longest: float,
    scratch: OpeningScratch,
) -> int:
    """Rows of the worst pairs of spheres nearer than ``gap`` [m]; returns their number."""
    last_gap = float(-1.0e6)
    last_pair = int(-1)
    found = int(0)
    searching = int(1)
    while searching == 1:
        # the next worst after the last one
        best_gap = float(gap)
        best = int(-1)
        for group in range(spheres.group_start.shape[0] - 1):
            first = spheres.group_start[group]
            a = spheres.link[spheres.pair[first, 0]]
            b = spheres.link[spheres.pair[first, 1]]
            apart = wp.transform_point(link_pose[grasp, a], spheres.bound_position[a]) - wp.transform_point(
                link_pose[grasp, b], spheres.bound_position[b]
            )
            if wp.length(apart) - spheres.bound_radius[a] - spheres.bound_radius[b] < best_gap:
                for pair in range(first, spheres.group_start[group + 1]):
                    i = spheres.pair[pair, 0]
                    j = spheres.pair[pair, 1]
                    offset = wp.transform_point(link_pose[grasp, a], spheres.position[i])
                    offset = offset - wp.transform_point(link_pose[grasp, b], spheres.position[j])
                    own = wp.length(offset) - spheres.radius[i] - spheres.radius[j]
                    later = own > last_gap or (own == last_gap and pair > last_pair)
                    if own < best_gap and later:
                        best_gap = own
                        best = pair
        if best < 0:
            searching = 0
        else:
            i = spheres.pair[best, 0]
            j = spheres.pair[best, 1]
            a = spheres.link[i]
            b = spheres.link[j]
            x = wp.transform_point(link_pose[grasp, a], spheres.position[i])
            y = wp.transform_point(link_pose[grasp, b], spheres.position[j])
            direction = wp.normalize(x - y)
            _add_motion(tree, link_pose, grasp, a, x, direction, scratch.row)
            _add_motion(tree, link_pose, grasp, b, y, -direction, scratch.row)
            _add_row(scratch, grasp, _PAIR_WEIGHT, wp.min(gap - best_gap, longest))
            last_gap = best_gap
            last_pair = best
            found += 1
            if found == _PAIRS:
                searching = 0
    return found


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
    scratch: OpeningScratch,
    # outputs
    root_pose: wp.array(dtype=wp.transform),  # [B] in place
    joint_position: wp.array2d(dtype=wp.float32),  # [B, J] in place
):
    grasp = wp.tid()
    count = damping.shape[0]
    for i in range(count):
        scratch.row[grasp, i] = 0.0
        scratch.right[grasp, i] = 0.0
        scratch.held[grasp, i] = 0
        for j in range(i + 1):
            scratch.matrix[grasp, i, j] = wp.where(i == j, damping[i], 0.0)
    rows = int(0)
    for link in range(distance.shape[1]):
        for slot in range(_NEAREST):
            d = distance[grasp, link, slot]
            if d < clearance:
                g = normal[grasp, link, slot]
                _add_motion(tree, link_pose, grasp, link, position[grasp, link, slot], g, scratch.row)
                _add_row(scratch, grasp, 1.0, wp.min(clearance - d, longest))
                rows += 1
    if rows > 0:
        _add_spheres(tree, spheres, link_pose, grasp, sphere_gap, longest, scratch)
        _solve(scratch, grasp)
        pressing = int(0)
        for dof in range(count - 3):
            wanted = joint_position[grasp, dof] + scratch.step[grasp, 3 + dof]
            if wanted > tree.dof_upper[dof] or wanted < tree.dof_lower[dof]:
                scratch.held[grasp, 3 + dof] = 1
                pressing += 1
        if pressing > 0:
            _solve(scratch, grasp)
        way = wp.vec3(scratch.step[grasp, 0], scratch.step[grasp, 1], scratch.step[grasp, 2])
        way = way * wp.min(1.0, largest[0] / wp.max(wp.length(way), 1.0e-12))
        home = wp.transform_get_translation(start[grasp])
        offset = wp.transform_get_translation(root_pose[grasp]) + way - home
        offset = offset * wp.min(1.0, root_reach / wp.max(wp.length(offset), 1.0e-12))
        root_pose[grasp] = wp.transform(home + offset, wp.transform_get_rotation(root_pose[grasp]))
        for dof in range(count - 3):
            move = wp.clamp(scratch.step[grasp, 3 + dof], -largest[3 + dof], largest[3 + dof])
            before = joint_position[grasp, dof]
            after = wp.clamp(before + move, tree.dof_lower[dof], tree.dof_upper[dof])
            # a joint that starts outside its limits may come back, not go further out
            joint_position[grasp, dof] = wp.where(scratch.held[grasp, 3 + dof] > 0, before, after)


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
    scratch: OpeningScratch,
    root_pose: wp.array,
    joint_position: wp.array,
) -> None:
    """One opening step of every hand, in place; hands that are clear of the object stay.

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
        outputs=[root_pose, joint_position],
        device=link_pose.device,
        record_tape=False,
    )
