"""Description of the BarrettHand BH8-280; ``python -m warpgrasp.hands.shipped.barrett.build`` writes ``hand.usda``.

Kinematics, limits, couplings and masses: the BH8-280 model of FRoGGeR (MIT, after Barrett's own ROS model, BSD). The
outer phalanx of a finger follows the inner one (worm gears on one motor) and the two spread joints mirror each other: mimic
joints carry both. Efforts: the data sheet's 15 N at the fingertip, 0.12 m from the base joint, instead of the
model's 30 Nm (the maker's torque sensor in a fingertip spans 1 Nm, 20 N at 5 cm); the spread has the same motor behind
17.5:1 without worm instead of 125:1 with worm, about 0.5 Nm for both fingers. Gains: 100 Nm/rad and near critical damping
for the armature, which is ours. Inertia as published; opening pose and annotation
are ours. Fingers are named as the vendor does; ``finger_3`` is the one that does not spread and acts as the thumb.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from warpgrasp.hands.authoring.description import (
    FrameDescription,
    GraspTypeDescription,
    HandDescription,
    JointDescription,
    LinkDescription,
    Look,
    Mimic,
    PatchDescription,
    Triple,
    hulls,
    mass_from_sheet,
    rigid_link,
)
from warpgrasp.hands.shipped.barrett import geometry

__all__ = ["describe"]

_EFFORT, _SPREAD_EFFORT, _STIFFNESS, _DAMPING, _ARMATURE, _VELOCITY = 1.8, 0.5, 100.0, 1.2, 0.003, 2.0
_SPREAD_DAMPING = 3.0  # turns two whole fingers
_QUARTER = 1.5708  # the source's quarter turn
_AXIS: Triple = (0.0, 0.0, -1.0)
_OUTER_RATIO = 0.3442622950819672  # outer phalanx to inner phalanx
_SPREAD_LIMIT, _INNER_LIMIT, _OUTER_LIMIT = 3.1416, 2.44, 0.84
_OPENING = 0.7  # inner phalanges stand up; spread 0: two fingers face the third
_TIP: Triple = (-0.045906, 0.035841, 0.000638)
_OVERSHOOT = 0.002  # of self-collision spheres, so that few are enough
_PAD_ANGLE = math.radians(40.0)
_TIP_ANGLE = math.radians(60.0)


def describe() -> HandDescription:
    """The whole hand."""
    palm_mass = mass_from_sheet(
        1.0, (0.0, -0.0039272, 0.040712), (0.0010893, 0.00097721, 0.0010579, 0.0, 6.5953e-19, 8.6359e-05)
    )
    links = [
        rigid_link("bh_palm", hulls(*geometry.PALM), palm_mass, sphere_limit=16, overshoot=_OVERSHOOT),
        *_phalanges(3),
        _knuckle(1),
        *_phalanges(1),
        _knuckle(2),
        *_phalanges(2),
    ]
    return HandDescription(
        name="barrett",
        title="BarrettHand BH8-280, 4 degrees of freedom, 8 joints.",
        source="Kinematics and masses of the BH8-280 model of FRoGGeR (MIT); geometry and annotation by warpgrasp.",
        links=tuple(links),
        joints=_joints(),
        patches=_patches(),
        grasp_types=_grasp_types(),
        # on the palm; x towards the finger that opposes the others, z out of the palm
        wrist=FrameDescription("wrist", "bh_palm", (0.0, -0.01, 0.0835), (0.0, 0.0, -math.pi / 2)),
        frames=tuple(FrameDescription(f"finger_{n}_tip_frame", f"bh_finger_{n}3", _TIP) for n in (1, 2, 3)),
        materials={"body": (0.13, 0.14, 0.16), "link": (0.62, 0.63, 0.65), "tip": (0.85, 0.85, 0.82)},
        look=Look(edge_radius=0.004),
        earlier_hashes=("f3d09b37c35901127be46e3ba3b4c042122a49f9cfcfb6b2d17436925473d640",),
        # the inner phalanges swing in slots of the palm
        filtered_pairs=(
            ("bh_palm", "bh_finger_12"),
            ("bh_palm", "bh_finger_22"),
            ("bh_finger_11", "bh_finger_21"),
        ),
    )


def _knuckle(finger: int) -> LinkDescription:
    mass = mass_from_sheet(
        0.1,
        (-0.033751, 0.0, 0.018292),
        (1.9875e-05, 6.0239e-05, 5.0781e-05, 1.4791e-16, 9.8185e-06, 5.6681e-19),
    )
    return rigid_link(
        f"bh_finger_{finger}1", hulls(*geometry.KNUCKLE), mass, sphere_limit=8, overshoot=_OVERSHOOT
    )


def _phalanges(finger: int) -> tuple[LinkDescription, LinkDescription]:
    inner = mass_from_sheet(
        0.1,
        (-0.030745, 0.0019837, 0.00068129),
        (7.3832e-06, 5.9343e-05, 6.0411e-05, 2.5967e-06, -2.9222e-07, 2.4133e-09),
    )
    outer = mass_from_sheet(
        0.1,
        (-0.016427, 0.015348, 0.00063234),
        (1.9434e-05, 2.2457e-05, 3.4232e-05, 1.4715e-05, -1.3785e-09, 9.4538e-10),
    )
    return (
        rigid_link(
            f"bh_finger_{finger}2",
            hulls(*geometry.PROXIMAL, material="link"),
            inner,
            sphere_limit=9,
            overshoot=_OVERSHOOT,
        ),
        rigid_link(
            f"bh_finger_{finger}3",
            hulls(*geometry.DISTAL, material="tip"),
            outer,
            sphere_limit=12,
            overshoot=_OVERSHOOT,
        ),
    )


def _joint(
    name: str, parent: str, child: str, position: Triple, rpy: Triple, upper: float, opening: float = 0.0
) -> JointDescription:
    return JointDescription(
        name=name,
        parent=parent,
        child=child,
        position=position,
        rpy=rpy,
        axis=_AXIS,
        lower=0.0,
        upper=upper,
        velocity=_VELOCITY,
        opening=opening,
        effort=_EFFORT,
        stiffness=_STIFFNESS,
        damping=_DAMPING,
        armature=_ARMATURE,
    )


def _finger_joints(
    finger: int, base: str, position: Triple, rpy: Triple
) -> tuple[JointDescription, JointDescription]:
    inner, outer = f"bh_finger_{finger}2", f"bh_finger_{finger}3"
    motor = _joint(f"bh_j{finger}2_joint", base, inner, position, rpy, _INNER_LIMIT, _OPENING)
    follower = _joint(
        f"bh_j{finger}3_joint", inner, outer, (-0.069936, 0.003, 0.0), (0.0, 0.0, 0.0), _OUTER_LIMIT
    )
    return motor, replace(follower, mimic=Mimic(motor.name, _OUTER_RATIO))


def _joints() -> tuple[JointDescription, ...]:
    turned, lifted = (0.0, 0.0, -_QUARTER), (_QUARTER, 0.0, 0.0)
    knuckle: Triple = (-0.05, 0.0, 0.0339)
    spread = replace(
        _joint("bh_j11_joint", "bh_palm", "bh_finger_11", (0.025, 0.0, 0.0415), turned, _SPREAD_LIMIT),
        effort=_SPREAD_EFFORT,
        damping=_SPREAD_DAMPING,
    )
    mirrored = _joint("bh_j21_joint", "bh_palm", "bh_finger_21", (-0.025, 0.0, 0.0415), turned, _SPREAD_LIMIT)
    return (
        *_finger_joints(3, "bh_palm", (0.0, -0.05, 0.0754), (_QUARTER, 0.0, _QUARTER)),
        spread,
        *_finger_joints(1, "bh_finger_11", knuckle, lifted),
        replace(mirrored, axis=(0.0, 0.0, 1.0), mimic=Mimic(spread.name, 1.0)),
        *_finger_joints(2, "bh_finger_21", knuckle, lifted),
    )


def _patches() -> tuple[PatchDescription, ...]:
    patches = [
        PatchDescription("palm", "bh_palm", "palm", "palm", (0.0, 0.0, 1.0), _PAD_ANGLE, (-1.0, -1.0, 0.07))
    ]
    for finger in (1, 2, 3):
        name = f"finger_{finger}"
        patches += [
            PatchDescription(
                f"{name}_inner",
                f"bh_finger_{finger}2",
                name,
                "middle",
                (0.0, 1.0, 0.0),
                _PAD_ANGLE,
                (-0.068, -1.0, -1.0),
                (-0.005, 1.0, 1.0),
            ),
            PatchDescription(
                f"{name}_tip",
                f"bh_finger_{finger}3",
                name,
                "tip",
                (0.34, 1.17, 0.0),
                _TIP_ANGLE,
                (-1.0, 0.006, -1.0),
            ),
        ]
    return tuple(patches)


def _grasp_types() -> tuple[GraspTypeDescription, ...]:
    return (
        GraspTypeDescription("power", tuple(patch.name for patch in _patches())),
        GraspTypeDescription("precision", tuple(f"finger_{n}_tip" for n in (1, 2, 3))),
    )


if __name__ == "__main__":
    from warpgrasp.hands.authoring.author import write_hand

    write_hand(describe(), Path(__file__).with_name("hand.usda"), fixed_mesh_name=True)
