"""``python -m warpgrasp.eval.isaaclab.train TASK``: PPO on one of the environments, with rsl_rl's or skrl's own runner.

Writes checkpoints and TensorBoard logs to ``logs/<library>/<experiment>/<time>`` and prints the folder last.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

import warpgrasp.eval.isaaclab as registration

__all__ = ["TrainOptions", "main", "make_environment", "make_runner", "make_skrl_runner", "train"]


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Train a policy."""

    task: tyro.conf.Positional[str]
    """Registered id, for example WarpGrasp-Grasp-Allegro."""
    num_envs: int = 64
    """Worlds simulated side by side."""
    iterations: int | None = None
    """PPO iterations; the agent configuration's when left out."""
    seed: int = 0
    """Seed of environment and agent."""
    device: str = "auto"
    """auto, cpu, cuda:0, ..."""
    library: Literal["rsl_rl", "skrl"] = "rsl_rl"
    """Learning library; skrl is an extra of its own: pip install 'warpgrasp[skrl]'."""
    grasps: Annotated[tuple[Path, ...], tyro.conf.UseAppendAction] = ()
    """Grasp files (repeatable); the shipped ones when left out."""
    checkpoint: Path | None = None
    """Continue from here."""
    out: Path | None = None
    """Folder of logs and checkpoints."""
    physics: Literal["newton", "physx"] = "newton"
    """Physics engine; physx needs Isaac Sim."""
    cone: Literal["pyramidal", "elliptic"] = "pyramidal"
    """Friction cone (Newton); elliptic holds better and costs time per possible contact on the CPU."""
    options: dict[str, float] = field(default_factory=dict)
    """Further numeric options of the environment: --options push_force 3 episode_length_s 2."""

    @property
    def folder(self) -> Path:
        """Where logs go."""
        stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        return self.out or Path("logs") / self.library / self.task / f"{stamp}_seed{self.seed}"


def make_environment(options: Any) -> Any:
    """The environment of a command line."""
    import gymnasium

    ids = registration.environment_ids()
    if options.task not in ids:
        raise ValueError(f"unknown task {options.task!r}; choose from {', '.join(ids)}")
    if options.physics == "physx":
        _start_isaac_sim()
    given: dict[str, Any] = dict(options.options)
    if options.grasps:
        given["grasps"] = [str(path) for path in options.grasps]
    return gymnasium.make(
        options.task,
        num_envs=options.num_envs,
        device=options.device,
        seed=options.seed,
        physics=options.physics,
        cone=options.cone,
        **given,
    )


def _start_isaac_sim() -> None:
    """Start the application that PhysX lives in; without Isaac Sim the environment says what is missing."""
    if importlib.util.find_spec("isaacsim") is not None:
        importlib.import_module("isaaclab.app").AppLauncher(headless=True)


def make_runner(environment: Any, task: str, folder: Path | None, seed: int) -> tuple[Any, Any]:
    """rsl_rl's runner and the wrapped environment."""
    from isaaclab_rl.rsl_rl import RslRlVecEnvWrapper, create_rsl_rl_runner, handle_deprecated_rsl_rl_cfg

    from warpgrasp.eval.isaaclab.envs import agents

    kind = registration.environment_ids()[task][0]
    cfg = getattr(agents, f"RslRl{kind}")()
    cfg.seed, cfg.device = seed, str(environment.unwrapped.device)
    cfg = handle_deprecated_rsl_rl_cfg(cfg, _version("rsl-rl-lib"))
    wrapped = RslRlVecEnvWrapper(environment, clip_actions=cfg.clip_actions)
    return create_rsl_rl_runner(wrapped, cfg, log_dir=None if folder is None else str(folder)), wrapped


def train(options: TrainOptions) -> Path:
    """Train and return the folder with the checkpoints.

    Raises:
        ValueError: Unknown task or option.
        ImportError: Isaac Lab or the learning library is missing.
    """
    registration.require_isaaclab()
    folder = options.folder
    environment = make_environment(options)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "options.json").write_text(json.dumps(vars(options), default=str, indent=1))
    try:
        if options.library == "skrl":
            runner = make_skrl_runner(environment, options.task, folder, options.seed, options.iterations)
            if options.checkpoint is not None:
                runner.agent.load(str(options.checkpoint))
            runner.run("train")
        else:
            runner, _ = make_runner(environment, options.task, folder, options.seed)
            if options.checkpoint is not None:
                runner.load(str(options.checkpoint))
            iterations = options.iterations or runner.cfg["max_iterations"]
            runner.learn(num_learning_iterations=iterations, init_at_random_ep_len=True)
    finally:
        environment.close()
    return folder


def make_skrl_runner(
    environment: Any, task: str, folder: Path | None, seed: int, iterations: int | None = None
) -> Any:
    """The runner of skrl.

    Raises:
        ImportError: skrl is missing.
    """
    try:
        from skrl.utils.runner.torch import Runner
    except ImportError as error:
        raise ImportError("skrl is missing: pip install 'warpgrasp[skrl]'") from error
    import yaml
    from isaaclab_rl.skrl import SkrlVecEnvWrapper

    kind = registration.environment_ids()[task][0].lower()
    cfg = yaml.safe_load((Path(__file__).parents[1] / f"skrl_{kind}.yaml").read_text())
    cfg["seed"] = seed
    experiment = cfg["agent"]["experiment"]
    if folder is None:
        experiment.update(write_interval=0, checkpoint_interval=0)
    else:
        experiment.update(directory=str(folder.parent), experiment_name=folder.name)
    if iterations is not None:
        cfg["trainer"]["timesteps"] = iterations * cfg["agent"]["rollouts"]
    return Runner(SkrlVecEnvWrapper(environment, ml_framework="torch"), cfg)


def _version(package: str) -> str:
    import importlib.metadata

    return importlib.metadata.version(package)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = tyro.cli(TrainOptions, args=arguments, prog="python -m warpgrasp.eval.isaaclab.train")
    try:
        folder = train(options)
    except (ValueError, ImportError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"checkpoints  {folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
