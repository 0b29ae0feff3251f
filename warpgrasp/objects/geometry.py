"""Pure geometry of triangle meshes: mass, pseudo normals, surface samples.

Conventions: ``vertices`` are float64 [V, 3] in metres, ``faces`` are integers [F, 3], counter-clockwise seen from
outside. The edges of a face are numbered by the opposite vertex: edge 0 is (1, 2), edge 1 is (2, 0), edge 2 is (0, 1).
Everything is a vectorised NumPy function of its arguments; nothing here repairs or refuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MassProperties",
    "corner_normals",
    "face_areas",
    "farthest_point_indices",
    "feature_normals",
    "half_edges",
    "mass_properties",
    "sample_surface",
    "signed_volumes",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.integer[Any]]


def half_edges(faces: Ints) -> NDArray[np.int64]:
    """Directed edges of every face, edge ``e`` opposite vertex ``e``, shape [F, 3, 2]."""
    return np.asarray(faces, np.int64)[:, [[1, 2], [2, 0], [0, 1]]]


def area_vectors(vertices: Floats, faces: Ints) -> Floats:
    """Outward normal times twice the area of every face [m^2], shape [F, 3]."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return np.cross(b - a, c - a)


def face_areas(vertices: Floats, faces: Ints) -> Floats:
    """Area of every face [m^2], shape [F]."""
    return 0.5 * np.linalg.norm(area_vectors(vertices, faces), axis=1)


def signed_volumes(vertices: Floats, faces: Ints, origin: Floats) -> Floats:
    """Signed volume of the tetrahedron between ``origin`` and every face [m^3], shape [F]."""
    a, b, c = (vertices[faces[:, corner]] - origin for corner in range(3))
    return np.einsum("fi,fi->f", a, np.cross(b, c)) / 6.0


@dataclass(frozen=True)
class MassProperties:
    """Mass properties of a solid of density 1 kg/m^3.

    Attributes:
        volume: Volume [m^3].
        center_of_mass: Centre of mass [m], shape [3].
        inertia: Inertia about the centre of mass, axes of the mesh frame [kg m^2 at 1 kg/m^3], shape [3, 3].
    """

    volume: float
    center_of_mass: Floats
    inertia: Floats


def mass_properties(vertices: Floats, faces: Ints) -> MassProperties:
    """Exact volume integrals over a closed, outward oriented mesh (sum of signed tetrahedra).

    Overlapping bodies count twice; a hole costs about its cap's cone to the mesh's centre.
    """
    center = vertices[np.unique(faces)].mean(axis=0)
    volumes = signed_volumes(vertices, faces, center)
    volume = float(volumes.sum())
    corners = vertices[faces] - center
    corner_sum = corners.sum(axis=1)
    shift = volumes @ corner_sum / (4.0 * volume)
    # Second moment of a tetrahedron with one corner at the origin: V/20 (sum_i v_i v_i^T + S S^T), S = sum_i v_i.
    moment = np.einsum("f,fki,fkj->ij", volumes, corners, corners)
    moment = (moment + np.einsum("f,fi,fj->ij", volumes, corner_sum, corner_sum)) / 20.0
    moment -= volume * np.outer(shift, shift)
    inertia = np.trace(moment) * np.eye(3) - moment
    return MassProperties(volume, center + shift, inertia)


