"""The steps of the last stage on the device, for those grasps of a batch that are still to be closed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from warpgrasp.hands.device import surface_points
from warpgrasp.hands.model import JointType
from warpgrasp.kernels.contact import Contacts, closest_features_kernel, contact_points_kernel
from warpgrasp.kernels.hand_shapes import geometry_poses, launch_geometry_poses
from warpgrasp.kernels.kinematics import launch_forward_kinematics
from warpgrasp.kernels.lanes import lane_count
from warpgrasp.kernels.targets.closing import (
    ClosingInputs,
    ClosingLimits,
    closing_step,
    slide_contacts,
)
from warpgrasp.kernels.targets.deepest_samples import deepest_samples
from warpgrasp.kernels.targets.least_squares import step_scratch
from warpgrasp.kernels.targets.nearest_points import launch_nearest_remembered, nearest_memory
from warpgrasp.kernels.targets.opening import NEAREST_COUNT
from warpgrasp.synthesis.closure import are_force_closed

if TYPE_CHECKING:
    from warpgrasp.hands import HandModel
    from warpgrasp.synthesis.closing_config import ClosingConfig
    from warpgrasp.synthesis.problem import GraspProblem

__all__ = ["CHUNK", "ClosingSteps"]

CHUNK = 4096
"""Grasps that are closed at a time, so that the memory of the steps does not grow with the batch."""

_ROOT_DAMPING, _TURN_DAMPING, _ANGLE_DAMPING, _LENGTH_DAMPING = 3.0e-2, 1.0e-3, 1.0e-4, 3.0e-2
_LENGTH_STEP, _ANGLE_STEP, _TURN_STEP = 0.002, 0.08, 0.05  # m, rad, rad
_SPHERE_GAP = 0.003  # m
_SLIDE_BEYOND = 0.8  # of the distance that counts as touching; contacts further off slide
_MARGIN = 0.001  # m outside the object in which points are looked after
_HAND_LENGTH = 0.1  # m, arm by which turns count as ways
_LOOK_PERIOD = 2  # steps between looks whether a grasp is closed
_STILL = 1.0e-5  # m, way of a step after which a hand is at rest


@dataclass(frozen=True, eq=False)
class _Look:
    """Variables and contacts of all grasps after a step."""

    variables: dict[str, NDArray[Any]]
    position: NDArray[np.float32]
    normal: NDArray[np.float32]
    distance: NDArray[np.float32]

    @property
    def finite(self) -> NDArray[np.bool_]:
        """Whether the poses and the distances of the contacts are numbers, shape [A]."""
        arrays = (self.variables["root_pose"], self.variables["joint_position"], self.distance)
        return np.asarray(np.all([np.isfinite(array).all(axis=1) for array in arrays], axis=0))

    def take(self, other: _Look, grasps: NDArray[Any]) -> None:
        """Replace the variables of some grasps."""
        for name, values in self.variables.items():
            values[grasps] = other.variables[name][grasps]


class ClosingSteps:
    """Steps of some grasps of a problem: their own copies of the variables, and buffers.

    Args:
        problem: Hand and objects.
        config: Hyper-parameters.
        grasps: Numbers of the grasps, shape [A].
        allowance: Depth that is accepted [m].
        slides: Whether contacts slide.
        branches: Whether ``variables`` are the ``branch`` of steps without slides: the first slide comes next.
        variables: Where they start: root_pose [A, 7], joint_position [A, J], contact_index [A, C], closest_point [A, C, 3].
    """

    variables: dict[str, wp.array]
    branch: dict[str, NDArray[Any]]
    """The variables where contacts slide for the first time, or would."""

    def __init__(
        self,
        problem: GraspProblem,
        config: ClosingConfig,
        grasps: NDArray[np.int64],
        variables: dict[str, NDArray[Any]],
        *,
        allowance: float,
        slides: bool,
        branches: bool = False,
    ) -> None:
        self._problem, self._config, self._grasps = problem, config, grasps
        device, batch = problem.device, len(grasps)
        types = {"root_pose": wp.transform, "contact_index": wp.int32, "closest_point": wp.vec3}
        self.variables = {
            name: wp.array(values, dtype=types.get(name, wp.float32), device=device)
            for name, values in variables.items()
        }
        self._contacts = self._make_contacts()
        self._start = self._look()
        self.branch = self._start.variables
        links, shapes = problem.hand.link_count, problem.geometry.type.shape[0]
        self._link_pose: wp.array = wp.empty((batch, links), dtype=wp.transform, device=device)
        objects = problem.object_index.numpy()[grasps]
        self._object_index: wp.array = wp.array(objects, dtype=wp.int32, device=device)
        self._running: wp.array = wp.ones(batch, dtype=wp.int32, device=device)
        self._points = surface_points(problem.hand, device)
        self._memory = nearest_memory(self._points, batch, links, device)
        damping, largest = _unknowns(problem.hand)
        self._damping: wp.array = wp.array(damping, dtype=wp.float32, device=device)
        self._largest: wp.array = wp.array(largest, dtype=wp.float32, device=device)
        self._scratch = step_scratch(batch, len(damping), device, pushes=NEAREST_COUNT * links + shapes)
        self._limits, self._slides = _limits(config, allowance), slides
        self._period = max(config.steps // (config.slides + 1), 1)
        self._done = self._period if branches else 0
        self._poses = geometry_poses(problem.geometry, batch, device)
        self._inputs = self._make_inputs(batch, links, shapes)

    def _make_contacts(self) -> Contacts:
        index = self.variables["contact_index"]
        contacts = Contacts()
        contacts.index, contacts.closest_point = index, self.variables["closest_point"]
        for name in ("position", "hand_normal", "object_normal"):
            setattr(contacts, name, wp.empty(index.shape, dtype=wp.vec3, device=index.device))
        contacts.distance = wp.empty(index.shape, dtype=wp.float32, device=index.device)
        return contacts

    def _make_inputs(self, batch: int, links: int, shapes: int) -> ClosingInputs:
        inputs, device = ClosingInputs(), self._problem.device
        for name, shape in (("point", (batch, links, NEAREST_COUNT)), ("sample", (batch, shapes))):
            depth = "point_distance" if name == "point" else "sample_depth"
            setattr(inputs, depth, wp.empty(shape, dtype=wp.float32, device=device))
            for part in ("position", "normal"):
                setattr(inputs, f"{name}_{part}", wp.empty(shape, dtype=wp.vec3, device=device))
        inputs.link_pose = self._link_pose
        inputs.contact_index = self._contacts.index
        inputs.contact_position = self._contacts.position
        inputs.object_normal = self._contacts.object_normal
        inputs.contact_distance = self._contacts.distance
        return inputs

    def run(self, friction: float) -> NDArray[np.bool_]:
        """Take all steps; grasps end at the last looked-at step at which the contacts that touch close them, if there is one.

        Contacts wander a little from step to step while others are drawn nearer, so that a grasp may be closed at one step and
        not at the next.

        Returns:
            Whether the contacts that touch close each grasp, shape [A].
        """
        looks = self._steps()
        kept, closed = self._start, np.zeros(len(self._grasps), dtype=bool)
        for look in looks[-1:]:
            kept.take(look, look.finite)
        for look in reversed(looks):
            now = np.flatnonzero(~closed)
            now = now[self._closed(look, now, friction)]
            kept.take(look, now)
            closed[now] = True
        for name, values in kept.variables.items():
            self.variables[name].assign(values)
        return closed

    def _steps(self) -> list[_Look]:
        """Take the steps and return the looks."""
        config = self._config
        slides_after = range(self._period, config.steps, self._period) if self._slides else range(0)
        looked_at = {config.steps - back for back in range(0, config.steps // 2, _LOOK_PERIOD)}
        looks = []
        self._update()
        if self._done:
            self._slide()
            self._update()
        self._move()
        self._update()
        with wp.ScopedCapture(device=self._problem.device) as capture:  # recorded, not run
            self._move()
            self._update()
        for number in range(self._done + 1, config.steps + 1):
            if number > self._done + 1:
                wp.capture_launch(capture.graph)
            if number == self._period:
                self.branch = self._look().variables
            if number in looked_at:
                looks.append(self._look())
            if number in slides_after:
                self._slide()
                self._update()
        return looks

    def _look(self) -> _Look:
        """Copies of the variables and contacts as they are now."""
        contacts = self._contacts
        return _Look(
            {name: array.numpy().copy() for name, array in self.variables.items()},
            contacts.position.numpy().copy(),
            contacts.object_normal.numpy().copy(),
            contacts.distance.numpy().copy(),
        )

    def _closed(self, look: _Look, grasps: NDArray[np.int64], friction: float) -> NDArray[np.bool_]:
        """Whether the contacts that touch close some of the grasps at a look, shape of ``grasps``."""
        center = np.array([model.center_of_mass for model in self._problem.objects])
        return are_force_closed(
            look.position[grasps].astype(np.float64),
            look.normal[grasps].astype(np.float64),
            np.abs(look.distance[grasps]) <= self._config.touching,
            center[self._object_index.numpy()[grasps]],
            friction,
        )

    def _update(self) -> None:
        """Links, contacts and their closest features at the present pose."""
        problem, contacts = self._problem, self._contacts
        root, joints = self.variables["root_pose"], self.variables["joint_position"]
        launch_forward_kinematics(problem.tree, root, joints, link_pose=self._link_pose)
        wp.launch(
            contact_points_kernel,
            dim=contacts.index.shape,
            inputs=[problem.candidates, contacts.index, self._link_pose],
            outputs=[contacts.position, contacts.hand_normal],
            device=problem.device,
            record_tape=False,
        )
        wp.launch(
            closest_features_kernel,
            dim=contacts.index.shape,
            inputs=[problem.meshes, self._object_index],
            outputs=[contacts],
            device=problem.device,
            record_tape=False,
        )

    def _move(self) -> None:
        """One damped least-squares step."""
        problem, inputs = self._problem, self._inputs
        launch_nearest_remembered(
            self._points,
            problem.meshes,
            problem.distance_bound,
            self._object_index,
            self._link_pose,
            self._limits.near,
            memory=self._memory,
            running=self._running,
            distance=inputs.point_distance,
            position=inputs.point_position,
            normal=inputs.point_normal,
        )
        launch_geometry_poses(problem.geometry, self._link_pose, poses=self._poses)
        wp.launch_tiled(
            deepest_samples,
            dim=len(self._grasps),
            inputs=[
                problem.geometry,
                problem.samples,
                self._object_index,
                self._running,
                self._poses,
                self._limits.allowance,
            ],
            outputs=[inputs.sample_depth, inputs.sample_position, inputs.sample_normal],
            device=problem.device,
            block_dim=lane_count(problem.device),
            record_tape=False,
        )
        wp.launch(
            closing_step,
            dim=len(self._grasps),
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
            outputs=[self._running, self.variables["root_pose"], self.variables["joint_position"]],
            device=problem.device,
            record_tape=False,
        )

    def _slide(self) -> None:
        """Let contacts that do not touch move to candidates that do; hands at rest start again."""
        problem, config = self._problem, self._config
        wp.launch(
            slide_contacts,
            dim=len(self._grasps),
            inputs=[
                problem.candidates,
                problem.meshes,
                problem.distance_bound,
                self._object_index,
                self._link_pose,
                *(
                    wp.array(slots, dtype=wp.int32, device=problem.device)
                    for slots in (problem.slot_start, problem.slot_count)
                ),
                config.reach,
                _SLIDE_BEYOND * config.touching,
                config.spacing,
            ],
            outputs=[self._contacts.index],
            device=problem.device,
            record_tape=False,
        )
        self._running.fill_(1)


def _limits(config: ClosingConfig, allowance: float) -> ClosingLimits:
    limits = ClosingLimits()
    limits.allowance = allowance
    limits.reach = config.reach
    limits.near = _MARGIN - config.allowance
    limits.sphere_gap = _SPHERE_GAP
    limits.longest = _LENGTH_STEP
    limits.length_step = _LENGTH_STEP
    limits.angle_step = _TURN_STEP
    limits.hand_length = _HAND_LENGTH
    limits.still = _STILL
    return limits


def _unknowns(hand: HandModel) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Damping and largest step of the unknowns [way (3), turn (3), joints (J)]."""
    damping = np.full(6 + hand.dof_count, _ANGLE_DAMPING)
    largest = np.full(6 + hand.dof_count, _ANGLE_STEP)
    sliding = 6 + hand.joint_dof[np.asarray(hand.joint_type) == JointType.PRISMATIC]
    damping[:3], damping[3:6], damping[sliding] = _ROOT_DAMPING, _TURN_DAMPING, _LENGTH_DAMPING
    largest[sliding] = _LENGTH_STEP
    return damping, largest
