"""Whether the contacts that touch the object hold it in force closure, at the friction of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

if TYPE_CHECKING:
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.state import GraspState

__all__ = ["are_force_closed", "closed_by_touching", "is_force_closed", "touches_enough"]

EDGE_COUNT = 8
"""Edges of the friction pyramids; they lie on the Coulomb cone."""
_TORQUE_WEIGHT = 5.0  # 1/m, torques against forces; closure does not depend on it, its rounding does
_RANK = 1.0e-3  # smallest singular value of a full-rank wrench matrix, as a share of the largest
_RESIDUAL = 1.0e-6  # of the wrench that remains, as a share of all


def is_force_closed(
    position: NDArray[np.float64], normal: NDArray[np.float64], center: NDArray[np.float64], friction: float
) -> bool:
    """Whether contacts can resist every wrench; :func:`are_force_closed` of one grasp whose contacts all touch.

    Args:
        position: Contact points [m], shape [C, 3].
        normal: Outward normals of the object, shape [C, 3].
        center: Centre of mass [m], shape [3].
        friction: Coulomb coefficient.
    """
    touches = np.ones((1, len(position)), dtype=bool)
    return bool(are_force_closed(position[None], normal[None], touches, center[None], friction)[0])


def are_force_closed(
    position: NDArray[np.float64],
    normal: NDArray[np.float64],
    touches: NDArray[np.bool_],
    center: NDArray[np.float64],
    friction: float,
) -> NDArray[np.bool_]:
    """Whether the contacts that touch can resist every wrench: their edge wrenches positively span R^6.

    They do iff they have full rank and some ``g >= 0`` gives ``W g = -W 1``, that is ``W (1 + g) = 0`` with every edge pushing
    (Zurbrügg et al. 2025, Theorem 3.1 (iii)); ``g`` is found by non-negative least squares (Lawson and Hanson 1974).

    Args:
        position: Contact points [m], shape [B, C, 3].
        normal: Outward normals of the object, shape [B, C, 3].
        touches: Contacts that count, shape [B, C]; what the others are does not matter.
        center: Centres of mass [m], shape [B, 3].
        friction: Coulomb coefficient.

    Returns:
        Shape [B].
    """
    result = np.zeros(len(position), dtype=bool)
    used = touches[:, :, None]
    finite = np.isfinite(np.where(used, position, 0.0)) & np.isfinite(np.where(used, normal, 0.0))
    possible = np.flatnonzero((touches.sum(axis=1) >= 2) & finite.all(axis=(1, 2)))
    if not len(possible):
        return result
    used = used[possible]
    wrench = _edge_wrenches(
        np.where(used, position[possible], 0.0),
        np.where(used, -normal[possible], [1.0, 0.0, 0.0]),
        center[possible],
        friction,
    )
    wrench *= used[:, :, :, None]
    columns = wrench.reshape(len(possible), -1, 6)
    values = np.linalg.svd(columns, compute_uv=False)
    full = values[:, -1] >= _RANK * values[:, 0]
    for grasp, own in zip(possible[full], columns[full], strict=True):
        matrix = own[own.any(axis=1)].T
        _, residual = nnls(matrix, -matrix.sum(axis=1))
        result[grasp] = residual < _RESIDUAL * np.linalg.norm(matrix)
    return result


def _edge_wrenches(
    position: NDArray[np.float64], inward: NDArray[np.float64], center: NDArray[np.float64], friction: float
) -> NDArray[np.float64]:
    """Wrenches of the edges of the friction pyramids, shape [B, C, E, 6]."""
    helper = np.where(np.abs(inward[..., :1]) < 0.9, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    first = _cross(inward, helper)
    first /= np.linalg.norm(first, axis=-1, keepdims=True)
    second = _cross(inward, first)
    angle = 2.0 * np.pi * np.arange(EDGE_COUNT)[:, None] / EDGE_COUNT
    tangent = np.cos(angle) * first[..., None, :] + np.sin(angle) * second[..., None, :]
    force = inward[..., None, :] + friction * tangent
    arm = _TORQUE_WEIGHT * (position - center[:, None])
    return np.concatenate([force, _cross(arm[..., None, :], force)], axis=-1)


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cross product along the last axis; ``numpy.cross`` takes several times as long."""
    x, y, z = a[..., 0], a[..., 1], a[..., 2]
    u, v, w = b[..., 0], b[..., 1], b[..., 2]
    return np.stack([y * w - z * v, z * u - x * w, x * v - y * u], axis=-1)


def closed_by_touching(
    problem: GraspProblem,
    state: GraspState,
    *,
    touching: float,
    friction: float,
) -> NDArray[np.bool_]:
    """Whether the contacts within ``touching`` [m] of the object close each grasp of an evaluated state, shape [B]."""
    touches = np.abs(state.contact_distance.numpy()) <= touching
    center = np.array([model.center_of_mass for model in problem.objects])
    return are_force_closed(
        state.contact_position.numpy().astype(np.float64),
        state.object_normal.numpy().astype(np.float64),
        touches,
        np.repeat(center, problem.grasp_count, axis=0),
        friction,
    )


def touches_enough(problem: GraspProblem, state: GraspState, *, touching: float) -> NDArray[np.bool_]:
    """Whether two contacts, and one of every finger that must touch, are within ``touching`` [m] of the object, shape [B]."""
    touches = np.abs(state.contact_distance.numpy()) <= touching
    result: NDArray[np.bool_] = touches.sum(axis=1) >= 2
    candidates = problem.host_candidates
    finger = candidates.finger[state.contact_index.numpy()]
    for name in problem.grasp_type.required_fingers:
        own = candidates.finger_names.index(name)
        result &= np.any(touches & (finger == own), axis=1)
    return result
