"""Evolution of one object's grasps in simulation (Zurbrügg et al. 2026, DexEvolve), at a budget of simulated grasps.

A child opens its fingers a little, comes forward until it touches the object, closes, settles by a few least-squares steps
and presses with balanced forces; or, as published, it is closed by the joint motion that brings its contacts along the inward
normals. It is simulated no further than its first failure. Its fitness is the share of the protocol's trials that it survives,
less how far its contacts are from the object and how deep it starts. Children come in small batches: as soon as one is judged,
the archive has changed, and there are no generations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from warpgrasp.base.status import GraspStatus
from warpgrasp.base.warp_device import choose_device
from warpgrasp.eval.engines.registry import first_failures
from warpgrasp.eval.protocol.squeeze_rules import hand_targets
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.refine.archive import Archive, EvolutionConfig, Genomes, children_of
from warpgrasp.synthesis.closing import ClosingConfig, close_gaps
from warpgrasp.synthesis.controller_targets import TargetConfig, controller_targets
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.finger_closing import FingerClosing, closing_direction
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.touching_candidates import touching_candidates

if TYPE_CHECKING:
    from warpgrasp.eval.engines.mujoco_scene import Scene
    from warpgrasp.eval.engines.registry import Engine
    from warpgrasp.grasps.case import GraspCase

__all__ = ["Refined", "refine_case"]

FloatArray = NDArray[np.float64]

_CONTACTS = 12
_FRICTION = 0.2  # at which settled contacts should close a grasp


@dataclass(frozen=True, eq=False)
class Refined:
    """What an evolution leaves."""

    grasps: GraspSet
    """Members of the archive that hold in all trials, fittest first."""
    simulated: int
    """Grasps that were simulated, those of the input included."""
    first_held: int
    """Grasps of the input that hold with their own squeeze."""
    archive_size: int
    """Members of the archive, failures included."""


class _Hands:
    """Genomes into grasps with contacts, pregrasp and squeeze, a batch at a time."""

    def __init__(self, case: GraspCase, config: EvolutionConfig, device: str) -> None:
        self.case = case
        self.closing = ClosingConfig(steps=config.settle_steps, slides=0)
        self.squeeze: Literal["balanced", "closing"] = "balanced" if config.settle_steps else "closing"
        candidates = len(case.hand.contact_candidates(case.grasp_type).link)
        self.problem = GraspProblem(
            case.hand,
            [case.model],
            grasp_count=config.batch,
            contact_count=min(_CONTACTS, candidates),
            grasp_type=case.grasp_type,
            terms=EnergyConfig().active_terms(),
            device=choose_device(device),
        )
        self.state = self.problem.create_state()
        self.fingers = FingerClosing(self.problem) if config.reopen else None
        self.direction = closing_direction(self.problem)
        self.reopen = config.reopen
        self.lower = self.problem.tree.dof_lower.numpy().astype(np.float64)
        self.upper = self.problem.tree.dof_upper.numpy().astype(np.float64)

    def grasps(self, genomes: Genomes) -> GraspSet:
        """Grasps of exactly one batch of genomes, closed and settled on the object if the configuration says so."""
        problem, state = self.problem, self.state
        contacts = np.zeros(state.contact_index.shape, dtype=np.int32)
        opened_joints = np.clip(genomes.joints - self.reopen * self.direction, self.lower, self.upper)
        problem.set_variables(state, genomes.root, opened_joints, contacts)
        if self.fingers is not None:
            self.fingers.close(state, self.direction)
        problem.evaluate(state)
        state.contact_index.assign(touching_candidates(problem, state))
        problem.reset_guesses(state)
        close_gaps(problem, state, self.closing, friction=_FRICTION)
        targets = controller_targets(problem, state, TargetConfig(squeeze=self.squeeze))
        # float64, which the set converts as it checks
        opened: Any = targets.pregrasp
        torque: Any = targets.squeeze.torque
        force: Any = targets.squeeze.force
        root: Any = state.root_pose.numpy()
        joints: Any = state.joint_position.numpy()
        finite = np.isfinite(state.energy.numpy())
        return GraspSet(
            root_position=root[:, :3],
            root_quaternion=root[:, 3:],
            joint_position=joints,
            pregrasp_root_position=opened.root_pose[:, :3],
            pregrasp_root_quaternion=opened.root_pose[:, 3:],
            pregrasp_joint_position=opened.joint_position,
            squeeze_root_position=root[:, :3],
            squeeze_root_quaternion=root[:, 3:],
            squeeze_joint_position=joints + torque / self.case.hand.dof_stiffness,
            squeeze_torque=torque,
            joint_names=self.case.hand.joint_names,
            contact_index=state.contact_index.numpy(),
            contact_position=state.contact_position.numpy(),
            contact_normal=state.object_normal.numpy(),
            contact_force=force,
            energy=state.energy.numpy(),
            energy_terms=state.energy_terms.numpy().T,
            energy_term_names=problem.term_names,
            status=np.where(finite, targets.status, int(GraspStatus.NONFINITE_ENERGY)),
            metadata=self.case.grasps.metadata,
        )

    def contact_distance(self) -> FloatArray:
        """Mean distance of the contacts of the last batch [m], shape [B]."""
        return np.asarray(np.abs(self.state.contact_distance.numpy()).mean(axis=1), dtype=np.float64)


def refine_case(
    case: GraspCase,
    engine: Engine,
    scene: Scene,
    *,
    budget: int,
    config: EvolutionConfig | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Callable[[int], None] | None = None,
) -> Refined:
    """Evolve the grasps of one file.

    Args:
        case: The grasps with their hand and object.
        engine: What simulates.
        scene: Hand, object and protocol.
        budget: Grasps that may be simulated, those of the input included.
        config: Hyper-parameters.
        seed: Seed of the random numbers.
        device: Warp device of the geometry.
        progress: Hears the number of grasps simulated so far.

    Raises:
        ValueError: The budget does not cover the input.
    """
    config = config or EvolutionConfig()
    count = len(case.grasps)
    if budget < count:
        raise ValueError(
            f"budget must be at least the {count} grasps of {case.path.name}, which are simulated first (got {budget})"
        )
    hands = _Hands(case, config, device)
    random = np.random.default_rng([seed, int(case.model.mesh_hash[:16], 16)])
    archive, kept = Archive(config), _Kept()
    held = _simulate(case.grasps, scene, engine)
    simulated = count
    genomes = _genomes(case.grasps)
    for start in range(0, count, config.batch):
        index = np.arange(start, min(start + config.batch, count))
        padded = np.concatenate([index, np.full(config.batch - len(index), index[0])])
        hands.grasps(genomes.select(padded))
        rows = _row_fitness(held, hands.contact_distance()[: len(index)], index, config)
        kept.offer(archive, case.grasps, genomes, index, rows, held)
    first_held = int(held.success.sum())
    while simulated + config.batch <= budget:
        children = children_of(archive, config.batch, hands.lower, hands.upper, random)
        grasps = hands.grasps(children)
        verdict = _simulate(grasps, scene, engine)
        index = np.arange(config.batch)
        rows = _row_fitness(verdict, hands.contact_distance(), index, config)
        kept.offer(archive, grasps, _genomes(grasps), index, rows, verdict)
        simulated += config.batch
        if progress is not None:
            progress(simulated)
    metadata = case.grasps.metadata | {"refined": _record(config, budget, seed, scene, engine)}
    return Refined(kept.held(archive, metadata), simulated, first_held, len(archive.label))


@dataclass(frozen=True, eq=False)
class _Outcome:
    """What fitness needs of a verdict."""

    success: NDArray[np.bool_]
    lifetime: FloatArray
    depth: FloatArray


def _simulate(grasps: GraspSet, scene: Scene, engine: Engine) -> _Outcome:
    targets = hand_targets(scene.hand, grasps, stiffness=scene.drives.stiffness, effort=scene.drives.effort)
    verdict = first_failures(engine, scene, targets)
    survived = np.cumprod(verdict.trial_success, axis=1).sum(axis=1)
    depth = np.nan_to_num(verdict.penetration, nan=1.0) + np.nan_to_num(verdict.self_penetration, nan=1.0)
    return _Outcome(verdict.success_all, survived / verdict.trial_success.shape[1], depth)


def _row_fitness(
    outcome: _Outcome, distance: FloatArray, index: NDArray[np.int64], config: EvolutionConfig
) -> FloatArray:
    """Fitness of the grasps at ``index``, whose contacts are ``distance`` from the object [m]."""
    loss = config.distance_weight * distance + config.penetration_weight * outcome.depth[index]
    return np.asarray(outcome.lifetime[index] - loss)


def _genomes(grasps: GraspSet) -> Genomes:
    root = np.concatenate([grasps.root_position, grasps.root_quaternion], axis=1).astype(np.float64)
    root[:, 3:] /= np.linalg.norm(root[:, 3:], axis=1, keepdims=True)
    return Genomes(root, grasps.joint_position.astype(np.float64))


class _Kept:
    """The rows of the archive's members."""

    def __init__(self) -> None:
        self._rows: dict[int, GraspSet] = {}
        self._success: dict[int, bool] = {}
        self._next = 0

    def offer(
        self,
        archive: Archive,
        grasps: GraspSet,
        genomes: Genomes,
        index: NDArray[np.int64],
        fitness: FloatArray,
        outcome: _Outcome,
    ) -> None:
        """Offer grasps to the archive and keep the rows of those taken."""
        finite = grasps.finite()
        for place, grasp in enumerate(index):
            if finite[grasp] and archive.insert(
                genomes.select([int(grasp)]),
                float(fitness[place]),
                self._next,
                held=bool(outcome.success[grasp]),
            ):
                self._rows[self._next] = grasps.select([int(grasp)])
                self._success[self._next] = bool(outcome.success[grasp])
                self._next += 1

    def held(self, archive: Archive, metadata: dict[str, Any]) -> GraspSet:
        """Members that hold, fittest first; contacts and energies are those of each grasp's own origin."""
        order = [archive.label[i] for i in np.argsort(-archive.fitness, kind="stable")]
        rows = [self._rows[label] for label in order if self._success[label]]
        return _concatenated(rows or [self._rows[order[0]].select([])], metadata)


