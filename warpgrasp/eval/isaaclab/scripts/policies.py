"""Environments and policies of the learning libraries, as the command ``play`` loads them."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import warpgrasp.eval.isaaclab as registration
from warpgrasp.base.extras import install_extra

__all__ = ["Policy", "load_policy", "make_environment"]

Policy = Callable[[Any], Any]
"""Actions [W, A] for the observations of an environment."""


def make_environment(options: Any) -> Any:
    """The environment of a command line.

    Args:
        options: Has the fields ``task``, ``num_envs``, ``device``, ``seed``, ``physics``, ``cone``, ``grasps`` and
            ``options`` of :class:`~warpgrasp.eval.isaaclab.scripts.play.PlayOptions`; ``objects`` is left at ``all`` where it
            has none.

    Raises:
        ValueError: Unknown task or option.
    """
    import gymnasium

    task, _ = registration.task_and_hand(options.task)
    if options.physics == "physx":
        _start_isaac_sim()
    given: dict[str, Any] = dict(options.options)
    if options.grasps:
        given["grasps"] = [str(path) for path in options.grasps]
    if task in registration.WITH_CURRICULUM:
        given["curriculum"] = None  # what is counted is played at the full difficulty
        given["objects"] = getattr(options, "objects", "all")
    return gymnasium.make(
        options.task,
        num_envs=options.num_envs,
        device=options.device,
        seed=options.seed,
        physics=options.physics,
        cone=options.cone,
        render_mode="rgb_array" if getattr(options, "video", None) is not None else None,
        **given,
    )


def _start_isaac_sim() -> None:
    """Start the application that PhysX lives in; without Isaac Sim the environment says what is missing."""
    if importlib.util.find_spec("isaacsim") is not None:
        importlib.import_module("isaaclab.app").AppLauncher(headless=True)


def load_policy(environment: Any, *, task: str, checkpoint: Path, library: str, seed: int) -> Policy:
    """The mean action of a checkpoint's policy.

    Args:
        environment: What :func:`make_environment` made.
        task: Registered id; chooses the agent's configuration.
        checkpoint: File of the learning library.
        library: ``rsl_rl`` or ``skrl``.
        seed: Seed of the runner.

    Raises:
        ImportError: The learning library is missing.
        ValueError: Unknown task, or one without a policy.
    """
    import gymnasium

    registration.task_and_hand(task)
    agent = f"{library}_distillation" if library == "rsl_rl" and _has_student(checkpoint) else library
    entry = gymnasium.spec(task).kwargs.get(f"{agent}_cfg_entry_point")
    if entry is None:
        raise ValueError(f"{task} has no agent for {library}; take another task, or rsl_rl")
    load = _skrl_policy if library == "skrl" else _rsl_rl_policy
    return load(environment, entry, checkpoint, seed)


def _has_student(checkpoint: Path) -> bool:
    """Whether the checkpoint is of a policy that learned from a teacher."""
    import torch

    return "student_state_dict" in torch.load(checkpoint, map_location="cpu", weights_only=True)


def _rsl_rl_policy(environment: Any, entry: str, checkpoint: Path, seed: int) -> Policy:
    from isaaclab_rl.rsl_rl import RslRlVecEnvWrapper, create_rsl_rl_runner, handle_deprecated_rsl_rl_cfg
    from tensordict import TensorDict  # type: ignore[import-not-found, unused-ignore]

    module, _, name = entry.partition(":")
    cfg = getattr(importlib.import_module(module), name)()
    cfg.seed = seed
    cfg = handle_deprecated_rsl_rl_cfg(cfg, importlib.metadata.version("rsl-rl-lib"))
    wrapped = RslRlVecEnvWrapper(environment, clip_actions=cfg.clip_actions)
    runner = create_rsl_rl_runner(wrapped, cfg)
    runner.load(str(checkpoint))
    policy = runner.get_inference_policy(device=str(wrapped.device))
    return lambda observed: policy(TensorDict(observed, batch_size=[wrapped.num_envs]))


def _skrl_policy(environment: Any, entry: str, checkpoint: Path, seed: int) -> Policy:
    try:
        from skrl.utils.runner.torch import Runner
    except ImportError as error:
        raise ImportError(f"skrl is missing; {install_extra('skrl')}") from error
    import yaml
    from isaaclab_rl.skrl import SkrlVecEnvWrapper

    cfg = yaml.safe_load((Path(__file__).parents[1] / entry.partition(":")[2]).read_text())
    cfg["seed"] = seed
    cfg["agent"]["experiment"].update(write_interval=0, checkpoint_interval=0)
    agent = Runner(SkrlVecEnvWrapper(environment, ml_framework="torch"), cfg).agent
    agent.load(str(checkpoint))
    agent.enable_training_mode(False)

    def act(observed: Any) -> Any:
        _, outputs = agent.act(observed["policy"], None, timestep=0, timesteps=0)
        return outputs["mean_actions"].clamp(-1.0, 1.0)

    return act
