"""Collision shapes of a link: tessellation, distance, closest surface point, volume and inertia.

Three shapes are enough for a hand: capsule (a sphere is a capsule of half length 0), box and convex polyhedron.
All functions run on the host in float64.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import ConvexHull, QhullError

from warpgrasp.geometry.rotations import IDENTITY_QUATERNION, compose, quaternion_to_matrix, rotate

__all__ = [
    "GeometryType",
    "MassProperties",
    "Shape",
    "TriMesh",
    "box_shape",
    "capsule_shape",
    "combine_mass",
    "convex_shape",
    "mesh_mass_properties",
    "moved_shape",
    "solid_mass",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]

# facets whose planes differ less (unit normal, offset / size) are one facet of a single-precision file
_COPLANAR_TOLERANCE = 5e-5
_PAIRS_AT_ONCE = 100_000  # of points and triangles: bounds the memory of closest points


class GeometryType(enum.IntEnum):
    """Kind of collision geometry."""

    CAPSULE = 0
    BOX = 1
    CONVEX = 2


@dataclass(frozen=True, eq=False)
class TriMesh:
    """Triangle mesh: ``vertices`` [V, 3] m, ``faces`` [F, 3], wound counter-clockwise seen from outside."""

    vertices: FloatArray
    faces: IntArray


@dataclass(frozen=True, eq=False)
class MassProperties:
    """Mass [kg], centre of mass [3] m and inertia [3, 3] kg m^2 about it, in one common frame."""

    mass: float
    center_of_mass: FloatArray
    inertia: FloatArray


@dataclass(frozen=True, eq=False)
class Shape:
    """One collision shape, posed in its link frame. ``size`` and ``plane`` as in ``HandModel``."""

    type: GeometryType
    position: FloatArray
    quaternion: FloatArray
    size: FloatArray
    mesh: TriMesh
    plane: FloatArray = field(default_factory=lambda: np.zeros((0, 4)))

    def closest_surface_points(self, points: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Closest point of the shape's surface, with its outward normal and the signed distance.

        Args:
            points: Query points in the link frame [m], shape [N, 3].

        Returns:
            Surface points [N, 3], unit outward normals [N, 3], signed distances [N] (negative inside).
        """
        matrix = quaternion_to_matrix(self.quaternion)
        local = (np.asarray(points, dtype=np.float64) - self.position) @ matrix
        if self.type == GeometryType.CAPSULE:
            surface, normal, distance = _closest_on_capsule(local, self.size[0], self.size[1])
        elif self.type == GeometryType.BOX:
            surface, normal, distance = _closest_on_box(local, self.size)
        else:
            own = (self.mesh.vertices - self.position) @ matrix
            surface, normal, distance = _closest_on_convex(local, self.plane, own[self.mesh.faces])
        return surface @ matrix.T + self.position, normal @ matrix.T, distance

    def signed_distance(self, points: ArrayLike) -> FloatArray:
        """Signed distance [m] of points in the link frame, negative inside, shape [N]."""
        return self.closest_surface_points(points)[2]

    def inner_distance(self, points: ArrayLike) -> FloatArray:
        """Signed distance [m] where it is negative; elsewhere something positive. Cheap for convex shapes, shape [N]."""
        if self.type != GeometryType.CONVEX:
            return self.signed_distance(points)
        local = (np.asarray(points, dtype=np.float64) - self.position) @ quaternion_to_matrix(self.quaternion)
        return np.asarray((local @ self.plane[:, :3].T - self.plane[:, 3]).max(axis=1))

    @property
    def volume(self) -> float:
        """Volume of the tessellated solid [m^3]."""
        corner = self.mesh.vertices[self.mesh.faces]
        return float(np.einsum("ij,ij->", corner[:, 0], np.cross(corner[:, 1], corner[:, 2])) / 6.0)

    def mass_properties(self, mass: float) -> MassProperties:
        """Mass properties of the solid shape of uniform density and the given mass, in the link frame."""
        return mesh_mass_properties(self.mesh, mass)


