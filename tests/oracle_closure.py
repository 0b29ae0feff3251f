"""Float64 closure energies of the methods as functions of contact positions, by other algorithms than the kernels'.

Non-negative least squares stands for the nearest point of a polytope, SciPy's linear programming for the minimum weight, angles
for the map of TDG, and dense normal equations for the iterations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from oracle_forces import solve_box_qp, wrench_matrix
from scipy.optimize import linprog, nnls

from warpgrasp.kernels.energies.singular_values import SingularValueForm
from warpgrasp.objects import ObjectModel
from warpgrasp.synthesis.energy_closure import IteratedClosure, MinimumNorm, MinimumWeight, WrenchBoundary
from warpgrasp.synthesis.energy_released import ReleasedClosure

__all__ = ["closure_energy", "iterate", "least_sum_weights", "minimum_weight", "released_columns"]

FloatArray = NDArray[np.float64]


def closure_energy(
    term: Any, model: ObjectModel, position: FloatArray, normal: FloatArray, start: FloatArray | None = None
) -> float:
    """Energy of one grasp; ``start`` are weights from which only the differentiated iterations are taken."""
    if isinstance(term, WrenchBoundary):
        return _wrench_boundary(term, model, position, normal)
    if isinstance(term, ReleasedClosure):
        columns = released_columns(position, normal, model.center_of_mass)
        force, _ = solve_box_qp(columns, term.qp.lower, term.qp.upper, term.qp.ridge, None)
        singular = np.linalg.svd(columns, compute_uv=False)
        factor = float(np.exp(np.sum(np.log(singular**2 + 1e-8)) / 12.0))
        value = 0.5 * np.sum((columns @ force) ** 2)
        return float(term.gain * (value + term.offset) * np.exp(-term.decay * factor))
    columns = wrench_matrix(
        position, normal, model.center_of_mass, term.friction, term.edge_count, term.torque_weight
    )
    if isinstance(term, MinimumWeight):
        short = term.target - max(minimum_weight(columns), term.floor)
        if term.sharpness == 0.0:
            return max(short, 0.0)
        return float(np.logaddexp(0.0, term.sharpness * short) / term.sharpness)
    if isinstance(term, MinimumNorm):
        total = columns.shape[1] if term.total is None else term.total
        value = 0.5 * np.sum((columns @ least_sum_weights(columns, total)) ** 2)
    else:
        assert isinstance(term, IteratedClosure)
        weights = iterate(term, columns, start)
        if term.form == "softmax":
            weights = _softmax(weights)
        value = 0.5 * np.sum((columns @ weights) ** 2)
    singular = np.linalg.svd(columns, compute_uv=False)
    factor = 0.0
    if term.factor == SingularValueForm.GEOMETRIC_MEAN:
        factor = float(np.exp(np.sum(np.log(singular**2 + 1e-8)) / 12.0))
    return float(term.gain * (value + term.offset) * np.exp(-term.decay * factor))


def least_sum_weights(columns: FloatArray, total: float) -> FloatArray:
    """``argmin |W a|``, a >= 0, sum a = N: least squares with one more row is the same up to a factor."""
    scale = np.linalg.norm(columns, axis=0).mean()
    rows = np.vstack([columns, np.full(columns.shape[1], scale)])
    weights, _ = nnls(rows, np.append(np.zeros(6), scale), maxiter=2000)
    return np.asarray(total * weights / weights.sum())


def minimum_weight(columns: FloatArray) -> float:
    """``m l*``; minus infinity where no weights balance."""
    count = columns.shape[1]
    result = linprog(
        np.append(np.zeros(count), -1.0),
        A_ub=np.hstack([-np.eye(count), np.ones((count, 1))]),
        b_ub=np.zeros(count),
        A_eq=np.block([[columns, np.zeros((6, 1))], [np.ones((1, count)), np.zeros((1, 1))]]),
        b_eq=np.append(np.zeros(6), 1.0),
        bounds=[(None, None)] * (count + 1),
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    return float(count * result.x[-1]) if result.success else -np.inf


def iterate(
    term: IteratedClosure, columns: FloatArray, start: FloatArray | None, steps: int | None = None
) -> FloatArray:
    """Logits or weights after the iterations; from ``start`` only the differentiated ones."""
    steps = steps or (term.iterations if start is None else term.differentiated)
    first = 0.0 if term.form == "softmax" else term.lower + 0.5
    x = np.full(columns.shape[1], first) if start is None else start
    scaled = 7.07 * columns
    for _ in range(steps):
        if term.form == "softmax":
            a = _softmax(x)
            jacobian = scaled @ (np.diag(a) - np.outer(a, a))
            x = x - term.step * jacobian.T @ np.linalg.solve(
                jacobian @ jacobian.T + 1e-3 * np.eye(6), scaled @ a
            )
        else:
            slope, bend = scaled.T @ (scaled @ x), scaled.T @ scaled
            for room, sign in ((x - term.lower, 1.0), (term.upper - x, -1.0)):
                inside = room >= 0.0
                safe = term.sharpness * (np.abs(room) + 1e-6)
                slope = slope - sign * np.where(inside, 1.0 / safe, 1.0)
                bend = bend + np.diag(np.where(inside, term.sharpness / safe**2, 0.0) + 1e-3)
            x = x - term.step * np.linalg.solve(bend, slope)
    return np.asarray(x)


def released_columns(position: FloatArray, normal: FloatArray, center: FloatArray) -> FloatArray:
    """Wrench matrix [6, 4 C] of the released program of GraspQP, whose tangents are not of unit length."""
    b = np.full_like(normal, 1.0 / np.sqrt(3.0))
    b[np.einsum("ij,ij->i", b, normal) > 0.9, 1] -= 2.0
    t1 = np.cross(normal, b)
    t2 = np.cross(normal, t1)
    edge = np.stack([s * 0.2 * t + np.sqrt(0.96) * normal for s in (1, -1) for t in (t1, t2)], axis=1) / 4
    torque = 5.0 * np.cross((position - center)[:, None], edge)
    return np.asarray(np.concatenate([edge, torque], axis=-1).reshape(-1, 6).T)


def _softmax(logit: FloatArray) -> FloatArray:
    exponential = np.exp(logit - logit.max())
    return np.asarray(exponential / exponential.sum())


def _wrench_boundary(
    term: WrenchBoundary, model: ObjectModel, position: FloatArray, normal: FloatArray
) -> float:
    inward = -normal
    weight = np.ones(len(position))
    if term.density:
        weight = 1.0 / np.maximum(np.maximum(normal @ normal.T, 0.0).sum(axis=1), 1e-4)
    arm = term.torque_weight_of(model) * (position - model.center_of_mass)
    total = 0.0
    for u in term.directions():
        angle = np.arccos(np.clip(inward @ u, -1.0, 1.0))[:, None]
        across = u - (inward @ u)[:, None] * inward
        length = np.linalg.norm(across, axis=1, keepdims=True)
        edge = inward + term.friction * across / np.maximum(length, 1e-15)
        fade = length / (length + 2.0 * term.friction * np.abs(np.cos(angle)))
        force = np.where(
            angle <= np.arctan(term.friction),
            inward + across / np.cos(np.minimum(angle, 1.0)),
            np.where(angle <= np.pi / 2, edge, fade * edge),
        )
        wrench = np.concatenate([weight @ force, weight @ np.cross(arm, force)])
        size = np.linalg.norm(wrench)
        total += 1.0 - (wrench[:3] @ u / size if size > 1e-6 else 0.0)
    return float(total / term.direction_count)
