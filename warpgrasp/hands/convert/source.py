"""A robot hand as its vendor's file describes it, whatever the format, and the checks every format shares.

The readers (:mod:`~warpgrasp.hands.convert.urdf`, :mod:`~warpgrasp.hands.convert.mjcf`, :mod:`~warpgrasp.hands.convert.usd`)
make a :class:`SourceHand`; :mod:`~warpgrasp.hands.convert.tree` orders and cuts it. SI units, quaternions xyzw.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from warpgrasp.geometry.rotations import rotate
from warpgrasp.geometry.shapes import Shape, TriMesh, moved_shape

__all__ = [
    "ReadOptions",
    "SourceGeometry",
    "SourceHand",
    "SourceJoint",
    "SourceLink",
    "SourceMimic",
    "check_budget",
    "check_size",
    "moved_geometry",
    "scaled",
]

FloatArray = NDArray[np.float64]

_LARGEST_HAND = 1.5  # m; a link or an offset beyond this is a unit mistake
_SMALLEST_HAND = 5e-3  # m
_MOST_LINKS = 1000  # a humanoid has a hundred


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """What the readers of all formats need to know beside the file."""

    root: str = ""
    """Link to start from; what does not hang on it is neither read nor judged. Empty: the whole file."""
    mesh_scale: float = 1.0
    """Factor on mesh files, besides the scale that the description states."""
    visual: bool = False
    """Take the visual geometry of links that have both."""
    package_path: tuple[Path, ...] = ()
    """Folders in which ``package://NAME``, ``model://NAME`` and ``$(find NAME)`` are looked for first."""
    ignore: frozenset[str] = frozenset()
    """Links without a solid surface, whatever the file says."""


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
    linkages: frozenset[str] = frozenset()
    """Links that begin a bar of a closed loop, which only holds another finger's pad."""

    def link(self, name: str) -> SourceLink:
        """A link by name."""
        return next(link for link in self.links if link.name == name)


def check_budget(path: Path, links: int, joints: int) -> None:
    """Refuse descriptions no hand needs, before anything is done with them."""
    if max(links, joints) > _MOST_LINKS:
        raise ValueError(
            f"'{path}' has {links} links and {joints} joints; a hand has a few dozen, at most {_MOST_LINKS} are read: "
            "export the hand alone"
        )


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


def moved_geometry(piece: SourceGeometry, position: FloatArray, quaternion: FloatArray) -> SourceGeometry:
    """A piece seen from a frame in which its old frame has the given pose."""
    mesh = TriMesh(position + rotate(quaternion, piece.mesh.vertices), piece.mesh.faces)
    shape = None if piece.shape is None else moved_shape(piece.shape, position, quaternion)
    return SourceGeometry(piece.name, mesh, shape)