def capsule_shape(
    radius: float, half_length: float, position: ArrayLike, quaternion: ArrayLike = IDENTITY_QUATERNION
) -> Shape:
    """Capsule along its local z axis; ``half_length`` 0 makes a sphere."""
    if radius <= 0.0 or half_length < 0.0:
        raise ValueError(f"a capsule needs radius > 0 and half_length >= 0 (got {radius}, {half_length})")
    size = np.array([radius, half_length, 0.0])
    return _posed(GeometryType.CAPSULE, position, quaternion, size, _capsule_mesh(radius, half_length))


def box_shape(
    half_extents: ArrayLike, position: ArrayLike, quaternion: ArrayLike = IDENTITY_QUATERNION
) -> Shape:
    """Box with the given half extents [m]."""
    half = np.asarray(half_extents, dtype=np.float64)
    if half.shape != (3,) or np.any(half <= 0.0):
        raise ValueError(f"a box needs three positive half extents (got {half.tolist()})")
    return _posed(GeometryType.BOX, position, quaternion, half, _box_mesh(half))


def convex_shape(points: ArrayLike) -> Shape:
    """Convex hull of points given in the link frame, shape [N, 3]; the geometry frame is its centroid."""
    cloud = np.asarray(points, dtype=np.float64)
    try:
        hull = ConvexHull(cloud)
    except (QhullError, ValueError) as error:
        raise ValueError(
            f"a convex shape needs at least four points that are not in one plane (got {len(cloud)} points)"
        ) from error
    used = hull.vertices
    index = np.full(len(cloud), -1, dtype=np.int32)
    index[used] = np.arange(len(used), dtype=np.int32)
    vertices = cloud[used]
    faces = index[hull.simplices]
    corner = vertices[faces]
    winding = np.einsum(
        "ij,ij->i", np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), hull.equations[:, :3]
    )
    faces[winding < 0.0] = faces[winding < 0.0][:, ::-1]
    mesh = TriMesh(vertices, faces.astype(np.int32))
    center = mesh_mass_properties(mesh, 1.0).center_of_mass
    plane = _merge_coplanar(vertices - center, hull.equations[:, :3])
    return Shape(GeometryType.CONVEX, center, np.array(IDENTITY_QUATERNION), np.zeros(3), mesh, plane)


def solid_mass(mass: float, shapes: Sequence[Shape]) -> MassProperties:
    """A mass spread evenly over several solid shapes (where they overlap the density adds up)."""
    volume = np.array([shape.volume for shape in shapes])
    share = mass * volume / volume.sum()
    return combine_mass([shape.mass_properties(float(m)) for shape, m in zip(shapes, share, strict=True)])


def mesh_mass_properties(mesh: TriMesh, mass: float) -> MassProperties:
    """Mass properties of the solid inside a closed mesh: signed tetrahedra against the origin, uniform density."""
    corner = mesh.vertices[mesh.faces]
    volume = np.einsum("ij,ij->i", corner[:, 0], np.cross(corner[:, 1], corner[:, 2])) / 6.0
    total = float(volume.sum())
    if total <= 0.0:
        raise ValueError(
            f"a mesh of volume {total:g} m^3 has no mass properties; its faces must point outward"
        )
    center = np.einsum("i,ijk->k", volume, corner) / (4.0 * total)
    # second moments: for a tetrahedron (0, a, b, c) of volume V the integral of x x^T is V/20 (sum s s^T + sum v v^T)
    moved = corner - center
    volume = np.einsum("ij,ij->i", moved[:, 0], np.cross(moved[:, 1], moved[:, 2])) / 6.0
    corner_sum = moved.sum(axis=1)
    second = np.einsum("i,ij,ik->jk", volume, corner_sum, corner_sum) + np.einsum(
        "i,inj,ink->jk", volume, moved, moved
    )
    second *= mass / (20.0 * total)
    return MassProperties(mass, center, np.trace(second) * np.eye(3) - second)


