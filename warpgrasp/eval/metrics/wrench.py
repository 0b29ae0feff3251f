"""Classical grasp quality: epsilon (Q1) and volume of the grasp wrench space (Ferrari and Canny 1992).

The wrench space is the convex hull of the wrenches of unit contact forces along the edges of the friction cones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import ConvexHull, QhullError

__all__ = ["contact_wrenches", "epsilon_quality", "volume_quality", "wrench_space_qualities"]

FloatArray = NDArray[np.float64]

_RANK_TOLERANCE = 1.0e-6  # relative; flatter hulls have no volume


def contact_wrenches(
    contact_position: ArrayLike,
    contact_normal: ArrayLike,
    center_of_mass: ArrayLike,
    *,
    friction: float,
    edge_count: int = 8,
    torque_weight: float = 5.0,
) -> FloatArray:
    """Wrenches [force; s torque] of unit normal forces with friction, shape [C * edge_count, 6].

    Args:
        contact_position: [m], shape [C, 3].
        contact_normal: Outward object normals, shape [C, 3].
        center_of_mass: [m], shape [3].
        friction: Coulomb coefficient.
        edge_count: Edges of the linearised friction cone.
        torque_weight: Scale s of torques against forces [1/m].
    """
    position = np.asarray(contact_position, dtype=np.float64).reshape(-1, 3)
    inward = -np.asarray(contact_normal, dtype=np.float64).reshape(-1, 3)
    helper = np.where(np.abs(inward[:, :1]) < 0.9, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    first = np.cross(inward, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(inward, first)
    angle = 2.0 * np.pi * np.arange(edge_count) / edge_count
    tangent = np.cos(angle)[:, None] * first[:, None, :] + np.sin(angle)[:, None] * second[:, None, :]
    force = inward[:, None, :] + friction * tangent
    arm = (position - np.asarray(center_of_mass, dtype=np.float64))[:, None, :]
    wrench = np.concatenate([force, torque_weight * np.cross(arm, force)], axis=2)
    return wrench.reshape(-1, 6)


def wrench_space_qualities(wrenches: ArrayLike) -> tuple[float, float]:
    """:func:`epsilon_quality` and :func:`volume_quality` from one hull, which is what costs."""
    hull = _hull(wrenches)
    return (0.0, 0.0) if hull is None else (_epsilon(hull), float(hull.volume))


def epsilon_quality(wrenches: ArrayLike) -> float:
    """Radius of the largest ball around the origin inside the hull of wrenches [K, D]; 0 without force closure."""
    return wrench_space_qualities(wrenches)[0]


def volume_quality(wrenches: ArrayLike) -> float:
    """Volume of the hull of wrenches [K, D]; 0 when it is flat."""
    return wrench_space_qualities(wrenches)[1]


def _epsilon(hull: ConvexHull) -> float:
    return float(max(-hull.equations[:, -1].max(), 0.0))


def _hull(wrenches: ArrayLike) -> ConvexHull | None:
    points = np.asarray(wrenches, dtype=np.float64)
    if points.ndim != 2 or len(points) <= points.shape[1] or not np.isfinite(points).all():
        return None
    values = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    if values[-1] <= _RANK_TOLERANCE * values[0]:
        return None
    try:
        return ConvexHull(points)
    except QhullError:
        return None
