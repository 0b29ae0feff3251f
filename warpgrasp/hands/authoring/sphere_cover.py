"""Spheres that stand for a link in self-collision: few, inside the shapes but for a margin, near all of the surface.

Candidates are the largest balls that touch the outer surface from inside (medial balls, found by shrinking); a greedy
cover keeps those that bring most of the still uncovered surface within reach. Deterministic.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from warpgrasp.geometry.shapes import Shape
from warpgrasp.hands.contact_sampling import spread_over_mesh

__all__ = ["MOST_UNCOVERED", "cover_with_spheres", "enough_spheres", "uncovered_depth"]

MOST_UNCOVERED = 8e-3
"""How far 90 % of a finger link's surface may stand out of its spheres [m]."""

FloatArray = NDArray[np.float64]

_SAMPLE_AREA = 4e-6  # m^2 of surface per sample
_SAMPLE_RANGE = (300, 2500)  # samples of a link, at least and at most
_SHRINK_STEPS = 12
_BALL_POINTS = 80  # on a ball, to see whether it stands out


def cover_with_spheres(
    shapes: Sequence[Shape],
    *,
    gap: float = 0.0035,
    overshoot: float = 0.001,
    bulge: float | None = None,
    share: float = 0.98,
    limit: int = 8,
) -> tuple[tuple[float, float, float, float], ...]:
    """Spheres ``(x, y, z, radius)`` [m] in the link frame.

    Args:
        shapes: The link's collision shapes.
        gap: Surface closer than this to a sphere counts as covered [m].
        overshoot: How far spheres may stand out of the surface where they touch it [m].
        bulge: Leave out balls that stand out farther than this anywhere, as between the samples of a thin plate [m].
        share: Stop when this share of the surface is covered.
        limit: Most spheres.
    """
    point, normal = _outer_surface(shapes)
    center, radius = _medial_balls(point, normal)
    # where two shapes almost touch, a ball may sit in the gap between them
    inside = np.min([shape.inner_distance(center) for shape in shapes], axis=0) < -1e-4
    center, radius = center[inside], radius[inside] + overshoot
    if bulge is not None:
        flat = _bulge(shapes, center, radius) < bulge
        center, radius = center[flat], radius[flat]
    distance = np.linalg.norm(point[None] - center[:, None], axis=2) - radius[:, None]
    covers = distance < gap
    open_points = np.ones(len(point), dtype=bool)
    chosen: list[int] = []
    while len(chosen) < limit and open_points.mean() > 1.0 - share:
        gain = covers[:, open_points].sum(axis=1)
        best = int(np.argmax(gain))
        if gain[best] == 0:
            break
        chosen.append(best)
        open_points &= ~covers[best]
    rounded = np.round(np.column_stack([center, radius])[chosen], 5)
    return tuple((float(x), float(y), float(z), float(r)) for x, y, z, r in rounded)


def enough_spheres(
    shapes: Sequence[Shape], *, least: int, most: int
) -> tuple[tuple[float, float, float, float], ...]:
    """The spheres of :func:`cover_with_spheres`: ``least`` where they suffice, more for a link that stands out of them.

    Args:
        shapes: The link's collision shapes.
        least: Spheres that a link has anyway, if its cover does not end before.
        most: Most spheres; fewer as soon as 90 % of the surface stands out of them by :data:`MOST_UNCOVERED` at most.
    """
    spheres = cover_with_spheres(shapes, limit=least)
    if len(spheres) < least or _standing_out(shapes, spheres) <= MOST_UNCOVERED:
        return spheres
    spheres = cover_with_spheres(shapes, limit=most)  # begins with the same ones
    for count in range(least + 1, len(spheres)):
        if _standing_out(shapes, spheres[:count]) <= MOST_UNCOVERED:
            return spheres[:count]
    return spheres


def _standing_out(shapes: Sequence[Shape], spheres: tuple[tuple[float, float, float, float], ...]) -> float:
    return float(np.percentile(uncovered_depth(shapes, np.array(spheres)), 90))


def _bulge(shapes: Sequence[Shape], center: FloatArray, radius: FloatArray) -> FloatArray:
    """How far each ball stands out of the shapes [m] (of a convex shape: out of its planes), shape [N]."""
    k = np.arange(_BALL_POINTS) + 0.5
    height, angle = 1.0 - 2.0 * k / _BALL_POINTS, np.pi * (1.0 + np.sqrt(5.0)) * k
    ring = np.sqrt(1.0 - height**2)
    direction = np.stack([ring * np.cos(angle), ring * np.sin(angle), height], axis=1)
    point = (center[:, None] + radius[:, None, None] * direction).reshape(-1, 3)
    outside = np.min([shape.inner_distance(point) for shape in shapes], axis=0)
    return np.asarray(outside.reshape(len(center), -1).max(axis=1))


def uncovered_depth(shapes: Sequence[Shape], spheres: FloatArray) -> FloatArray:
    """How far samples of the outer surface stand out of the spheres [S, 4] [m]; negative inside a sphere."""
    point, _ = _outer_surface(shapes)
    return np.asarray(
        (np.linalg.norm(point[None] - spheres[:, None, :3], axis=2) - spheres[:, 3:]).min(axis=0)
    )


def _outer_surface(shapes: Sequence[Shape]) -> tuple[FloatArray, FloatArray]:
    """Even samples of the surface of the shapes' union, with outward normals."""
    corners = [shape.mesh.vertices[shape.mesh.faces] for shape in shapes]
    area = [
        0.5 * np.linalg.norm(np.cross(c[:, 1] - c[:, 0], c[:, 2] - c[:, 0]), axis=1).sum() for c in corners
    ]
    total = float(np.clip(sum(area) / _SAMPLE_AREA, *_SAMPLE_RANGE))
    points, normals = [], []
    for index, (shape, corner) in enumerate(zip(shapes, corners, strict=True)):
        count = max(20, round(total * area[index] / sum(area)))
        point, normal = spread_over_mesh(corner, count)
        free = np.ones(count, dtype=bool)
        for other in shapes:
            if other is not shape:
                free &= other.inner_distance(point) > -1e-6
        points.append(point[free])
        normals.append(normal[free])
    return np.concatenate(points), np.concatenate(normals)


def _medial_balls(point: FloatArray, normal: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Largest ball inside the surface that touches it at each sample (shrinking-ball algorithm)."""
    tree = cKDTree(point)
    radius = np.full(len(point), float(np.ptp(point, axis=0).max()))
    for _ in range(_SHRINK_STEPS):
        center = point - radius[:, None] * normal
        distance, nearest = tree.query(center)
        offset = point - point[nearest]
        along = np.einsum("ij,ij->i", offset, normal)
        # the ball through the sample, tangent there, that just touches the nearest other sample
        touching = np.einsum("ij,ij->i", offset, offset) / (2.0 * np.maximum(along, 1e-12))
        shrink = (distance < radius - 1e-6) & (along > 1e-9)
        radius = np.where(shrink, np.minimum(radius, touching), radius)
    return point - radius[:, None] * normal, radius
