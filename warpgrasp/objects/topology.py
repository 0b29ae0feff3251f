"""Connectivity of triangle meshes: defects, boundary loops, components, and edits that keep a closed surface closed.

A surface is *closed* where every edge is run through equally often in both directions; it is *watertight* where that is
once each. Merging vertices maps closed surfaces to closed surfaces, and so does cancelling a face with its mirror image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from warpgrasp.objects.geometry import Floats, face_areas, half_edges

__all__ = [
    "boundary_loops",
    "closed_bodies",
    "compact",
    "components",
    "count_defects",
    "drop_degenerate",
    "flip_flat_faces",
    "hole_caps",
    "separate_sheets",
    "turned_faces",
]

Faces = NDArray[np.int64]


def components(count: int, left: NDArray[Any], right: NDArray[Any]) -> NDArray[np.int64]:
    """Component of each of ``count`` nodes linked by pairs, numbered from 0 in order of their first node."""
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _edge_keys(faces: Faces) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Undirected edge number of every half edge [3F], and whether it runs from the lower to the higher vertex."""
    directed = half_edges(faces).reshape(-1, 2)
    key = directed.min(axis=1) * (int(faces.max()) + 1) + directed.max(axis=1)
    edge = np.unique(key, return_inverse=True)[1].reshape(-1)
    return np.asarray(edge, np.int64), directed[:, 0] < directed[:, 1]


def count_defects(faces: Faces) -> tuple[int, int, int]:
    """Number of edges that are open, of edges that do not join exactly two faces wound alike, and of edges."""
    edge, forward = _edge_keys(faces)
    along, against = np.bincount(edge, forward), np.bincount(edge, ~forward)
    return int(np.sum(along != against)), int(np.sum((along != 1) | (against != 1))), len(along)


