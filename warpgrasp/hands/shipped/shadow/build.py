"""Description of the Shadow hand; ``python -m warpgrasp.hands.shipped.shadow.build`` writes ``hand.usda``.

Kinematics, limits, velocities and masses: the Shadow E3M5 hand with wrist as collected in dex-urdf (Apache-2.0). Its distal
links weigh 120 and 160 g there, ten times what their volume allows; 13 and 17 g are used instead. Efforts, stiffness
and opening pose: the evaluation of Zurbrügg et al. 2025; it leaves the distal finger joints (J1) without motor, here they have
the effort of the tendon that moves J1 and J2. Damping: MuJoCo Menagerie's shadow_hand has 0.05 Nm s/rad and an armature
of 0.0002 kg m^2 with drives of 1 Nm/rad; the same damping ratio at 100 Nm/rad takes ten times as much. That armature is too
light for 100 Nm/rad: the effort moves it by 6 degrees within a step of 5 ms, so a joint rattles between its effort limits.
0.001 kg m^2 (the wrist 0.002) settles, and stands for the motors' geared rotors, which have no published figure.
All 24 joints are independent, as in both sources. Inertia follows from the
geometry where the source has none. ``shadow_wristless`` is the same hand from the palm on.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from warpgrasp.geometry.shapes import MassProperties
from warpgrasp.hands.authoring.description import (
    FrameDescription,
    GraspTypeDescription,
    HandDescription,
    JointDescription,
    LinkDescription,
    Look,
    PatchDescription,
    Triple,
    capsule,
    hulls,
    mass_from_sheet,
    rigid_link,
)
from warpgrasp.hands.shipped.shadow import geometry

__all__ = ["describe"]

_STIFFNESS, _DAMPING, _ARMATURE = 100.0, 0.5, 0.001
_WRIST_DAMPING, _WRIST_ARMATURE = 2.0, 0.002
_SPREAD, _FLEX = 0.349065850399, 1.57079632679
_PAD_ANGLE = math.radians(50.0)
_TIP_ANGLE = math.radians(65.0)
_INNER: Triple = (0.0, -1.0, 0.0)
# prefix, finger, knuckle in its parent, axis that spreads the finger, opening of the spread
_FINGERS = (
    ("ff", "index", (0.033, 0.0, 0.095), -1.0, -0.1),
    ("mf", "middle", (0.011, 0.0, 0.099), -1.0, 0.0),
    ("rf", "ring", (-0.011, 0.0, 0.095), 1.0, -0.1),
    ("lf", "little", (0.05397275, 0.0, 0.03779463), 1.0, -0.2),
)
_METACARPAL_TILT = 0.9599
# joint, parent, child, position, axis, lower, upper, velocity, effort, opening
_THUMB = (
    ("THJ5", "palm", "thbase", (0.034, -0.00858, 0.029), (0.0, 0.0, -1.0), -1.0471975512, 1.0471975512, 4.0, 2.3722, 0.2),
    ("THJ4", "thbase", "thproximal", (0.0, 0.0, 0.0), (0.0, 1.0, 0.0), 0.0, 1.2217304764, 4.0, 1.45, 1.1),
    ("THJ3", "thproximal", "thhub", (0.0, 0.0, 0.038), (0.0, 1.0, 0.0), -0.209439510239, 0.209439510239, 4.0, 0.99, 0.0),
    ("THJ2", "thhub", "thmiddle", (0.0, 0.0, 0.0), (1.0, 0.0, 0.0), -0.698131700798, 0.698131700798, 2.0, 0.99, 0.0),
    ("THJ1", "thmiddle", "thdistal", (0.0, 0.0, 0.032), (1.0, 0.0, 0.0), -0.261799387799, 1.57079632679, 4.0, 0.81, 0.3),
)  # fmt: skip
_IDLE = {"J4": 0.0, "J3": -0.2, "J2": 0.0, "J1": 0.0}  # stretched and bent back


def describe(*, wrist: bool = True) -> HandDescription:
    """The whole hand, or without forearm and wrist."""
    links = _wrist_links() if wrist else []
    joints = _wrist_joints() if wrist else []
    links.append(rigid_link("palm", hulls(*geometry.PALM), _palm_mass(), sphere_limit=14))
    for prefix, *_ in _FINGERS:
        links += _finger_links(prefix)
    for finger in _FINGERS:
        joints += _finger_joints(*finger)
    joints += [_thumb_joint(*row) for row in _THUMB]
    links += _thumb_links()
    # on the palm's surface; x towards the thumb, y along the fingers, z out of the palm
    x, y, z = (0.0, -0.012, 0.075)
    palm = (0.0, -0.01, 0.24701)  # with the wrist at zero
    position = (x + palm[0], y + palm[1], z + palm[2]) if wrist else (x, y, z)
    return HandDescription(
        name="shadow" if wrist else "shadow_wristless",
        title=f"Shadow Dexterous Hand, right, {24 if wrist else 22} degrees of freedom.",
        source="Kinematics and masses of the Shadow E3M5 URDF (Apache-2.0); geometry and annotation by warpgrasp.",
        links=tuple(links),
        joints=tuple(joints),
        patches=_patches(),
        grasp_types=_grasp_types(),
        wrist=FrameDescription("wrist", "forearm" if wrist else "palm", position, (math.pi / 2, 0.0, 0.0)),
        frames=(
            FrameDescription("thumb_tip_frame", "thdistal", (0.0, 0.0, 0.0275)),
            *(
                FrameDescription(f"{name}_tip_frame", f"{prefix}distal", (0.0, 0.0, 0.026))
                for prefix, name, *_ in _FINGERS
            ),
        ),
        materials={"body": (0.10, 0.10, 0.11), "metal": (0.55, 0.56, 0.58), "tip": (0.85, 0.85, 0.82)},
        look=Look(edge_radius=0.003),
        earlier_hashes=("2450ab29f0149b82cd769110409df74ccc6920421ec44d63c44a062959a10a05",),
        # ball-shaped knuckles sit inside what they connect
        filtered_pairs=(
            *((("lfmetacarpal" if p == "lf" else "palm"), f"{p}proximal") for p, *_ in _FINGERS),
            ("palm", "lfknuckle"),
            ("palm", "lfproximal"),
            ("palm", "thproximal"),
            ("thproximal", "thmiddle"),
            *((("forearm", "palm"),) if wrist else ()),
        ),
    )


def _palm_mass() -> MassProperties:
    return mass_from_sheet(0.3, (0.0, 0.0, 0.035), (0.0003581, 0.0005287, 0.000191, 0.0, 0.0, 0.0))


def _wrist_links() -> list[LinkDescription]:
    forearm = mass_from_sheet(3.0, (0.0, 0.0, 0.09), (0.0138, 0.0138, 0.00744, 0.0, 0.0, 0.0))
    wrist = mass_from_sheet(0.1, (0.0, 0.0, 0.029), (3.5e-05, 6.4e-05, 4.38e-05, 0.0, 0.0, 0.0))
    return [
        rigid_link("forearm", hulls(*geometry.FOREARM), forearm, sphere_limit=8),
        rigid_link("wrist", hulls(*geometry.WRIST, material="metal"), wrist, sphere_limit=0),
    ]


def _wrist_joints() -> list[JointDescription]:
    swing, nod = (-0.523598775598, 0.174532925199), (-0.698131700798, 0.488692190558)
    joints = (
        (_hinge("WRJ2", "forearm", "wrist", (0.0, -0.01, 0.21301), (0.0, 1.0, 0.0), swing, 0.0), 4.785),
        (_hinge("WRJ1", "wrist", "palm", (0.0, 0.0, 0.034), (1.0, 0.0, 0.0), nod, 0.0), 2.175),
    )
    return [
        replace(joint, effort=effort, damping=_WRIST_DAMPING, armature=_WRIST_ARMATURE)
        for joint, effort in joints
    ]


def _finger_links(prefix: str) -> list[LinkDescription]:
    knuckle = mass_from_sheet(0.008, (0.0, 0.0, 0.0), (2.6e-07, 2.6e-07, 3.2e-07, 0.0, 0.0, 0.0))
    proximal = mass_from_sheet(0.03, (0.0, 0.0, 0.0225), (9.8e-06, 1e-05, 1.8e-06, 0.0, 0.0, 0.0))
    middle = mass_from_sheet(0.017, (0.0, 0.0, 0.0125), (2.6e-06, 2.7e-06, 8.7e-07, 0.0, 0.0, 0.0))
    links = [
        rigid_link(f"{prefix}knuckle", hulls(*geometry.KNUCKLE, material="metal"), knuckle, sphere_limit=0),
        rigid_link(f"{prefix}proximal", hulls(*geometry.PROXIMAL), proximal, sphere_limit=6),
        rigid_link(f"{prefix}middle", hulls(*geometry.MIDDLE), middle, sphere_limit=4),
        rigid_link(f"{prefix}distal", hulls(*geometry.DISTAL, material="tip"), 0.013, sphere_limit=3),
    ]
    if prefix == "lf":
        mass = mass_from_sheet(
            0.03, (0.0317486764706, 0.0, 0.0223529411765), (1.45e-05, 1.638e-05, 4.272e-06, 0.0, 0.0, 0.0)
        )
        links.insert(0, rigid_link("lfmetacarpal", hulls(*geometry.METACARPAL), mass))
    return links


def _thumb_links() -> list[LinkDescription]:
    center = (0.0, 0.0, 0.0)
    base = mass_from_sheet(0.01, center, (1.6e-07, 1.6e-07, 1.6e-07, 0.0, 0.0, 0.0))
    proximal = mass_from_sheet(0.04, (0.0, 0.0, 0.019), (1.36e-05, 1.36e-05, 3.13e-06, 0.0, 0.0, 0.0))
    hub = mass_from_sheet(0.005, center, (1e-06, 1e-06, 3e-07, 0.0, 0.0, 0.0))
    middle = mass_from_sheet(0.02, (0.0, 0.0, 0.016), (5.1e-06, 5.1e-06, 1.21e-06, 0.0, 0.0, 0.0))
    return [
        rigid_link("thbase", (capsule(0.011, center, center, material="metal"),), base, sphere_limit=0),
        rigid_link("thproximal", hulls(*geometry.THUMB_PROXIMAL), proximal, sphere_limit=5),
        rigid_link("thhub", (capsule(0.01, center, center, material="metal"),), hub, sphere_limit=0),
        rigid_link("thmiddle", hulls(*geometry.THUMB_MIDDLE), middle, sphere_limit=4),
        rigid_link("thdistal", hulls(*geometry.THUMB_DISTAL, material="tip"), 0.017, sphere_limit=4),
    ]


def _hinge(
    name: str,
    parent: str,
    child: str,
    position: Triple,
    axis: Triple,
    limits: tuple[float, float],
    opening: float,
) -> JointDescription:
    return JointDescription(
        name=name,
        parent=parent,
        child=child,
        position=position,
        rpy=(0.0, 0.0, 0.0),
        axis=axis,
        lower=limits[0],
        upper=limits[1],
        velocity=2.0,
        opening=opening,
        effort=0.7245 if name[2:] in ("J1", "J2") else 0.9,
        stiffness=_STIFFNESS,
        damping=_DAMPING,
        armature=_ARMATURE,
    )


def _finger_joints(
    prefix: str, _finger: str, position: Triple, spread_axis: float, opening: float
) -> list[JointDescription]:
    name, flex = prefix.upper(), (1.0, 0.0, 0.0)
    knuckle, proximal, middle, distal = (
        f"{prefix}{link}" for link in ("knuckle", "proximal", "middle", "distal")
    )
    little = prefix == "lf"
    spread = _hinge(
        f"{name}J4", "lfmetacarpal" if little else "palm", knuckle, position, (0.0, spread_axis, 0.0),
        (-_SPREAD, _SPREAD), opening,
    )  # fmt: skip
    joints = [
        replace(spread, rpy=(0.0, _METACARPAL_TILT, 0.0)) if little else spread,
        _hinge(f"{name}J3", knuckle, proximal, (0.0, 0.0, 0.0), flex, (-0.261799387799, _FLEX), 0.0),
        _hinge(f"{name}J2", proximal, middle, (0.0, 0.0, 0.045), flex, (0.0, _FLEX), 0.6),
        _hinge(f"{name}J1", middle, distal, (0.0, 0.0, 0.025), flex, (0.0, _FLEX), 0.0),
    ]
    if little:
        arch = _hinge(
            "LFJ5", "palm", "lfmetacarpal", (-0.033, 0.0, 0.02071), flex, (0.0, 0.785398163397), 0.0
        )
        joints.insert(0, replace(arch, rpy=(0.0, -_METACARPAL_TILT, 0.0)))
    return joints


def _thumb_joint(
    name: str,
    parent: str,
    child: str,
    position: Triple,
    axis: Triple,
    lower: float,
    upper: float,
    velocity: float,
    effort: float,
    opening: float,
) -> JointDescription:
    hinge = _hinge(name, parent, child, position, axis, (lower, upper), opening)
    rpy = (-0.785398163397, 0.0, -1.57079632679) if name == "THJ5" else (0.0, 0.0, 0.0)
    return replace(hinge, velocity=velocity, effort=effort, rpy=rpy)


def _patches() -> tuple[PatchDescription, ...]:
    tip = (0.0, -1.0, 0.6)
    patches = [
        PatchDescription(
            "palm", "palm", "palm", "palm", _INNER, _PAD_ANGLE, (-1.0, -1.0, 0.0), (1.0, 1.0, 0.095)
        ),
        PatchDescription("palm_edge", "lfmetacarpal", "palm", "palm", _INNER, _PAD_ANGLE),
    ]
    for prefix, finger, *_ in _FINGERS:
        low, high = (-1.0, -1.0, 0.008), (1.0, 1.0, 0.04)
        patches += [
            PatchDescription(
                f"{finger}_proximal", f"{prefix}proximal", finger, "middle", _INNER, _PAD_ANGLE, low, high
            ),
            PatchDescription(f"{finger}_medial", f"{prefix}middle", finger, "middle", _INNER, _PAD_ANGLE),
            PatchDescription(
                f"{finger}_tip",
                f"{prefix}distal",
                finger,
                "tip",
                tip,
                _TIP_ANGLE,
                (-1.0, -1.0, 0.009),
                (1.0, 0.003, 1.0),
            ),
        ]
    patches += [
        PatchDescription("thumb_medial", "thmiddle", "thumb", "middle", _INNER, _PAD_ANGLE),
        PatchDescription(
            "thumb_tip", "thdistal", "thumb", "tip", tip, _TIP_ANGLE, (-1.0, -1.0, 0.01), (1.0, 0.003, 1.0)
        ),
    ]
    return tuple(patches)


def _grasp_types() -> tuple[GraspTypeDescription, ...]:
    idle = {
        finger: {f"{prefix.upper()}{joint}": value for joint, value in _IDLE.items()}
        for prefix, finger, *_ in _FINGERS
    }
    outer = idle["ring"] | idle["little"] | {"LFJ5": 0.0}
    return (
        GraspTypeDescription("power", tuple(patch.name for patch in _patches())),
        GraspTypeDescription("precision", ("thumb_tip", "index_tip", "middle_tip"), outer),
        GraspTypeDescription("pinch", ("thumb_tip", "index_tip"), idle["middle"] | outer),
    )


if __name__ == "__main__":
    from warpgrasp.hands.authoring.author import write_hand

    write_hand(describe(), Path(__file__).with_name("hand.usda"), fixed_mesh_name=True)
