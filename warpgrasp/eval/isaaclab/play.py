"""``python -m warpgrasp.eval.isaaclab.play TASK --checkpoint model.pt``: success of a policy, or of the open-loop squeeze.

Without a checkpoint all actions are zero, which is the open-loop squeeze of the grasp files: the baseline.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

import warpgrasp.eval.isaaclab as registration
from warpgrasp.eval.isaaclab.train import make_environment, make_runner

__all__ = ["PlayOptions", "main", "play"]


@dataclass(frozen=True, kw_only=True)
class PlayOptions:
    """Play a policy and count successes."""

    task: tyro.conf.Positional[str]
    """Registered id, for example WarpGrasp-Grasp-Allegro."""
    checkpoint: Path | None = None
    """Policy of rsl_rl; the open-loop squeeze when left out."""
    num_envs: int = 64
    """Worlds simulated side by side."""
    episodes: int = 256
    """Episodes to count."""
    seed: int = 1000
    """Seed of the resets and pushes."""
    device: str = "auto"
    """auto, cpu, cuda:0, ..."""
    grasps: Annotated[tuple[Path, ...], tyro.conf.UseAppendAction] = ()
    """Grasp files (repeatable); the shipped ones when left out."""
    physics: Literal["newton", "physx"] = "newton"
    """Physics engine; physx needs Isaac Sim."""
    options: dict[str, float] = field(default_factory=dict)
    """Further numeric options of the environment."""


def play(options: PlayOptions) -> tuple[float, int]:
    """Success rate and number of the episodes counted.

    Every world counts its first episodes, the same number each, so that short failures are not counted more often.

    Raises:
        ValueError: Unknown task or option.
        ImportError: Isaac Lab or rsl_rl is missing.
    """
    registration.require_isaaclab()
    import torch

    environment = make_environment(options)
    try:
        policy: Callable[[Any], Any]
        if options.checkpoint is None:
            size = environment.action_space.shape
            policy, step = (
                (lambda _: torch.zeros(size, device=environment.unwrapped.device)),
                environment.step,
            )
            observed = environment.reset()[0]
        else:
            runner, wrapped = make_runner(environment, options.task, None, options.seed)
            runner.load(str(options.checkpoint))
            policy, step = runner.get_inference_policy(device=str(wrapped.device)), wrapped.step
            environment.unwrapped.seed(options.seed)
            environment.reset()
            observed = wrapped.get_observations()
        return _count(environment.unwrapped, policy, step, observed, options.episodes)
    finally:
        environment.close()


def _count(world: Any, policy: Any, step: Any, observed: Any, episodes: int) -> tuple[float, int]:
    import torch

    wanted = max(-(-episodes // world.num_envs), 1)
    counted = torch.zeros(world.num_envs, dtype=torch.long, device=world.device)
    held = torch.zeros_like(counted)
    while bool((counted < wanted).any()):
        with torch.inference_mode():
            result = step(policy(observed))
        observed = result[0]
        ended = world.reset_buf & (counted < wanted)
        counted += ended.long()
        held += (ended & world.episode_succeeded).long()
    return float(held.sum() / counted.sum()), int(counted.sum())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = tyro.cli(PlayOptions, args=arguments, prog="python -m warpgrasp.eval.isaaclab.play")
    try:
        rate, count = play(options)
    except (ValueError, ImportError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    what = "open-loop squeeze" if options.checkpoint is None else str(options.checkpoint)
    sys.stdout.write(f"{options.task}: {what} succeeds in {100.0 * rate:.1f} % of {count} episodes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
