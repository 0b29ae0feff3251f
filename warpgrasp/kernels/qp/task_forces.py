"""Contact forces for a set of task wrenches: the lower problem of bilevel grasp synthesis (Chen et al. 2025, BODex).

For a task wrench t every contact c pushes along the eight edges of its friction pyramid, ``f_c = sum_k a_ck (n_c + mu t_ck)``,
``s_c = sum_k a_ck`` its normal force. The forces are

    min_a  1/2 |t - W a|^2 + 1/2 eps sum_c s_c^2 + 1/2 eps_e |a|^2
    with   a >= 0,   lower <= s_c <= upper,   sum_{c in g} s_c >= gamma_g for every group g of contacts,

eps small: it shares the load, eps_e far smaller: it makes the edge forces unique. Only the residual ``y = t - W a`` and one
multiplier ``lambda_g >= 0`` a group couple the contacts. For given (y, lambda) each contact is a problem of eight forces and
one sum, a projection on a simplex (Michelot 1986). The dual function, concave and piecewise quadratic,

    D(y, lambda) = y . t - |y|^2 / 2 + lambda . gamma + sum_c min_{a_c} [1/2 eps s_c^2 + 1/2 eps_e |a_c|^2 - pull_c . a_c],
    pull_ck = y . w_ck + sum_{g with c} lambda_g,

is maximised over ``lambda >= 0`` by a projected Newton method with line search (Bertsekas 1982), in float64. It starts from the
last solution.
"""

from __future__ import annotations

from typing import Any

import warp as wp

__all__ = ["EDGE_COUNT", "TaskForceLimits", "TaskForces", "launch_task_forces", "task_forces", "vec6d"]

wp.set_module_options({"enable_backward": False})

EDGE_COUNT = 8
"""Edges of the friction pyramid of a contact."""

_EDGES = wp.constant(EDGE_COUNT)
_NEWTON_STEPS = wp.constant(100)
_HALVINGS = wp.constant(40)
_TOLERANCE = wp.constant(
    wp.float64(1.0e-9)
)  # of the dual's gradient, in units of one contact's largest force
_NEAR = wp.constant(wp.float64(1.0e-3))
_DAMPING = wp.constant(wp.float64(1.0e-6))  # of the multipliers, where no force answers to them

vec6d = wp.types.vector(length=6, dtype=wp.float64)
vec8d = wp.types.vector(length=EDGE_COUNT, dtype=wp.float64)


@wp.struct
class TaskForceLimits:
    """Bounds of the forces and the groups of contacts that must press."""

    lower: wp.float64  #: of a contact's normal force
    upper: wp.float64  #: of a contact's normal force
    ridge: wp.float64  #: eps
    edge_ridge: wp.float64  #: eps_e
    member: wp.array2d(dtype=wp.float64)  #: [R, C] 1 where a contact belongs to a group
    minimum: wp.array(dtype=wp.float64)  #: [R] gamma


@wp.struct
class TaskForces:
    """Solutions for ``B`` grasps and ``T`` task wrenches, and the solver's working memory; ``n = 6 + R``."""

    dual: wp.array3d(dtype=wp.float64)  #: [B, T, n] (y, lambda), the start of the next solve
    edge_force: wp.array3d(dtype=wp.float64)  #: [B, T, C * 8]
    residual: wp.array2d(dtype=vec6d)  #: [B, T] t - W a
    age: wp.array(dtype=wp.int32)  #: [B] evaluations so far
    iterations: wp.array2d(dtype=wp.int32)  #: [B, T] Newton steps; their limit where it has not converged
    gradient: wp.array3d(dtype=wp.float64)  #: [B, T, n]
    step: wp.array3d(dtype=wp.float64)  #: [B, T, n]
    trial: wp.array3d(dtype=wp.float64)  #: [B, T, n]
    hessian: wp.array4d(dtype=wp.float64)  #: [B, T, n, n]


