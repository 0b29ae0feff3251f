"""A hand in Python, before it becomes a USD file: links of simple shapes, joints, patches and grasp types.

Every shipped hand is one :class:`HandDescription` written from the vendor's published dimensions (``build.py`` in its
folder); :mod:`warpgrasp.hands.authoring.author` writes it. Lengths in metres, angles in radians, orientations as fixed-axis
roll, pitch, yaw (the convention of the data sheets and of URDF).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog
from scipy.spatial import HalfspaceIntersection

from warpgrasp.geometry.rotations import (
    IDENTITY_QUATERNION,
    quaternion_between,
    quaternion_to_matrix,
    rotate,
    rpy_to_quaternion,
)
from warpgrasp.geometry.shapes import (
    MassProperties,
    Shape,
    box_shape,
    capsule_shape,
    combine_mass,
    convex_shape,
    moved_shape,
    solid_mass,
)
from warpgrasp.hands.authoring.sphere_cover import cover_with_spheres

__all__ = [
    "Finish",
    "FrameDescription",
    "GraspTypeDescription",
    "HandDescription",
    "JointDescription",
    "LinkDescription",
    "Look",
    "Mimic",
    "Part",
    "PatchDescription",
    "box",
    "capsule",
    "hull",
    "hulls",
    "mass_from_sheet",
    "rigid_link",
    "spheres_along",
    "weld",
]

Triple = tuple[float, float, float]
ORIGIN: Triple = (0.0, 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Part:
    """One collision shape in its link frame and the name of its visual material."""

    shape: Shape
    material: str = "body"


def box(size: Triple, position: Triple, rpy: Triple = ORIGIN, *, material: str = "body") -> Part:
    """Box of the given full edge lengths."""
    return Part(box_shape(0.5 * np.asarray(size), position, rpy_to_quaternion(rpy)), material)


def capsule(radius: float, start: Triple, end: Triple, *, material: str = "body") -> Part:
    """Capsule between two centres; the same centre twice makes a sphere."""
    a, b = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    length = float(np.linalg.norm(b - a))
    turn = (
        quaternion_between((0.0, 0.0, 1.0), (b - a) / length)
        if length > 0.0
        else np.array(IDENTITY_QUATERNION)
    )
    return Part(capsule_shape(radius, 0.5 * length, 0.5 * (a + b), turn), material)


def hull(points: ArrayLike, *, material: str = "body") -> Part:
    """Convex hull of points."""
    return Part(convex_shape(points), material)


def hulls(*planes: Sequence[tuple[float, float, float, float]], material: str = "body") -> tuple[Part, ...]:
    """Convex parts given by their faces: rows ``(nx, ny, nz, offset)``, normals of any length, offsets in mm.

    Raises:
        ValueError: The planes of a part do not enclose a volume.
    """
    return tuple(Part(_enclosed(np.asarray(rows, dtype=np.float64)), material) for rows in planes)


def _enclosed(rows: NDArray[np.float64]) -> Shape:
    length = np.linalg.norm(rows[:, :3], axis=1)
    normal, offset = rows[:, :3] / length[:, None], 1e-3 * rows[:, 3]
    # the centre of the largest ball inside all planes: maximise r with n . x + r <= offset
    system = np.column_stack([normal, np.ones(len(rows))])
    found = linprog([0.0, 0.0, 0.0, -1.0], system, offset, bounds=[(None, None)] * 3 + [(0.0, 1.0)])
    if not found.success or found.x is None or found.x[3] <= 0.0 or found.x[3] >= 1.0:
        raise ValueError(
            f"{len(rows)} planes do not enclose a volume; check the signs of normals and offsets"
        )
    corners = HalfspaceIntersection(np.column_stack([normal, -offset]), found.x[:3]).intersections
    return convex_shape(corners)


def mass_from_sheet(
    mass: float, center_of_mass: Triple, inertia: tuple[float, float, float, float, float, float]
) -> MassProperties:
    """Mass properties as a sheet states them: ``ixx, iyy, izz, ixy, ixz, iyz`` about the centre of mass."""
    xx, yy, zz, xy, xz, yz = inertia
    tensor = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    principal = np.linalg.eigvalsh(tensor)
    if principal[0] <= 0.0 or principal[0] + principal[1] < principal[2]:
        raise ValueError(
            f"inertia with principal moments {principal.tolist()} is not physical; use warpgrasp.geometry.shapes.solid_mass"
        )
    return MassProperties(mass, np.asarray(center_of_mass, dtype=np.float64), tensor)


@dataclass(frozen=True, eq=False)
class LinkDescription:
    """One rigid body: collision parts and mass properties.

    ``spheres`` ``(x, y, z, radius)`` stand for it in self-collision.
    """

    name: str
    parts: tuple[Part, ...]
    mass: MassProperties
    spheres: tuple[tuple[float, float, float, float], ...] = ()


def rigid_link(
    name: str,
    parts: Sequence[Part],
    mass: float | MassProperties,
    *,
    sphere_limit: int = 6,
    overshoot: float = 0.001,
    bulge: float | None = None,
    gap: float = 0.0035,
    envelope: Sequence[Part] = (),
) -> LinkDescription:
    """A link whose self-collision spheres follow from its parts.

    A plain ``mass`` [kg] is spread evenly over the parts: the solid's centre and inertia. ``overshoot``, ``bulge`` and
    ``gap`` as in :func:`~warpgrasp.hands.authoring.sphere_cover.cover_with_spheres`; where thin plates enclose a space no other
    link fits into, spheres fill the solid ``envelope`` instead.
    """
    shapes = [part.shape for part in parts]
    properties = mass if isinstance(mass, MassProperties) else solid_mass(mass, shapes)
    solid = [part.shape for part in envelope] or shapes
    spheres = (
        cover_with_spheres(solid, limit=sphere_limit, overshoot=overshoot, bulge=bulge, gap=gap)
        if sphere_limit
        else ()
    )
    return LinkDescription(name, tuple(parts), properties, spheres)


def weld(
    parent: LinkDescription, child: LinkDescription, position: Triple, rpy: Triple = ORIGIN
) -> LinkDescription:
    """Merge a rigidly attached link, given the pose of its frame in the parent link."""
    turn = rpy_to_quaternion(rpy)
    parts = tuple(Part(moved_shape(p.shape, position, turn), p.material) for p in child.parts)
    matrix = quaternion_to_matrix(turn)
    center = np.asarray(position) + matrix @ child.mass.center_of_mass
    mass = combine_mass(
        [parent.mass, MassProperties(child.mass.mass, center, matrix @ child.mass.inertia @ matrix.T)]
    )
    spheres = []
    for x, y, z, radius in child.spheres:
        sx, sy, sz = (np.asarray(position) + rotate(turn, (x, y, z))).tolist()
        spheres.append((sx, sy, sz, radius))
    return LinkDescription(parent.name, parent.parts + parts, mass, parent.spheres + tuple(spheres))


def spheres_along(
    start: Triple, end: Triple, radius: float, count: int
) -> tuple[tuple[float, float, float, float], ...]:
    """``count`` equal spheres evenly spaced between two centres."""
    centers = np.linspace(start, end, count)
    return tuple((float(x), float(y), float(z), radius) for x, y, z in centers)


@dataclass(frozen=True)
class Mimic:
    """The joint moves with another: ``value = multiplier * leader + offset``."""

    joint: str
    multiplier: float
    offset: float = 0.0


@dataclass(frozen=True)
class JointDescription:
    """A revolute or prismatic joint; ``position`` and ``rpy`` place its frame (= the child frame) in the parent link.

    ``child_position`` is the joint's place in the child link, where that is not the child's origin.
    ``opening`` is the value at which a grasp starts; gains and efforts are those of the evaluation protocol.
    """

    name: str
    parent: str
    child: str
    position: Triple
    rpy: Triple
    axis: Triple
    lower: float
    upper: float
    velocity: float
    opening: float = 0.0
    effort: float = 0.0
    stiffness: float = 0.0
    damping: float = 0.0
    armature: float = 0.0
    friction: float = 0.0
    prismatic: bool = False
    mimic: Mimic | None = None
    child_position: Triple = ORIGIN


@dataclass(frozen=True)
class PatchDescription:
    """Part of a link's surface.

    It is made of the faces within ``angle`` of ``direction`` whose centre lies in the box ``[lower, upper]`` of the
    link frame.
    """

    name: str
    link: str
    finger: str
    region: str
    direction: Triple
    angle: float
    lower: Triple = (-np.inf, -np.inf, -np.inf)
    upper: Triple = (np.inf, np.inf, np.inf)


@dataclass(frozen=True)
class FrameDescription:
    """A named frame on a link, for example a fingertip."""

    name: str
    link: str
    position: Triple
    rpy: Triple = ORIGIN


@dataclass(frozen=True)
class GraspTypeDescription:
    """A grasp type: the patches that may touch, and where the joints of idle fingers stay.

    The last three are those of :class:`warpgrasp.hands.GraspType`; ``None`` stays out of the file and follows from the name.
    """

    name: str
    patches: tuple[str, ...]
    idle: dict[str, float] = field(default_factory=dict)
    required_fingers: tuple[str, ...] | None = None
    seed_place: str | None = None
    reset_threshold: float | None = None


@dataclass(frozen=True, kw_only=True)
class Finish:
    """How a material takes the light: ``roughness`` 0 (mirror) to 1 (chalk), ``metallic`` 0 or 1 and between."""

    roughness: float = 0.5
    metallic: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Look:
    """Meshes for the eye beside the collision shapes (:mod:`warpgrasp.hands.authoring.look`)."""

    edge_radius: float = 0.0025
    """Of the edges of shells [m]; less where a part is thin."""
    joint_color: Triple = (0.28, 0.29, 0.31)
    """Linear RGB of the barrels at the joints."""
    pad_color: Triple = (0.035, 0.035, 0.04)
    """Linear RGB of the pads on palm and phalanges."""
    barrels: bool = True
    """Whether joints are shown as barrels."""
    pads: bool = True
    """Whether contact patches are shown as pads."""
    pad_inset: float = 0.0012
    """Of a pad from the border of its contact patch [m]."""
    pad_height: float = 0.0003
    """Of a pad above the collision surface [m]."""


@dataclass(frozen=True, eq=False)
class HandDescription:
    """Everything :func:`warpgrasp.hands.authoring.author.write_hand` needs."""

    name: str
    title: str
    source: str
    links: tuple[LinkDescription, ...]
    joints: tuple[JointDescription, ...]
    patches: tuple[PatchDescription, ...]
    grasp_types: tuple[GraspTypeDescription, ...]
    wrist: FrameDescription
    frames: tuple[FrameDescription, ...] = ()
    materials: dict[str, Triple] = field(default_factory=dict)
    filtered_pairs: tuple[tuple[str, str], ...] = ()
    """Links that touch by construction and must not collide, besides parents and their children."""
    look: Look | None = None
    """Meshes for the eye; ``None``: the collision shapes are what one sees."""
    earlier_hashes: tuple[str, ...] = ()
    """Asset hashes of earlier versions of the file that differ from this one in nothing that a grasp depends on."""
