"""Closing of the last gaps of a finished grasp: small steps that bring its contacts onto the object and push nothing into it.

A contact at signed distance d from the object asks its point to move by -d along the distance's gradient g, forward or back,

    (g . J) u = clip(-d, -longest, longest),

J the Jacobian of the point. What is deeper in the object than an allowance asks to come out: the deepest points of every link,
and of every shape of the hand the sample of the object's surface that lies deepest in it (edges of the object reach into a
link between the link's own points). Spheres of the hand that come too near each other part. The step is the damped
least-squares solution of all of these together (``least_squares.py``), the root free to move and turn.

Contacts also slide: where one does not reach the object, another candidate of the hand that touches may take its place.
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.contact import CandidateSet
from warpgrasp.kernels.distance_bound import DistanceBound, query_nearer, surely_farther
from warpgrasp.kernels.energies.self_penetration import HandSpheres
from warpgrasp.kernels.hand_shapes import HandGeometry
from warpgrasp.kernels.kinematics import KinematicTree, rotation_from_vector
from warpgrasp.kernels.mesh_distance import MeshSet
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

__all__ = [
    "ClosingInputs",
    "ClosingLimits",
    "closing_step",
    "distance_of_candidates",
    "slide_contacts",
]

wp.set_module_options({"enable_backward": False})

_OUTWARD_WEIGHT = wp.constant(2.0)  # of a row that pushes out, beside 1 of a contact
_TOUCHING_GAIN = wp.constant(
    0.5
)  # a contact slides to where its distance is at most this part of what it was


@wp.struct
class ClosingInputs:
    """What a step looks at, at the hand's present pose."""

    link_pose: wp.array2d(dtype=wp.transform)  #: [B, L]
    contact_index: wp.array2d(dtype=wp.int32)  #: [B, C]
    contact_position: wp.array2d(dtype=wp.vec3)  #: [B, C] m
    object_normal: wp.array2d(dtype=wp.vec3)  #: [B, C]
    contact_distance: wp.array2d(dtype=wp.float32)  #: [B, C] m
    point_distance: wp.array3d(dtype=wp.float32)  #: [B, L, 3] m, of the deepest points of each link
    point_position: wp.array3d(dtype=wp.vec3)  #: [B, L, 3] m
    point_normal: wp.array3d(dtype=wp.vec3)  #: [B, L, 3]
    sample_depth: wp.array2d(
        dtype=wp.float32
    )  # [B, G] m, of the sample that is deepest in each shape of the hand
    sample_position: wp.array2d(dtype=wp.vec3)  #: [B, G] m
    sample_normal: wp.array2d(dtype=wp.vec3)  #: [B, G] outward, of the shape


@wp.struct
class ClosingLimits:
    """Hyper-parameters of a step; lengths in metres."""

    reach: float  #: contacts within it are brought to the object
    allowance: float  #: depth that asks for nothing
    near: float  #: points at this signed distance, and nearer ones, are looked after
    still: float  #: a grasp whose contacts move less in a step is left as it is
    sphere_gap: float
    longest: float  #: way that a row asks for
    length_step: float  #: largest way of the root, and of a sliding joint
    angle_step: float  #: rad, largest turn of the root
    hand_length: float  #: arm by which turns count as ways


