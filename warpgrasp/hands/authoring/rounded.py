"""Smooth solids for the eye: convex parts with rounded edges, capsules, joint barrels and pads.

Every mesh has a normal per vertex, so that few triangles look round. A convex part is shrunk by a radius and grown by it
again, which stays inside the solid and touches all its faces. Where a
face is covered by other parts of the link, the part is not rounded there: a link of several pieces looks like one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog
from scipy.spatial import ConvexHull, HalfspaceIntersection

from warpgrasp.geometry.rotations import quaternion_to_matrix
from warpgrasp.geometry.shapes import GeometryType, Shape, TriMesh

__all__ = ["SmoothMesh", "barrel", "cushion", "joined", "smooth_shape", "solid_planes"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]

_ARC = math.radians(46.0)  # of a rounded edge per strip
_SOFT = math.cos(math.radians(42.0))  # faces that meet at less than this angle are shaded as one curved face
_SAME = 1e-6  # m, of a vertex on a plane
_LARGEST_SHARE = 0.45  # of the largest ball inside the part: a greater radius would leave no faces


@dataclass(frozen=True, eq=False)
class SmoothMesh:
    """Triangles with a unit normal per vertex: ``vertices`` and ``normals`` [V, 3], ``faces`` [F, 3] wound outward."""

    vertices: FloatArray
    normals: FloatArray
    faces: IntArray


def joined(meshes: Sequence[SmoothMesh]) -> SmoothMesh:
    """Several meshes as one."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    return SmoothMesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts[:-1], strict=True)]),
    )


def solid_planes(shape: Shape) -> FloatArray:
    """Faces of a box or convex shape in the link frame, rows (unit outward normal, offset [m]), shape [P, 4]."""
    turn = quaternion_to_matrix(shape.quaternion)
    if shape.type == GeometryType.BOX:
        own = np.column_stack([np.vstack([np.eye(3), -np.eye(3)]), np.tile(shape.size, 2)])
    else:
        own = shape.plane
    normal = own[:, :3] @ turn.T
    return np.column_stack([normal, own[:, 3] + normal @ shape.position])


def smooth_shape(
    shape: Shape, radius: float, others: Sequence[Shape] = (), *, inset: float = 0.0
) -> SmoothMesh:
    """A collision shape as one would make it.

    Args:
        shape: Capsules stay what they are; boxes and convex shapes get rounded edges.
        radius: Of the edges [m]; less where the part is thin.
        others: The link's other shapes; edges of faces that these cover stay sharp.
        inset: How far inside the shape the surface lies [m].
    """
    if shape.type == GeometryType.CAPSULE:
        return _capsule(shape)
    planes = solid_planes(shape) - np.array([0.0, 0.0, 0.0, inset])
    center, inside = _largest_ball(planes)
    radius = min(radius, _LARGEST_SHARE * inside)
    planes = _extended(planes, shape, others, radius)
    core = planes - np.array([0.0, 0.0, 0.0, radius])
    corners = HalfspaceIntersection(np.column_stack([core[:, :3], -core[:, 3]]), center).intersections
    corners = np.unique(np.round(corners, 8), axis=0)
    touching = np.abs(corners @ core[:, :3].T - core[:, 3]) < 10.0 * _SAME
    directions = _arcs(planes[:, :3], touching)
    vertices = np.concatenate(
        [corner + radius * own for corner, own in zip(corners, directions, strict=True)]
    )
    normals = np.concatenate(
        [_softened(own, planes[on, :3]) for own, on in zip(directions, touching, strict=True)]
    )
    vertices, first = np.unique(np.round(vertices, 6), axis=0, return_index=True)  # to the micrometre
    normals = normals[first]
    faces = _outward(vertices, ConvexHull(vertices).simplices)
    used, index = np.unique(faces, return_inverse=True)
    return SmoothMesh(vertices[used], normals[used], index.reshape(-1, 3).astype(np.int32))


def _largest_ball(planes: FloatArray) -> tuple[FloatArray, float]:
    """Centre and radius of the largest ball inside all planes."""
    system = np.column_stack([planes[:, :3], np.ones(len(planes))])
    found = linprog([0.0, 0.0, 0.0, -1.0], system, planes[:, 3], bounds=[(None, None)] * 3 + [(0.0, None)])
    if found.x is None or found.x[3] <= 0.0:
        raise ValueError(f"{len(planes)} planes enclose no volume; the part has no visible shape")
    return found.x[:3], float(found.x[3])


