"""What a controller needs beside the grasp: contact forces, squeeze targets and a pregrasp clear of the object.

Squeeze: ``q_squeeze = q + J^T f / kp``, with f the QP's contact forces on the object, scaled so that the largest
``|tau| / effort limit`` equals ``squeeze_effort``. A position controller of stiffness kp that is held at q by the object
then presses with f. Above 1 every joint is bounded by its own limit: forces lose their balance, but joints that carry little
press with more, and gaps of a millimetre take less of it. Pregrasp: joints blended towards the opening pose and the hand
drawn back along its palm, as little as clears the object by 1 cm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import warp as wp
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from warpgrasp.base.ranges import POSITIVE, check_numbers
from warpgrasp.kernels.contact import launch_contact_forces
from warpgrasp.kernels.energies.penetration import launch_clearance
from warpgrasp.kernels.hand_shapes import launch_geometry_poses
from warpgrasp.kernels.kinematics import launch_forward_kinematics, launch_joint_gradient
from warpgrasp.synthesis.energy_terms import ForceClosure

if TYPE_CHECKING:
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.state import GraspState

__all__ = [
    "ContactSolution",
    "Pregrasp",
    "TargetConfig",
    "bounded_torque",
    "contact_forces",
    "pregrasp",
    "squeeze",
]

_OPENING_LIMIT = 100_000  # pregrasps that are tried one after the other
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class TargetConfig:
    """Pregrasp and squeeze targets."""

    squeeze_effort: float = 3.0
    """Largest joint torque of ``J^T f`` as a fraction of its effort limit; above 1 joints are bounded by their limits.
    Measured for every hand: ``docs/results/quality.md``, The squeeze."""
    clearance: float = 0.01
    """Least distance of the pregrasp hand to the object [m]."""
    opening_steps: int = 20
    """Blends towards the opening pose that are tried: 0, 1/n, ..., 1."""
    retreat: float = 0.16
    """Largest retreat along the palm normal that is tried [m]. Measured for the Barrett hand, the 2F-140 and
    the converted hands with long fingers: 0.16 clears 8 of 8 pregrasps, 0.08 at most 6 of 8."""
    retreat_step: float = 0.01
    """Step between retreats that are tried [m]."""

    def __post_init__(self) -> None:
        check_numbers(self, "targets", opening_steps=POSITIVE, retreat_step=POSITIVE)
        tried = (self.opening_steps + 1) * (self.retreat / self.retreat_step + 1)
        if tried > _OPENING_LIMIT:
            raise ValueError(
                f"targets.opening_steps and targets.retreat / retreat_step try {tried:.3g} pregrasps of each grasp, "
                f"at most {_OPENING_LIMIT} are allowed; take coarser steps"
            )


@dataclass(frozen=True, eq=False)
class ContactSolution:
    """Forces of the force-closure QP at the active contacts, before scaling."""

    force: FloatArray
    """On the object, object frame, in the QP's units, shape [B, C, 3]."""
    status: NDArray[np.int32]
    """GraspStatus of the contacts and the solve, shape [B]."""


@dataclass(frozen=True, eq=False)
class Pregrasp:
    """Opened hands."""

    root_pose: FloatArray
    """Shape [B, 7], position [m] and quaternion xyzw."""
    joint_position: FloatArray
    """Shape [B, J]."""
    clearance: FloatArray
    """Distance to the object [m], shape [B]; negative when it penetrates."""


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
    arrays = state.scratch["force_closure"]
    edges = arrays.wrench_matrix.numpy()[:, :, :3]
    force = arrays.force.numpy()[:, :, None] * edges
    shape = (problem.batch_size, problem.contact_count, -1, 3)
    return ContactSolution(force.reshape(shape).sum(axis=2).astype(np.float64), arrays.status.numpy())


