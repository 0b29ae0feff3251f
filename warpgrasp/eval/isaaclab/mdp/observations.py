"""Observation terms. All are scaled to about 1, and what is not finite, because the physics diverged, reads 0."""

from __future__ import annotations

from collections.abc import Callable

import torch

from warpgrasp.eval.isaaclab.adapter import rotate
from warpgrasp.eval.isaaclab.envs.hand_task import HandTask
from warpgrasp.eval.isaaclab.frames import rotation_six

__all__ = [
    "OBSERVATION_LIMIT",
    "action_of_joints",
    "action_of_wrist",
    "episode_time",
    "finger_contact",
    "fingertip_poses",
    "grasp_error",
    "joint_position",
    "joint_targets",
    "joint_velocity",
    "object_pose",
    "object_velocity",
    "observation_terms",
    "task_observation",
    "wrist_position",
]

OBSERVATION_LIMIT = 20.0
"""Observations are clipped to this size."""


def joint_position(env: HandTask) -> torch.Tensor:
    """Independent joints, -1 to 1 over their range, shape [W, J]."""
    return _in_range(env, env.adapter.joint_position())


def joint_velocity(env: HandTask) -> torch.Tensor:
    """Their velocities [10 rad/s or 10 m/s], shape [W, J]."""
    return _finite(0.1 * env.adapter.joint_velocity())


def joint_targets(env: HandTask) -> torch.Tensor:
    """Their targets, -1 to 1 over the range, shape [W, J]."""
    return _in_range(env, env.targets)


def action_of_joints(env: HandTask) -> torch.Tensor:
    """The part of the last action that moves joints, shape [W, actions]."""
    return env.actions[:, : env.joint_action_count]


def object_pose(env: HandTask) -> torch.Tensor:
    """The object in the frame of the hand root: position [0.1 m] and two axes of its rotation, shape [W, 9]."""
    seen = env.root_frame()[1]
    return _finite(torch.cat([10.0 * seen[:, :3], rotation_six(seen[:, 3:])], dim=1))


def object_velocity(env: HandTask) -> torch.Tensor:
    """Velocity [m/s] and spin [10 rad/s] of the object along the axes of the hand root, shape [W, 6]."""
    back, velocity = env.root_frame()[0], env.adapter.object_velocity()
    turned = [rotate(back[:, 3:], velocity[:, :3]), 0.1 * rotate(back[:, 3:], velocity[:, 3:])]
    return _finite(torch.cat(turned, dim=1))


def grasp_error(env: HandTask) -> torch.Tensor:
    """How far the object is from where the grasp has it: way [2 cm], rotation vector [0.2 rad], hand axes, shape [W, 6]."""
    error = env.grasp_error(env.root_frame()[1])
    return _finite(error * error.new_tensor([50.0] * 3 + [5.0] * 3))


def task_observation(env: HandTask) -> torch.Tensor:
    """What the task wants: the way back (Grasp) or up (Lift) [0.1 m], along the axes of the hand root, shape [W, 3]."""
    return _finite(env.task_observation(env.root_frame()[0]))


def fingertip_poses(env: HandTask) -> torch.Tensor:
    """Fingertips in the frame of the hand root: position [0.1 m] and two axes of the rotation, shape [W, 9 F]."""
    tips = env.fingertips()
    return _finite(torch.cat([10.0 * tips[..., :3], rotation_six(tips[..., 3:])], dim=-1).flatten(1))


def finger_contact(env: HandTask) -> torch.Tensor:
    """Whether each finger touches the object, 0 or 1, shape [W, fingers]."""
    return env.geometry.finger_contact(env.present_contact())


def episode_time(env: HandTask) -> torch.Tensor:
    """Time since the reset, as a share of the episode, shape [W, 1]."""
    return (env.time / env.cfg.episode_length_s)[:, None]


def wrist_position(env: HandTask) -> torch.Tensor:
    """Joints of the carrier [0.1 m, 0.1 rad], shape [W, 6]; of a hand that moves."""
    return _finite(10.0 * env.adapter.carrier_position())


def action_of_wrist(env: HandTask) -> torch.Tensor:
    """The part of the last action that moves the wrist, shape [W, 6]."""
    return env.actions[:, env.joint_action_count :]


def observation_terms(moves_wrist: bool) -> dict[str, Callable[[HandTask], torch.Tensor]]:
    """The terms of a policy's observation in the order of the direct environments, by name.

    Args:
        moves_wrist: Whether the hand is on a carrier.
    """
    names = [
        joint_position, joint_velocity, joint_targets, action_of_joints, object_pose, object_velocity, grasp_error,
        task_observation, fingertip_poses, finger_contact, episode_time,
    ]  # fmt: skip
    if moves_wrist:
        names += [wrist_position, action_of_wrist]
    return {term.__name__: term for term in names}


def _in_range(env: HandTask, values: torch.Tensor) -> torch.Tensor:
    middle, half = 0.5 * (env.joint_upper + env.joint_lower), 0.5 * (env.joint_upper - env.joint_lower)
    return _finite((values - middle) / half.clamp(min=1.0e-3))


def _finite(values: torch.Tensor) -> torch.Tensor:
    return values.nan_to_num(0.0, 0.0, 0.0)
