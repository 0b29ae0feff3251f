"""Effort limits that can be true: placeholders are recognised by the force they would give at the fingertips.

A file without an effort limit, or with one that no hand of this mass has, gets the effort that a fingertip force typical of
hands of its mass needs at each joint. What was stated stays in the report.
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
from warpgrasp.hands.fingertip_force import strongest_fingertip
from warpgrasp.hands.model import HandModel, JointType

__all__ = ["believable_joints", "typical_force"]

FloatArray = NDArray[np.float64]

_PER_MASS = {"hand": 20.0, "gripper": 100.0}  # N/kg of a fingertip, about the middle of what is sold
_RANGE = {"hand": (5.0, 40.0), "gripper": (20.0, 150.0)}  # N
_SHORTEST_LEVER = 5e-3  # m
_BENT = 0.5  # of a finger's length: the arm about a joint along the stretched finger once it is bent
_DAMPING_PER_STIFFNESS = 2.2e-3  # s


def typical_force(hand: HandModel, fingers: int) -> float:
    """Fingertip force [N] of hands and grippers of this mass."""
    kind = "gripper" if fingers <= 2 else "hand"
    return float(np.clip(_PER_MASS[kind] * hand.link_mass.sum(), *_RANGE[kind]))


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
    limit, wanted = strongest_fingertip(hand, fingers), typical_force(hand, fingers)
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
    sentences = []
    remedy = (
        f"efforts for {wanted:.0f} N at each fingertip are assumed, from the hand's mass of {hand.link_mass.sum():.2g} kg; "
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