def task_forces(batch: int, targets: int, contacts: int, groups: int, device: Any) -> TaskForces:
    """Allocate the solutions of ``batch`` grasps."""
    size = 6 + groups
    result = TaskForces()
    for name in ("dual", "gradient", "step", "trial"):
        setattr(result, name, wp.zeros((batch, targets, size), dtype=wp.float64, device=device))
    result.hessian = wp.zeros((batch, targets, size, size), dtype=wp.float64, device=device)
    result.edge_force = wp.zeros((batch, targets, contacts * EDGE_COUNT), dtype=wp.float64, device=device)
    result.residual = wp.zeros((batch, targets), dtype=vec6d, device=device)
    result.age = wp.zeros(batch, dtype=wp.int32, device=device)
    result.iterations = wp.zeros((batch, targets), dtype=wp.int32, device=device)
    return result


@wp.struct
class _Share:
    """A contact's own minimum."""

    level: wp.float64  #: edges that pull more than this push
    count: wp.float64  #: edges that push
    softness: wp.float64  #: eps_e / eps where the sum is free, 0 at a bound
    pull: vec8d


@wp.func
def _pulls(
    limits: TaskForceLimits,
    wrench: wp.array2d(dtype=vec6d),
    z: wp.array3d(dtype=wp.float64),
    b: int,
    t: int,
    c: int,
) -> vec8d:
    shared = wp.float64(0.0)
    for g in range(limits.minimum.shape[0]):
        shared += limits.member[g, c] * z[b, t, 6 + g]
    result = vec8d()
    for k in range(_EDGES):
        total = shared
        for i in range(6):
            total += z[b, t, i] * wrench[b, c * _EDGES + k][i]
        result[k] = total
    return result


@wp.func
def _share(limits: TaskForceLimits, pull: vec8d) -> _Share:
    """``a_k = max(0, pull_k - level) / eps_e``; level = eps s where lower < s < upper.

    Edges below the level are left out until none is; the level rises with every one left out, so none comes back.
    """
    result = _Share()
    result.pull = pull
    result.softness = limits.edge_ridge / limits.ridge
    total = wp.float64(-1.0)  # the sum that is prescribed, negative: free
    searching = int(1)
    while searching == 1:
        level = wp.float64(-1.0e300)
        count = wp.float64(0.0)
        for _ in range(_EDGES + 1):
            above = wp.float64(0.0)
            number = wp.float64(0.0)
            for k in range(_EDGES):
                if pull[k] > level:
                    above += pull[k]
                    number += wp.float64(1.0)
            if total < wp.float64(0.0):
                level = above / (number + result.softness)
            elif number > wp.float64(0.0):
                level = (above - limits.edge_ridge * total) / number
            count = number
        result.level = level
        result.count = count
        searching = 0
        if total < wp.float64(0.0):
            pushed = level / limits.ridge
            if pushed < limits.lower or pushed > limits.upper:
                total = wp.clamp(pushed, limits.lower, limits.upper)
                result.softness = wp.float64(0.0)
                searching = 1
    return result


@wp.func
def _own_minimum(limits: TaskForceLimits, share: _Share) -> wp.float64:
    value = wp.float64(0.0)
    total = wp.float64(0.0)
    for k in range(_EDGES):
        force = wp.max(share.pull[k] - share.level, wp.float64(0.0)) / limits.edge_ridge
        total += force
        value += force * (wp.float64(0.5) * limits.edge_ridge * force - share.pull[k])
    return value + wp.float64(0.5) * limits.ridge * total * total


@wp.func
def _negative_dual(
    limits: TaskForceLimits,
    wrench: wp.array2d(dtype=vec6d),
    target: vec6d,
    z: wp.array3d(dtype=wp.float64),
    b: int,
    t: int,
) -> wp.float64:
    value = wp.float64(0.0)
    for i in range(6):
        value += z[b, t, i] * (wp.float64(0.5) * z[b, t, i] - target[i])
    for g in range(limits.minimum.shape[0]):
        value -= z[b, t, 6 + g] * limits.minimum[g]
    for c in range(limits.member.shape[1]):
        value -= _own_minimum(limits, _share(limits, _pulls(limits, wrench, z, b, t, c)))
    return value


