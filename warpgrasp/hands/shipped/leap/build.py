"""Description of the LEAP hand; ``python -m warpgrasp.hands.shipped.leap.build`` writes ``hand.usda``.

Kinematics, limits, velocities, efforts and masses: the hand's URDF as collected in dex-urdf (MIT). The published centres
of mass are the link frames' origins, outside the bodies, so centres and inertia follow from the geometry at the
published mass. Gains: 100 Nm/rad and 1 Nm s/rad (with the evaluation's 0.2 a joint that
stops from full speed overshoots by 11 degrees); armature and friction are those of a geared servo of this size. Opening
pose and annotation: ours. Joints bear the motor numbers 0 to 15: index 1 0 2 3 (flexion, side, flexion, flexion), middle 5
4 6 7, ring 9 8 10 11, thumb 12 to 15.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

from warpgrasp.geometry.rotations import IDENTITY_QUATERNION
from warpgrasp.geometry.shapes import moved_shape
from warpgrasp.hands.authoring.description import (
    FrameDescription,
    GraspTypeDescription,
    HandDescription,
    JointDescription,
    LinkDescription,
    Look,
    Part,
    PatchDescription,
    Triple,
    box,
    hulls,
    rigid_link,
)
from warpgrasp.hands.shipped.leap import geometry

__all__ = ["describe"]

_EFFORT, _STIFFNESS, _DAMPING, _ARMATURE, _FRICTION, _VELOCITY = 0.95, 100.0, 1.0, 0.002, 0.02, 8.48
_TURN = 1.57079  # the source's quarter turn
_AXIS = (0.0, 0.0, -1.0)
# name, suffix of the links, motor numbers, knuckle position, distance of the last joint
_FINGERS = (
    ("index", "", (1, 0, 2, 3), (-0.007, 0.023, -0.0187), -0.0361),
    ("middle", "_2", (5, 4, 6, 7), (-0.0071, -0.0224, -0.0187), -0.0361),
    ("ring", "_3", (9, 8, 10, 11), (-0.00709, -0.0678, -0.0187), -0.03609),
)
_FINGER_LIMITS = ((-0.314, 2.23), (-1.047, 1.047), (-0.506, 1.885), (-0.366, 2.042))
_THUMB_LIMITS = ((-0.349, 2.094), (-0.47, 2.443), (-1.2, 1.9), (-1.34, 1.88))
_FINGER_OPENING = (0.3, 0.0, 0.4, 0.3)
_THUMB_OPENING = (1.1, 0.5, 0.2, 0.2)
_IDLE = (-0.25, 0.0, -0.3, -0.2)  # bent back, behind the palm's plane
_FACE_ANGLE = math.radians(40.0)
_TIP_ANGLE = math.radians(65.0)
# spheres that stand out 3 mm at most: the brackets are thin and have many edges
_link = partial(rigid_link, overshoot=0.002, bulge=0.003)


def describe() -> HandDescription:
    """The whole hand."""
    motors = [box((0.024, 0.028, 0.0343), (-0.009, y, -0.01115)) for y in (0.009, -0.0365, -0.0818)]
    palm = (*hulls(*geometry.PALM), *motors)
    links = [
        rigid_link("palm_lower", palm, 0.237, sphere_limit=22, gap=0.008, overshoot=0.0015, bulge=0.0021)
    ]
    joints: list[JointDescription] = []
    finger_links = _finger_links()
    for finger in _FINGERS:
        links += [replace(link, name=f"{link.name}{finger[1]}") for link in finger_links]
        joints += _finger_joints(*finger[1:])
    links += _thumb_links()
    joints += _thumb_joints()
    return HandDescription(
        name="leap",
        title="LEAP hand, right, 16 degrees of freedom.",
        source="Kinematics and masses of the LEAP hand's URDF (MIT); geometry, inertia and annotation by warpgrasp.",
        links=tuple(links),
        joints=tuple(joints),
        patches=_patches(),
        grasp_types=_grasp_types(),
        # on the palm's surface; x towards the thumb, y along the fingers, z out of the palm
        wrist=FrameDescription("wrist", "palm_lower", (-0.02, -0.03, -0.034), (math.pi, 0.0, math.pi / 2)),
        frames=(
            *(
                FrameDescription(f"{name}_tip_frame", f"fingertip{s}", (0.0, -0.048, 0.015))
                for name, s, *_ in _FINGERS
            ),
            FrameDescription("thumb_tip_frame", "thumb_fingertip", (0.0, -0.06, -0.015)),
        ),
        materials={"body": (0.12, 0.12, 0.13), "tip": (0.85, 0.85, 0.82)},
        look=Look(edge_radius=0.0018),
        earlier_hashes=("a98f529c0fc1fa7fa5b7c76cab95df57023d00b8993ab0e155df1980851f6f95",),
        # nested brackets: a fork encloses the side motor and what it carries
        filtered_pairs=(
            *(("palm_lower", f"pip{s}") for _, s, *_ in _FINGERS),
            *((f"mcp_joint{s}", f"dip{s}") for _, s, *_ in _FINGERS),
            ("palm_lower", "thumb_pip"),
            ("thumb_temp_base", "thumb_dip"),
        ),
    )


def _finger_links() -> list[LinkDescription]:
    """Links of one finger; the three fingers differ only in their names."""
    return [
        _link("mcp_joint", hulls(*geometry.KNUCKLE), 0.044, sphere_limit=9),
        _link("pip", hulls(*geometry.SIDE_MOTOR), 0.032, sphere_limit=5),
        _link("dip", hulls(*geometry.MIDDLE), 0.037, sphere_limit=10),
        _link("fingertip", hulls(*geometry.FINGERTIP, material="tip"), 0.016, sphere_limit=12),
    ]


def _thumb_links() -> list[LinkDescription]:
    # the motor of the fingers' side joints again, mounted further from the axis
    motor = [
        Part(moved_shape(part.shape, (-0.0149, 0.0001, 0.0001), IDENTITY_QUATERNION))
        for part in hulls(*geometry.SIDE_MOTOR)
    ]
    return [
        _link("thumb_temp_base", motor, 0.032, sphere_limit=5),
        _link("thumb_pip", hulls(*geometry.THUMB_BRACKET), 0.003, sphere_limit=5),
        _link("thumb_dip", hulls(*geometry.THUMB_MIDDLE), 0.038, sphere_limit=10),
        _link("thumb_fingertip", hulls(*geometry.THUMB_TIP, material="tip"), 0.049, sphere_limit=12),
    ]


def _joint(
    number: int,
    parent: str,
    child: str,
    position: Triple,
    rpy: Triple,
    limits: tuple[float, float],
    opening: float,
) -> JointDescription:
    return JointDescription(
        name=str(number),
        parent=parent,
        child=child,
        position=position,
        rpy=rpy,
        axis=_AXIS,
        lower=limits[0],
        upper=limits[1],
        velocity=_VELOCITY,
        opening=opening,
        effort=_EFFORT,
        stiffness=_STIFFNESS,
        damping=_DAMPING,
        armature=_ARMATURE,
        friction=_FRICTION,
    )


def _finger_joints(
    suffix: str, numbers: tuple[int, int, int, int], knuckle: Triple, last: float
) -> list[JointDescription]:
    names = ("palm_lower", *(f"{link}{suffix}" for link in ("mcp_joint", "pip", "dip", "fingertip")))
    frames: tuple[tuple[Triple, Triple], ...] = (
        (knuckle, (_TURN, _TURN, 0.0)),
        ((-0.0122, 0.0381, 0.0145), (-_TURN, 0.0, _TURN)),
        ((0.015, 0.0143, -0.013), (_TURN, -_TURN, 0.0)),
        ((0.0, last, 0.0002), (0.0, 0.0, 0.0)),
    )
    return [
        _joint(numbers[k], names[k], names[k + 1], *frames[k], _FINGER_LIMITS[k], _FINGER_OPENING[k])
        for k in range(4)
    ]


def _thumb_joints() -> list[JointDescription]:
    names = ("palm_lower", "thumb_temp_base", "thumb_pip", "thumb_dip", "thumb_fingertip")
    frames: tuple[tuple[Triple, Triple], ...] = (
        ((-0.0693, -0.0012, -0.0216), (0.0, _TURN, 0.0)),
        ((0.0, 0.0143, -0.013), (_TURN, -_TURN, 0.0)),
        ((0.0, 0.0145, -0.017), (-_TURN, 0.0, 0.0)),
        ((0.0, 0.0466, 0.0002), (0.0, 0.0, 3.14159)),
    )
    return [
        _joint(12 + k, names[k], names[k + 1], *frames[k], _THUMB_LIMITS[k], _THUMB_OPENING[k])
        for k in range(4)
    ]


def _patches() -> tuple[PatchDescription, ...]:
    inner, tip = (-1.0, 0.0, 0.0), (-1.0, -0.6, 0.0)
    front = (1.0, 1.0, -0.015)  # not the inside of the palm's back, at the thumb's opening
    palm = PatchDescription("palm", "palm_lower", "palm", "palm", (0.0, 0.0, -1.0), _FACE_ANGLE, upper=front)
    patches = [palm]
    for name, suffix, *_ in _FINGERS:
        patches += [
            PatchDescription(
                f"{name}_proximal", f"mcp_joint{suffix}", name, "middle", (1.0, 0.0, 0.0), _FACE_ANGLE
            ),
            PatchDescription(f"{name}_medial", f"dip{suffix}", name, "middle", inner, _FACE_ANGLE),
            PatchDescription(
                f"{name}_tip",
                f"fingertip{suffix}",
                name,
                "tip",
                tip,
                _TIP_ANGLE,
                (-1.0, -1.0, -1.0),
                (1.0, -0.018, 1.0),
            ),
        ]
    patches += [
        PatchDescription("thumb_medial", "thumb_dip", "thumb", "middle", (1.0, 0.0, 0.0), _FACE_ANGLE),
        PatchDescription(
            "thumb_tip",
            "thumb_fingertip",
            "thumb",
            "tip",
            tip,
            _TIP_ANGLE,
            (-1.0, -1.0, -1.0),
            (1.0, -0.024, 1.0),
        ),
    ]
    return tuple(patches)


def _grasp_types() -> tuple[GraspTypeDescription, ...]:
    idle = {
        name: {str(number): value for number, value in zip(numbers, _IDLE, strict=True)}
        for name, _, numbers, *_ in _FINGERS
    }
    return (
        GraspTypeDescription("power", tuple(patch.name for patch in _patches())),
        GraspTypeDescription("precision", ("thumb_tip", "index_tip", "middle_tip"), idle["ring"]),
        GraspTypeDescription("pinch", ("thumb_tip", "index_tip"), idle["middle"] | idle["ring"]),
    )


if __name__ == "__main__":
    from warpgrasp.hands.authoring.author import write_hand

    write_hand(describe(), Path(__file__).with_name("hand.usda"), fixed_mesh_name=True)
