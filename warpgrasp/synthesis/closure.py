"""Whether the contacts that touch the object hold it in force closure, at the friction of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

if TYPE_CHECKING:
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.state import GraspState

__all__ = ["closed_by_touching", "is_force_closed", "touches_enough"]

EDGE_COUNT = 8
"""Edges of the friction pyramids; they lie on the Coulomb cone."""
_TORQUE_WEIGHT = 5.0  # 1/m, torques against forces; closure does not depend on it, its rounding does
_RANK = 1.0e-3  # smallest singular value of a full-rank wrench matrix, as a share of the largest
_RESIDUAL = 1.0e-6  # of the wrench that remains, as a share of all


def is_force_closed(
    position: NDArray[np.float64], normal: NDArray[np.float64], center: NDArray[np.float64], friction: float
) -> bool:
    """Whether contacts can resist every wrench: their edge wrenches positively span R^6.

    They do iff they have full rank and some ``g >= 0`` gives ``W g = -W 1``, that is ``W (1 + g) = 0`` with every edge pushing
    (Zurbrügg et al. 2025, Theorem 3.1 (iii)); ``g`` is found by non-negative least squares (Lawson and Hanson 1974).

    Args:
        position: Contact points [m], shape [C, 3].
        normal: Outward normals of the object, shape [C, 3].
        center: Centre of mass [m], shape [3].
        friction: Coulomb coefficient.
    """
    if len(position) < 2 or not (np.all(np.isfinite(position)) and np.all(np.isfinite(normal))):
        return False
    inward = -normal
    helper = np.where(np.abs(inward[:, :1]) < 0.9, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    first = np.cross(inward, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(inward, first)
    angle = 2.0 * np.pi * np.arange(EDGE_COUNT) / EDGE_COUNT
    tangent = np.cos(angle)[:, None, None] * first + np.sin(angle)[:, None, None] * second
    force = (inward + friction * tangent).reshape(-1, 3)
    arm = np.tile(_TORQUE_WEIGHT * (position - center), (EDGE_COUNT, 1))
    wrench = np.concatenate([force, np.cross(arm, force)], axis=1).T
    values = np.linalg.svd(wrench, compute_uv=False)
    if values[-1] < _RANK * values[0]:
        return False
    total = wrench.sum(axis=1)
    _, residual = nnls(wrench, -total)
    return bool(residual < _RESIDUAL * np.linalg.norm(wrench))


def closed_by_touching(
    problem: GraspProblem,
    state: GraspState,
    *,
    touching: float,
    friction: float,
    only: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Whether the contacts within ``touching`` [m] of the object close each grasp of an evaluated state, shape [B].

    ``only`` [B] are the grasps that are asked about; the others are called not closed.
    """
    position, normal = state.contact_position.numpy(), state.object_normal.numpy()
    touches = np.abs(state.contact_distance.numpy()) <= touching
    result = np.zeros(problem.batch_size, dtype=bool)
    for grasp in range(problem.batch_size) if only is None else np.flatnonzero(only):
        near = touches[grasp]
        center = problem.objects[grasp // problem.grasp_count].center_of_mass
        result[grasp] = is_force_closed(
            position[grasp, near].astype(np.float64), normal[grasp, near].astype(np.float64), center, friction
        )
    return result


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
