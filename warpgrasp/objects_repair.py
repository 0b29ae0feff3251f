"""Mend a triangle soup into an outward oriented solid, or refuse it; every change is one sentence.

The order is: reduce, merge, orient, drop fragments, fill holes, turn outward, unite bodies, choose how to tell inside
from outside. What the thresholds mean is said beside them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from warpgrasp.objects_bodies import body_groups, contains, solid_mass_properties, union
from warpgrasp.objects_error import ObjectError
from warpgrasp.objects_geometry import MassProperties, face_areas, half_edges, mass_properties, signed_volumes

__all__ = ["SignMethod", "Solid", "mend"]

FACE_LIMIT = 200_000
"""Faces above which a mesh is reduced. Queries cost the logarithm of the face count, repairs and memory all of it."""
MERGE_TOLERANCE = 1.0e-5
"""Vertices of an open mesh closer than this part of its largest extent are one vertex."""
FRAGMENT_AREA, FRAGMENTS_AREA = 0.01, 0.05
"""A body is a fragment below this part of the area, and dropped if all fragments together stay below the second."""
HOLE_AREA, HOLES_AREA = 0.03, 0.10
"""A hole is filled if its cap is below the first part of the area; above the second for all caps the mesh is a sheet."""
OPEN_EDGES = 0.05
"""Part of the edges that may stay open (or non-manifold) for the winding number to tell inside from outside."""

Floats = NDArray[np.float64]
Faces = NDArray[np.int64]


class SignMethod(enum.IntEnum):
    """How the sign of the distance to the object is found."""

    PSEUDO_NORMAL = 0  # watertight: exact, by the normal of the closest feature
    WINDING = 1  # slightly broken or self-overlapping: inside where the winding number exceeds one half


@dataclass(frozen=True)
class Solid:
    """A mended mesh.

    Attributes:
        vertices: [m], shape [V, 3].
        faces: Vertex indices, shape [F, 3].
        sign_method: How inside and outside are told apart.
        mass: Mass properties at unit density.
        repairs: What was changed, one sentence each.
    """

    vertices: Floats
    faces: Faces
    sign_method: SignMethod
    mass: MassProperties
    repairs: tuple[str, ...]


def mend(vertices: Floats, faces: Faces, source: str) -> Solid:
    """Turn a triangle soup into a solid.

    Args:
        vertices: Finite positions [m], shape [V, 3].
        faces: Vertex indices, shape [F, 3].
        source: Name of the object, the subject of the error sentence.

    Raises:
        ObjectError: The soup does not bound a volume and cannot be mended.
    """
    repairs: list[str] = []
    if len(faces) > FACE_LIMIT:
        vertices, faces = _reduce(vertices, faces, repairs)
    vertices, faces = _merge(vertices, faces, repairs)
    if len(faces) == 0:
        raise ObjectError(f"{source}: every face has zero area; export the mesh again.")
    faces, body = _orient(faces, source, repairs)
    faces, body = _drop_fragments(vertices, faces, body, repairs)
    vertices, faces, body = _fill_holes(vertices, faces, body, source, repairs)
    faces = _turn_outward(vertices, faces, body, repairs)
    extent = float(np.ptp(vertices[faces.reshape(-1)], axis=0).max())
    volume = abs(float(signed_volumes(vertices, faces, vertices[faces[0, 0]]).sum()))
    if volume < 1.0e-6 * extent**3:
        raise ObjectError(f"{source}: encloses no volume ({volume:.1e} m^3); give the sheet a thickness.")
    vertices, faces, overlapping = _unite(vertices, faces, body, source, repairs)
    vertices, faces = _compact(vertices, faces)

    open_edges, defects, edges = count_defects(faces)
    if defects == 0 and not overlapping:
        return Solid(
            vertices, faces, SignMethod.PSEUDO_NORMAL, mass_properties(vertices, faces), tuple(repairs)
        )
    if defects > OPEN_EDGES * edges:
        raise ObjectError(
            f"{source}: {defects} of {edges} edges ({100.0 * defects / edges:.0f} %) are open or shared by more than two "
            "faces, so inside and outside are undefined; close the mesh in a mesh editor."
        )
    if overlapping:
        mass = solid_mass_properties(vertices, faces)
    elif open_edges:
        capped, caps = _caps(vertices, faces, boundary_loops(faces))
        mass = mass_properties(capped, np.concatenate([faces, *caps]))
        repairs.append(
            f"{open_edges} edges stay open, so inside is told by the winding number and the mass is that of "
            "the mesh with flat caps on its holes."
        )
    else:
        mass = mass_properties(vertices, faces)
        repairs.append(
            f"{defects} edges are shared by more than two faces, so inside is told by the winding number."
        )
    return Solid(vertices, faces, SignMethod.WINDING, mass, tuple(repairs))


# ---------------------------------------------------------------------------------------------------------- topology


def count_defects(faces: Faces) -> tuple[int, int, int]:
    """Number of open edges, of open or non-manifold or inconsistently wound edges, and of edges."""
    directed = half_edges(faces).reshape(-1, 2)
    size = int(faces.max()) + 1
    forward = directed[:, 0] < directed[:, 1]
    low, high = directed.min(axis=1), directed.max(axis=1)
    _, inverse = np.unique(low * size + high, return_inverse=True)
    inverse = inverse.reshape(-1)
    along = np.bincount(inverse, forward)
    against = np.bincount(inverse, ~forward)
    return int(np.sum(along != against)), int(np.sum((along != 1) | (against != 1))), len(along)


def boundary_loops(faces: Faces) -> list[NDArray[np.int64]]:
    """Loops of the open boundary, each in the order in which a cap's faces run along it."""
    directed = half_edges(faces).reshape(-1, 2)
    size = int(faces.max()) + 1
    key, twin = directed[:, 0] * size + directed[:, 1], directed[:, 1] * size + directed[:, 0]
    following: dict[int, list[int]] = {}
    for start, end in directed[~np.isin(twin, key)].tolist():
        following.setdefault(end, []).append(start)
    loops = []
    while following:
        first = next(iter(following))
        walk, vertex = [first], first
        while vertex in following:
            targets = following[vertex]
            vertex = targets.pop()
            if not targets:
                del following[walk[-1]]
            if vertex == first:
                loops.append(np.array(walk))
                break
            walk.append(vertex)
    return [loop for loop in loops if len(loop) >= 3]


