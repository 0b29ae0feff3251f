"""Termination terms."""

from __future__ import annotations

from typing import Any

import torch

from warpgrasp.eval.isaaclab.envs.hand_task import HandTask

__all__ = ["diverged", "dropped", "succeeded"]


def dropped(env: HandTask) -> torch.Tensor:
    """Whether the object is lost, shape [W]."""
    env.measure()
    return env.lost & ~env.diverged


def diverged(env: HandTask) -> torch.Tensor:
    """Whether the state of a world is no longer finite, shape [W]."""
    env.measure()
    return env.diverged


def succeeded(env: Any) -> torch.Tensor:
    """Whether an episode that is over has succeeded, shape [W].

    Isaac Lab's recorders take the term called ``success`` for the success of what they record.
    """
    env.measure()
    over = env.episode_length_buf >= env.max_episode_length
    found: torch.Tensor = env.episode_succeeded & over
    return found
