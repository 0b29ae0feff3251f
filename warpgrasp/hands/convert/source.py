"""A robot hand as its vendor's file describes it, whatever the format, and the checks every format shares.

The importers (:mod:`import_urdf`, :mod:`import_mjcf`, :mod:`import_usd`) make a :class:`SourceHand`; here it is cut to a
subtree, put into depth-first order, freed of fixed joints and given physical masses. SI units, quaternions xyzw.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from warpgrasp.geometry.rotations import IDENTITY_QUATERNION, compose, quaternion_to_matrix, rotate
from warpgrasp.geometry.shapes import MassProperties, Shape, TriMesh, combine_mass, moved_shape

__all__ = [
    "SourceGeometry",
    "SourceHand",
    "SourceJoint",
    "SourceLink",
    "SourceMimic",
    "check_size",
    "merge_fixed_joints",
    "scaled",
    "sorted_tree",
    "subtree",
    "with_joint_limits",
]

FloatArray = NDArray[np.float64]

_LARGEST_HAND = 1.5  # m; a link or an offset beyond this is a unit mistake
_SMALLEST_HAND = 5e-3  # m


@dataclass(frozen=True, eq=False)
class SourceGeometry:
    """One piece of a link's surface in the link frame; ``shape`` is set where it is a primitive that stays one."""

    name: str
    mesh: TriMesh
    shape: Shape | None = None


@dataclass(frozen=True, eq=False)
class SourceLink:
    """A rigid body. ``mass`` is None where the file states none; ``inertia`` is None where it is missing or zero."""

    name: str
    mass: float | None = None
    center_of_mass: FloatArray = field(default_factory=lambda: np.zeros(3))
    inertia: FloatArray | None = None
    geometry: tuple[SourceGeometry, ...] = ()
    frames: tuple[tuple[str, FloatArray, FloatArray], ...] = ()
    """Links merged into this one: name, position and quaternion in this link's frame."""


@dataclass(frozen=True)
class SourceMimic:
    """``value = multiplier * leader + offset``."""

    joint: str
    multiplier: float
    offset: float = 0.0


@dataclass(frozen=True, eq=False)
class SourceJoint:
    """A fixed, revolute or prismatic joint: child pose = frame * motion(axis) * translation(-child_position).

    The joint frame has the orientation of the child link; ``axis`` is a unit vector in it. None: the file does not say.
    """

    name: str
    kind: str
    parent: str
    child: str
    position: FloatArray
    quaternion: FloatArray
    axis: FloatArray = field(default_factory=lambda: np.array([1.0, 0.0, 0.0]))
    child_position: FloatArray = field(default_factory=lambda: np.zeros(3))
    lower: float = 0.0
    upper: float = 0.0
    effort: float | None = None
    velocity: float | None = None
    stiffness: float | None = None
    damping: float | None = None
    armature: float | None = None
    friction: float | None = None
    mimic: SourceMimic | None = None


@dataclass(frozen=True, eq=False)
class SourceHand:
    """The whole description. ``notes`` are sentences for the report about what had to be interpreted."""

    name: str
    path: Path
    links: tuple[SourceLink, ...]
    joints: tuple[SourceJoint, ...]
    notes: tuple[str, ...] = ()
    excluded_pairs: tuple[tuple[str, str], ...] = ()

    def link(self, name: str) -> SourceLink:
        """A link by name."""
        return next(link for link in self.links if link.name == name)


def sorted_tree(hand: SourceHand) -> SourceHand:
    """Check that the joints form one tree and put links and joints into depth-first order of the file.

    Raises:
        ValueError: A joint names an unknown link, a link has two parents, the joints form a ring, or there are two roots.
    """
    names = [link.name for link in hand.links]
    for kind, listed in (("links", names), ("joints", [joint.name for joint in hand.joints])):
        double = next((name for name in listed if listed.count(name) > 1), None)
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
    links = (hand.link(roots[0]), *(hand.link(joint.child) for joint in order))
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
    for joint in joints:
        if joint.parent == link and joint not in order:
            order.append(joint)
            _visit(joint.child, joints, order)


def subtree(hand: SourceHand, root: str) -> SourceHand:
    """Only the named link and what hangs on it: the hand of a file that also holds an arm or a table."""
    names = [link.name for link in hand.links]
    if root not in names:
        raise ValueError(f"there is no link '{root}' to start from; the links are {', '.join(names)}")
    order: list[SourceJoint] = []
    _visit(root, hand.joints, order)
    kept = {root, *(joint.child for joint in order)}
    return dataclasses.replace(
        hand,
        links=tuple(link for link in hand.links if link.name in kept),
        joints=tuple(order),
        excluded_pairs=tuple(pair for pair in hand.excluded_pairs if kept >= set(pair)),
    )


