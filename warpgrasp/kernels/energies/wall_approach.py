"""Optional terms about the scene: a wall the hand must stay in front of, and a preferred approach direction."""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.contact import add_point_force
from warpgrasp.kernels.energies.self_penetration import HandSpheres
from warpgrasp.kernels.spatial import vec6

__all__ = ["approach_kernel", "approach_taped_kernel", "wall_kernel", "wall_taped_kernel"]

wp.set_module_options({"enable_backward": True})


@wp.func
def _wall_depth(
    spheres: HandSpheres,
    link_pose: wp.array2d(dtype=wp.transform),
    grasp: int,
    sphere: int,
    normal: wp.vec3,
    offset: float,
) -> float:
    """Depth of a sphere behind the wall ``dot(normal, x) = offset`` [m]."""
    center = wp.transform_point(link_pose[grasp, spheres.link[sphere]], spheres.position[sphere])
    return spheres.radius[sphere] + offset - wp.dot(normal, center)


@wp.kernel(enable_backward=False)
def wall_kernel(
    spheres: HandSpheres,
    normal: wp.vec3,
    wall_offset: wp.array(dtype=wp.float32),  # [O]
    object_index: wp.array(dtype=wp.int32),  # [B]
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    weight: float,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
    link_wrench: wp.array2d(dtype=vec6),  # [B, L]
):
    """Depth of the hand's spheres behind a wall of each object [m], summed, shape [B], and its weighted link wrenches."""
    grasp = wp.tid()
    total = float(0.0)
    offset = wall_offset[object_index[grasp]]
    for sphere in range(spheres.link.shape[0]):
        depth = _wall_depth(spheres, link_pose, grasp, sphere, normal, offset)
        if depth > 0.0:
            total += depth
            link = spheres.link[sphere]
            center = wp.transform_point(link_pose[grasp, link], spheres.position[sphere])
            add_point_force(link_wrench, grasp, link, center, -weight * normal, wp.vec3(0.0, 0.0, 0.0))
    energy[grasp] = total


@wp.kernel
def wall_taped_kernel(
    spheres: HandSpheres,
    normal: wp.vec3,
    wall_offset: wp.array(dtype=wp.float32),  # [O]
    object_index: wp.array(dtype=wp.int32),  # [B]
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
):
    """Add the wall energy of every grasp to ``energy`` [B]; taped."""
    grasp, sphere = wp.tid()
    depth = _wall_depth(spheres, link_pose, grasp, sphere, normal, wall_offset[object_index[grasp]])
    if depth > 0.0:
        wp.atomic_add(energy, grasp, depth)


@wp.kernel(enable_backward=False)
def approach_kernel(
    palm_normal: wp.vec3,
    direction: wp.vec3,
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    weight: float,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
    link_wrench: wp.array2d(dtype=vec6),  # [B, L]
):
    """``1 - cos`` of the angle between palm normal (root link frame) and approach direction, shape [B], with its torque."""
    grasp = wp.tid()
    palm = wp.transform_vector(link_pose[grasp, 0], palm_normal)
    energy[grasp] = 1.0 - wp.dot(palm, direction)
    torque = -weight * wp.cross(palm, direction)
    zero = wp.vec3(0.0, 0.0, 0.0)
    add_point_force(link_wrench, grasp, 0, zero, zero, torque)


@wp.kernel
def approach_taped_kernel(
    palm_normal: wp.vec3,
    direction: wp.vec3,
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
):
    """Add the approach energy of every grasp to ``energy`` [B]; taped."""
    grasp = wp.tid()
    wp.atomic_add(
        energy, grasp, 1.0 - wp.dot(wp.transform_vector(link_pose[grasp, 0], palm_normal), direction)
    )
