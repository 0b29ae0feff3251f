"""One grasp file through a protocol: scene, engine, metrics."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.base.version import VERSION
from warpgrasp.base.warp_messages import warp_is_quiet
from warpgrasp.eval.config import EvaluationConfig
from warpgrasp.eval.engines.mujoco_scene import Scene, build_scene
from warpgrasp.eval.metrics.geometry import (
    contact_distance_consistency,
    intersection_volume,
    self_penetration_depth,
    surface_metrics,
)
from warpgrasp.eval.metrics.wrench import contact_wrenches, wrench_space_qualities
from warpgrasp.eval.protocol.conditions import squeeze_sentence
from warpgrasp.eval.protocol.squeeze_rules import HandTargets, hand_targets
from warpgrasp.eval.results.case_result import RESULT_VERSION, CaseResult
from warpgrasp.grasps.case import GraspCase
from warpgrasp.objects.convex_pieces import convex_pieces

if TYPE_CHECKING:
    from warpgrasp.eval.engines.registry import Engine
    from warpgrasp.objects import ObjectModel
    from warpgrasp.objects.convex_pieces import ConvexPiece

__all__ = ["REST_TIME", "evaluate_case", "grasp_metrics", "simulation_displacement"]

REST_TIME = 1.0
"""Time over which the simulation displacement is measured [s]."""
_METRIC_FRICTION = 0.2  # of the wrench space, that of the force-closure energy
_METRICS = ("penetration_depth", "self_penetration_depth", "contact_distance_consistency", "contact_area")
_SIMULATED = "simulation_displacement"
_SLOW_METRICS = ("intersection_volume", "epsilon_quality", "volume_quality", _SIMULATED)


@warp_is_quiet()
def evaluate_case(
    case: GraspCase,
    config: EvaluationConfig,
    engine: Engine,
    *,
    earlier: CaseResult | None = None,
    measured: CaseResult | None = None,
    progress: Callable[[int], None] | None = None,
    find_pieces: Callable[[ObjectModel], tuple[ConvexPiece, ...]] | None = None,
) -> CaseResult:
    """Simulate all grasps of a file at every force and measure them.

    Args:
        case: The grasps with their hand and object.
        config: How they are tested.
        engine: What simulates.
        earlier: A result of the same key; its forces and metrics are kept and only others are computed.
        measured: A result of the same grasps by another engine; metrics that need no simulation are taken from it.
        progress: Hears the number of grasps tested so far, counted once per force.
        find_pieces: Gives the convex pieces of an object where somebody has begun to cut it already
            (:class:`~warpgrasp.objects.background_pieces.BackgroundPieces`).

    Raises:
        ImportError: CoACD is needed and not installed.
        ValueError: The physics engine refuses the hand or the object.
    """
    known = {} if earlier is None else earlier.metrics()
    if measured is not None:
        known = {name: column for name, column in measured.metrics().items() if name != _SIMULATED} | known
    done = () if earlier is None else earlier.force
    protocols = [protocol for protocol in config.protocols() if protocol.push_force not in done]
    lacking = [name for name in _metric_names(config.all_metrics) if name not in known]
    if earlier is not None and not protocols and not lacking:
        return earlier
    pieces = find_pieces(case.model) if find_pieces else convex_pieces(case.model, config.pieces)
    scene = build_scene(case.hand, case.model, pieces, config.protocol, hand_file=config.hand_file(case.hand))
    targets = hand_targets(
        case.hand,
        case.grasps,
        stiffness=scene.drives.stiffness,
        rule=config.squeeze,
        squeeze_effort=config.squeeze_effort,
        effort=scene.drives.effort,
    )
    verdicts = []
    kept = len(config.protocols()) - len(protocols)
    for index, protocol in enumerate(protocols):
        count = (kept + index) * len(case.grasps)
        heard = None if progress is None else _shifted(progress, count)
        verdicts.append(
            engine.evaluate(dataclasses.replace(scene, protocol=protocol), targets, progress=heard)
        )
    metrics = dict(known)
    if set(lacking) - {_SIMULATED}:
        metrics.update(grasp_metrics(case, targets.valid(), all_metrics=config.all_metrics))
    if _SIMULATED in lacking:
        metrics[_SIMULATED] = simulation_displacement(engine, scene, targets)
    metadata = _metadata(case, config, engine.name, len(pieces))
    if earlier is not None and not verdicts:
        return dataclasses.replace(earlier, columns={**earlier.columns, **metrics}, metadata=metadata)
    forces = [protocol.push_force for protocol in protocols]
    result = CaseResult.from_verdicts(forces, verdicts, metrics, metadata)
    return result.joined(result if earlier is None else earlier)


def _metadata(case: GraspCase, config: EvaluationConfig, engine: str, piece_count: int) -> dict[str, Any]:
    return {
        "result_version": RESULT_VERSION,
        "key": config.key(case, engine),
        "settings_hash": config.settings_hash(engine),
        "grasp_path": str(case.path),
        "grasp_file_hash": case.file_hash,
        "object": case.object_name,
        "mesh_hash": case.model.mesh_hash,
        "hand": case.hand.name,
        "grasp_type": case.grasp_type,
        "joint_lower": np.asarray(case.hand.dof_lower).tolist(),
        "joint_upper": np.asarray(case.hand.dof_upper).tolist(),
        "engine": engine,
        "squeeze": squeeze_sentence(config.squeeze, config.squeeze_effort),
        "piece_count": piece_count,
        "settings": config.settings(),
        "settings_name": config.settings_name(engine),
        "trial_names": list(config.protocol.trial_names),
        "versions": _versions(),
    }


def simulation_displacement(
    engine: Engine, scene: Scene, targets: HandTargets, *, duration: float = REST_TIME
) -> NDArray[np.float64]:
    """How far the object drifts in a hand that has closed and that nothing pushes [m], shape [N].

    The simulation displacement of Hasson et al. 2019 and Turpin et al. 2023: way of the centre of mass in a simulator within a
    given time, counted from when the hand is closed. Mass, friction, drives and stiffness of contacts are those of the
    protocol, which has no gravity: grasps are not bound to a direction. What gravity does is the displacement in the
    trials of ``dexgraspbench``. NaN for invalid grasps and unstable simulations.
    """
    rest = dataclasses.replace(scene, protocol=scene.protocol.at_rest(duration))
    return engine.evaluate(rest, targets).settle_displacement


@warp_is_quiet()
def grasp_metrics(
    case: GraspCase, valid: NDArray[np.bool_], *, all_metrics: bool = False
) -> dict[str, NDArray[np.float64]]:
    """Metrics of every grasp [N] by name, SI units; NaN for invalid grasps."""
    hand, model, index = case.hand, case.model, np.flatnonzero(valid)
    grasps = case.grasps.select(index)
    pose = (grasps.root_position, grasps.root_quaternion, grasps.joint_position)
    measured: dict[str, NDArray[np.float64]] = {}
    measured["penetration_depth"], measured["contact_area"] = surface_metrics(hand, model, *pose)
    measured["self_penetration_depth"] = self_penetration_depth(hand, grasps.joint_position)
    measured["contact_distance_consistency"] = contact_distance_consistency(
        hand, model, *pose, grasp_type=case.grasp_type
    )
    if all_metrics:
        measured["intersection_volume"] = intersection_volume(hand, model, *pose)
        contacts = zip(grasps.contact_position, grasps.contact_normal, strict=True)
        qualities = [
            wrench_space_qualities(
                contact_wrenches(*contact, model.center_of_mass, friction=_METRIC_FRICTION)
            )
            for contact in contacts
        ]
        both = np.array(qualities, dtype=np.float64).reshape(-1, 2)
        measured["epsilon_quality"], measured["volume_quality"] = both.T
    columns = {name: np.full(len(case.grasps), np.nan) for name in measured}
    for name, values in measured.items():
        columns[name][index] = values
    return columns


def _metric_names(all_metrics: bool) -> tuple[str, ...]:
    return (*_METRICS, *_SLOW_METRICS) if all_metrics else _METRICS


def _shifted(progress: Callable[[int], None], done: int) -> Callable[[int], None]:
    return lambda count: progress(done + count)


def _versions() -> dict[str, str]:
    versions = {"warpgrasp": VERSION, "numpy": np.__version__}
    for package in ("mujoco", "mujoco-warp", "newton", "warp-lang"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions
