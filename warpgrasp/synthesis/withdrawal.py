"""Waypoints for an arm: where the opened hand comes from, clear of the object all the way.

From the pregrasp the hand is withdrawn by small steps (``kernels/targets/withdrawing.py``): back along its palm, its fingers
opening as far as the object lets them. A few of these steps, far to near, are the waypoints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import warp as wp
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from warpgrasp.hands.device import surface_points
from warpgrasp.kernels.kinematics import launch_forward_kinematics
from warpgrasp.kernels.targets.least_squares import step_scratch
from warpgrasp.kernels.targets.opening import NEAREST_COUNT, launch_nearest_points
from warpgrasp.kernels.targets.withdrawing import launch_withdrawing_step
from warpgrasp.synthesis.pregrasp import SPHERE_GAP, step_unknowns

if TYPE_CHECKING:
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.target_config import TargetConfig

__all__ = ["waypoint_columns"]

FloatArray = NDArray[np.float64]

_DETOUR = 2.0  # steps taken at most, beside those of a way without obstacles
_BETWEEN = 4  # poses looked at on each leg, beside its start


def waypoint_columns(
    problem: GraspProblem, columns: dict[str, np.ndarray], config: TargetConfig
) -> dict[str, np.ndarray]:
    """Columns of :class:`~warpgrasp.grasps.GraspSet` with waypoints that lead to the pregrasps of ``columns``.

    Args:
        problem: Hand and objects.
        columns: Columns of its ``B`` grasps, of which those of the pregrasps are read.
        config: Length of the way and number W of waypoints; no columns where the way has no length.

    Returns:
        ``waypoint_root_position`` [B, W, 3] and ``waypoint_joint_position`` [B, W, J], far to near; the root does not turn.
        ``waypoint_clearance`` [B, W]: the least distance to the object on the straight leg from each to the next or to the
        pregrasp [m], at most the clearance of the pregrasp, negative where the hand touches.
    """
    if config.withdrawal == 0.0:
        return {}
    names = ("root_position", "root_quaternion", "joint_position")
    place, quaternion, angles = (np.asarray(columns[f"pregrasp_{name}"], np.float64) for name in names)
    start = np.concatenate([place, quaternion], axis=1)
    roots, joints = _track(problem, start, angles, config)
    count, batch = config.waypoints, len(place)
    share = np.arange(count, -1, -1)[:, None] / count
    step = np.round(share * _steps_taken(roots)).astype(np.int64)  # [W + 1, B], the pregrasp last
    position = roots[step, np.arange(batch), :3].swapaxes(0, 1)
    angles = joints[step, np.arange(batch)].swapaxes(0, 1)
    return {
        "waypoint_root_position": position[:, :-1],
        "waypoint_joint_position": angles[:, :-1],
        "waypoint_clearance": _clearance(problem, start, position, angles, config),
    }


def _steps_taken(root: FloatArray) -> NDArray[np.int64]:
    """Steps after which a hand moves no more, shape [B]; ``root`` is [T + 1, B, 7]."""
    moves = np.any(root[1:] != root[:-1], axis=2)
    last = len(moves) - np.argmax(moves[::-1], axis=0)
    return np.where(moves.any(axis=0), last, 0)


class _Look:
    """The points of every link that are nearest to the object, with buffers."""

    def __init__(self, problem: GraspProblem, reach: float) -> None:
        self._problem, self._reach = problem, reach
        device = problem.device
        self.link_pose: wp.array = wp.empty(
            (problem.batch_size, problem.hand.link_count), dtype=wp.transform, device=device
        )
        shape = (*self.link_pose.shape, NEAREST_COUNT)
        self.distance: wp.array = wp.empty(shape, dtype=wp.float32, device=device)
        self.position: wp.array = wp.empty(shape, dtype=wp.vec3, device=device)
        self.normal: wp.array = wp.empty(shape, dtype=wp.vec3, device=device)
        self._points = surface_points(problem.hand, device)

    def __call__(self, root: wp.array, joints: wp.array, running: wp.array | None = None) -> None:
        problem = self._problem
        launch_forward_kinematics(problem.tree, root, joints, link_pose=self.link_pose)
        launch_nearest_points(
            self._points,
            problem.meshes,
            problem.distance_bound,
            problem.object_index,
            self.link_pose,
            self._reach,
            running=running,
            distance=self.distance,
            position=self.position,
            normal=self.normal,
        )


def _track(
    problem: GraspProblem, start_pose: FloatArray, start_joints: FloatArray, config: TargetConfig
) -> tuple[FloatArray, FloatArray]:
    """Roots [T + 1, B, 7] and joints [T + 1, B, J] of all steps, the pregrasp first."""
    device, batch, hand = problem.device, problem.batch_size, problem.hand
    damping, largest = step_unknowns(hand)
    look = _Look(problem, config.clearance + 2.0 * largest[0])
    root: wp.array = wp.array(start_pose, dtype=wp.transform, device=device)
    joints: wp.array = wp.array(start_joints, dtype=wp.float32, device=device)
    start = wp.clone(root)
    palm = Rotation.from_quat(start_pose[:, 3:]).apply(
        Rotation.from_quat(hand.wrist_quaternion).apply([0.0, 0.0, 1.0])
    )
    back: wp.array = wp.array(-palm, dtype=wp.vec3, device=device)
    opening = np.clip(hand.dof_opening, problem.tree.dof_lower.numpy(), problem.tree.dof_upper.numpy())
    wide: wp.array = wp.array(np.tile(opening, (batch, 1)), dtype=wp.float32, device=device)
    running: wp.array = wp.ones(batch, dtype=wp.int32, device=device)
    weights: list[wp.array] = [
        wp.array(values, dtype=wp.float32, device=device) for values in (damping, largest)
    ]
    pushes = NEAREST_COUNT * hand.link_count
    scratch = step_scratch(batch, len(damping), device, pushes=pushes)
    tracks = [(root.numpy().copy(), joints.numpy().copy())]
    for _ in range(int(np.ceil(_DETOUR * config.withdrawal / largest[0]))):
        look(root, joints, running)
        launch_withdrawing_step(
            problem.tree,
            problem.spheres,
            look.link_pose,
            look.distance,
            look.position,
            look.normal,
            start,
            back,
            wide,
            *weights,
            clearance=config.clearance,
            reach=config.clearance + 2.0 * largest[0],
            sphere_gap=SPHERE_GAP,
            way=config.withdrawal,
            scratch=scratch,
            running=running,
            root_pose=root,
            joint_position=joints,
        )
        tracks.append((root.numpy().copy(), joints.numpy().copy()))
    return (
        np.stack([pose for pose, _ in tracks]).astype(np.float64),
        np.stack([angles for _, angles in tracks]).astype(np.float64),
    )


def _clearance(
    problem: GraspProblem, start: FloatArray, position: FloatArray, angles: FloatArray, config: TargetConfig
) -> FloatArray:
    """Least distance on the straight legs between poses [B, W + 1, ...], shape [B, W]."""
    look = _Look(problem, config.clearance)
    least = np.full(position.shape[:2], config.clearance)
    for leg in range(position.shape[1] - 1):
        for share in np.arange(_BETWEEN + 1) / _BETWEEN:
            pose = start.copy()
            pose[:, :3] = (1.0 - share) * position[:, leg] + share * position[:, leg + 1]
            turned = (1.0 - share) * angles[:, leg] + share * angles[:, leg + 1]
            look(
                wp.array(pose, dtype=wp.transform, device=problem.device),
                wp.array(turned, dtype=wp.float32, device=problem.device),
            )
            nearest = look.distance.numpy().min(axis=(1, 2)).astype(np.float64)
            least[:, leg] = np.minimum(least[:, leg], nearest)
    return least[:, :-1]