def _unit(vectors: Floats, fallback: Floats) -> Floats:
    """Unit vectors along the last axis; where the length vanishes, ``fallback`` (broadcast)."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    defined = length > 1.0e-12
    return np.where(defined, vectors / np.where(defined, length, 1.0), fallback)


def _scatter(index: Ints, values: Floats, count: int) -> Floats:
    """Sum of the rows of ``values`` [N, 3] over equal ``index`` [N], shape [count, 3]."""
    return np.stack([np.bincount(index, values[:, axis], minlength=count) for axis in range(3)], axis=1)


def feature_normals(vertices: Floats, faces: Ints) -> NDArray[np.float32]:
    """Angle-weighted pseudo normals of every face's features (Baerentzen and Aanaes 2005).

    For a watertight mesh the sign of ``dot(n, p - c)`` is the exact inside test, where ``c`` is the mesh point closest
    to ``p`` and ``n`` the pseudo normal of the feature (face, edge or vertex) on which ``c`` lies.

    Args:
        vertices: Vertices [m], shape [V, 3].
        faces: Vertex indices, shape [F, 3].

    Returns:
        Unit normals, shape [F, 7, 3]: the face's; its edges' (1, 2), (2, 0), (0, 1); its vertices' 0, 1, 2.
    """
    vertices = np.asarray(vertices, np.float64)
    faces = np.asarray(faces)
    normals = _unit(area_vectors(vertices, faces), np.zeros(3))

    edges = np.sort(half_edges(faces).reshape(-1, 2), axis=1)
    _, edge_index = np.unique(edges[:, 0] * len(vertices) + edges[:, 1], return_inverse=True)
    edge_index = edge_index.reshape(-1)
    edge_sum = _scatter(edge_index, np.repeat(normals, 3, axis=0), int(edge_index.max()) + 1)[edge_index]
    edge_sum = edge_sum.reshape(-1, 3, 3)
    # A face without area has no normal of its own: it takes its neighbours'.
    degenerate = ~normals.any(axis=1)
    normals[degenerate] = _unit(edge_sum[degenerate].sum(axis=1), np.array([0.0, 0.0, 1.0]))

    angle = _corner_angles(vertices[faces])
    angle[degenerate] = 0.0
    weighted = (angle[:, :, None] * normals[:, None, :]).reshape(-1, 3)
    vertex_sum = _scatter(faces.reshape(-1), weighted, len(vertices))[faces]

    own = normals[:, None, :]
    return np.concatenate([own, _unit(edge_sum, own), _unit(vertex_sum, own)], axis=1).astype(np.float32)


def _corner_angles(corners: Floats) -> Floats:
    """Angle [rad] at every corner of triangles [F, 3, 3], shape [F, 3]."""
    to_next = _unit(np.roll(corners, -1, axis=1) - corners, np.zeros(3))
    to_previous = _unit(np.roll(corners, 1, axis=1) - corners, np.zeros(3))
    # atan2 keeps its accuracy for the needle-thin angles of scanned meshes, where arccos loses half the digits.
    sine = np.linalg.norm(np.cross(to_next, to_previous), axis=2)
    angle: Floats = np.arctan2(sine, np.einsum("fki,fki->fk", to_next, to_previous))
    return angle


def corner_normals(vertices: Floats, faces: Ints, *, crease: float = np.pi / 4.0) -> Floats:
    """Normals to draw a mesh with: smooth where it is smooth, creases kept.

    The faces around a vertex fall into groups, separated by edges at which the surface bends by more than ``crease``
    [rad] or which do not join two faces. A corner gets the angle-weighted mean normal of its group.

    Args:
        vertices: [m], shape [V, 3].
        faces: Vertex indices, shape [F, 3].
        crease: Angle between the normals of two faces from which their edge is sharp [rad].

    Returns:
        Unit normals, shape [F, 3, 3]: of every face's three corners.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    vertices, faces = np.asarray(vertices, np.float64), np.asarray(faces, np.int64)
    normal = feature_normals(vertices, faces)[:, 0].astype(np.float64)
    corner = np.arange(faces.size).reshape(-1, 3)
    start, end = corner.reshape(-1), np.roll(corner, -1, axis=1).reshape(-1)  # corners of every half edge
    vertex = faces.reshape(-1)
    edge = np.sort(np.stack([vertex[start], vertex[end]], axis=1), axis=1)
    _, index, count = np.unique(
        edge[:, 0] * len(vertices) + edge[:, 1], return_inverse=True, return_counts=True
    )
    order = np.argsort(index.reshape(-1), kind="stable")
    order = order[count[index.reshape(-1)[order]] == 2].reshape(-1, 2)
    one, two = order[:, 0], order[:, 1]
    smooth = np.einsum("ei,ei->e", normal[one // 3], normal[two // 3]) >= np.cos(crease)
    smooth &= vertex[start[one]] == vertex[end[two]]  # else the faces are wound against each other
    one, two = one[smooth], two[smooth]
    links = np.concatenate([[start[one], end[two]], [end[one], start[two]]], axis=1)
    graph = coo_array(
        (np.ones(links.shape[1], np.int8), (links[0], links[1])), shape=(faces.size, faces.size)
    )
    group_count, group = connected_components(graph, directed=False)
    weighted = _corner_angles(vertices[faces])[:, :, None] * normal[:, None, :]
    mean = _scatter(group, weighted.reshape(-1, 3), group_count)[group].reshape(-1, 3, 3)
    return _unit(mean, normal[:, None, :])


def sample_surface(
    vertices: Floats, faces: Ints, *, count: int, random: np.random.Generator
) -> tuple[Floats, NDArray[np.int64]]:
    """Area-weighted random points on the surface, one per equal share of the area (stratified).

    Returns:
        Points [m], shape [count, 3], and the face of each, shape [count].
    """
    cumulative = np.cumsum(face_areas(vertices, faces))
    share = (np.arange(count) + random.random(count)) / count * cumulative[-1]
    face = np.minimum(np.searchsorted(cumulative, share, side="right"), len(faces) - 1)
    u, v = random.random((2, count, 1))
    root = np.sqrt(u)
    a, b, c = (vertices[faces[face, corner]] for corner in range(3))
    return (1.0 - root) * a + root * (1.0 - v) * b + root * v * c, face


def farthest_point_indices(points: Floats, count: int) -> NDArray[np.int64]:
    """Indices of ``count`` points, each the farthest from those before it; starts farthest from the mean.

    The distances are float32 and stored per axis, which is four times faster and decides nothing but near ties.

    Args:
        points: Candidates [m], shape [N, 3], N >= count.
        count: Number of points to keep.

    Returns:
        Indices into ``points`` in the order of selection, shape [count].
    """
    if not 1 <= count <= len(points):
        raise ValueError(f"count must be in [1, {len(points)}], the number of points (got {count})")
    x, y, z = np.ascontiguousarray((points - points.mean(axis=0)).T, dtype=np.float32)
    selected = np.empty(count, np.int64)
    nearest = np.full(len(points), np.inf, np.float32)
    distance, delta = np.empty_like(nearest), np.empty_like(nearest)
    index = int(np.argmax(x * x + y * y + z * z))
    for step in range(count):
        selected[step] = index
        np.subtract(x, x[index], out=distance)
        np.multiply(distance, distance, out=distance)
        for axis in (y, z):
            np.subtract(axis, axis[index], out=delta)
            np.multiply(delta, delta, out=delta)
            np.add(distance, delta, out=distance)
        np.minimum(nearest, distance, out=nearest)
        index = int(np.argmax(nearest))
    return selected