@wp.func
def _column(
    limits: TaskForceLimits, wrench: wp.array2d(dtype=vec6d), b: int, c: int, k: int, i: int
) -> wp.float64:
    """Entry ``i`` of what an edge force adds to the residual and to the groups."""
    result = wp.float64(0.0)
    if i < 6:
        result = wrench[b, c * _EDGES + k][i]
    else:
        result = limits.member[i - 6, c]
    return result


@wp.func
def _system(
    limits: TaskForceLimits,
    wrench: wp.array2d(dtype=vec6d),
    target: vec6d,
    b: int,
    t: int,
    forces: TaskForces,
):
    """Gradient and Hessian of the negative dual, and the edge forces, at the present dual."""
    size = 6 + limits.minimum.shape[0]
    for i in range(size):
        if i < 6:
            forces.gradient[b, t, i] = forces.dual[b, t, i] - target[i]
        else:
            forces.gradient[b, t, i] = -limits.minimum[i - 6]
        for j in range(size):
            forces.hessian[b, t, i, j] = wp.float64(0.0)
        forces.hessian[b, t, i, i] = wp.where(i < 6, wp.float64(1.0), _DAMPING)
    for c in range(limits.member.shape[1]):
        share = _share(limits, _pulls(limits, wrench, forces.dual, b, t, c))
        for i in range(size):
            forces.trial[b, t, i] = wp.float64(0.0)  # sum of the columns that push
        for k in range(_EDGES):
            above = share.pull[k] - share.level
            force = wp.max(above, wp.float64(0.0)) / limits.edge_ridge
            forces.edge_force[b, t, c * _EDGES + k] = force
            if above > wp.float64(0.0):
                for i in range(size):
                    entry = _column(limits, wrench, b, c, k, i)
                    forces.gradient[b, t, i] = forces.gradient[b, t, i] + force * entry
                    forces.trial[b, t, i] = forces.trial[b, t, i] + entry
                    for j in range(i + 1):
                        forces.hessian[b, t, i, j] = (
                            forces.hessian[b, t, i, j]
                            + entry * _column(limits, wrench, b, c, k, j) / limits.edge_ridge
                        )
        scale = wp.float64(1.0) / (limits.edge_ridge * (share.count + share.softness))
        for i in range(size):
            for j in range(i + 1):
                forces.hessian[b, t, i, j] = (
                    forces.hessian[b, t, i, j] - scale * forces.trial[b, t, i] * forces.trial[b, t, j]
                )


@wp.func
def _is_free(forces: TaskForces, b: int, t: int, i: int, near: wp.float64) -> bool:
    """Whether an unknown follows Newton's direction: a multiplier within ``near`` of zero that wants to fall goes to zero."""
    free = bool(True)
    if i >= 6:
        if forces.dual[b, t, i] <= near and forces.gradient[b, t, i] > wp.float64(0.0):
            free = bool(False)
    return free


@wp.func
def _newton_direction(size: int, b: int, t: int, near: wp.float64, forces: TaskForces):
    """``-H^-1 g`` of the free unknowns by ``L D L^T``, in ``step``; the others go to zero."""
    for i in range(size):
        forces.step[b, t, i] = -forces.gradient[b, t, i]
        if not _is_free(forces, b, t, i, near):
            forces.step[b, t, i] = -forces.dual[b, t, i]
            for j in range(size):
                if j < i:
                    forces.hessian[b, t, i, j] = wp.float64(0.0)
                elif j > i:
                    forces.hessian[b, t, j, i] = wp.float64(0.0)
            forces.hessian[b, t, i, i] = wp.float64(1.0)
    for j in range(size):
        for i in range(j + 1, size):
            factor = forces.hessian[b, t, i, j] / forces.hessian[b, t, j, j]
            for k in range(i, size):
                forces.hessian[b, t, k, i] = forces.hessian[b, t, k, i] - factor * forces.hessian[b, t, k, j]
        for i in range(j + 1, size):
            forces.hessian[b, t, i, j] = forces.hessian[b, t, i, j] / forces.hessian[b, t, j, j]
    for i in range(size):
        for j in range(i):
            forces.step[b, t, i] = forces.step[b, t, i] - forces.hessian[b, t, i, j] * forces.step[b, t, j]
    for i in range(size):
        forces.step[b, t, i] = forces.step[b, t, i] / forces.hessian[b, t, i, i]
    for back in range(size):
        i = size - 1 - back
        for j in range(i + 1, size):
            forces.step[b, t, i] = forces.step[b, t, i] - forces.hessian[b, t, j, i] * forces.step[b, t, j]