def _extended(planes: FloatArray, shape: Shape, others: Sequence[Shape], radius: float) -> FloatArray:
    """Planes of covered faces moved outward by the radius, so that their rounding lies inside the neighbour."""
    moved = planes.copy()
    for row, (normal, offset) in enumerate(zip(planes[:, :3], planes[:, 3], strict=True)):
        on = np.abs(shape.mesh.vertices @ normal - offset) < 20.0 * _SAME  # the inset is less
        if on.sum() < 3:
            continue
        points = shape.mesh.vertices[on]
        middle = points.mean(axis=0)
        probe = np.concatenate([middle + 0.85 * (points - middle), [middle]]) + 0.5 * radius * normal
        if len(others) and min_distance(others, probe).max() < 0.0:
            moved[row, 3] += radius
    return moved


def min_distance(shapes: Sequence[Shape], points: FloatArray) -> FloatArray:
    """Signed distance [m] where it is negative, elsewhere something positive, to the union of shapes, shape [N]."""
    return np.min([shape.inner_distance(points) for shape in shapes], axis=0)


def _arcs(normals: FloatArray, touching: NDArray[np.bool_]) -> list[FloatArray]:
    """Directions of a corner's ball that can lie on the surface: face normals, arcs of edges, a middle."""
    directions = []
    edges = touching.astype(int).T @ touching.astype(int) >= 2  # planes that share an edge of two corners
    for own in touching:
        index = np.flatnonzero(own)
        found = [normals[i] for i in index]
        for i, j in itertools.combinations(index, 2):
            if edges[i, j]:
                found += _between(normals[i], normals[j])
        middle = normals[index].mean(axis=0)
        if len(index) >= 3 and np.linalg.norm(middle) < math.cos(0.7 * _ARC):
            found.append(middle / np.linalg.norm(middle))
        directions.append(np.array(found))
    return directions


def _between(first: FloatArray, second: FloatArray) -> list[FloatArray]:
    angle = math.acos(float(np.clip(first @ second, -1.0, 1.0)))
    count = math.ceil(angle / _ARC)
    shares = np.arange(1, count) / max(count, 1)
    return [
        (math.sin((1.0 - s) * angle) * first + math.sin(s * angle) * second) / math.sin(angle) for s in shares
    ]


def _softened(directions: FloatArray, normals: FloatArray) -> FloatArray:
    """Normals for shading: the mean of the corner's faces that look nearly the same way as the surface there."""
    near = (directions @ normals.T > _SOFT).astype(float)
    mixed = directions + near @ normals
    return mixed / np.linalg.norm(mixed, axis=1, keepdims=True)


def _outward(vertices: FloatArray, faces: NDArray[np.integer]) -> NDArray[np.integer]:
    corner = vertices[faces]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    inward = np.einsum("fi,fi->f", normal, corner.mean(axis=1) - vertices.mean(axis=0)) < 0.0
    return np.where(inward[:, None], faces[:, ::-1], faces)


def _capsule(shape: Shape, *, sides: int = 20, rings: int = 5) -> SmoothMesh:
    radius, half = float(shape.size[0]), float(shape.size[1])
    tilt = np.linspace(0.0, 0.5 * math.pi, rings + 1)
    upper = [(radius * math.cos(a), half + radius * math.sin(a), math.cos(a), math.sin(a)) for a in tilt[:-1]]
    upper.append((0.0, half + radius, 0.0, 1.0))
    lower = [(r, -z, n, -m) for r, z, n, m in upper[::-1]]
    profile = lower[: None if half > 0.0 else -1] + upper
    return _placed(_turned(np.array(profile), sides), shape.position, quaternion_to_matrix(shape.quaternion))


def barrel(
    center: ArrayLike, axis: ArrayLike, radius: float, half_length: float, *, sides: int = 18
) -> SmoothMesh:
    """A joint seen from outside: a cylinder with bevelled rims and a pin in each end.

    Args:
        center: Middle [m], shape [3].
        axis: Direction, shape [3].
        radius: [m].
        half_length: [m].
        sides: Vertices around.
    """
    bevel = min(0.12 * radius, 0.2 * half_length)
    slope = math.sqrt(0.5)
    sink = half_length - bevel
    end = [  # (radius, height, normal's radial and axial part), outwards from the rim to the middle
        (radius, half_length - bevel, 1.0, 0.0),
        (radius, half_length - bevel, slope, slope),
        (radius - bevel, half_length, slope, slope),
        (radius - bevel, half_length, 0.0, 1.0),
        (0.5 * radius, half_length, 0.0, 1.0),
        (0.5 * radius, half_length, -slope, slope),
        (0.5 * radius - bevel, sink, -slope, slope),
        (0.5 * radius - bevel, sink, 0.0, 1.0),
        (0.0, sink, 0.0, 1.0),
    ]
    profile = [(r, -z, n, -m) for r, z, n, m in end[::-1]] + end
    unit = np.asarray(axis, dtype=np.float64) / np.linalg.norm(axis)
    helper = np.eye(3)[int(np.argmin(np.abs(unit)))]
    across = np.cross(unit, helper)
    across /= np.linalg.norm(across)
    turn = np.column_stack([across, np.cross(unit, across), unit])
    return _placed(_turned(np.array(profile), sides), np.asarray(center, dtype=np.float64), turn)


