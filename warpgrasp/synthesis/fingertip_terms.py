"""Energy terms of fingertip grasps: task wrenches, distances of the tips, and room around hand and joints.

Each is a frozen dataclass of hyper-parameters that fulfils ``warpgrasp.synthesis.energy_config.EnergyTerm``. The terms work on
the tips of the fingers (``warpgrasp.hands.fingertips``), not on the contact candidates of the problem.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import trimesh
import warp as wp

from warpgrasp.base.ranges import ANY_FINITE, POSITIVE, NumberRange, check_numbers
from warpgrasp.hands.fingertips import TipModel, fingertips
from warpgrasp.kernels.energies.fingertips import (
    TipContacts,
    probes,
    tip_contacts,
    tip_distance_kernel,
    tip_features_kernel,
    tip_pairs_kernel,
    tip_pull_kernel,
)
from warpgrasp.kernels.energies.proximity import joint_margin_kernel, sphere_proximity_kernel
from warpgrasp.kernels.energies.task_wrench import edge_wrenches_kernel, task_wrench_kernel
from warpgrasp.kernels.qp.task_forces import (
    EDGE_COUNT,
    TaskForceLimits,
    TaskForces,
    launch_task_forces,
    task_forces,
    vec6d,
)

if TYPE_CHECKING:
    from warpgrasp.kernels.energies.fingertips import Fingertips
    from warpgrasp.objects import ObjectModel
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.state import GraspState

__all__ = [
    "JointMargin",
    "SphereProximity",
    "TaskArrays",
    "TaskWrench",
    "TipDistance",
    "TipPull",
    "Tips",
    "tips_of",
]

_EDGE_RIDGE = 1.0e-6  # makes edge forces unique and changes no value by more than that
_THUMB = "thumb"


@dataclass(eq=False)
class Tips:
    """Fingertips of a problem on its device and their contacts at a state."""

    model: TipModel
    device_model: Fingertips
    contacts: TipContacts
    goal: wp.array
    """Where ``TipPull`` pulls the tips [m], vec3, shape [B, F]."""


def tips_of(problem: GraspProblem, state: GraspState) -> Tips:
    """The tips of a state, made at the first use and kept with it."""
    if "fingertips" not in state.scratch:
        model = fingertips(problem.hand, problem.grasp_type.name)
        count = len(model.link)
        state.scratch["fingertips"] = Tips(
            model,
            model.on_device(problem.device),
            tip_contacts(problem.batch_size, count, problem.device),
            wp.zeros((problem.batch_size, count), dtype=wp.vec3, device=problem.device),
        )
    result: Tips = state.scratch["fingertips"]
    return result


def find_spheres(problem: GraspProblem, state: GraspState, offset: wp.array | None = None) -> Tips:
    """Closest features of the tips' spheres, and of probes at ``offset`` around them."""
    tips = tips_of(problem, state)
    around = wp.empty(0, dtype=wp.vec3, device=problem.device) if offset is None else offset
    wp.launch(
        tip_features_kernel,
        dim=tips.goal.shape,
        inputs=[tips.device_model, problem.meshes, problem.object_index, state.link_pose, around],
        outputs=[tips.contacts],
        device=problem.device,
    )
    return tips


def find_pairs(problem: GraspProblem, state: GraspState) -> Tips:
    """Closest points of the tips' surfaces and the object."""
    tips = tips_of(problem, state)
    wp.launch(
        tip_pairs_kernel,
        dim=tips.goal.shape,
        inputs=[tips.device_model, problem.meshes, problem.object_index, state.link_pose],
        outputs=[tips.contacts],
        device=problem.device,
    )
    return tips


@dataclass(eq=False)
class TaskArrays:
    """Constants and solutions of ``TaskWrench`` at a state."""

    offset: wp.array
    fit: wp.array
    radius: wp.array
    limits: TaskForceLimits
    target: wp.array
    wrench: wp.array
    forces: TaskForces