@wp.func
def _search(
    limits: TaskForceLimits,
    wrench: wp.array2d(dtype=vec6d),
    target: vec6d,
    b: int,
    t: int,
    forces: TaskForces,
) -> bool:
    """Move the dual along ``step`` as far as it gets better; whether it has moved."""
    size = 6 + limits.minimum.shape[0]
    value = _negative_dual(limits, wrench, target, forces.dual, b, t)
    length = wp.float64(1.0)
    halvings = int(0)
    found = bool(False)
    while not found and halvings < _HALVINGS:
        slope = wp.float64(0.0)
        for i in range(size):
            moved = forces.dual[b, t, i] + length * forces.step[b, t, i]
            if i >= 6:
                moved = wp.max(moved, wp.float64(0.0))
            forces.trial[b, t, i] = moved
            slope += forces.gradient[b, t, i] * (moved - forces.dual[b, t, i])
        reached = _negative_dual(limits, wrench, target, forces.trial, b, t)
        rounding = wp.float64(1.0e-15) * (wp.float64(1.0) + wp.abs(value))
        if reached <= value + wp.float64(1.0e-4) * slope + rounding:
            found = bool(True)
            for i in range(size):
                forces.dual[b, t, i] = forces.trial[b, t, i]
        length = wp.float64(0.5) * length
        halvings += 1
    return found


@wp.kernel
def _task_forces(
    limits: TaskForceLimits,
    wrench: wp.array2d(dtype=vec6d),  # [B, C * 8]
    target: wp.array(dtype=vec6d),  # [T]
    period: int,
    # outputs
    forces: TaskForces,
):
    b, t = wp.tid()
    if forces.age[b] % period != 0:
        return
    size = 6 + limits.minimum.shape[0]
    steps = int(0)
    running = bool(True)
    while running:
        _system(limits, wrench, target[t], b, t, forces)
        largest = wp.float64(0.0)
        for i in range(size):
            change = wp.abs(forces.gradient[b, t, i])
            if i >= 6:  # how far a step down the gradient goes before it meets the bound
                multiplier = forces.dual[b, t, i]
                change = wp.abs(multiplier - wp.max(multiplier - forces.gradient[b, t, i], wp.float64(0.0)))
            largest = wp.max(largest, change)
        if not (largest > _TOLERANCE) or steps >= _NEWTON_STEPS:
            running = bool(False)
        else:
            steps += 1
            _newton_direction(size, b, t, wp.min(largest, _NEAR), forces)
            running = _search(limits, wrench, target[t], b, t, forces)
    left = target[t]
    for column in range(wrench.shape[1]):
        for i in range(6):
            left[i] = left[i] - wrench[b, column][i] * forces.edge_force[b, t, column]
    forces.residual[b, t] = left
    forces.iterations[b, t] = steps


def launch_task_forces(
    limits: TaskForceLimits, wrench: wp.array, target: wp.array, *, period: int = 1, forces: TaskForces
) -> None:
    """Solve the programs of all grasps and task wrenches; of those only whose ``age`` is a multiple of ``period``.

    Args:
        limits: Bounds, ridges and groups; each group must be able to reach its minimum.
        wrench: Wrenches of unit edge forces ``[n + mu t; arm x (n + mu t)]``, vec6d, shape [B, C * 8], contact first.
        target: Task wrenches, vec6d, shape [T].
        period: Evaluations between solves.
        forces: Solutions; ``dual`` is where the search starts.
    """
    wp.launch(
        _task_forces,
        dim=(wrench.shape[0], target.shape[0]),
        inputs=[limits, wrench, target, period],
        outputs=[forces],
        device=wrench.device,
        record_tape=False,
    )