def squeeze(
    problem: GraspProblem, state: GraspState, force: FloatArray, config: TargetConfig
) -> tuple[FloatArray, FloatArray]:
    """Joint targets [B, J] that press with ``force`` [B, C, 3], and the forces [N] scaled to what the joints can bear."""
    hand = problem.hand
    device_force: wp.array = wp.array(force.astype(np.float32), dtype=wp.vec3, device=problem.device)
    launch_contact_forces(
        problem.candidates,
        state.contact_index,
        state.contact_position,
        device_force,
        link_wrench=state.link_wrench,
    )
    generalized = wp.zeros_like(state.gradient)
    launch_joint_gradient(
        problem.tree,
        state.link_pose,
        link_wrench=state.link_wrench,
        joint_force=state.joint_force,
        gradient=generalized,
    )
    torque = generalized.numpy()[:, 6:].astype(np.float64)
    # Idle fingers keep their pose; they carry no force.
    pressed = bounded_torque(torque, hand.dof_effort, config.squeeze_effort)
    scale = _effort_scale(torque, hand.dof_effort, min(config.squeeze_effort, 1.0))
    joints = state.joint_position.numpy().astype(np.float64)
    return joints + pressed / hand.dof_stiffness, scale[:, :, None] * force


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


def pregrasp(problem: GraspProblem, state: GraspState, config: TargetConfig) -> Pregrasp:
    """The least opened and drawn back hand that is clear of the object, or the clearest one tried."""
    hand = problem.hand
    root = state.root_pose.numpy().astype(np.float64)
    joints = state.joint_position.numpy().astype(np.float64)
    lower, upper = problem.tree.dof_lower.numpy(), problem.tree.dof_upper.numpy()
    opening = np.clip(hand.dof_opening, lower, upper)
    palm = Rotation.from_quat(root[:, 3:]).apply(
        Rotation.from_quat(hand.wrist_quaternion).apply([0.0, 0.0, 1.0])
    )
    best = Pregrasp(root, joints, np.full(len(root), -np.inf))
    search = _ClearanceSearch(problem, state, config.clearance)
    for opened, retreat in _openings(config):
        waiting = best.clearance < config.clearance
        if not waiting.any():
            break
        pose = root.copy()
        pose[:, :3] -= retreat * palm
        position = joints + opened * (opening - joints)
        clearance = search(pose, position)
        better = waiting & (clearance > best.clearance)
        best = Pregrasp(
            np.where(better[:, None], pose, best.root_pose),
            np.where(better[:, None], position, best.joint_position),
            np.where(better, clearance, best.clearance),
        )
    return best


def _openings(config: TargetConfig) -> list[tuple[float, float]]:
    """(opening fraction, retreat) pairs, from least to most motion; full opening counts like 2 cm of retreat.

    Fingers that open keep the object between them; a hand drawn back pushes it away when it comes again, which is how most
    floating objects of ``dexgraspbench`` are lost.
    """
    fractions = np.arange(config.opening_steps + 1) / config.opening_steps
    retreats = np.arange(0.0, config.retreat + 1e-9, config.retreat_step)
    pairs = [(float(f), float(r)) for f in fractions for r in retreats]
    return sorted(pairs, key=lambda pair: 0.02 * pair[0] + pair[1])


class _ClearanceSearch:
    """Clearance [m] of posed hands, up to a margin; device buffers made once."""

    def __init__(self, problem: GraspProblem, state: GraspState, margin: float) -> None:
        self._problem = problem
        self._margin = margin * 1.001  # clear by the margin itself must not be lost to rounding
        device, batch = problem.device, problem.batch_size
        shape = (batch, problem.geometry.type.shape[0])
        self._link_pose = wp.empty(state.link_pose.shape, dtype=wp.transform, device=device)
        self._geometry_pose = wp.empty(shape, dtype=wp.transform, device=device)
        self._bound_center = wp.empty(shape, dtype=wp.vec3, device=device)
        self._bound_axis = wp.empty(shape, dtype=wp.vec3, device=device)
        self._clearance = wp.empty(batch, dtype=wp.float32, device=device)

    def __call__(self, root_pose: FloatArray, joint_position: FloatArray) -> FloatArray:
        problem = self._problem
        root: wp.array = wp.array(root_pose.astype(np.float32), dtype=wp.transform, device=problem.device)
        joints: wp.array = wp.array(
            joint_position.astype(np.float32), dtype=wp.float32, device=problem.device
        )
        launch_forward_kinematics(problem.tree, root, joints, link_pose=self._link_pose)
        launch_geometry_poses(
            problem.geometry,
            self._link_pose,
            geometry_pose=self._geometry_pose,
            bound_center=self._bound_center,
            bound_axis=self._bound_axis,
        )
        launch_clearance(
            problem.geometry,
            problem.samples,
            problem.object_index,
            self._geometry_pose,
            self._bound_center,
            self._bound_axis,
            self._margin,
            clearance=self._clearance,
        )
        return self._clearance.numpy().astype(np.float64)
