"""Clusters of neighbouring points, each in a sphere, so that searches can pass over what is far away."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["bounding_disc", "bounding_sphere", "clusters_of"]


def clusters_of(points: NDArray[np.float64], largest: int) -> list[NDArray[np.int64]]:
    """Indices of the points of every cluster: split at the median of the longest axis until at most ``largest`` are left.

    Args:
        points: Positions [m], shape [P, 3].
        largest: Points of a cluster, at least 1.
    """
    return _split(points, np.arange(len(points)), largest) if len(points) else []


def _split(points: NDArray[np.float64], index: NDArray[np.int64], largest: int) -> list[NDArray[np.int64]]:
    if len(index) <= largest:
        return [index]
    axis = int(np.argmax(np.ptp(points[index], axis=0)))
    order = index[np.argsort(points[index, axis], kind="stable")]
    half = len(order) // 2
    return _split(points, order[:half], largest) + _split(points, order[half:], largest)


def bounding_sphere(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Center and radius [m] of a sphere around points [P, 3], a little too large for float32, shape [4]."""
    center = 0.5 * (points.min(axis=0) + points.max(axis=0))
    radius = np.linalg.norm(points - center, axis=1).max()
    return np.append(center, radius * (1.0 + 1e-6) + 1e-7)


def bounding_disc(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cylinder around points [P, 3], a little too large for float32: center, radius [m], unit axis, half height [m], shape [8].

    Its axis is the direction in which the points differ least, so that it is flat where they are.
    """
    center = points.mean(axis=0)
    offset = points - center
    axis = np.linalg.eigh(offset.T @ offset)[1][:, 0].astype(np.float32).astype(np.float64)
    height = offset @ axis
    middle = 0.5 * (height.min() + height.max())
    flat = np.linalg.norm(offset - height[:, None] * axis, axis=1).max()
    sizes = np.array([flat, height.max() - middle]) * (1.0 + 1e-6) + 1e-6
    return np.concatenate([center + middle * axis, sizes[:1], axis, sizes[1:]])
