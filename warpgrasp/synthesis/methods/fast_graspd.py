"""Fast-Grasp'D (Turpin et al. 2023): whole-hand grasps by descent through a contact simulation.

The object starts dilated, so that the hand touches it from afar, and shrinks to its size while plain gradient descent keeps the
hand on its surface. What is minimised is how fast the object still moves when the hand holds against seven velocities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import warp as wp

from warpgrasp.base.ranges import POSITIVE, NumberRange, check_numbers
from warpgrasp.kernels.chains.plain_descent import plain_descent_kernel, ramp_kernel
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.energy_terms import (
    Penetration,
    SelfPenetration,
)
from warpgrasp.synthesis.methods.registry import Method
from warpgrasp.synthesis.seeds import InitializeConfig
from warpgrasp.synthesis.simulation_terms import JointMiddle, SimulatedPush, dilation_of
from warpgrasp.synthesis.synthesize import SynthesisConfig
from warpgrasp.synthesis.touching_candidates import touching_candidates

if TYPE_CHECKING:
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.seeds import SeedGrasps
    from warpgrasp.synthesis.state import GraspState

__all__ = ["METHODS", "DilatedDescent"]


@dataclass(eq=False)
class DescentState:
    """A run: the grasps and the schedule's counter."""

    best: GraspState
    status: wp.array
    counter: wp.array
    dilated_steps: float
    step_count: int
    accept_count: None = None

    @property
    def energy(self) -> wp.array:
        """Energies of the grasps, shape [B]."""
        return self.best.energy


@dataclass(frozen=True, kw_only=True)
class DilatedDescent:
    """Plain gradient descent while the object shrinks from a dilated surface to its own (Turpin et al. 2023).

    Steps longer than their limits are shortened (ours): the paper's rate is for other units, and no rate fits both the start,
    where thousands of points push, and the end. At the end contacts are chosen among the candidates that touch.
    """

    dilation: float = 0.06
    """Dilation of the object at the start [m]."""
    dilated_share: float = 0.53
    """Part of the steps over which the dilation falls to 0."""
    length_rate: float = 1.0e-5
    """Step of the root per unit of the gradient [m^2]."""
    turn_rate: float = 1.0e-3
    """Turn of the root per unit of the gradient."""
    joint_rate: float = 2.0e-3
    """Step of the joints per unit of the gradient."""
    length_limit: float = 0.001
    """Longest step of the root [m]."""
    turn_limit: float = 0.01
    """Longest turn of the root [rad]."""
    joint_limit: float = 0.02
    """Longest step of the joints together [rad or m]."""

    def __post_init__(self) -> None:
        positive = [name for name in self.__dataclass_fields__ if name.endswith(("rate", "limit"))]
        share = NumberRange(upper=1.0, lower_open=True)
        check_numbers(self, "optimizer", dilated_share=share, **dict.fromkeys(positive, POSITIVE))

    def reset_count(self, step_count: int) -> int:
        """Nothing is reset."""
        return 0

    def init(
        self, problem: GraspProblem, seeds: SeedGrasps, resets: list[SeedGrasps], *, step_count: int
    ) -> DescentState:
        """The seeds, evaluated with the object dilated."""
        grasps = problem.create_state()
        problem.set_variables(grasps, seeds.root_pose, seeds.joint_position, seeds.contact_index)
        state = DescentState(
            grasps,
            wp.zeros(problem.batch_size, dtype=wp.int32, device=problem.device),
            wp.zeros(1, dtype=wp.int32, device=problem.device),
            max(1.0, self.dilated_share * step_count),
            step_count,
        )
        self._dilate(problem, state)
        problem.evaluate(grasps)
        return state

    def step(self, problem: GraspProblem, state: DescentState) -> None:
        """One step, and the next dilation."""
        grasps = state.best
        wp.launch(
            plain_descent_kernel,
            dim=problem.batch_size,
            inputs=[
                problem.tree,
                grasps.gradient,
                wp.vec3(self.length_rate, self.turn_rate, self.joint_rate),
                wp.vec3(self.length_limit, self.turn_limit, self.joint_limit),
            ],
            outputs=[grasps.root_pose, grasps.joint_position, state.status],
            device=problem.device,
        )
        self._dilate(problem, state)
        problem.evaluate(grasps)

    def _dilate(self, problem: GraspProblem, state: DescentState) -> None:
        wp.launch(
            ramp_kernel,
            dim=1,
            inputs=[self.dilation, 0.0, state.dilated_steps],
            outputs=[state.counter, dilation_of(state.best)],
            device=problem.device,
        )

    def finish(self, problem: GraspProblem, state: DescentState) -> None:
        """Choose contacts among the candidates that touch."""
        state.best.contact_index.assign(touching_candidates(problem, state.best))


_FAST_GRASPD = SynthesisConfig(
    step_count=600,
    energy=EnergyConfig(
        penetration=Penetration(weight=30.0),
        self_penetration=SelfPenetration(weight=10.0, margin=0.0),
        extra={
            "simulated_push": SimulatedPush(),
            "joint_middle": JointMiddle(weight=0.01),
        },
    ).without("force_closure", "distance", "sphere_penetration"),
    optimizer=DilatedDescent(),
    initialize=InitializeConfig(
        inflation=0.05, distance_lower=0.1, distance_upper=0.15, pitch=0.0, tilt=0.0, joint_spread=0.0
    ),
)

METHODS = {
    "fast-graspd": Method(
        summary="Whole-hand grasps by descent through a one-step contact simulation of a shrinking object.",
        source="Turpin et al. 2023 (Fast-Grasp'D), averaged pushes as released",
        config=_FAST_GRASPD,
    ),
}
