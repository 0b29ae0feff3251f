"""Lift: pick an object up from a table with a hand on a six-joint carrier, and keep it at a height."""

from __future__ import annotations

import logging
import math
from typing import Any

import isaaclab.sim as sim_utils
import torch
from isaaclab.assets import AssetBaseCfg
from isaaclab.envs import mdp as core
from isaaclab.managers import EventTermCfg, SceneEntityCfg
from isaaclab.sim import SimulationCfg
from isaaclab.utils import configclass

from warpgrasp.eval.isaaclab import mdp
from warpgrasp.eval.isaaclab.adapter import rotate
from warpgrasp.eval.isaaclab.assets import CarrierConfig
from warpgrasp.eval.isaaclab.envs.hand_task import HandTask
from warpgrasp.eval.isaaclab.envs.learning import LearningEnv
from warpgrasp.eval.isaaclab.envs.learning_config import LearningEnvCfg, LearningOptions
from warpgrasp.eval.isaaclab.frames import inverse, multiply
from warpgrasp.eval.isaaclab.table import table_starts

__all__ = ["LiftEnv", "LiftEnvCfg", "LiftEventsCfg", "LiftOptions", "LiftTask"]

_LOGGER = logging.getLogger(__name__)
_TABLE = 0.04  # m, thickness


@configclass
class LiftEventsCfg:
    """Domain randomisation. Set a term to ``None`` to leave it out."""

    friction = EventTermCfg(
        func=core.randomize_rigid_body_material,
        mode="startup",
        params={
            "asset_cfg": SceneEntityCfg("object"),
            "static_friction_range": (0.7, 1.2),
            "dynamic_friction_range": (0.7, 1.2),
            "restitution_range": (0.0, 0.0),
            "num_buckets": 64,
            "make_consistent": True,
        },
    )
    mass = EventTermCfg(
        func=core.randomize_rigid_body_mass,
        mode="startup",
        params={
            "asset_cfg": SceneEntityCfg("object"),
            "mass_distribution_params": (0.7, 1.5),
            "operation": "scale",
        },
    )
    gains = EventTermCfg(
        func=core.randomize_actuator_gains,
        mode="startup",
        params={
            "asset_cfg": SceneEntityCfg("hand"),
            "stiffness_distribution_params": (0.85, 1.15),
            "damping_distribution_params": (0.85, 1.15),
            "operation": "scale",
        },
    )
    place = EventTermCfg(
        func=mdp.randomize_place,
        mode="reset",
        params={"position_range": (-0.05, 0.05), "angle_range": (-math.pi, math.pi)},
    )


@configclass
class LiftOptions(LearningOptions):
    """Options of the task, direct or manager-based."""

    episode_length_s: float = 3.0
    contact_limit: int = 160  # a hand pressed into the table by random actions wants 81
    sim: SimulationCfg = SimulationCfg(
        dt=1.0 / 120.0, device="auto", gravity=(0.0, 0.0, -9.81), render_interval=6
    )
    goal_height: float = 0.15
    """How far the object is to rise [m]."""
    success_distance: float = 0.05
    """A lifted object is this close to the goal height [m] ..."""
    success_speed: float = 0.1
    """... no faster than this [m/s] ..."""
    success_time: float = 0.5
    """... for so long until the end of the episode [s]."""

    def complete(self) -> None:
        self.carrier = self.carrier or CarrierConfig()


