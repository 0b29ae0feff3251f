"""Energy terms of Fast-Grasp'D (Turpin et al. 2023): contact simulation, joints mid-range.

Each is a frozen dataclass of hyper-parameters that fulfils ``warpgrasp.synthesis.energy_config.EnergyTerm``; gradients of the
first come from a ``wp.Tape``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import warp as wp

from warpgrasp.base.ranges import ANY_FINITE, POSITIVE, NumberRange, check_numbers
from warpgrasp.hands.device import surface_points
from warpgrasp.kernels.energies.contact_simulation import (
    ContactSimulation,
    HandSurface,
    SurfaceDistance,
    freeze_surface_kernel,
    level_kernel,
    push_kernel,
    remaining_motion_kernel,
    touching_kernel,
)
from warpgrasp.kernels.energies.proximity import joint_middle_kernel
from warpgrasp.kernels.spatial import vec6

if TYPE_CHECKING:
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.state import GraspState

__all__ = ["JointMiddle", "SimulatedPush", "dilation_of"]

_FAR = 1.0e6  # m


def dilation_of(state: GraspState) -> wp.array:
    """Dilation of the objects [m], shape [1], that ``SimulatedPush`` adds to its own; an optimiser may change it."""
    return state.buffer("dilation", (1,), wp.float32)


@dataclass(eq=False)
class _Surface:
    points: HandSurface
    distance: SurfaceDistance


def _surface(problem: GraspProblem, state: GraspState, spacing: float, tests: int, blend: float) -> _Surface:
    """Frozen features of the hand's points; arrays are new, as a tape replays backwards."""
    key = f"hand_surface {spacing}"
    if key not in state.scratch:
        spread = surface_points(problem.hand, problem.device, spacing=spacing)
        count = np.diff(spread.start.numpy())
        points = HandSurface()
        points.link = wp.array(np.repeat(np.arange(len(count)), count), dtype=wp.int32, device=problem.device)
        points.position = spread.position
        state.scratch[key] = points
    points = state.scratch[key]
    shape = (problem.batch_size, points.link.shape[0])
    distance = SurfaceDistance()
    if f"{key} closest" not in state.scratch:
        state.scratch[f"{key} closest"] = wp.full(shape, wp.vec3(_FAR, _FAR, _FAR), device=problem.device)
    distance.closest = state.scratch[f"{key} closest"]
    distance.place = state.buffer(f"{key} place", shape, wp.vec3)
    distance.normal = state.buffer(f"{key} normal", shape, wp.vec3)
    distance.touching = state.buffer(f"{key} touching {tests}", (problem.batch_size, tests), wp.float32)
    wp.launch(
        freeze_surface_kernel,
        dim=shape,
        inputs=[
            points,
            problem.meshes,
            problem.distance_bound,
            problem.object_index,
            state.link_pose,
            blend,
        ],
        outputs=[distance],
        device=problem.device,
        record_tape=False,
    )
    return _Surface(points, distance)