def _compact(vertices: Floats, faces: Faces) -> tuple[Floats, Faces]:
    """Drop unused vertices, keeping their order."""
    used, index = np.unique(faces, return_inverse=True)
    return vertices[used], index.reshape(-1, 3)


# ------------------------------------------------------------------------------------------------------------- steps


def _reduce(vertices: Floats, faces: Faces, repairs: list[str]) -> tuple[Floats, Faces]:
    """Vertex clustering on a cubic grid: a map of vertices, under which a closed surface stays closed."""
    count = len(faces)
    low = vertices[faces.reshape(-1)].min(axis=0)
    # Two faces per occupied cell, and a surface of area A occupies about 1.5 A / h^2 cells of width h.
    cell = float(np.sqrt(3.0 * face_areas(vertices, faces).sum() / FACE_LIMIT))
    while True:
        index = np.floor((vertices - low) / cell).astype(np.int64).clip(0)
        shape = index.max(axis=0) + 1
        key = (index[:, 0] * shape[1] + index[:, 1]) * shape[2] + index[:, 2]
        _, cluster, members = np.unique(key, return_inverse=True, return_counts=True)
        cluster = cluster.reshape(-1)
        reduced = _drop_degenerate(cluster[faces])
        if len(reduced) <= FACE_LIMIT:
            break
        cell *= 1.15
    means = np.stack([np.bincount(cluster, vertices[:, axis]) / members for axis in range(3)], axis=1)
    repairs.append(
        f"{count} faces were reduced to {len(reduced)} (limit {FACE_LIMIT}) by merging the vertices in cells of "
        f"{1000.0 * cell:.2f} mm, which bounds the change of shape to {1732.1 * cell:.2f} mm."
    )
    return means, reduced


def _drop_degenerate(faces: Faces) -> Faces:
    """Drop faces with a repeated vertex and all but one of equal faces; a face and its mirror image cancel.

    Where nearly every face has its mirror image the file was exported double-sided, and one of each is kept.
    """
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    if len(faces) == 0:
        return faces
    ordered = np.sort(faces, axis=1)
    size = int(faces.max()) + 1
    # Two keys, since the cube of a million vertices does not fit 63 bits.
    pair = np.unique(ordered[:, 0] * size + ordered[:, 1], return_inverse=True)[1].reshape(-1)
    _, first, group = np.unique(pair * size + ordered[:, 2], return_index=True, return_inverse=True)
    if len(first) == len(faces):
        return faces
    group = group.reshape(-1)
    a, b, c = faces.T
    even = (a < b).astype(int) + (b < c) + (c < a) == 2
    cancels = np.bincount(group, np.where(even, 1.0, -1.0)) == 0
    if cancels.mean() > 0.95:
        return faces[np.sort(first)]
    return faces[np.sort(first[~cancels])]


