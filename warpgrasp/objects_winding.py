"""Distance and winding number of many points against one mesh, on the CPU, for loading objects only."""

from __future__ import annotations

import numpy as np
import warp as wp
from numpy.typing import NDArray

__all__ = ["query_winding"]

wp.set_module_options({"enable_backward": False})


@wp.kernel
def winding_kernel(
    mesh: wp.uint64,
    points: wp.array(dtype=wp.vec3),  # [point_count]
    # outputs
    distances: wp.array(dtype=wp.float32),  # [point_count]
    inside: wp.array(dtype=wp.int32),  # [point_count]
):
    i = wp.tid()
    query = wp.mesh_query_point_sign_winding_number(mesh, points[i], 1.0e6)
    closest = wp.mesh_eval_position(mesh, query.face, query.u, query.v)
    distances[i] = wp.length(points[i] - closest)
    inside[i] = wp.where(query.sign < 0.0, 1, 0)


def query_winding(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], points: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Distance [m] to the surface and whether the winding number exceeds one half, each of shape [N].

    Args:
        vertices: [m], shape [V, 3].
        faces: Shape [F, 3].
        points: [m], shape [N, 3].
    """
    mesh = wp.Mesh(
        points=wp.array(vertices.astype(np.float32), dtype=wp.vec3, device="cpu"),
        indices=wp.array(faces.astype(np.int32).reshape(-1), dtype=wp.int32, device="cpu"),
        support_winding_number=True,
    )
    distances = wp.empty(len(points), dtype=wp.float32, device="cpu")
    inside = wp.empty(len(points), dtype=wp.int32, device="cpu")
    wp.launch(
        winding_kernel,
        dim=len(points),
        inputs=[mesh.id, wp.array(points.astype(np.float32), dtype=wp.vec3, device="cpu")],
        outputs=[distances, inside],
        device="cpu",
    )
    return distances.numpy().astype(np.float64), inside.numpy().astype(bool)
