"""Withdrawal of an opened hand from the object: small steps back along the palm that keep the hand clear of the object.

A step asks the root to move by s along the direction b that leads away, and every joint to move towards the opening pose. The
surface points of every link that are nearest to the object, up to three each, must not come nearer than the clearance c: along
the distance's gradient g the point at x, at distance d, gives the one-sided row

    (g . J) dq + g . dp >= c - d,

J the Jacobian of x, dp the translation of the root, which does not turn. The step is the damped least-squares solution

    min (b . dp - s)^2 + w sum_i m_i (dq_i - r_i)^2 + W sum_rows max(0, c - d - row . u)^2 + sum_i D_i u_i^2,

u = [dp, dq] and r the clipped way to the opening pose, found by switching rows (``least_squares.py``).
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.energies.self_penetration import HandSpheres
from warpgrasp.kernels.kinematics import KinematicTree
from warpgrasp.kernels.targets.least_squares import (
    StepScratch,
    add_motion,
    add_push,
    add_row,
    add_spheres,
    clear_system,
    move_joints,
    solve_with_pushes,
)

__all__ = ["launch_withdrawing_step"]

wp.set_module_options({"enable_backward": False})

_CLEAR_WEIGHT = wp.constant(50.0)  # of a row that keeps a point clear, beside 1 of the way back
_OPENING_WEIGHT = wp.constant(1.0)  # of a joint's way to the opening pose, in units of its damping


@wp.kernel
def _withdrawing_step(
    tree: KinematicTree,
    spheres: HandSpheres,
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    distance: wp.array3d(dtype=wp.float32),  # [B, L, 3]
    position: wp.array3d(dtype=wp.vec3),  # [B, L, 3]
    normal: wp.array3d(dtype=wp.vec3),  # [B, L, 3]
    start: wp.array(dtype=wp.transform),  # [B]
    back: wp.array(dtype=wp.vec3),  # [B]
    opening: wp.array2d(dtype=wp.float32),  # [B, J]
    damping: wp.array(dtype=wp.float32),  # [3 + J]
    largest: wp.array(dtype=wp.float32),  # [3 + J]
    clearance: float,
    reach: float,
    sphere_gap: float,
    way: float,
    scratch: StepScratch,
    # outputs
    running: wp.array(dtype=wp.int32),  # [B] 0 where the way has been gone
    root_pose: wp.array(dtype=wp.transform),  # [B] in place
    joint_position: wp.array2d(dtype=wp.float32),  # [B, J] in place
):
    grasp = wp.tid()
    if running[grasp] == 0:
        return
    here = wp.transform_get_translation(root_pose[grasp])
    left = way - wp.dot(here - wp.transform_get_translation(start[grasp]), back[grasp])
    if left <= 1.0e-6:
        running[grasp] = 0
        return
    clear_system(scratch, grasp, damping)
    for axis in range(3):
        scratch.row[grasp, axis] = back[grasp][axis]
    add_row(scratch, grasp, 1.0, wp.min(left, largest[0]))
    for dof in range(joint_position.shape[1]):
        column = 3 + dof
        wanted = opening[grasp, dof] - joint_position[grasp, dof]
        scratch.row[grasp, column] = 1.0
        add_row(
            scratch,
            grasp,
            _OPENING_WEIGHT * damping[column],
            wp.clamp(wanted, -largest[column], largest[column]),
        )
    for link in range(distance.shape[1]):
        for slot in range(distance.shape[2]):
            d = distance[grasp, link, slot]
            if d < reach:
                g = normal[grasp, link, slot]
                add_motion(tree, link_pose, grasp, link, position[grasp, link, slot], g, 3, scratch.row)
                add_push(scratch, grasp, _CLEAR_WEIGHT, wp.min(clearance - d, largest[0]))
    add_spheres(tree, spheres, link_pose, grasp, sphere_gap, largest[0], 3, scratch)
    solve_with_pushes(tree, scratch, grasp, 3, joint_position)
    move = wp.vec3(scratch.step[grasp, 0], scratch.step[grasp, 1], scratch.step[grasp, 2])
    move = move * wp.min(1.0, largest[0] / wp.max(wp.length(move), 1.0e-12))
    root_pose[grasp] = wp.transform(here + move, wp.transform_get_rotation(root_pose[grasp]))
    move_joints(tree, scratch, grasp, 3, largest, joint_position)


def launch_withdrawing_step(
    tree: KinematicTree,
    spheres: HandSpheres,
    link_pose: wp.array,
    distance: wp.array,
    position: wp.array,
    normal: wp.array,
    start: wp.array,
    back: wp.array,
    opening: wp.array,
    damping: wp.array,
    largest: wp.array,
    *,
    clearance: float,
    reach: float,
    sphere_gap: float,
    way: float,
    scratch: StepScratch,
    running: wp.array,
    root_pose: wp.array,
    joint_position: wp.array,
) -> None:
    """One step back of every hand that is still running, in place; hands that have gone the way stay.

    Args:
        tree: Joint tree; joints stay inside its limits.
        spheres: Self-collision spheres.
        link_pose: Links at the hand's present pose, shape [B, L].
        distance: Of the nearest points of each link within ``reach`` [m], from ``launch_nearest_points``, shape [B, L, 3].
        position: The points [m], shape [B, L, 3].
        normal: Gradients of the distance there, shape [B, L, 3].
        start: Roots where the way begins, shape [B].
        back: Unit vectors that lead away, shape [B].
        opening: Joints of the opening pose [rad or m], shape [B, J].
        damping: D of the unknowns [dp (3), dq (J)], shape [3 + J].
        largest: Largest change of an unknown in one step [m or rad], shape [3 + J].
        clearance: Distance to the object to be kept [m].
        reach: Points within it are looked at [m], more than the clearance by what a step moves a point.
        sphere_gap: Gap between spheres to be kept [m].
        way: Length of the way along ``back`` [m].
        scratch: Working memory, with 3 L one-sided rows.
        running: 0 for hands that have gone the way, shape [B], in place.
        root_pose: Roots, shape [B], in place.
        joint_position: Joints, shape [B, J], in place.
    """
    wp.launch(
        _withdrawing_step,
        dim=link_pose.shape[0],
        inputs=[
            tree,
            spheres,
            link_pose,
            distance,
            position,
            normal,
            start,
            back,
            opening,
            damping,
            largest,
            clearance,
            reach,
            sphere_gap,
            way,
            scratch,
        ],
        outputs=[running, root_pose, joint_position],
        device=link_pose.device,
        record_tape=False,
    )
