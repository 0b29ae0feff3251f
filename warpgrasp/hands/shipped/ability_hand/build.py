"""Description of the Psyonic Ability Hand; ``python -m warpgrasp.hands.shipped.ability_hand.build`` writes ``hand.usda``.

Kinematics, limits, velocities, masses and inertia: the vendor's URDF of the right hand with large fingers (MIT). A finger's
second joint follows its first through a four-bar linkage, of which the vendor gives the linear approximation: mimic joints
carry it. Effort: 9.3 N at the fingertip's 0.102 m, halved, as in the evaluation of Zurbrügg et al. 2025 without its factor of
100. Stiffness, friction and the fingers' opening pose: that evaluation too; the thumb's zero differs there, its opening
is ours. Damping and armature are ours: the evaluation's (0.1 Nm s/rad, 0.01 kg m^2, none at the thumb's flexion) belong to its
hundredfold effort. With the real one a finger would need 40 degrees to stop from the vendor's joint speed; at 0.001 kg m^2
it needs 4. Damping is critical for that inertia.
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
from warpgrasp.hands.shipped.ability_hand import geometry

__all__ = ["describe"]

_EFFORT, _DAMPING, _ARMATURE = 0.474, 0.25, 0.001
_VELOCITY, _THUMB_VELOCITY = 8.0677777442, 40.338888721
_LIMIT, _FOLLOWER_LIMIT, _RATIO = 1.74, 1.844, 1.05851325
_TIP: Triple = (0.0315541, -0.01044, 0.00014)
_PAD_ANGLE = math.radians(40.0)
_TIP_ANGLE = math.radians(60.0)
# vendor's name, finger, knuckle position and orientation in the palm
_FINGERS = (
    ("index", "index", (-0.028, -0.009, 0.096), (1.672, -1.317, -1.79)),
    ("middle", "middle", (-0.008, -0.012, 0.099), (1.513, -1.322, -1.558)),
    ("ring", "ring", (0.012, -0.01, 0.097), (1.361, -1.315, -1.33)),
    ("pinky", "little", (0.031, -0.007, 0.091), (1.41, -1.315, -1.313)),
)


def describe() -> HandDescription:
    """The whole hand."""
    palm_mass = mass_from_sheet(
        0.37511,
        (0.00065452, -0.00598838, 0.05077265),
        (0.000376723021, 0.000467706269, 0.000177650714, -2.3389546e-06, 6.04325119e-06, 5.04572726e-05),
    )
    links = [rigid_link("base", hulls(*geometry.PALM), palm_mass, sphere_limit=16)]
    joints: list[JointDescription] = []
    for name, _, position, rpy in _FINGERS:
        links += _finger_links(name)
        joints += _finger_joints(name, position, rpy)
    links += _thumb_links()
    joints += _thumb_joints()
    return HandDescription(
        name="ability_hand",
        title="Psyonic Ability Hand, right, large fingers, 6 degrees of freedom, 10 joints.",
        source="Kinematics and masses of the vendor's URDF (MIT); geometry and annotation by warpgrasp.",
        links=tuple(links),
        joints=tuple(joints),
        patches=_patches(),
        grasp_types=_grasp_types(),
        # on the palm's surface; x towards the thumb, y along the fingers, z out of the palm
        wrist=FrameDescription("wrist", "base", (0.0, 0.012, 0.075), (math.pi / 2, 0.0, math.pi)),
        frames=(
            *(FrameDescription(f"{name}_tip_frame", f"{name}_L2", _TIP) for name, *_ in _FINGERS),
            FrameDescription("thumb_tip_frame", "thumb_L2", (0.05200122724, 0.02800869333, 0.00698483578)),
        ),
        materials={"body": (0.09, 0.09, 0.10), "tip": (0.80, 0.78, 0.74)},
        look=Look(edge_radius=0.004),
        earlier_hashes=("a5c218c99709d413e0c9e384d77ab669556e501a1abc92137551874b3d74579a",),
        filtered_pairs=(("base", "thumb_L2"),),  # the thumb's root turns inside the palm's edge
    )


def _finger_links(name: str) -> tuple[LinkDescription, LinkDescription]:
    proximal = mass_from_sheet(
        0.00636,
        (0.0177549969, -0.000213867669, -2.02851433e-05),
        (2.85169621e-07, 9.77683041e-07, 1.05411544e-06, 1.21454801e-08, 2.02098452e-09, -2.87547802e-10),
    )
    distal = mass_from_sheet(
        0.006,
        (0.01527234, -0.0100039197, -3.11063902e-05),
        (4.06340451e-07, 9.13745257e-07, 1.13382499e-06, 3.99862338e-07, -1.91966414e-09, 8.96846813e-10),
    )
    shape = geometry.DISTAL
    if name == "pinky":
        shape = geometry.DISTAL_SMALL
        distal = mass_from_sheet(
            0.006,
            (0.0133249215, -0.00815894775, -4.07689501e-05),
            (3.07970159e-07, 7.40775495e-07, 8.93728844e-07, 2.8092101e-07, -2.72117073e-09, 1.08144438e-09),
        )
    return (
        rigid_link(f"{name}_L1", hulls(*geometry.PROXIMAL), proximal, sphere_limit=6),
        rigid_link(f"{name}_L2", hulls(*shape, material="tip"), distal, sphere_limit=5),
    )


def _thumb_links() -> tuple[LinkDescription, LinkDescription]:
    base = mass_from_sheet(
        0.002,
        (0.01429402, -0.0018885, 0.00496979),
        (1.19399127e-07, 2.50792788e-07, 2.02280286e-07, 1.99799715e-08, -6.88490629e-08, 8.36717975e-09),
    )
    thumb = mass_from_sheet(
        0.06,
        (0.02776245, 0.00562171, 0.00376111),
        (8.10858569e-06, 2.16060955e-05, 2.58546348e-05, -7.50865328e-06, -6.23786727e-08, -1.00037755e-07),
    )
    return (
        rigid_link("thumb_L1", hulls(*geometry.THUMB_BASE), base, sphere_limit=3),
        rigid_link("thumb_L2", hulls(*geometry.THUMB, material="tip"), thumb, sphere_limit=7),
    )


def _joint(
    name: str,
    parent: str,
    child: str,
    position: Triple,
    rpy: Triple,
    limits: tuple[float, float],
    opening: float,
) -> JointDescription:
    return JointDescription(
        name=name,
        parent=parent,
        child=child,
        position=position,
        rpy=rpy,
        axis=(0.0, 0.0, 1.0),
        lower=limits[0],
        upper=limits[1],
        velocity=_VELOCITY,
        opening=opening,
        effort=_EFFORT,
        stiffness=10.0,
        damping=_DAMPING,
        armature=_ARMATURE,
        friction=0.05,
    )


def _finger_joints(name: str, position: Triple, rpy: Triple) -> tuple[JointDescription, JointDescription]:
    proximal, distal = f"{name}_L1", f"{name}_L2"
    motor = _joint(f"{name}_q1", "base", proximal, position, rpy, (0.0, _LIMIT), 0.3)
    pivot: Triple = (0.038472723, 0.003257695, 0.0)
    follower = _joint(f"{name}_q2", proximal, distal, pivot, (0.0, 0.0, 0.766), (0.0, _FOLLOWER_LIMIT), 0.0)
    return motor, replace(follower, armature=0.0, mimic=Mimic(motor.name, _RATIO))


def _thumb_joints() -> tuple[JointDescription, JointDescription]:
    swivel = _joint(
        "thumb_q1",
        "base",
        "thumb_L1",
        (-0.0240476665, 0.00378124745, 0.03232964923),
        (-0.01675973, -0.08689062, -2.95079797),
        (-_LIMIT, 0.0),
        -1.2,
    )
    flexion = _joint(
        "thumb_q2",
        "thumb_L1",
        "thumb_L2",
        (0.0278283501, 0.0, 0.0147507),
        (1.832595714594045, 0.0, 0.0),
        (0.0, _LIMIT),
        0.1,
    )
    return replace(swivel, velocity=_THUMB_VELOCITY), replace(flexion, stiffness=15.0)


def _patches() -> tuple[PatchDescription, ...]:
    patches = [
        PatchDescription("palm", "base", "palm", "palm", (0.0, 1.0, 0.0), _PAD_ANGLE, (-1.0, -1.0, 0.03))
    ]
    inner, tip, flat = (0.49, 0.87, 0.0), (1.0, 0.58, 0.0), (0.0, 1.0, 0.0)

    def between(low: float, high: float) -> dict[str, Triple]:
        return {"lower": (low, -1.0, -1.0), "upper": (high, 1.0, 1.0)}

    for name, finger, *_ in _FINGERS:
        proximal, distal = f"{name}_L1", f"{name}_L2"
        patches += [
            PatchDescription(
                f"{finger}_proximal", proximal, finger, "middle", flat, _PAD_ANGLE, **between(0.008, 1.0)
            ),
            PatchDescription(
                f"{finger}_medial", distal, finger, "middle", inner, _PAD_ANGLE, **between(0.004, 0.016)
            ),
            PatchDescription(f"{finger}_tip", distal, finger, "tip", tip, _TIP_ANGLE, **between(0.016, 1.0)),
        ]
    along, far = (-0.45, 0.89, 0.0), (0.2, 1.0, 0.0)
    patches += [
        PatchDescription(
            "thumb_medial", "thumb_L2", "thumb", "middle", along, _PAD_ANGLE, **between(0.012, 0.036)
        ),
        PatchDescription("thumb_tip", "thumb_L2", "thumb", "tip", far, _TIP_ANGLE, **between(0.036, 1.0)),
    ]
    return tuple(patches)


def _grasp_types() -> tuple[GraspTypeDescription, ...]:
    idle = {finger: {f"{name}_q1": 0.0} for name, finger, *_ in _FINGERS}
    outer = idle["ring"] | idle["little"]
    return (
        GraspTypeDescription("power", tuple(patch.name for patch in _patches())),
        GraspTypeDescription("precision", ("thumb_tip", "index_tip", "middle_tip"), outer),
        GraspTypeDescription("pinch", ("thumb_tip", "index_tip"), idle["middle"] | outer),
    )


if __name__ == "__main__":
    from warpgrasp.hands.authoring.author import write_hand

    write_hand(describe(), Path(__file__).with_name("hand.usda"), fixed_mesh_name=True)
