"""Event terms: where episodes begin, and pushes."""

from __future__ import annotations

from typing import Any

import torch

from warpgrasp.eval.isaaclab.envs.hand_task import HandTask

__all__ = ["push_object", "randomize_friction", "randomize_place", "start_at_pregrasp"]


def start_at_pregrasp(env: HandTask, env_ids: Any) -> None:
    """Reset term: draw a grasp of the pool, put the object at its place and the opened hand before it.

    Args:
        env: The environment.
        env_ids: Worlds that start anew.
    """
    env.start(env.all_worlds[env_ids])


def push_object(env: HandTask, env_ids: Any) -> None:
    """Interval term of every step: the push that is due, or none; in all worlds.

    Args:
        env: The environment; its options ``push_force`` and ``push_period`` say how it is pushed.
        env_ids: Not used: pushes of an episode are drawn at its reset, so that equal resets are pushed alike.
    """
    env.disturb()


def randomize_place(
    env: Any, env_ids: torch.Tensor, position_range: tuple[float, float], angle_range: tuple[float, float]
) -> None:
    """Event term: where objects will be put on the table, and how they are turned about the vertical.

    Args:
        env: The environment, a task on a table.
        env_ids: Worlds that start anew.
        position_range: Of x and y, from the middle of the table [m].
        angle_range: [rad].
    """
    if not hasattr(env, "place_offset"):  # while the environment is being built
        return
    worlds = env.all_worlds[env_ids]
    low, high = ([bounds[end] for bounds in (position_range, position_range, angle_range)] for end in (0, 1))
    lower, upper = torch.tensor([low, high], device=env.device)
    env.place_offset[worlds] = lower + (upper - lower) * torch.rand(len(worlds), 3, device=env.device)


def randomize_friction(env: Any, env_ids: Any, friction_range: tuple[float, float]) -> None:
    """Startup term: one Coulomb coefficient per world, for every surface in it, kept as ``env.friction``.

    Args:
        env: The environment.
        env_ids: Not used: all worlds.
        friction_range: Least and largest coefficient.
    """
    low, high = friction_range
    env.friction = low + (high - low) * torch.rand(env.num_envs, device=env.device)
    env.adapter.set_contact(friction=env.friction, torsional=env.cfg.torsional_friction)
