"""Fingers that close until they touch, as a gripper's do: a joint stops as soon as a link that it moves touches the object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import warp as wp
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from warpgrasp.hands.device import surface_points
from warpgrasp.kernels.kinematics import launch_forward_kinematics
from warpgrasp.kernels.targets.opening import NEAREST_COUNT, launch_nearest_points

if TYPE_CHECKING:
    from warpgrasp.hands import HandModel
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.state import GraspState

__all__ = ["FingerClosing", "closing_direction"]

FloatArray = NDArray[np.float64]

_GAP = 0.0005  # m; a link this near touches
_STEP = 0.02  # rad or mm/50, of the joint that closes fastest
_APPROACH_STEP = 0.003  # m
_APPROACH = 0.12  # m, longest way back and forth
_WEAK = 0.05  # joints that move the tips less than this share of the best one stay


def closing_direction(problem: GraspProblem) -> FloatArray:
    """Way of the joints from the opening pose to the closed hand [rad or m], shape [J].

    Tips are to move towards the point that the palm faces: the middle of the tips brought back to the wrist's axis. Joints that
    help go to the end of their range that way, others stay. This is the eigengrasp of hands for which no human data exist.
    """
    hand = problem.hand
    lower, upper = problem.tree.dof_lower.numpy(), problem.tree.dof_upper.numpy()
    opening = np.clip(hand.dof_opening, lower, upper)
    taking_part = set(problem.grasp_type.patch_names)
    tips = [patch for patch in hand.patches if patch.name in taking_part and patch.finger != "palm"]
    place = {patch.name: patch.vertices.mean(axis=0) for patch in tips}

    def points(joints: FloatArray) -> FloatArray:
        position, quaternion = hand.forward_kinematics(np.zeros(3), (0.0, 0.0, 0.0, 1.0), joints)
        return np.array(
            [position[p.link] + Rotation.from_quat(quaternion[p.link]).apply(place[p.name]) for p in tips]
        )

    start = points(opening)
    wrist = Rotation.from_quat(hand.wrist_quaternion)
    axis = wrist.apply([0.0, 0.0, 1.0])
    middle = start.mean(axis=0)
    goal = hand.wrist_position + axis * max(float((middle - hand.wrist_position) @ axis), 0.03)
    goal = 0.5 * (goal + middle)
    way = goal - start
    step = 1.0e-3
    gain = np.array(
        [np.sum((points(opening + step * e) - start) * way) / step for e in np.eye(hand.dof_count)]
    )
    strong = np.abs(gain) > _WEAK * np.abs(gain).max()
    target = np.where(gain > 0.0, upper, lower)
    return np.where(strong, target - opening, 0.0)


def _moved_by(hand: HandModel) -> NDArray[np.bool_]:
    """Whether a joint moves a link, shape [J, L]."""
    moved = np.zeros((hand.dof_count, hand.link_count), dtype=bool)
    for link in range(1, hand.link_count):
        moved[:, link] = moved[:, hand.link_parent[link]]
        if hand.joint_dof[link] >= 0:
            moved[hand.joint_dof[link], link] = True
    return moved


class FingerClosing:
    """Approach along the palm and closing of all grasps of a problem."""

    def __init__(self, problem: GraspProblem) -> None:
        self._problem = problem
        self._points = surface_points(problem.hand, problem.device)
        self._moved = _moved_by(problem.hand)
        shape = (problem.batch_size, problem.hand.link_count, NEAREST_COUNT)
        device = problem.device
        self._distance = wp.empty(shape, dtype=wp.float32, device=device)
        self._vectors = [wp.empty(shape, dtype=wp.vec3, device=device) for _ in range(2)]

    def _touches(self, state: GraspState, gap: float) -> NDArray[np.bool_]:
        """Whether links are nearer to the object than ``gap`` [m], shape [B, L]."""
        problem = self._problem
        launch_forward_kinematics(
            problem.tree, state.root_pose, state.joint_position, link_pose=state.link_pose
        )
        launch_nearest_points(
            self._points,
            problem.meshes,
            problem.distance_bound,
            problem.object_index,
            state.link_pose,
            gap,
            distance=self._distance,
            position=self._vectors[0],
            normal=self._vectors[1],
        )
        return np.asarray(self._distance.numpy()[:, :, 0] < gap)

    def close(self, state: GraspState, direction: FloatArray) -> None:
        """Back off until clear, come forward until the hand touches, and close every joint along ``direction`` [J]."""
        self._approach(state)
        problem = self._problem
        lower, upper = problem.tree.dof_lower.numpy(), problem.tree.dof_upper.numpy()
        largest = np.abs(direction).max()
        step = _STEP * direction / largest
        joints = state.joint_position.numpy().astype(np.float64)
        running = np.tile(direction != 0.0, (problem.batch_size, 1))
        while running.any():
            touches = self._touches(state, _GAP)
            running &= ~(touches[:, None, :] & self._moved[None]).any(axis=2)
            moved = np.clip(joints + running * step, lower, upper)
            running &= np.abs(moved - joints) > 1.0e-9
            joints = moved
            state.joint_position.assign(joints.astype(np.float32))
        self._touches(state, _GAP)

    def _approach(self, state: GraspState) -> None:
        hand = self._problem.hand
        wrist = Rotation.from_quat(hand.wrist_quaternion).apply([0.0, 0.0, 1.0])
        root = state.root_pose.numpy().astype(np.float64)
        palm = Rotation.from_quat(root[:, 3:]).apply(wrist)
        for sign in (-1.0, 1.0):
            moving = np.ones(len(root), dtype=bool)
            for _ in range(round(_APPROACH / _APPROACH_STEP)):
                touching = self._touches(state, _GAP).any(axis=1)
                moving &= touching if sign < 0.0 else ~touching
                if not moving.any():
                    break
                root[moving, :3] += sign * _APPROACH_STEP * palm[moving]
                state.root_pose.assign(root.astype(np.float32))
        touching = self._touches(state, _GAP).any(axis=1)
        root[touching, :3] -= _APPROACH_STEP * palm[touching]  # the last step forward went too far
        state.root_pose.assign(root.astype(np.float32))
