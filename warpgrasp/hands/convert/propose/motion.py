"""What a hand's kinematics say about grasping: palm link, fingers, fingertips, and how the fingers close.

All poses are in the root link frame. The root link need not be the palm: a forearm and wrist joints may lie between.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from warpgrasp.geometry.rotations import quaternion_to_matrix
from warpgrasp.hands.convert.find_hand import is_device, name_parts
from warpgrasp.hands.model import HandModel, JointType

__all__ = [
    "Chain",
    "FingerMotion",
    "batch_poses",
    "find_chains",
    "palm_link",
    "palm_links",
    "study_motion",
    "tip_points",
]

FloatArray = NDArray[np.float64]

_LINKAGE_REACH = 0.8  # of the longest finger; a shorter chain that only mimics others is a linkage
_TIP_SLAB = 4e-3  # m
_SEARCH = 3000
_REFINE = 25
_LARGEST_BEND = 1.9  # rad from the straight pose; files that allow half a turn do not mean a finger rolled up
_FINGER_WORDS = (
    ("thumb", ("thumb", "thb", "thmb")),
    ("index", ("index", "idx", "pointer", "forefinger")),
    ("middle", ("middle",)),
    ("ring", ("ring", "rng")),
    ("little", ("little", "pinky", "pinkie", "pnky", "small")),
    ("left", ("left",)),
    ("right", ("right",)),
)
_FINGER_LETTERS = {"th": "thumb", "ff": "index", "mf": "middle", "rf": "ring", "lf": "little"}


@dataclass(frozen=True, eq=False)
class Chain:
    """One finger: its links from the palm outward, the tip link last; ``hint`` is the finger its names suggest."""

    links: tuple[int, ...]
    hint: str
    tip: FloatArray
    """Point of the tip link farthest along the finger, in that link's frame [m]."""
    reach: float
    """Length from the first joint to the tip along the chain [m]."""

    @property
    def tip_link(self) -> int:
        """Index of the last link."""
        return self.links[-1]


@dataclass(frozen=True, eq=False)
class FingerMotion:
    """Poses that matter: all joints straight, fingers closed on each other, and the dofs of each chain."""

    straight: FloatArray
    closed: FloatArray
    meeting_point: FloatArray
    """Mean of the closed fingertips in the root frame [m]."""
    closed_gap: float
    """Mean distance between fingertips when closed [m]."""


