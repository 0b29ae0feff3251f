"""BODex (Chen et al. 2025): fingertip grasps by bilevel optimisation, contacts found coarse to fine.

Three stages of normalised descent. Coarse: each tip is a sphere that keeps 1 cm from the object, and the task wrenches decide
where the tips go. Fine: the tips' surfaces keep 1 cm from the places found. Final: they come down on them. The end of the
second stage is the pregrasp, and the squeeze lies as far beyond the grasp as the pregrasp before it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import warp as wp

from warpgrasp.base.ranges import POSITIVE, NumberRange, check_numbers
from warpgrasp.base.status import GraspStatus
from warpgrasp.geometry.rotations import mirrored_rotation
from warpgrasp.kernels.chains.normalized_descent import normalized_descent_kernel
from warpgrasp.synthesis.closing import ClosingConfig
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.energy_terms import (
    SelfPenetration,
)
from warpgrasp.synthesis.fingertip_terms import (
    JointMargin,
    SphereProximity,
    TaskWrench,
    TipDistance,
    TipPull,
    find_pairs,
    find_spheres,
    tips_of,
)
from warpgrasp.synthesis.methods.registry import Method
from warpgrasp.synthesis.seeds import InitializeConfig
from warpgrasp.synthesis.synthesize import SynthesisConfig
from warpgrasp.synthesis.touching_candidates import nearest_candidates

if TYPE_CHECKING:
    from warpgrasp.synthesis.problem import EnergyTerm, GraspProblem
    from warpgrasp.synthesis.seeds import SeedGrasps
    from warpgrasp.synthesis.state import GraspState

__all__ = ["METHODS", "OptimizerBodex"]

_TOUCHING = 0.002  # m; a tip at most this far from the object touches it
_TOTAL_FORCE = 1.0  # N, of the forces that are written to the file


@dataclass(eq=False)
class BodexState:
    """A run: the grasps, one problem and state per stage, and the pregrasp once it is there."""

    problems: list[GraspProblem]
    states: list[GraspState]
    stage_end: list[int]
    momentum: wp.array
    status: wp.array
    step: int = 0
    pregrasp: tuple[np.ndarray, np.ndarray] | None = None
    accept_count: None = None
    task: TaskWrench = field(default_factory=TaskWrench)

    @property
    def stage(self) -> int:
        """Stage of the next step."""
        return min(sum(self.step >= end for end in self.stage_end), len(self.states) - 1)

    @property
    def best(self) -> GraspState:
        """The grasps as they are: the last iterate counts."""
        return self.states[self.stage]

    @property
    def energy(self) -> wp.array:
        """Energies under the terms of the present stage, shape [B]."""
        return self.best.energy


@dataclass(frozen=True, kw_only=True)
class OptimizerBodex:
    """Normalised descent in three stages, coarse, fine and final (Chen et al. 2025).

    The terms ``task_wrench`` and ``tip_distance`` of the energy belong to the coarse stage; in the others ``tip_pull`` and the
    exact distance take their place.
    """

    capturable = False  # the terms change on the way

    length_step: float = 0.001
    """First step of the root [m]."""
    turn_step: float = 0.02
    """First turn of the root [rad]; a change of 0.01 of the unit quaternion."""
    joint_step: float = 0.01
    """First step of the joints together [rad or m]."""
    step_decay: float = 0.95
    step_period: float = 50.0
    """Steps between decays of the steps."""
    coarse_share: float = 0.6
    """Part of the steps that the coarse stage has; fine and final have half of the rest each."""
    offset: float = 0.01
    """Distance that the tips keep in the coarse and the fine stage [m]; that of the pregrasp."""
    pull: TipPull = field(default_factory=TipPull)
    """Term that holds the tips at the places of the coarse stage."""
    squeeze_root: bool = True
    """The squeeze ``2 x - x_pregrasp`` moves the root too (paper); otherwise joints only (released program)."""
    squeeze_stiffness: float = 5.0
    """Stiffness of the drives that the squeeze positions are meant for [Nm/rad]; 5 is DexGraspBench's."""
    reference_steps: int = 500
    """Length of the run for which periods are given."""

    def __post_init__(self) -> None:
        positive = (
            "length_step",
            "turn_step",
            "joint_step",
            "step_period",
            "squeeze_stiffness",
            "reference_steps",
        )
        share = NumberRange(upper=1.0)
        check_numbers(
            self, "optimizer", step_decay=share, coarse_share=share, **dict.fromkeys(positive, POSITIVE)
        )

    def reset_count(self, step_count: int) -> int:
        """BODex never resets."""
        return 0

    def init(
        self, problem: GraspProblem, seeds: SeedGrasps, resets: list[SeedGrasps], *, step_count: int
    ) -> BodexState:
        """Problems and states of the three stages, at the seeds.

        Raises:
            ValueError: The energy lacks ``task_wrench`` or ``tip_distance``.
        """
        missing = [name for name in ("task_wrench", "tip_distance") if name not in problem.terms]
        if missing:
            raise ValueError(
                f"the optimiser of bodex needs the energy term {missing[0]}; take both from --method bodex"
            )
        problems = [problem.with_terms(terms) for terms in self._stages(problem.terms)]
        first = problem.create_state()
        problem.set_variables(first, seeds.root_pose, seeds.joint_position, seeds.contact_index)
        rows = [wp.zeros((len(p.terms), p.batch_size), dtype=wp.float32, device=p.device) for p in problems]
        states = [dataclasses.replace(first, energy_terms=row) for row in rows]
        coarse = max(1, round(self.coarse_share * step_count))
        fine = coarse + (step_count - coarse) // 2
        task = problem.terms["task_wrench"]
        state = BodexState(
            problems,
            states,
            [coarse, fine],
            wp.zeros_like(first.gradient),
            wp.zeros(problem.batch_size, dtype=wp.int32, device=problem.device),
            task=task if isinstance(task, TaskWrench) else TaskWrench(),
        )
        problems[0].evaluate(states[0])
        return state

    def _stages(self, terms: Mapping[str, EnergyTerm]) -> list[dict[str, EnergyTerm]]:
        distance = terms["tip_distance"]
        coarse = dict(terms)
        coarse["tip_distance"] = dataclasses.replace(distance, offset=self.offset)  # type: ignore[type-var]
        rest = {name: term for name, term in terms.items() if name not in ("task_wrench", "tip_distance")}
        fine = {"tip_pull": self.pull, **rest}
        exact = dataclasses.replace(distance, exact=True, offset=self.offset)  # type: ignore[type-var]
        final = dict(fine)
        proximity = rest.get("sphere_proximity")
        if isinstance(proximity, SphereProximity):
            final["sphere_proximity"] = dataclasses.replace(proximity, shell=0.0)
        down = dataclasses.replace(exact, offset=0.0)  # type: ignore[type-var]
        return [coarse, {**fine, "tip_distance": exact}, {**final, "tip_distance": down}]

    def step(self, problem: GraspProblem, state: BodexState) -> None:
        """One step of the present stage; at the end of a stage, what it has found is kept."""
        stage = state.stage
        current = state.states[stage]
        scale = self.reference_steps / (state.stage_end[1] / (0.5 + 0.5 * self.coarse_share))
        decay = self.step_decay ** (state.step * scale // self.step_period)
        wp.launch(
            normalized_descent_kernel,
            dim=problem.batch_size,
            inputs=[
                problem.tree,
                current.gradient,
                decay * self.length_step,
                decay * self.turn_step,
                decay * self.joint_step,
            ],
            outputs=[state.momentum, current.root_pose, current.joint_position, state.status],
            device=problem.device,
        )
        state.step += 1
        if state.step == state.stage_end[0]:
            state.problems[stage].evaluate(current)
            tips = find_spheres(problem, current)
            wp.copy(tips.goal, tips.contacts.point)
        if state.step == state.stage_end[1]:
            state.pregrasp = (current.root_pose.numpy().copy(), current.joint_position.numpy().copy())
        state.problems[state.stage].evaluate(state.best)

    def own_columns(self, problem: GraspProblem, state: BodexState) -> dict[str, np.ndarray]:
        """Pregrasp, squeeze, contacts and status of the grasps as columns of the results."""
        grasps = state.best
        state.problems[-1].evaluate(grasps)
        tips = find_pairs(problem, grasps)
        root, joints = grasps.root_pose.numpy(), grasps.joint_position.numpy()
        root_before, joints_before = state.pregrasp or (root, joints)
        way = joints - joints_before
        squeeze_root = root.copy()
        if self.squeeze_root:
            squeeze_root[:, :3] = 2.0 * root[:, :3] - root_before[:, :3]
            squeeze_root[:, 3:] = [
                mirrored_rotation(a, b) for a, b in zip(root[:, 3:], root_before[:, 3:], strict=True)
            ]
        torque = np.clip(self.squeeze_stiffness * way, -problem.hand.dof_effort, problem.hand.dof_effort)
        distance = tips.contacts.distance.numpy()
        touches = (np.abs(distance) <= _TOUCHING).sum(axis=1) >= 2
        status = np.where(state.status.numpy() != 0, int(GraspStatus.NONFINITE_ENERGY), 0)
        status = np.where((status == 0) & ~touches, int(GraspStatus.NOT_TOUCHING), status)
        return {
            "pregrasp_root_position": root_before[:, :3],
            "pregrasp_root_quaternion": root_before[:, 3:],
            "pregrasp_joint_position": joints_before,
            "squeeze_root_position": squeeze_root[:, :3],
            "squeeze_root_quaternion": squeeze_root[:, 3:],
            "squeeze_joint_position": joints + torque / problem.hand.dof_stiffness,
            "squeeze_torque": torque,
            "contact_index": nearest_candidates(problem, grasps, tips.contacts.center.numpy()),
            "contact_position": tips.contacts.center.numpy(),
            "contact_normal": tips.contacts.normal.numpy(),
            "contact_force": self._inner_forces(problem, state),
            "status": status,
        }

    @staticmethod
    def _inner_forces(problem: GraspProblem, state: BodexState) -> np.ndarray:
        """Forces that press without a task, at the contacts as they are, scaled to a total of 1 N; shape [B, F, 3]."""
        still = dataclasses.replace(state.task, wrenches=((0.0,) * 6,))
        forces = still.solve(problem, state.best)
        arrays = still.arrays(problem, state.best)
        edges = arrays.wrench.numpy()[:, :, :3]
        each = forces.edge_force.numpy()[:, 0, :, None] * edges
        count = tips_of(problem, state.best).goal.shape[1]
        force = each.reshape(len(each), count, -1, 3).sum(axis=2)
        total = np.linalg.norm(force, axis=2).sum(axis=1)[:, None, None]
        return np.asarray(_TOTAL_FORCE * force / np.maximum(total, 1.0e-9))


_BODEX = SynthesisConfig(
    contact_count=4,
    step_count=500,
    energy=EnergyConfig(
        self_penetration=SelfPenetration(weight=100.0, margin=0.002),
        extra={
            "task_wrench": TaskWrench(),
            "tip_distance": TipDistance(),
            "sphere_proximity": SphereProximity(),
            "joint_margin": JointMargin(),
        },
    ).without("force_closure", "distance", "penetration", "sphere_penetration", "joint_limits"),
    optimizer=OptimizerBodex(),
    initialize=InitializeConfig(
        inflation=0.1, distance_lower=0.04, distance_upper=0.08, pitch=15.0, tilt=15.0, joint_spread=0.0
    ),
    closing=ClosingConfig(steps=0),
)

METHODS = {
    "bodex": Method(
        summary="Fingertip grasps by bilevel optimisation of task wrenches, contacts coarse to fine.",
        source="Chen et al. 2025 (BODex), as published",
        config=_BODEX,
    ),
}
