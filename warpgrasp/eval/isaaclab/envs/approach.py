"""Approach: a task made for looking to pay. The hand comes from afar, and the object is not where the grasp file has it.

The policy sees the object as points on its surface, not as a pose, and feels forces at the fingertips; the critic alone is
told pose, velocity, friction and mass. Zero actions approach the place where the object was believed to be, so that what a
policy gains by reacting shows against the same actions played blind (``python -m warpgrasp.eval.isaaclab.replay``).
"""

from __future__ import annotations

from typing import Any

import torch
from isaaclab.envs import ManagerBasedRLEnvCfg
from isaaclab.envs import mdp as core
from isaaclab.managers import (
    CurriculumTermCfg,
    EventTermCfg,
    ObservationGroupCfg,
    ObservationTermCfg,
    SceneEntityCfg,
)
from isaaclab.sensors import ContactSensorCfg
from isaaclab.utils import configclass
from isaaclab.utils.noise import GaussianNoiseCfg

from warpgrasp.eval.isaaclab import mdp
from warpgrasp.eval.isaaclab.adapter import rotate
from warpgrasp.eval.isaaclab.contacts import fingertips
from warpgrasp.eval.isaaclab.envs.grasp import GraspOptions, GraspTask
from warpgrasp.eval.isaaclab.envs.managed import (
    ActionsCfg,
    GraspEventsCfg,
    ManagedEnv,
    RewardsCfg,
    TerminationsCfg,
    observed,
)
from warpgrasp.eval.isaaclab.frames import inverse

__all__ = [
    "ApproachCurriculumCfg",
    "ApproachEnv",
    "ApproachEnvCfg",
    "ApproachEventsCfg",
    "ApproachObservationsCfg",
    "ApproachTask",
    "CriticObservationsCfg",
    "PointObservationsCfg",
    "SensedObservationsCfg",
    "TeacherObservationsCfg",
]

_TILT = 0.3  # of the way the hand comes from, against the direction away from the object


@configclass
class SensedObservationsCfg(ObservationGroupCfg):
    """What a robot can sense but for the object: joints, wrist and fingertip forces over five steps."""

    joint_position = observed(mdp.joint_position, history_length=5)
    joint_velocity = observed(mdp.joint_velocity)
    joint_targets = observed(mdp.joint_targets)
    fingertip_forces = observed(mdp.fingertip_forces, history_length=5)
    wrist_position = observed(mdp.wrist_position, history_length=5)
    action_of_joints = observed(mdp.action_of_joints)
    action_of_wrist = observed(mdp.action_of_wrist)
    episode_time = observed(mdp.episode_time)

    def __post_init__(self) -> None:
        self.enable_corruption = True


@configclass
class PointObservationsCfg(ObservationGroupCfg):
    """Points on the object, apart from the rest for networks that treat them as a set."""

    object_points = observed(mdp.object_points, params={"count": 64}, noise=GaussianNoiseCfg(std=0.04))

    def __post_init__(self) -> None:
        self.enable_corruption = True


@configclass
class CriticObservationsCfg(SensedObservationsCfg):
    """The same without noise, and what only a simulation knows; the pose stands for the points."""

    object_pose = observed(mdp.object_pose)
    object_velocity = observed(mdp.object_velocity)
    grasp_error = observed(mdp.grasp_error)
    task_observation = observed(mdp.task_observation)
    finger_contact = observed(mdp.finger_contact)
    object_mass = observed(mdp.object_mass)
    friction = observed(mdp.friction)

    def __post_init__(self) -> None:
        self.enable_corruption = False


@configclass
class TeacherObservationsCfg(ObservationGroupCfg):
    """What a teacher would do that is told the pose; a student learns to do it from what it senses."""

    tracking_action = ObservationTermCfg(func=mdp.tracking_action)


@configclass
class ApproachObservationsCfg:
    """Groups of observations; Isaac Lab's asymmetric training gives each network its own."""

    policy: Any = SensedObservationsCfg()
    points: Any = PointObservationsCfg()
    critic: Any = CriticObservationsCfg()
    teacher: Any = TeacherObservationsCfg()


