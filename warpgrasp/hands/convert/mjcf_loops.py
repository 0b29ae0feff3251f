"""Closed loops of an MJCF (four-bars held together by ``<equality><connect>``) reduced to coupled joints.

The loop is solved with MuJoCo's kinematics over the range of the joint that drives it; each other joint of the loop then
follows that one linearly. Where a loop leaves a second freedom, as underactuated grippers do, the joint that rests at its
stop is held there, which is how the linkage moves in free space.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

__all__ = ["Loop", "LoopSolution", "solve_loops"]

FloatArray = NDArray[np.float64]
Couplings = dict[int, tuple[int, float, float]]

_SAMPLES = 20  # on either side of the pose in which the file is drawn
_CLOSED = 2e-4  # m; a loop whose ends are farther apart cannot be closed at that value
_RANK_TOLERANCE = 1e-3  # of the largest singular value
_NOTED_DEVIATION = math.radians(0.5)
_AT_STOP = 1e-3  # rad or m


@dataclass(frozen=True, eq=False)
class Loop:
    """Two points that coincide: of body ``first`` and of body ``second``, each in its body's frame [m]."""

    first: int
    second: int
    first_point: FloatArray
    second_point: FloatArray


@dataclass(frozen=True, eq=False)
class LoopSolution:
    """Couplings that stand for the loops; see :class:`~warpgrasp.hands.convert.mjcf_couplings.JointMotion`."""

    followers: Couplings = field(default_factory=dict)
    held: dict[int, float] = field(default_factory=dict)
    ranges: dict[int, tuple[float, float]] = field(default_factory=dict)
    linkages: set[int] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def solve_loops(
    mujoco: Any, model: Any, loops: list[Loop], driven: set[int], couplings: Couplings
) -> LoopSolution:
    """Couple the joints of every loop.

    Args:
        mujoco: The module.
        model: The compiled model; its equalities are not applied.
        loops: The loops.
        driven: Joints that an actuator moves; they lead.
        couplings: Followers that the file itself couples, as ``(leader, multiplier, offset)``.

    Raises:
        ValueError: A loop cannot be closed, or has no joint that could lead.
    """
    solution = LoopSolution()
    solver = _Solver(mujoco, model)
    waiting = [(solver.joints(loop), [loop]) for loop in loops]
    groups: list[tuple[set[int], list[Loop]]] = []
    while waiting:  # loops that share joints are solved together
        joints, members = waiting.pop()
        match = next((group for group in groups if group[0] & joints), None)
        if match is None:
            groups.append((joints, members))
        else:
            groups.remove(match)
            waiting.append((match[0] | joints, match[1] + members))
    for joints, members in sorted(groups, key=lambda group: min(group[0], default=0)):
        _solve_group(solver, sorted(joints), members, driven, couplings, solution)
    return solution


class _Solver:
    """Forward kinematics of the model, and how far the ends of loops are apart."""

    def __init__(self, mujoco: Any, model: Any) -> None:
        self.mujoco, self.model = mujoco, model
        self.data = mujoco.MjData(model)
        self.rest = np.array(model.qpos0)

    def name(self, kind: str, index: int) -> str:
        """Name of a joint or body."""
        found = self.mujoco.mj_id2name(self.model, getattr(self.mujoco.mjtObj, f"mjOBJ_{kind}"), index)
        return found or f"{kind.lower()}_{index}"

    def ancestors(self, body: int) -> list[int]:
        """A body and the bodies above it, without the world."""
        found = []
        while body > 0:
            found.append(body)
            body = int(self.model.body_parentid[body])
        return found

    def arms(self, loop: Loop) -> tuple[list[int], list[int]]:
        """Bodies from each end of a loop up to, and without, the body at which both meet."""
        first, second = self.ancestors(loop.first), self.ancestors(loop.second)
        return [b for b in first if b not in second], [b for b in second if b not in first]

    def joints(self, loop: Loop) -> set[int]:
        """Hinges and slides between the two ends of a loop."""
        model = self.model
        bodies = [body for arm in self.arms(loop) for body in arm]
        return {
            j
            for body in bodies
            for j in range(model.body_jntadr[body], model.body_jntadr[body] + model.body_jntnum[body])
        }

    def address(self, joint: int) -> int:
        """Where a joint's value stands in qpos."""
        return int(self.model.jnt_qposadr[joint])

    def gap(self, loops: list[Loop], qpos: FloatArray) -> FloatArray:
        """Vectors between the two points of each loop [m], flattened."""
        data = self.data
        data.qpos[:] = qpos
        self.mujoco.mj_kinematics(self.model, data)
        rows = []
        for loop in loops:
            a = data.xpos[loop.first] + data.xmat[loop.first].reshape(3, 3) @ loop.first_point
            b = data.xpos[loop.second] + data.xmat[loop.second].reshape(3, 3) @ loop.second_point
            rows.append(a - b)
        return np.concatenate(rows)

    def bounds(self, joint: int) -> tuple[float, float]:
        """Limits of a joint."""
        if not self.model.jnt_limited[joint]:
            return -math.pi, math.pi
        lower, upper = self.model.jnt_range[joint]
        return float(lower), float(upper)