class LiftTask(HandTask):
    """Lift an object from a table."""

    def _fill_scene(self, cfg: Any) -> None:
        cfg.scene.table = AssetBaseCfg(
            prim_path="{ENV_REGEX_NS}/Table",
            spawn=sim_utils.CuboidCfg(
                size=(1.0, 1.0, _TABLE), collision_props=sim_utils.UsdPhysicsCollisionCfg()
            ),
            init_state=AssetBaseCfg.InitialStateCfg(pos=(0.0, 0.0, -0.5 * _TABLE)),
        )
        cfg.scene.env_spacing = max(cfg.scene.env_spacing, 1.5)
        super()._fill_scene(cfg)

    def _start_task(self, cfg: Any) -> None:
        super()._start_task(cfg)
        starts = self._starts
        self._start_grasp = torch.as_tensor(starts.grasp, device=self.device)
        self._start_height = self._tensor(starts.height)
        self._start_turn = self._tensor(starts.quaternion)
        self._start_weight = self._tensor(starts.probability)
        self._rest_height = torch.zeros(self.num_envs, device=self.device)
        self._held_steps = torch.zeros(self.num_envs, dtype=torch.long, device=self.device)
        self.place_offset = torch.zeros(self.num_envs, 3, device=self.device)  # x, y [m], angle [rad]

    def _world_objects(self, cfg: Any) -> torch.Tensor:
        """Objects that can be picked up, in turn; a grasp pool may hold others."""
        self._starts = table_starts(self.hand, self.pool)
        usable = self.pool.object_index[torch.as_tensor(self._starts.grasp)].unique().cpu()
        if len(usable) < len(self.pool.models):
            names = [
                model.name for index, model in enumerate(self.pool.models) if index not in usable.tolist()
            ]
            _LOGGER.warning("no grasp of %s is clear of the table; the scene does without", ", ".join(names))
        return usable[torch.arange(cfg.scene.num_envs) % len(usable)]

    def _set_contact(self) -> None:
        """Friction is the event term's business, where there is one."""
        if getattr(self.cfg.events, "friction", None) is None:
            super()._set_contact()

    def _draw(self, worlds: torch.Tensor) -> None:
        """A grasp that is clear of the table, the object at rest where the event term wants it."""
        fits = self.pool.object_index[self._start_grasp][None, :] == self.world_object[worlds][:, None]
        start = torch.multinomial(fits.float() * self._start_weight[None, :], 1)[:, 0]
        angle = self.place_offset[worlds, 2]
        turn = torch.zeros(len(worlds), 4, device=self.device)
        turn[:, 2], turn[:, 3] = torch.sin(0.5 * angle), torch.cos(0.5 * angle)
        place = torch.zeros(len(worlds), 7, device=self.device)
        place[:, :2] = self.place_offset[worlds, :2]
        place[:, 2] = self._start_height[start]
        place[:, 3:] = multiply(turn, self._start_turn[start])
        self.grasp[worlds], self.place[worlds] = self._start_grasp[start], place
        center = rotate(place[:, 3:], self.adapter.center_of_mass[worlds])
        self._rest_height[worlds] = place[:, 2] + center[:, 2]
        self._held_steps[worlds] = 0

    def _wrist_way(self, way: torch.Tensor) -> torch.Tensor:
        """Actions move the wrist along world axes."""
        return rotate(inverse(self.base)[:, 3:], way)

    def _rise(self) -> torch.Tensor:
        """How far the object has risen [m], shape [W]."""
        return (self.adapter.body_pose()[:, 2] - self._rest_height).nan_to_num(0.0)

    def task_observation(self, back: torch.Tensor) -> torch.Tensor:
        missing = torch.zeros(self.num_envs, 3, device=self.device)
        missing[:, 2] = self.cfg.goal_height - self._rise()
        return 10.0 * rotate(back[:, 3:], missing)

    def task_reward(self) -> torch.Tensor:
        share = self._rise() / self.cfg.goal_height
        near = (share - 1.0).abs() * self.cfg.goal_height < self.cfg.success_distance
        return 0.5 * share.clamp(0.0, 1.0) + 0.5 * near.float()

    def _dropped(self) -> torch.Tensor:
        return self._rise() < -self.cfg.drop_distance

    def _progress(self) -> None:
        """Count how long the object has been held at the height; passing it is no success."""
        near = (self._rise() - self.cfg.goal_height).abs() < self.cfg.success_distance
        slow = self.adapter.object_velocity()[:, :3].norm(dim=1) < self.cfg.success_speed
        self._held_steps = torch.where(near & slow, self._held_steps + 1, 0)

    def _success(self) -> torch.Tensor:
        return self._held_steps * self.step_dt >= self.cfg.success_time - 1.0e-6


@configclass
class LiftEnvCfg(LiftOptions, LearningEnvCfg):
    """Options of the direct environment."""

    events: Any = LiftEventsCfg()


class LiftEnv(LiftTask, LearningEnv):
    """The task as a direct environment."""

    cfg: LiftEnvCfg
