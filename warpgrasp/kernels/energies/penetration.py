"""Penetration of object surface samples into the hand's link geometry, with culling that gives the same value.

``E_pen = sum_samples max(0, max_geometry depth)``, the depth of a sample inside a capsule, a box or a convex mesh
(Wang et al. 2023; Zurbrügg et al. 2025).
Bounds decide what is looked at, none changes the sum: bounding spheres of *clusters* of neighbouring samples and of *groups* of
clusters, a bounding capsule per geometry, and the geometry's own planes. Within a grasp, a group is tested against every
geometry, a cluster against those near its group, a sample against those near its cluster. The search for a depth ends at the
first plane that rules out a deeper one.

The gradient moves the hand: at a sample the deepest geometry's outward normal ``n`` is the force dE/d(translation of the link).
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.contact import add_point_force
from warpgrasp.kernels.hand_shapes import (
    GeometryPoses,
    HandGeometry,
    depth_normal,
    to_geometry,
)
from warpgrasp.kernels.object_samples import (
    GROUP_SIZE,
    SampleSet,
    first_bit,
    geometries_near,
    geometries_near_cluster,
)
from warpgrasp.kernels.spatial import vec6

__all__ = [
    "clearance_kernel",
    "deepest_geometry_kernel",
    "penetration_kernel",
    "penetration_taped_kernel",
]

wp.set_module_options({"enable_backward": True})


@wp.kernel(enable_backward=False)
def penetration_kernel(
    geometry: HandGeometry,
    samples: SampleSet,
    object_index: wp.array(dtype=wp.int32),  # [B]
    poses: GeometryPoses,
    weight: float,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
    link_wrench: wp.array2d(dtype=vec6),  # [B, L]
):
    """Penetration energy [m], shape [B], and its weighted link wrenches [B, L]."""
    grasp = wp.tid()
    obj = object_index[grasp]
    total = float(0.0)
    near_group = wp.uint64(0)
    for cluster in range(samples.cluster_sphere.shape[1]):
        if cluster % GROUP_SIZE == 0:
            sphere = samples.group_sphere[obj, cluster // GROUP_SIZE]
            near_group = geometries_near(geometry, poses, grasp, geometry.mask, sphere)
        mask = geometries_near_cluster(geometry, poses, grasp, near_group, samples, obj, cluster)
        if mask != wp.uint64(0):
            first = first_bit(mask)
            for s in range(samples.cluster_start[obj, cluster], samples.cluster_start[obj, cluster + 1]):
                point = samples.position[s]
                deepest = float(0.0)
                deepest_geometry = int(-1)
                deepest_normal = wp.vec3(0.0, 0.0, 0.0)
                remaining = mask >> wp.uint64(first)
                g = int(first)
                while remaining != wp.uint64(0):
                    if (remaining & wp.uint64(1)) != wp.uint64(0):
                        hit = depth_normal(geometry, g, to_geometry(poses.pose[grasp, g], point), deepest)
                        if hit[3] > deepest:
                            deepest = hit[3]
                            deepest_geometry = g
                            deepest_normal = wp.vec3(hit[0], hit[1], hit[2])
                    remaining = remaining >> wp.uint64(1)
                    g += 1
                if deepest_geometry >= 0:
                    total += deepest
                    force = weight * wp.transform_vector(poses.pose[grasp, deepest_geometry], deepest_normal)
                    link = geometry.link[deepest_geometry]
                    add_point_force(link_wrench, grasp, link, point, force, wp.vec3(0.0, 0.0, 0.0))
    energy[grasp] = total


@wp.kernel(enable_backward=False)
def deepest_geometry_kernel(
    geometry: HandGeometry,
    samples: SampleSet,
    object_index: wp.array(dtype=wp.int32),  # [B]
    poses: GeometryPoses,
    # outputs
    deepest_geometry: wp.array2d(dtype=wp.int32),  # [B, S]
    deepest_plane: wp.array2d(dtype=wp.vec4),  # [B, S]
):
    """Freeze the geometry (-1: none) and its tangent plane [B, S] that every sample is deepest in; unculled, never taped."""
    grasp, s = wp.tid()
    obj = object_index[grasp]
    point = samples.position[samples.cluster_start[obj, 0] + s]
    deepest = float(0.0)
    deepest_geometry[grasp, s] = -1
    for g in range(geometry.type.shape[0]):
        x = to_geometry(poses.pose[grasp, g], point)
        hit = depth_normal(geometry, g, x, deepest)
        if hit[3] > deepest:
            deepest = hit[3]
            deepest_geometry[grasp, s] = g
            offset = hit[3] + hit[0] * x[0] + hit[1] * x[1] + hit[2] * x[2]
            deepest_plane[grasp, s] = wp.vec4(hit[0], hit[1], hit[2], offset)


@wp.kernel
def penetration_taped_kernel(
    geometry: HandGeometry,
    samples: SampleSet,
    object_index: wp.array(dtype=wp.int32),  # [B]
    deepest_geometry: wp.array2d(dtype=wp.int32),  # [B, S] frozen
    deepest_plane: wp.array2d(dtype=wp.vec4),  # [B, S] frozen
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
):
    """Add the penetration energy [m] of every grasp to ``energy`` [B]; taped, deepest planes frozen."""
    grasp, s = wp.tid()
    g = deepest_geometry[grasp, s]
    if g >= 0:
        obj = object_index[grasp]
        point = samples.position[samples.cluster_start[obj, 0] + s]
        pose = wp.transform_multiply(link_pose[grasp, geometry.link[g]], geometry.pose[g])
        x = wp.transform_point(wp.transform_inverse(pose), point)
        plane = deepest_plane[grasp, s]
        wp.atomic_add(energy, grasp, plane[3] - plane[0] * x[0] - plane[1] * x[1] - plane[2] * x[2])


@wp.kernel(enable_backward=False)
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
                g = int(0)
                while remaining != wp.uint64(0):
                    if (remaining & wp.uint64(1)) != wp.uint64(0):
                        x = to_geometry(poses.pose[grasp, g], samples.position[s])
                        hit = depth_normal(geometry, g, x, -smallest)
                        smallest = wp.min(smallest, -hit[3])
                    remaining = remaining >> wp.uint64(1)
                    g += 1
    clearance[grasp] = smallest