def _merge(vertices: Floats, faces: Faces, repairs: list[str]) -> tuple[Floats, Faces]:
    """One vertex per position, no degenerate or repeated face; within a tolerance if that closes open edges."""
    face_count = len(faces)
    vertices, faces = _compact(vertices, faces)
    # Seams of texture coordinates and STL triangles repeat positions by design: not worth a sentence.
    vertices, index = np.unique(vertices, axis=0, return_inverse=True)
    faces = _drop_degenerate(index.reshape(-1)[faces])
    if len(faces) and count_defects(faces)[0]:
        tolerance = MERGE_TOLERANCE * float(np.ptp(vertices, axis=0).max())
        pairs = cKDTree(vertices).query_pairs(tolerance, output_type="ndarray")
        if len(pairs):
            size = len(vertices)
            graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(size, size))
            count, cluster = connected_components(graph, directed=False)
            merged = _drop_degenerate(cluster[faces])
            if len(merged) and count_defects(merged)[0] < count_defects(faces)[0]:
                repairs.append(
                    f"{size - count} vertices within {1.0e6 * tolerance:.1f} um of another were merged."
                )
                first = np.unique(cluster, return_index=True)[1]
                vertices, faces = vertices[first], merged
                face_count -= 0
    if len(faces) < face_count:
        repairs.append(f"{face_count - len(faces)} degenerate or repeated faces were dropped.")
    return _compact(vertices, faces) if len(faces) else (vertices, faces)


def _orient(faces: Faces, source: str, repairs: list[str]) -> tuple[Faces, NDArray[np.int64]]:
    """Wind neighbouring faces alike and label the bodies (faces connected through edges of two faces).

    Works on the double cover of the surface: every face appears with both orientations, and neighbours are linked where
    their orientations agree. An orientable body is then two components, one per side; a one-sided one is a single component.
    """
    count = len(faces)
    directed = half_edges(faces).reshape(-1, 2)
    size = int(faces.max()) + 1
    key = directed.min(axis=1) * size + directed.max(axis=1)
    order = np.argsort(key, kind="stable")
    _, start, sharing = np.unique(key[order], return_index=True, return_counts=True)
    left, right = order[start[sharing == 2]], order[start[sharing == 2] + 1]
    flipped = count * (directed[left, 0] == directed[right, 0])
    left, right = left // 3, right // 3
    rows = np.concatenate([left, left + count])
    columns = np.concatenate([right + flipped, right + count - flipped])
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(2 * count, 2 * count))
    label = connected_components(graph, directed=False)[1].astype(np.int64)
    front, back = label[:count], label[count:]
    if np.any(front == back):
        raise ObjectError(
            f"{source}: {int(np.sum(front == back))} faces form a one-sided surface (a Moebius strip), which "
            "has no inside; rebuild the mesh as a closed solid."
        )
    _, body = np.unique(np.minimum(front, back), return_inverse=True)
    body = body.reshape(-1)
    reverse = front > back
    # Keep the orientation that most faces of the body already have.
    mostly = np.bincount(body, reverse) > 0.5 * np.bincount(body)
    reverse ^= mostly[body]
    if reverse.any():
        repairs.append(
            f"{int(reverse.sum())} of {count} faces were wound against their neighbours and were turned."
        )
        faces = np.where(reverse[:, None], faces[:, ::-1], faces)
    return faces, body


def _drop_fragments(
    vertices: Floats, faces: Faces, body: NDArray[np.int64], repairs: list[str]
) -> tuple[Faces, NDArray[np.int64]]:
    """Drop bodies of negligible area, unless together they matter."""
    areas = np.bincount(body, face_areas(vertices, faces))
    fragment = areas < FRAGMENT_AREA * areas.sum()
    if not fragment.any() or areas[fragment].sum() > FRAGMENTS_AREA * areas.sum():
        return faces, body
    keep = ~fragment[body]
    repairs.append(
        f"{int(fragment.sum())} fragments with {100.0 * areas[fragment].sum() / areas.sum():.2g} % of the area "
        "were dropped."
    )
    return faces[keep], np.unique(body[keep], return_inverse=True)[1].reshape(-1)


