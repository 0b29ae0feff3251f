"""Configurations of the learning libraries, registered with the environments."""

from __future__ import annotations

from isaaclab.utils import configclass
from isaaclab_rl.rsl_rl import RslRlMLPModelCfg, RslRlOnPolicyRunnerCfg, RslRlPpoAlgorithmCfg

__all__ = ["RslRlGrasp", "RslRlLift"]


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


@configclass
class RslRlGrasp(RslRlOnPolicyRunnerCfg):
    """PPO with a small network. Actions are residuals: small exploration starts near the open-loop squeeze."""

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
class RslRlLift(RslRlGrasp):
    """The same with more exploration: the wrist has to learn to rise."""

    experiment_name = "warpgrasp_lift"
    actor = RslRlMLPModelCfg(
        hidden_dims=[256, 128],
        activation="elu",
        obs_normalization=True,
        distribution_cfg=RslRlMLPModelCfg.GaussianDistributionCfg(init_std=0.5),
    )
