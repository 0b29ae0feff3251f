"""The last stage of a synthesis: contacts of finished grasps are brought onto the object.

An annealed grasp ends with its contacts about a millimetre off: each pulls a little, against the others and against the
penetration of its neighbours. Damped least squares (``kernels/targets/closing.py``) solves for all of them at once.

Moved contacts have other normals, so that a grasp may touch better and yet be closed no more. The stage is therefore run in a
few variants, from the one that lets the hand least into the object to the one that lets it most, with contacts that stay on
their link's candidates and with contacts that slide; each grasp takes the first variant in which the contacts that touch give
force closure, or the first one where none does.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import warp as wp
from numpy.typing import NDArray

from warpgrasp.base.ranges import check_numbers
from warpgrasp.hands.device import surface_points
from warpgrasp.hands.model import JointType
from warpgrasp.kernels.hand_shapes import geometry_poses, launch_geometry_poses
from warpgrasp.kernels.targets.closing import (
    ClosingInputs,
    ClosingLimits,
    closing_step,
    deepest_samples,
    distance_of_candidates,
    slide_contacts,
)
from warpgrasp.kernels.targets.least_squares import step_scratch
from warpgrasp.kernels.targets.opening import NEAREST_COUNT, launch_nearest_points
from warpgrasp.synthesis.closure import closed_by_touching

if TYPE_CHECKING:
    from warpgrasp.hands import HandModel
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.state import GraspState

__all__ = ["ClosingConfig", "close_gaps"]

_ROOT_DAMPING, _TURN_DAMPING, _ANGLE_DAMPING, _LENGTH_DAMPING = 3.0e-2, 1.0e-3, 1.0e-4, 3.0e-2
_LENGTH_STEP, _ANGLE_STEP, _TURN_STEP = 0.002, 0.08, 0.05  # m, rad, rad
_SPHERE_GAP = 0.003  # m
_SLIDE_BEYOND = 0.8  # of the distance that counts as touching; contacts further off slide
_VARIABLES = ("root_pose", "joint_position", "contact_index", "closest_point", "qp_dual")


@dataclass(frozen=True, kw_only=True)
class ClosingConfig:
    """How the contacts of finished grasps are brought onto the object."""

    steps: int = 30
    """Damped least-squares steps; 0 leaves the grasps as the optimiser has made them."""
    reach: float = 0.012
    """Contacts at most this far from the object are brought to it [m]."""
    touching: float = 0.001
    """Contacts at most this far from the object touch it [m]."""
    allowance: float = 0.0001
    """Depth of the hand in the object that the steps accept [m]; half of the variants accept twice as much."""
    slides: int = 2
    """How often, in half of the variants, contacts that do not touch move to a candidate that does."""
    spacing: float = 0.005
    """Distance that a contact that slides keeps from the others [m]."""

    def __post_init__(self) -> None:
        check_numbers(self, "closing")

    def variants(self) -> tuple[ClosingConfig, ...]:
        """The variants in the order of preference."""
        still = dataclasses.replace(self, slides=0)
        first = (still, self) if self.slides else (still,)
        return (*first, *(dataclasses.replace(variant, allowance=2.0 * self.allowance) for variant in first))


def close_gaps(
    problem: GraspProblem, state: GraspState, config: ClosingConfig, *, friction: float
) -> NDArray[np.bool_]:
    """Bring the contacts of ``state`` onto the object, in place, and evaluate it.

    Args:
        problem: Hand and objects.
        state: Grasps; only their variables are read.
        config: Hyper-parameters.
        friction: Coulomb coefficient at which touching contacts must close the grasp.

    Returns:
        Whether the contacts that touch close each grasp, shape [B].
    """
    start = {name: getattr(state, name).numpy().copy() for name in _VARIABLES}
    problem.evaluate(state)
    if config.steps == 0:
        return closed_by_touching(problem, state, touching=config.touching, friction=friction)
    chosen = {name: values.copy() for name, values in start.items()}
    waiting = np.ones(problem.batch_size, dtype=bool)
    for number, variant in enumerate(config.variants()):
        if number:
            for name, values in start.items():
                getattr(state, name).assign(values)
            problem.evaluate(state)
        _move(problem, state, variant)
        closed = closed_by_touching(problem, state, touching=config.touching, friction=friction, only=waiting)
        finite = np.isfinite(state.energy.numpy())
        take = (closed & waiting) | (finite if number == 0 else False)
        for name in _VARIABLES:
            chosen[name][take] = getattr(state, name).numpy()[take]
        waiting &= ~closed
        if not waiting.any():
            break
    for name, values in chosen.items():
        getattr(state, name).assign(values)
    problem.evaluate(state)
    return ~waiting


def _move(problem: GraspProblem, state: GraspState, config: ClosingConfig) -> None:
    steps = _Steps(problem, config)
    for number in range(1, config.steps + 1):
        steps.move(state)
        problem.evaluate(state)
        if (
            config.slides
            and number % max(config.steps // (config.slides + 1), 1) == 0
            and number < config.steps
        ):
            steps.slide(state)
            problem.evaluate(state)


class _Steps:
    """Buffers of the steps on a problem's device."""

    def __init__(self, problem: GraspProblem, config: ClosingConfig) -> None:
        self._problem, self._config = problem, config
        self._points = surface_points(problem.hand, problem.device)
        device, batch = problem.device, problem.batch_size
        damping, largest = _unknowns(problem.hand)
        self._damping: wp.array = wp.array(damping, dtype=wp.float32, device=device)
        self._largest: wp.array = wp.array(largest, dtype=wp.float32, device=device)
        self._slots: list[wp.array] = [
            wp.array(values, dtype=wp.int32, device=device)
            for values in (problem.slot_start, problem.slot_count)
        ]
        self._scratch = step_scratch(batch, len(damping), device)
        self._limits = ClosingLimits()
        self._limits.reach = config.reach
        self._limits.allowance = config.allowance
        self._limits.sphere_gap = _SPHERE_GAP
        self._limits.longest = _LENGTH_STEP
        self._limits.length_step = _LENGTH_STEP
        self._limits.angle_step = _TURN_STEP
        self._poses = geometry_poses(problem.geometry, batch, device)
        self._inputs = ClosingInputs()
        near = (batch, problem.hand.link_count, NEAREST_COUNT)
        shapes = (batch, problem.geometry.type.shape[0])
        for name, shape in (("point", near), ("sample", shapes)):
            depth = "point_distance" if name == "point" else "sample_depth"
            setattr(self._inputs, depth, wp.empty(shape, dtype=wp.float32, device=device))
            for part in ("position", "normal"):
                setattr(self._inputs, f"{name}_{part}", wp.empty(shape, dtype=wp.vec3, device=device))

    def move(self, state: GraspState) -> None:
        """One damped least-squares step from an evaluated state."""
        problem, inputs, allowance = self._problem, self._inputs, self._config.allowance
        launch_nearest_points(
            self._points,
            problem.meshes,
            problem.distance_bound,
            problem.object_index,
            state.link_pose,
            -allowance,
            distance=inputs.point_distance,
            position=inputs.point_position,
            normal=inputs.point_normal,
        )
        launch_geometry_poses(problem.geometry, state.link_pose, poses=self._poses)
        wp.launch(
            deepest_samples,
            dim=problem.batch_size,
            inputs=[problem.geometry, problem.samples, problem.object_index, self._poses, allowance],
            outputs=[inputs.sample_depth, inputs.sample_position, inputs.sample_normal],
            device=problem.device,
        )
        for name in ("link_pose", "contact_index", "contact_position", "object_normal", "contact_distance"):
            setattr(inputs, name, getattr(state, name))
        wp.launch(
            closing_step,
            dim=problem.batch_size,
            inputs=[
                problem.tree,
                problem.spheres,
                problem.geometry,
                problem.candidates,
                inputs,
                self._limits,
                self._damping,
                self._largest,
                self._scratch,
            ],
            outputs=[state.root_pose, state.joint_position],
            device=problem.device,
        )

    def slide(self, state: GraspState) -> None:
        """Let contacts that do not touch at an evaluated state move to candidates that do."""
        problem, config = self._problem, self._config
        shape = (problem.batch_size, problem.host_candidates.count)
        position = wp.empty(shape, dtype=wp.vec3, device=problem.device)
        distance = wp.empty(shape, dtype=wp.float32, device=problem.device)
        wp.launch(
            distance_of_candidates,
            dim=shape,
            inputs=[
                problem.candidates,
                problem.meshes,
                problem.distance_bound,
                problem.object_index,
                state.link_pose,
                config.reach,
            ],
            outputs=[position, distance],
            device=problem.device,
        )
        wp.launch(
            slide_contacts,
            dim=problem.batch_size,
            inputs=[position, distance, *self._slots, _SLIDE_BEYOND * config.touching, config.spacing],
            outputs=[state.contact_index],
            device=problem.device,
        )


def _unknowns(hand: HandModel) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Damping and largest step of the unknowns [way (3), turn (3), joints (J)]."""
    damping = np.full(6 + hand.dof_count, _ANGLE_DAMPING)
    largest = np.full(6 + hand.dof_count, _ANGLE_STEP)
    sliding = 6 + hand.joint_dof[np.asarray(hand.joint_type) == JointType.PRISMATIC]
    damping[:3], damping[3:6], damping[sliding] = _ROOT_DAMPING, _TURN_DAMPING, _LENGTH_DAMPING
    largest[sliding] = _LENGTH_STEP
    return damping, largest