def _solve_group(
    solver: _Solver,
    joints: list[int],
    loops: list[Loop],
    driven: set[int],
    couplings: Couplings,
    solution: LoopSolution,
) -> None:
    where = f"body '{solver.name('BODY', loops[0].first)}'"
    if len(joints) < 2:
        raise ValueError(f"the loop at {where} holds {len(joints)} joints; remove the connect equality")
    inner = [j for j in joints if j in couplings and couplings[j][0] in joints]
    free = [j for j in joints if j not in inner]
    driver = _driver(free, driven, couplings)
    if float(np.abs(solver.gap(loops, solver.rest)).max()) > 10.0 * _CLOSED and not _close(
        solver, loops, free, solver.rest
    ):
        raise ValueError(f"the loop at {where} cannot be closed; correct the anchors of the connect equality")
    passive = [j for j in free if j != driver]
    best: tuple[FloatArray, FloatArray, tuple[int, ...]] | None = None
    for held in _choices(solver, loops, passive):
        moving = [j for j in passive if j not in held]
        driver_values, values = _sweep(solver, loops, driver, moving, inner, couplings)
        if best is None or np.ptp(driver_values) > np.ptp(best[0]) + 1e-3:
            best = driver_values, values, held
        lower, upper = solver.bounds(driver)
        if np.ptp(driver_values) > 0.98 * (upper - lower):
            break
    assert best is not None
    driver_values, values, held = best
    if np.ptp(driver_values) < 1e-3:
        raise ValueError(
            f"the loop at {where} does not move with joint '{solver.name('JOINT', driver)}'; couple its joints with "
            "<equality><joint .../></equality> instead of connect"
        )
    _record(solver, loops, driver, passive, held, driver_values, values, solution)


def _driver(free: list[int], driven: set[int], couplings: Couplings) -> int:
    """The joint that leads: driven, or coupled to joints elsewhere, or else the first."""
    leaders = {row[0] for row in couplings.values()}
    ranked = [j for j in free if j in driven] + [j for j in free if j in couplings or j in leaders]
    return (ranked or free)[0]


def _close(solver: _Solver, loops: list[Loop], joints: list[int], start: FloatArray) -> bool:
    """Move the rest pose to one that closes the loops; whether that was possible."""
    found = _closed_pose(solver, loops, joints, start, [], {})
    if found is not None:
        solver.rest = found
    return found is not None


def _closed_pose(
    solver: _Solver,
    loops: list[Loop],
    moving: list[int],
    start: FloatArray,
    inner: list[int],
    couplings: Couplings,
) -> FloatArray | None:
    """The pose near ``start`` that closes the loops by the moving joints; None where there is none."""
    address = [solver.address(j) for j in moving]

    def pose(values: FloatArray) -> FloatArray:
        qpos = start.copy()
        qpos[address] = values
        for joint in inner:
            leader, multiplier, offset = couplings[joint]
            qpos[solver.address(joint)] = multiplier * qpos[solver.address(leader)] + offset
        return qpos

    limits = np.array([solver.bounds(j) for j in moving])
    begin = np.clip(start[address], limits[:, 0] + 1e-9, limits[:, 1] - 1e-9)

    def apart(values: FloatArray) -> FloatArray:
        return solver.gap(loops, pose(values))

    found = least_squares(apart, begin, bounds=(limits[:, 0], limits[:, 1]), xtol=1e-12, ftol=1e-12)
    return pose(found.x) if float(np.abs(found.fun).max()) < _CLOSED else None


