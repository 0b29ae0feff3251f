"""Grasp: close the hand around an object that floats freely, then hold it against random pushes."""

from __future__ import annotations

import math
from typing import Any

import torch
from isaaclab.utils import configclass

from warpgrasp.eval.isaaclab.adapter import rotate
from warpgrasp.eval.isaaclab.assets import CarrierConfig
from warpgrasp.eval.isaaclab.envs.learning import LearningEnv
from warpgrasp.eval.isaaclab.envs.learning_config import LearningEnvCfg

__all__ = ["GraspEnv", "GraspEnvCfg"]


@configclass
class GraspEnvCfg(LearningEnvCfg):
    """Options of the task."""

    episode_length_s: float = 2.4
    wrist: bool = False
    """Whether actions also move the wrist, six more of them."""
    push_force: float = 5.0
    """Size of the pushes [N]; the same as ``graspqp`` at its standard force."""
    push_period: float = 0.3
    """Time between changes of direction [s]."""
    success_distance: float = 0.03
    """An object held to the end is this close to where it was when the pushes began [m]."""

    def declare_spaces(self) -> None:
        self.carrier = (self.carrier or CarrierConfig()) if self.wrist else None
        super().declare_spaces()


class GraspEnv(LearningEnv):
    """Hold an object in free space against pushes in random directions."""

    cfg: GraspEnvCfg

    def __init__(self, cfg: GraspEnvCfg, render_mode: str | None = None, **kwargs: Any) -> None:
        super().__init__(cfg, render_mode, **kwargs)
        self._first_push = math.ceil(2.0 * cfg.closing_time / self.step_dt - 1.0e-6)
        self._push_steps = max(round(cfg.push_period / self.step_dt), 1)
        count = max(self.max_episode_length - self._first_push, 0) // self._push_steps + 1
        self._pushes = torch.zeros(self.num_envs, count, 3, device=self.device)
        self._anchor = torch.zeros(self.num_envs, 3, device=self.device)

    def _reset_idx(self, env_ids: Any) -> None:
        super()._reset_idx(env_ids)
        if hasattr(self, "_anchor"):
            worlds = torch.as_tensor(env_ids, device=self.device, dtype=torch.long)
            # All of an episode at once: equal resets are pushed alike, whatever happens elsewhere.
            direction = torch.randn(len(worlds), *self._pushes.shape[1:], device=self.device)
            self._pushes[worlds] = torch.nn.functional.normalize(direction, dim=2)
            self._anchor[worlds] = self.adapter.center_of_mass[worlds]  # objects start at their origins

    def _disturb(self) -> None:
        """A new random direction every period, once the hand has closed."""
        since = self.steps - self._first_push
        self._anchor = torch.where((since == 0)[:, None], self.adapter.body_pose()[:, :3], self._anchor)
        turn = (since.clamp(min=0) // self._push_steps).clamp(max=self._pushes.shape[1] - 1)
        force = self.cfg.push_force * self._pushes[self.all_worlds, turn]
        self.adapter.push(torch.where((since >= 0)[:, None], force, torch.zeros_like(force)))

    def _way(self) -> torch.Tensor:
        """How far the object is from where it was when the pushes began, before that from its start [m]."""
        return (self.adapter.body_pose()[:, :3] - self._anchor).norm(dim=1).nan_to_num(1.0e3)

    def _task_observation(self, back: torch.Tensor) -> torch.Tensor:
        return 10.0 * rotate(back[:, 3:], self.adapter.body_pose()[:, :3] - self._anchor)

    def _task_reward(self) -> torch.Tensor:
        return torch.exp(-(self._way() / self.cfg.success_distance).square())

    def _dropped(self) -> torch.Tensor:
        return self._way() > self.cfg.drop_distance

    def _success(self) -> torch.Tensor:
        return self._way() < self.cfg.success_distance