@dataclass(frozen=True, kw_only=True)
class SimulatedPush:
    """What remains of the object's motion after the hand has pushed back, ``mean_m |v_m| + R |w_m|`` (Turpin et al. 2023)."""

    weight: float = 1.0
    """Factor in the total energy."""
    speed: float = 1.0
    """Velocity of the object along +-x, +-y, +-z in six of the tests [m/s]; in a seventh it rests."""
    spin: float = 0.0
    """Angular velocity about +-x, +-y, +-z in six more tests [rad/s]; 0 leaves them out, as published."""
    time_step: float = 0.001
    """Time the object moves [s]."""
    friction: float = 0.5
    """Coulomb coefficient mu."""
    leak: float = 0.1
    """Part of the gradient that points have that do not touch."""
    dilation: float = 0.0
    """Dilation of the object at the end of the schedule [m]; a positive one keeps the hand that far off."""
    blend: float = 0.75
    """How far the surface follows the vertex normals; 0 is the mesh itself."""
    spacing: float = 0.008
    """Distance of the points on the hand's surface [m]."""
    squared: bool = False
    """Sum of squares (released program) instead of the mean of lengths (paper)."""

    def __post_init__(self) -> None:
        share = NumberRange(upper=1.0)
        check_numbers(
            self,
            "simulated_push",
            dilation=ANY_FINITE,
            leak=share,
            blend=share,
            **dict.fromkeys(("speed", "time_step", "spacing"), POSITIVE),
        )

    def motions(self) -> np.ndarray:
        """Motion of the object in every test: translation [m] and rotation vector [rad], shape [M, 6]."""
        axes = np.concatenate([np.eye(6)[:3], -np.eye(6)[:3]])
        turns = np.concatenate([np.eye(6)[3:], -np.eye(6)[3:]])
        tests = [self.speed * axes, np.zeros((1, 6))] + ([self.spin * turns] if self.spin else [])
        return self.time_step * np.concatenate(tests)

    def _simulation(self, problem: GraspProblem, state: GraspState) -> ContactSimulation:
        key = f"simulated_push {self}"
        if key not in state.scratch:
            simulation = ContactSimulation()
            device = problem.device
            simulation.motion = wp.array(self.motions(), dtype=vec6, device=device)
            radius = [
                float(np.linalg.norm(model.vertices - model.center_of_mass, axis=1).max())
                for model in problem.objects
            ]
            simulation.radius = wp.array(radius, dtype=wp.float32, device=device)
            simulation.level = wp.zeros(1, dtype=wp.float32, device=device)
            simulation.friction, simulation.leak = self.friction, self.leak
            simulation.step, simulation.squared = self.time_step, int(self.squared)
            state.scratch[key] = simulation
        result: ContactSimulation = state.scratch[key]
        wp.launch(
            level_kernel,
            dim=1,
            inputs=[dilation_of(state), self.dilation],
            outputs=[result.level],
            device=problem.device,
            record_tape=False,
        )
        return result

    def launch_taped(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        simulation = self._simulation(problem, state)
        tests = simulation.motion.shape[0]
        surface = _surface(problem, state, self.spacing, tests, self.blend)
        shape = (problem.batch_size, tests)
        wp.launch(
            touching_kernel,
            dim=shape,
            inputs=[surface.points, problem.grasped_objects, simulation, state.link_pose],
            outputs=[surface.distance],
            device=problem.device,
            record_tape=False,
        )
        push = state.buffer(f"push {tests}", shape, vec6, requires_grad=True)
        push.zero_()
        push.grad.zero_()
        wp.launch(
            push_kernel,
            dim=(*shape, surface.points.link.shape[0]),
            inputs=[surface.points, problem.grasped_objects, simulation, surface.distance, state.link_pose],
            outputs=[push],
            device=problem.device,
        )
        wp.launch(
            remaining_motion_kernel,
            dim=shape,
            inputs=[problem.grasped_objects, simulation, push],
            outputs=[energy],
            device=problem.device,
        )


@dataclass(frozen=True, kw_only=True)
class JointMiddle:
    """Distance of the joints from the middle of their range, ``sum |q - q_mid|`` or its square (Turpin et al. 2023)."""

    weight: float = 1.0
    """Factor in the total energy."""
    squared: bool = True
    """Squares (released program) instead of absolute values (paper)."""
    opening: bool = False
    """Distance from the hand's opening pose instead."""

    def __post_init__(self) -> None:
        check_numbers(self, "joint_middle")

    def launch(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        key = f"joint_middle {self.opening}"
        if key not in state.scratch:
            hand = problem.hand
            place = hand.dof_opening if self.opening else 0.5 * (hand.dof_lower + hand.dof_upper)
            state.scratch[key] = wp.array(place, dtype=wp.float32, device=problem.device)
        wp.launch(
            joint_middle_kernel,
            dim=problem.batch_size,
            inputs=[state.joint_position, state.scratch[key], int(self.squared), self.weight],
            outputs=[energy, state.joint_force],
            device=problem.device,
        )
