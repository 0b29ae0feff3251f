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
from warpgrasp.kernels.hand_shapes import HandGeometry, depth_normal, to_geometry
from warpgrasp.kernels.kinematics import vec6
from warpgrasp.kernels.object_samples import GROUP_SIZE, SampleSet, geometries_near

__all__ = [
    "launch_clearance",
    "launch_deepest_geometry",
    "launch_penetration",
    "launch_penetration_taped",
]

wp.set_module_options({"enable_backward": True})


@wp.kernel(enable_backward=False)
def _penetration(
    geometry: HandGeometry,
    samples: SampleSet,
    object_index: wp.array(dtype=wp.int32),  # [B]
    geometry_pose: wp.array2d(dtype=wp.transform),  # [B, G]
    bound_center: wp.array2d(dtype=wp.vec3),  # [B, G]
    bound_axis: wp.array2d(dtype=wp.vec3),  # [B, G]
    weight: float,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
    link_wrench: wp.array2d(dtype=vec6),  # [B, L]
):
    grasp = wp.tid()
    obj = object_index[grasp]
    total = float(0.0)
    near_group = wp.uint64(0)
    for cluster in range(samples.cluster_sphere.shape[1]):
        if cluster % GROUP_SIZE == 0:
            sphere = samples.group_sphere[obj, cluster // GROUP_SIZE]
            near_group = geometries_near(
                geometry, geometry_pose, bound_center, bound_axis, grasp, geometry.mask, sphere
            )
        sphere = samples.cluster_sphere[obj, cluster]
        mask = geometries_near(geometry, geometry_pose, bound_center, bound_axis, grasp, near_group, sphere)
        if mask != wp.uint64(0):
            for s in range(samples.cluster_start[obj, cluster], samples.cluster_start[obj, cluster + 1]):
                point = samples.position[s]
                deepest = float(0.0)
                deepest_geometry = int(-1)
                deepest_normal = wp.vec3(0.0, 0.0, 0.0)
                remaining = mask
                g = int(0)
                while remaining != wp.uint64(0):
                    if (remaining & wp.uint64(1)) != wp.uint64(0):
                        hit = depth_normal(geometry, g, to_geometry(geometry_pose[grasp, g], point), deepest)
                        if hit[3] > deepest:
                            deepest = hit[3]
                            deepest_geometry = g
                            deepest_normal = wp.vec3(hit[0], hit[1], hit[2])
                    remaining = remaining >> wp.uint64(1)
                    g += 1
                if deepest_geometry >= 0:
                    total += deepest
                    force = weight * wp.transform_vector(
                        geometry_pose[grasp, deepest_geometry], deepest_normal
                    )
                    link = geometry.link[deepest_geometry]
                    add_point_force(link_wrench, grasp, link, point, force, wp.vec3(0.0, 0.0, 0.0))
    energy[grasp] = total


def launch_penetration(
    geometry: HandGeometry,
    samples: SampleSet,
    object_index: wp.array,
    geometry_pose: wp.array,
    bound_center: wp.array,
    bound_axis: wp.array,
    weight: float,
    *,
    energy: wp.array,
    link_wrench: wp.array,
) -> None:
    """Penetration energy [m], shape [B], and its weighted link wrenches [B, L]."""
    wp.launch(
        _penetration,
        dim=object_index.shape[0],
        inputs=[geometry, samples, object_index, geometry_pose, bound_center, bound_axis, weight],
        outputs=[energy, link_wrench],
        device=geometry_pose.device,
    )


@wp.kernel(enable_backward=False)
def _deepest_geometry(
    geometry: HandGeometry,
    samples: SampleSet,
    object_index: wp.array(dtype=wp.int32),  # [B]
    geometry_pose: wp.array2d(dtype=wp.transform),  # [B, G]
    # outputs
    deepest_geometry: wp.array2d(dtype=wp.int32),  # [B, S]
    deepest_plane: wp.array2d(dtype=wp.vec4),  # [B, S]
):
    grasp, s = wp.tid()
    obj = object_index[grasp]
    point = samples.position[samples.cluster_start[obj, 0] + s]
    deepest = float(0.0)
    deepest_geometry[grasp, s] = -1
    for g in range(geometry.type.shape[0]):
        x = to_geometry(geometry_pose[grasp, g], point)
        hit = depth_normal(geometry, g, x, deepest)
        if hit[3] > deepest:
            deepest = hit[3]
            deepest_geometry[grasp, s] = g
            offset = hit[3] + hit[0] * x[0] + hit[1] * x[1] + hit[2] * x[2]
            deepest_plane[grasp, s] = wp.vec4(hit[0], hit[1], hit[2], offset)


def launch_deepest_geometry(
    geometry: HandGeometry,
    samples: SampleSet,
    object_index: wp.array,
    geometry_pose: wp.array,
    *,
    deepest_geometry: wp.array,
    deepest_plane: wp.array,
) -> None:
    """Freeze the geometry (-1: none) and its tangent plane [B, S] that every sample is deepest in; unculled, never taped."""
    wp.launch(
        _deepest_geometry,
        dim=deepest_geometry.shape,
        inputs=[geometry, samples, object_index, geometry_pose],
        outputs=[deepest_geometry, deepest_plane],
        device=geometry_pose.device,
        record_tape=False,
    )


@wp.kernel
def _penetration_taped(
    geometry: HandGeometry,
    samples: SampleSet,
    object_index: wp.array(dtype=wp.int32),  # [B]
    deepest_geometry: wp.array2d(dtype=wp.int32),  # [B, S] frozen
    deepest_plane: wp.array2d(dtype=wp.vec4),  # [B, S] frozen
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
):
    grasp, s = wp.tid()
    g = deepest_geometry[grasp, s]
    if g >= 0:
        obj = object_index[grasp]
        point = samples.position[samples.cluster_start[obj, 0] + s]
        pose = wp.transform_multiply(link_pose[grasp, geometry.link[g]], geometry.pose[g])
        x = wp.transform_point(wp.transform_inverse(pose), point)
        plane = deepest_plane[grasp, s]
        wp.atomic_add(energy, grasp, plane[3] - plane[0] * x[0] - plane[1] * x[1] - plane[2] * x[2])


def launch_penetration_taped(
    geometry: HandGeometry,
    samples: SampleSet,
    object_index: wp.array,
    deepest_geometry: wp.array,
    deepest_plane: wp.array,
    link_pose: wp.array,
    *,
    energy: wp.array,
) -> None:
    """Add the penetration energy [m] of every grasp to ``energy`` [B]; taped, deepest planes frozen."""
    wp.launch(
        _penetration_taped,
        dim=deepest_geometry.shape,
        inputs=[geometry, samples, object_index, deepest_geometry, deepest_plane, link_pose],
        outputs=[energy],
        device=link_pose.device,
    )


@wp.kernel(enable_backward=False)
def _clearance(
    geometry: HandGeometry,
    samples: SampleSet,
    object_index: wp.array(dtype=wp.int32),  # [B]
    geometry_pose: wp.array2d(dtype=wp.transform),  # [B, G]
    bound_center: wp.array2d(dtype=wp.vec3),  # [B, G]
    bound_axis: wp.array2d(dtype=wp.vec3),  # [B, G]
    margin: float,
    # outputs
    clearance: wp.array(dtype=wp.float32),  # [B]
):
    grasp = wp.tid()
    obj = object_index[grasp]
    smallest = margin
    for cluster in range(samples.cluster_sphere.shape[1]):
        sphere = samples.cluster_sphere[obj, cluster]
        grown = wp.vec4(sphere[0], sphere[1], sphere[2], sphere[3] + margin)
        mask = geometries_near(geometry, geometry_pose, bound_center, bound_axis, grasp, geometry.mask, grown)
        if mask != wp.uint64(0):
            for s in range(samples.cluster_start[obj, cluster], samples.cluster_start[obj, cluster + 1]):
                remaining = mask
                g = int(0)
                while remaining != wp.uint64(0):
                    if (remaining & wp.uint64(1)) != wp.uint64(0):
                        x = to_geometry(geometry_pose[grasp, g], samples.position[s])
                        hit = depth_normal(geometry, g, x, -smallest)
                        smallest = wp.min(smallest, -hit[3])
                    remaining = remaining >> wp.uint64(1)
                    g += 1
    clearance[grasp] = smallest


def launch_clearance(
    geometry: HandGeometry,
    samples: SampleSet,
    object_index: wp.array,
    geometry_pose: wp.array,
    bound_center: wp.array,
    bound_axis: wp.array,
    margin: float,
    *,
    clearance: wp.array,
) -> None:
    """Smallest distance [m] of the hand to the object's samples [B], negative when inside, at most ``margin``.

    A lower bound near edges of boxes and convex meshes, exact elsewhere.
    """
    wp.launch(
        _clearance,
        dim=object_index.shape[0],
        inputs=[geometry, samples, object_index, geometry_pose, bound_center, bound_axis, margin],
        outputs=[clearance],
        device=geometry_pose.device,
    )
