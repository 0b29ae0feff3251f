"""Self penetration of the hand by spheres on its links, ``sum max(0, r_i + r_j - |x_i - x_j|)`` over non-adjacent links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import warp as wp

from warpgrasp.kernels.contact import add_point_force
from warpgrasp.kernels.kinematics import vec6

if TYPE_CHECKING:
    from warpgrasp.hands import HandModel

__all__ = ["HandSpheres", "hand_spheres", "launch_self_penetration", "launch_self_penetration_taped"]

wp.set_module_options({"enable_backward": True})


@wp.struct
class HandSpheres:
    """Self-collision spheres of one hand and the pairs that may collide."""

    link: wp.array(dtype=wp.int32)  # [S]
    position: wp.array(dtype=wp.vec3)  # [S] m, link frame
    radius: wp.array(dtype=wp.float32)  # [S] m
    pair: wp.array2d(dtype=wp.int32)  # [P, 2]


def hand_spheres(hand: HandModel, device: Any) -> HandSpheres:
    """Copy the self-collision spheres of ``hand`` to ``device``."""
    result = HandSpheres()
    result.link = wp.array(hand.sphere_link, dtype=wp.int32, device=device)
    result.position = wp.array(hand.sphere_position, dtype=wp.vec3, device=device)
    result.radius = wp.array(hand.sphere_radius, dtype=wp.float32, device=device)
    pairs = np.asarray(hand.self_collision_pairs(), dtype=np.int32).reshape(-1, 2)
    result.pair = wp.array(pairs, dtype=wp.int32, device=device)
    return result


@wp.kernel(enable_backward=False)
def _self_penetration(
    spheres: HandSpheres,
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    weight: float,
    # outputs
    center: wp.array2d(dtype=wp.vec3),  # [B, S] scratch
    energy: wp.array(dtype=wp.float32),  # [B]
    link_wrench: wp.array2d(dtype=vec6),  # [B, L]
):
    grasp = wp.tid()
    for sphere in range(spheres.link.shape[0]):
        center[grasp, sphere] = wp.transform_point(
            link_pose[grasp, spheres.link[sphere]], spheres.position[sphere]
        )
    total = float(0.0)
    for pair in range(spheres.pair.shape[0]):
        i = spheres.pair[pair, 0]
        j = spheres.pair[pair, 1]
        reach = spheres.radius[i] + spheres.radius[j]
        offset = center[grasp, i] - center[grasp, j]
        squared = wp.dot(offset, offset)
        if squared < reach * reach:
            distance = wp.sqrt(squared)
            total += reach - distance
            force = (-weight / wp.max(distance, 1.0e-9)) * offset
            zero = wp.vec3(0.0, 0.0, 0.0)
            add_point_force(link_wrench, grasp, spheres.link[i], center[grasp, i], force, zero)
            add_point_force(link_wrench, grasp, spheres.link[j], center[grasp, j], -force, zero)
    energy[grasp] = total


def launch_self_penetration(
    spheres: HandSpheres,
    link_pose: wp.array,
    weight: float,
    *,
    center: wp.array,
    energy: wp.array,
    link_wrench: wp.array,
) -> None:
    """Self-penetration energy [m], shape [B], and its weighted link wrenches; ``center`` [B, S] receives sphere centers."""
    wp.launch(
        _self_penetration,
        dim=link_pose.shape[0],
        inputs=[spheres, link_pose, weight],
        outputs=[center, energy, link_wrench],
        device=link_pose.device,
    )


@wp.kernel
def _self_penetration_taped(
    spheres: HandSpheres,
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
):
    grasp, pair = wp.tid()
    i = spheres.pair[pair, 0]
    j = spheres.pair[pair, 1]
    offset = wp.transform_point(link_pose[grasp, spheres.link[i]], spheres.position[i]) - wp.transform_point(
        link_pose[grasp, spheres.link[j]], spheres.position[j]
    )
    overlap = spheres.radius[i] + spheres.radius[j] - wp.length(offset)
    if overlap > 0.0:
        wp.atomic_add(energy, grasp, overlap)


def launch_self_penetration_taped(spheres: HandSpheres, link_pose: wp.array, *, energy: wp.array) -> None:
    """Add the self-penetration energy [m] of every grasp to ``energy`` [B]; taped."""
    wp.launch(
        _self_penetration_taped,
        dim=(link_pose.shape[0], spheres.pair.shape[0]),
        inputs=[spheres, link_pose],
        outputs=[energy],
        device=link_pose.device,
    )
