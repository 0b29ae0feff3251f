"""What other tools call the joints of a hand, in which order and direction, and where they put its root.

A peer's root frame is fixed by one link that both sides have, the *anchor*: its pose in the peer's root frame. For
DexGraspBench that root is the world frame of the hand's model in the MuJoCo Menagerie, for GraspQP the root link of its
URDF. Hands that are not listed keep their own root link and joint order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.geometry.rotations import IDENTITY_QUATERNION, compose, invert, rotate
from warpgrasp.hands import HandModel

__all__ = [
    "PeerDrives",
    "PeerHand",
    "PeerJoint",
    "dexgraspbench_hand",
    "dexgraspnet_hand",
    "graspqp_hand",
    "pose_xyz_wxyz",
]

FloatArray = NDArray[np.float64]
_HALF = float(np.sqrt(0.5))


@dataclass(frozen=True)
class PeerJoint:
    """One joint of the peer: its value is ``sign`` times that of joint ``own``, or 0 where the hand here has none."""

    name: str
    own: str | None
    sign: float = 1.0


@dataclass(frozen=True)
class PeerDrives:
    """Position servos of a peer's hand."""

    stiffness: float
    """[Nm/rad]."""
    effort: float = float("inf")
    """Largest torque of a servo [Nm]."""
    coupled: tuple[tuple[str, ...], ...] = ()
    """The peer's joints that share a servo, which holds the sum of their positions and turns each with the same torque."""


@dataclass(frozen=True)
class PeerHand:
    """A hand as a peer sees it.

    Attributes:
        anchor: Link of the hand here that fixes the peer's root frame.
        position: Anchor in the peer's root frame [m].
        quaternion: Anchor in the peer's root frame, xyzw.
        joints: The peer's joints in its order.
        root: What the peer's root frame is, one sentence.
        drives: How the peer drives the joints; ``None`` where that is not known.
    """

    anchor: str
    position: tuple[float, float, float]
    quaternion: tuple[float, float, float, float]
    joints: tuple[PeerJoint, ...]
    root: str
    drives: PeerDrives | None = None

    def fits(self, hand: HandModel) -> bool:
        """Whether the hand has the anchor and all joints."""
        own = {joint.own for joint in self.joints if joint.own is not None}
        return self.anchor in hand.link_names and own <= set(hand.joint_names)

    def root_poses(
        self, hand: HandModel, position: FloatArray, quaternion: FloatArray, joint_position: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """The peer's root in the object frame: positions [N, 3] m and quaternions xyzw [N, 4] of unit length.

        Args:
            hand: The hand.
            position: Root link [m], shape [N, 3].
            quaternion: Root link, xyzw, shape [N, 4].
            joint_position: Independent joints, shape [N, J]; they move the anchor where it is not the root link.
        """
        link = hand.link_index(self.anchor)
        back = invert(self.position, self.quaternion)
        positions, quaternions = np.empty((len(position), 3)), np.empty((len(position), 4))
        for i, root in enumerate(zip(position, quaternion, strict=True)):
            if link == 0:
                anchor_position, anchor_quaternion = root[0], root[1] / np.linalg.norm(root[1])
            else:
                links = hand.forward_kinematics(*root, joint_position[i])
                anchor_position, anchor_quaternion = links[0][link], links[1][link]
            positions[i], quaternions[i] = compose(anchor_position, anchor_quaternion, *back)
        return positions, quaternions

    def joint_values(self, hand: HandModel, joint_position: FloatArray) -> FloatArray:
        """Independent joints [N, J] in the peer's order and direction, shape [N, K]."""
        values = np.zeros((len(joint_position), len(self.joints)))
        for column, joint in enumerate(self.joints):
            if joint.own is not None:
                values[:, column] = joint.sign * joint_position[:, hand.joint_names.index(joint.own)]
        return values

    def squeeze_positions(
        self, hand: HandModel, joint_position: FloatArray, torque: FloatArray, stiffness: float | None = None
    ) -> FloatArray:
        """Targets with which the peer's servos press with ``torque``, in the peer's order and direction, shape [N, K].

        Joints that share a servo get the mean of their torques, which is what the servo can do that comes nearest.

        Args:
            hand: The hand.
            joint_position: Independent joints of the grasp [rad or m], shape [N, J].
            torque: Their torques [Nm or N], shape [N, J].
            stiffness: Of all servos [Nm/rad or N/m]; by default the peer's, or those of the hand asset where the peer's are
                not known.
        """
        drives = self.drives
        torques = self.joint_values(hand, torque)
        kp = np.ones(len(self.joints))
        for column, joint in enumerate(self.joints):
            if stiffness is not None:
                kp[column] = stiffness
            elif drives is not None:
                kp[column] = drives.stiffness
            elif joint.own is not None:
                kp[column] = hand.dof_stiffness[hand.joint_names.index(joint.own)]
        if drives is not None:
            names = [joint.name for joint in self.joints]
            for group in drives.coupled:
                columns = [names.index(name) for name in group]
                torques[:, columns] = torques[:, columns].mean(axis=1, keepdims=True)
                kp[columns] *= len(columns)
            torques = np.clip(torques, -drives.effort, drives.effort)
        return self.joint_values(hand, joint_position) + torques / kp

    def description(self, hand: HandModel) -> dict[str, Any]:
        """What a reader must know, for the JSON file beside the grasps."""
        return {
            "hand": hand.name,
            "root_frame": self.root,
            "pose_order": "x y z qw qx qy qz",
            "joint_order": [joint.name for joint in self.joints],
            "joint_of_warpgrasp": [joint.own for joint in self.joints],
            "joint_sign": [joint.sign for joint in self.joints],
        }


def pose_xyz_wxyz(position: FloatArray, quaternion: FloatArray) -> FloatArray:
    """Poses [N, 7] as DexGraspBench and GraspQP store them, x y z w x y z; of positions [N, 3] and xyzw [N, 4]."""
    unit = quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True)
    return np.concatenate([position, unit[..., 3:], unit[..., :3]], axis=-1)


