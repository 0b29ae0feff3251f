"""Grasp: close the hand around an object that floats freely, then hold it against random pushes."""

from __future__ import annotations

import math
from typing import Any

import torch
from isaaclab.utils import configclass

from warpgrasp.eval.isaaclab.adapter import rotate
from warpgrasp.eval.isaaclab.assets import CarrierConfig
from warpgrasp.eval.isaaclab.envs.hand_task import HandTask
from warpgrasp.eval.isaaclab.envs.learning import LearningEnv
from warpgrasp.eval.isaaclab.envs.learning_config import LearningEnvCfg, LearningOptions

__all__ = ["GraspEnv", "GraspEnvCfg", "GraspOptions", "GraspTask"]


@configclass
class GraspOptions(LearningOptions):
    """Options of the task, direct or manager-based."""

    episode_length_s: float = 2.4
    wrist: bool = False
    """Whether actions also move the wrist, six more of them."""
    position_noise: float = 0.01
    angle_noise: float = 0.2
    push_force: float = 5.0
    """Size of the pushes [N]. A registered environment has that of its hand
    (:mod:`~warpgrasp.eval.isaaclab.difficulty`)."""
    push_period: float = 0.3
    """Time between changes of direction [s]."""
    success_distance: float = 0.03
    """An object held to the end is this close to where it was when the pushes began [m]."""

    def complete(self) -> None:
        self.carrier = (self.carrier or CarrierConfig()) if self.wrist else None


class GraspTask(HandTask):
    """Hold an object in free space against pushes in random directions."""

    def _start_task(self, cfg: Any) -> None:
        super()._start_task(cfg)
        self._first_push = math.ceil(2.0 * cfg.closing_time / self.step_dt - 1.0e-6)
        self._push_steps = max(round(cfg.push_period / self.step_dt), 1)
        count = max(self.max_episode_length - self._first_push, 0) // self._push_steps + 1
        self._pushes = torch.zeros(self.num_envs, count, 3, device=self.device)
        self._anchor = torch.zeros(self.num_envs, 3, device=self.device)

    def start(self, worlds: torch.Tensor) -> None:
        super().start(worlds)
        # All of an episode at once: equal resets are pushed alike, whatever happens elsewhere.
        direction = torch.randn(len(worlds), *self._pushes.shape[1:], device=self.device)
        self._pushes[worlds] = torch.nn.functional.normalize(direction, dim=2)
        self._anchor[worlds] = self.adapter.center_of_mass[worlds]  # objects start at their origins

    def disturb(self) -> None:
        """A new random direction every period, once the hand has closed."""
        since = self.steps - self._first_push
        self._anchor = torch.where((since == 0)[:, None], self.adapter.body_pose()[:, :3], self._anchor)
        turn = (since.clamp(min=0) // self._push_steps).clamp(max=self._pushes.shape[1] - 1)
        force = self.cfg.push_force * self.push_scale[:, None] * self._pushes[self.all_worlds, turn]
        self.adapter.push(torch.where((since >= 0)[:, None], force, torch.zeros_like(force)))

    def _way(self) -> torch.Tensor:
        """How far the object is from where it was when the pushes began, before that from its start [m]."""
        return (self.adapter.body_pose()[:, :3] - self._anchor).norm(dim=1).nan_to_num(1.0e3)

    def task_observation(self, back: torch.Tensor) -> torch.Tensor:
        return 10.0 * rotate(back[:, 3:], self.adapter.body_pose()[:, :3] - self._anchor)

    def task_reward(self) -> torch.Tensor:
        return torch.exp(-(self._way() / self.cfg.success_distance).square())

    def _dropped(self) -> torch.Tensor:
        return self._way() > self.cfg.drop_distance

    def _success(self) -> torch.Tensor:
        return self._way() < self.cfg.success_distance


@configclass
class GraspEnvCfg(GraspOptions, LearningEnvCfg):
    """Options of the direct environment."""


class GraspEnv(GraspTask, LearningEnv):
    """The task as a direct environment."""

    cfg: GraspEnvCfg
