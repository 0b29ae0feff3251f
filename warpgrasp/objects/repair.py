"""Mend a triangle soup into an outward oriented solid, or refuse it; every change is one sentence.

The order is: reduce, merge vertices, wind alike, drop fragments, fill holes, take crowded edges apart, turn outward,
unite bodies, choose how to tell inside from outside. What each threshold means is said beside it.
"""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from warpgrasp.objects.bodies import contains, crossing_faces, solid_mass_properties
from warpgrasp.objects.error import ObjectError
from warpgrasp.objects.geometry import Floats, MassProperties, face_areas, mass_properties, signed_volumes
from warpgrasp.objects.parts import BODY_LIMIT, unite
from warpgrasp.objects.reading import Reading
from warpgrasp.objects.solids import (
    FLAT_VOLUME,
    HOLES_AREA,
    close_shell,
    encloses_nothing,
    thicken,
)
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
HOLE_AREA = 0.03
"""A hole with a cap below this part of the area is filled."""
OPEN_EDGES = 0.05
"""Part of the edges that may stay open for the winding number to tell inside from outside."""
CROSSING_VOLUME = 0.02
"""Where faces cross, the exact integral counts volumes twice or negative; beyond this part the mass is integrated on a grid."""


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
        part_count: Bodies that do not touch, where each is an object; else 1.
    """

    vertices: Floats
    faces: Faces
    sign_method: SignMethod
    mass: MassProperties
    repairs: tuple[str, ...]
    part_count: int = 1


def mend(
    vertices: Floats, faces: Faces, source: str, reading: Reading | None = None, *, part: int = 1
) -> Solid:
    """Turn a triangle soup into a solid.

    Args:
        vertices: Finite positions [m], shape [V, 3].
        faces: Vertex indices, shape [F, 3].
        source: Name of the object, the subject of the error sentence.
        reading: What becomes of bodies that do not touch, of open shells and of sheets; refused by default.
        part: Which body, from the largest down, with ``reading.parts == "separate"``.

    Raises:
        ObjectError: The soup does not bound a volume and cannot be mended.
    """
    reading = reading or Reading()
    repairs: list[str] = []
    if len(faces) > FACE_LIMIT:
        vertices, faces = _reduce(vertices, faces, repairs)
    vertices, faces = _merge(vertices, faces, repairs)
    if len(faces) == 0:
        raise ObjectError(f"{source}: no face has an area; export the mesh again.")
    vertices, faces = _wind_alike(vertices, faces, source, reading, repairs)
    if (reading.sheet_thickness or reading.open_shells == "close") and encloses_nothing(vertices, faces):
        vertices, faces = _given_inside(vertices, faces, source, reading, repairs)
    faces = _drop_fragments(vertices, faces, repairs)
    vertices, faces = _fill_holes(vertices, faces, source, repairs)
    vertices, faces = _separate(vertices, faces, repairs)
    faces = _turn_outward(vertices, faces, repairs)
    _refuse_flat(vertices, faces, source)
    vertices, faces, overlapping, parts = unite(vertices, faces, source, reading, part, repairs)
    solid = _close(*compact(vertices, faces), overlapping, source, repairs)
    return dataclasses.replace(solid, part_count=parts)


def _given_inside(
    vertices: Floats, faces: Faces, source: str, reading: Reading, repairs: list[str]
) -> tuple[Floats, Faces]:
    """A closed surface of a sheet or an open shell; where both options are given, what can be closed is closed."""
    if reading.open_shells == "close":
        try:
            return close_shell(vertices, faces, source, repairs)
        except ObjectError:
            if not reading.sheet_thickness:
                raise
    return thicken(vertices, faces, source, reading.sheet_thickness, repairs)


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


def _wind_alike(
    vertices: Floats, faces: Faces, source: str, reading: Reading, repairs: list[str]
) -> tuple[Floats, Faces]:
    """Turn the faces that are wound against their neighbours."""
    turn, one_sided, _ = turned_faces(faces)
    if one_sided.any() and reading.sheet_thickness:
        return thicken(vertices, faces, source, reading.sheet_thickness, repairs)
    if one_sided.any():
        raise ObjectError(
            f"{source}: {int(one_sided.sum())} faces form a one-sided surface (like a Moebius strip), which has no "
            "inside; rebuild the mesh as a closed solid, or pass --sheet-thickness 0.002."
        )
    if turn.any():
        repairs.append(
            _counted(int(turn.sum()), "face", "faces", f"of {len(faces)} wound against the neighbours")
            + " turned."
        )
    return vertices, np.where(turn[:, None], faces[:, ::-1], faces)


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
            f"{len(caps)} hole(s) (limit {100.0 * HOLES_AREA:.0f} %); close the mesh, or pass "
            "--open-shells close, or --sheet-thickness 0.002 to give it a thickness."
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
        raise ObjectError(
            f"{source}: encloses no volume ({volume:.1e} m^3); pass --sheet-thickness 0.002 to give the sheet a thickness."
        )


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