def with_joint_limits(hand: SourceHand, limits: dict[str, tuple[float, float]]) -> SourceHand:
    """Replace limits by the user's, then refuse joints that have none."""
    known = {joint.name for joint in hand.joints}
    for name in limits:
        if name not in known:
            raise ValueError(f"limits are given for joint '{name}', which the hand does not have")
    joints = []
    for joint in hand.joints:
        lower, upper = limits.get(joint.name, (joint.lower, joint.upper))
        if joint.kind != "fixed":
            if not (math.isfinite(lower) and math.isfinite(upper)):
                raise ValueError(
                    f"joint '{joint.name}' has no limits; write them into the file or give "
                    f"--joint-limits {joint.name} LOWER UPPER (rad or m)"
                )
            if not lower < upper:
                raise ValueError(
                    f"joint '{joint.name}' has limits [{lower:g}, {upper:g}], which leave no range; correct them or give "
                    f"--joint-limits {joint.name} LOWER UPPER (rad or m)"
                )
        joints.append(dataclasses.replace(joint, lower=lower, upper=upper))
    return dataclasses.replace(hand, joints=tuple(joints))


def check_size(hand: SourceHand) -> None:
    """Refuse lengths that can only be millimetres (or the like) where metres are meant."""
    for joint in hand.joints:
        reach = float(np.abs(np.concatenate([joint.position, joint.child_position])).max())
        if reach > _LARGEST_HAND:
            raise ValueError(
                f"joint '{joint.name}' lies {reach:g} m from its parent link '{joint.parent}': the file seems to be in "
                "millimetres; give --scale 0.001"
            )
        if joint.kind == "prismatic" and max(abs(joint.lower), abs(joint.upper)) > _LARGEST_HAND:
            raise ValueError(
                f"prismatic joint '{joint.name}' travels to {joint.upper:g} m: the file seems to be in millimetres; "
                "give --scale 0.001"
            )
    largest = 0.0
    for link in hand.links:
        for piece in link.geometry:
            size = float(np.ptp(piece.mesh.vertices, axis=0).max())
            largest = max(largest, size)
            if size > _LARGEST_HAND:
                raise ValueError(
                    f"mesh {piece.name} of link '{link.name}' is {size:g} m long: it seems to be in millimetres; "
                    'give --mesh-scale 0.001 (or scale="0.001 0.001 0.001" at the mesh)'
                )
    if 0.0 < largest < _SMALLEST_HAND:
        raise ValueError(
            f"the largest mesh of the hand measures {1e3 * largest:g} mm: it is scaled down too far; "
            "give --mesh-scale 1000 or remove the scale in the file"
        )


def scaled(hand: SourceHand, factor: float) -> SourceHand:
    """Every length times ``factor`` (masses stay; stated inertias scale with its square)."""
    joints = [
        dataclasses.replace(
            joint,
            position=factor * joint.position,
            child_position=factor * joint.child_position,
            lower=factor * joint.lower if joint.kind == "prismatic" else joint.lower,
            upper=factor * joint.upper if joint.kind == "prismatic" else joint.upper,
        )
        for joint in hand.joints
    ]
    links = []
    for link in hand.links:
        links.append(
            dataclasses.replace(
                link,
                center_of_mass=factor * link.center_of_mass,
                inertia=None if link.inertia is None else factor**2 * link.inertia,
                geometry=tuple(scaled_geometry(piece, factor) for piece in link.geometry),
            )
        )
    return dataclasses.replace(hand, links=tuple(links), joints=tuple(joints))


def scaled_geometry(piece: SourceGeometry, factor: float) -> SourceGeometry:
    """A piece with every length times ``factor``."""
    mesh = TriMesh(factor * piece.mesh.vertices, piece.mesh.faces)
    shape = piece.shape
    if shape is not None:
        shape = dataclasses.replace(
            shape, position=factor * shape.position, size=factor * shape.size, mesh=mesh
        )
    return SourceGeometry(piece.name, mesh, shape)


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


def moved_geometry(piece: SourceGeometry, position: FloatArray, quaternion: FloatArray) -> SourceGeometry:
    """A piece seen from a frame in which its old frame has the given pose."""
    mesh = TriMesh(position + rotate(quaternion, piece.mesh.vertices), piece.mesh.faces)
    shape = None if piece.shape is None else moved_shape(piece.shape, position, quaternion)
    return SourceGeometry(piece.name, mesh, shape)
