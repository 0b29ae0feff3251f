"""Description of the Allegro hand; ``python -m warpgrasp.hands.shipped.allegro.build`` writes ``hand.usda``.

Kinematics, limits, velocities and masses: the vendor's hardware as published by SimLab (allegro_hand_right.urdf).
Drive gains, efforts, armature, joint friction and opening pose: the evaluation of Zurbrügg et al. 2025. Geometry: boxes of
the published outer dimensions with round fingertips of 12 mm radius; palm and thumb base are fitted convex parts. The
published inertia tensors are not those of solid bodies (their products of inertia exceed what the moments allow), so inertia
follows from the geometry at the published mass. The fixed tip links are merged into the distal links; their frames remain as
``<finger>_tip_frame``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from warpgrasp.hands.authoring.description import (
    FrameDescription,
    GraspTypeDescription,
    HandDescription,
    JointDescription,
    LinkDescription,
    Look,
    PatchDescription,
    box,
    capsule,
    hulls,
    rigid_link,
    weld,
)
from warpgrasp.hands.shipped.allegro import geometry

__all__ = ["describe"]

_WIDTH = 0.0275  # across a finger
_DEPTH = 0.0196  # from the back of a finger to its inner face
_OVERSHOOT = 0.002  # of self-collision spheres, so that few are enough
_EFFORT, _STIFFNESS, _DAMPING, _ARMATURE, _FRICTION, _VELOCITY = 1.6, 100.0, 0.22, 0.003, 0.15, 3.14
_PAD_ANGLE = math.radians(35.0)  # inner face of a phalanx only
_TIP_ANGLE = math.radians(65.0)
_PALM_LOWER = (0.008, -1.0, -1.0)  # the front plate only
_TIP_DIRECTION = (1.0, 0.0, 0.6)  # the pad and the round end


@dataclass(frozen=True)
class _Finger:
    """What distinguishes one long finger from another."""

    name: str
    first_joint: int
    base_position: tuple[float, float, float]
    base_roll: float
    knuckle_mass: float
    distal_mass: float
    tip_mass: float


_FINGERS = (
    _Finger("index", 0, (0.0, 0.0435, -0.001542), -0.08726646255, 0.0119, 0.02, 0.0168),
    _Finger("middle", 4, (0.0, 0.0, 0.0007), 0.0, 0.005, 0.0388, 0.0096),
    _Finger("ring", 8, (0.0, -0.0435, -0.001542), 0.08726646255, 0.005, 0.0096, 0.0168),
)
_THUMB_LIMITS = ((0.263, 1.396), (-0.105, 1.163), (-0.189, 1.644), (-0.162, 1.719))
_FINGER_LIMITS = ((-0.47, 0.47), (-0.196, 1.61), (-0.174, 1.709), (-0.227, 1.618))
_FINGER_OPENING = (0.0, 0.2, 0.5, 0.5)
_THUMB_OPENING = (1.0, 0.5, 0.5, 0.2)
_IDLE = (0.0, -0.15, 0.0, 0.0)  # stretched and slightly bent back, behind the palm's plane


def describe() -> HandDescription:
    """The whole hand."""
    links = [_palm()]
    joints: list[JointDescription] = []
    for finger in _FINGERS:
        links += _finger_links(finger)
        joints += _finger_joints(finger)
    links += _thumb_links()
    joints += _thumb_joints()
    return HandDescription(
        name="allegro",
        title="Wonik Allegro hand, right, 16 degrees of freedom.",
        source="Kinematics and masses published by SimLab (BSD); geometry, inertia and annotation by warpgrasp.",
        links=tuple(links),
        joints=tuple(joints),
        patches=_patches(),
        grasp_types=_grasp_types(),
        # origin on the palm's surface; x towards the thumb, y along the fingers, z out of the palm
        wrist=FrameDescription("wrist", "base_link", (0.0117, 0.0, -0.045), (math.pi / 2, 0.0, math.pi / 2)),
        frames=tuple(
            FrameDescription(f"{name}_tip_frame", f"link_{last}.0", (0.0, 0.0, height))
            for name, last, height in (
                ("index", 3, 0.0387),
                ("middle", 7, 0.0387),
                ("ring", 11, 0.0387),
                ("thumb", 15, 0.0543),
            )
        ),
        materials={"body": (0.08, 0.08, 0.09), "tip": (0.85, 0.85, 0.82)},
        look=Look(edge_radius=0.003),
        earlier_hashes=("61a2482c15f855259b9ffceeb685b11ba030a3dd99d953e3a2a783e4c3dd89c5",),
    )


def _link(
    name: str, mass: float, size: tuple[float, float, float], center: tuple[float, float, float]
) -> LinkDescription:
    """A boxy link."""
    limit = 3 if size[2] < 0.03 else 4 if size[2] < 0.05 else 5
    return rigid_link(name, (box(size, center),), mass, sphere_limit=limit, overshoot=_OVERSHOOT)


def _tipped(distal: LinkDescription, tip_mass: float, height: float) -> LinkDescription:
    """Weld a round tip of 12 mm radius whose outermost point is ``height`` above the link's origin."""
    parts = (capsule(0.012, (0.0, 0.0, height - 0.0165), (0.0, 0.0, height - 0.012), material="tip"),)
    tip = rigid_link("tip", parts, tip_mass, sphere_limit=0)
    both = weld(distal, tip, (0.0, 0.0, 0.0))
    return rigid_link(
        both.name, both.parts, both.mass, sphere_limit=4 if height < 0.05 else 5, overshoot=_OVERSHOOT
    )


