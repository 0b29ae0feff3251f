"""Grasp: close the hand around an object that floats freely, then hold it against random pushes."""

from __future__ import annotations

from typing import Any

import torch
from isaaclab.utils import configclass

from warpgrasp.eval.isaaclab.adapter import rotate
from warpgrasp.eval.isaaclab.assets import CarrierConfig
from warpgrasp.eval.isaaclab.learning_env import LearningEnv, LearningEnvCfg

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
    """An object held to the end has stayed this close to where it was [m]."""

    def declare_spaces(self) -> None:
        self.carrier = (self.carrier or CarrierConfig()) if self.wrist else None
        super().declare_spaces()


class GraspEnv(LearningEnv):
    """Hold an object in free space against pushes in random directions."""

    cfg: GraspEnvCfg

    def __init__(self, cfg: GraspEnvCfg, render_mode: str | None = None, **kwargs: Any) -> None:
        super().__init__(cfg, render_mode, **kwargs)
        self._force = torch.zeros(self.num_envs, 3, device=self.device)

    def _reset_idx(self, env_ids: Any) -> None:
        super()._reset_idx(env_ids)
        if hasattr(self, "_force"):
            self._force[torch.as_tensor(env_ids, device=self.device, dtype=torch.long)] = 0.0

    def _disturb(self) -> None:
        """A new random direction every period, once the hand has closed."""
        period = max(round(self.cfg.push_period / self.step_dt), 1)
        pushing = self.time >= 2.0 * self.cfg.closing_time
        # Every world draws every step: what one does must not depend on when others draw.
        direction = torch.nn.functional.normalize(torch.randn_like(self._force), dim=1)
        change = pushing & ((self.episode_length_buf % period) == 0)
        self._force = torch.where(change[:, None], self.cfg.push_force * direction, self._force)
        self._force = torch.where(pushing[:, None], self._force, torch.zeros_like(self._force))
        self.adapter.push(self._force)

    def _way(self) -> torch.Tensor:
        return (self.adapter.body_pose()[:, :3] - self.adapter.center_of_mass).norm(dim=1).nan_to_num(1.0e3)

    def _task_observation(self, back: torch.Tensor) -> torch.Tensor:
        return 10.0 * rotate(back[:, 3:], self.adapter.body_pose()[:, :3] - self.adapter.center_of_mass)

    def _task_reward(self) -> torch.Tensor:
        return torch.exp(-(self._way() / self.cfg.success_distance).square())

    def _dropped(self) -> torch.Tensor:
        return self._way() > self.cfg.drop_distance

    def _success(self) -> torch.Tensor:
        return self._way() < self.cfg.success_distance
