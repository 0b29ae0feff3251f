"""Drives that can be true: efforts are judged by the force they would give at the fingertips, gains by their reach.

A file without an effort limit, or with one that no hand of this mass has, gets the effort that a fingertip force typical of
hands of its mass needs at each joint. A position gain with which a joint reaches its effort limit only far from its target
is one of a simulation, not of a servo, and is replaced too. What was stated stays in the report.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from warpgrasp.hands.convert.annotation_file import HandAnnotation, JointAnnotation
from warpgrasp.hands.convert.propose.facing import joint_axis_in_link
from warpgrasp.hands.convert.propose.motion import Chain, batch_poses
from warpgrasp.hands.convert.source import SourceJoint
from warpgrasp.hands.model import HandModel, JointType
from warpgrasp.hands.published_forces import largest_force, typical_force

__all__ = ["believable_joints"]

FloatArray = NDArray[np.float64]

_SHORTEST_LEVER = 5e-3  # m
_BENT = 0.5  # of a finger's length: the arm about a joint along the stretched finger once it is bent
_DAMPING_PER_STIFFNESS = 2.2e-3  # s
_REACH = {JointType.REVOLUTE: (0.5, 1.0 / 60.0, "rad"), JointType.PRISMATIC: (0.2, 0.01, "m")}
"""Error at which a joint has its full effort: the largest that is believed, and what is assumed [rad or m]. With the 1 rad of a
Shadow hand for MuJoCo 1 of 20 precision grasps held, with 1 degree 10 of the same 20 (``benchmarks/public_hands.py``)."""


def believable_joints(
    hand: HandModel, annotation: HandAnnotation, chains: list[Chain], source: dict[str, SourceJoint]
) -> tuple[dict[str, JointAnnotation], list[str]]:
    """Drives with efforts that can be true, and sentences about those that were replaced.

    Args:
        hand: The hand with the efforts of the file, a provisional value where it states none.
        annotation: The proposed annotation.
        chains: The fingers.
        source: Joints of the file by name.
    """
    fingers = max(2, len(chains))
    mass = float(hand.link_mass.sum())
    limit, wanted = largest_force(mass, fingers), typical_force(mass, fingers)
    levers = _levers(hand, chains)
    joints = dict(annotation.joints)
    missing, discarded = [], defaultdict(list)
    for dof, name in enumerate(hand.joint_names):
        if levers[dof] == 0.0:
            continue
        stated = source[name].effort
        if stated is not None and stated / levers[dof] <= limit:
            continue
        effort = float(f"{wanted * levers[dof]:.3g}")
        joints[name] = _with_effort(joints[name], effort, source[name])
        if stated is None:
            missing.append(name)
        else:
            discarded[stated].append(name)
    joints, sentences = _firm(hand, joints)
    remedy = (
        f"efforts for {wanted:.0f} N at each fingertip are assumed, from the hand's mass of {mass:.2g} kg; "
        "write the true ones under 'joints' in annotation.yaml"
    )
    if missing:
        sentences.append(f"No effort limit is stated for {_listed(missing)}: {remedy}.")
    for stated, names in discarded.items():
        unit = "N" if source[names[0]].kind == "prismatic" else "Nm"
        worst = max(stated / levers[hand.joint_names.index(name)] for name in names)
        sentences.append(
            f"The effort limit of {stated:g} {unit} of {_listed(names)} cannot be true, because a fingertip would press with "
            f"{worst:.0f} N: {remedy}."
        )
    return joints, sentences


def _with_effort(joint: JointAnnotation, effort: float, source: SourceJoint) -> JointAnnotation:
    """The drive with another effort; gains and armature that were derived from the effort go with it."""
    ratio = effort / joint.effort
    stiffness = joint.stiffness if source.stiffness else ratio * joint.stiffness
    return dataclasses.replace(
        joint,
        effort=effort,
        stiffness=stiffness,
        damping=max(source.damping or 0.0, _DAMPING_PER_STIFFNESS * stiffness),
        armature=joint.armature if source.armature else ratio * joint.armature,
    )


def _firm(
    hand: HandModel, joints: dict[str, JointAnnotation]
) -> tuple[dict[str, JointAnnotation], list[str]]:
    """Drives that reach their effort limit near the target, and a sentence about those that did not."""
    found = dict(joints)
    soft: dict[str, tuple[float, str]] = {}
    kinds = {hand.link_joint_names[k]: JointType(int(hand.joint_type[k])) for k in range(1, hand.link_count)}
    for name in hand.joint_names:
        most, assumed, unit = _REACH[kinds[name]]
        joint = joints[name]
        reach = joint.effort / max(joint.stiffness, 1e-12)
        if reach > most:
            soft[name] = reach, unit
            stiffness = joint.effort / assumed
            damping = max(joint.damping, _DAMPING_PER_STIFFNESS * stiffness)
            found[name] = dataclasses.replace(joint, stiffness=stiffness, damping=damping)
    if not soft:
        return found, []
    reach, unit = max(soft.values())
    return found, [
        f"The position gains of {_listed(list(soft))} reach the effort limit only {reach:.2g} {unit} from the target, so that "
        "a finger that meets the object late cannot hold against the others: gains of a servo are assumed (full effort at 1 "
        "degree or 1 cm); write the true ones under 'joints' in annotation.yaml."
    ]


def _levers(hand: HandModel, chains: list[Chain]) -> FloatArray:
    """Arm at which each degree of freedom moves fingertips, summed over the fingers it moves, shape [J]; m, or 1 for slides.

    The arm of a hinge is the distance of the fingertip from its axis with the finger stretched. Degrees of freedom that
    move no finger have 0.
    """
    rotation, position = (
        array[0] for array in batch_poses(hand, np.clip(0.0, hand.dof_lower, hand.dof_upper)[None])
    )
    levers = np.zeros(hand.dof_count)
    for chain in chains:
        tip = position[chain.tip_link] + rotation[chain.tip_link] @ chain.tip
        own = np.zeros(hand.dof_count)
        for link in chain.links:
            dof = int(hand.joint_dof[link])
            if dof < 0:
                continue
            origin = position[link] + rotation[link] @ hand.joint_child_position[link]
            axis = rotation[link] @ joint_axis_in_link(hand, link)
            across = float(np.linalg.norm(np.cross(axis, tip - origin)))
            arm = max(_SHORTEST_LEVER, across, _BENT * float(np.linalg.norm(tip - origin)))
            arm = 1.0 if hand.joint_type[link] == JointType.PRISMATIC else arm
            own[dof] = max(own[dof], abs(float(hand.joint_multiplier[link])) * arm)
        levers += own
    return levers


def _listed(names: list[str]) -> str:
    head = ", ".join(f"'{name}'" for name in names[:4])
    return head if len(names) <= 4 else f"{head} and {len(names) - 4} more joints"
