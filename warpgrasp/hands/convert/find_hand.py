"""Which part of a robot description is the hand: arms, virtual base joints, several hands and cameras recognised.

Only names, joints and which links have a surface are looked at, so this runs before any mesh is read. Nothing is cut
silently: a file that holds more than a hand is refused with the ``--root`` to give and the reason.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from warpgrasp.geometry.rotations import IDENTITY_QUATERNION, compose
from warpgrasp.hands.convert.source import SourceHand, SourceJoint

__all__ = ["check_one_hand", "is_device", "name_parts"]

FloatArray = NDArray[np.float64]

_FAR_APART = 0.25  # m between two palms of one file, or between a palm and the trunk it hangs on
_WRIST_JOINTS = 2  # a hand may come with its wrist
_ARM_JOINTS = 4  # in a row without a branch; more are an arm without a hand
_ARM_WORDS = {"arm", "shoulder", "elbow", "upperarm", "flange", "tool0", "ee", "gantry", "torso"}
_DEVICE_WORDS = {"camera", "cam", "lens", "lidar", "imu", "realsense"}
_SIDES = {"left": "left", "l": "left", "lh": "left", "right": "right", "r": "right", "rh": "right"}


def name_parts(name: str) -> list[str]:
    """Words of a name in lower case: ``RightIndex_mcp2`` gives right, index, mcp."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.findall(r"[a-z]+", re.sub(r"(?<=[A-Z])(?=[A-Z][a-z])", " ", spaced).lower())


def is_device(names: list[str]) -> bool:
    """Whether the names of a joint and its link tell of a camera or another sensor rather than of a finger."""
    return any(part in _DEVICE_WORDS for name in names for part in name_parts(name))


def check_one_hand(hand: SourceHand, solid: set[str]) -> None:
    """Refuse a file that holds more than one hand, or an arm or virtual base joints above it.

    Args:
        hand: The whole file in depth-first order; geometry need not be read.
        solid: Links that have a surface in the file.

    Raises:
        ValueError: With the link to start from and the reason.
    """
    tree = _Tree(hand, solid)
    palm, above = tree.descend(hand.links[0].name)
    others = tree.hands_below(palm.link)
    places = {other.link: tree.position(other.link) for other in others}
    if len(others) > 1 and _several(others, places):
        raise ValueError(
            f"'{hand.path.name}' holds {len(others)} hands, at "
            + " and ".join(f"link '{other.link}' ({other.paths} moving branches)" for other in others)
            + "; convert one at a time: --root "
            + " or --root ".join(tree.hand_root(other.link) for other in others)
        )
    if len(others) == 1:
        inner = others[0]
        far = float(np.linalg.norm(places[inner.link] - tree.position(palm.link)))
        _, way = tree.descend_from(palm.link, inner.link)
        if far > _FAR_APART and len(way) > _WRIST_JOINTS:
            palm, above = inner, above + way
    if palm.paths < 2:
        _refuse_bare_arm(hand, above)
        return
    reason = _reason(hand, tree, above)
    if reason:
        raise ValueError(
            f"'{hand.path.name}' holds more than a hand: {reason}; convert the hand alone with "
            f"--root {tree.hand_root(palm.link)} (or all of it with --root {hand.links[0].name})"
        )


@dataclass(frozen=True)
class _Branching:
    """A link at which moving branches part."""

    link: str
    paths: int