def _concatenated(rows: list[GraspSet], metadata: dict[str, Any]) -> GraspSet:
    """One set of single grasps; contacts are cut to the fewest, energy terms to those that all have."""
    contacts = min(row.contact_index.shape[1] for row in rows)
    names = [name for name in rows[0].energy_term_names if all(name in row.energy_term_names for row in rows)]
    columns: dict[str, Any] = {}
    for entry in dataclasses.fields(GraspSet):
        values = [getattr(row, entry.name) for row in rows]
        if entry.name.startswith("contact_"):
            columns[entry.name] = np.concatenate([value[:, :contacts] for value in values])
        elif entry.name == "energy_terms":
            columns[entry.name] = np.concatenate(
                [row.energy_terms[:, [row.energy_term_names.index(name) for name in names]] for row in rows]
            )
        elif isinstance(values[0], np.ndarray):
            columns[entry.name] = np.concatenate(values)
        else:
            columns[entry.name] = values[0]
    return GraspSet(**columns | {"energy_term_names": tuple(names), "metadata": metadata})


def _record(config: EvolutionConfig, budget: int, seed: int, scene: Scene, engine: Engine) -> dict[str, Any]:
    return {
        "method": "dexevolve",
        "evolution": dataclasses.asdict(config),
        "budget": budget,
        "seed": seed,
        "protocol": scene.protocol.name,
        "engine": engine.name,
    }