def batch_poses(hand: HandModel, joint_position: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rotations [N, L, 3, 3] and positions [N, L, 3] of all links for joint values [N, J], root at the origin."""
    count = len(joint_position)
    rotation = np.tile(np.eye(3), (count, hand.link_count, 1, 1))
    position = np.zeros((count, hand.link_count, 3))
    for link in range(1, hand.link_count):
        parent = hand.link_parent[link]
        near = quaternion_to_matrix(hand.joint_parent_quaternion[link])
        far = quaternion_to_matrix(hand.joint_child_quaternion[link])
        value = (
            hand.joint_multiplier[link] * joint_position[:, hand.joint_dof[link]] + hand.joint_offset[link]
        )
        motion, shift = np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3))
        if hand.joint_type[link] == JointType.REVOLUTE:
            motion = _rotations(hand.joint_axis[link], value)
        elif hand.joint_type[link] == JointType.PRISMATIC:
            shift = value[:, None] * hand.joint_axis[link]
        local = near @ motion @ far.T
        offset = hand.joint_parent_position[link] + shift @ near.T - local @ hand.joint_child_position[link]
        rotation[:, link] = rotation[:, parent] @ local
        position[:, link] = position[:, parent] + np.einsum("nij,nj->ni", rotation[:, parent], offset)
    return rotation, position


def _rotations(axis: FloatArray, angle: FloatArray) -> FloatArray:
    """Rotation matrices [N, 3, 3] about one axis (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    sine, cosine = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    return np.eye(3) + sine * cross + (1.0 - cosine) * (cross @ cross)


def palm_link(hand: HandModel) -> int:
    """The link at which the fingers part: the first one from the root with more than one child."""
    link = 0
    while True:
        children = np.flatnonzero(hand.link_parent == link)
        if len(children) != 1:
            return link
        if not np.any(hand.link_parent == children[0]):
            return link  # a single finger: its base is the palm
        link = int(children[0])


def find_chains(
    hand: HandModel, frame_names: dict[int, list[str]], linkages: frozenset[str] = frozenset()
) -> list[Chain]:
    """The fingers, without linkages that only hold another finger's pad parallel and without cameras.

    Args:
        hand: The hand.
        frame_names: Names of links welded to each link, by link index.
        linkages: Links that begin a bar of a closed loop.
    """
    palm = palm_link(hand)
    straight = np.clip(0.0, hand.dof_lower, hand.dof_upper)[None]
    rotation, position = (array[0] for array in batch_poses(hand, straight))
    chains = []
    for base in np.flatnonzero(hand.link_parent == palm):
        if hand.link_names[base] not in linkages:
            chains += _fingers_behind(hand, int(base), rotation, position, frame_names)
    longest = max((chain.reach for chain in chains), default=0.0)
    return [
        c
        for c in chains
        if not (c.reach < _LINKAGE_REACH * longest and _only_mimics(hand, c))
        and (c.hint or len(chains) < 2 or not is_device(_words(hand, c.links, {})))
    ]


def palm_links(hand: HandModel, chains: list[Chain]) -> list[int]:
    """The palm link, and parts of the palm that move in it: those between it and the fingers."""
    palm = palm_link(hand)
    found = [palm]
    for chain in chains:
        link = int(hand.link_parent[chain.links[0]])
        while link != palm and link > 0:
            if link not in found:
                found.append(link)
            link = int(hand.link_parent[link])
    return found


def _fingers_behind(
    hand: HandModel,
    base: int,
    rotation: FloatArray,
    position: FloatArray,
    frame_names: dict[int, list[str]],
) -> list[Chain]:
    """The finger that begins at a link, or several where that link is a part of the palm with fingers of its own."""
    link = base
    children = np.flatnonzero(hand.link_parent == link)
    while len(children) == 1:
        link = int(children[0])
        children = np.flatnonzero(hand.link_parent == link)
    inner = [
        c for child in children for c in _fingers_behind(hand, int(child), rotation, position, frame_names)
    ]
    hints = {chain.hint for chain in inner}
    named = len(inner) > 1 and len(hints) == len(inner) and "" not in hints
    free = [len({int(hand.joint_dof[k]) for k in c.links if _leads(hand, k)}) for c in inner]
    if named or (len(inner) > 1 and min(free) > 1):
        return inner
    chain = _chain(hand, base, rotation, position, frame_names)
    return [] if chain is None else [chain]


def _leads(hand: HandModel, link: int) -> bool:
    """Whether the joint above a link is independent."""
    return hand.joint_dof[link] >= 0 and hand.link_joint_names[link] == hand.joint_names[hand.joint_dof[link]]


def _words(
    hand: HandModel, links: tuple[int, ...] | list[int], frame_names: dict[int, list[str]]
) -> list[str]:
    """Names of links, of the joints above them and of what is welded to them."""
    words = [hand.link_names[k] for k in links] + [hand.link_joint_names[k] for k in links]
    return words + [name for k in links for name in frame_names.get(k, [])]


def _chain(
    hand: HandModel,
    base: int,
    rotation: FloatArray,
    position: FloatArray,
    frame_names: dict[int, list[str]],
) -> Chain | None:
    """The path in a subtree to the link whose geometry lies farthest from the first joint."""
    anchor = position[base] + rotation[base] @ hand.joint_child_position[base]
    below = [base]
    for link in range(base + 1, hand.link_count):
        if hand.link_parent[link] in below:
            below.append(link)
    best, distance = -1, -1.0
    for link in below:
        for geometry in np.flatnonzero(hand.geometry_link == link):
            vertices = hand.geometry_mesh[geometry].vertices
            away = np.linalg.norm(position[link] + vertices @ rotation[link].T - anchor, axis=1)
            farthest = float(away.max())
            if farthest > distance + 1e-3:
                best, distance = link, farthest
    if best < 0:
        return None
    tip = _tip(hand, best, rotation[best].T @ (anchor - position[best]))
    links = [best]
    while links[0] != base:
        links.insert(0, int(hand.link_parent[links[0]]))
    words = _words(hand, links, frame_names)
    reach = sum(float(np.linalg.norm(position[b] - position[a])) for a, b in pairwise(links))
    return Chain(tuple(links), _finger_hint(words), tip, reach + float(np.linalg.norm(tip)))


def _tip(hand: HandModel, link: int, anchor: FloatArray) -> FloatArray:
    """Middle of the end of a link's geometry as seen from the finger's first joint (link frame)."""
    own = np.flatnonzero(hand.geometry_link == link)
    vertices = np.concatenate([hand.geometry_mesh[geometry].vertices for geometry in own])
    tip = vertices[int(np.argmax(np.linalg.norm(vertices - anchor, axis=1)))]
    for _ in range(4):
        height = (vertices - anchor) @ ((tip - anchor) / np.linalg.norm(tip - anchor))
        end = vertices[height > height.max() - _TIP_SLAB]
        tip = 0.5 * (end.min(axis=0) + end.max(axis=0))
    return np.asarray(tip)


def _only_mimics(hand: HandModel, chain: Chain) -> bool:
    independent = set(hand.joint_names)
    return all(hand.link_joint_names[link] not in independent for link in chain.links)


def _finger_hint(words: list[str]) -> str:
    """Finger that the names of links, joints and frames suggest; empty where they say nothing.

    A side (left, right) counts only where no finger is named: left hands have it in every name.
    """
    votes: dict[str, int] = {}
    for word in words:
        parts = name_parts(word)
        for finger, known in _FINGER_WORDS:
            named = any(part.startswith(known) for part in parts) or (finger == "middle" and "mid" in parts)
            if named and not (finger == "middle" and "middlephal" in "".join(parts)):
                votes[finger] = votes.get(finger, 0) + 1
        for letters, finger in _FINGER_LETTERS.items():
            plain = re.findall(r"[a-z]+", word.lower())
            if any(part.startswith(letters) and (len(part) == 2 or part[2:] in _SEGMENTS) for part in plain):
                votes[finger] = votes.get(finger, 0) + 2
    fingers = {finger: count for finger, count in votes.items() if finger not in ("left", "right")}
    votes = fingers or votes
    return max(votes, key=lambda finger: votes[finger]) if votes else ""


_SEGMENTS = {"proximal", "middle", "distal", "knuckle", "metacarpal", "base", "hub", "tip", "j"}


def study_motion(hand: HandModel, chains: list[Chain]) -> FingerMotion:
    """Find the joint values at which the fingertips come together, by a seeded random search with refinement."""
    random = np.random.default_rng(0)
    straight = np.clip(0.0, hand.dof_lower, hand.dof_upper)
    lower, upper = _search_range(hand, straight)
    span = upper - lower
    used = _dofs_of(hand, [link for chain in chains for link in chain.links])
    free = np.zeros(hand.dof_count)
    free[used] = 1.0
    candidates = np.where(free, lower + span * random.uniform(size=(_SEARCH, hand.dof_count)), straight)
    score = _tip_spread(hand, chains, candidates, straight)
    best = candidates[np.argsort(score)[:8]]
    width = 0.25
    for _ in range(_REFINE):
        noise = width * span * free * random.normal(size=(8, 20, hand.dof_count))
        pool = np.concatenate([best, (best[:, None] + noise).reshape(-1, hand.dof_count)])
        pool = np.clip(pool, lower, upper)
        best = pool[np.argsort(_tip_spread(hand, chains, pool, straight), kind="stable")[:8]]
        width *= 0.85
    closed = best[0]
    tips = tip_points(hand, chains, closed[None])[0]
    gaps = [np.linalg.norm(a - b) for i, a in enumerate(tips) for b in tips[:i]]
    return FingerMotion(straight, closed, tips.mean(axis=0), float(np.mean(gaps)) if gaps else 0.0)


def _search_range(hand: HandModel, straight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Limits [J] within which fingers close: the joints' own, less where a hinge turns farther than fingers bend."""
    lower, upper = hand.dof_lower.copy(), hand.dof_upper.copy()
    for link in np.flatnonzero(hand.joint_type == JointType.REVOLUTE):
        dof = int(hand.joint_dof[link])
        if hand.link_joint_names[link] == hand.joint_names[dof]:
            lower[dof] = max(lower[dof], straight[dof] - _LARGEST_BEND)
            upper[dof] = min(upper[dof], straight[dof] + _LARGEST_BEND)
    return lower, upper


def _dofs_of(hand: HandModel, links: list[int]) -> list[int]:
    return sorted({int(hand.joint_dof[link]) for link in links if hand.joint_dof[link] >= 0})


def tip_points(hand: HandModel, chains: list[Chain], joint_position: FloatArray) -> FloatArray:
    """Fingertips [N, chains, 3] in the root frame for joint values [N, J]."""
    rotation, position = batch_poses(hand, joint_position)
    return np.stack(
        [position[:, c.tip_link] + np.einsum("nij,j->ni", rotation[:, c.tip_link], c.tip) for c in chains],
        axis=1,
    )


def _tip_spread(
    hand: HandModel, chains: list[Chain], joint_position: FloatArray, straight: FloatArray
) -> FloatArray:
    """Mean distance between fingertips; ties go to joints near the straight pose."""
    tips = tip_points(hand, chains, joint_position)
    gap = np.linalg.norm(tips[:, :, None] - tips[:, None], axis=3)
    bent = np.abs(joint_position - straight).mean(axis=1)
    # one fingertip far from the others (a thumb) counts more than many already side by side
    return np.asarray(gap.max(axis=(1, 2)) + gap.mean(axis=(1, 2)) + 2e-3 * bent)
