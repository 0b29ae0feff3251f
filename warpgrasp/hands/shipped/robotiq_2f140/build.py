"""Description of the Robotiq 2F-140; ``python -m warpgrasp.hands.shipped.robotiq_2f140.build`` writes ``hand.usda``.

Kinematics, limits, masses and inertia: ros-industrial's robotiq_arg2f_140_model. The gripper's four-bar linkages are
exact parallelograms, so mimic joints carry them: ``finger_joint`` 0 is open, 0.7 closed, and the pads stay parallel.
Effort and stiffness: the GraspQP evaluation (20 N at 0.125 m); its damping of 0 lets the finger ring, so damping and
armature here are ours, near critical for the finger's inertia. The rigidly attached outer fingers and pads are merged
into the links that carry them. Geometry: convex parts fitted to the published dimensions; the
pads are boxes of 27 x 65 mm, as drawn (the source's collision boxes are 30 x 70 mm).

Fingers are named after the vendor's links: "left" is the one at negative y of the base.
"""

from __future__ import annotations

import math
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
    box,
    hulls,
    mass_from_sheet,
    rigid_link,
    weld,
)
from warpgrasp.hands.shipped.robotiq_2f140 import geometry

__all__ = ["describe"]

_BASE = "robotiq_arg2f_base_link"
_PAD_POSITION = (0.0, 0.0457554015893473, -0.0272203446692936)  # in the inner finger
_PAD_SIZE = (0.027, 0.065, 0.0075)
_OUTER_FINGER_POSITION = (0.0, 0.01821998610742, 0.0260018192872234)  # in the outer knuckle
_TILT = 2.2957963267948966
_FACE_ANGLE = math.radians(35.0)


def describe() -> HandDescription:
    """The whole gripper."""
    return HandDescription(
        name="robotiq_2f140",
        title="Robotiq 2F-140 adaptive gripper, 1 degree of freedom.",
        source="Kinematics and masses published by ros-industrial (BSD-2); geometry and annotation by warpgrasp.",
        links=(_base(), *_finger_links("left"), *_finger_links("right")),
        joints=(*_left_joints(), *_right_joints()),
        patches=(*_pad_patches("left"), *_pad_patches("right")),
        grasp_types=(
            GraspTypeDescription("power", ("left_pad", "left_pad_tip", "right_pad", "right_pad_tip")),
            GraspTypeDescription("pinch", ("left_pad_tip", "right_pad_tip")),
        ),
        # on top of the base; x across the fingers, y the closing direction, z the approach
        wrist=FrameDescription("wrist", _BASE, (0.0, 0.0, 0.09)),
        frames=tuple(
            FrameDescription(f"{side}_pad_frame", f"{side}_inner_finger", _PAD_POSITION)
            for side in ("left", "right")
        ),
        materials={"body": (0.1, 0.1, 0.1), "link": (0.55, 0.57, 0.6), "tip": (0.85, 0.85, 0.82)},
        look=Look(edge_radius=0.003),
        earlier_hashes=("db34cabd880b2a23860c4c8646cc248267fd2888c4a4fbcb6b9882303c327e7a",),
        filtered_pairs=tuple(
            pair
            for side in ("left", "right")
            for pair in (
                # the linkage's own pins join these links where the tree is cut
                (f"{side}_outer_knuckle", f"{side}_inner_knuckle"),
                (f"{side}_inner_knuckle", f"{side}_inner_finger"),
            )
        ),
    )


def _base() -> LinkDescription:
    mass = mass_from_sheet(
        0.22652,
        (8.625e-08, -4.6583e-06, 0.03145),
        (0.00020005, 0.00017832, 0.00013478, -4.2442e-10, -2.9069e-10, -3.4402e-08),
    )
    return rigid_link(_BASE, hulls(*geometry.BASE), mass, sphere_limit=8)


def _finger_links(side: str) -> tuple[LinkDescription, LinkDescription, LinkDescription]:
    knuckle = LinkDescription(
        f"{side}_outer_knuckle",
        (),
        mass_from_sheet(
            0.00853198276973456,
            (-0.000200000000003065, 0.0199435877845359, 0.0292245259211331),
            (
                2.89328108496468e-06,
                1.86719750325683e-06,
                1.21905238907251e-06,
                0.0,
                0.0,
                -1.21858577871576e-06,
            ),
        ),
    )
    outer = LinkDescription(
        "outer_finger",
        (),
        mass_from_sheet(
            0.022614240507152,
            (0.00030115855001899, 0.0373907951953854, -0.0208027427000385),
            (
                1.52518312458174e-05,
                6.17694243867776e-06,
                1.16494917907219e-05,
                9.8e-10,
                -5.4e-10,
                6.78636130740228e-06,
            ),
        ),
    )
    pad = box(_PAD_SIZE, _PAD_POSITION, material="tip")
    inner = rigid_link(
        f"{side}_inner_finger",
        (*hulls(*geometry.INNER_FINGER, material="link"), pad),
        mass_from_sheet(
            0.0104003125914103,
            (0.000299999999999317, 0.0160078233491243, -0.0136945669206257),
            (
                2.71909453810972e-06,
                7.69100314106116e-07,
                2.30315190420171e-06,
                0.0,
                0.0,
                6.74715432769696e-07,
            ),
        ),
        sphere_limit=10,
    )
    both = weld(knuckle, outer, _OUTER_FINGER_POSITION)
    outer_link = rigid_link(both.name, hulls(*geometry.OUTER, material="link"), both.mass)
    return outer_link, inner, _inner_knuckle(side)


