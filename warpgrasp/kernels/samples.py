"""Surface samples of the objects, sorted into clusters with bounding spheres, and the culling test against the hand.

Neighbouring clusters form groups: what does not reach a group's sphere needs no test against the spheres of its clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import warp as wp

from warpgrasp.kernels.geometry import HandGeometry, depth_normal, segment_distance_squared, to_geometry

if TYPE_CHECKING:
    from warpgrasp.objects import ObjectModel

__all__ = ["GROUP_SIZE", "SampleSet", "geometries_near", "sample_set"]

wp.set_module_options({"enable_backward": False})

_CLUSTER_SIZE = 20  # samples per cluster; on a CPU, clusters of at most 10 gain 15 % at best
GROUP_SIZE = wp.constant(8)  # clusters per group; 16 cost the same


@wp.struct
class SampleSet:
    """Surface samples of ``O`` objects, sorted into clusters."""

    position: wp.array(dtype=wp.vec3)  # [sum of samples] m, object frame
    cluster_start: wp.array2d(dtype=wp.int32)  # [O, K + 1]
    cluster_sphere: wp.array2d(dtype=wp.vec4)  # [O, K] center and radius [m]
    group_sphere: wp.array2d(dtype=wp.vec4)  # [O, ceil(K / GROUP_SIZE)] around successive clusters' samples


def sample_set(objects: Sequence[ObjectModel], sample_count: int, device: Any) -> SampleSet:
    """Sort the surface samples of every object into clusters of neighbours on ``device``."""
    positions, starts, spheres, group_spheres = [], [], [], []
    total = 0
    for model in objects:
        points = model.surface_samples(sample_count)[0]
        clusters = _clusters(points, np.arange(len(points)))
        positions.append(points[np.concatenate(clusters)])
        starts.append(total + np.concatenate([[0], np.cumsum([len(c) for c in clusters])]))
        spheres.append([_bounding_sphere(points[c]) for c in clusters])
        groups = [np.concatenate(clusters[k : k + GROUP_SIZE]) for k in range(0, len(clusters), GROUP_SIZE)]
        group_spheres.append([_bounding_sphere(points[c]) for c in groups])
        total += len(points)
    result = SampleSet()
    result.position = wp.array(np.concatenate(positions), dtype=wp.vec3, device=device)
    result.cluster_start = wp.array(np.array(starts), dtype=wp.int32, device=device)
    result.cluster_sphere = wp.array(np.array(spheres), dtype=wp.vec4, device=device)
    result.group_sphere = wp.array(np.array(group_spheres), dtype=wp.vec4, device=device)
    return result


def _clusters(points: np.ndarray, index: np.ndarray) -> list[np.ndarray]:
    """Split at the median of the longest axis until a cluster has at most ``_CLUSTER_SIZE`` samples."""
    if len(index) <= _CLUSTER_SIZE:
        return [index]
    axis = int(np.argmax(np.ptp(points[index], axis=0)))
    order = index[np.argsort(points[index, axis], kind="stable")]
    half = len(order) // 2
    return _clusters(points, order[:half]) + _clusters(points, order[half:])


def _bounding_sphere(points: np.ndarray) -> np.ndarray:
    center = 0.5 * (points.min(axis=0) + points.max(axis=0))
    radius = np.linalg.norm(points - center, axis=1).max()
    return np.append(center, radius * (1.0 + 1e-6) + 1e-7)


@wp.func
def geometries_near(
    geometry: HandGeometry,
    geometry_pose: wp.array2d(dtype=wp.transform),
    bound_center: wp.array2d(dtype=wp.vec3),
    bound_axis: wp.array2d(dtype=wp.vec3),
    grasp: int,
    candidates: wp.uint64,
    sphere: wp.vec4,
) -> wp.uint64:
    """The bits of ``candidates`` whose geometry may touch a sphere: its bounding capsule does and no plane separates them."""
    mask = wp.uint64(0)
    center = wp.vec3(sphere[0], sphere[1], sphere[2])
    separated = -1.00001 * sphere[3] - 1.0e-6  # float32 rounding must not cull what touches
    remaining = candidates
    bit = wp.uint64(1)
    g = int(0)
    while remaining != wp.uint64(0):
        if (remaining & wp.uint64(1)) != wp.uint64(0):
            reach = sphere[3] + geometry.bound_radius[g]
            if segment_distance_squared(center, bound_center[grasp, g], bound_axis[grasp, g]) < reach * reach:
                x = to_geometry(geometry_pose[grasp, g], center)
                if depth_normal(geometry, g, x, separated)[3] > separated:
                    mask = mask | bit
        remaining = remaining >> wp.uint64(1)
        bit = bit << wp.uint64(1)
        g += 1
    return mask
