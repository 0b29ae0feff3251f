"""Cut a contact patch out of the surface of a link: the free faces that look in the patch's direction."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from warpgrasp.geometry.shapes import Shape, TriMesh
from warpgrasp.hands.authoring.description import PatchDescription

__all__ = ["free_faces", "patch_mesh"]

_LONGEST_EDGE = 9e-3  # m; faces are split until their edges are shorter, so that the cut follows the outline
_BURIED_TOLERANCE = 1e-5  # m
_DRAWN_IN = 0.02  # of the way to the middle of a vertex' triangles; tenths of a millimetre at most


def patch_mesh(patch: PatchDescription, shapes: list[Shape]) -> TriMesh:
    """Triangles of the link's surface selected by the patch description, in the link frame."""
    direction = np.asarray(patch.direction, dtype=np.float64)
    direction /= np.linalg.norm(direction)
    soup = free_faces(shapes)
    normal = np.cross(soup[:, 1] - soup[:, 0], soup[:, 2] - soup[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    center = soup.mean(axis=1)
    keep = normal @ direction >= math.cos(patch.angle)
    keep &= np.all((center >= patch.lower) & (center <= patch.upper), axis=1)
    soup = soup[keep]
    if len(soup) == 0:
        raise ValueError(
            f"patch '{patch.name}' selects no face of link '{patch.link}'; check direction and bounds"
        )
    # one vertex for corners that coincide to a micrometre
    rounded, index = np.unique(np.round(soup.reshape(-1, 3), 7), axis=0, return_inverse=True)
    return _manifold(rounded, index.reshape(-1, 3))


def free_faces(shapes: list[Shape]) -> NDArray[np.float64]:
    """Corners of the small triangles that make up the surface of a link, those inside another shape left out, [F, 3, 3]."""
    pieces = [np.zeros((0, 3, 3))]
    for number, shape in enumerate(shapes):
        corner = _split(shape.mesh.vertices[shape.mesh.faces])
        center = corner.mean(axis=1)
        keep = np.full(len(corner), True)
        for position, other in enumerate(shapes):
            if position != number:
                # where faces of two shapes lie in one plane, the first shape has them
                least = _BURIED_TOLERANCE if position < number else -_BURIED_TOLERANCE
                keep &= other.inner_distance(center) > least
        pieces.append(corner[keep])
    return np.concatenate(pieces)


def _manifold(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> TriMesh:
    """Give each fan of triangles its own vertex, drawn in a little, where several fans meet in a point or an edge."""
    start = faces.reshape(-1)
    end = np.roll(faces, -1, axis=1).reshape(-1)
    # corner 3 f + i of face f; its outgoing edge ends at corner 3 f + (i + 1) % 3
    corner = np.arange(faces.size)
    following = (corner // 3) * 3 + (corner + 1) % 3
    _, edge, count = np.unique(
        np.sort(np.stack([start, end], axis=1), axis=1), axis=0, return_inverse=True, return_counts=True
    )
    order = np.argsort(edge.reshape(-1), kind="stable")
    first = np.cumsum(count) - count
    one, other = order[first[count == 2]], order[first[count == 2] + 1]
    opposed = start[one] == end[other]
    one, other = one[opposed], other[opposed]
    rows = np.concatenate([one, following[one]])
    columns = np.concatenate([following[other], other])
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(faces.size, faces.size))
    _, fan = connected_components(graph, directed=False)
    _, representative, index = np.unique(fan, return_index=True, return_inverse=True)
    old = start[representative]
    number = np.bincount(index)[:, None]
    middle = np.zeros((len(old), 3))
    np.add.at(middle, index, vertices[faces].mean(axis=1)[corner // 3])
    shared = (np.bincount(old)[old] > 1)[:, None]
    points = np.where(shared, vertices[old] + _DRAWN_IN * (middle / number - vertices[old]), vertices[old])
    return TriMesh(points, index.reshape(-1, 3).astype(np.int32))


def _split(corner: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bisect the longest edge of every triangle [F, 3, 3] until none is longer than the limit."""
    done = []
    while len(corner):
        edge = np.linalg.norm(np.roll(corner, -1, axis=1) - corner, axis=2)
        longest = np.argmax(edge, axis=1)
        short = edge.max(axis=1) <= _LONGEST_EDGE
        done.append(corner[short])
        corner, longest = corner[~short], longest[~short]
        rows = np.arange(len(corner))
        a, b, c = corner[rows, longest], corner[rows, (longest + 1) % 3], corner[rows, (longest + 2) % 3]
        middle = 0.5 * (a + b)
        corner = np.concatenate([np.stack([a, middle, c], axis=1), np.stack([middle, b, c], axis=1)])
    return np.concatenate(done)
