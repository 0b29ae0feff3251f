"""Optional terms about the scene: a wall the hand must stay in front of, and a preferred approach direction."""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.contact import add_point_force
from warpgrasp.kernels.energies.self_penetration import HandSpheres
from warpgrasp.kernels.kinematics import vec6

__all__ = ["launch_approach", "launch_approach_taped", "launch_wall", "launch_wall_taped"]

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
def _wall(
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


def launch_wall(
    spheres: HandSpheres,
    normal: wp.vec3,
    wall_offset: wp.array,
    object_index: wp.array,
    link_pose: wp.array,
    weight: float,
    *,
    energy: wp.array,
    link_wrench: wp.array,
) -> None:
    """Depth of the hand's spheres behind a wall of each object [m], summed, shape [B], and its weighted link wrenches."""
    wp.launch(
        _wall,
        dim=link_pose.shape[0],
        inputs=[spheres, normal, wall_offset, object_index, link_pose, weight],
        outputs=[energy, link_wrench],
        device=link_pose.device,
    )


@wp.kernel
def _wall_taped(
    spheres: HandSpheres,
    normal: wp.vec3,
    wall_offset: wp.array(dtype=wp.float32),  # [O]
    object_index: wp.array(dtype=wp.int32),  # [B]
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
):
    grasp, sphere = wp.tid()
    depth = _wall_depth(spheres, link_pose, grasp, sphere, normal, wall_offset[object_index[grasp]])
    if depth > 0.0:
        wp.atomic_add(energy, grasp, depth)


def launch_wall_taped(
    spheres: HandSpheres,
    normal: wp.vec3,
    wall_offset: wp.array,
    object_index: wp.array,
    link_pose: wp.array,
    *,
    energy: wp.array,
) -> None:
    """Add the wall energy of every grasp to ``energy`` [B]; taped."""
    wp.launch(
        _wall_taped,
        dim=(link_pose.shape[0], spheres.link.shape[0]),
        inputs=[spheres, normal, wall_offset, object_index, link_pose],
        outputs=[energy],
        device=link_pose.device,
    )


@wp.kernel(enable_backward=False)
def _approach(
    palm_normal: wp.vec3,
    direction: wp.vec3,
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    weight: float,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
    link_wrench: wp.array2d(dtype=vec6),  # [B, L]
):
    grasp = wp.tid()
    palm = wp.transform_vector(link_pose[grasp, 0], palm_normal)
    energy[grasp] = 1.0 - wp.dot(palm, direction)
    torque = -weight * wp.cross(palm, direction)
    zero = wp.vec3(0.0, 0.0, 0.0)
    add_point_force(link_wrench, grasp, 0, zero, zero, torque)


def launch_approach(
    palm_normal: wp.vec3,
    direction: wp.vec3,
    link_pose: wp.array,
    weight: float,
    *,
    energy: wp.array,
    link_wrench: wp.array,
) -> None:
    """``1 - cos`` of the angle between palm normal (root link frame) and approach direction, shape [B], with its torque."""
    wp.launch(
        _approach,
        dim=link_pose.shape[0],
        inputs=[palm_normal, direction, link_pose, weight],
        outputs=[energy, link_wrench],
        device=link_pose.device,
    )


@wp.kernel
def _approach_taped(
    palm_normal: wp.vec3,
    direction: wp.vec3,
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
):
    grasp = wp.tid()
    wp.atomic_add(
        energy, grasp, 1.0 - wp.dot(wp.transform_vector(link_pose[grasp, 0], palm_normal), direction)
    )


def launch_approach_taped(
    palm_normal: wp.vec3, direction: wp.vec3, link_pose: wp.array, *, energy: wp.array
) -> None:
    """Add the approach energy of every grasp to ``energy`` [B]; taped."""
    wp.launch(
        _approach_taped,
        dim=link_pose.shape[0],
        inputs=[palm_normal, direction, link_pose],
        outputs=[energy],
        device=link_pose.device,
    )
