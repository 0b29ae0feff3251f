"""Convex collision pieces from the meshes of a link: one simplified hull each, several where one hull is far off."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError, cKDTree

from warpgrasp.base.extras import install_extra
from warpgrasp.geometry.shapes import GeometryType, Shape, TriMesh, convex_shape
from warpgrasp.hands.convert.decompose import decompose_all
from warpgrasp.hands.convert.source import SourceGeometry, SourceHand

__all__ = ["GEOMETRY_LIMIT", "PieceReport", "convex_pieces", "simplified_hull", "simplified_mesh"]

FloatArray = NDArray[np.float64]

GEOMETRY_LIMIT = 64
"""Collision geometries of one hand: the kernels keep one bit of a 64-bit mask for each."""

_VERTEX_LIMIT = 64  # per hull; PhysX on the GPU takes no more
_HULL_TOLERANCE = 1e-4  # m; how far a simplified hull may stay inside the exact one
_HOLLOW_TOLERANCE = 4e-3  # m; a hull whose surface is farther than this from the mesh (95 % of it) is split
_PIECES_PER_MESH = 8
_CELL = 5e-4  # m; details finer than this do not matter to a decomposition within _HOLLOW_TOLERANCE
_MOST_FACES = 6000  # of a mesh that is decomposed
_THINNEST = 1e-4  # m; a flat mesh gets at least this thickness


@dataclass(frozen=True)
class PieceReport:
    """How a link's geometry became convex: pieces, and how far (95 % of the surface, m) they stand off the mesh."""

    link: str
    pieces: int
    gap: float
    split: bool


def convex_pieces(
    hand: SourceHand, progress: Callable[[str], None] = lambda _: None
) -> tuple[dict[str, list[Shape]], list[PieceReport], list[str]]:
    """Collision shapes of every link, at most :data:`GEOMETRY_LIMIT` in all.

    Args:
        hand: Links with their surfaces.
        progress: Called with what is done next.

    Returns:
        Shapes by link name, one report line per link with geometry, and notes.
    """
    notes: list[str] = []
    pieces: dict[str, list[Shape]] = {}
    gaps: dict[str, float] = {}
    hollow: list[tuple[float, str, int, TriMesh]] = []
    for link in hand.links:
        pieces[link.name] = []
        gaps[link.name] = 0.0
        for geometry in link.geometry:
            shape, gap = _one_piece(geometry, link.name)
            gaps[link.name] = max(gaps[link.name], gap)
            if gap > _HOLLOW_TOLERANCE:
                hollow.append((gap, link.name, len(pieces[link.name]), geometry.mesh))
            pieces[link.name].append(shape)
    total = sum(len(shapes) for shapes in pieces.values())
    if total > GEOMETRY_LIMIT:
        notes.append(
            f"The file has {total} collision geometries; the closest neighbours of a link were joined to {GEOMETRY_LIMIT}."
        )
        _join(pieces, GEOMETRY_LIMIT)
        hollow = []
    split = _split_hollow(pieces, gaps, hollow, GEOMETRY_LIMIT - total, notes, progress)
    reports = [
        PieceReport(name, len(shapes), gaps[name], name in split) for name, shapes in pieces.items() if shapes
    ]
    return pieces, reports, notes


def _one_piece(geometry: SourceGeometry, link: str) -> tuple[Shape, float]:
    if geometry.shape is not None:
        return geometry.shape, 0.0
    try:
        points = simplified_hull(geometry.mesh.vertices)
    except ValueError as error:
        raise ValueError(f"geometry {geometry.name} of link '{link}': {error}") from error
    shape = convex_shape(points)
    return shape, _standoff([shape], geometry.mesh)


