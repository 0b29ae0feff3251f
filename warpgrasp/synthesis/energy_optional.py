"""Energy terms that are off by default: a wall, an approach direction, manipulability, and DexGraspNet's wrench balance.

Each is a frozen dataclass of hyper-parameters that fulfils ``warpgrasp.synthesis.energy_config.EnergyTerm``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import warp as wp
from scipy.spatial.transform import Rotation

from warpgrasp.base.ranges import ANY_FINITE, POSITIVE, check_numbers
from warpgrasp.kernels.energies.manipulability import launch_manipulability, launch_manipulability_taped
from warpgrasp.kernels.energies.wall_approach import (
    launch_approach,
    launch_approach_taped,
    launch_wall,
    launch_wall_taped,
)
from warpgrasp.kernels.energies.weighted_sum import launch_add_scaled
from warpgrasp.kernels.energies.wrench import launch_wrench_sum_energy
from warpgrasp.kernels.energies.wrench_balance import launch_wrench_balance

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
        launch_wrench_balance(
            problem.center_of_mass,
            self.torque_weight,
            problem.candidates,
            problem.object_index,
            state.contact_index,
            state.contact_position,
            state.object_normal,
            self.weight,
            energy=energy,
            link_wrench=state.link_wrench,
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
        launch_wall(
            problem.spheres,
            wp.vec3(*self._unit_normal()),
            self._offsets(problem, state),
            problem.object_index,
            state.link_pose,
            self.weight,
            energy=energy,
            link_wrench=state.link_wrench,
        )

    def launch_taped(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        launch_wall_taped(
            problem.spheres,
            wp.vec3(*self._unit_normal()),
            self._offsets(problem, state),
            problem.object_index,
            state.link_pose,
            energy=energy,
        )

    def offset_of(self, model: ObjectModel) -> float:
        """Position of the plane of one object along the normal [m]."""
        if self.offset is not None:
            return self.offset
        return float(np.min(model.vertices @ self._unit_normal()))

    def _unit_normal(self) -> np.ndarray:
        return _unit(self.normal, "energy.wall.normal")

    def _offsets(self, problem: GraspProblem, state: GraspState) -> wp.array:
        if "wall_offset" not in state.scratch:
            offsets = [self.offset_of(model) for model in problem.objects]
            state.scratch["wall_offset"] = wp.array(offsets, dtype=wp.float32, device=problem.device)
        return state.scratch["wall_offset"]


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
        launch_approach(
            self._palm_normal(problem),
            wp.vec3(*_unit(self.direction, "energy.approach.direction")),
            state.link_pose,
            self.weight,
            energy=energy,
            link_wrench=state.link_wrench,
        )

    def launch_taped(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        launch_approach_taped(
            self._palm_normal(problem),
            wp.vec3(*_unit(self.direction, "energy.approach.direction")),
            state.link_pose,
            energy=energy,
        )

    @staticmethod
    def _palm_normal(problem: GraspProblem) -> wp.vec3:
        return wp.vec3(*Rotation.from_quat(problem.hand.wrist_quaternion).apply([0.0, 0.0, 1.0]))


@dataclass(frozen=True, kw_only=True)
class Manipulability:
    """How well the joints can press along the contact normals; see ``kernels/energies/manipulability.py``."""

    weight: float = 0.0
    """Factor in the total energy."""

    def __post_init__(self) -> None:
        check_numbers(self, "energy.manipulability")

    def launch(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        shape = (problem.batch_size, problem.contact_count, len(problem.hand.joint_names))
        launch_manipulability(
            problem.tree,
            problem.candidates,
            state.contact_index,
            state.link_pose,
            state.contact_position,
            state.hand_normal,
            self.weight,
            lever=state.buffer("contact_lever", shape, wp.float32),
            energy=energy,
            link_wrench=state.link_wrench,
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
