"""Mend a triangle soup into an outward oriented solid, or refuse it; every change is one sentence.

The order is: reduce, merge vertices, wind alike, drop fragments, fill holes, take crowded edges apart, turn outward,
unite bodies, choose how to tell inside from outside. What each threshold means is said beside it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from warpgrasp.objects.bodies import body_groups, contains, crossing_faces, solid_mass_properties, union
from warpgrasp.objects.error import ObjectError
from warpgrasp.objects.geometry import Floats, MassProperties, face_areas, mass_properties, signed_volumes
from warpgrasp.objects.topology import (
    Faces,
    closed_bodies,
    compact,
    components,
    count_defects,
    drop_degenerate,
    flip_flat_faces,
    hole_caps,
    separate_sheets,
    turned_faces,
)

__all__ = ["FACE_LIMIT", "SignMethod", "Solid", "mend"]

FACE_LIMIT = 200_000
"""Faces above which a mesh is reduced. Queries cost the logarithm of the face count, repairs and memory all of it."""
SAME_VERTEX = 1.0e-7
"""Vertices closer than this [m] are one: float32 does not tell them apart at 1 m. So are flat faces of this height."""
MERGE_TOLERANCE = 1.0e-5
"""Vertices of an open mesh closer than this part of its largest extent are one, if that closes edges."""
FRAGMENT_AREA, FRAGMENTS_AREA = 0.01, 0.05
"""A body below the first part of the area is a fragment; fragments are dropped if together below the second part."""
HOLE_AREA, HOLES_AREA = 0.03, 0.10
"""A hole with a cap below the first part of the area is filled; with all caps above the second the mesh is a sheet."""
OPEN_EDGES = 0.05
"""Part of the edges that may stay open for the winding number to tell inside from outside."""
BODY_LIMIT = 64
"""Bodies whose overlap is examined, each against each."""
JOIN_CELLS = 96
"""Cells along the largest extent of an object whose bodies are joined."""
CROSSING_VOLUME = 0.02
"""Where faces cross, the exact integral counts volumes twice or negative; beyond this part the mass is integrated on a grid."""
FLAT_VOLUME = 1.0e-6
"""Part of the cube of the largest extent below which a volume counts as none."""


class SignMethod(enum.IntEnum):
    """How the sign of the distance to the object is found."""

    PSEUDO_NORMAL = 0  # watertight: exact, by the normal of the closest feature
    WINDING = 1  # slightly broken or self-overlapping: inside where the winding number exceeds one half


@dataclass(frozen=True)
class Solid:
    """A mended mesh.

    Attributes:
        vertices: [m], shape [V, 3].
        faces: Vertex indices, counter-clockwise from outside, shape [F, 3].
        sign_method: How inside and outside are told apart.
        mass: Mass properties at unit density.
        repairs: What was changed, one sentence each.
    """

    vertices: Floats
    faces: Faces
    sign_method: SignMethod
    mass: MassProperties
    repairs: tuple[str, ...]


def mend(vertices: Floats, faces: Faces, source: str, *, join_gap: float = 0.0) -> Solid:
    """Turn a triangle soup into a solid.

    Args:
        vertices: Finite positions [m], shape [V, 3].
        faces: Vertex indices, shape [F, 3].
        source: Name of the object, the subject of the error sentence.
        join_gap: Bodies that do not touch are joined where gaps of this width [m] lie between them; 0 refuses them.

    Raises:
        ObjectError: The soup does not bound a volume and cannot be mended.
    """
    repairs: list[str] = []
    if len(faces) > FACE_LIMIT:
        vertices, faces = _reduce(vertices, faces, repairs)
    vertices, faces = _merge(vertices, faces, repairs)
    if len(faces) == 0:
        raise ObjectError(f"{source}: no face has an area; export the mesh again.")
    faces = _wind_alike(faces, source, repairs)
    faces = _drop_fragments(vertices, faces, repairs)
    vertices, faces = _fill_holes(vertices, faces, source, repairs)
    vertices, faces = _separate(vertices, faces, repairs)
    faces = _turn_outward(vertices, faces, repairs)
    _refuse_flat(vertices, faces, source)
    vertices, faces, overlapping = _unite(vertices, faces, source, join_gap, repairs)
    return _close(*compact(vertices, faces), overlapping, source, repairs)


def _counted(count: int, one: str, many: str, detail: str = "") -> str:
    """Beginning of a sentence: ``1 hole (detail) was`` or ``3 holes (detail) were``."""
    noun = f"{count} {one if count == 1 else many}"
    return f"{noun} {detail} {'was' if count == 1 else 'were'}".replace("  ", " ")


def _reduce(vertices: Floats, faces: Faces, repairs: list[str]) -> tuple[Floats, Faces]:
    """Vertex clustering on a cubic grid: a map of vertices, under which a closed surface stays closed."""
    count = len(faces)
    vertices, faces = compact(vertices, faces)
    low = vertices.min(axis=0)
    # Two faces per occupied cell, and a surface of area A occupies about 1.5 A / h^2 cells of width h.
    cell = float(np.sqrt(3.0 * face_areas(vertices, faces).sum() / FACE_LIMIT))
    while True:
        index = ((vertices - low) / cell).astype(np.int64)
        shape = index.max(axis=0) + 1
        key = (index[:, 0] * shape[1] + index[:, 1]) * shape[2] + index[:, 2]
        _, cluster, members = np.unique(key, return_inverse=True, return_counts=True)
        cluster = cluster.reshape(-1)
        reduced = drop_degenerate(cluster[faces])
        if len(reduced) <= FACE_LIMIT:
            break
        cell *= 1.15
    means = np.stack([np.bincount(cluster, vertices[:, axis]) / members for axis in range(3)], axis=1)
    repairs.append(
        f"{count} faces were reduced to {len(reduced)} (limit {FACE_LIMIT}) by merging the vertices in cells of "
        f"{1000.0 * cell:.2f} mm, which moved none by more than {1732.1 * cell:.2f} mm."
    )
    return means, reduced


def _merge(vertices: Floats, faces: Faces, repairs: list[str]) -> tuple[Floats, Faces]:
    """One vertex per position, no repeated or flat face; merge within a tolerance if that closes open edges."""
    face_count = len(faces)
    # Seams of texture coordinates and STL triangles repeat positions by design: not worth a sentence.
    vertices, faces = compact(vertices, faces)
    vertices, index = np.unique(vertices, axis=0, return_inverse=True)
    faces = drop_degenerate(index.reshape(-1)[faces])
    for tolerance in (SAME_VERTEX, MERGE_TOLERANCE * float(np.ptp(vertices, axis=0).max())):
        if len(faces) == 0:
            break
        open_edges = count_defects(faces)[0]
        pairs = cKDTree(vertices).query_pairs(tolerance, output_type="ndarray")
        if len(pairs) == 0 or (tolerance > SAME_VERTEX and open_edges == 0):
            continue
        cluster = components(len(vertices), pairs[:, 0], pairs[:, 1])
        merged = drop_degenerate(cluster[faces])
        if tolerance == SAME_VERTEX or (len(merged) and count_defects(merged)[0] < open_edges):
            first = np.unique(cluster, return_index=True)[1]
            repairs.append(
                _counted(
                    len(vertices) - len(first),
                    "vertex",
                    "vertices",
                    f"closer than {1.0e6 * tolerance:.2g} um to another",
                )
                + " merged."
            )
            vertices, faces = vertices[first], merged
    if len(faces) < face_count:
        dropped = face_count - len(faces)
        repairs.append(
            _counted(dropped, "degenerate or repeated face", "degenerate or repeated faces") + " dropped."
        )
    if len(faces):
        faces, flipped = flip_flat_faces(vertices, faces, height=SAME_VERTEX)
        if flipped:
            repairs.append(
                _counted(flipped, "face without area", "faces without area") + " removed by an edge flip."
            )
    return vertices, faces


def _wind_alike(faces: Faces, source: str, repairs: list[str]) -> Faces:
    """Turn the faces that are wound against their neighbours."""
    turn, one_sided, _ = turned_faces(faces)
    if one_sided.any():
        raise ObjectError(
            f"{source}: {int(one_sided.sum())} faces form a one-sided surface (like a Moebius strip), which has no "
            "inside; rebuild the mesh as a closed solid."
        )
    if turn.any():
        repairs.append(
            _counted(int(turn.sum()), "face", "faces", f"of {len(faces)} wound against the neighbours")
            + " turned."
        )
    return np.where(turn[:, None], faces[:, ::-1], faces)


def _drop_fragments(vertices: Floats, faces: Faces, repairs: list[str]) -> Faces:
    """Drop bodies of negligible area, unless together they matter."""
    body = closed_bodies(faces)
    area = np.bincount(body, face_areas(vertices, faces))
    part = area / area.sum()
    fragment = part < FRAGMENT_AREA
    if not fragment.any() or part[fragment].sum() > FRAGMENTS_AREA:
        return faces
    share = f"with {100.0 * part[fragment].sum():.2g} % of the area"
    repairs.append(_counted(int(fragment.sum()), "fragment", "fragments", share) + " dropped.")
    return faces[~fragment[body]]


def _separate(vertices: Floats, faces: Faces, repairs: list[str]) -> tuple[Floats, Faces]:
    """Take edges of more than two faces apart, and drop the crumbs that come off."""
    volume = signed_volumes(vertices, faces, vertices[faces[0, 0]]).sum()
    order = -1 if volume < 0.0 else 1  # the solid side is told by outward faces
    vertices, turned, count = separate_sheets(vertices, faces[:, ::order])
    if count == 0:
        return vertices, faces
    repairs.append(_counted(count, "edge", "edges", "of more than two faces") + " taken apart.")
    return vertices, _drop_fragments(vertices, turned[:, ::order], repairs)


def _fill_holes(vertices: Floats, faces: Faces, source: str, repairs: list[str]) -> tuple[Floats, Faces]:
    """Cap small holes; refuse a sheet."""
    if count_defects(faces)[0] == 0:
        return vertices, faces
    capped, caps = hole_caps(vertices, faces)
    part = np.array([face_areas(capped, cap).sum() for cap in caps]) / face_areas(vertices, faces).sum()
    if part.sum() > HOLES_AREA:
        raise ObjectError(
            f"{source}: is an open surface, to close it takes {100.0 * part.sum():.0f} % more area over "
            f"{len(caps)} hole(s) (limit {100.0 * HOLES_AREA:.0f} %); close the mesh or give it a thickness."
        )
    small = [cap for cap, size in zip(caps, part, strict=True) if size <= HOLE_AREA]
    if small:
        share = f"with {100.0 * part[part <= HOLE_AREA].sum():.2g} % of the area"
        repairs.append(_counted(len(small), "hole", "holes", share) + " filled.")
    return capped, np.concatenate([faces, *small])


def _turn_outward(vertices: Floats, faces: Faces, repairs: list[str]) -> Faces:
    """Turn an object, or closed bodies in it, of negative volume; but a closed shell inside a larger body is a cavity."""
    body = closed_bodies(faces)
    center = vertices[np.unique(faces)].mean(axis=0)
    volumes = np.bincount(body, signed_volumes(vertices, faces, center))
    if volumes.sum() < 0.0:
        repairs.append("The normals pointed into the object and were flipped.")
        faces, volumes = faces[:, ::-1], -volumes
    turn = volumes < 0.0
    if int(turn.sum()) > BODY_LIMIT:
        return faces
    for index in np.flatnonzero(turn):
        shell = faces[body == index]
        probe = vertices[shell[:: max(1, len(shell) // 16), 0]]
        larger = np.flatnonzero(volumes > -volumes[index])
        turn[index] = not any(contains(vertices, faces[body == other], probe).all() for other in larger)
    if turn.any():
        repairs.append(_counted(int(turn.sum()), "body", "bodies", f"of {len(turn)} inside out") + " turned.")
    return np.where(turn[body][:, None], faces[:, ::-1], faces)


def _refuse_flat(vertices: Floats, faces: Faces, source: str) -> None:
    used = vertices[np.unique(faces)]
    volume = abs(float(signed_volumes(vertices, faces, used.mean(axis=0)).sum()))
    if volume < FLAT_VOLUME * np.ptp(used, axis=0).max() ** 3:
        raise ObjectError(f"{source}: encloses no volume ({volume:.1e} m^3); give the sheet a thickness.")


def _unite(
    vertices: Floats, faces: Faces, source: str, join_gap: float, repairs: list[str]
) -> tuple[Floats, Faces, bool]:
    """Unite overlapping bodies and refuse an object that falls apart; returns also whether bodies still overlap."""
    body = closed_bodies(faces)
    count = int(body.max()) + 1
    if count == 1:
        return vertices, faces, False
    if count > BODY_LIMIT:
        raise ObjectError(
            f"{source}: consists of {count} bodies (limit {BODY_LIMIT}); join them into one mesh."
        )
    parts = [faces[body == index] for index in range(count)]
    groups, cavities = body_groups(vertices, parts)
    if groups > 1 and join_gap > 0.0:
        return (*_join(vertices, faces, source, groups, join_gap, repairs), False)
    if groups > 1:
        raise ObjectError(
            f"{source}: falls apart into {groups} bodies that do not touch; save each to a file of its own, or join them: "
            "`python -m warpgrasp.objects FILE -o DIR --join-gap 0.001` closes gaps up to 1 mm."
        )
    solids = count - cavities
    if solids == 1:
        return vertices, faces, False
    united = union(vertices, parts) if count_defects(faces)[1] == 0 else None
    if united is not None:
        repairs.append(f"{solids} overlapping bodies were united into one by manifold3d.")
        return *united, False
    repairs.append(
        f"{solids} bodies overlap: inside is told by the winding number, the mass was integrated on a grid."
    )
    return vertices, faces, True


def _join(
    vertices: Floats, faces: Faces, source: str, groups: int, join_gap: float, repairs: list[str]
) -> tuple[Floats, Faces]:
    """Close the gaps between bodies: the surface at half a gap outside, and of that the one as far inside."""
    from warpgrasp.objects.remesh import SIMPLIFY, level_set, simplified

    cell = float(np.ptp(vertices[faces].reshape(-1, 3), axis=0).max()) / JOIN_CELLS
    width = max(join_gap, 1.5 * cell)  # a grid bridges no less
    outer = level_set(vertices, faces, level=0.5 * width, cell=cell)
    joined, triangles = level_set(*outer, level=-0.5 * width, cell=cell)
    joined, triangles = simplified(joined, triangles, tolerance=SIMPLIFY * cell)
    left = len(np.unique(closed_bodies(triangles))) if len(triangles) else 0
    if left != 1:
        raise ObjectError(
            f"{source}: falls apart into {groups} bodies, of which {left} are left when gaps of {1000.0 * width:.2g} mm are "
            "closed; pass a larger --join-gap, or save each to a file of its own."
        )
    repairs.append(
        f"{groups} bodies that do not touch were joined by closing gaps up to {1000.0 * width:.2g} mm on a grid of "
        f"{1000.0 * cell:.2g} mm, which rounds edges."
    )
    return joined, triangles


def _close(vertices: Floats, faces: Faces, overlapping: bool, source: str, repairs: list[str]) -> Solid:
    """Choose the sign method and integrate the mass."""
    open_edges, defects, edges = count_defects(faces)
    if open_edges > OPEN_EDGES * edges:
        raise ObjectError(
            f"{source}: {open_edges} of {edges} edges are open ({100.0 * open_edges / edges:.0f} %, limit "
            f"{100.0 * OPEN_EDGES:.0f} %), so inside and outside are undefined; close the mesh in a mesh editor."
        )
    capped, caps = hole_caps(vertices, faces) if open_edges else (vertices, [])
    mass = mass_properties(capped, np.concatenate([faces, *caps]))
    crossing = 0 if defects or overlapping else int(crossing_faces(vertices, faces).sum())
    if crossing:
        repairs.append(
            f"{crossing} of {len(faces)} faces cross or touch others: inside is told by the winding number; repair the mesh "
            "for exact results."
        )
        solid = solid_mass_properties(vertices, faces)
        if abs(solid.volume - mass.volume) > CROSSING_VOLUME * solid.volume:
            mass = solid
    elif defects == 0 and not overlapping:
        return Solid(vertices, faces, SignMethod.PSEUDO_NORMAL, mass, tuple(repairs))
    if overlapping:
        mass = solid_mass_properties(vertices, faces)
    elif open_edges:
        repairs.append(
            f"{open_edges} edges stay open: inside is told by the winding number, the mass is that with flat caps."
        )
    elif not crossing:
        repairs.append(f"{defects} edges join more than two faces: inside is told by the winding number.")
    return Solid(vertices, faces, SignMethod.WINDING, mass, tuple(repairs))