def _split_hollow(
    pieces: dict[str, list[Shape]],
    gaps: dict[str, float],
    hollow: list[tuple[float, str, int, TriMesh]],
    spare: int,
    notes: list[str],
    progress: Callable[[str], None],
) -> set[str]:
    """Decompose the meshes whose hull is far off, the worst first, while the budget lasts."""
    split: set[str] = set()
    if not hollow:
        return split
    if importlib.util.find_spec("coacd") is None:
        notes.append(
            f"Link '{hollow[0][1]}' and {len(hollow) - 1} others are not convex and stand as one hull each; "
            f"for a closer fit {install_extra('sim')} and convert again."
        )
        return split
    keys = [_mesh_key(mesh) for *_, mesh in hollow]
    jobs = {}
    for key, (*_, mesh) in zip(keys, hollow, strict=True):
        # a phalanx mesh that four fingers share must leave budget for all four
        limit = max(1 + spare // len(hollow), 1 + spare // (2 * keys.count(key)))
        jobs[key] = simplified_mesh(mesh), _threshold(mesh), min(limit, _PIECES_PER_MESH)
    done = decompose_all(jobs, progress)
    replaced: dict[tuple[str, int], list[Shape]] = {}
    for _, link, index, mesh in sorted(hollow, key=lambda item: -item[0]):
        found = done.get(_mesh_key(mesh))
        if found is None:
            notes.append(
                f"A mesh of link '{link}' cannot be split into convex pieces in reasonable time; its hull stands for it."
            )
            continue
        shapes = [convex_shape(simplified_hull(points)) for points in found]
        if len(shapes) < 2 or len(shapes) - 1 > spare:
            continue
        spare -= len(shapes) - 1
        replaced[link, index] = shapes
        gaps[link] = _standoff(shapes, mesh)
        split.add(link)
    for link, shapes in pieces.items():
        parts = [replaced.get((link, index), [shape]) for index, shape in enumerate(shapes)]
        pieces[link] = [shape for part in parts for shape in part]
    return split


def _mesh_key(mesh: TriMesh) -> str:
    """The same for a mesh and its moved copies: the distances of its vertices from their mean."""
    spread = np.linalg.norm(mesh.vertices - mesh.vertices.mean(axis=0), axis=1)
    return hashlib.sha256(np.round(spread, 7).tobytes() + mesh.vertices.tobytes()).hexdigest()


def simplified_mesh(mesh: TriMesh, cell: float = _CELL, faces: int = _MOST_FACES) -> TriMesh:
    """The mesh with the vertices of each cell of a grid drawn together, coarser until few faces are left.

    A vertex moves by less than a cell's diagonal. Meshes that are small already stay as they are.
    """
    vertices, triangles = mesh.vertices, mesh.faces
    while len(triangles) > faces:
        keys = np.floor(mesh.vertices / cell).astype(np.int64)
        _, index = np.unique(keys, axis=0, return_inverse=True)
        index = index.reshape(-1)
        number = np.bincount(index)
        sums = [np.bincount(index, weights=mesh.vertices[:, axis]) for axis in range(3)]
        vertices = np.stack(sums, axis=1) / number[:, None]
        moved = index[mesh.faces]
        kept = (moved[:, 0] != moved[:, 1]) & (moved[:, 1] != moved[:, 2]) & (moved[:, 2] != moved[:, 0])
        moved = moved[kept]
        _, first = np.unique(np.sort(moved, axis=1), axis=0, return_index=True)
        triangles = moved[np.sort(first)].astype(np.int32)
        cell *= 1.4
    return TriMesh(vertices, triangles)


def _threshold(mesh: TriMesh) -> float:
    """CoACD's concavity threshold, which is relative to half the mesh' size."""
    half = 0.5 * float(np.ptp(mesh.vertices, axis=0).max())
    return float(np.clip(0.5 * _HOLLOW_TOLERANCE / half, 0.02, 0.4))


def _standoff(shapes: list[Shape], mesh: TriMesh) -> float:
    """Distance [m] within which 95 % of the pieces' outer surface lies from the mesh's surface."""
    pieces = [trimesh.Trimesh(s.mesh.vertices, s.mesh.faces, process=False) for s in shapes]
    points = np.concatenate([trimesh.sample.sample_surface(piece, 600, seed=0)[0] for piece in pieces])
    if len(shapes) > 1:
        depth = np.stack([_plane_depth(shape, points) for shape in shapes])
        points = points[np.sort(depth, axis=0)[1] <= 0.0]  # inside no piece but its own
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    cloud = np.concatenate([trimesh.sample.sample_surface(solid, 20000, seed=1)[0], mesh.vertices])
    return float(np.percentile(cKDTree(cloud).query(points)[0], 95)) if len(points) else 0.0


def _plane_depth(shape: Shape, points: FloatArray) -> FloatArray:
    """Positive inside; sorted descending the second largest tells whether a point of one piece is inside another."""
    if shape.type != GeometryType.CONVEX:
        return np.asarray(-shape.signed_distance(points) - 1e-5)
    height = (points - shape.position) @ shape.plane[:, :3].T - shape.plane[:, 3]
    return np.asarray(-height.max(axis=1) - 1e-5)


def _join(pieces: dict[str, list[Shape]], limit: int) -> None:
    """Join the two neighbours of a link whose common hull adds the least volume, until the limit is kept."""
    cost: dict[tuple[str, int, int], tuple[float, Shape]] = {}

    def price(link: str) -> None:
        for key in [key for key in cost if key[0] == link]:
            del cost[key]
        shapes = pieces[link]
        for a in range(len(shapes)):
            for b in range(a + 1, len(shapes)):
                both = np.concatenate([shapes[a].mesh.vertices, shapes[b].mesh.vertices])
                joined = convex_shape(simplified_hull(both))
                cost[link, a, b] = (joined.volume - shapes[a].volume - shapes[b].volume, joined)

    for link in pieces:
        price(link)
    while sum(len(shapes) for shapes in pieces.values()) > limit and cost:
        (link, a, b), (_, joined) = min(cost.items(), key=lambda item: item[1][0])
        pieces[link] = [s for i, s in enumerate(pieces[link]) if i not in (a, b)] + [joined]
        price(link)


def simplified_hull(points: FloatArray) -> FloatArray:
    """Hull vertices, few: the farthest is added until the rest lie within 0.1 mm or there are 64.

    The result is blown up to the exact hull's volume, so that it is neither too small nor too large on average: a
    tenth of a millimetre counts where penetrations are as small. A cloud in one plane is given a small thickness.

    Raises:
        ValueError: Fewer than three distinct points.
    """
    cloud = np.unique(np.round(points, 9), axis=0)
    if len(cloud) < 3:
        raise ValueError(f"has only {len(cloud)} distinct points; export the mesh again")
    cloud = _thickened(cloud)
    exact = cloud[ConvexHull(cloud).vertices]
    if len(exact) <= 12:
        return exact
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    picked = list(dict.fromkeys(int(i) for i in np.argmax(axes @ exact.T, axis=1)))
    for extra in range(len(exact)):
        if len(picked) >= 5:
            break
        if extra not in picked:
            picked.append(extra)
    while len(picked) < min(_VERTEX_LIMIT, len(exact)):
        try:
            plane = ConvexHull(exact[picked]).equations
        except QhullError:  # the start is flat: take the point farthest from its mean
            away = np.linalg.norm(exact - exact[picked].mean(axis=0), axis=1)
            away[picked] = -1.0
            picked.append(int(np.argmax(away)))
            continue
        outside = (exact @ plane[:, :3].T + plane[:, 3]).max(axis=1)
        farthest = int(np.argmax(outside))
        if outside[farthest] < _HULL_TOLERANCE or farthest in picked:
            break
        picked.append(farthest)
    few = exact[sorted(picked)]
    center = few.mean(axis=0)
    return center + (ConvexHull(exact).volume / ConvexHull(few).volume) ** (1.0 / 3.0) * (few - center)


def _thickened(cloud: FloatArray) -> FloatArray:
    center = cloud.mean(axis=0)
    _, size, axes = np.linalg.svd(cloud - center, full_matrices=False)
    thickness = np.ptp((cloud - center) @ axes[2])
    if thickness >= _THINNEST:
        return cloud
    if size[1] < 1e-9:
        raise ValueError("is a line; a solid needs extent in three directions")
    offset = 0.5 * _THINNEST * axes[2]
    return np.concatenate([cloud + offset, cloud - offset])
