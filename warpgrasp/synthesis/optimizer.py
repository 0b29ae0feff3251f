"""Annealed optimisers of grasps: MALA (Wang et al. 2023) and MALA* (Zurbrügg et al. 2025, Sec. 4, Alg. 1).

The contract of an optimiser stands in ``warpgrasp.synthesis.optimizer_contract``. A step here is a
fixed sequence of launches without allocation or host read: statistics, proposal, evaluation, Metropolis test.

Periods are given for a run of ``reference_steps`` steps and scale with the length of the run, so that a short run
anneals as fully as a long one.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import warp as wp
from numpy.typing import NDArray
from scipy.special import ndtri

from warpgrasp.base.ranges import POSITIVE, NumberRange, check_numbers
from warpgrasp.hands.grasp_type import PUBLISHED_RESET_THRESHOLD
from warpgrasp.hands.model import JointType
from warpgrasp.kernels.chains.mala import (
    Chain,
    Schedule,
    StepWorkspace,
    accept_kernel,
    propose_kernel,
    statistics_kernel,
)
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.seeds import SeedGrasps
from warpgrasp.synthesis.state import GraspState

if TYPE_CHECKING:
    from warpgrasp.hands import HandModel

__all__ = ["OPTIMIZER_PRESETS", "MalaState", "OptimizerMala", "OptimizerMalaFast", "OptimizerMalaStar"]

_NEVER = 1.0e9  # a period or step number no run reaches
_DECAY = NumberRange(upper=1.0, lower_open=True)
_RANGES = {
    "step_size": POSITIVE,
    "angle_per_length": POSITIVE,
    "step_size_decay": _DECAY,
    "step_size_period": POSITIVE,
    "momentum": _DECAY,
    "switch_probability": NumberRange(upper=1.0),
    "temperature": POSITIVE,
    "temperature_decay": _DECAY,
    "temperature_period": POSITIVE,
    "reference_steps": POSITIVE,
}


@dataclass(frozen=True, eq=False)
class MalaState:
    """Everything a run carries: the chains, the state in evaluation, the best so far and the counters."""

    proposal: GraspState
    proposal_chain: Chain
    current: Chain
    best: Chain
    work: StepWorkspace
    schedule: Schedule
    reset_root_pose: wp.array  # [R, B]
    reset_joint_position: wp.array  # [R, B, J]

    @property
    def energy(self) -> wp.array:
        """Energies of the current grasps, shape [B]."""
        return self.current.energy

    @property
    def status(self) -> wp.array:
        """GraspStatus of every chain, shape [B]."""
        return self.work.status

    @property
    def accept_count(self) -> wp.array:
        """Accepted steps of every chain, shape [B]."""
        return self.work.accept_count


@dataclass(frozen=True, kw_only=True)
class OptimizerMala:
    """Metropolis-adjusted annealing with an RMS-preconditioned gradient step (Wang et al. 2023).

    Defaults: the published code of Zurbrügg et al. 2025.
    """

    step_size: float = 0.005
    """Length of a preconditioned step [m]; angles see ``angle_per_length``."""
    angle_per_length: float = 1.0
    """Angle of a step over its length [rad/m]: an angle moves a fingertip by only a tenth of a metre per radian."""
    step_size_decay: float = 0.95
    step_size_period: float = 50.0
    """Steps between decays of the step size."""
    momentum: float = 0.98
    """Weight of the newest squared gradient in the preconditioner."""
    preconditioner: Literal["object", "chain"] = "object"
    """object: squared gradients are averaged over the grasps of an object, as published; chain: each grasp has its own."""
    switch_probability: float = 0.4
    """Probability that a proposal moves one contact of a grasp to another candidate."""
    switch: Literal["one", "every"] = "one"
    """one: a proposal moves at most one contact; every: each contact moves with that probability, as published."""
    returned: Literal["best", "last"] = "best"
    """Grasp of a chain that is returned: the best since its last reset, or the last, as the published programs do."""
    temperature: float = 18.0
    temperature_decay: float = 0.95
    temperature_period: float = 30.0
    """Steps between decays of the temperature."""
    reference_steps: int = 7000
    """Length of the run for which periods are given."""

    def __post_init__(self) -> None:
        self._check_choices()
        check_numbers(self, "optimizer", **_RANGES)

    def _check_choices(self) -> None:
        if self.switch not in ("one", "every"):
            raise ValueError(f"optimizer.switch must be one or every (got {self.switch!r})")
        if self.returned not in ("best", "last"):
            raise ValueError(f"optimizer.returned must be best or last (got {self.returned!r})")
        if self.preconditioner not in ("object", "chain"):
            raise ValueError(
                f"optimizer.preconditioner must be object or chain (got {self.preconditioner!r})"
            )

    def schedule(self, step_count: int) -> Schedule:
        """Kernel argument of a run of ``step_count`` steps; a period is at least one step."""
        scale = step_count / self.reference_steps
        result = Schedule()
        result.step_size = self.step_size
        result.step_size_decay = self.step_size_decay
        result.step_size_period = self.step_size_period * scale
        result.temperature = self.temperature
        result.temperature_decay = self.temperature_decay
        result.temperature_period = self.temperature_period * scale
        result.temperature_scaling = 0.0
        result.switch_probability = self.switch_probability
        result.switch_every = int(self.switch == "every")
        result.keep_last = int(self.returned == "last")
        result.momentum = self.momentum
        result.own_preconditioner = int(self.preconditioner == "chain")
        result.step_count = float(step_count)
        result.reset_period = _NEVER
        result.reset_last_step = 0.0
        result.reset_z = _NEVER
        return result

    def reset_count(self, step_count: int) -> int:
        """MALA never resets."""
        return 0

    def init(
        self, problem: GraspProblem, seeds: SeedGrasps, resets: list[SeedGrasps], *, step_count: int
    ) -> MalaState:
        """Evaluate the seeds and make them the current and best grasps."""
        if step_count < 1:
            raise ValueError(f"step_count must be at least 1 (got {step_count})")
        proposal = problem.create_state()
        problem.set_variables(proposal, seeds.root_pose, seeds.joint_position, seeds.contact_index)
        problem.evaluate(proposal)
        reset_root, reset_joints = _reset_arrays(problem, resets)
        state = MalaState(
            proposal=proposal,
            proposal_chain=_chain(proposal),
            current=_chain(problem.create_state()),
            best=_chain(problem.create_state()),
            work=_workspace(problem, seeds, self),
            schedule=self.schedule(step_count),
            reset_root_pose=reset_root,
            reset_joint_position=reset_joints,
        )
        state.best.energy.fill_(math.inf)
        state.work.acceptance.fill_(-1.0)
        self._accept(state)
        state.work.accept_count.zero_()
        state.work.chain_step.zero_()
        return state

    def step(self, problem: GraspProblem, state: MalaState) -> None:
        """Statistics, proposal, evaluation, Metropolis test."""
        wp.launch(
            statistics_kernel,
            dim=(len(problem.objects), 1 + state.current.gradient.shape[1]),
            inputs=[state.current, state.schedule, problem.grasp_count],
            outputs=[state.work],
            device=problem.device,
        )
        wp.launch(
            propose_kernel,
            dim=problem.batch_size,
            inputs=[
                problem.tree,
                state.current,
                state.schedule,
                state.reset_root_pose,
                state.reset_joint_position,
                problem.grasp_count,
            ],
            outputs=[state.work, state.proposal_chain],
            device=problem.device,
        )
        problem.evaluate(state.proposal)
        self._accept(state)

    @staticmethod
    def _accept(state: MalaState) -> None:
        wp.launch(
            accept_kernel,
            dim=state.status.shape[0],
            inputs=[state.proposal_chain, state.schedule],
            outputs=[state.work, state.current, state.best],
            device=state.status.device,
        )


@dataclass(frozen=True, kw_only=True)
class OptimizerMalaStar(OptimizerMala):
    """MALA*: temperature scaled by each grasp's rank in its object's batch, and resets of the worst.

    Source: Zurbrügg et al. 2025, Alg. 1.
    """

    temperature_scaling: bool = True
    """``T_i = T (1 + Phi(z_i))``: grasps worse than their batch explore more."""
    reset_period: float = 600.0
    """Steps between resets of the grasps worse than ``reset_threshold``."""
    reset_threshold: float | None = None
    """Quantile p_th of the batch's energies above which a grasp starts anew. ``None`` takes that of the hand's grasp type:
    0.8413, one standard deviation, as published, but 0.5 for pinches (ours), whose first tries mostly get stuck."""
    reset_free_steps: float = 1200.0
    """No resets in that many last steps."""

    def __post_init__(self) -> None:
        self._check_choices()
        threshold = NumberRange(lower=0.5, upper=1.0)
        check_numbers(self, "optimizer", reset_period=POSITIVE, reset_threshold=threshold, **_RANGES)

    def schedule(self, step_count: int) -> Schedule:
        """The schedule of MALA with temperature scaling and resets."""
        scale = step_count / self.reference_steps
        result = super().schedule(step_count)
        result.temperature_scaling = float(self.temperature_scaling)
        result.reset_period = self.reset_period * scale
        result.reset_last_step = step_count - self.reset_free_steps * scale
        result.reset_z = float(min(ndtri(self.reset_threshold or PUBLISHED_RESET_THRESHOLD), _NEVER))
        return result

    def reset_count(self, step_count: int) -> int:
        """Reset dates in the run; the number does not depend on ``step_count``, periods scale with it."""
        if self.reset_threshold == 1.0:
            return 0
        return max(0, math.floor((self.reference_steps - self.reset_free_steps) / self.reset_period))

    def init(
        self, problem: GraspProblem, seeds: SeedGrasps, resets: list[SeedGrasps], *, step_count: int
    ) -> MalaState:
        """As for MALA, with the reset threshold of the problem's grasp type where none is given."""
        chosen = self.resolved(problem)
        return super(OptimizerMalaStar, chosen).init(problem, seeds, resets, step_count=step_count)

    def resolved(self, problem: GraspProblem) -> OptimizerMalaStar:
        """The optimiser with the reset threshold of the problem's grasp type filled in."""
        if self.reset_threshold is not None:
            return self
        return dataclasses.replace(self, reset_threshold=problem.grasp_type.reset_threshold)


