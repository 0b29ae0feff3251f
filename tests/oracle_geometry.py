"""Closest mesh points, signed distances and depths in float64 NumPy, by brute force and by SciPy's convex hulls."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from warpgrasp.hands import GeometryType, HandModel
from warpgrasp.objects import ObjectModel

__all__ = ["closest_on_mesh", "geometry_depth", "quaternion_matrix"]

FloatArray = NDArray[np.float64]


def geometry_depth(hand: HandModel, geometry: int, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Depth [N] (negative outside) and outward normal [N, 3] of points in the frame of one geometry.

    Convex geometries are taken from their mesh by SciPy's convex hull, not from the stored planes.
    """
    size = hand.geometry_size[geometry]
    if hand.geometry_type[geometry] == GeometryType.CAPSULE:
        offset = points - np.clip(points[:, 2:], -size[1], size[1]) * np.array([0.0, 0.0, 1.0])
        length = np.linalg.norm(offset, axis=1)
        return size[0] - length, offset / np.maximum(length, 1e-12)[:, None]
    if hand.geometry_type[geometry] == GeometryType.BOX:
        axes = np.concatenate([np.eye(3), -np.eye(3)])
        plane = np.concatenate([axes, np.concatenate([size, size])[:, None]], axis=1)
    else:
        turn = quaternion_matrix(hand.geometry_quaternion[geometry])
        vertices = (hand.geometry_mesh[geometry].vertices - hand.geometry_position[geometry]) @ turn
        hull = ConvexHull(vertices).equations
        plane = np.concatenate([hull[:, :3], -hull[:, 3:]], axis=1)
    depth = plane[:, 3] - points @ plane[:, :3].T
    nearest = np.argmin(depth, axis=1)
    return depth[np.arange(len(points)), nearest], plane[nearest, :3]


def closest_on_mesh(model: ObjectModel, point: FloatArray) -> tuple[FloatArray, float]:
    """Closest mesh point (brute force over all triangles) and signed distance by the winding number [m]."""
    corners = model.vertices[model.faces]
    closest = _closest_on_triangles(corners, point)
    nearest = closest[np.argmin(np.sum((closest - point) ** 2, axis=1))]
    a, b, c = (corners[:, k] - point for k in range(3))
    la, lb, lc = (np.linalg.norm(x, axis=1) for x in (a, b, c))
    triple = np.einsum("fi,fi->f", a, np.cross(b, c))
    dots = [np.einsum("fi,fi->f", x, y) for x, y in ((a, b), (b, c), (c, a))]
    solid_angle = 2.0 * np.arctan2(triple, la * lb * lc + dots[0] * lc + dots[1] * la + dots[2] * lb)
    inside = solid_angle.sum() / (4.0 * np.pi) > 0.5
    return nearest, float(np.linalg.norm(point - nearest)) * (-1.0 if inside else 1.0)


def _closest_on_triangles(corners: FloatArray, point: FloatArray) -> FloatArray:
    """Closest point of every triangle [F, 3]: the plane's foot where it is inside, else the best of three edges."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    options = []
    for start, end in ((a, b), (b, c), (c, a)):
        edge = end - start
        along = np.einsum("fi,fi->f", point - start, edge) / np.maximum(np.sum(edge**2, axis=1), 1e-30)
        options.append(start + np.clip(along, 0.0, 1.0)[:, None] * edge)
    normal = np.cross(b - a, c - a)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
    foot = point - np.einsum("fi,fi->f", point - a, normal)[:, None] * normal
    inside = np.ones(len(corners), dtype=bool)
    for start, end in ((a, b), (b, c), (c, a)):
        inside &= np.einsum("fi,fi->f", np.cross(normal, end - start), foot - start) >= 0.0
    edges = np.stack(options)
    best = edges[np.argmin(np.sum((edges - point) ** 2, axis=2), axis=0), np.arange(len(corners))]
    return np.where(inside[:, None], foot, best)


def quaternion_matrix(quaternion: FloatArray) -> FloatArray:
    matrix: FloatArray = Rotation.from_quat(quaternion).as_matrix()
    return matrix
