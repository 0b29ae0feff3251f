"""Contact wrenches and the bounded least squares of the contact forces in float64, by NumPy and SciPy."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import warp as wp
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from warpgrasp.kernels.energies.wrench import tangent_basis

__all__ = ["first_tangents", "solve_box_qp", "wrench_matrix"]

wp.set_module_options({"enable_backward": False})

FloatArray = NDArray[np.float64]


def wrench_matrix(
    position: FloatArray,
    object_normal: FloatArray,
    center: FloatArray,
    friction: float,
    edge_count: int,
    torque_weight: float,
) -> FloatArray:
    """Columns ``[e_ik ; s (p_i - o) x e_ik]``, shape [6, C k].

    The formulas leave the phase of the tangents open. The direction of the first one is the library's convention and is taken
    from there; everything else, its length and the other tangents included, is made here.
    """
    columns = []
    for p, n_obj, direction in zip(position, object_normal, first_tangents(object_normal), strict=True):
        n = -n_obj
        u = direction - (direction @ n) * n
        u /= np.linalg.norm(u)
        v = np.cross(n, u)
        for k in range(edge_count):
            angle = 2.0 * np.pi * k / edge_count
            edge = friction * (np.cos(angle) * u + np.sin(angle) * v) + n
            edge /= np.sqrt(1.0 + friction**2) * edge_count
            columns.append(np.concatenate([edge, torque_weight * np.cross(p - center, edge)]))
    return np.array(columns).T


@wp.kernel
def _first_tangent(
    object_normal: wp.array(dtype=wp.vec3),  # type: ignore[valid-type]
    # outputs
    tangent: wp.array(dtype=wp.vec3),  # type: ignore[valid-type]
):
    i = wp.tid()
    u, _v = tangent_basis(-object_normal[i])
    tangent[i] = u


def first_tangents(object_normal: FloatArray) -> FloatArray:
    """Direction of edge 0 of every cone, shape [C, 3], about unit."""
    return _first_tangents(object_normal.astype(np.float32).tobytes())


@lru_cache(maxsize=4096)
def _first_tangents(key: bytes) -> FloatArray:
    normals = np.frombuffer(key, dtype=np.float32).reshape(-1, 3)
    tangent = wp.zeros(len(normals), dtype=wp.vec3, device="cpu")
    wp.launch(
        _first_tangent,
        dim=len(normals),
        inputs=[wp.array(normals, dtype=wp.vec3, device="cpu")],
        outputs=[tangent],
        device="cpu",
    )
    result: FloatArray = tangent.numpy().astype(np.float64)
    return result


def solve_box_qp(
    columns: FloatArray, lower: float, upper: float, ridge: float, guess: NDArray[np.int8] | None = None
) -> tuple[FloatArray, NDArray[np.int8]]:
    """``argmin 1/2 |W x|^2 + ridge/2 |x|^2`` over the box, and its active set (-1 lower, 0 free, 1 upper).

    SciPy's bounded least squares on the stacked matrix. A guessed active set is tried first: if the point it gives fulfils
    the optimality conditions, it *is* the solution, because the problem is strictly convex.
    """
    size = columns.shape[1]
    stacked = np.vstack([columns, np.sqrt(ridge) * np.eye(size)])
    if guess is not None:
        active = guess
        for _ in range(8):
            force = np.where(active < 0, lower, upper).astype(np.float64)
            free = active == 0
            if free.any():
                force[free] = np.linalg.lstsq(stacked[:, free], -stacked[:, ~free] @ force[~free])[0]
            slope = stacked.T @ (stacked @ force)
            scale = 1e-11 * max(1.0, np.abs(slope).max())
            following = np.zeros(size, dtype=np.int8)
            following[(active < 0) & (slope > -scale) | free & (force < lower)] = -1
            following[(active > 0) & (slope < scale) | free & (force > upper)] = 1
            if np.array_equal(following, active):
                return force, active
            active = following
    solution = lsq_linear(stacked, np.zeros(size + 6), bounds=(lower, upper), method="bvls", tol=1e-15)
    if not solution.success:
        raise RuntimeError(f"lsq_linear did not converge: {solution.message}")
    return solution.x, solution.active_mask.astype(np.int8)