def dexgraspbench_hand(hand: HandModel) -> PeerHand:
    """The hand as DexGraspBench knows it; with its own root link and joint order where it does not."""
    return _known(_DEXGRASPBENCH, hand)


def dexgraspnet_hand(hand: HandModel) -> PeerHand:
    """The hand as DexGraspNet knows it; with its own root link and joint names where it does not."""
    return _known(_DEXGRASPNET, hand)


def graspqp_hand(hand: HandModel) -> PeerHand:
    """The hand as GraspQP knows it; with its own root link and joint names where it does not."""
    return _known(_GRASPQP, hand)


def _known(table: dict[str, PeerHand], hand: HandModel) -> PeerHand:
    peer = table.get(hand.name)
    if peer is not None and peer.fits(hand):
        return peer
    return PeerHand(
        anchor=hand.link_names[0],
        position=(0.0, 0.0, 0.0),
        quaternion=IDENTITY_QUATERNION,
        joints=_same(hand.joint_names),
        root=f"link {hand.link_names[0]} of warpgrasp's hand {hand.name}",
    )


def _same(names: Sequence[str]) -> tuple[PeerJoint, ...]:
    return tuple(PeerJoint(name, name) for name in names)


# ------------------------------------------------------------------------------------------------------ DexGraspBench

_ALLEGRO_FINGERS = ("ff", "mf", "rf", "th")  # joint_0.0 to joint_15.0, four each
_LEAP_JOINTS = (
    ("if", ("mcp", "rot", "pip", "dip"), ("1", "0", "2", "3")),
    ("mf", ("mcp", "rot", "pip", "dip"), ("5", "4", "6", "7")),
    ("rf", ("mcp", "rot", "pip", "dip"), ("9", "8", "10", "11")),
    ("th", ("cmc", "axl", "mcp", "ipl"), ("12", "13", "14", "15")),
)
_SHADOW_JOINTS = tuple(
    f"{finger}J{number}"
    for finger, count in (("FF", 4), ("MF", 4), ("RF", 4), ("LF", 5), ("TH", 5))
    for number in range(count, 0, -1)
)
_SHADOW_MENAGERIE = PeerHand(
    anchor="palm",
    position=(0.0, 0.0, 0.034),
    quaternion=IDENTITY_QUATERNION,
    joints=tuple(PeerJoint(f"rh_{name}", name) for name in _SHADOW_JOINTS),
    drives=PeerDrives(
        stiffness=5.0,
        effort=3.0,
        coupled=tuple((f"rh_{finger}J2", f"rh_{finger}J1") for finger in ("FF", "MF", "RF", "LF")),
    ),
    root="rh_wrist of the MuJoCo Menagerie's Shadow Hand, 34 mm behind the palm; the wrist itself is part of the pose",
)
_DEXGRASPBENCH: dict[str, PeerHand] = {
    "shadow": _SHADOW_MENAGERIE,
    "shadow_wristless": _SHADOW_MENAGERIE,
    "allegro": PeerHand(
        anchor="base_link",
        position=(0.0, 0.0, 0.0),
        quaternion=(_HALF, 0.0, _HALF, 0.0),  # wxyz 0 1 0 1
        joints=tuple(
            PeerJoint(f"{finger}j{joint}", f"joint_{4 * index + joint}.0")
            for index, finger in enumerate(_ALLEGRO_FINGERS)
            for joint in range(4)
        ),
        drives=PeerDrives(stiffness=5.0),
        root="world frame of the MuJoCo Menagerie's Allegro Hand, in which the palm has quaternion wxyz 0 1 0 1",
    ),
    "leap": PeerHand(
        anchor="palm_lower",
        position=(0.0, 0.0, 0.1),
        quaternion=(1.0, 0.0, 0.0, 0.0),  # wxyz 0 1 0 0
        joints=tuple(
            PeerJoint(f"{finger}_{joint}", own)
            for finger, joints, owns in _LEAP_JOINTS
            for joint, own in zip(joints, owns, strict=True)
        ),
        drives=PeerDrives(stiffness=3.0),
        root="world frame of the MuJoCo Menagerie's LEAP Hand: the palm is 0.1 m above it, quaternion wxyz 0 1 0 0",
    ),
}