def combine_mass(parts: list[MassProperties]) -> MassProperties:
    """Mass properties of several bodies welded together (parallel axis theorem)."""
    mass = sum(part.mass for part in parts)
    center = np.sum([part.mass * part.center_of_mass for part in parts], axis=0) / mass
    inertia = np.zeros((3, 3))
    for part in parts:
        offset = part.center_of_mass - center
        inertia += part.inertia + part.mass * (offset @ offset * np.eye(3) - np.outer(offset, offset))
    return MassProperties(float(mass), center, inertia)


def _posed(
    kind: GeometryType, position: ArrayLike, quaternion: ArrayLike, size: FloatArray, local: TriMesh
) -> Shape:
    where = np.asarray(position, dtype=np.float64)
    turn = np.asarray(quaternion, dtype=np.float64)
    mesh = TriMesh(where + rotate(turn, local.vertices), local.faces)
    return Shape(kind, where, turn, size, mesh)


def _box_mesh(half: FloatArray) -> TriMesh:
    corner = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64) * half
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))]
    return TriMesh(corner, np.array(faces, dtype=np.int32))


def _capsule_mesh(radius: float, half_length: float, *, sides: int = 32, rings: int = 8) -> TriMesh:
    """Latitude-longitude capsule along z; the vertices lie on the surface."""
    latitude = np.linspace(0.0, 0.5 * np.pi, rings + 1)[:-1]
    levels = [(np.cos(a), -half_length - radius * np.sin(a)) for a in latitude[::-1]]
    levels += [
        (np.cos(a), half_length + radius * np.sin(a))
        for a in (latitude if half_length > 0.0 else latitude[1:])
    ]
    angle = 2.0 * np.pi * np.arange(sides) / sides
    ring = [
        np.stack([radius * c * np.cos(angle), radius * c * np.sin(angle), np.full(sides, z)], 1)
        for c, z in levels
    ]
    vertices = np.concatenate(
        [*ring, [[0.0, 0.0, -half_length - radius]], [[0.0, 0.0, half_length + radius]]]
    )
    south, north = len(vertices) - 2, len(vertices) - 1
    faces: list[tuple[int, int, int]] = []
    last = (len(levels) - 1) * sides
    for k in range(sides):
        n = (k + 1) % sides
        faces.append((south, n, k))
        faces.append((north, last + k, last + n))
        for level in range(len(levels) - 1):
            low, high = level * sides, (level + 1) * sides
            faces += [(low + k, low + n, high + n), (low + k, high + n, high + k)]
    return TriMesh(vertices, np.array(faces, dtype=np.int32))


def _merge_coplanar(vertices: FloatArray, normals: FloatArray) -> FloatArray:
    """Planes (normal, offset) of a hull with coplanar facets merged; the offset touches the farthest vertex."""
    size = float(np.abs(vertices).max())
    kept: list[FloatArray] = []
    for normal in normals:
        row = np.append(normal, float((vertices @ normal).max()))
        near = [abs(row[3] - other[3]) / size + np.abs(row[:3] - other[:3]).max() for other in kept]
        if not near or min(near) > _COPLANAR_TOLERANCE:
            kept.append(row)
    return np.array(kept)