def _palm() -> LinkDescription:
    across, middle = 0.0358, -0.0091  # between the plates
    tilt = _FINGERS[2].base_roll
    return rigid_link(
        "base_link",
        (
            *hulls(*geometry.PALM),
            # the motors of the three fingers' side joints and of the thumb, and the wall on the ring finger's side
            box((across, 0.0205, 0.028), (middle, 0.0425, -0.0185), (-tilt, 0.0, 0.0)),
            box((across, 0.0205, 0.0275), (middle, 0.0, -0.0165)),
            box((across, 0.0205, 0.028), (middle, -0.0425, -0.0185), (tilt, 0.0, 0.0)),
            box((across, 0.0185, 0.0255), (middle, 0.0208, -0.0295), (-tilt, 0.0, 0.0)),
            box((across, 0.004, 0.021), (middle, -0.0508, -0.05)),
        ),
        0.4154,
        sphere_limit=14,
        overshoot=_OVERSHOOT,
        envelope=hulls(*geometry.PALM_ENVELOPE),
    )


def _finger_links(finger: _Finger) -> list[LinkDescription]:
    n = finger.first_joint
    # a little less deep: its back has a recess
    distal = _link(f"link_{n + 3}.0", finger.distal_mass, (0.0188, 0.0269, 0.022), (0.0004, 0.0, 0.0047))
    return [
        _link(f"link_{n}.0", finger.knuckle_mass, (_DEPTH, _WIDTH, 0.0164), (0.0, 0.0, 0.0082)),
        _link(f"link_{n + 1}.0", 0.065, (_DEPTH, _WIDTH, 0.054), (0.0, 0.0, 0.027)),
        _link(f"link_{n + 2}.0", 0.0355, (_DEPTH, _WIDTH, 0.0384), (0.0, 0.0, 0.0192)),
        _tipped(distal, finger.tip_mass, 0.0387),
    ]


def _thumb_links() -> list[LinkDescription]:
    distal = _link("link_15.0", 0.0388, (_DEPTH, 0.0265, 0.0394), (0.0, 0.0, 0.01155))
    return [
        rigid_link("link_12.0", hulls(*geometry.THUMB_BASE), 0.0176, sphere_limit=5, overshoot=_OVERSHOOT),
        _link("link_13.0", 0.0119, (_DEPTH, _WIDTH, 0.0177), (0.0, 0.0, 0.00885)),
        rigid_link(
            "link_14.0",
            (
                box((_DEPTH, _WIDTH, 0.027), (0.0, 0.0, 0.0135)),
                # the cheeks that hold the last joint's motor
                *(box((_DEPTH, 0.004, 0.0307), (0.0, y, 0.0423)) for y in (-0.0117, 0.0117)),
            ),
            0.038,
            sphere_limit=5,
            overshoot=_OVERSHOOT,
            envelope=(box((_DEPTH, _WIDTH, 0.0576), (0.0, 0.0, 0.0288)),),
        ),
        _tipped(distal, 0.0168, 0.0543),
    ]