def _caps(vertices: Floats, faces: Faces, loops: list[NDArray[np.int64]]) -> tuple[Floats, list[Faces]]:
    """One fan of faces per loop around the loop's centre; a triangle needs no centre."""
    caps = []
    for loop in loops:
        if len(loop) == 3:
            caps.append(loop[None])
            continue
        center = len(vertices)
        vertices = np.concatenate([vertices, vertices[loop].mean(axis=0, keepdims=True)])
        caps.append(np.stack([loop, np.roll(loop, -1), np.full(len(loop), center)], axis=1))
    return vertices, caps


def _fill_holes(
    vertices: Floats, faces: Faces, body: NDArray[np.int64], source: str, repairs: list[str]
) -> tuple[Floats, Faces, NDArray[np.int64]]:
    """Cap small holes; refuse a sheet."""
    if count_defects(faces)[0] == 0:
        return vertices, faces, body
    loops = boundary_loops(faces)
    capped, caps = _caps(vertices, faces, loops)
    area = float(face_areas(vertices, faces).sum())
    cap_area = np.array([face_areas(capped, cap).sum() for cap in caps])
    if cap_area.sum() > HOLES_AREA * area:
        raise ObjectError(
            f"{source}: is an open surface, its {len(loops)} holes would need caps of "
            f"{100.0 * cap_area.sum() / area:.0f} % of its area; close the mesh or give it a thickness."
        )
    small = [cap for cap, size in zip(caps, cap_area, strict=True) if size <= HOLE_AREA * area]
    if not small:
        return vertices, faces, body
    owner = np.zeros(len(capped), np.int64)
    owner[faces.reshape(-1)] = np.repeat(body, 3)
    repairs.append(
        f"{len(small)} holes with {100.0 * cap_area[cap_area <= HOLE_AREA * area].sum() / area:.2g} % of the area "
        "were filled."
    )
    body = np.concatenate([body, *(np.full(len(cap), owner[cap[0, 0]]) for cap in small)])
    return capped, np.concatenate([faces, *small]), body


def _turn_outward(vertices: Floats, faces: Faces, body: NDArray[np.int64], repairs: list[str]) -> Faces:
    """Turn bodies of negative volume inside out, except cavities: closed shells inside a larger body."""
    count = int(body.max()) + 1
    centers = np.stack([vertices[faces[body == index].reshape(-1)].mean(axis=0) for index in range(count)])
    volumes = np.bincount(body, signed_volumes(vertices, faces, centers[body][:, None, :][:, 0]))
    if volumes.sum() < 0.0:
        repairs.append("The normals pointed into the object and were flipped.")
        faces, volumes = faces[:, ::-1], -volumes
    turn = volumes < 0.0
    for index in np.flatnonzero(turn):
        shell = faces[body == index]
        probe = vertices[shell[:: max(1, len(shell) // 16), 0]]
        turn[index] = not any(
            contains(vertices, faces[body == other], probe).all()
            for other in np.flatnonzero(volumes > abs(volumes[index]))
        )
    if turn.any():
        repairs.append(f"{int(turn.sum())} of {count} bodies were inside out and were turned.")
        faces = np.where(turn[body][:, None], faces[:, ::-1], faces)
    return faces


def _unite(
    vertices: Floats, faces: Faces, body: NDArray[np.int64], source: str, repairs: list[str]
) -> tuple[Floats, Faces, bool]:
    """Unite overlapping bodies; returns whether bodies still overlap. Refuses an object that falls apart."""
    count = int(body.max()) + 1
    if count == 1:
        return vertices, faces, False
    parts = [faces[body == index] for index in range(count)]
    groups, cavities = body_groups(vertices, parts)
    if groups > 1:
        raise ObjectError(
            f"{source}: falls apart into {groups} bodies that do not touch; save them as one file each, "
            "or join them."
        )
    solids = count - cavities
    if solids == 1:
        return vertices, faces, False
    if all(count_defects(part)[1] == 0 for part in parts):
        united = union(vertices, parts)
        if united is not None:
            repairs.append(f"{solids} overlapping bodies were united into one by manifold3d.")
            return *united, False
    repairs.append(
        f"{solids} bodies overlap: inside is told by the winding number, and the mass was integrated on a grid."
    )
    return vertices, faces, True