def _inner_knuckle(side: str) -> LinkDescription:
    return rigid_link(
        f"{side}_inner_knuckle",
        hulls(*geometry.INNER_KNUCKLE, material="link"),
        mass_from_sheet(
            0.0271177346495152,
            (0.000123011831763771, 0.0507850843201817, 0.00103968640075166),
            (2.61910379223783e-05, 2.8270243746167e-06, 2.83695868220296e-05, -2.4e-07, -6.4e-09, -5.4e-07),
        ),
    )


def _follower(
    name: str,
    parent: str,
    child: str,
    position: tuple[float, float, float],
    rpy: tuple[float, float, float],
    limit: float,
    multiplier: float,
) -> JointDescription:
    """A joint of the linkage that follows ``finger_joint``."""
    return JointDescription(
        name=name,
        parent=parent,
        child=child,
        position=position,
        rpy=rpy,
        axis=(1.0, 0.0, 0.0),
        lower=-limit,
        upper=limit,
        velocity=2.0,
        mimic=Mimic("finger_joint", multiplier),
    )


def _inner_finger_joint(side: str) -> JointDescription:
    x, y, z = _OUTER_FINGER_POSITION
    # the vendor states the pivot in the outer finger, which is merged into the outer knuckle
    pivot = (x + 0.0, y + 0.0817554015893473, z - 0.0282203446692936)
    name, parent = f"{side}_inner_finger_joint", f"{side}_outer_knuckle"
    return _follower(name, parent, f"{side}_inner_finger", pivot, (-0.725, 0.0, 0.0), 0.8757, 1.0)


def _left_joints() -> tuple[JointDescription, ...]:
    finger = JointDescription(
        name="finger_joint",
        parent=_BASE,
        child="left_outer_knuckle",
        position=(0.0, -0.030601, 0.054905),
        rpy=(_TILT, 0.0, 0.0),
        axis=(-1.0, 0.0, 0.0),
        lower=0.0,
        upper=0.7,
        velocity=2.0,
        opening=0.0,
        effort=2.5,
        stiffness=100.0,
        damping=1.2,
        armature=0.003,
    )
    knuckle = _follower(
        "left_inner_knuckle_joint",
        _BASE,
        "left_inner_knuckle",
        (0.0, -0.0127, 0.06142),
        (_TILT, 0.0, 0.0),
        0.8757,
        -1.0,
    )
    return finger, _inner_finger_joint("left"), knuckle


def _right_joints() -> tuple[JointDescription, ...]:
    turned = (_TILT, 0.0, math.pi)
    outer = _follower(
        "right_outer_knuckle_joint",
        _BASE,
        "right_outer_knuckle",
        (0.0, 0.030601, 0.054905),
        turned,
        0.725,
        -1.0,
    )
    knuckle = _follower(
        "right_inner_knuckle_joint",
        _BASE,
        "right_inner_knuckle",
        (0.0, 0.0127, 0.06142),
        turned,
        0.8757,
        -1.0,
    )
    return outer, _inner_finger_joint("right"), knuckle


def _pad_patches(side: str) -> tuple[PatchDescription, PatchDescription]:
    """The face that looks at the other finger (-z of the pad), halved: the far half alone serves for pinching."""
    _, y, z = _PAD_POSITION
    link, direction, face = f"{side}_inner_finger", (0.0, 0.0, -1.0), z - 0.5 * _PAD_SIZE[2] + 1e-4
    near = ((-1.0, -1.0, -1.0), (1.0, y, face))
    far = ((-1.0, y, -1.0), (1.0, 1.0, face))
    return (
        PatchDescription(f"{side}_pad", link, side, "middle", direction, _FACE_ANGLE, *near),
        PatchDescription(f"{side}_pad_tip", link, side, "tip", direction, _FACE_ANGLE, *far),
    )


if __name__ == "__main__":
    from warpgrasp.hands.authoring.author import write_hand

    write_hand(describe(), Path(__file__).with_name("hand.usda"), fixed_mesh_name=True)