def _joint(
    number: int,
    parent: int | None,
    position: tuple[float, float, float],
    rpy: tuple[float, float, float],
    axis: tuple[float, float, float],
    limits: tuple[float, float],
    opening: float,
) -> JointDescription:
    return JointDescription(
        name=f"joint_{number}.0",
        parent="base_link" if parent is None else f"link_{parent}.0",
        child=f"link_{number}.0",
        position=position,
        rpy=rpy,
        axis=axis,
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


def _finger_joints(finger: _Finger) -> list[JointDescription]:
    n, limits, opening = finger.first_joint, _FINGER_LIMITS, _FINGER_OPENING
    flat, flex = (0.0, 0.0, 0.0), (0.0, 1.0, 0.0)
    return [
        _joint(
            n,
            None,
            finger.base_position,
            (finger.base_roll, 0.0, 0.0),
            (0.0, 0.0, 1.0),
            limits[0],
            opening[0],
        ),
        _joint(n + 1, n, (0.0, 0.0, 0.0164), flat, flex, limits[1], opening[1]),
        _joint(n + 2, n + 1, (0.0, 0.0, 0.054), flat, flex, limits[2], opening[2]),
        _joint(n + 3, n + 2, (0.0, 0.0, 0.0384), flat, flex, limits[3], opening[3]),
    ]


def _thumb_joints() -> list[JointDescription]:
    limits, opening, flat = _THUMB_LIMITS, _THUMB_OPENING, (0.0, 0.0, 0.0)
    base = (0.0, -1.65806278845, -1.5707963259)
    return [
        _joint(12, None, (-0.0182, 0.019333, -0.045987), base, (-1.0, 0.0, 0.0), limits[0], opening[0]),
        _joint(13, 12, (-0.027, 0.005, 0.0399), flat, (0.0, 0.0, 1.0), limits[1], opening[1]),
        _joint(14, 13, (0.0, 0.0, 0.0177), flat, (0.0, 1.0, 0.0), limits[2], opening[2]),
        _joint(15, 14, (0.0, 0.0, 0.0514), flat, (0.0, 1.0, 0.0), limits[3], opening[3]),
    ]


def _pad(name: str, link: int, finger: str) -> PatchDescription:
    return PatchDescription(name, f"link_{link}.0", finger, "middle", (1.0, 0.0, 0.0), _PAD_ANGLE)


def _tip_patch(link: int, finger: str, base: float) -> PatchDescription:
    lower = (-1.0, -1.0, base)
    return PatchDescription(
        f"{finger}_tip", f"link_{link}.0", finger, "tip", _TIP_DIRECTION, _TIP_ANGLE, lower
    )


def _patches() -> tuple[PatchDescription, ...]:
    patches = [
        PatchDescription("palm", "base_link", "palm", "palm", (1.0, 0.0, 0.0), _PAD_ANGLE, _PALM_LOWER)
    ]
    for finger in _FINGERS:
        n = finger.first_joint
        patches += [
            _pad(f"{finger.name}_proximal", n + 1, finger.name),
            _pad(f"{finger.name}_medial", n + 2, finger.name),
            _tip_patch(n + 3, finger.name, 0.0158),
        ]
    patches += [
        _pad("thumb_medial", 14, "thumb"),
        _pad("thumb_distal", 15, "thumb"),
        _tip_patch(15, "thumb", 0.0314),
    ]
    return tuple(patches)


def _grasp_types() -> tuple[GraspTypeDescription, ...]:
    idle = {
        f.name: {f"joint_{f.first_joint + k}.0": value for k, value in enumerate(_IDLE)} for f in _FINGERS
    }
    return (
        GraspTypeDescription("power", tuple(patch.name for patch in _patches())),
        GraspTypeDescription("precision", ("thumb_tip", "index_tip", "middle_tip"), idle["ring"]),
        GraspTypeDescription("pinch", ("thumb_tip", "index_tip"), idle["middle"] | idle["ring"]),
    )


if __name__ == "__main__":
    from warpgrasp.hands.authoring.author import write_hand

    write_hand(describe(), Path(__file__).with_name("hand.usda"), fixed_mesh_name=True)