@dataclass(frozen=True, kw_only=True)
class OptimizerMalaFast(OptimizerMalaStar):
    """MALA* for short runs (ours): what 7,000 steps of the published schedule find, in 1,500.

    Angles step ten times as far, so that joints move a fingertip as far as the root does. Each chain is preconditioned by
    its own gradients: over a batch, one hand deep inside the object holds all others back. The chains cool more slowly, as
    the published ones are frozen for the second half of a run, and try more contacts.
    """

    step_size: float = 0.005
    angle_per_length: float = 10.0
    momentum: float = 0.05
    preconditioner: Literal["object", "chain"] = "chain"
    switch_probability: float = 0.7
    temperature_decay: float = 0.9655
    """From 18 to 0.005."""
    reset_threshold: float | None = None
    """As for MALA*, but ``None`` is 0.5 for grasp types with fingers that must touch, which often get stuck, and 1 for the
    others: a chain that starts anew late in a short run ends worse than the one it replaces."""

    def resolved(self, problem: GraspProblem) -> OptimizerMalaFast:
        """The optimiser with the reset threshold of the problem's grasp type filled in."""
        if self.reset_threshold is not None:
            return self
        own = problem.grasp_type.reset_threshold
        if own >= PUBLISHED_RESET_THRESHOLD:  # the grasp type does not ask for more resets than published
            own = 0.5 if problem.grasp_type.required_fingers else 1.0
        return dataclasses.replace(self, reset_threshold=own)


