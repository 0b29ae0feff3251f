"""Synthesis of grasps: hand + objects -> problem -> seeds -> optimiser -> grasp sets."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import warp as wp

from warpgrasp.base.depth_limits import BEHIND_WALL, TOO_DEEP
from warpgrasp.base.json_text import to_json
from warpgrasp.base.stage_clock import StageClock
from warpgrasp.base.status import GraspStatus
from warpgrasp.base.version import VERSION
from warpgrasp.base.warp_device import choose_device
from warpgrasp.base.warp_messages import warp_is_quiet
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.grasps.success_estimate import with_estimate
from warpgrasp.synthesis.closing import close_gaps
from warpgrasp.synthesis.closure import touches_enough
from warpgrasp.synthesis.controller_targets import controller_targets
from warpgrasp.synthesis.hand_depth import hand_depth
from warpgrasp.synthesis.optimizer_contract import (
    Optimizer,
    OptimizerState,
    is_capturable,
    resolved_optimizer,
)
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.seeds import seed_sets
from warpgrasp.synthesis.synthesis_config import SynthesisConfig
from warpgrasp.synthesis.wall_depth import wall_depth
from warpgrasp.synthesis.withdrawal import waypoint_columns

if TYPE_CHECKING:
    from warpgrasp.hands import HandModel
    from warpgrasp.objects import ObjectModel
    from warpgrasp.synthesis.state import GraspState

__all__ = ["Progress", "SynthesisConfig", "bytes_per_grasp", "synthesize"]

_LAST_KERNELS = (
    "warpgrasp.kernels.targets.balanced_forces",
    "warpgrasp.kernels.targets.closing",
    "warpgrasp.kernels.targets.nearest_points",
    "warpgrasp.kernels.targets.opening",
)
_CLUSTERS = 50  # of surface points, of a link
_PROGRESS_PERIOD = 0.25  # s between progress reports
_FORMED = (int(GraspStatus.OK), int(GraspStatus.EARLY_CONTACT))  # before closure is asked
_CLOSURE = (*_FORMED, int(GraspStatus.NOT_CLOSED))
_JUDGED = (*_CLOSURE, int(GraspStatus.PREGRASP_NOT_CLEAR), int(GraspStatus.NOT_TOUCHING))  # finite and solved


@dataclass(frozen=True)
class Progress:
    """Where a run stands, over all grasps of the batch."""

    step: int
    step_count: int
    energy_mean: float
    energy_best: float
    accept_rate: float | None
    """Share of the steps that were accepted; ``None`` for an optimiser that rejects none."""


def synthesize(
    hand: HandModel,
    objects: Sequence[ObjectModel],
    config: SynthesisConfig | None = None,
    *,
    progress: Callable[[Progress], None] | None = None,
    clock: StageClock | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[GraspSet]:
    """Synthesise grasps of ``hand`` on every object, all in one batch on the device.

    Args:
        hand: The hand.
        objects: The objects; those of a call share the device, nothing else: grasps of an object do not depend on
            the others.
        config: Hyper-parameters; those of the command line are ``warpgrasp.synthesis.methods.method_config()``, which keep
            the best of several candidates, by default those of ``SynthesisConfig()``, which keep every grasp.
        progress: Called a few times a second.
        clock: Counts the stages ``upload``, ``seeds``, ``kernels`` (compiled or loaded, and the first step), ``loop``,
            ``closing`` and ``finishing``.
        stop: Asked after every step whether to end with the best grasps so far.

    Returns:
        One grasp set per object, grasps in the order of their seeds. Where ``stop`` ended the steps, the entry
        ``stopped_at_step`` of the metadata says after which; of several candidates per grasp, ``candidates`` counts all by
        status.

    Raises:
        ValueError: for hyper-parameters the hand or the objects do not admit, or an unknown device.
    """
    with warp_is_quiet():
        return _synthesize(hand, objects, config or SynthesisConfig(), progress, clock or StageClock(), stop)


def _synthesize(
    hand: HandModel,
    objects: Sequence[ObjectModel],
    config: SynthesisConfig,
    progress: Callable[[Progress], None] | None,
    clock: StageClock,
    stop: Callable[[], bool] | None,
) -> list[GraspSet]:
    with clock.stage("upload"):
        problem = GraspProblem(
            hand,
            objects,
            grasp_count=config.candidate_count,
            contact_count=config.contact_count,
            grasp_type=config.grasp_type,
            terms=config.energy.active_terms(),
            sample_count=config.sample_count,
            device=choose_device(config.device),
        )
        _ = problem.distance_bound  # computed at its first use
        optimizer = resolved_optimizer(config.optimizer, problem)
    chosen = config.candidate_count // config.grasp_count
    config = dataclasses.replace(config, optimizer=optimizer, candidates=chosen)
    with clock.stage("seeds"):
        sets = range(1 + optimizer.reset_count(config.step_count))
        seeds, *resets = seed_sets(problem, config.initialize, seed=config.seed, resets=sets)
    with clock.stage("kernels"):
        for name in _LAST_KERNELS:
            wp.load_module(name, device=problem.device)
        state = optimizer.init(problem, seeds, resets, step_count=config.step_count)
        optimizer.step(problem, state)
        wp.synchronize_device(problem.device)
    with clock.stage("loop"):
        count = config.step_count
        taken = run_steps(problem, optimizer, state, count, done=1, progress=progress, stop=stop)
        wp.synchronize_device(problem.device)
    finish = getattr(optimizer, "finish", None)
    if finish is not None:
        finish(problem, state)
    columns = _finish(problem, state, config, clock)
    own = getattr(optimizer, "own_columns", None)
    if own is not None:
        columns |= own(problem, state)
    columns |= waypoint_columns(problem, columns, config.targets)
    stopped = {"stopped_at_step": taken} if taken < count else {}
    return [_grasp_set(problem, columns, index, config, stopped) for index in range(len(problem.objects))]


def run_steps(
    problem: GraspProblem,
    optimizer: Optimizer,
    state: OptimizerState,
    step_count: int,
    *,
    done: int = 0,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> int:
    """Advance ``state`` to step ``step_count``: the first as plain launches, the others as one captured graph.

    ``done`` steps, at most one, have been taken before. Returns the steps taken in all: fewer where ``stop`` said so.
    """
    if done == 0:
        optimizer.step(problem, state)
    advance: Callable[[], None] = functools.partial(optimizer.step, problem, state)
    if step_count > 1 and is_capturable(optimizer):
        with wp.ScopedCapture(device=problem.device) as capture:
            optimizer.step(problem, state)
        # Recording on the CPU does not run what it records, as on CUDA.
        advance = functools.partial(wp.capture_launch, capture.graph)
    reported = time.perf_counter()
    for step in range(2, step_count + 1):
        if stop is not None and stop():
            return step - 1
        advance()
        if progress is not None and time.perf_counter() - reported > _PROGRESS_PERIOD:
            progress(_progress(state, step, step_count))
            reported = time.perf_counter()
    if progress is not None:
        progress(_progress(state, step_count, step_count))
    return step_count


def _progress(state: OptimizerState, step: int, step_count: int) -> Progress:
    accepted = state.accept_count
    return Progress(
        step=step,
        step_count=step_count,
        energy_mean=float(np.mean(state.energy.numpy())),
        energy_best=float(np.min(state.best.energy.numpy())),
        accept_rate=None if accepted is None else float(np.mean(accepted.numpy())) / step,
    )


def _finish(
    problem: GraspProblem, state: OptimizerState, config: SynthesisConfig, clock: StageClock
) -> dict[str, np.ndarray]:
    """Evaluate the best grasps and compute their targets: columns of all grasps of the batch."""
    final = problem.create_state()  # what an optimiser keeps beside its best grasps is its own affair
    for name in ("root_pose", "joint_position", "contact_index", "closest_point", "qp_dual"):
        wp.copy(getattr(final, name), getattr(state.best, name))
    with clock.stage("closing"):
        closed = close_gaps(problem, final, config.closing, friction=config.energy.force_closure.friction)
    with clock.stage("finishing"):
        return _columns(problem, state, final, closed, config)


def _columns(
    problem: GraspProblem,
    state: OptimizerState,
    final: GraspState,
    closed: np.ndarray,
    config: SynthesisConfig,
) -> dict[str, np.ndarray]:
    """Targets, statuses and columns of grasps after the last stage."""
    targets = controller_targets(problem, final, config.targets, config.energy.force_closure)
    torque, opened = targets.squeeze.torque, targets.pregrasp
    joints = final.joint_position.numpy()
    root = final.root_pose.numpy()
    status = state.status.numpy()
    status = np.where(status == GraspStatus.OK, targets.status, status)
    status = np.where(np.isin(status, _FORMED) & ~closed, int(GraspStatus.NOT_CLOSED), status)
    loose = ~touches_enough(problem, final, touching=config.closing.touching)
    status = np.where(np.isin(status, _CLOSURE) & loose, int(GraspStatus.NOT_TOUCHING), status)
    judged = np.isin(status, _JUDGED)
    wall = config.energy.wall
    if wall.weight > 0.0:
        hands = ((root, joints), (opened.root_pose, opened.joint_position))
        behind = np.maximum(*(wall_depth(problem, wall, *hand) for hand in hands)) > BEHIND_WALL
        status = np.where(judged & behind, int(GraspStatus.HAND_BEHIND_WALL), status)
    inside = hand_depth(problem, final) > TOO_DEEP
    status = np.where(judged & inside, int(GraspStatus.HAND_INSIDE_OBJECT), status)
    return {
        "root_position": root[:, :3],
        "root_quaternion": root[:, 3:],
        "joint_position": joints,
        "pregrasp_root_position": opened.root_pose[:, :3],
        "pregrasp_root_quaternion": opened.root_pose[:, 3:],
        "pregrasp_joint_position": opened.joint_position,
        "squeeze_root_position": root[:, :3],
        "squeeze_root_quaternion": root[:, 3:],
        "squeeze_joint_position": joints + torque / problem.hand.dof_stiffness,
        "squeeze_torque": torque,
        "contact_index": final.contact_index.numpy(),
        "contact_position": final.contact_position.numpy(),
        "contact_normal": final.object_normal.numpy(),
        "contact_force": targets.squeeze.force,
        "energy": final.energy.numpy(),
        "energy_terms": final.energy_terms.numpy().T,
        "status": status,
    }


def _grasp_set(
    problem: GraspProblem,
    columns: dict[str, np.ndarray],
    index: int,
    config: SynthesisConfig,
    stopped: dict[str, int],
) -> GraspSet:
    start = index * problem.grasp_count
    own = {name: column[start : start + problem.grasp_count].copy() for name, column in columns.items()}
    finite = [np.isfinite(column).all(axis=tuple(range(1, column.ndim))) for column in own.values()]
    broken = (own["status"] == GraspStatus.OK) & ~np.all(finite, axis=0)
    own["status"] = np.where(broken, int(GraspStatus.NONFINITE_ENERGY), own["status"])
    grasps = GraspSet(
        **own,
        joint_names=problem.hand.joint_names,
        energy_term_names=problem.term_names,
        metadata={**_metadata(problem, problem.objects[index], config), **stopped},
    )
    return _best_candidates(with_estimate(grasps), config)


def _best_candidates(grasps: GraspSet, config: SynthesisConfig) -> GraspSet:
    """As many grasps as are wanted, the best of the candidates in the order of their seeds; counts of all in the metadata."""
    if config.candidate_count == config.grasp_count:
        return grasps
    names = [GraspStatus(int(status)).name for status in grasps.status]
    counts = {name: names.count(name) for name in sorted(set(names))}
    kept = grasps.select(np.sort(grasps.order()[: config.grasp_count]))
    return dataclasses.replace(kept, metadata={**kept.metadata, "candidates": counts})


def _metadata(problem: GraspProblem, model: ObjectModel, config: SynthesisConfig) -> dict[str, Any]:
    """What decided the grasps; no clock, so that one seed gives the same bytes again."""
    return {
        "versions": {"warpgrasp": VERSION, "warp": wp.__version__, "numpy": np.__version__},
        "config": _resolved(config, model),
        "seed": config.seed,
        "hand": {
            "name": problem.hand.name,
            "path": str(problem.hand.path),
            "asset_hash": problem.hand.asset_hash,
        },
        "object": {
            "name": model.name,
            "path": str(model.path),
            "file_hash": model.file_hash,
            "mesh_hash": model.mesh_hash,
            "scale": model.scale,
            "repairs": list(model.repairs),
            **_read_as(model),
        },
        "units": {"length": "m", "angle": "rad", "force": "N", "quaternion": "xyzw"},
        "device": str(problem.device),
    }


def _read_as(model: ObjectModel) -> dict[str, Any]:
    """What :func:`~warpgrasp.objects.load_object` must be told to read the same object again, where it is not the default."""
    changes = model.reading.changes()
    return ({"reading": changes} if changes else {}) | ({"part": model.part} if model.part > 1 else {})


def _resolved(config: SynthesisConfig, model: ObjectModel) -> dict[str, Any]:
    """The configuration as JSON, with the values that were used where it leaves them open; the optimiser is resolved."""
    content: dict[str, Any] = to_json(config)
    energy, wall = content["energy"], config.energy.wall
    energy["force_closure"]["qp"]["iteration_limit"] = config.energy.force_closure.qp.resolved_iteration_limit
    if wall.weight > 0.0:
        energy["wall"]["offset"] = wall.offset_of(model)
    return content


def bytes_per_grasp(hand: HandModel, config: SynthesisConfig) -> int:
    """Device memory one grasp of a batch needs [bytes]; meshes and samples of objects come on top."""
    links, joints, shapes = len(hand.link_names), len(hand.joint_names), len(hand.geometry_type)
    contacts, spheres = config.contact_count, len(hand.sphere_link)
    edges = contacts * config.energy.force_closure.edge_count
    chain = 28 + 4 * joints + 16 * contacts + 24 + 4 + 4 * (6 + joints)
    state = chain + 28 * links + 52 * contacts + 4 * 8 + 24 * links + 4 * joints
    buffers = 4 * (6 + joints) + 52 * shapes + 12 * spheres + 32 * edges + 12
    resets = config.optimizer.reset_count(config.step_count) * (28 + 4 * joints)
    unknowns = 6 + joints
    closing = 8 * unknowns * unknowns + 84 * links + 60 * shapes + 16 * joints
    marks = (48 + 4 * _CLUSTERS) * links
    # state, two more states whose chains are kept and one for the results, buffers of the terms, resets, least squares
    # of the last stage and what it remembers of distances, counters
    return 4 * state + buffers + resets + closing + marks + 64
