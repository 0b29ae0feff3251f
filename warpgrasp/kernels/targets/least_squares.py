"""Damped least squares over the motions of a hand, one small step at a time: rows are added, then the system is solved.

The unknowns of a step are ``u = [dp (3), dq (J)]``, or ``[dp (3), dw (3), dq (J)]`` where the root may turn: dp the translation
of the root [m], dw its rotation vector about its own origin [rad], dq the joints. A row says how fast a point of a link moves
along a direction with each unknown, and which way it should go; the step is

    min sum_rows w (row . u - way)^2 + sum_i D_i u_i^2

(Wampler 1986; Nakamura and Hanafusa 1986, damped least squares). A one-sided row counts ``w max(0, way - row . u)^2``.
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.energies.self_penetration import HandSpheres
from warpgrasp.kernels.kinematics import KinematicTree

__all__ = [
    "StepScratch",
    "add_motion",
    "add_push",
    "add_row",
    "add_spheres",
    "clear_system",
    "move_joints",
    "solve_with_pushes",
    "solve_within_limits",
    "step_scratch",
]

wp.set_module_options({"enable_backward": False})

_SWITCHES = wp.constant(6)  # solutions for which one-sided rows are switched
_PAIRS = wp.constant(6)  # of spheres that a step looks at
_PAIR_WEIGHT = wp.constant(2.0)
_vec_pairs = wp.types.vector(length=6, dtype=wp.float32)
_index_pairs = wp.types.vector(length=6, dtype=wp.int32)
_FIXED = wp.constant(0)
_REVOLUTE = wp.constant(1)


@wp.struct
class StepScratch:
    """Working memory of a step with N unknowns."""

    row: wp.array2d(dtype=wp.float32)  #: [B, N]
    right: wp.array2d(dtype=wp.float32)  #: [B, N]
    push: wp.array3d(dtype=wp.float32)  #: [B, P, N] one-sided rows
    push_way: wp.array2d(dtype=wp.float32)  #: [B, P] which way each wants to go at least
    push_weight: wp.array2d(dtype=wp.float32)  #: [B, P]
    push_acts: wp.array2d(dtype=wp.int32)  #: [B, P] 1 where the row is part of the system
    push_count: wp.array(dtype=wp.int32)  #: [B]
    matrix: wp.array3d(dtype=wp.float32)  #: [B, N, N]
    factor: wp.array3d(dtype=wp.float32)  #: [B, N, N]
    held: wp.array2d(dtype=wp.int32)  #: [B, N]
    step: wp.array2d(dtype=wp.float32)  #: [B, N]


def step_scratch(batch: int, count: int, device: wp.DeviceLike, *, pushes: int = 0) -> StepScratch:
    """Working memory of steps of ``batch`` hands with ``count`` unknowns and up to ``pushes`` one-sided rows."""
    scratch = StepScratch()
    scratch.push = wp.empty((batch, pushes, count), dtype=wp.float32, device=device)
    for name in ("push_way", "push_weight"):
        setattr(scratch, name, wp.empty((batch, pushes), dtype=wp.float32, device=device))
    scratch.push_acts = wp.empty((batch, pushes), dtype=wp.int32, device=device)
    scratch.push_count = wp.zeros(batch, dtype=wp.int32, device=device)
    for name in ("row", "right", "step"):
        setattr(scratch, name, wp.zeros((batch, count), dtype=wp.float32, device=device))
    for name in ("matrix", "factor"):
        setattr(scratch, name, wp.zeros((batch, count, count), dtype=wp.float32, device=device))
    scratch.held = wp.zeros((batch, count), dtype=wp.int32, device=device)
    return scratch


@wp.func
def clear_system(scratch: StepScratch, grasp: int, damping: wp.array(dtype=wp.float32)):
    """Start anew with the damping alone."""
    scratch.push_count[grasp] = 0
    for i in range(damping.shape[0]):
        scratch.row[grasp, i] = 0.0
        scratch.right[grasp, i] = 0.0
        scratch.held[grasp, i] = 0
        for j in range(i + 1):
            scratch.matrix[grasp, i, j] = wp.where(i == j, damping[i], 0.0)


@wp.func
def add_motion(
    tree: KinematicTree,
    link_pose: wp.array2d(dtype=wp.transform),
    grasp: int,
    last_link: int,
    point: wp.vec3,
    direction: wp.vec3,
    first_joint: int,
    row: wp.array2d(dtype=wp.float32),
):
    """Add to ``row`` how fast a point of a link moves along ``direction`` with each unknown.

    ``first_joint`` is the column of the first joint: 3, or 6 where the root turns.
    """
    for axis in range(3):
        row[grasp, axis] = row[grasp, axis] + direction[axis]
    if first_joint == 6:
        turn = wp.cross(point - wp.transform_get_translation(link_pose[grasp, 0]), direction)
        for axis in range(3):
            row[grasp, 3 + axis] = row[grasp, 3 + axis] + turn[axis]
    link = int(last_link)
    while link > 0:
        parent = tree.link_parent[link]
        if tree.joint_type[link] != _FIXED:
            joint = wp.transform_multiply(link_pose[grasp, parent], tree.joint_parent[link])
            motion = wp.quat_rotate(wp.transform_get_rotation(joint), tree.joint_axis[link])
            if tree.joint_type[link] == _REVOLUTE:
                motion = wp.cross(motion, point - wp.transform_get_translation(joint))
            column = first_joint + tree.joint_dof[link]
            speed = tree.joint_multiplier[link] * wp.dot(motion, direction)
            row[grasp, column] = row[grasp, column] + speed
        link = parent


@wp.func
def add_row(scratch: StepScratch, grasp: int, weight: float, way: float):
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
def add_push(scratch: StepScratch, grasp: int, weight: float, way: float):
    """Keep the row as a one-sided one, ``weight max(0, way - row . u)^2``, and clear it; for ``solve_with_pushes``."""
    number = scratch.push_count[grasp]
    scratch.push_count[grasp] = number + 1
    scratch.push_way[grasp, number] = way
    scratch.push_weight[grasp, number] = weight
    scratch.push_acts[grasp, number] = 0
    for i in range(scratch.row.shape[1]):
        scratch.push[grasp, number, i] = scratch.row[grasp, i]
        scratch.row[grasp, i] = 0.0


@wp.func
def _switch_pushes(scratch: StepScratch, grasp: int) -> int:
    """Take in the one-sided rows that ``step`` would violate and leave out the others; how many have changed."""
    changed = int(0)
    count = scratch.row.shape[1]
    for number in range(scratch.push_count[grasp]):
        lack = scratch.push_way[grasp, number]
        for i in range(count):
            lack -= scratch.push[grasp, number, i] * scratch.step[grasp, i]
        acts = wp.where(lack > 0.0, 1, 0)
        if acts != scratch.push_acts[grasp, number]:
            changed += 1
            scratch.push_acts[grasp, number] = acts
            for i in range(count):
                scratch.row[grasp, i] = scratch.push[grasp, number, i]
            sign = wp.where(acts == 1, 1.0, -1.0)
            add_row(
                scratch, grasp, sign * scratch.push_weight[grasp, number], scratch.push_way[grasp, number]
            )
    return changed


@wp.func
def _solve(scratch: StepScratch, grasp: int):
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
def add_spheres(
    tree: KinematicTree,
    spheres: HandSpheres,
    link_pose: wp.array2d(dtype=wp.transform),
    grasp: int,
    gap: float,
    longest: float,
    first_joint: int,
    scratch: StepScratch,
) -> int:
    """Rows of the worst pairs of spheres nearer than ``gap`` [m]; returns their number."""
    gaps = _vec_pairs()
    pairs = _index_pairs()
    found = int(0)
    limit = float(gap)
    for group in range(spheres.group_start.shape[0] - 1):
        first = spheres.group_start[group]
        a = spheres.link[spheres.pair[first, 0]]
        b = spheres.link[spheres.pair[first, 1]]
        apart = wp.transform_point(link_pose[grasp, a], spheres.bound_position[a]) - wp.transform_point(
            link_pose[grasp, b], spheres.bound_position[b]
        )
        if wp.length(apart) - spheres.bound_radius[a] - spheres.bound_radius[b] < limit:
            for pair in range(first, spheres.group_start[group + 1]):
                i = spheres.pair[pair, 0]
                j = spheres.pair[pair, 1]
                offset = wp.transform_point(link_pose[grasp, a], spheres.position[i])
                offset = offset - wp.transform_point(link_pose[grasp, b], spheres.position[j])
                own = wp.length(offset) - spheres.radius[i] - spheres.radius[j]
                if own < limit:
                    # among those found so far, the nearest first; the last of a full list is dropped
                    found = wp.min(found + 1, _PAIRS)
                    slot = found - 1
                    while slot > 0 and gaps[wp.max(slot - 1, 0)] > own:
                        gaps[slot] = gaps[slot - 1]
                        pairs[slot] = pairs[slot - 1]
                        slot -= 1
                    gaps[slot] = own
                    pairs[slot] = pair
                    if found == _PAIRS:
                        limit = gaps[_PAIRS - 1]
    for number in range(found):
        i = spheres.pair[pairs[number], 0]
        j = spheres.pair[pairs[number], 1]
        a = spheres.link[i]
        b = spheres.link[j]
        x = wp.transform_point(link_pose[grasp, a], spheres.position[i])
        y = wp.transform_point(link_pose[grasp, b], spheres.position[j])
        direction = wp.normalize(x - y)
        add_motion(tree, link_pose, grasp, a, x, direction, first_joint, scratch.row)
        add_motion(tree, link_pose, grasp, b, y, -direction, first_joint, scratch.row)
        add_row(scratch, grasp, _PAIR_WEIGHT, wp.min(gap - gaps[number], longest))
    return found


@wp.func
def solve_within_limits(
    tree: KinematicTree,
    scratch: StepScratch,
    grasp: int,
    first_joint: int,
    joint_position: wp.array2d(dtype=wp.float32),
):
    """Solve for ``step``, once more without the joints that would pass their limits."""
    _solve(scratch, grasp)
    pressing = int(0)
    for dof in range(joint_position.shape[1]):
        wanted = joint_position[grasp, dof] + scratch.step[grasp, first_joint + dof]
        if wanted > tree.dof_upper[dof] or wanted < tree.dof_lower[dof]:
            scratch.held[grasp, first_joint + dof] = 1
            pressing += 1
    if pressing > 0:
        _solve(scratch, grasp)


@wp.func
def solve_with_pushes(
    tree: KinematicTree,
    scratch: StepScratch,
    grasp: int,
    first_joint: int,
    joint_position: wp.array2d(dtype=wp.float32),
):
    """Solve for ``step`` with the one-sided rows that act at the solution, and without joints that would pass their limits.

    Rows are switched by the last solution until none changes, a Newton method for the piecewise quadratic function.
    """
    for i in range(scratch.row.shape[1]):
        scratch.step[grasp, i] = 0.0
    solves = int(0)
    switching = int(1)
    while switching == 1:
        changed = _switch_pushes(scratch, grasp)
        if solves == 0 or changed > 0:
            solve_within_limits(tree, scratch, grasp, first_joint, joint_position)
        else:
            switching = 0
        solves += 1
        if solves == _SWITCHES:
            switching = 0


@wp.func
def move_joints(
    tree: KinematicTree,
    scratch: StepScratch,
    grasp: int,
    first_joint: int,
    largest: wp.array(dtype=wp.float32),
    joint_position: wp.array2d(dtype=wp.float32),
):
    """Move the joints by ``step``, at most ``largest`` each and inside their limits; joints that are held stay."""
    for dof in range(joint_position.shape[1]):
        column = first_joint + dof
        move = wp.clamp(scratch.step[grasp, column], -largest[column], largest[column])
        before = joint_position[grasp, dof]
        after = wp.clamp(before + move, tree.dof_lower[dof], tree.dof_upper[dof])
        # a joint that starts outside its limits may come back, not go further out
        joint_position[grasp, dof] = wp.where(scratch.held[grasp, column] > 0, before, after)