# ------------------------------------------------------------------------------------------------------------ GraspQP

# Palm of GraspQP's Shadow Hand in its root link, wrist joints at zero: 88.85 degrees about -x.
_SHADOW_PALM = (0.0, -0.0707521, -0.0306183)
_SHADOW_PALM_TURN = (-0.6999560, 0.0, 0.0, 0.7141863)
# GraspQP's Shadow Hand counts joints from 0 and turns these the other way.
_SHADOW_TURNED = ("FFJ4", "MFJ4", "THJ2", "THJ1")
_SHADOW_FOREARM_TO_PALM = (0.0, -0.01, 0.24701)  # wrist joints at zero, no rotation
_ALLEGRO_GRASPQP = ("index", "middle", "ring", "thumb")


def _graspqp_shadow(*, wrist: bool) -> PeerHand:
    joints = [PeerJoint(f"robot0_{name}", name if wrist else None) for name in ("WRJ1", "WRJ0")]
    if wrist:
        joints = [PeerJoint("robot0_WRJ1", "WRJ2"), PeerJoint("robot0_WRJ0", "WRJ1")]
    for name in _SHADOW_JOINTS:
        sign = -1.0 if name in _SHADOW_TURNED else 1.0
        joints.append(PeerJoint(f"robot0_{name[:3]}{int(name[3]) - 1}", name, sign))
    position = np.array(_SHADOW_PALM)
    if wrist:
        position = position - rotate(_SHADOW_PALM_TURN, _SHADOW_FOREARM_TO_PALM)
    x, y, z = (float(value) for value in position)
    return PeerHand(
        anchor="forearm" if wrist else "palm",
        position=(x, y, z),
        quaternion=_SHADOW_PALM_TURN,
        joints=tuple(joints),
        root="root link of GraspQP's Shadow Hand"
        + ("" if wrist else "; its wrist joints, which this hand lacks, are 0"),
    )


_GRASPQP: dict[str, PeerHand] = {
    "shadow": _graspqp_shadow(wrist=True),
    "shadow_wristless": _graspqp_shadow(wrist=False),
    "allegro": PeerHand(
        anchor="base_link",
        position=(0.001247, 0.026642, -0.031299),
        quaternion=(0.5002262, 0.4997940, 0.5002862, -0.4996932),
        joints=tuple(
            PeerJoint(f"{finger}_joint_{joint}", f"joint_{4 * index + joint}.0")
            for index, finger in enumerate(_ALLEGRO_GRASPQP)
            for joint in range(4)
        ),
        root="root link of GraspQP's Allegro Hand",
    ),
}


# ------------------------------------------------------------------------------------------------------- DexGraspNet

_SHADOW_WRIST_FREE = PeerHand(
    anchor="palm",
    position=(0.0, 0.0, 0.0),
    quaternion=IDENTITY_QUATERNION,
    joints=tuple(
        PeerJoint(f"robot0:{name[:3]}{int(name[3]) - 1}", name, -1.0 if name in _SHADOW_TURNED else 1.0)
        for name in _SHADOW_JOINTS
    ),
    root="palm of DexGraspNet's Shadow Hand (shadow_hand_wrist_free.xml); the wrist itself is part of the pose",
)
_DEXGRASPNET: dict[str, PeerHand] = {"shadow": _SHADOW_WRIST_FREE, "shadow_wristless": _SHADOW_WRIST_FREE}
