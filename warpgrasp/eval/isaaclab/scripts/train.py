"""``python -m warpgrasp.eval.isaaclab.train TASK``: Isaac Lab's own training command with the options of the environments.

The work is done by ``isaaclab train``, which takes everything else (hydra overrides, video, several GPUs). Writes
checkpoints and TensorBoard logs to a folder named by the time of the start and prints it last.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

import warpgrasp.eval.isaaclab as registration
from warpgrasp.base.extras import install_extra

__all__ = ["TrainOptions", "main", "train"]


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
    """Learning library; skrl is an extra of its own, ``skrl``."""
    agent: Literal["ppo", "distillation"] = "ppo"
    """How rsl_rl learns: by trial, or (Approach) from a written teacher that is told the object's pose."""
    grasps: Annotated[tuple[Path, ...], tyro.conf.UseAppendAction] = ()
    """Grasp files (repeatable); the shipped ones when left out."""
    checkpoint: Path | None = None
    """Continue from here."""
    out: Path | None = None
    """Folder in which each training gets a folder of its own (default: logs/LIBRARY/TASK)."""
    physics: Literal["newton", "physx"] = "newton"
    """Physics engine; physx needs Isaac Sim."""
    cone: Literal["pyramidal", "elliptic"] = "pyramidal"
    """Friction cone (Newton); elliptic holds better."""
    options: dict[str, float] = field(default_factory=dict)
    """Further numeric options of the environment: --options push_force 3 episode_length_s 2."""

    @property
    def folder(self) -> Path:
        """Where the trainings lie."""
        return (self.out or Path("logs") / self.library / self.task).absolute()

    def arguments(self) -> list[str]:
        """The command line of ``isaaclab train`` that says the same.

        Raises:
            ValueError: Unknown task or option.
        """
        from warpgrasp.eval.isaaclab.envs.configs import make_config

        task, hand = registration.task_and_hand(self.task)
        if task == "Evaluate":
            raise ValueError(
                f"{self.task} replays grasps and has nothing to learn; take a Grasp, Lift or Approach task"
            )
        if self.library == "skrl" and task in registration.WITH_CURRICULUM:
            raise ValueError(f"{self.task} has an agent for rsl_rl only; leave --library out")
        if self.agent == "distillation" and (task != "Approach" or self.library != "rsl_rl"):
            raise ValueError(
                f"{self.task} has no teacher for {self.library}; take an Approach task and rsl_rl"
            )
        config = make_config(task, hand, **self.options)  # knows names and types of the options
        folder = self.folder
        words = ["--rl_library", self.library, "--task", self.task, "--num_envs", str(self.num_envs)]
        words += ["--seed", str(self.seed)]
        if self.device != "auto":
            words += ["--device", self.device]
        if self.iterations is not None:
            words += ["--max_iterations", str(self.iterations)]
        if self.checkpoint is not None:
            words += ["--checkpoint", str(self.checkpoint)]
        if self.agent == "distillation":  # at the full difficulty from the start: the teacher does not mind
            words += [
                "--agent",
                "rsl_rl_distillation_cfg_entry_point",
                "env.curriculum.difficulty.params.low=1.0",
            ]
        if self.library == "rsl_rl":
            words += ["--experiment_name", str(folder)]
        else:
            words += [f"agent.agent.experiment.directory={folder}"]
        words += [f"physics={'newton_mjwarp' if self.physics == 'newton' else 'isaacsim_physx'}"]
        words += [f"env.cone={self.cone}"]
        if self.grasps:
            words += [f"env.grasps={[str(path.absolute()) for path in self.grasps]!r}"]
        return words + [f"env.{name}={getattr(config, name)!r}" for name in self.options]


def train(options: TrainOptions) -> Path:
    """Train and return the folder with the checkpoints.

    Raises:
        ValueError: Unknown task or option.
        ImportError: Isaac Lab or the learning library is missing.
        RuntimeError: The training failed; Isaac Lab has said why.
    """
    registration.require_isaaclab()
    arguments = options.arguments()
    if options.library == "skrl" and importlib.util.find_spec("skrl") is None:
        raise ImportError(f"skrl is missing; {install_extra('skrl')}")
    from isaaclab_rl.entrypoints import run_train_cli

    before = _runs(options.folder)
    status = run_train_cli(arguments)
    made = sorted(_runs(options.folder) - before)
    if status or not made:
        raise RuntimeError(f"the training of {options.task} failed; see the messages of Isaac Lab above")
    return made[-1]


def _runs(folder: Path) -> set[Path]:
    return {path for path in folder.glob("*") if path.is_dir()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = tyro.cli(TrainOptions, args=arguments, prog="python -m warpgrasp.eval.isaaclab.train")
    try:
        folder = train(options)
    except (ValueError, ImportError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except RuntimeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"checkpoints  {folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
