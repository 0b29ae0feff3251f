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
from warpgrasp.hands.model import HandModel, JointType

__all__ = ["Chain", "FingerMotion", "batch_poses", "find_chains", "palm_link", "study_motion"]

FloatArray = NDArray[np.float64]

_LINKAGE_REACH = 0.8  # of the longest finger; a shorter chain that only mimics others is a linkage
_TIP_SLAB = 4e-3  # m
_SEARCH = 3000
_REFINE = 25
_LARGEST_BEND = 1.9  # rad from the straight pose; files that allow half a turn do not mean a finger rolled up
_FINGER_WORDS = (
    ("thumb", ("thumb", "thb", "thmb")),
    ("index", ("index", "idx", "pointer")),
    ("middle", ("middle", "mid")),
    ("ring", ("ring", "rng")),
    ("little", ("little", "pinky", "pnky")),
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


def find_chains(hand: HandModel, frame_names: dict[int, list[str]]) -> list[Chain]:
    """The fingers, without linkages that only hold another finger's pad parallel."""
    palm = palm_link(hand)
    straight = np.clip(0.0, hand.dof_lower, hand.dof_upper)[None]
    rotation, position = (array[0] for array in batch_poses(hand, straight))
    chains = []
    for base in np.flatnonzero(hand.link_parent == palm):
        chain = _chain(hand, int(base), rotation, position, frame_names)
        if chain is not None:
            chains.append(chain)
    longest = max((chain.reach for chain in chains), default=0.0)
    return [c for c in chains if not (c.reach < _LINKAGE_REACH * longest and _only_mimics(hand, c))]


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
    words = [hand.link_names[k] for k in links] + [hand.link_joint_names[k] for k in links]
    words += [name for k in links for name in frame_names.get(k, [])]
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
    """Finger that the names of links, joints and frames suggest; empty where they say nothing."""
    votes: dict[str, int] = {}
    for word in words:
        lower = word.lower()
        parts = re.findall(r"[a-z]+", lower)
        for finger, known in _FINGER_WORDS:
            if any(text in lower for text in known) and not (finger == "middle" and "middle_phal" in lower):
                votes[finger] = votes.get(finger, 0) + 1
        for letters, finger in _FINGER_LETTERS.items():
            if any(part.startswith(letters) and (len(part) == 2 or part[2:] in _SEGMENTS) for part in parts):
                votes[finger] = votes.get(finger, 0) + 2
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
