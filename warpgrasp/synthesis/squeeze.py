"""The squeeze: contact forces on the object and the joint torques that make them.

``balanced`` forces press evenly with the contacts that touch and leave no wrench on the object
(``kernels/targets/balanced_forces.py``); ``closure`` forces are those of the force-closure program. Torques are
``tau = J^T f``, scaled so that the largest ``|tau| / effort limit`` is ``squeeze_effort``. Torques are what matters: a position
controller of stiffness kp whose joints the object holds at q presses with tau when it is told ``q + tau / kp``, so that every
reader of a grasp derives its own targets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import warp as wp
from numpy.typing import NDArray

from warpgrasp.kernels.contact import contact_forces_kernel
from warpgrasp.kernels.kinematics import launch_joint_gradient
from warpgrasp.kernels.targets.balanced_forces import launch_balanced_forces
from warpgrasp.synthesis.energy_terms import ForceClosure

if TYPE_CHECKING:
    from warpgrasp.objects import ObjectModel
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.state import GraspState
    from warpgrasp.synthesis.target_config import TargetConfig

__all__ = [
    "ContactSolution",
    "Squeeze",
    "balanced_forces",
    "bounded_torque",
    "contact_forces",
    "joint_torques",
    "moved_squeeze",
    "squeeze",
]

FloatArray = NDArray[np.float64]

_BALANCE = 900.0
_RIDGE = 0.0025
"""Weights of the wrench and of the edge forces against equal normal forces; measured: ``docs/quality.md``, The squeeze."""


@dataclass(frozen=True, eq=False)
class ContactSolution:
    """Forces at the active contacts, before scaling."""

    force: FloatArray
    """On the object, object frame, in units of their own, shape [B, C, 3]."""
    status: NDArray[np.int32]
    """GraspStatus of the contacts and the solve, shape [B]."""


@dataclass(frozen=True, eq=False)
class Squeeze:
    """How a hand presses."""

    torque: FloatArray
    """Of the joints [Nm or N], shape [B, J]."""
    force: FloatArray
    """On the object, object frame [N], shape [B, C, 3]."""


def contact_forces(
    problem: GraspProblem, state: GraspState, force_closure: ForceClosure | None = None
) -> ContactSolution:
    """Solve the force-closure QP at ``state``, whatever energy the grasps were made with.

    Args:
        problem: Hand and objects.
        state: Evaluated grasps.
        force_closure: Friction and bounds of the QP; its weight does not matter.
    """
    term = force_closure or ForceClosure()
    energy = wp.zeros(problem.batch_size, dtype=wp.float32, device=problem.device)
    term.launch(problem, state, energy)
    state.link_wrench.zero_()  # only the forces are wanted, not their derivatives
    arrays = term.arrays(problem, state)
    edges = arrays.wrench_matrix.numpy()[:, :, :3]
    force = arrays.force.numpy()[:, :, None] * edges
    shape = (problem.batch_size, problem.contact_count, -1, 3)
    return ContactSolution(force.reshape(shape).sum(axis=2).astype(np.float64), arrays.status.numpy())


def balanced_forces(problem: GraspProblem, state: GraspState, config: TargetConfig) -> FloatArray:
    """Balanced forces on the object at the active contacts, about 1 each, shape [B, C, 3]; ``state`` has been evaluated."""
    device = problem.device
    force = wp.empty(state.contact_position.shape, dtype=wp.vec3, device=device)
    radius = [_surface_radius(model) for model in problem.objects]
    launch_balanced_forces(
        state.contact_position,
        state.object_normal,
        state.contact_distance,
        problem.object_index,
        problem.center_of_mass,
        wp.array(radius, dtype=wp.float32, device=device),
        reach=config.squeeze_reach,
        friction=config.squeeze_friction,
        balance=_BALANCE,
        ridge=_RIDGE,
        force=force,
        imbalance=wp.empty(problem.batch_size, dtype=wp.float32, device=device),
    )
    return np.asarray(force.numpy(), dtype=np.float64)


def joint_torques(problem: GraspProblem, state: GraspState, force: FloatArray) -> FloatArray:
    """``J^T f`` of forces [N] at the active contacts, shape [B, C, 3]: torques [Nm or N], shape [B, J]."""
    device_force: wp.array = wp.array(force.astype(np.float32), dtype=wp.vec3, device=problem.device)
    wp.launch(
        contact_forces_kernel,
        dim=problem.batch_size,
        inputs=[problem.candidates, state.contacts, device_force],
        outputs=[state.link_wrench],
        device=problem.device,
    )
    generalized = wp.zeros_like(state.gradient)
    launch_joint_gradient(
        problem.tree,
        state.link_pose,
        link_wrench=state.link_wrench,
        joint_force=state.joint_force,
        gradient=generalized,
    )
    return np.asarray(generalized.numpy()[:, 6:], dtype=np.float64)


def squeeze(problem: GraspProblem, state: GraspState, force: FloatArray, config: TargetConfig) -> Squeeze:
    """Torques that press with ``force`` [B, C, 3], and the forces scaled to what the joints can bear."""
    limit = problem.hand.dof_effort
    torque = joint_torques(problem, state, force)
    # Idle fingers keep their pose; they carry no force.
    scale = _effort_scale(torque, limit, min(config.squeeze_effort, 1.0))
    return Squeeze(bounded_torque(torque, limit, config.squeeze_effort), scale[:, :, None] * force)


def moved_squeeze(problem: GraspProblem, state: GraspState, motion: FloatArray, force: FloatArray) -> Squeeze:
    """Torques that the hand's position drives make when told to move by ``motion`` [B, J] that the object does not allow.

    Such a squeeze knows no contact forces; those reported have the directions of ``force`` [B, C, 3] and its largest effort.
    """
    limit = problem.hand.dof_effort
    torque = np.clip(problem.hand.dof_stiffness * motion, -limit, limit)
    effort = np.max(np.abs(torque) / limit, axis=1, keepdims=True)
    scale = effort * _effort_scale(joint_torques(problem, state, force), limit, 1.0)
    return Squeeze(torque, scale[:, :, None] * force)


def _surface_radius(model: ObjectModel) -> float:
    """Root mean square distance of the surface to the centre of mass [m]."""
    corner = model.vertices[model.faces] - model.center_of_mass
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1)
    # mean of |x|^2 over a triangle
    square = (np.sum(corner**2, axis=(1, 2)) + np.sum(corner.sum(axis=1) ** 2, axis=1)) / 12.0
    return float(np.sqrt(np.sum(area * square) / np.sum(area)))


def bounded_torque(torque: FloatArray, limit: FloatArray, effort: float) -> FloatArray:
    """Torques [N, J] of each grasp times the factor that makes its largest ``|tau| / limit`` equal ``effort``, then bounded.

    Args:
        torque: Joint torques [Nm or N], shape [N, J].
        limit: Effort limits [Nm or N], shape [J].
        effort: Largest fraction of a limit before each joint is bounded by its own; at least 0.
    """
    return np.clip(_effort_scale(torque, limit, effort) * torque, -limit, limit)


def _effort_scale(torque: FloatArray, limit: FloatArray, effort: float) -> FloatArray:
    largest = np.max(np.abs(torque) / limit, axis=1, keepdims=True)
    return np.where(largest > 0.0, effort / np.maximum(largest, 1e-12), 0.0)
