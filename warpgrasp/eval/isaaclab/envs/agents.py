"""Configurations of the learning libraries, registered with the environments."""

from __future__ import annotations

from typing import Any

from isaaclab.sim import SimulationContext
from isaaclab.utils import configclass
from isaaclab_rl.rsl_rl import (
    RslRlCNNModelCfg,
    RslRlDistillationAlgorithmCfg,
    RslRlDistillationRunnerCfg,
    RslRlMLPModelCfg,
    RslRlOnPolicyRunnerCfg,
    RslRlPpoAlgorithmCfg,
)

from warpgrasp.eval.isaaclab.envs.base import automatic_device
from warpgrasp.eval.isaaclab.point_net import PointNetModelCfg

__all__ = [
    "RslRlApproach",
    "RslRlApproachDepth",
    "RslRlApproachDistillation",
    "RslRlGrasp",
    "RslRlLift",
]


_DISTILLATION = "warpgrasp.eval.isaaclab.distillation"


def _algorithm() -> RslRlPpoAlgorithmCfg:
    return RslRlPpoAlgorithmCfg(
        value_loss_coef=1.0,
        use_clipped_value_loss=True,
        clip_param=0.2,
        entropy_coef=0.0,
        num_learning_epochs=5,
        num_mini_batches=4,
        learning_rate=1.0e-3,
        schedule="adaptive",
        gamma=0.98,
        lam=0.95,
        desired_kl=0.04,
        max_grad_norm=1.0,
    )


class _RunsWhereTheSimulationRuns:
    """The field ``device`` of a runner's configuration: ``auto`` stands for the device of the running simulation.

    Isaac Lab's commands hand ``--device`` to the environment alone, and rsl_rl's default is ``cuda:0``.
    """

    def __init__(self, *args: Any, device: str = "auto", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.device = (
            device  # a configclass copies what it reads of its defaults: that would be a device already
        )

    @property
    def device(self) -> str:
        value: str = self.__dict__["device"]
        if value != "auto":
            return value
        context = SimulationContext.instance()
        return automatic_device() if context is None else str(context.device)

    @device.setter
    def device(self, value: str) -> None:
        self.__dict__["device"] = value


@configclass
class _RslRlGrasp(RslRlOnPolicyRunnerCfg):
    seed = 0
    num_steps_per_env = 24
    max_iterations = 300
    save_interval = 50
    experiment_name = "warpgrasp_grasp"
    clip_actions = 1.0
    obs_groups = {"actor": ["policy"], "critic": ["policy"]}  # noqa: RUF012
    actor = RslRlMLPModelCfg(
        hidden_dims=[128, 64],
        activation="elu",
        obs_normalization=True,
        distribution_cfg=RslRlMLPModelCfg.GaussianDistributionCfg(init_std=0.15),
    )
    critic = RslRlMLPModelCfg(hidden_dims=[128, 64], activation="elu", obs_normalization=True)
    algorithm = _algorithm()


@configclass
class _RslRlLift(_RslRlGrasp):
    experiment_name = "warpgrasp_lift"
    actor = RslRlMLPModelCfg(
        hidden_dims=[256, 128],
        activation="elu",
        obs_normalization=True,
        distribution_cfg=RslRlMLPModelCfg.GaussianDistributionCfg(init_std=0.5),
    )


@configclass
class _RslRlApproach(_RslRlGrasp):
    experiment_name = "warpgrasp_approach"
    obs_groups = {"actor": ["policy", "points"], "critic": ["critic"]}  # noqa: RUF012
    actor = PointNetModelCfg(
        hidden_dims=[256, 128],
        activation="elu",
        obs_normalization=True,
        distribution_cfg=PointNetModelCfg.GaussianDistributionCfg(init_std=0.3),
    )
    critic = RslRlMLPModelCfg(hidden_dims=[256, 128], activation="elu", obs_normalization=True)


@configclass
class _RslRlApproachDepth(_RslRlApproach):
    experiment_name = "warpgrasp_approach_depth"
    obs_groups = {"actor": ["policy", "camera"], "critic": ["critic"]}  # noqa: RUF012
    actor = RslRlCNNModelCfg(
        hidden_dims=[256, 128],
        activation="elu",
        obs_normalization=True,
        distribution_cfg=RslRlCNNModelCfg.GaussianDistributionCfg(init_std=0.3),
        cnn_cfg=RslRlCNNModelCfg.CNNCfg(
            output_channels=[16, 32, 32], kernel_size=[5, 3, 3], stride=[2, 2, 2], activation="elu"
        ),
    )


@configclass
class _RslRlApproachDistillation(RslRlDistillationRunnerCfg):
    seed = 0
    num_steps_per_env = 42
    max_iterations = 20
    save_interval = 50
    experiment_name = "warpgrasp_approach_distillation"
    clip_actions = 1.0
    obs_groups = {"student": ["policy", "points"], "teacher": ["teacher"]}  # noqa: RUF012
    student = PointNetModelCfg(
        hidden_dims=[256, 128],
        activation="elu",
        obs_normalization=True,
        distribution_cfg=PointNetModelCfg.GaussianDistributionCfg(init_std=0.1),
    )
    teacher = RslRlMLPModelCfg(
        class_name=f"{_DISTILLATION}:TeacherInObservations", hidden_dims=[1], activation="elu"
    )
    algorithm = RslRlDistillationAlgorithmCfg(
        class_name=f"{_DISTILLATION}:WrittenTeacherDistillation",
        num_learning_epochs=5,
        learning_rate=1.0e-3,
        gradient_length=1,
        max_grad_norm=1.0,
    )


class RslRlGrasp(_RunsWhereTheSimulationRuns, _RslRlGrasp):
    """PPO with a small network. Actions are residuals: small exploration starts near the open-loop squeeze."""


class RslRlLift(_RunsWhereTheSimulationRuns, _RslRlLift):
    """The same with more exploration: the wrist has to learn to rise."""


class RslRlApproach(_RunsWhereTheSimulationRuns, _RslRlApproach):
    """A policy that sees points as a set, and a critic that sees pose, friction and mass, which the policy does not."""


class RslRlApproachDepth(_RunsWhereTheSimulationRuns, _RslRlApproachDepth):
    """The same with an image in place of the points, and a convolutional network for it."""


class RslRlApproachDistillation(_RunsWhereTheSimulationRuns, _RslRlApproachDistillation):
    """A student with the same network learns to do what a teacher that is told the pose would do."""
