"""Curriculum term: noise and pushes that grow with success."""

from __future__ import annotations

from typing import Any

import torch
from isaaclab.managers import CurriculumTermCfg, ManagerTermBase

__all__ = ["grow_with_success"]


class grow_with_success(ManagerTermBase):  # noqa: N801  (Isaac Lab names its terms like functions)
    """Scale the noise of the object's pose and the pushes, world by world: up after a success, down after a failure.

    Parameters of the term:

    - ``low``: scale at the beginning, and the least.
    - ``step``: change after an episode.

    The term returns the mean scale, which is logged.
    """

    def __init__(self, cfg: CurriculumTermCfg, env: Any) -> None:
        super().__init__(cfg, env)
        low = cfg.params.get("low", 0.3)
        if not 0.0 <= low <= 1.0:
            raise ValueError(f"low must be between 0 and 1 (got {low}); 1 leaves the curriculum out")
        env.noise_scale.fill_(low)
        env.push_scale.fill_(low)

    def __call__(self, env: Any, env_ids: Any, low: float = 0.3, step: float = 0.1) -> torch.Tensor:
        """Adapt the worlds ``env_ids``, whose episodes end."""
        worlds = env.all_worlds[env_ids]
        worlds = worlds[env.steps[worlds] > 0]
        change = torch.where(env.episode_succeeded[worlds], step, -step)
        scale = (env.noise_scale[worlds] + change).clamp(low, 1.0)
        env.noise_scale[worlds] = env.push_scale[worlds] = scale
        mean: torch.Tensor = env.noise_scale.mean()
        return mean