def _choices(solver: _Solver, loops: list[Loop], passive: list[int]) -> list[tuple[int, ...]]:
    """Sets of joints to hold so that the loops determine the others; joints at their stops come first."""
    columns = []
    for joint in passive:
        high, low = solver.rest.copy(), solver.rest.copy()
        high[solver.address(joint)] += 1e-4
        low[solver.address(joint)] -= 1e-4
        columns.append((solver.gap(loops, high) - solver.gap(loops, low)) / 2e-4)
    jacobian = np.array(columns).T

    def rank(chosen: list[int]) -> int:
        singular = np.linalg.svd(jacobian[:, chosen], compute_uv=False)
        return int((singular > _RANK_TOLERANCE * max(float(np.abs(jacobian).max()), 1e-9)).sum())

    everything = list(range(len(passive)))
    excess = len(passive) - rank(everything)
    if excess <= 0:
        return [()]

    def off_stop(column: int) -> float:
        lower, upper = solver.bounds(passive[column])
        value = solver.rest[solver.address(passive[column])]
        return 0.0 if min(abs(value - lower), abs(value - upper)) < _AT_STOP else 1.0

    sets = [
        held
        for held in itertools.combinations(everything, excess)
        if rank([c for c in everything if c not in held]) == len(passive) - excess
    ]
    sets.sort(key=lambda held: sum(off_stop(c) for c in held))
    return [tuple(passive[c] for c in held) for held in sets]


def _sweep(
    solver: _Solver, loops: list[Loop], driver: int, moving: list[int], inner: list[int], couplings: Couplings
) -> tuple[FloatArray, FloatArray]:
    """Values of the driver [N] at which the loops close, and those of the moving joints [N, joints]."""
    lower, upper = solver.bounds(driver)
    address = solver.address(driver)
    rest = float(np.clip(solver.rest[address], lower, upper))
    rows: list[tuple[float, FloatArray]] = []
    for end in (lower, upper):
        pose = solver.rest.copy()
        for value in np.linspace(rest, end, _SAMPLES + 1):
            pose[address] = value
            found = _closed_pose(solver, loops, moving, pose, inner, couplings)
            if found is None:
                break
            pose = found
            rows.append((float(value), found[[solver.address(j) for j in moving]]))
    rows.sort(key=lambda row: row[0])
    if not rows:
        return np.zeros(0), np.zeros((0, len(moving)))
    return np.array([value for value, _ in rows]), np.array([row for _, row in rows])


def _record(
    solver: _Solver,
    loops: list[Loop],
    driver: int,
    passive: list[int],
    held: tuple[int, ...],
    driver_values: FloatArray,
    values: FloatArray,
    solution: LoopSolution,
) -> None:
    name = solver.name("JOINT", driver)
    moving = [j for j in passive if j not in held]
    worst, followers = 0.0, []
    for column, joint in enumerate(moving):
        multiplier, offset = np.polyfit(driver_values, values[:, column], 1)
        worst = max(worst, float(np.abs(multiplier * driver_values + offset - values[:, column]).max()))
        solution.followers[joint] = driver, float(multiplier), float(offset)
        followers.append(f"'{solver.name('JOINT', joint)}' = {multiplier:.4g} x + {offset:.4g}")
    for joint in held:
        solution.held[joint] = float(solver.rest[solver.address(joint)])
        followers.append(f"'{solver.name('JOINT', joint)}' held at {solution.held[joint]:.4g}")
    lower, upper = solver.bounds(driver)
    if np.ptp(driver_values) < 0.98 * (upper - lower):
        solution.ranges[driver] = float(driver_values[0]), float(driver_values[-1])
        followers.append(f"the loop closes only for {driver_values[0]:.4g} .. {driver_values[-1]:.4g}")
    inexact = f" (a straight line through a curve, at most {math.degrees(worst):.1f} deg off)"
    solution.notes.append(
        f"The loop at body '{solver.name('BODY', loops[0].first)}' is driven by joint '{name}' = x: "
        + ", ".join(followers)
        + (inexact if worst > _NOTED_DEVIATION else "")
        + "."
    )
    for loop in loops:
        solution.linkages.update(_linkage(solver, loop))


def _linkage(solver: _Solver, loop: Loop) -> set[int]:
    """First body of the arm that reaches less far from where the loop begins; the other one carries the pad."""
    arms = solver.arms(loop)
    if not all(arms):
        return set()
    solver.gap([loop], solver.rest)
    model, data = solver.model, solver.data
    reach = []
    for arm in arms:
        below = [b for b in range(model.nbody) if arm[-1] in solver.ancestors(b)]
        start = data.xpos[arm[-1]]
        geoms = [g for g in range(model.ngeom) if int(model.geom_bodyid[g]) in below]
        ends = [float(np.linalg.norm(data.geom_xpos[g] - start)) + float(model.geom_rbound[g]) for g in geoms]
        reach.append(max(ends, default=0.0))
    return {arms[int(np.argmin(reach))][-1]}
