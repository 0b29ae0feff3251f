"""Observation term of a teacher: the action of a written policy that is told what a robot cannot know."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["tracking_action"]

_SHARE = 0.5  # of the error per step: the wrist follows its targets late


def tracking_action(env: Any) -> torch.Tensor:
    """The action that takes the hand, until it closes, to where the object lies in it as the grasp has it, shape [W, A].

    It moves the wrist by how far the object is from there, which only a simulation knows; the fingers play the grasp file.

    Args:
        env: A learning task whose wrist moves.
    """
    joints = env.joint_action_count
    action = torch.zeros(env.num_envs, env.action_size, device=env.device)
    error = env.grasp_error(env.root_frame()[1])
    reach = error.new_tensor([env.cfg.wrist_position_scale] * 3 + [env.cfg.wrist_angle_scale] * 3)
    closed = env.steps >= env.step_count(env.closing_start + 0.5 * env.cfg.closing_time)
    wanted = (_SHARE * error / reach).clamp(-1.0, 1.0).nan_to_num(0.0)
    action[:, joints:] = torch.where(closed[:, None], 0.0, wanted)
    return action
