"""Which side of every finger link is its inner one: where it looks when the fingers close."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from warpgrasp.geometry.rotations import rotate
from warpgrasp.hands.convert.propose.motion import Chain, FingerMotion, batch_poses
from warpgrasp.hands.model import HandModel, JointType

__all__ = ["LinkFacing", "inner_directions", "joint_axis_in_link"]

FloatArray = NDArray[np.float64]

_FAR_JOINT = 0.75  # weight of a joint that is not at an end of the link when its bending plane is looked for
_CONTINUES = 0.4  # weight of an inner side that goes on from the next link's
_ACROSS = 0.5  # cosine between a joint's axis and its finger, below which it lies across


@dataclass(frozen=True, eq=False)
class LinkFacing:
    """Inner side of a finger link in its own frame: where it looks when the finger closes, and along the finger."""

    link: int
    inner: FloatArray
    along: FloatArray
    length: float
    confidence: float


def inner_directions(hand: HandModel, chains: list[Chain], motion: FingerMotion) -> list[list[LinkFacing]]:
    """The inner side of every link of every finger, seen halfway between straight and closed.

    A link looks at the point where the fingertips meet, within the plane in which its finger bends.
    """
    halfway = 0.5 * (motion.straight + motion.closed)
    rotation, position = (array[0] for array in batch_poses(hand, halfway[None]))
    facings = []
    for chain in chains:
        row: list[LinkFacing] = []
        for number, link in reversed(list(enumerate(chain.links))):
            own = rotation[link]
            start, end = _ends(hand, chain, number, motion)
            length = float(np.linalg.norm(end - start))
            if length < 1e-4:
                row.append(LinkFacing(link, np.zeros(3), np.zeros(3), 0.0, 0.0))
                continue
            start, end = position[link] + own @ start, position[link] + own @ end
            along = (end - start) / length
            towards = motion.meeting_point - 0.5 * (start + end)
            beyond = next((rotation[f.link] @ f.inner for f in reversed(row) if f.length > 0.0), np.zeros(3))
            inner, confidence = _inner(hand, chain, number, rotation, along, towards, beyond)
            row.append(LinkFacing(link, own.T @ inner, own.T @ along, length, confidence))
        facings.append(row[::-1])
    return facings


def _ends(hand: HandModel, chain: Chain, number: int, motion: FingerMotion) -> tuple[FloatArray, FloatArray]:
    """Where a link of a finger begins and ends (link frame): at its joints, the tip of the last one.

    The origin of a joint may lie anywhere on its axis: of an axis across the finger, the point beside the middle of the
    link's geometry counts.
    """
    rotation, position = (array[0] for array in batch_poses(hand, motion.straight[None]))
    link = chain.links[number]
    own, base = rotation[link], chain.links[0]
    first = position[base] + rotation[base] @ hand.joint_child_position[base]
    tip = position[chain.tip_link] + rotation[chain.tip_link] @ chain.tip
    lengthwise = own.T @ (tip - first) / np.linalg.norm(tip - first)
    shapes = hand.link_shapes(link)
    vertices = np.concatenate([shape.mesh.vertices for shape in shapes]) if shapes else np.zeros((0, 3))
    middle = 0.5 * (vertices.min(axis=0) + vertices.max(axis=0)) if shapes else None

    def slid(joint: int) -> FloatArray:
        turn = own.T @ rotation[joint]
        offset = own.T @ (position[joint] - position[link])
        point = offset + turn @ hand.joint_child_position[joint]
        axis = turn @ joint_axis_in_link(hand, joint)
        across = hand.joint_type[joint] == JointType.REVOLUTE and abs(float(axis @ lengthwise)) < _ACROSS
        return np.asarray(
            point + ((middle - point) @ axis) * axis if across and middle is not None else point
        )

    last = number + 1 == len(chain.links)
    return slid(link), chain.tip if last else slid(chain.links[number + 1])


def _inner(
    hand: HandModel,
    chain: Chain,
    number: int,
    rotation: FloatArray,
    along: FloatArray,
    towards: FloatArray,
    beyond: FloatArray,
) -> tuple[FloatArray, float]:
    """Inner direction in the root frame, and how well the bending plane agrees with the meeting point.

    The joints at the two ends of a link say best how it bends; those nearer to the palm may only turn the finger. Where
    two joints say different things (a thumb's base), the one that continues the inner side of the next link, ``beyond``,
    is believed.
    """
    wish = towards - (towards @ along) * along
    size = float(np.linalg.norm(wish))
    if size < 1e-6:
        return np.zeros(3), 0.0
    wish /= size
    best, score, most = wish, 0.0, -np.inf
    for place, link in enumerate(chain.links):
        if hand.joint_type[link] != JointType.REVOLUTE:
            continue
        weight = 1.0 if place in (number, number + 1) else _FAR_JOINT
        axis = rotation[link] @ joint_axis_in_link(hand, link)
        swing = np.cross(axis, along)
        length = float(np.linalg.norm(swing))
        if length < 0.7:
            continue
        swing /= length
        agreement = float(swing @ wish)
        inner = np.sign(agreement) * swing
        merit = weight * abs(agreement) + _CONTINUES * float(inner @ beyond)
        if weight * abs(agreement) > 0.5 and merit > most:
            best, score, most = inner, weight * abs(agreement), merit
    return (best, score) if score > 0.5 else (wish, 0.5)


def joint_axis_in_link(hand: HandModel, link: int) -> FloatArray:
    """Joint axis in the child link's own frame (the axis does not move in it)."""
    return rotate(hand.joint_child_quaternion[link], hand.joint_axis[link])
