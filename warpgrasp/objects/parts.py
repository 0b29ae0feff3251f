"""Bodies of one file: those that touch are united, of those that do not one is chosen, or all are joined or refused."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from warpgrasp.objects.bodies import body_groups, union
from warpgrasp.objects.error import ObjectError
from warpgrasp.objects.geometry import Floats, signed_volumes
from warpgrasp.objects.reading import Reading
from warpgrasp.objects.solids import join_bodies
from warpgrasp.objects.topology import Faces, closed_bodies, count_defects

__all__ = ["BODY_LIMIT", "unite"]

BODY_LIMIT = 64
"""Bodies whose overlap is examined, each against each."""


def unite(
    vertices: Floats, faces: Faces, source: str, reading: Reading, part: int, repairs: list[str]
) -> tuple[Floats, Faces, bool, int]:
    """Unite overlapping bodies and refuse an object that falls apart.

    Returns also whether bodies still overlap, and how many there are where each is an object.
    """
    body = closed_bodies(faces)
    count = int(body.max()) + 1
    if count == 1:
        return vertices, faces, False, _checked(1, part, source)
    if count > BODY_LIMIT:
        raise ObjectError(
            f"{source}: consists of {count} bodies (limit {BODY_LIMIT}); join them into one mesh."
        )
    parts = [faces[body == index] for index in range(count)]
    group, cavities = body_groups(vertices, parts)
    groups = int(group.max()) + 1
    if groups == 1:
        return *_union(vertices, faces, parts, count - cavities, repairs), _checked(1, part, source)
    if reading.gap > 0.0:
        return *join_bodies(vertices, faces, source, groups, reading.gap, repairs), False, 1
    if reading.parts == "touching":
        raise ObjectError(
            f"{source}: falls apart into {groups} bodies that do not touch; save each to a file of its own, or pass --parts "
            "separate (an object of each), --parts largest, or --join-gap 0.001, which closes gaps up to 1 mm."
        )
    chosen = _chosen_group(vertices, parts, group, source, reading, part, repairs)
    faces = np.concatenate(chosen)
    solids = sum(
        float(signed_volumes(vertices, shell, vertices[shell[0, 0]]).sum()) > 0.0 for shell in chosen
    )
    united = _union(vertices, faces, chosen, solids, repairs)
    return *united, groups if reading.parts == "separate" else 1


def _checked(groups: int, part: int, source: str) -> int:
    """The number of bodies of an object; a part that is not among them is refused."""
    if part > groups:
        raise ObjectError(f"{source}: has no part {part}, it holds {groups} bodies that do not touch.")
    return groups


def _chosen_group(
    vertices: Floats,
    parts: list[Faces],
    group: NDArray[np.int64],
    source: str,
    reading: Reading,
    part: int,
    repairs: list[str],
) -> list[Faces]:
    """The bodies of one group, groups counted from the largest volume down."""
    volume = [float(signed_volumes(vertices, shell, vertices[shell[0, 0]]).sum()) for shell in parts]
    whole = np.bincount(group, volume)
    _checked(len(whole), part, source)
    index = int(np.argsort(-whole, kind="stable")[part - 1])
    share = 100.0 * whole[index] / whole.sum()
    if reading.parts == "largest":
        repairs.append(
            f"The largest of {len(whole)} bodies that do not touch was kept, with {share:.3g} % of their volume; the others "
            "were dropped."
        )
    else:
        repairs.append(
            f"Part {part} of {len(whole)} bodies that do not touch, with {share:.3g} % of their volume."
        )
    return [shell for shell, number in zip(parts, group, strict=True) if number == index]


def _union(
    vertices: Floats, faces: Faces, parts: list[Faces], solids: int, repairs: list[str]
) -> tuple[Floats, Faces, bool]:
    """Bodies that touch as one, where manifold3d unites them; returns also whether they still overlap."""
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
