"""Energy terms that are off by default: a wall, an approach direction, manipulability, and DexGraspNet's wrench balance.

Each is a frozen dataclass of hyper-parameters that fulfils ``warpgrasp.synthesis.energy_config.EnergyTerm``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import warp as wp
from scipy.spatial.transform import Rotation

from warpgrasp.base.ranges import ANY_FINITE, POSITIVE, check_numbers
from warpgrasp.kernels.energies.manipulability import launch_manipulability_taped, manipulability_kernel
from warpgrasp.kernels.energies.wall_approach import (
    approach_kernel,
    approach_taped_kernel,
    wall_kernel,
    wall_taped_kernel,
)
from warpgrasp.kernels.energies.weighted_sum import launch_add_scaled
from warpgrasp.kernels.energies.wrench import launch_wrench_sum_energy
from warpgrasp.kernels.energies.wrench_balance import wrench_balance_kernel

if TYPE_CHECKING:
    from warpgrasp.objects import ObjectModel
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.state import GraspState

__all__ = ["Approach", "Manipulability", "Wall", "WrenchBalance"]


@dataclass(frozen=True, kw_only=True)
class WrenchBalance:
    """DexGraspNet's ``|sum_i w_i|^2`` over frictionless unit contact wrenches (Wang et al. 2023)."""

    weight: float = 0.0
    """Factor in the total energy."""
    torque_weight: float = 1.0
    """Scale s of torques inside the wrench [1/m]; 1 as published, 5 as in GraspQP's comparison."""

    def __post_init__(self) -> None:
        check_numbers(self, "energy.wrench_balance", torque_weight=POSITIVE)

    def launch(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        wp.launch(
            wrench_balance_kernel,
            dim=problem.batch_size,
            inputs=[
                problem.grasped_objects,
                problem.candidates,
                state.contacts,
                self.torque_weight,
                self.weight,
            ],
            outputs=[energy, state.link_wrench],
            device=problem.device,
        )

    def launch_taped(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        balance = launch_wrench_sum_energy(
            state.contact_position,
            state.object_normal,
            problem.center_of_mass,
            problem.object_index,
            torque_weight=self.torque_weight,
        )
        launch_add_scaled(1.0, balance, total=energy)


@dataclass(frozen=True, kw_only=True)
class Wall:
    """A plane the hand stays in front of, such as the table under the object."""

    weight: float = 0.0
    """Factor in the total energy [1/m]; 100 keeps the hand off a table."""
    normal: tuple[float, float, float] = (0.0, 0.0, 1.0)
    """Unit normal of the plane, object frame, towards the free side."""
    offset: float | None = None
    """Position of the plane along its normal [m]; ``None`` puts it under each object's lowest vertex."""

    def __post_init__(self) -> None:
        check_numbers(self, "energy.wall", normal=ANY_FINITE, offset=ANY_FINITE)
        self._unit_normal()

    def launch(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        wp.launch(
            wall_kernel,
            dim=problem.batch_size,
            inputs=[*self._inputs(problem, state), self.weight],
            outputs=[energy, state.link_wrench],
            device=problem.device,
        )

    def launch_taped(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        wp.launch(
            wall_taped_kernel,
            dim=(problem.batch_size, problem.spheres.link.shape[0]),
            inputs=self._inputs(problem, state),
            outputs=[energy],
            device=problem.device,
        )

    def _inputs(self, problem: GraspProblem, state: GraspState) -> list[Any]:
        """What both kernels read."""
        return [
            problem.spheres,
            wp.vec3(*self._unit_normal()),
            self._offsets(problem, state),
            problem.object_index,
            state.link_pose,
        ]

    def offset_of(self, model: ObjectModel) -> float:
        """Position of the plane of one object along the normal [m]."""
        if self.offset is not None:
            return self.offset
        return float(np.min(model.vertices @ self._unit_normal()))

    def _unit_normal(self) -> np.ndarray:
        return _unit(self.normal, "energy.wall.normal")

    def _offsets(self, problem: GraspProblem, state: GraspState) -> wp.array:
        key = f"wall_offset {self.normal} {self.offset}"  # another wall has another
        if key not in state.scratch:
            offsets = [self.offset_of(model) for model in problem.objects]
            state.scratch[key] = wp.array(offsets, dtype=wp.float32, device=problem.device)
        return state.scratch[key]


@dataclass(frozen=True, kw_only=True)
class Approach:
    """A preferred direction of the palm normal, ``1 - cos(angle)``."""

    weight: float = 0.0
    """Factor in the total energy."""
    direction: tuple[float, float, float] = (0.0, 0.0, -1.0)
    """Where the palm should look, object frame; (0, 0, -1) grasps from above."""

    def __post_init__(self) -> None:
        check_numbers(self, "energy.approach", direction=ANY_FINITE)
        _unit(self.direction, "energy.approach.direction")

    def launch(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        wp.launch(
            approach_kernel,
            dim=problem.batch_size,
            inputs=[*self._inputs(problem, state), self.weight],
            outputs=[energy, state.link_wrench],
            device=problem.device,
        )

    def launch_taped(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        wp.launch(
            approach_taped_kernel,
            dim=problem.batch_size,
            inputs=self._inputs(problem, state),
            outputs=[energy],
            device=problem.device,
        )

    def _inputs(self, problem: GraspProblem, state: GraspState) -> list[Any]:
        """What both kernels read."""
        palm = Rotation.from_quat(problem.hand.wrist_quaternion).apply([0.0, 0.0, 1.0])
        direction = _unit(self.direction, "energy.approach.direction")
        return [wp.vec3(*palm), wp.vec3(*direction), state.link_pose]


@dataclass(frozen=True, kw_only=True)
class Manipulability:
    """How well the joints can press along the contact normals; see ``kernels/energies/manipulability.py``."""

    weight: float = 0.0
    """Factor in the total energy."""

    def __post_init__(self) -> None:
        check_numbers(self, "energy.manipulability")

    def launch(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        shape = (problem.batch_size, problem.contact_count, len(problem.hand.joint_names))
        wp.launch(
            manipulability_kernel,
            dim=problem.batch_size,
            inputs=[problem.tree, problem.candidates, state.contacts, state.link_pose, self.weight],
            outputs=[state.buffer("contact_lever", shape, wp.float32), energy, state.link_wrench],
            device=problem.device,
        )

    def launch_taped(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        launch_manipulability_taped(
            problem.tree,
            problem.candidates,
            state.contact_index,
            state.link_pose,
            state.contact_position,
            state.hand_normal,
            energy=energy,
        )


def _unit(vector: tuple[float, float, float], name: str) -> np.ndarray:
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0.0:
        raise ValueError(f"{name} must be a finite vector that is not zero (got {vector})")
    return np.asarray(vector) / length
