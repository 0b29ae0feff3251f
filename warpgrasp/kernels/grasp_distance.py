"""How far grasps of one hand on one object are apart: position, rotation and joints of the root. No gradients."""

from __future__ import annotations

import warp as wp

__all__ = ["mark_near", "nearest_distance"]

wp.set_module_options({"enable_backward": False})


@wp.func
def _parts(
    position: wp.array(dtype=wp.vec3),
    quaternion: wp.array(dtype=wp.quat),
    joints: wp.array2d(dtype=wp.float32),
    i: int,
    j: int,
):
    """Distance [m], angle [rad] and root mean square difference of the joints [rad or m] of grasps i and j."""
    between = wp.min(wp.abs(wp.dot(quaternion[i], quaternion[j])), 1.0)
    square = float(0.0)
    for k in range(joints.shape[1]):
        difference = joints[i, k] - joints[j, k]
        square += difference * difference
    mean = square / float(wp.max(joints.shape[1], 1))
    return wp.vec3(wp.length(position[i] - position[j]), 2.0 * wp.acos(between), wp.sqrt(mean))


@wp.kernel
def mark_near(
    position: wp.array(dtype=wp.vec3),  # [N] m
    quaternion: wp.array(dtype=wp.quat),  # [N] unit
    joints: wp.array2d(dtype=wp.float32),  # [N, J]
    limits: wp.vec3,  # m, rad, rad or m
    chosen: int,
    # outputs
    near: wp.array(
        dtype=wp.int32
    ),  # [N] set to 1 for grasps after ``chosen`` that are within all three limits of it
):
    """Grasps near one that is kept."""
    i = wp.tid()
    if i > chosen:
        parts = _parts(position, quaternion, joints, chosen, i)
        if parts[0] <= limits[0] and parts[1] <= limits[1] and parts[2] <= limits[2]:
            near[i] = 1


@wp.kernel
def nearest_distance(
    position: wp.array(dtype=wp.vec3),  # [N] m
    quaternion: wp.array(dtype=wp.quat),  # [N] unit
    joints: wp.array2d(dtype=wp.float32),  # [N, J]
    limits: wp.vec3,  # m, rad, rad or m: what counts as one
    chosen: int,
    # outputs
    distance: wp.array(
        dtype=wp.float32
    ),  # [N] lowered to the distance from ``chosen``, a norm of the parts over limits
):
    """Distance to the nearest of the grasps chosen so far."""
    i = wp.tid()
    parts = _parts(position, quaternion, joints, chosen, i)
    scaled = wp.vec3(parts[0] / limits[0], parts[1] / limits[1], parts[2] / limits[2])
    distance[i] = wp.min(distance[i], wp.length(scaled))