def _closest_on_capsule(
    local: FloatArray, radius: float, half_length: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    axis_point = np.zeros_like(local)
    axis_point[:, 2] = np.clip(local[:, 2], -half_length, half_length)
    away = local - axis_point
    length = np.linalg.norm(away, axis=1)
    on_axis = length < 1e-12
    away[on_axis] = (1.0, 0.0, 0.0)  # every direction is equally close there
    normal = away / np.where(on_axis, 1.0, length)[:, None]
    return axis_point + radius * normal, normal, length - radius


def _closest_on_box(local: FloatArray, half: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    clamped = np.clip(local, -half, half)
    away = local - clamped
    outside = np.linalg.norm(away, axis=1)
    depth = half - np.abs(local)
    axis = np.argmin(depth, axis=1)
    rows = np.arange(len(local))
    sign = np.where(local[rows, axis] < 0.0, -1.0, 1.0)
    face_normal = np.zeros_like(local)
    face_normal[rows, axis] = sign
    inside = outside < 1e-12
    surface = clamped.copy()
    surface[rows[inside], axis[inside]] = (sign * half[axis])[inside]
    normal = np.where(inside[:, None], face_normal, away / np.where(inside, 1.0, outside)[:, None])
    return surface, normal, np.where(inside, -depth[rows, axis], outside)


def _closest_on_convex(
    local: FloatArray, plane: FloatArray, triangles: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    height = local @ plane[:, :3].T - plane[:, 3]
    facet = np.argmax(height, axis=1)
    depth = height[np.arange(len(local)), facet]
    normal = plane[facet, :3].copy()
    surface = local - depth[:, None] * normal
    distance = depth.copy()
    # outside, the foot on the highest plane may miss the facet; then the closest point is on an edge or a corner
    missed = np.flatnonzero((depth > 0.0) & ((surface @ plane[:, :3].T - plane[:, 3]).max(axis=1) > 1e-9))
    if missed.size:
        surface[missed] = _closest_on_triangles(local[missed], triangles)
        away = local[missed] - surface[missed]
        distance[missed] = np.linalg.norm(away, axis=1)
        normal[missed] = away / distance[missed, None]
    return surface, normal, distance


def _closest_on_triangles(points: FloatArray, triangles: FloatArray) -> FloatArray:
    """Closest point of a triangle soup [F, 3, 3] to each point, shape [P, 3]: best of the interiors and of the edges."""
    step = max(1, _PAIRS_AT_ONCE // len(triangles))
    parts = [
        _closest_of_all(points[start : start + step], triangles) for start in range(0, len(points), step)
    ]
    return np.concatenate(parts)


def _closest_of_all(points: FloatArray, triangles: FloatArray) -> FloatArray:
    """The same for points few enough that all pairs fit into memory; matrices are [P, F]."""
    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    height = points @ normal.T - np.einsum("fi,fi->f", triangles[:, 0], normal)
    inside = np.ones(height.shape, dtype=bool)
    squares, shares = [], []
    for corner in range(3):
        start = triangles[:, corner]
        edge = triangles[:, (corner + 1) % 3] - start
        inward = np.cross(normal, edge)  # the foot has the same value as the point: inward lies in the plane
        inside &= points @ inward.T >= np.einsum("fi,fi->f", start, inward)
        share = points @ edge.T - np.einsum("fi,fi->f", start, edge)
        share = np.clip(share / np.einsum("fi,fi->f", edge, edge), 0.0, 1.0)
        away = points[:, None] - start - share[:, :, None] * edge
        squares.append(np.einsum("pfi,pfi->pf", away, away))
        shares.append(share)
    squares.append(np.where(inside, height * height, np.inf))
    rows = np.arange(len(points))
    best = np.stack(squares, axis=1).reshape(len(points), -1).argmin(axis=1)
    kind, face = np.divmod(best, len(triangles))
    result = points - height[rows, face, None] * normal[face]
    for corner in range(3):
        own = np.flatnonzero(kind == corner)
        start = triangles[face[own], corner]
        edge = triangles[face[own], (corner + 1) % 3] - start
        result[own] = start + shares[corner][own, face[own], None] * edge
    return result


def moved_shape(shape: Shape, position: ArrayLike, quaternion: ArrayLike) -> Shape:
    """The same shape seen from a frame in which the old one has the given pose."""
    where, turn = compose(position, quaternion, shape.position, shape.quaternion)
    vertices = np.asarray(position, dtype=np.float64) + rotate(quaternion, shape.mesh.vertices)
    return Shape(shape.type, where, turn, shape.size, TriMesh(vertices, shape.mesh.faces), shape.plane)