def _closed_patches(faces: Faces, patch: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each patch is a closed surface of its own, shape [patch count]."""
    edge, forward = _edge_keys(faces)
    count = int(patch.max()) + 1
    group, index = np.unique(edge * count + np.repeat(patch, 3), return_inverse=True)
    unbalanced = np.bincount(index.reshape(-1), np.where(forward, 1.0, -1.0)) != 0.0
    closed = np.ones(count, bool)
    closed[group[unbalanced] % count] = False
    return closed


def turned_faces(faces: Faces) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64]]:
    """Find the fewest faces to turn so that neighbours are wound alike.

    Works on the double cover: every face appears with both orientations, linked where neighbours (the two faces of an
    edge) agree. The patch of an orientable surface is then two components, one per side, that of a one-sided surface one.

    Returns:
        Per face: whether to turn it, whether it belongs to a one-sided patch, and its patch.
    """
    count = len(faces)
    edge, forward = _edge_keys(faces)
    order = np.argsort(edge, kind="stable")
    sharing = np.bincount(edge)
    start = np.cumsum(sharing) - sharing
    first, second = order[start[sharing == 2]], order[start[sharing == 2] + 1]
    disagree = count * (forward[first] == forward[second])
    left, right = first // 3, second // 3
    label = components(
        2 * count,
        np.concatenate([left, left + count]),
        np.concatenate([right + disagree, right + count - disagree]),
    )
    front, back = label[:count], label[count:]
    patch = np.unique(np.minimum(front, back), return_inverse=True)[1].reshape(-1)
    turn = front > back
    mostly = np.bincount(patch, turn) > 0.5 * np.bincount(patch)
    return turn ^ mostly[patch], front == back, np.asarray(patch, np.int64)


def closed_bodies(faces: Faces) -> NDArray[np.int64]:
    """Body of every face: a patch that is closed by itself, or faces of the rest that share an edge, shape [F]."""
    patch = turned_faces(faces)[2]
    label = np.repeat(np.where(_closed_patches(faces, patch)[patch], patch, -1), 3)
    edge, _ = _edge_keys(faces)
    order = np.lexsort((label, edge))
    linked = (edge[order[1:]] == edge[order[:-1]]) & (label[order[1:]] == label[order[:-1]])
    return components(len(faces), order[1:][linked] // 3, order[:-1][linked] // 3)


def compact(vertices: Floats, faces: Faces) -> tuple[Floats, Faces]:
    """Drop unused vertices, keeping their order."""
    used, index = np.unique(faces, return_inverse=True)
    return vertices[used], np.asarray(index.reshape(-1, 3), np.int64)


def drop_degenerate(faces: Faces) -> Faces:
    """Drop faces with a repeated vertex and all but one of equal faces; a face and its mirror image cancel.

    Where nearly every face has its mirror image the file was exported double-sided, and one of each is kept.
    """
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    if len(faces) == 0:
        return faces
    ordered = np.sort(faces, axis=1)
    size = int(faces.max()) + 1
    # In two steps, since the cube of some million vertices does not fit 63 bits.
    pair = np.unique(ordered[:, 0] * size + ordered[:, 1], return_inverse=True)[1].reshape(-1)
    values, group = np.unique(pair * size + ordered[:, 2], return_inverse=True)
    group = group.reshape(-1)
    if len(values) == len(faces):
        return faces
    a, b, c = faces.T
    side = np.where((a < b).astype(int) + (b < c) + (c < a) == 2, 1.0, -1.0)
    balance = np.bincount(group, side)[group]
    double_sided = np.mean(balance == 0.0) > 0.95
    candidates = np.flatnonzero((balance * side > 0.0) | ((balance == 0.0) & double_sided))
    _, first = np.unique(group[candidates], return_index=True)
    return faces[np.sort(candidates[first])]


def flip_flat_faces(vertices: Floats, faces: Faces, *, height: float) -> tuple[Faces, int]:
    """Remove faces thinner than ``height`` [m] whose third vertex lies on their longest edge, by flipping that edge.

    Such faces have no normal; merely dropping them would open the surface.

    Returns:
        The faces, and how many were flipped.
    """
    faces, flipped = faces.copy(), 0
    for _ in range(8):  # a flip can leave another flat face, rarely more than twice
        corners = vertices[faces]
        length = np.linalg.norm(np.roll(corners, -1, axis=1) - np.roll(corners, -2, axis=1), axis=2)
        flat = np.flatnonzero(2.0 * face_areas(vertices, faces) < height * length.max(axis=1))
        if len(flat) == 0:
            break
        size = int(faces.max()) + 1
        directed = half_edges(faces).reshape(-1, 2)
        key = directed[:, 0] * size + directed[:, 1]
        order = np.argsort(key)
        touched: set[int] = set()
        before = flipped
        for face in flat.tolist():
            edge = int(length[face].argmax())
            start, end = (int(v) for v in directed[3 * face + edge])
            position = int(np.searchsorted(key, end * size + start, sorter=order))
            if position == len(key) or key[order[position]] != end * size + start:
                continue
            half = int(order[position])
            apex, opposite, neighbour = int(faces[face, edge]), int(faces[half // 3, half % 3]), half // 3
            pair = np.array([apex * size + opposite, opposite * size + apex])
            if touched & {face, neighbour} or apex == opposite or np.isin(pair, key).any():
                continue
            faces[face], faces[neighbour] = (apex, start, opposite), (apex, opposite, end)
            touched |= {face, neighbour}
            flipped += 1
        if flipped == before:
            break
    return faces, flipped


def separate_sheets(vertices: Floats, faces: Faces) -> tuple[Floats, Faces, int]:
    """Take edges of more than two faces apart: around each, the two faces that enclose solid stay together.

    Vertices on such edges are repeated, once per sheet. What finds no partner becomes an open edge.

    Args:
        vertices: Shape [V, 3].
        faces: Wound alike and outward, shape [F, 3].

    Returns:
        The vertices, the faces, and how many edges were taken apart.
    """
    edge, forward = _edge_keys(faces)
    order = np.argsort(edge, kind="stable")
    sharing = np.bincount(edge)
    start = np.cumsum(sharing) - sharing
    plain = start[sharing == 2]
    crowded = np.flatnonzero(sharing > 2)
    if len(crowded) == 0:
        return vertices, faces, 0
    pairs = [np.stack([order[plain], order[plain + 1]], axis=1)]
    for halves in (order[start[index] : start[index] + sharing[index]] for index in crowded):
        pairs.append(_enclosing_pairs(vertices, faces, halves, forward[halves]))
    left, right = np.concatenate(pairs).T
    # Half edge 3 f + e of face f runs from corner e + 1 to corner e + 2; partners run against each other.
    corner = [[3 * (half // 3) + (half % 3 + step) % 3 for step in (1, 2)] for half in (left, right)]
    agree = forward[left] != forward[right]
    first = np.where(agree, corner[1][1], corner[1][0])
    second = np.where(agree, corner[1][0], corner[1][1])
    label = components(
        3 * len(faces), np.concatenate([corner[0][0], corner[0][1]]), np.concatenate([first, second])
    )
    representative = np.unique(label, return_index=True)[1]
    return vertices[faces.reshape(-1)[representative]], label.reshape(-1, 3), len(crowded)


def _enclosing_pairs(
    vertices: Floats, faces: Faces, halves: NDArray[np.int64], forward: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Pairs of the half edges of one edge that bound a wedge of solid, shape [pairs, 2]."""
    corners = vertices[faces[halves // 3]]
    rows = np.arange(len(halves))
    apex, begin, end = (corners[rows, (halves % 3 + step) % 3] for step in range(3))
    low, high = (begin[0], end[0]) if forward[0] else (end[0], begin[0])
    axis = (high - low) / max(float(np.linalg.norm(high - low)), 1.0e-12)
    side = apex - low
    across = side[0] - (side[0] @ axis) * axis
    angle = np.arctan2(side @ np.cross(axis, across), side @ across)
    # A face that runs backward along the edge has the solid at larger angles, up to a face that runs forward.
    pairs, opened = [], []
    turn = np.argsort(angle, kind="stable")
    for half, closes in list(zip(halves[turn], forward[turn], strict=True)) * 2:
        if not closes and half not in opened:
            opened.append(half)
        elif closes and opened:
            pairs.append((opened.pop(), half))
    taken: set[int] = set()
    kept = []
    for opening, closing in pairs:
        if opening not in taken and closing not in taken:
            kept.append((opening, closing))
            taken |= {opening, closing}
    return np.array(kept, np.int64).reshape(-1, 2)


def boundary_loops(faces: Faces) -> list[NDArray[np.int64]]:
    """Loops of the open boundary, each in the order in which the edges of a cap run along it."""
    directed = half_edges(faces).reshape(-1, 2)
    edge, forward = _edge_keys(faces)
    surplus = np.bincount(edge, np.where(forward, 1.0, -1.0)).astype(int)
    # Of a crowded edge only as many half edges are open as run one way without a partner.
    candidates = np.flatnonzero(surplus[edge] * np.where(forward, 1, -1) > 0)
    candidates = candidates[np.argsort(edge[candidates], kind="stable")]
    first = np.searchsorted(edge[candidates], edge[candidates])
    is_open = np.arange(len(candidates)) - first < np.abs(surplus[edge[candidates]])
    following: dict[int, list[int]] = {}
    for start, end in directed[candidates[is_open]].tolist():
        following.setdefault(end, []).append(start)
    loops = []
    while following:
        begin = vertex = next(iter(following))
        walk = []
        while vertex in following:
            walk.append(vertex)
            targets = following[vertex]
            vertex = targets.pop()
            if not targets:
                del following[walk[-1]]
            if vertex == begin:
                break
        if vertex == begin and len(walk) >= 3:
            loops.append(np.array(walk, np.int64))
    return loops


def hole_caps(vertices: Floats, faces: Faces) -> tuple[Floats, list[Faces]]:
    """A cap for every boundary loop: a fan around the loop's centre, a single face for a triangle.

    Returns:
        The vertices with the centres appended, and the faces of each cap.
    """
    caps: list[Faces] = []
    centers: list[Floats] = []
    for loop in boundary_loops(faces):
        if len(loop) == 3:
            caps.append(loop[None])
            continue
        center = len(vertices) + len(centers)
        centers.append(vertices[loop].mean(axis=0))
        caps.append(np.stack([loop, np.roll(loop, -1), np.full(len(loop), center)], axis=1))
    return np.concatenate([vertices, np.array(centers).reshape(-1, 3)]), caps
