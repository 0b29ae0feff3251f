"""Description of the Robotiq 3-Finger gripper; ``python -m warpgrasp.hands.shipped.robotiq_3f.build`` writes ``hand.usda``.

Kinematics, limits and finger masses: ros-industrial's articulated model (BSD-2), with every joint independent. Its inertia
tensors are a hundred times too large for the masses and its palm has no mass: inertia follows from the geometry, the palm
takes what the fingers leave of the data sheet's 2.3 kg. Its velocity limit of 100 rad/s is no limit; velocity, effort and
joint friction are those of the evaluation of Zurbrügg et al. 2025. Its gains (1000 Nm/rad, 0.1 Nm s/rad) reach the effort after
2.5 mrad, less than a time step moves: the joints never settle at 200 Hz. Here 100 Nm/rad and near critical damping; gains,
armature, opening pose and annotation are ours.
Fingers are named as the vendor does: ``finger_middle`` faces ``finger_1`` and ``finger_2`` and acts as the thumb.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

from warpgrasp.hands.authoring.description import (
    FrameDescription,
    GraspTypeDescription,
    HandDescription,
    JointDescription,
    LinkDescription,
    Look,
    PatchDescription,
    Triple,
    hulls,
    rigid_link,
    weld,
)
from warpgrasp.hands.shipped.robotiq_3f import geometry

__all__ = ["describe"]

_EFFORT, _STIFFNESS, _DAMPING, _ARMATURE, _FRICTION, _VELOCITY = 2.5, 100.0, 1.2, 0.005, 0.01, 0.88
_LIMIT, _BEND = 3.1416, -0.52
_QUARTER = 1.57  # the source's quarter turn
_MIDDLE_POSITION: Triple = (0.0455, 0.0214, 0.0)
_OPENING = (0.05, 0.1, 0.05)
_IDLE = (0.0, 0.0, 0.0)
_TIP: Triple = (0.030214, 0.023593, 0.00013)
_OVERSHOOT = 0.002  # of self-collision spheres, so that few are enough
_PAD_ANGLE = math.radians(40.0)
_TIP_ANGLE = math.radians(60.0)
_SIDES = ("1", "2", "middle")


def describe() -> HandDescription:
    """The whole gripper."""
    palm = rigid_link("palm", hulls(*geometry.PALM), 1.1, sphere_limit=12, overshoot=_OVERSHOOT)
    # the base of the middle finger does not move
    links = [weld(palm, _base("middle"), _MIDDLE_POSITION, (0.0, 0.0, _QUARTER))]
    for side in ("1", "2"):
        links += [_base(side), *_finger_links(side)]
    links += _finger_links("middle")
    return HandDescription(
        name="robotiq_3f",
        title="Robotiq 3-Finger adaptive gripper, 11 degrees of freedom.",
        source="Kinematics and finger masses published by ros-industrial (BSD-2); geometry and annotation by warpgrasp.",
        links=tuple(links),
        joints=_joints(),
        patches=_patches(),
        grasp_types=_grasp_types(),
        # on the palm; x towards the finger that opposes the others, z out of the palm
        wrist=FrameDescription("wrist", "palm", (0.0, 0.0508, 0.0), (-math.pi / 2, 0.0, 0.0)),
        frames=tuple(
            FrameDescription(f"finger_{side}_tip_frame", f"finger_{side}_link_3", _TIP) for side in _SIDES
        ),
        materials={"body": (0.10, 0.10, 0.11), "link": (0.60, 0.61, 0.63), "tip": (0.85, 0.85, 0.82)},
        look=Look(edge_radius=0.005),
        earlier_hashes=("36a59103214468e4141bc982bfb929b810bbcc208f281ad79bd96ad8e2d7ee02",),
        # the first phalanges swing in slots of the palm
        filtered_pairs=tuple(("palm", f"finger_{side}_link_1") for side in _SIDES),
    )


def _base(side: str) -> LinkDescription:
    return rigid_link(
        f"finger_{side}_link_0", hulls(*geometry.LINK_0), 0.05, sphere_limit=4, overshoot=_OVERSHOOT
    )


def _finger_links(side: str) -> list[LinkDescription]:
    link = partial(rigid_link, sphere_limit=9, overshoot=_OVERSHOOT)
    return [
        link(f"finger_{side}_link_1", hulls(*geometry.LINK_1, material="link"), 0.15),
        link(f"finger_{side}_link_2", hulls(*geometry.LINK_2, material="link"), 0.15),
        link(f"finger_{side}_link_3", hulls(*geometry.LINK_3, material="tip"), 0.05),
    ]


def _joint(
    name: str, parent: str, child: str, position: Triple, rpy: Triple, opening: float
) -> JointDescription:
    return JointDescription(
        name=name,
        parent=parent,
        child=child,
        position=position,
        rpy=rpy,
        axis=(0.0, 0.0, 1.0),
        lower=0.0,
        upper=_LIMIT,
        velocity=_VELOCITY,
        opening=opening,
        effort=_EFFORT,
        stiffness=_STIFFNESS,
        damping=_DAMPING,
        armature=_ARMATURE,
        friction=_FRICTION,
    )


def _finger_joints(side: str) -> list[JointDescription]:
    frames: tuple[tuple[Triple, Triple], ...] = (
        ((0.02, 0.0, 0.0), (0.0, 0.0, 0.0)),
        ((0.05, -0.028, 0.0), (0.0, 0.0, _BEND)),
        ((0.039, 0.0, 0.0), (0.0, 0.0, 0.0)),
    )
    name = f"finger_{side}"
    return [
        _joint(f"{name}_joint_{k + 1}", f"{name}_link_{k}", f"{name}_link_{k + 1}", *frames[k], _OPENING[k])
        for k in range(3)
    ]


def _joints() -> tuple[JointDescription, ...]:
    joints = []
    for side, z, limits in (("1", 0.036, (-0.16, 0.25)), ("2", -0.036, (-0.25, 0.16))):
        scissor = _joint(
            f"palm_finger_{side}_joint",
            "palm",
            f"finger_{side}_link_0",
            (-0.0455, 0.0214, z),
            (0.0, 3.1416, -_QUARTER),
            0.0,
        )
        joints.append(replace(scissor, axis=(0.0, 1.0, 0.0), lower=limits[0], upper=limits[1]))
        joints += _finger_joints(side)
    first, *others = _finger_joints("middle")
    x, y, z = _MIDDLE_POSITION
    reach = first.position[0]
    position = (x + reach * math.cos(_QUARTER), y + reach * math.sin(_QUARTER), z)
    first = replace(first, parent="palm", position=position, rpy=(0.0, 0.0, _QUARTER))
    return (*joints, first, *others)


def _patches() -> tuple[PatchDescription, ...]:
    patches = [
        PatchDescription("palm", "palm", "palm", "palm", (0.0, 1.0, 0.0), _PAD_ANGLE, (-1.0, 0.03, -1.0))
    ]
    for side in _SIDES:
        name = f"finger_{side}"
        patches += [
            PatchDescription(
                f"{name}_inner", f"{name}_link_1", name, "middle", (0.49, 0.87, 0.0), _PAD_ANGLE
            ),
            PatchDescription(f"{name}_medial", f"{name}_link_2", name, "middle", (0.0, 1.0, 0.0), _PAD_ANGLE),
            PatchDescription(f"{name}_tip", f"{name}_link_3", name, "tip", (-0.3, 1.0, 0.0), _TIP_ANGLE),
        ]
    return tuple(patches)


def _grasp_types() -> tuple[GraspTypeDescription, ...]:
    idle = {f"finger_2_joint_{k + 1}": value for k, value in enumerate(_IDLE)}
    return (
        GraspTypeDescription("power", tuple(patch.name for patch in _patches())),
        GraspTypeDescription("precision", tuple(f"finger_{side}_tip" for side in _SIDES)),
        GraspTypeDescription("pinch", ("finger_1_tip", "finger_middle_tip"), idle),
    )


if __name__ == "__main__":
    from warpgrasp.hands.authoring.author import write_hand

    write_hand(describe(), Path(__file__).with_name("hand.usda"), fixed_mesh_name=True)
