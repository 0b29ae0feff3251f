"""Cut a contact patch out of the surface of a link: the free faces that look in the patch's direction."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from warpgrasp.hands.description import PatchDescription
from warpgrasp.hands.shapes import Shape, TriMesh

__all__ = ["patch_mesh"]

_LONGEST_EDGE = 9e-3  # m; faces are split until their edges are shorter, so that the cut follows the outline
_BURIED_TOLERANCE = 1e-5  # m


def patch_mesh(patch: PatchDescription, shapes: list[Shape]) -> TriMesh:
    """Triangles of the link's surface selected by the patch description, in the link frame."""
    direction = np.asarray(patch.direction, dtype=np.float64)
    direction /= np.linalg.norm(direction)
    pieces = []
    for shape in shapes:
        corner = _split(shape.mesh.vertices[shape.mesh.faces])
        normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        center = corner.mean(axis=1)
        keep = normal @ direction >= math.cos(patch.angle)
        keep &= np.all((center >= patch.lower) & (center <= patch.upper), axis=1)
        for other in shapes:
            if other is not shape:
                keep &= other.inner_distance(center) > -_BURIED_TOLERANCE
        pieces.append(corner[keep])
    soup = np.concatenate(pieces)
    if len(soup) == 0:
        raise ValueError(
            f"patch '{patch.name}' selects no face of link '{patch.link}'; check direction and bounds"
        )
    # one vertex for corners that coincide to a micrometre
    rounded, index = np.unique(np.round(soup.reshape(-1, 3), 7), axis=0, return_inverse=True)
    return TriMesh(rounded, index.reshape(-1, 3).astype(np.int32))


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
