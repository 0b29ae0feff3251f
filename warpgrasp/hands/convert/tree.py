"""The tree of a hand's links: checked, ordered, cut to the hand, freed of fixed joints, with limits on every joint."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict

import numpy as np
from numpy.typing import NDArray

from warpgrasp.geometry.rotations import IDENTITY_QUATERNION, compose, quaternion_to_matrix
from warpgrasp.geometry.shapes import MassProperties, combine_mass
from warpgrasp.hands.convert.source import (
    SourceHand,
    SourceJoint,
    SourceLink,
    SourceMimic,
    moved_geometry,
)

__all__ = [
    "freed_followers",
    "kept_links",
    "merge_fixed_joints",
    "sorted_tree",
    "subtree",
    "with_joint_limits",
]

FloatArray = NDArray[np.float64]

_NARROWED = 0.05  # of a leader's range; followers that leave less are believed to have wrong limits


def sorted_tree(hand: SourceHand) -> SourceHand:
    """Check that the joints form one tree and put links and joints into depth-first order of the file.

    Raises:
        ValueError: A joint names an unknown link, a link has two parents, the joints form a ring, or there are two roots.
    """
    names = [link.name for link in hand.links]
    for kind, listed in (("links", names), ("joints", [joint.name for joint in hand.joints])):
        double = next((name for name, number in Counter(listed).items() if number > 1), None)
        if double is not None:
            raise ValueError(f"two {kind} are named '{double}'; give each its own name")
    parent_joint: dict[str, SourceJoint] = {}
    for joint in hand.joints:
        for end in (joint.parent, joint.child):
            if end not in names:
                raise ValueError(f"joint '{joint.name}' names link '{end}', which does not exist; correct it")
        if joint.child in parent_joint:
            raise ValueError(
                f"joint '{joint.name}' closes a kinematic loop at link '{joint.child}', which already hangs on joint "
                f"'{parent_joint[joint.child].name}'; remove one of the two and couple the moving joints with <mimic>"
            )
        parent_joint[joint.child] = joint
    roots = [name for name in names if name not in parent_joint]
    if not roots:
        raise ValueError(
            f"link '{names[0]}' is its own ancestor: the joints form a kinematic loop; remove the joint above the palm"
        )
    if len(roots) > 1:
        raise ValueError(
            f"the file has two roots, link '{roots[0]}' and link '{roots[1]}'; connect them with a fixed joint, "
            f"or convert one of them with --root {roots[0]}"
        )
    order: list[SourceJoint] = []
    _visit(roots[0], hand.joints, order)
    if len(order) < len(hand.joints):
        lost = next(joint for joint in hand.joints if joint not in order)
        raise ValueError(
            f"joint '{lost.name}' closes a kinematic loop that does not reach the root link '{roots[0]}'; "
            f"attach link '{lost.parent}' to the hand by one joint"
        )
    by_name = {link.name: link for link in hand.links}
    links = (by_name[roots[0]], *(by_name[joint.child] for joint in order))
    moving = {joint.name for joint in order if joint.kind != "fixed"}
    for joint in order:
        if joint.mimic is not None and joint.mimic.joint not in moving:
            raise ValueError(
                f"joint '{joint.name}' mimics joint '{joint.mimic.joint}', which is no moving joint of the hand; "
                "correct the name or remove the coupling"
            )
    if not moving:
        raise ValueError(f"'{hand.path.name}' has no moving joint; a hand needs at least one")
    return dataclasses.replace(hand, links=links, joints=tuple(order))


def _visit(link: str, joints: tuple[SourceJoint, ...], order: list[SourceJoint]) -> None:
    """Append the joints below a link, depth first in the order of the file."""
    below: dict[str, list[SourceJoint]] = defaultdict(list)
    for joint in reversed(joints):
        below[joint.parent].append(joint)
    seen: set[int] = set()
    waiting = list(below[link])
    while waiting:
        joint = waiting.pop()
        if id(joint) not in seen:
            seen.add(id(joint))
            order.append(joint)
            waiting += below[joint.child]


def kept_links(edges: list[tuple[str, str]], names: list[str], root: str) -> set[str]:
    """The named link and all that hang on it, from ``(parent, child)`` of every joint.

    Raises:
        ValueError: There is no such link.
    """
    if root not in names:
        raise ValueError(f"there is no link '{root}' to start from; the links are {', '.join(names)}")
    below: dict[str, list[str]] = defaultdict(list)
    for parent, child in edges:
        below[parent].append(child)
    kept = {root}
    waiting = [root]
    while waiting:
        for child in below[waiting.pop()]:
            if child not in kept:
                kept.add(child)
                waiting.append(child)
    return kept


def subtree(hand: SourceHand, root: str) -> SourceHand:
    """Only the named link and what hangs on it: the hand of a file that also holds an arm or a table."""
    kept = kept_links([(j.parent, j.child) for j in hand.joints], [link.name for link in hand.links], root)
    notes = list(hand.notes)
    joints = freed_followers(
        [joint for joint in hand.joints if joint.parent in kept], {j.name for j in hand.joints}, root, notes
    )
    return dataclasses.replace(
        hand,
        links=tuple(link for link in hand.links if link.name in kept),
        joints=tuple(joints),
        notes=tuple(notes),
        excluded_pairs=tuple(pair for pair in hand.excluded_pairs if kept >= set(pair)),
    )


def freed_followers(
    joints: list[SourceJoint], everything: set[str], root: str, notes: list[str]
) -> list[SourceJoint]:
    """The joints of a subtree; one that follows a joint outside becomes independent, and a note says so."""
    inside = {joint.name for joint in joints}
    freed = []
    for joint in joints:
        leader = "" if joint.mimic is None else joint.mimic.joint
        if leader and leader not in inside and leader in everything:
            notes.append(
                f"Joint '{joint.name}' follows '{leader}', which is no part of '{root}' and what hangs on it; "
                "it is independent here."
            )
            joint = dataclasses.replace(joint, mimic=None)
        freed.append(joint)
    return freed


def with_joint_limits(hand: SourceHand, limits: dict[str, tuple[float, float]]) -> SourceHand:
    """Replace limits by the user's, then refuse independent joints that have none.

    A follower without limits takes its leader's range; so does one whose own limits would hold the leader still, which a
    note says.
    """
    known = {joint.name for joint in hand.joints}
    for name in limits:
        if name not in known:
            raise ValueError(f"limits are given for joint '{name}', which the hand does not have")
    by_name: dict[str, SourceJoint] = {}
    for joint in hand.joints:
        lower, upper = limits.get(joint.name, (joint.lower, joint.upper))
        if joint.kind != "fixed" and joint.mimic is None:
            _check_limits(joint.name, lower, upper)
        by_name[joint.name] = dataclasses.replace(joint, lower=lower, upper=upper)
    notes = list(hand.notes)
    by_name = {name: _follows_directly(joint, by_name) for name, joint in by_name.items()}
    for joint in hand.joints:
        if joint.mimic is not None:
            _follow(by_name[joint.name], by_name, notes, given=joint.name in limits)
    return dataclasses.replace(hand, joints=tuple(by_name.values()), notes=tuple(notes))


def _check_limits(name: str, lower: float, upper: float) -> None:
    remedy = f"--joint-limits {name} LOWER UPPER (rad or m)"
    if not (math.isfinite(lower) and math.isfinite(upper)):
        raise ValueError(f"joint '{name}' has no limits; write them into the file or give {remedy}")
    if not lower < upper:
        raise ValueError(
            f"joint '{name}' has limits [{lower:g}, {upper:g}], which leave no range; correct them or give {remedy}"
        )


def _follows_directly(joint: SourceJoint, by_name: dict[str, SourceJoint]) -> SourceJoint:
    """The joint coupled to the one that is driven, where the file couples it to a follower: some readers take no chains."""
    multiplier, offset, leader = 1.0, 0.0, joint
    for _ in by_name:
        if leader.mimic is None:
            break
        offset += multiplier * leader.mimic.offset
        multiplier *= leader.mimic.multiplier
        leader = by_name[leader.mimic.joint]
    else:
        raise ValueError(f"joint '{joint.name}' follows itself through other joints; give it one leader")
    if joint.mimic is None:
        return joint
    return dataclasses.replace(joint, mimic=SourceMimic(leader.name, multiplier, offset))


def _follow(joint: SourceJoint, by_name: dict[str, SourceJoint], notes: list[str], *, given: bool) -> None:
    """Make the limits of a follower and of its leader agree."""
    if joint.mimic is None:
        return
    multiplier, offset = joint.mimic.multiplier, joint.mimic.offset
    leader = by_name[joint.mimic.joint]
    ends = sorted(multiplier * end + offset for end in (leader.lower, leader.upper))
    stated = math.isfinite(joint.lower) and math.isfinite(joint.upper) and joint.lower < joint.upper
    if not stated:
        if given or (joint.lower > joint.upper):
            _check_limits(joint.name, joint.lower, joint.upper)
        by_name[joint.name] = dataclasses.replace(joint, lower=ends[0], upper=ends[1])
        return
    common = max(ends[0], joint.lower), min(ends[1], joint.upper)
    if multiplier == 0.0:
        return
    if common[1] - common[0] >= _NARROWED * (ends[1] - ends[0]):
        lower, upper = sorted((end - offset) / multiplier for end in common)
        by_name[leader.name] = dataclasses.replace(leader, lower=lower, upper=upper)
        return
    if given:
        raise ValueError(
            f"joint '{joint.name}' cannot follow '{leader.name}' within [{joint.lower:g}, {joint.upper:g}]: the leader's "
            f"range takes it through [{ends[0]:g}, {ends[1]:g}]; give other --joint-limits"
        )
    notes.append(
        f"Joint '{joint.name}' follows '{leader.name}' through [{ends[0]:.4g}, {ends[1]:.4g}], but its own limits "
        f"[{joint.lower:.4g}, {joint.upper:.4g}] would hold both still; they are widened to the leader's range."
    )
    by_name[joint.name] = dataclasses.replace(joint, lower=ends[0], upper=ends[1])


def merge_fixed_joints(hand: SourceHand) -> SourceHand:
    """Weld links that hang on fixed joints to their parents; the names and frames of welded links are kept."""
    links = {link.name: link for link in hand.links}
    joints = list(hand.joints)
    for joint in reversed(hand.joints):  # depth first, so a child comes after its parent
        if joint.kind != "fixed":
            continue
        child = links.pop(joint.child)
        pose = compose(joint.position, joint.quaternion, -joint.child_position, IDENTITY_QUATERNION)
        links[joint.parent] = _welded(links[joint.parent], child, *pose)
        joints.remove(joint)
        joints = [_rehung(other, joint.child, joint.parent, *pose) for other in joints]
    host = {link.name: link.name for link in links.values()}
    host |= {name: link.name for link in links.values() for name, _, _ in link.frames}
    pairs = {(host[a], host[b]) for a, b in hand.excluded_pairs if host[a] != host[b]}
    order = [link.name for link in hand.links if link.name in links]
    merged = dataclasses.replace(
        hand,
        links=tuple(links[name] for name in order),
        joints=tuple(joints),
        excluded_pairs=tuple(sorted(pairs)),
    )
    return sorted_tree(merged)


def _rehung(
    joint: SourceJoint, old: str, new: str, position: FloatArray, quaternion: FloatArray
) -> SourceJoint:
    if joint.parent != old:
        return joint
    where, turn = compose(position, quaternion, joint.position, joint.quaternion)
    return dataclasses.replace(joint, parent=new, position=where, quaternion=turn)


def _welded(
    parent: SourceLink, child: SourceLink, position: FloatArray, quaternion: FloatArray
) -> SourceLink:
    matrix = quaternion_to_matrix(quaternion)
    frames = [(child.name, position, quaternion)]
    frames += [(name, *compose(position, quaternion, p, q)) for name, p, q in child.frames]
    mass, center, inertia = parent.mass, parent.center_of_mass, parent.inertia
    if child.mass:
        moved_center = position + matrix @ child.center_of_mass
        moved_inertia = None if child.inertia is None else matrix @ child.inertia @ matrix.T
        if not mass:
            mass, center, inertia = child.mass, moved_center, moved_inertia
        else:
            # an inertia that only one of the two states is of no use: it then follows from the geometry
            known = inertia is not None and moved_inertia is not None
            nothing = np.zeros((3, 3))
            both = combine_mass(
                [
                    MassProperties(mass, center, inertia if inertia is not None else nothing),
                    MassProperties(
                        child.mass, moved_center, moved_inertia if moved_inertia is not None else nothing
                    ),
                ]
            )
            mass, center, inertia = both.mass, both.center_of_mass, both.inertia if known else None
    return dataclasses.replace(
        parent,
        mass=mass,
        center_of_mass=center,
        inertia=inertia,
        geometry=parent.geometry + tuple(moved_geometry(g, position, quaternion) for g in child.geometry),
        frames=parent.frames + tuple(frames),
    )