OPTIMIZER_PRESETS: dict[str, type[OptimizerMala]] = {
    "mala-fast": OptimizerMalaFast,
    "mala-star": OptimizerMalaStar,
    "mala": OptimizerMala,
}
"""Named optimisers."""


def _chain(state: GraspState) -> Chain:
    """View of the arrays of ``state`` that a chain carries."""
    chain = Chain()
    for name in (
        "root_pose",
        "joint_position",
        "contact_index",
        "closest_point",
        "qp_dual",
        "energy",
        "gradient",
    ):
        setattr(chain, name, getattr(state, name))
    return chain


def _workspace(problem: GraspProblem, seeds: SeedGrasps, optimizer: OptimizerMala) -> StepWorkspace:
    batch, objects, device = problem.batch_size, len(problem.objects), problem.device
    work = StepWorkspace()
    work.step = wp.zeros(objects, dtype=wp.int32, device=device)
    work.chain_step = wp.zeros(batch, dtype=wp.int32, device=device)
    work.chain_start = wp.zeros(batch, dtype=wp.int32, device=device)
    work.random_key = wp.array(seeds.random_key, dtype=wp.uint32, device=device)
    work.acceptance = wp.zeros(batch, dtype=wp.float32, device=device)
    work.z_score = wp.zeros(batch, dtype=wp.float32, device=device)
    columns = 6 + len(problem.hand.joint_names)
    work.mean_square = wp.zeros((objects, columns), dtype=wp.float32, device=device)
    own = batch if optimizer.preconditioner == "chain" else 0
    work.own_mean_square = wp.zeros((own, columns), dtype=wp.float32, device=device)
    scale = _step_scale(problem.hand, optimizer.angle_per_length)
    work.step_scale = wp.array(scale, dtype=wp.float32, device=device)
    work.status = wp.zeros(batch, dtype=wp.int32, device=device)
    work.accept_count = wp.zeros(batch, dtype=wp.int32, device=device)
    work.reset_count = wp.zeros(batch, dtype=wp.int32, device=device)
    work.slot_start = wp.array(problem.slot_start, dtype=wp.int32, device=device)
    work.slot_count = wp.array(problem.slot_count, dtype=wp.int32, device=device)
    return work


def _step_scale(hand: HandModel, angle_per_length: float) -> NDArray[np.float64]:
    """Step of every coordinate beside that of a length, shape [6 + J]."""
    scale = np.full(6 + hand.dof_count, angle_per_length)
    scale[:3] = 1.0
    scale[6 + hand.joint_dof[np.asarray(hand.joint_type) == JointType.PRISMATIC]] = 1.0
    return scale


def _reset_arrays(problem: GraspProblem, resets: list[SeedGrasps]) -> tuple[wp.array, wp.array]:
    batch, joints, device = problem.batch_size, len(problem.hand.joint_names), problem.device
    if not resets:
        empty = (0, batch)
        return (
            wp.empty(empty, dtype=wp.transform, device=device),
            wp.empty((*empty, joints), dtype=wp.float32, device=device),
        )
    poses = np.stack([seeds.root_pose for seeds in resets]).astype(np.float32)
    joint_positions = np.stack([seeds.joint_position for seeds in resets]).astype(np.float32)
    return (
        wp.array(poses, dtype=wp.transform, device=device),
        wp.array(joint_positions, dtype=wp.float32, device=device),
    )
