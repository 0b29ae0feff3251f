"""What the synthesis asks of an optimiser; anything that fulfils it can stand in ``SynthesisConfig.optimizer``.

An optimiser *is* its hyper-parameters (a frozen dataclass, so that results record them); what changes from step to step is an
explicit state made by ``init`` and advanced by ``step``. ``GraspProblem`` gives it energies and gradients: write root poses,
joints and contact indices into a ``GraspState``, call ``problem.evaluate(state)``, read ``state.energy`` and
``state.gradient``. Joint limits stand in ``problem.tree.dof_lower`` and ``dof_upper``; contact ``i`` of a grasp may take the
candidates from ``problem.slot_start[i]`` on, ``problem.slot_count[i]`` of them.

Four members are optional: ``capturable = False`` for a ``step`` that reads arrays back to the host or decides anything there;
``resolved(problem)``, which returns the optimiser with what it leaves to the problem filled in; ``finish(problem, state)``,
called once after the last step, to change ``state.best`` on the host; and
``own_columns(problem, state)``, columns of the results by name [B, ...] for a method that makes its pregrasps, squeezes,
contacts or status itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import warp as wp

if TYPE_CHECKING:
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.seeds import SeedGrasps

__all__ = ["BestGrasps", "Optimizer", "OptimizerState", "is_capturable", "resolved_optimizer"]


class BestGrasps(Protocol):
    """The best grasps of a run; a ``GraspState`` will do."""

    @property
    def root_pose(self) -> wp.array:
        """Hand root in the object frame, transform, shape [B]."""
        ...

    @property
    def joint_position(self) -> wp.array:
        """Independent joints [rad or m], inside their limits, shape [B, J]."""
        ...

    @property
    def contact_index(self) -> wp.array:
        """Active candidates, shape [B, C]."""
        ...

    @property
    def closest_point(self) -> wp.array:
        """Points on the objects near the contacts [m], where the search for the closest ones starts, shape [B, C]."""
        ...

    @property
    def qp_dual(self) -> wp.array:
        """Start of the force-closure QP, vec6, shape [B]; zero starts cold."""
        ...

    @property
    def energy(self) -> wp.array:
        """Total energies, shape [B]."""
        ...


class OptimizerState(Protocol):
    """What the synthesis reads of a run, at any time after ``init``."""

    @property
    def best(self) -> BestGrasps:
        """The grasps that are returned at the end."""
        ...

    @property
    def energy(self) -> wp.array:
        """Total energies of the grasps in work, for the progress shown, shape [B]."""
        ...

    @property
    def status(self) -> wp.array:
        """``GraspStatus`` of every grasp, int32, shape [B]; 0 is OK."""
        ...

    @property
    def accept_count(self) -> wp.array | None:
        """Steps accepted so far, int32, shape [B]; ``None`` for an optimiser that rejects none."""
        ...


class Optimizer(Protocol):
    """Anything that improves seed grasps: hyper-parameters with ``init`` and ``step``."""

    def reset_count(self, step_count: int) -> int:
        """Sets of fresh seeds a run of ``step_count`` steps may ask for."""
        ...

    def init(
        self, problem: GraspProblem, seeds: SeedGrasps, resets: list[SeedGrasps], *, step_count: int
    ) -> Any:
        """State of a run of ``step_count`` steps from ``seeds``: an ``OptimizerState``."""
        ...

    def step(self, problem: GraspProblem, state: Any) -> None:
        """Advance every grasp by one step; captured in a graph unless ``capturable`` is ``False``."""
        ...


def resolved_optimizer(optimizer: Optimizer, problem: GraspProblem) -> Optimizer:
    """The optimiser with what it leaves to the problem filled in."""
    resolve = getattr(optimizer, "resolved", None)
    return optimizer if resolve is None else resolve(problem)


def is_capturable(optimizer: Optimizer) -> bool:
    """Whether a step may be recorded once and replayed."""
    return bool(getattr(optimizer, "capturable", True))
