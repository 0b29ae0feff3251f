"""Depth of the hand's spheres inside the object, ``sum_s max(0, r_s - allowance - d(x_s))``, ``d`` the signed distance.

The samples of ``penetration`` see the object's *surface* inside the hand. A finger that is wholly inside the object has no
surface inside it; its spheres are what feels it. A coarse bound of the distance tells which spheres need the exact query.
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.distance_bound import DistanceBound, query_nearer
from warpgrasp.kernels.energies.self_penetration import HandSpheres
from warpgrasp.kernels.lanes import LANES, add_wrenches, lane_sum
from warpgrasp.kernels.mesh_distance import UNBOUNDED, MeshSet, query_closest_feature
from warpgrasp.kernels.spatial import vec6

__all__ = ["launch_closest_to_spheres", "sphere_penetration_kernel", "sphere_penetration_taped_kernel"]

wp.set_module_options({"enable_backward": True, "block_dim": LANES})


@wp.func
def _center(
    spheres: HandSpheres, link_pose: wp.array2d(dtype=wp.transform), grasp: int, sphere: int
) -> wp.vec3:
    return wp.transform_point(link_pose[grasp, spheres.link[sphere]], spheres.position[sphere])


@wp.kernel(enable_backward=False)
def sphere_penetration_kernel(
    spheres: HandSpheres,
    meshes: MeshSet,
    bound: DistanceBound,
    object_index: wp.array(dtype=wp.int32),  # [B]
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    allowance: float,
    weight: float,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
    link_wrench: wp.array2d(dtype=vec6),  # [B, L]
):
    """Depth of the spheres beyond ``allowance`` [m], summed, shape [B], and its weighted link wrenches; a sphere per lane."""
    grasp, number = wp.tid()
    lane = number % wp.block_dim()
    obj = object_index[grasp]
    total = float(0.0)
    for first in range(0, spheres.link.shape[0], wp.block_dim()):
        sphere = first + lane
        link = int(-1)
        center = wp.vec3()
        force = wp.vec3()
        if sphere < spheres.link.shape[0]:
            center = _center(spheres, link_pose, grasp, sphere)
            reach = spheres.radius[sphere] - allowance
            feature = query_nearer(meshes, bound, obj, center, reach)
            if feature.distance < reach:
                total += reach - feature.distance
                force = -weight * feature.normal
                link = spheres.link[sphere]
        add_wrenches(link_wrench, grasp, lane, link, force, center)
    total = lane_sum(total)
    if lane == 0:
        energy[grasp] = total


@wp.kernel(enable_backward=False)
def _closest_to_spheres(
    spheres: HandSpheres,
    meshes: MeshSet,
    object_index: wp.array(dtype=wp.int32),  # [B]
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    # outputs
    distance: wp.array2d(dtype=wp.float32),  # [B, S]
    closest: wp.array2d(dtype=wp.vec3),  # [B, S]
    normal: wp.array2d(dtype=wp.vec3),  # [B, S]
):
    grasp, sphere = wp.tid()
    center = _center(spheres, link_pose, grasp, sphere)
    feature = query_closest_feature(meshes, object_index[grasp], center, UNBOUNDED)
    distance[grasp, sphere] = feature.distance
    closest[grasp, sphere] = feature.point
    normal[grasp, sphere] = feature.normal


def launch_closest_to_spheres(
    spheres: HandSpheres,
    meshes: MeshSet,
    object_index: wp.array,
    link_pose: wp.array,
    *,
    distance: wp.array,
    closest: wp.array,
    normal: wp.array,
) -> None:
    """Signed distances of the centers of the spheres [m], the object's closest points and outward normals, shape [B, S]."""
    wp.launch(
        _closest_to_spheres,
        dim=closest.shape,
        inputs=[spheres, meshes, object_index, link_pose],
        outputs=[distance, closest, normal],
        device=link_pose.device,
        record_tape=False,
    )


@wp.kernel
def sphere_penetration_taped_kernel(
    spheres: HandSpheres,
    closest: wp.array2d(dtype=wp.vec3),  # [B, S] frozen
    normal: wp.array2d(dtype=wp.vec3),  # [B, S] frozen
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    allowance: float,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
):
    """Add the depth of the spheres [m] of every grasp to ``energy`` [B]; taped, closest points frozen."""
    grasp, sphere = wp.tid()
    offset = _center(spheres, link_pose, grasp, sphere) - closest[grasp, sphere]
    depth = spheres.radius[sphere] - allowance - wp.dot(normal[grasp, sphere], offset)
    if depth > 0.0:
        wp.atomic_add(energy, grasp, depth)
