"""From a source hand, its convex pieces and its annotation to the :class:`HandDescription` that the author writes."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from warpgrasp.geometry.rotations import matrix_to_quaternion, quaternion_to_rpy
from warpgrasp.geometry.shapes import MassProperties, Shape, solid_mass
from warpgrasp.hands.authoring.author import prim_name
from warpgrasp.hands.authoring.description import (
    FrameDescription,
    GraspTypeDescription,
    HandDescription,
    JointDescription,
    LinkDescription,
    Mimic,
    Part,
    PatchDescription,
)
from warpgrasp.hands.convert.annotation_file import HandAnnotation, JointAnnotation
from warpgrasp.hands.convert.source import SourceHand, SourceJoint, SourceLink

__all__ = ["annotated", "describe"]

FloatArray = NDArray[np.float64]
Triple = tuple[float, float, float]

_EFFORT = {"revolute": 1.0, "prismatic": 20.0}  # Nm, N
_VELOCITY = {"revolute": math.pi, "prismatic": 0.2}  # rad/s, m/s
_STIFFNESS_PER_EFFORT = {"revolute": 60.0, "prismatic": 100.0}  # full effort at 1 deg or 1 cm of error
_DAMPING_PER_STIFFNESS = 2.2e-3  # s
_ARMATURE_PER_EFFORT = {"revolute": 2e-3, "prismatic": 5e-3}
_MATERIALS: dict[str, Triple] = {"body": (0.22, 0.23, 0.26), "tip": (0.78, 0.78, 0.75)}
_GUESSED_RADIUS = 0.01  # m, of the ball that stands for a link without geometry and inertia


def describe(
    hand: SourceHand,
    pieces: dict[str, list[Shape]],
    *,
    name: str,
    density: float | None,
    notes: list[str],
) -> HandDescription:
    """The hand without grasp annotation: links, joints, drives, masses.

    Args:
        hand: Tree without fixed joints.
        pieces: Collision shapes by link.
        name: Name of the asset.
        density: kg/m^3 for links that state no mass; None refuses them.
        notes: Sentences about what was assumed are added here.
    """
    parents = {joint.parent for joint in hand.joints}
    links = []
    for link in hand.links:
        material = "body" if link.name in parents else "tip"
        parts = tuple(Part(shape, material) for shape in pieces[link.name])
        links.append(LinkDescription(link.name, parts, _mass(link, pieces[link.name], density, notes)))
    _refuse_equal_prims([link.name for link in hand.links])
    return HandDescription(
        name=name,
        title=f"{hand.name}, converted from {hand.path.name}.",
        source="Kinematics, mass and geometry from that file; convex pieces and grasp annotation by warpgrasp.",
        links=tuple(links),
        joints=tuple(_joint(joint) for joint in hand.joints),
        patches=(),
        grasp_types=(),
        wrist=FrameDescription("wrist", hand.links[0].name, (0.0, 0.0, 0.0)),
        frames=tuple(
            FrameDescription(f"{frame}_frame", link.name, _triple(position), quaternion_to_rpy(quaternion))
            for link in hand.links
            for frame, position, quaternion in link.frames
        ),
        materials=_MATERIALS,
        filtered_pairs=hand.excluded_pairs,
    )


def annotated(base: HandDescription, annotation: HandAnnotation) -> HandDescription:
    """The hand with its annotation.

    Raises:
        ValueError: The annotation names a link, joint or finger that the hand does not have.
    """
    _check_names(base, annotation)
    links = []
    for link in base.links:
        links.append(LinkDescription(link.name, link.parts, link.mass, annotation.spheres.get(link.name, ())))
    patches = [
        PatchDescription(
            p.name,
            p.link,
            annotation.finger_of_patch(p),
            p.region,
            p.direction,
            math.radians(p.angle_deg),
            p.lower,
            p.upper,
        )
        for p in annotation.patches
    ]
    types = []
    for name, grasp_type in annotation.grasp_types.items():
        members = tuple(
            p.name for p in patches if p.finger in grasp_type.fingers and p.region in grasp_type.regions
        )
        if not members:
            raise ValueError(
                f"grasp type '{name}' selects no patch: fingers {', '.join(grasp_type.fingers)}, regions "
                f"{', '.join(grasp_type.regions)}; correct it or remove it"
            )
        types.append(
            GraspTypeDescription(
                name,
                members,
                grasp_type.idle,
                required_fingers=grasp_type.required_fingers,
                seed_place=grasp_type.seed_place,
                reset_threshold=grasp_type.reset_threshold,
            )
        )
    z = np.asarray(annotation.wrist.palm_normal) / np.linalg.norm(annotation.wrist.palm_normal)
    finger = np.asarray(annotation.wrist.finger_direction)
    y = finger - (finger @ z) * z
    y /= np.linalg.norm(y)
    turn = matrix_to_quaternion(np.stack([np.cross(y, z), y, z], axis=1))
    wrist = FrameDescription("wrist", base.links[0].name, annotation.wrist.position, quaternion_to_rpy(turn))
    return HandDescription(
        name=base.name,
        title=base.title,
        source=base.source,
        links=tuple(links),
        joints=tuple(_driven(joint, annotation.joints.get(joint.name)) for joint in base.joints),
        patches=tuple(patches),
        grasp_types=tuple(types),
        wrist=wrist,
        frames=base.frames,
        materials=base.materials,
        filtered_pairs=base.filtered_pairs,
    )


def _check_names(base: HandDescription, annotation: HandAnnotation) -> None:
    links = [link.name for link in base.links]
    joints = [joint.name for joint in base.joints if joint.mimic is None]
    named = [link for members in annotation.fingers.values() for link in members]
    for link in (*named, *annotation.spheres, *(patch.link for patch in annotation.patches)):
        if link not in links:
            raise ValueError(f"the annotation names link '{link}'; the hand's links are {', '.join(links)}")
    for patch in annotation.patches:
        if patch.finger and patch.finger not in annotation.fingers:
            raise ValueError(
                f"patch '{patch.name}' names finger '{patch.finger}'; the fingers are {', '.join(annotation.fingers)}"
            )
    idle = [joint for kind in annotation.grasp_types.values() for joint in kind.idle]
    for joint in (*annotation.joints, *idle):
        if joint not in joints:
            raise ValueError(
                f"the annotation names joint '{joint}'; the independent joints are {', '.join(joints)}"
            )
    for joint in joints:
        if joint not in annotation.joints:
            raise ValueError(
                f"the annotation lacks joint '{joint}' under 'joints'; add it or delete the section"
            )
    for name, kind in annotation.grasp_types.items():
        for finger in kind.fingers:
            if finger not in annotation.fingers:
                raise ValueError(
                    f"grasp type '{name}' names finger '{finger}'; the fingers are {', '.join(annotation.fingers)}"
                )


def _driven(joint: JointDescription, drive: JointAnnotation | None) -> JointDescription:
    if drive is None:
        return joint
    if not joint.lower - 1e-6 <= drive.opening <= joint.upper + 1e-6:
        raise ValueError(
            f"joint '{joint.name}' opens at {drive.opening:g}, outside its limits [{joint.lower:g}, {joint.upper:g}]; "
            "correct 'opening' in the annotation"
        )
    values = {**vars(joint), **vars(drive)}
    values["opening"] = min(max(drive.opening, joint.lower), joint.upper)
    return JointDescription(**values)


def _mass(link: SourceLink, shapes: list[Shape], density: float | None, notes: list[str]) -> MassProperties:
    mass = link.mass
    if not mass:
        if density is None:
            raise ValueError(
                f"link '{link.name}' has no mass (or zero); give it one in the file, or give --density 1000 (kg/m^3) to "
                "derive it from the geometry"
            )
        mass = density * sum(shape.volume for shape in shapes) or 1e-3
        notes.append(f"Link '{link.name}' states no mass; {1e3 * mass:.3g} g follow from the density.")
    if not (math.isfinite(mass) and mass > 0.0):
        raise ValueError(f"link '{link.name}' has mass {mass:g}; write a positive one")
    if link.inertia is not None and _is_physical(link.inertia):
        return MassProperties(mass, link.center_of_mass, link.inertia)
    if not shapes:
        ball = 0.4 * mass * _GUESSED_RADIUS**2 * np.eye(3)
        notes.append(
            f"Link '{link.name}' has neither geometry nor a usable inertia; that of a 1 cm ball is used."
        )
        return MassProperties(mass, link.center_of_mass, ball)
    solid = solid_mass(mass, shapes)
    reason = "states no inertia" if link.inertia is None else "states an inertia that no solid body has"
    notes.append(f"Link '{link.name}' {reason}; it follows from the geometry at {1e3 * mass:.3g} g.")
    center = link.center_of_mass if np.any(link.center_of_mass) else solid.center_of_mass
    return MassProperties(mass, center, solid.inertia)


def _is_physical(inertia: FloatArray) -> bool:
    moments = np.linalg.eigvalsh(0.5 * (inertia + inertia.T))
    return bool(moments[0] > 0.0 and moments[0] + moments[1] >= moments[2] * (1.0 - 1e-6))


def _joint(joint: SourceJoint) -> JointDescription:
    kind = joint.kind
    effort = (
        _EFFORT[kind] if joint.effort is None else joint.effort
    )  # judged where the annotation is proposed
    stiffness = joint.stiffness or _STIFFNESS_PER_EFFORT[kind] * effort
    damping = max(joint.damping or 0.0, _DAMPING_PER_STIFFNESS * stiffness)
    return JointDescription(
        name=joint.name,
        parent=joint.parent,
        child=joint.child,
        position=_triple(joint.position),
        rpy=quaternion_to_rpy(joint.quaternion),
        axis=_triple(joint.axis),
        lower=joint.lower,
        upper=joint.upper,
        velocity=joint.velocity or _VELOCITY[kind],
        opening=min(max(0.0, joint.lower), joint.upper),
        effort=effort,
        stiffness=stiffness,
        damping=damping,
        armature=joint.armature or _ARMATURE_PER_EFFORT[kind] * effort,
        friction=joint.friction or 0.0,
        prismatic=kind == "prismatic",
        mimic=None
        if joint.mimic is None
        else Mimic(joint.mimic.joint, joint.mimic.multiplier, joint.mimic.offset),
        child_position=_triple(joint.child_position),
    )


def _refuse_equal_prims(names: list[str]) -> None:
    prims = [prim_name(name) for name in names]
    for name, prim in zip(names, prims, strict=True):
        if prims.count(prim) > 1 or prim in ("joints", "grasp_types", "materials"):
            raise ValueError(
                f"link '{name}' would be the prim '{prim}', which is taken; rename the link in the file"
            )


def _triple(vector: FloatArray) -> Triple:
    x, y, z = (float(v) for v in vector)
    return x, y, z
