"""The direct form of the learning tasks: what they share is :mod:`~warpgrasp.eval.isaaclab.envs.hand_task`."""

from __future__ import annotations

from typing import Any

import torch

from warpgrasp.eval.isaaclab import mdp
from warpgrasp.eval.isaaclab.envs.base import WarpGraspEnv
from warpgrasp.eval.isaaclab.envs.hand_task import HandTask
from warpgrasp.eval.isaaclab.envs.learning_config import LearningEnvCfg

__all__ = ["LearningEnv"]


class LearningEnv(HandTask, WarpGraspEnv):
    """Base of the direct learning tasks."""

    cfg: LearningEnvCfg

    def __init__(self, cfg: LearningEnvCfg, render_mode: str | None = None, **kwargs: Any) -> None:
        self._ready = False
        super().__init__(cfg, render_mode, **kwargs)
        self._start_task(cfg)
        self._ready = True

    def _reset_idx(self, env_ids: Any) -> None:
        worlds = torch.as_tensor(env_ids, device=self.device, dtype=torch.long)
        if self._ready:
            self.extras.setdefault("log", {}).update(self.outcome(worlds))
        super()._reset_idx(env_ids)
        if self._ready:
            self.start(worlds)

    def _pre_physics_step(self, actions: torch.Tensor) -> None:
        self.begin_step(actions)

    def _apply_action(self) -> None:
        self.apply_command()

    def _get_observations(self) -> dict[str, torch.Tensor]:
        self.disturb()  # where managers push: after resets, before the observation
        parts = [term(self) for term in mdp.observation_terms(self.moves_wrist).values()]
        return {"policy": torch.cat(parts, dim=1).clamp(-mdp.OBSERVATION_LIMIT, mdp.OBSERVATION_LIMIT)}

    def _get_dones(self) -> tuple[torch.Tensor, torch.Tensor]:
        self._measured = False
        self.measure()
        return self.lost, self.episode_length_buf >= self.max_episode_length

    def _get_rewards(self) -> torch.Tensor:
        terms = {name: weight * term(self) for name, (term, weight) in mdp.reward_terms(self.cfg).items()}
        log = self.extras.setdefault("log", {})
        for name, value in terms.items():
            log[f"Reward/{name}"] = value.mean()
        return torch.stack(list(terms.values())).sum(dim=0) * self.step_dt
