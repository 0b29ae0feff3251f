"""Pictures of one mesh as a depth camera sees it: depth, normals and mask by ray casting. No gradients.

Camera axes are those of OpenCV: x to the right, y down, z forward; the centre of the upper left pixel is (0, 0).
"""

from __future__ import annotations

import warp as wp

__all__ = ["view_kernel"]

wp.set_module_options({"enable_backward": False})

_FAR = wp.constant(1.0e4)  # m


@wp.kernel
def view_kernel(
    mesh: wp.uint64,
    camera: wp.array(dtype=wp.transform),  # [V] camera in the object frame
    focal: wp.array(dtype=wp.float32),  # [V] pixels
    # outputs
    depth: wp.array3d(dtype=wp.float32),  # [V, H, W] m along z; 0 where nothing is hit
    normal: wp.array3d(
        dtype=wp.vec3
    ),  # [V, H, W] unit, camera frame, towards the camera; 0 where nothing is hit
):
    """One ray per pixel; the depth is the z coordinate in the camera frame, not the length of the ray."""
    view, row, column = wp.tid()
    center_x = 0.5 * float(depth.shape[2] - 1)
    center_y = 0.5 * float(depth.shape[1] - 1)
    through = wp.vec3((float(column) - center_x) / focal[view], (float(row) - center_y) / focal[view], 1.0)
    length = wp.length(through)
    start = wp.transform_get_translation(camera[view])
    direction = wp.transform_vector(camera[view], through / length)
    hit = wp.mesh_query_ray(mesh, start, direction, _FAR)
    if hit.result:
        depth[view, row, column] = hit.t / length
        facing = hit.normal
        if wp.dot(facing, direction) > 0.0:
            facing = -facing
        normal[view, row, column] = wp.transform_vector(
            wp.transform_inverse(camera[view]), wp.normalize(facing)
        )
    else:
        depth[view, row, column] = 0.0
        normal[view, row, column] = wp.vec3(0.0)
