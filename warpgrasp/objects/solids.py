"""Solids of what has no inside: bodies that do not touch are joined, open shells closed, sheets given a thickness.

All three take a level set of the distance on a grid, by marching cubes, which rounds edges by about a cell.
"""

from __future__ import annotations

import numpy as np

from warpgrasp.objects.error import ObjectError
from warpgrasp.objects.geometry import Floats, face_areas, signed_volumes
from warpgrasp.objects.remesh import SIMPLIFY, level_set, simplified
from warpgrasp.objects.topology import Faces, closed_bodies, count_defects, hole_caps

__all__ = ["close_shell", "encloses_nothing", "join_bodies", "thicken"]

JOIN_CELLS = 96
"""Cells along the largest extent of an object whose bodies are joined, or that is closed."""
SHEET_CELLS = 2.5
"""Cells across a sheet; fewer tear it."""
MOST_CELLS = 40_000_000
"""Cells of a grid."""
FLAT_VOLUME = 1.0e-6
"""Part of the cube of the largest extent below which a volume counts as none."""
HOLES_AREA = 0.10
"""With caps of more than this part of the area a mesh is open."""


def encloses_nothing(vertices: Floats, faces: Faces) -> bool:
    """Whether a surface is open by large holes, or has no volume."""
    if count_defects(faces)[0]:
        capped, caps = hole_caps(vertices, faces)
        area = sum(float(face_areas(capped, cap).sum()) for cap in caps)
        if area > HOLES_AREA * float(face_areas(vertices, faces).sum()):
            return True
    used = vertices[np.unique(faces)]
    volume = abs(float(signed_volumes(vertices, faces, used.mean(axis=0)).sum()))
    return volume < FLAT_VOLUME * float(np.ptp(used, axis=0).max()) ** 3


def thicken(
    vertices: Floats, faces: Faces, source: str, thickness: float, repairs: list[str]
) -> tuple[Floats, Faces]:
    """What lies within half a ``thickness`` [m] of a surface.

    Raises:
        ObjectError: The thickness is too small for the grid.
    """
    corners = vertices[faces].reshape(-1, 3)
    cell = thickness / SHEET_CELLS
    cells = float(np.prod(np.ptp(corners, axis=0) / cell + 8.0))
    if cells > MOST_CELLS:
        least = thickness * (cells / MOST_CELLS) ** (1.0 / 3.0)
        raise ObjectError(
            f"{source}: a sheet of {1000.0 * thickness:.2g} mm takes a grid of {cells:.2g} cells (limit {MOST_CELLS:.0e}); "
            f"pass --sheet-thickness {1.1 * least:.2g} or more."
        )
    thick, triangles = level_set(vertices, faces, level=0.5 * thickness, cell=cell, unsigned=True)
    thick, triangles = simplified(thick, triangles, tolerance=SIMPLIFY * cell)
    repairs.append(
        f"A surface without a volume was given a thickness of {1000.0 * thickness:.2g} mm on a grid of {1000.0 * cell:.2g} mm."
    )
    return thick, triangles


def close_shell(vertices: Floats, faces: Faces, source: str, repairs: list[str]) -> tuple[Floats, Faces]:
    """The region of winding number above one half of an open surface.

    Raises:
        ObjectError: There is no such region.
    """
    cell = float(np.ptp(vertices[faces].reshape(-1, 3), axis=0).max()) / JOIN_CELLS
    closed, triangles = level_set(vertices, faces, level=0.0, cell=cell, smooth=True)
    if len(triangles) == 0:  # wound inward
        closed, triangles = level_set(vertices, faces[:, ::-1], level=0.0, cell=cell, smooth=True)
    if len(triangles):
        closed, triangles = simplified(closed, triangles, tolerance=SIMPLIFY * cell)
    if len(triangles) == 0 or encloses_nothing(closed, triangles):
        raise ObjectError(
            f"{source}: is too open to be closed, its winding number is above one half nowhere; pass --sheet-thickness 0.002 "
            "to give it a thickness."
        )
    repairs.append(
        f"An open surface was closed where its winding number falls below one half, on a grid of {1000.0 * cell:.2g} mm, which "
        "rounds edges."
    )
    return closed, triangles


def join_bodies(
    vertices: Floats, faces: Faces, source: str, groups: int, gap: float, repairs: list[str]
) -> tuple[Floats, Faces]:
    """Close the gaps between bodies: the surface at half a gap outside, and of that the one as far inside.

    Raises:
        ObjectError: Bodies are left that do not touch.
    """
    cell = float(np.ptp(vertices[faces].reshape(-1, 3), axis=0).max()) / JOIN_CELLS
    width = max(gap, 1.5 * cell)  # a grid bridges no less
    outer = level_set(vertices, faces, level=0.5 * width, cell=cell)
    joined, triangles = level_set(*outer, level=-0.5 * width, cell=cell)
    joined, triangles = simplified(joined, triangles, tolerance=SIMPLIFY * cell)
    left = len(np.unique(closed_bodies(triangles))) if len(triangles) else 0
    if left != 1:
        raise ObjectError(
            f"{source}: falls apart into {groups} bodies, of which {left} are left when gaps of {1000.0 * width:.2g} mm are "
            "closed; pass a larger --join-gap, --parts largest or --parts separate."
        )
    repairs.append(
        f"{groups} bodies that do not touch were joined by closing gaps up to {1000.0 * width:.2g} mm on a grid of "
        f"{1000.0 * cell:.2g} mm, which rounds edges."
    )
    return joined, triangles
