"""Reward terms, unweighted. Where the physics diverged, what was measured means nothing and reads 0; ``lost`` stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from warpgrasp.eval.isaaclab.envs.hand_task import HandTask

__all__ = [
    "action_rate",
    "alignment",
    "contact_distance",
    "fingers_in_contact",
    "force_closure",
    "lost",
    "reward_terms",
    "task_reward",
]


def fingers_in_contact(env: HandTask) -> torch.Tensor:
    """Share of the fingers that touch the object, shape [W]."""
    return _finite(env.geometry.finger_contact(env.measured_contact()).mean(dim=1))


def force_closure(env: HandTask) -> torch.Tensor:
    """``exp(-E_fc)`` of the contacts there are, with the force-closure energy of the synthesis, shape [W]."""
    return _finite(torch.exp(-env.geometry.force_closure(env.measured_contact())))


def contact_distance(env: HandTask) -> torch.Tensor:
    """Contact distance energy of the synthesis, at most 1 [m], shape [W]."""
    return _finite(env.geometry.distance(env.measured_contact()).clamp(max=1.0))


def alignment(env: HandTask) -> torch.Tensor:
    """1 where the object lies in the hand as the nominal motion has it, less elsewhere, shape [W]."""
    return _finite(env.alignment())


def task_reward(env: HandTask) -> torch.Tensor:
    """What the task asks for, 0 to 1, shape [W]."""
    return _finite(env.task_reward())


def action_rate(env: HandTask) -> torch.Tensor:
    """Squared change of the action, averaged, shape [W]."""
    return (env.actions - env.previous_actions).square().mean(dim=1)


def lost(env: HandTask) -> torch.Tensor:
    """1 where the episode ends because the object is lost or the physics diverged, shape [W]."""
    return env.reset_terminated.float()


def reward_terms(options: Any) -> dict[str, tuple[Callable[[HandTask], torch.Tensor], float]]:
    """Terms and their weights per second, by the names under which they are logged.

    Args:
        options: A :class:`~warpgrasp.eval.isaaclab.envs.learning_config.LearningOptions`.
    """
    return {
        "contact": (fingers_in_contact, options.contact_weight),
        "force_closure": (force_closure, options.force_closure_weight),
        "distance": (contact_distance, -options.distance_weight),
        "alignment": (alignment, options.alignment_weight),
        "task": (task_reward, options.task_weight),
        "action_rate": (action_rate, -options.action_rate_weight),
        "drop": (lost, -options.drop_penalty),
    }


def _finite(values: torch.Tensor) -> torch.Tensor:
    return values.nan_to_num(0.0, 0.0, 0.0)