def _turned(profile: FloatArray, sides: int) -> SmoothMesh:
    """Solid of revolution about z: profile rows (radius, height, radial and axial part of the normal), south to north."""
    angle = 2.0 * math.pi * np.arange(sides) / sides
    around = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    vertices, normals = [], []
    for r, z, n, m in profile:
        vertices.append(np.column_stack([r * around, np.full(sides, z)]))
        normals.append(np.column_stack([n * around, np.full(sides, m)]))
    faces = []
    for level in range(len(profile) - 1):
        low, high = level * sides, (level + 1) * sides
        if np.allclose(profile[level, :2], profile[level + 1, :2]):
            continue  # the same circle with another normal: a sharp edge
        for k in range(sides):
            n = (k + 1) % sides
            if profile[level, 0] == 0.0:  # a pole is one vertex
                faces.append((low, high + n, high + k))
            elif profile[level + 1, 0] == 0.0:
                faces.append((low + k, low + n, high))
            else:
                faces += [(low + k, low + n, high + n), (low + k, high + n, high + k)]
    used, index = np.unique(np.array(faces), return_inverse=True)
    return SmoothMesh(
        np.concatenate(vertices)[used], np.concatenate(normals)[used], index.reshape(-1, 3).astype(np.int32)
    )


def _placed(mesh: SmoothMesh, position: FloatArray, turn: FloatArray) -> SmoothMesh:
    return SmoothMesh(position + mesh.vertices @ turn.T, mesh.normals @ turn.T, mesh.faces)


def cushion(patch: TriMesh, *, inset: float, height: float) -> SmoothMesh | None:
    """A pad on a surface: the patch drawn in at its border and raised, with a skirt that dips below the surface.

    Args:
        patch: Part of a link's surface.
        inset: How far inside the patch's border the pad begins [m].
        height: How far it stands above the surface [m].

    Returns:
        The pad; ``None`` where the patch is too small for one.
    """
    corner = patch.vertices[patch.faces]
    area = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    normal = np.zeros_like(patch.vertices)
    for column in range(3):
        np.add.at(normal, patch.faces[:, column], area)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    start, end = _border(patch.faces)
    if not len(start):
        return None
    inward = np.zeros_like(patch.vertices)
    along = patch.vertices[end] - patch.vertices[start]
    for index in (start, end):
        side = np.cross(normal[index], along)
        np.add.at(inward, index, side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-12))
    length = np.linalg.norm(inward, axis=1, keepdims=True)
    inward = inward / np.maximum(length, 1e-12) * (length > 1e-9)
    top = patch.vertices + inset * inward + height * normal
    moved = top[patch.faces]
    after = np.cross(moved[:, 1] - moved[:, 0], moved[:, 2] - moved[:, 0])
    if (np.einsum("fi,fi->f", after, area) <= 0.0).any():
        return None  # smaller than its own border
    foot = patch.vertices + 0.4 * inset * inward - height * normal
    number = len(top)
    skirt = [((a, b + number, b), (a, a + number, b + number)) for a, b in zip(start, end, strict=True)]
    faces = np.concatenate([patch.faces, np.array(skirt).reshape(-1, 3)]).astype(np.int32)
    rim = np.zeros(number, dtype=bool)
    rim[start] = True
    tilted = np.where(rim[:, None], 0.75 * normal - 0.66 * inward, normal)
    outer = 0.3 * normal - 0.95 * inward
    normals = np.concatenate([tilted, outer])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    vertices = np.concatenate([top, foot])
    used, renumbered = np.unique(faces, return_inverse=True)
    return SmoothMesh(vertices[used], normals[used], renumbered.reshape(-1, 3).astype(np.int32))


def _border(faces: IntArray) -> tuple[IntArray, IntArray]:
    """Directed edges that only one triangle has."""
    start, end = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)
    edges = set(zip(start.tolist(), end.tolist(), strict=True))
    free = [(a, b) for a, b in zip(start.tolist(), end.tolist(), strict=True) if (b, a) not in edges]
    pairs = np.array(free, dtype=np.int32).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]
