"""Squeezes of published systems: motions of the joints, told to a position controller, instead of contact forces.

``closing``: the joint motion that brings the contacts along the inward normals of the object, least squares over all of them
(Zurbrügg et al. 2025, released program). ``descent``: every link that touches closes by its own transposed Jacobian (Wang et
al. 2023, released program). Torques are those of the hand's own position drives, ``kp`` times the motion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import warp as wp
from numpy.typing import NDArray

from warpgrasp.hands.device import surface_points
from warpgrasp.kernels.kinematics import launch_joint_gradient
from warpgrasp.kernels.targets.opening import NEAREST_COUNT, launch_nearest_points
from warpgrasp.synthesis.squeeze import joint_torques

if TYPE_CHECKING:
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.state import GraspState

__all__ = ["closing_motion", "descent_motion"]

FloatArray = NDArray[np.float64]

_CLOSING_GAIN, _CLOSING_OFFSET, _CLOSING_REST = 5.0, 0.005, 0.1  # -, m, - : released program of GraspQP
_DESCENT_GAIN, _DESCENT_REACH = 1.0, 0.001  # rad/m or m/m, m : released program of DexGraspNet


def closing_motion(problem: GraspProblem, state: GraspState) -> FloatArray:
    """Joint motion [rad or m], shape [B, J], that moves the active contacts into the object; ``state`` has been evaluated.

    The contacts are asked to move by ``5 (|d| + 5 mm)`` along the inward normal, and by another tenth of ``5 |d|``.
    """
    count = problem.contact_count
    rows = []
    for contact in range(count):
        for axis in range(3):
            force = np.zeros((problem.batch_size, count, 3))
            force[:, contact, axis] = 1.0
            rows.append(joint_torques(problem, state, force))
    jacobian = np.stack(rows, axis=1)  # [B, 3 C, J]
    distance = np.abs(state.contact_distance.numpy().astype(np.float64))
    way = _CLOSING_GAIN * ((1.0 + _CLOSING_REST) * distance + _CLOSING_OFFSET)
    wanted = -way[:, :, None] * state.object_normal.numpy()
    motion = np.linalg.pinv(jacobian, rcond=1e-4) @ wanted.reshape(problem.batch_size, 3 * count, 1)
    return np.asarray(motion[:, :, 0], dtype=np.float64)


def descent_motion(problem: GraspProblem, state: GraspState) -> FloatArray:
    """Joint motion [rad or m], shape [B, J], of the links within 1 mm of the object; ``state`` has been evaluated.

    Each such link adds ``J^T`` times the inward normal at its nearest point, times 1 rad per metre.
    """
    shape = (*state.link_pose.shape, NEAREST_COUNT)
    distance = wp.empty(shape, dtype=wp.float32, device=problem.device)
    position, normal = (wp.zeros(shape, dtype=wp.vec3, device=problem.device) for _ in range(2))
    launch_nearest_points(
        surface_points(problem.hand, problem.device),
        problem.meshes,
        problem.distance_bound,
        problem.object_index,
        state.link_pose,
        _DESCENT_REACH,
        distance=distance,
        position=position,
        normal=normal,
    )
    touching = distance.numpy()[:, :, :1] < _DESCENT_REACH
    force = np.where(touching, -normal.numpy()[:, :, 0], 0.0)
    torque = np.cross(position.numpy()[:, :, 0], force)
    wrench = np.where(touching, np.concatenate([force, torque], axis=2), 0.0).astype(np.float32)
    state.link_wrench.assign(wrench)
    generalized = wp.zeros_like(state.gradient)
    launch_joint_gradient(
        problem.tree,
        state.link_pose,
        link_wrench=state.link_wrench,
        joint_force=state.joint_force,
        gradient=generalized,
    )
    return np.asarray(_DESCENT_GAIN * generalized.numpy()[:, 6:], dtype=np.float64)