class _Tree:
    """Children and numbers of moving branches of every link."""

    def __init__(self, hand: SourceHand, solid: set[str]) -> None:
        self.hand = hand
        self.solid = solid
        self.below: dict[str, list[SourceJoint]] = defaultdict(list)
        self.above: dict[str, SourceJoint] = {}
        for joint in hand.joints:
            self.below[joint.parent].append(joint)
            self.above[joint.child] = joint
        self.paths: dict[str, int] = {}
        self.surface: dict[str, bool] = {}
        for link in reversed(hand.links):  # depth first, so children come before their parents here
            name = link.name
            self.paths[name] = sum(self.paths_through(joint) for joint in self.below[name])
            self.surface[name] = name in solid or any(self.surface[j.child] for j in self.below[name])

    def paths_through(self, joint: SourceJoint) -> int:
        """Moving branches with a surface behind a joint; a camera counts as none."""
        inner = self.paths[joint.child]
        if inner > 1 or joint.kind == "fixed":
            return inner
        if not self.surface[joint.child] or (inner == 0 and is_device([joint.name, joint.child])):
            return 0
        return 1

    def descend(self, link: str) -> tuple[_Branching, list[SourceJoint]]:
        """The first link from here at which branches part, and the moving joints on the way to it."""
        way: list[SourceJoint] = []
        while True:
            onward = [joint for joint in self.below[link] if self.paths_through(joint)]
            if len(onward) != 1:
                return _Branching(link, self.paths[link]), way
            if onward[0].kind != "fixed":
                way.append(onward[0])
            link = onward[0].child

    def descend_from(self, start: str, end: str) -> tuple[str, list[SourceJoint]]:
        """Moving joints between two links, the lower of which hangs on the upper."""
        way: list[SourceJoint] = []
        link = end
        while link != start:
            joint = self.above[link]
            if joint.kind != "fixed":
                way.insert(0, joint)
            link = joint.parent
        return end, way

    def hands_below(self, palm: str) -> list[_Branching]:
        """Branchings behind a link that could be hands of their own."""
        inner = [self.descend(joint.child)[0] for joint in self.below[palm] if self.paths_through(joint) > 1]
        return [branching for branching in inner if branching.paths > 1]

    def position(self, link: str) -> FloatArray:
        """Place of a link in the root frame with all joints at zero."""
        way = []
        while link in self.above:
            way.append(self.above[link])
            link = way[-1].parent
        pose = np.zeros(3), np.array(IDENTITY_QUATERNION)
        for joint in reversed(way):
            pose = compose(*pose, joint.position, joint.quaternion)
            pose = compose(*pose, -joint.child_position, np.array(IDENTITY_QUATERNION))
        return pose[0]

    def hand_root(self, palm: str) -> str:
        """The palm, or the forearm above its wrist, as long as no other moving branch hangs there."""
        link, root = palm, palm
        for _ in range(_WRIST_JOINTS + 2):
            joint = self.above.get(link)
            if joint is None:
                break
            named = [part for name in (joint.name, joint.parent) for part in name_parts(name)]
            wrist = any(part in ("wrist", "wr", "wrj", "forearm") for part in named)
            arm = any(part in _ARM_WORDS for part in named) or re.search(
                r"wrist_\d", joint.name + joint.parent
            )
            shared = sum(self.paths_through(other) > 0 for other in self.below[joint.parent]) > 1
            if not wrist or arm or shared or joint.kind == "prismatic":
                break
            link = root = joint.parent
        return root


def _several(hands: list[_Branching], places: dict[str, FloatArray]) -> bool:
    """Whether branchings beside each other are hands of their own, not parts of one palm."""
    sides = {_SIDES[part] for hand in hands for part in name_parts(hand.link) if part in _SIDES}
    if len(sides) == 2 and all(hand.paths > 2 for hand in hands):
        return True
    points = np.array(list(places.values()))
    return bool(np.linalg.norm(points[:, None] - points, axis=2).max() > _FAR_APART)


def _reason(hand: SourceHand, tree: _Tree, above: list[SourceJoint]) -> str:
    """What the joints above the palm are; empty for a wrist."""
    if not above:
        return ""
    listed = ", ".join(f"'{joint.name}'" for joint in above[:3]) + (", ..." if len(above) > 3 else "")
    count = f"{len(above)} joint{'s' if len(above) > 1 else ''} above the palm ({listed})"
    between = {joint.child for joint in above[:-1]}
    slides = any(joint.kind == "prismatic" for joint in above)
    if slides or (len(above) > _WRIST_JOINTS and between and not between & tree.solid):
        return f"{count} only place it in space, as virtual base joints do, and a hand is free by itself"
    named = [part for joint in above for name in (joint.name, joint.parent) for part in name_parts(name)]
    if len(above) > _WRIST_JOINTS or any(part in _ARM_WORDS for part in named):
        return f"{count} belong to an arm"
    return ""


def _refuse_bare_arm(hand: SourceHand, above: list[SourceJoint]) -> None:
    length = sum(float(np.linalg.norm(joint.position)) for joint in above)
    if len(above) > _ARM_JOINTS and length > 2.0 * _FAR_APART:
        raise ValueError(
            f"'{hand.path.name}' has {len(above)} joints in a row and no link at which fingers part: it seems to be an "
            f"arm without a hand; add the hand, or convert it all the same with --root {hand.links[0].name}"
        )
