"""``python -m warpgrasp.eval.isaaclab.play TASK --checkpoint model.pt``: success of a policy, or of the open-loop squeeze.

Without a checkpoint all actions are zero, which is the open-loop squeeze of the grasp files: the baseline.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

import warpgrasp.eval.isaaclab as registration
from warpgrasp.eval.isaaclab.scripts.policies import Policy, load_policy, make_environment
from warpgrasp.eval.isaaclab.video import check_video_path, write_video

if TYPE_CHECKING:
    import torch

__all__ = ["PlayOptions", "main", "play", "successes"]


@dataclass(frozen=True, kw_only=True)
class PlayOptions:
    """Play a policy and count successes."""

    task: tyro.conf.Positional[str]
    """Registered id, for example WarpGrasp-Grasp-Allegro."""
    checkpoint: Path | None = None
    """Policy; the open-loop squeeze when left out."""
    library: Literal["rsl_rl", "skrl"] = "rsl_rl"
    """Library that trained it."""
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
    cone: Literal["pyramidal", "elliptic"] = "pyramidal"
    """Friction cone (Newton); the one of the training."""
    video: Path | None = None
    """Write the first world's first episode as an animation (.webp, .gif or .png), seen by Newton's camera."""
    options: dict[str, float] = field(default_factory=dict)
    """Further numeric options of the environment."""


def play(options: PlayOptions) -> torch.Tensor:
    """Success of every episode counted, shape [episodes], bool; see :func:`successes`.

    Raises:
        ValueError: Unknown task or option.
        ImportError: Isaac Lab or the learning library is missing.
    """
    registration.require_isaaclab()
    if options.video is not None:
        check_video_path(options.video)
    environment = make_environment(options)
    frames: list[Any] | None = None if options.video is None else []
    try:
        policy = None
        if options.checkpoint is not None:
            policy = load_policy(
                environment,
                task=options.task,
                checkpoint=options.checkpoint,
                library=options.library,
                seed=options.seed,
            )
        held = successes(environment, policy, episodes=options.episodes, seed=options.seed, frames=frames)
        if options.video is not None and frames is not None:
            write_video(options.video, frames, seconds_per_frame=environment.unwrapped.step_dt)
        return held
    finally:
        environment.close()


def successes(
    environment: Any,
    policy: Policy | None,
    *,
    episodes: int,
    seed: int,
    frames: list[Any] | None = None,
) -> torch.Tensor:
    """Whether each of ``episodes`` episodes succeeds under a policy; zero actions without one.

    Every world plays one episode per round, so that short failures are not counted more often, and the seed of a round
    fixes where its episodes start and how they are pushed: two policies play the same episodes. ``frames`` gets a picture of
    every step of the first world's first episode.

    Returns:
        Shape [episodes], bool.
    """
    import torch

    world = environment.unwrapped
    still = torch.zeros(world.num_envs, world.action_size, device=world.device)
    rounds = []
    for index in range(-(-episodes // world.num_envs)):
        world.seed(seed + index)
        observed = environment.reset()[0]
        running, held = torch.ones(2, world.num_envs, dtype=torch.bool, device=world.device)
        while bool(running.any()):
            with torch.inference_mode():
                action = still if policy is None else policy(observed)
            observed = environment.step(action)[0]
            if frames is not None and index == 0 and bool((running & ~world.reset_buf)[0]):
                frames.append(world.render())
            held = torch.where(running & world.reset_buf, world.episode_succeeded, held)
            running = running & ~world.reset_buf
        rounds.append(held.clone())
    return torch.cat(rounds)[:episodes].cpu()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = tyro.cli(PlayOptions, args=arguments, prog="python -m warpgrasp.eval.isaaclab.play")
    try:
        held = play(options)
    except (ValueError, ImportError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    what = "open-loop squeeze" if options.checkpoint is None else str(options.checkpoint)
    rate = float(held.float().mean())
    spread = (rate * (1.0 - rate) / len(held)) ** 0.5
    sys.stdout.write(
        f"{options.task}: {what} succeeds in {100.0 * rate:.1f} +- {100.0 * spread:.1f} % of {len(held)} episodes\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