@dataclass(frozen=True, kw_only=True)
class TaskWrench:
    """How badly fingertips can give a set of task wrenches, ``sum_j |t_j - sum_c G_c f_cj|^2`` (Chen et al. 2025, BODex).

    The forces solve a quadratic program: friction pyramids of eight edges, bounded normal forces, and groups of fingers that
    must press. They are renewed every ``period`` evaluations and constants in between.
    """

    weight: float = 100.0
    """Factor in the total energy."""
    friction: float = 0.1
    """Coulomb coefficient mu."""
    wrench_size: float = 0.2
    """Size beta of the task wrenches, against normal forces of at most ``force_upper``."""
    wrenches: tuple[tuple[float, float, float, float, float, float], ...] = ()
    """Task wrenches (force, torque over half the diagonal of the object's box) that are scaled by ``wrench_size``; none: forces
    along the six axes, no torque. A functional grasp names the wrenches of its task."""
    force_lower: float = 0.01
    """Least normal force of a contact."""
    force_upper: float = 1.0
    """Largest normal force of a contact."""
    total: float = 1.0
    """Least sum of the normal forces of all fingertips."""
    thumb: float = 0.5
    """Least normal force of the thumb, of a hand that has one."""
    opposing: float = 0.4
    """Least sum of the normal forces of the fingers that face the thumb: all but the last."""
    ridge: float = 0.01
    """Weight of squared normal forces, which shares the load; not part of the energy."""
    period: int = 5
    """Evaluations between solves of the program."""
    probe: float = 0.008
    """Nearest distance of the places around a tip at which the closest point is looked up [m]."""

    def __post_init__(self) -> None:
        names = ("wrench_size", "force_upper", "ridge", "probe")
        at_least_one = NumberRange(lower=1.0)
        check_numbers(self, "task_wrench", period=at_least_one, **dict.fromkeys(names, POSITIVE))
        if any(len(wrench) != 6 for wrench in self.wrenches):
            raise ValueError(
                "task_wrench.wrenches must hold wrenches of six numbers: force, then torque (got "
                f"{[len(wrench) for wrench in self.wrenches]})"
            )

    def targets(self) -> np.ndarray:
        """The scaled task wrenches, shape [T, 6]."""
        axes = np.concatenate([np.eye(6)[:3], -np.eye(6)[:3]])
        return self.wrench_size * (np.array(self.wrenches) if self.wrenches else axes)

    def groups(self, fingers: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Members [R, F] and least sums [R] of the groups that must press.

        Raises:
            ValueError: for a sum that the members cannot reach.
        """
        member, minimum = [np.ones(len(fingers))], [self.total]
        if _THUMB in fingers:
            thumb = fingers.index(_THUMB)
            others = [i for i in range(len(fingers)) if i != thumb]
            facing = others[:-1] if len(others) > 1 else others
            member += [np.eye(len(fingers))[thumb], np.isin(np.arange(len(fingers)), facing).astype(float)]
            minimum += [self.thumb, self.opposing]
        for own, least in zip(member, minimum, strict=True):
            if least > self.force_upper * own.sum():
                raise ValueError(
                    f"task_wrench asks {int(own.sum())} fingertips for normal forces of {least:g} in all, and each gives "
                    f"at most {self.force_upper:g}: lower total, thumb or opposing"
                )
        return np.array(member), np.array(minimum)

    def arrays(self, problem: GraspProblem, state: GraspState) -> TaskArrays:
        """Constants and solutions at a state, made at the first use and kept with it."""
        key = f"task_wrench {self}"
        if key not in state.scratch:
            tips, device = tips_of(problem, state), problem.device
            member, minimum = self.groups(tips.model.fingers)
            limits = TaskForceLimits()
            limits.lower, limits.upper = wp.float64(self.force_lower), wp.float64(self.force_upper)
            limits.ridge, limits.edge_ridge = wp.float64(self.ridge), wp.float64(_EDGE_RIDGE)
            limits.member = wp.array(member, dtype=wp.float64, device=device)
            limits.minimum = wp.array(minimum, dtype=wp.float64, device=device)
            offset, fit = probes(self.probe)
            radius = [half_diagonal(model) for model in problem.objects]
            target: wp.array = wp.array(self.targets(), dtype=vec6d, device=device)
            batch, count = tips.goal.shape
            state.scratch[key] = TaskArrays(
                wp.array(offset, dtype=wp.vec3, device=device),
                wp.array(fit, dtype=wp.vec3, device=device),
                wp.array(radius, dtype=wp.float32, device=device),
                limits,
                target,
                wp.zeros((batch, count * EDGE_COUNT), dtype=vec6d, device=device),
                task_forces(batch, target.shape[0], count, len(minimum), device),
            )
        result: TaskArrays = state.scratch[key]
        return result

    def solve(self, problem: GraspProblem, state: GraspState) -> TaskForces:
        """Forces at the tips' contacts as they are, and the residuals that they leave."""
        arrays, tips = self.arrays(problem, state), tips_of(problem, state)
        self._update_wrenches(problem, arrays, tips)
        launch_task_forces(arrays.limits, arrays.wrench, arrays.target, forces=arrays.forces)
        return arrays.forces

    def _update_wrenches(self, problem: GraspProblem, arrays: TaskArrays, tips: Tips) -> None:
        wp.launch(
            edge_wrenches_kernel,
            dim=tips.goal.shape,
            inputs=[problem.grasped_objects, arrays.radius, tips.contacts, self.friction],
            outputs=[arrays.wrench],
            device=problem.device,
        )

    def launch(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        arrays = self.arrays(problem, state)
        tips = find_spheres(problem, state, arrays.offset)
        self._update_wrenches(problem, arrays, tips)
        launch_task_forces(
            arrays.limits, arrays.wrench, arrays.target, period=self.period, forces=arrays.forces
        )
        wp.launch(
            task_wrench_kernel,
            dim=problem.batch_size,
            inputs=[
                tips.device_model,
                problem.grasped_objects,
                arrays.radius,
                tips.contacts,
                arrays.fit,
                arrays.wrench,
                arrays.target,
                arrays.forces,
                self.weight,
            ],
            outputs=[energy, state.link_wrench],
            device=problem.device,
        )


def half_diagonal(model: ObjectModel) -> float:
    """Half the diagonal of the object's oriented bounding box [m]."""
    _, extent = trimesh.bounds.oriented_bounds(trimesh.Trimesh(model.vertices, model.faces, process=False))
    return 0.5 * float(np.linalg.norm(extent))


@dataclass(frozen=True, kw_only=True)
class TipDistance:
    """Squared distances of the fingertips to the object, ``sum (d - offset)^2`` (Chen et al. 2025, BODex)."""

    weight: float = 1000.0
    """Factor in the total energy [1/m^2]."""
    offset: float = 0.0
    """Distance that the tips should keep [m]."""
    exact: bool = False
    """Distance of the tips' surfaces; otherwise of the spheres that stand for them."""

    def __post_init__(self) -> None:
        check_numbers(self, "tip_distance", offset=ANY_FINITE)

    def launch(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        tips = find_pairs(problem, state) if self.exact else find_spheres(problem, state)
        wp.launch(
            tip_distance_kernel,
            dim=problem.batch_size,
            inputs=[tips.device_model, tips.contacts, self.offset, int(not self.exact), self.weight],
            outputs=[energy, state.link_wrench],
            device=problem.device,
        )


@dataclass(frozen=True, kw_only=True)
class TipPull:
    """Squared distances of the tips' closest surface points to places on the object (Chen et al. 2025, BODex).

    The places stand in ``tips_of(problem, state).goal``.
    """

    weight: float = 10.0
    """Factor in the total energy [1/m^2]."""

    def __post_init__(self) -> None:
        check_numbers(self, "tip_pull")

    def launch(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        tips = find_pairs(problem, state)
        wp.launch(
            tip_pull_kernel,
            dim=problem.batch_size,
            inputs=[tips.device_model, tips.contacts, tips.goal, self.weight],
            outputs=[energy, state.link_wrench],
            device=problem.device,
        )


@dataclass(frozen=True, kw_only=True)
class SphereProximity:
    """Smooth hinges that keep the hand's spheres out of a shell around the object; those of the tips' links only out of it."""

    weight: float = 100.0
    """Factor in the total energy [1/m]."""
    shell: float = 0.01
    """Thickness of the shell [m]."""

    def __post_init__(self) -> None:
        check_numbers(self, "sphere_proximity")

    def launch(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        key = f"sphere_proximity {self.shell}"
        if key not in state.scratch:
            of_tips = np.isin(problem.hand.sphere_link, tips_of(problem, state).model.link)
            shell = np.where(of_tips, 0.0, self.shell)
            state.scratch[key] = wp.array(shell, dtype=wp.float32, device=problem.device)
        shell_array: Any = state.scratch[key]
        wp.launch(
            sphere_proximity_kernel,
            dim=problem.batch_size,
            inputs=[
                problem.spheres,
                shell_array,
                problem.meshes,
                problem.distance_bound,
                problem.object_index,
                state.link_pose,
                self.weight,
            ],
            outputs=[energy, state.link_wrench],
            device=problem.device,
        )


@dataclass(frozen=True, kw_only=True)
class JointMargin:
    """Squared way of every joint into the outer part of its range."""

    weight: float = 100.0
    """Factor in the total energy."""
    share: float = 0.1
    """Part of the range at either end."""

    def __post_init__(self) -> None:
        check_numbers(self, "joint_margin", share=NumberRange(upper=0.5))

    def launch(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        wp.launch(
            joint_margin_kernel,
            dim=problem.batch_size,
            inputs=[problem.tree, state.joint_position, self.share, self.weight],
            outputs=[energy, state.joint_force],
            device=problem.device,
        )