@configclass
class ApproachEventsCfg(GraspEventsCfg):
    """Friction and mass differ between worlds, starts and pushes between episodes."""

    friction = EventTermCfg(
        func=mdp.randomize_friction, mode="startup", params={"friction_range": (0.7, 1.2)}
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


@configclass
class ApproachCurriculumCfg:
    """Noise and pushes grow with success."""

    difficulty = CurriculumTermCfg(func=mdp.grow_with_success, params={"low": 0.3, "step": 0.1})


@configclass
class ApproachRewardsCfg(RewardsCfg):
    """The rewards of Grasp; the object where the grasp has it counts more."""

    def __post_init__(self) -> None:
        self.alignment.weight = 2.0


@configclass
class ApproachOptions(GraspOptions):
    """Options of the task."""

    wrist: bool = True
    finger_actions: bool = True
    position_noise: float = 0.03
    angle_noise: float = 0.2
    torsional_friction: float = 0.02
    approach_time: float = 0.6
    """Time from the start to the pregrasp [s]."""
    start_distance: tuple[float, float] = (0.1, 0.25)
    """How far the hand starts from the pregrasp, least and most [m]."""
    episode_length_s: float = 2.1
    wrist_position_scale: float = 0.01
    wrist_angle_scale: float = 0.05
    joint_action_scale: float = 0.2
    hold_time: float = 0.5
    """An object is held when it has stayed within ``success_distance`` for so long until the end of the episode [s]."""
    held_out: tuple[str, ...] = ("mug",)
    """Objects of the grasp files that training does not see."""
    objects: str = "train"
    """Which objects the worlds hold: ``train``, ``held_out`` or ``all``."""


class ApproachTask(GraspTask):
    """Approach an object that is not where it was believed to be, close the hand around it and hold it."""

    def _world_objects(self, cfg: Any) -> torch.Tensor:
        """Objects of the split, in turn."""
        if cfg.objects not in ("train", "held_out", "all"):
            raise ValueError(f"objects must be train, held_out or all (got {cfg.objects!r})")
        names = [model.name for model in self.pool.models]
        wanted = [
            index
            for index, name in enumerate(names)
            if cfg.objects == "all" or (name in cfg.held_out) == (cfg.objects == "held_out")
        ]
        if not wanted:
            raise ValueError(
                f"objects={cfg.objects!r} leaves none of {', '.join(names)} with held_out={tuple(cfg.held_out)}; "
                f"name other objects in held_out"
            )
        return torch.tensor(wanted)[torch.arange(cfg.scene.num_envs) % len(wanted)]

    def _fill_scene(self, cfg: Any) -> None:
        super()._fill_scene(cfg)
        for finger, path in enumerate(self._tip_paths()):
            sensor = ContactSensorCfg(prim_path=path, filter_prim_paths_expr=["{ENV_REGEX_NS}/Object"])
            setattr(cfg.scene, f"tip_{finger}", sensor)

    def _tip_paths(self) -> list[str]:
        """Prim of each fingertip's link in the scene, where the hand's asset is called ``Hand/hand``."""
        links = fingertips(self.hand)[0]
        return ["{ENV_REGEX_NS}/Hand/hand/" + self.hand.link_paths[link].split("/", 2)[2] for link in links]

    def _start_task(self, cfg: Any) -> None:
        super()._start_task(cfg)
        self._first_push = self.step_count(self.closing_start + 2.0 * cfg.closing_time)
        self._start_way = torch.zeros(
            self.num_envs, 3, device=self.device
        )  # from the pregrasp, axes of the hand root
        self._held_steps = torch.zeros(self.num_envs, dtype=torch.long, device=self.device)
        self.friction = torch.full((self.num_envs,), float(cfg.friction), device=self.device)
        """Coulomb coefficient of each world, shape [W]."""

    @property
    def closing_start(self) -> float:
        return float(self.cfg.approach_time)

    def start(self, worlds: torch.Tensor) -> None:
        self._held_steps[worlds] = 0
        super().start(worlds)

    def _draw(self, worlds: torch.Tensor) -> None:
        """A grasp, and the way the hand comes from: away from the object, at random in a cone."""
        super()._draw(worlds)
        root = self.pool.pregrasp_root[self.grasp[worlds]]
        away = root[:, :3] - self.adapter.center_of_mass[worlds]
        away = torch.nn.functional.normalize(rotate(inverse(root)[:, 3:], away), dim=1)
        away = torch.nn.functional.normalize(away + _TILT * torch.randn_like(away), dim=1)
        least, most = self.cfg.start_distance
        way = least + (most - least) * torch.rand(len(worlds), 1, device=self.device)
        self._start_way[worlds] = way * away

    def _start_carrier(self, worlds: torch.Tensor) -> torch.Tensor:
        carrier = super()._start_carrier(worlds)
        carrier[:, :3] = self._start_way[worlds]
        return carrier

    def nominal_carrier(self) -> torch.Tensor:
        carrier = super().nominal_carrier()
        left = 1.0 - (self.time / self.cfg.approach_time).clamp(max=1.0)
        way = torch.cat([left[:, None] * self._start_way, torch.zeros_like(self._start_way)], dim=1)
        return carrier + way

    def _legs(self) -> tuple[torch.Tensor, torch.Tensor]:
        leg = ((self.time - self.cfg.approach_time).clamp(min=0.0) / self.cfg.closing_time)[:, None]
        return leg.clamp(0.0, 1.0), (leg - 1.0).clamp(0.0, 1.0)

    def _progress(self) -> None:
        """Count how long the object has stayed in place while it was pushed."""
        near = (self._way() < self.cfg.success_distance) & (self.steps > self._first_push)
        self._held_steps = torch.where(near, self._held_steps + 1, 0)

    def _success(self) -> torch.Tensor:
        return self._held_steps * self.step_dt >= self.cfg.hold_time - 1.0e-6


@configclass
class ApproachEnvCfg(ApproachOptions, ManagerBasedRLEnvCfg):
    """The task as a manager-based configuration."""

    observations: Any = ApproachObservationsCfg()
    actions: Any = ActionsCfg()
    rewards: Any = ApproachRewardsCfg()
    terminations: Any = TerminationsCfg()
    events: Any = ApproachEventsCfg()
    curriculum: Any = ApproachCurriculumCfg()


class ApproachEnv(ApproachTask, ManagedEnv):
    """The task with managers."""

    cfg: ApproachEnvCfg
