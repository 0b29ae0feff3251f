"""Contact candidates: points spread evenly over contact patches and put on the collision surface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from warpgrasp.geometry.shapes import Shape

__all__ = [
    "MINIMUM_PER_PATCH",
    "ContactCandidates",
    "default_candidate_count",
    "sample_candidates",
    "spread_over_mesh",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]

MINIMUM_PER_PATCH = 8
_DENSE_PER_CANDIDATE = 24  # points on the patch from which farthest-point sampling picks one candidate
_BURIED_TOLERANCE = (
    5e-6  # m; a surface point deeper than this in a sibling shape of the link cannot touch anything
)
_CLEARANCE = (
    1e-3  # m; stepping this far out of the surface must not enter a sibling shape (a notch between two)
)
_FACING = 0.5  # cosine between the patch's own normal and the surface's; less means the wrong side of an edge
_SURFACE_TOLERANCE = 5e-3  # m; a patch farther than this from the collision surface is an authoring error


class Patch(Protocol):
    """What is needed of a contact patch; see ``warpgrasp.hands.model.ContactPatch``."""

    @property
    def name(self) -> str: ...
    @property
    def link(self) -> int: ...
    @property
    def finger(self) -> str: ...
    @property
    def vertices(self) -> FloatArray: ...
    @property
    def faces(self) -> IntArray: ...


@dataclass(frozen=True, eq=False)
class ContactCandidates:
    """N points at which the hand may touch, grouped by patch.

    ``link`` [N]; ``position`` [N, 3] m and outward unit ``normal`` [N, 3] in the link frame; ``finger`` [N] indexes
    ``finger_names``; ``patch`` [N] indexes the grasp type's patches in the hand's order.
    """

    link: IntArray
    position: FloatArray
    normal: FloatArray
    finger: IntArray
    finger_names: tuple[str, ...]
    patch: IntArray

    @property
    def count(self) -> int:
        """Number of candidates N."""
        return len(self.link)


def default_candidate_count(patch_count: int) -> int:
    """Ten candidates a patch, but at least 64 in all so that two pads are not sparse, and at most 200."""
    return max(MINIMUM_PER_PATCH * patch_count, min(200, max(64, 10 * patch_count)))


def sample_candidates(
    patches: Sequence[Patch], shapes: Sequence[list[Shape]], *, count: int = 0
) -> ContactCandidates:
    """Farthest-point sample the patches; the same input always gives the same candidates.

    Args:
        patches: Contact patches.
        shapes: For each patch, the collision shapes of its link.
        count: Candidates in all; 0 takes :func:`default_candidate_count`.
    """
    if not patches:
        raise ValueError("no contact patches to sample; the grasp type must name at least one patch")
    if count == 0:
        count = default_candidate_count(len(patches))
    if count < len(patches):
        raise ValueError(f"count must be at least the number of patches, {len(patches)} (got {count})")
    share = _shares([_patch_area(patch) for patch in patches], count)
    finger_names = tuple(dict.fromkeys(patch.finger for patch in patches))
    position, normal = [], []
    for patch, own_shapes, number in zip(patches, shapes, share, strict=True):
        point, outward = _patch_surface(patch, own_shapes, number * _DENSE_PER_CANDIDATE)
        picked = _farthest_points(point, number)
        position.append(point[picked])
        normal.append(outward[picked])
    order = np.repeat(np.arange(len(patches), dtype=np.int32), share)
    return ContactCandidates(
        link=np.array([patch.link for patch in patches], dtype=np.int32)[order],
        position=np.concatenate(position),
        normal=np.concatenate(normal),
        finger=np.array([finger_names.index(patch.finger) for patch in patches], dtype=np.int32)[order],
        finger_names=finger_names,
        patch=order,
    )


def _patch_area(patch: Patch) -> float:
    corner = patch.vertices[patch.faces]
    return float(
        0.5 * np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1).sum()
    )


def _shares(areas: list[float], count: int) -> IntArray:
    """Candidates of each patch: a floor for all, the rest by the square root of the area (tips matter most)."""
    floor = min(MINIMUM_PER_PATCH, count // len(areas))
    weight = np.sqrt(areas)
    ideal = (count - floor * len(areas)) * weight / weight.sum()
    share = np.floor(ideal).astype(np.int32)
    missing = count - floor * len(areas) - int(share.sum())
    share[np.argsort(share - ideal, kind="stable")[:missing]] += 1
    return share + np.int32(floor)


def _patch_surface(patch: Patch, shapes: list[Shape], count: int) -> tuple[FloatArray, FloatArray]:
    """Dense points of a patch on the outer surface of its link, with outward normals."""
    if not shapes:
        raise ValueError(
            f"contact patch '{patch.name}' lies on a link without collision geometry; add geometry to it"
        )
    raw, facing = spread_over_mesh(patch.vertices[patch.faces], count)
    nearest = np.stack([np.abs(shape.signed_distance(raw)) for shape in shapes])
    owner = np.argmin(nearest, axis=0)
    worst = float(nearest.min(axis=0).max())
    if worst > _SURFACE_TOLERANCE:
        raise ValueError(
            f"contact patch '{patch.name}' is {1e3 * worst:.1f} mm away from the collision surface of its link; "
            f"move its mesh to within {1e3 * _SURFACE_TOLERANCE:.0f} mm"
        )
    point, normal = np.empty_like(raw), np.empty_like(raw)
    for index, shape in enumerate(shapes):
        own = owner == index
        point[own], normal[own], _ = shape.closest_surface_points(raw[own])
    free = np.einsum("ij,ij->i", normal, facing) > _FACING
    for shape in shapes:
        free &= shape.inner_distance(point) > -_BURIED_TOLERANCE
        free &= shape.inner_distance(point + _CLEARANCE * normal) > 0.0
    if not free.any():
        raise ValueError(
            f"contact patch '{patch.name}' is buried inside its own link; move it to the outer surface"
        )
    return point[free], normal[free]


def spread_over_mesh(triangles: FloatArray, count: int) -> tuple[FloatArray, FloatArray]:
    """Evenly spread points on triangles [F, 3, 3] and the triangles' normals there.

    A low-discrepancy sequence stands in for random numbers, so the result is always the same.
    """
    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    area = np.linalg.norm(normal, axis=1)  # twice the area; only ratios count
    cumulative = np.cumsum(area) / area.sum()
    index = np.arange(count)
    face = np.minimum(np.searchsorted(cumulative, (index + 0.5) / count), len(triangles) - 1)
    # the additive recurrence with the plastic number fills the unit square evenly
    plastic = 1.32471795724474602596
    u = (0.5 + index / plastic) % 1.0
    v = (0.5 + index / plastic**2) % 1.0
    fold = u + v > 1.0
    u, v = np.where(fold, 1.0 - u, u), np.where(fold, 1.0 - v, v)
    corner = triangles[face]
    point = (
        corner[:, 0] + u[:, None] * (corner[:, 1] - corner[:, 0]) + v[:, None] * (corner[:, 2] - corner[:, 0])
    )
    return point, (normal / np.maximum(area, 1e-30)[:, None])[face]


def _farthest_points(points: FloatArray, count: int) -> IntArray:
    """Indices of a farthest-point sample that starts at the point nearest to the mean."""
    if len(points) < count:
        raise ValueError(
            f"only {len(points)} of the {count} wanted contact candidates lie free; ask for fewer"
        )
    picked = [int(np.argmin(np.linalg.norm(points - points.mean(axis=0), axis=1)))]
    distance = np.linalg.norm(points - points[picked[0]], axis=1)
    while len(picked) < count:
        picked.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(points - points[picked[-1]], axis=1))
    return np.array(picked, dtype=np.int32)
