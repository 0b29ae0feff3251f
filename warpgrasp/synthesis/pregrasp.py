"""The hand before it grasps: opened just clear of the object, or drawn back from it.

``open`` takes small damped least-squares steps (``kernels/targets/opening.py``): every finger leaves the object by the same
clearance, so that they come back together, and the root hardly moves. ``approach`` blends the joints towards the opening pose
and draws the hand back along its palm, as little as clears the object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import warp as wp
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from warpgrasp.hands.device import surface_points
from warpgrasp.hands.model import JointType
from warpgrasp.kernels.hand_shapes import geometry_poses, launch_geometry_poses
from warpgrasp.kernels.kinematics import launch_forward_kinematics
from warpgrasp.kernels.targets.clearance import clearance_kernel
from warpgrasp.kernels.targets.least_squares import step_scratch
from warpgrasp.kernels.targets.nearest_points import launch_least_distance
from warpgrasp.kernels.targets.opening import launch_opening_step
from warpgrasp.synthesis.nearest_search import NearestSearch

if TYPE_CHECKING:
    from warpgrasp.hands import HandModel
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.state import GraspState
    from warpgrasp.synthesis.target_config import TargetConfig

__all__ = ["SPHERE_GAP", "Pregrasp", "pregrasp", "step_unknowns"]

FloatArray = NDArray[np.float64]

_LENGTH_DAMPING = 0.05  # of the root and of sliding joints
_ANGLE_DAMPING = 1.0e-3  # m^2/rad^2
_LENGTH_STEP = 0.002  # m
_ANGLE_STEP = 0.08  # rad
SPHERE_GAP = 0.0005
"""Gap that the hand's spheres keep from each other [m]."""
_ENOUGH = 0.8  # of the clearance asked for: the last steps come near it and do not reach it


@dataclass(frozen=True, eq=False)
class Pregrasp:
    """Opened hands."""

    root_pose: FloatArray
    """Shape [B, 7], position [m] and quaternion xyzw."""
    joint_position: FloatArray
    """Shape [B, J]."""
    clearance: FloatArray
    """Distance to the object [m], at most that asked for, shape [B]; negative when it penetrates."""
    clear: NDArray[np.bool_]
    """Whether that is enough, shape [B]."""


def pregrasp(problem: GraspProblem, state: GraspState, config: TargetConfig) -> Pregrasp:
    """Hands opened or drawn back by ``config``; ``state`` has been evaluated."""
    if config.pregrasp == "open":
        return _opened(problem, state, config)
    return _drawn_back(problem, state, config)


def _opened(problem: GraspProblem, state: GraspState, config: TargetConfig) -> Pregrasp:
    """Hands opened by small steps that leave the object."""
    device, batch, hand = problem.device, problem.batch_size, problem.hand
    root, joints = wp.clone(state.root_pose), wp.clone(state.joint_position)
    link_pose = wp.clone(state.link_pose)
    nearest = NearestSearch(problem, config.clearance)
    running: wp.array = wp.ones(batch, dtype=wp.int32, device=device)
    arrays: list[wp.array] = [
        wp.array(values, dtype=wp.float32, device=device) for values in step_unknowns(hand)
    ]
    damping, largest = arrays
    scratch = step_scratch(batch, damping.shape[0], device)

    def step() -> None:
        nearest.launch(link_pose, running)
        launch_opening_step(
            problem.tree,
            problem.spheres,
            link_pose,
            nearest.distance,
            nearest.position,
            nearest.normal,
            state.root_pose,
            damping,
            largest,
            clearance=config.clearance,
            sphere_gap=SPHERE_GAP,
            longest=_LENGTH_STEP,
            root_reach=config.root_reach,
            scratch=scratch,
            running=running,
            root_pose=root,
            joint_position=joints,
        )
        launch_forward_kinematics(problem.tree, root, joints, link_pose=link_pose)

    step()
    with wp.ScopedCapture(device=device) as capture:  # recorded, not run
        step()
    for _ in range(1, config.opening_steps):
        wp.capture_launch(capture.graph)
    least: wp.array = wp.full(batch, config.clearance, dtype=wp.float32, device=device)
    launch_least_distance(
        surface_points(hand, device),
        problem.meshes,
        problem.distance_bound,
        problem.object_index,
        link_pose,
        distance=least,
    )
    clearance = least.numpy().astype(np.float64)
    clear = clearance >= _ENOUGH * config.clearance
    return Pregrasp(root.numpy().astype(np.float64), joints.numpy().astype(np.float64), clearance, clear)


def step_unknowns(hand: HandModel) -> tuple[FloatArray, FloatArray]:
    """Damping and largest step [m or rad] of the unknowns [root (3), joints (J)] of small steps, each of shape [3 + J]."""
    damping = np.full(3 + hand.dof_count, _ANGLE_DAMPING)
    largest = np.full(3 + hand.dof_count, _ANGLE_STEP)
    sliding = 3 + hand.joint_dof[np.asarray(hand.joint_type) == JointType.PRISMATIC]
    for lengths in (slice(0, 3), sliding):
        damping[lengths], largest[lengths] = _LENGTH_DAMPING, _LENGTH_STEP
    return damping, largest


def _drawn_back(problem: GraspProblem, state: GraspState, config: TargetConfig) -> Pregrasp:
    """The least opened and drawn back hand that is clear of the object, or the clearest one tried."""
    hand = problem.hand
    root = state.root_pose.numpy().astype(np.float64)
    joints = state.joint_position.numpy().astype(np.float64)
    lower, upper = problem.tree.dof_lower.numpy(), problem.tree.dof_upper.numpy()
    opening = np.clip(hand.dof_opening, lower, upper)
    palm = Rotation.from_quat(root[:, 3:]).apply(
        Rotation.from_quat(hand.wrist_quaternion).apply([0.0, 0.0, 1.0])
    )
    best = Pregrasp(root, joints, np.full(len(root), -np.inf), np.zeros(len(root), dtype=bool))
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
            best.clear | (better & (clearance >= config.clearance)),
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
        self._link_pose = wp.empty(state.link_pose.shape, dtype=wp.transform, device=device)
        self._poses = geometry_poses(problem.geometry, batch, device)
        self._clearance = wp.empty(batch, dtype=wp.float32, device=device)

    def __call__(self, root_pose: FloatArray, joint_position: FloatArray) -> FloatArray:
        problem = self._problem
        root: wp.array = wp.array(root_pose.astype(np.float32), dtype=wp.transform, device=problem.device)
        joints: wp.array = wp.array(
            joint_position.astype(np.float32), dtype=wp.float32, device=problem.device
        )
        launch_forward_kinematics(problem.tree, root, joints, link_pose=self._link_pose)
        launch_geometry_poses(problem.geometry, self._link_pose, poses=self._poses)
        wp.launch(
            clearance_kernel,
            dim=problem.batch_size,
            inputs=[problem.geometry, problem.samples, problem.object_index, self._poses, self._margin],
            outputs=[self._clearance],
            device=problem.device,
        )
        return self._clearance.numpy().astype(np.float64)