@wp.kernel
def closing_step(
    tree: KinematicTree,
    spheres: HandSpheres,
    geometry: HandGeometry,
    candidates: CandidateSet,
    inputs: ClosingInputs,
    limits: ClosingLimits,
    damping: wp.array(dtype=wp.float32),  # [6 + J]
    largest: wp.array(dtype=wp.float32),  # [6 + J]
    scratch: StepScratch,
    # outputs
    running: wp.array(dtype=wp.int32),  # [B] in place; 0 where the hand has come to rest
    root_pose: wp.array(dtype=wp.transform),  # [B] in place
    joint_position: wp.array2d(dtype=wp.float32),  # [B, J] in place
):
    """One step of every grasp that is still running, in place."""
    grasp = wp.tid()
    if running[grasp] == 0:
        return
    clear_system(scratch, grasp, damping)
    for c in range(inputs.contact_distance.shape[1]):
        d = inputs.contact_distance[grasp, c]
        if wp.abs(d) < limits.reach:
            link = candidates.link[inputs.contact_index[grasp, c]]
            point = inputs.contact_position[grasp, c]
            add_motion(
                tree, inputs.link_pose, grasp, link, point, inputs.object_normal[grasp, c], 6, scratch.row
            )
            add_row(scratch, grasp, 1.0, wp.clamp(-d, -limits.longest, limits.longest))
    for link in range(inputs.point_distance.shape[1]):
        for slot in range(inputs.point_distance.shape[2]):
            d = inputs.point_distance[grasp, link, slot]
            if d < limits.near:
                deep = -d - limits.allowance
                normal = inputs.point_normal[grasp, link, slot]
                point = inputs.point_position[grasp, link, slot]
                add_motion(tree, inputs.link_pose, grasp, link, point, normal, 6, scratch.row)
                add_push(scratch, grasp, _OUTWARD_WEIGHT, wp.min(deep, limits.longest))
    for g in range(inputs.sample_depth.shape[1]):
        deep = inputs.sample_depth[grasp, g] - limits.allowance
        if deep > 0.0:
            link = geometry.link[g]
            point = inputs.sample_position[grasp, g]
            add_motion(
                tree, inputs.link_pose, grasp, link, point, -inputs.sample_normal[grasp, g], 6, scratch.row
            )
            add_push(scratch, grasp, _OUTWARD_WEIGHT, wp.min(deep, limits.longest))
    add_spheres(tree, spheres, inputs.link_pose, grasp, limits.sphere_gap, limits.longest, 6, scratch)
    solve_with_pushes(tree, scratch, grasp, 6, joint_position)
    way = wp.vec3(scratch.step[grasp, 0], scratch.step[grasp, 1], scratch.step[grasp, 2])
    way = way * wp.min(1.0, limits.length_step / wp.max(wp.length(way), 1.0e-12))
    turn = wp.vec3(scratch.step[grasp, 3], scratch.step[grasp, 4], scratch.step[grasp, 5])
    turn = turn * wp.min(1.0, limits.angle_step / wp.max(wp.length(turn), 1.0e-12))
    pose = root_pose[grasp]
    root_pose[grasp] = wp.transform(
        wp.transform_get_translation(pose) + way,
        wp.normalize(rotation_from_vector(turn) * wp.transform_get_rotation(pose)),
    )
    move_joints(tree, scratch, grasp, 6, largest, joint_position)
    # joints move a point by at most a hand's length times their turn
    moved = wp.length(way) + limits.hand_length * wp.length(turn)
    for dof in range(joint_position.shape[1]):
        moved = wp.max(moved, limits.hand_length * wp.abs(scratch.step[grasp, 6 + dof]))
    if moved < limits.still:
        running[grasp] = 0


@wp.func
def _candidate_position(
    candidates: CandidateSet, link_pose: wp.array2d(dtype=wp.transform), grasp: int, index: int
) -> wp.vec3:
    return wp.transform_point(link_pose[grasp, candidates.link[index]], candidates.position[index])


@wp.func
def _distance_within(
    meshes: MeshSet, bound: DistanceBound, object_index: int, point: wp.vec3, reach: float
) -> float:
    """Signed distance [m] of a point; ``reach`` where it is at least that."""
    return wp.min(query_nearer(meshes, bound, object_index, point, reach).distance, reach)


@wp.kernel
def distance_of_candidates(
    candidates: CandidateSet,
    meshes: MeshSet,
    bound: DistanceBound,
    object_index: wp.array(dtype=wp.int32),  # [B]
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    reach: float,
    # outputs
    position: wp.array2d(dtype=wp.vec3),  # [B, N] m, object frame
    distance: wp.array2d(dtype=wp.float32),  # [B, N] m; ``reach`` where it is at least that
):
    """Signed distance of every contact candidate."""
    grasp, index = wp.tid()
    point = _candidate_position(candidates, link_pose, grasp, index)
    position[grasp, index] = point
    distance[grasp, index] = _distance_within(meshes, bound, object_index[grasp], point, reach)


@wp.kernel
def slide_contacts(
    candidates: CandidateSet,
    meshes: MeshSet,
    bound: DistanceBound,
    object_index: wp.array(dtype=wp.int32),  # [B]
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    slot_start: wp.array(dtype=wp.int32),  # [C] first candidate that a contact may take
    slot_count: wp.array(dtype=wp.int32),  # [C]
    reach: float,
    touching: float,
    spacing: float,
    # outputs
    contact_index: wp.array2d(dtype=wp.int32),  # [B, C] in place
):
    """Contacts further than ``touching`` [m] move to the candidate nearest to the object that keeps ``spacing`` [m].

    Distances count as ``reach`` [m] where they are more. What cannot be the nearest is not asked for its distance.
    """
    grasp = wp.tid()
    obj = object_index[grasp]
    for c in range(contact_index.shape[1]):
        point = _candidate_position(candidates, link_pose, grasp, contact_index[grasp, c])
        own = wp.abs(_distance_within(meshes, bound, obj, point, reach))
        if own > touching:
            best = int(-1)
            least = _TOUCHING_GAIN * own
            for index in range(slot_start[c], slot_start[c] + slot_count[c]):
                point = _candidate_position(candidates, link_pose, grasp, index)
                if not surely_farther(bound, obj, point, least):
                    free = int(1)
                    for other in range(contact_index.shape[1]):
                        if other != c:
                            there = _candidate_position(
                                candidates, link_pose, grasp, contact_index[grasp, other]
                            )
                            if wp.length(point - there) < spacing:
                                free = 0
                    if free == 1:
                        gap = wp.abs(query_nearer(meshes, bound, obj, point, least).distance)
                        if gap < least:
                            least = gap
                            best = index
            if best >= 0:
                contact_index[grasp, c] = best
