"""Distance of the hand's geometry to the samples of the object: whether a pregrasp is clear of it."""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.hand_shapes import GeometryPoses, HandGeometry, depth_normal, to_geometry
from warpgrasp.kernels.lanes import first_bit
from warpgrasp.kernels.object_samples import SampleSet, geometries_near

__all__ = ["clearance_kernel"]

wp.set_module_options({"enable_backward": False})


@wp.kernel
def clearance_kernel(
    geometry: HandGeometry,
    samples: SampleSet,
    object_index: wp.array(dtype=wp.int32),  # [B]
    poses: GeometryPoses,
    margin: float,
    # outputs
    clearance: wp.array(dtype=wp.float32),  # [B]
):
    """Smallest distance [m] of the hand to the object's samples [B], negative when inside, at most ``margin``.

    A lower bound near edges of boxes and convex meshes, exact elsewhere.
    """
    grasp = wp.tid()
    obj = object_index[grasp]
    smallest = margin
    for cluster in range(samples.cluster_sphere.shape[1]):
        sphere = samples.cluster_sphere[obj, cluster]
        grown = wp.vec4(sphere[0], sphere[1], sphere[2], sphere[3] + margin)
        mask = geometries_near(geometry, poses, grasp, geometry.mask, grown)
        if mask != wp.uint64(0):
            for s in range(samples.cluster_start[obj, cluster], samples.cluster_start[obj, cluster + 1]):
                remaining = mask
                while remaining != wp.uint64(0):
                    g = first_bit(remaining)
                    remaining = remaining & (remaining - wp.uint64(1))
                    x = to_geometry(poses.pose[grasp, g], samples.position[s])
                    hit = depth_normal(geometry, g, x, -smallest)
                    smallest = wp.min(smallest, -hit[3])
    clearance[grasp] = smallest
