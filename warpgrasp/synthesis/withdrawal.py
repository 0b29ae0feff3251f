"""Waypoints for an arm: where the opened hand comes from, clear of the object all the way.

From the pregrasp the hand is withdrawn by small steps (``kernels/targets/withdrawing.py``): back along its palm, its fingers
opening as far as the object lets them. A few of these steps, far to near, are the waypoints.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import warp as wp
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from warpgrasp.kernels.kinematics import launch_forward_kinematics
from warpgrasp.kernels.targets.least_squares import step_scratch
from warpgrasp.kernels.targets.opening import NEAREST_COUNT
from warpgrasp.kernels.targets.withdrawing import launch_withdrawing_step
from warpgrasp.synthesis.closing_path import nearest_on_way
from warpgrasp.synthesis.nearest_search import NearestSearch
from warpgrasp.synthesis.pregrasp import SPHERE_GAP, step_unknowns

if TYPE_CHECKING:
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.target_config import TargetConfig

__all__ = ["waypoint_columns"]

FloatArray = NDArray[np.float64]

_DETOUR = 2.0  # steps taken at most, beside those of a way without obstacles
_FRACTIONS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of each leg, where its clearance is looked at


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


def _track(
    problem: GraspProblem, start_pose: FloatArray, start_joints: FloatArray, config: TargetConfig
) -> tuple[FloatArray, FloatArray]:
    """Roots [T + 1, B, 7] and joints [T + 1, B, J] of all steps, the pregrasp first."""
    device, batch, hand = problem.device, problem.batch_size, problem.hand
    damping, largest = step_unknowns(hand)
    reach = config.clearance + 2.0 * largest[0]
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
    scratch = step_scratch(batch, len(damping), device, pushes=NEAREST_COUNT * hand.link_count)
    link_pose: wp.array = wp.empty((batch, hand.link_count), dtype=wp.transform, device=device)
    nearest = NearestSearch(problem, reach)
    tracks = [(root.numpy().copy(), joints.numpy().copy())]
    for _ in range(int(np.ceil(_DETOUR * config.withdrawal / largest[0]))):
        launch_forward_kinematics(problem.tree, root, joints, link_pose=link_pose)
        nearest.launch(link_pose, running)
        launch_withdrawing_step(
            problem.tree,
            problem.spheres,
            link_pose,
            nearest.distance,
            nearest.position,
            nearest.normal,
            start,
            back,
            wide,
            *weights,
            clearance=config.clearance,
            reach=reach,
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
    hands = [
        (np.concatenate([position[:, number], start[:, 3:]], axis=1), angles[:, number])
        for number in range(position.shape[1])
    ]
    legs = [
        nearest_on_way(problem, begin, end, _FRACTIONS, reach=config.clearance)
        for begin, end in itertools.pairwise(hands)
    ]
    return np.stack(legs, axis=1)
