"""``python -m warpgrasp.eval.isaaclab.replay TASK --checkpoint model.pt``: what a policy gains by looking.

The *replay ablation*: the policy plays held-out episodes, and its mean action at each time step is remembered. Then these
mean actions play the same episodes blind. What the policy holds more than its replay it owes to what it sees.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

import warpgrasp.eval.isaaclab as registration
from warpgrasp.base.atomic_file import replace_file
from warpgrasp.eval.isaaclab.scripts.play import PlayOptions, successes
from warpgrasp.eval.isaaclab.scripts.policies import Policy, load_policy, make_environment
from warpgrasp.eval.isaaclab.scripts.scripted import scripted_policy

if TYPE_CHECKING:
    import torch

__all__ = ["Recorder", "ReplayAblation", "ReplayOptions", "main", "replay_ablation", "replay_policy"]


@dataclass(frozen=True, kw_only=True)
class ReplayOptions(PlayOptions):
    """Play a policy and its mean actions on the same episodes."""

    objects: Literal["held_out", "train", "all"] = "held_out"
    """Objects of Approach: those that training has not seen, the others, or all."""
    policy: str = ""
    """A scripted policy instead of a checkpoint, such as track."""
    out: Path | None = None
    """File for the result (json)."""


@dataclass(frozen=True)
class ReplayAblation:
    """Success of a policy and of its mean actions on equal episodes."""

    policy: float
    """Share of the episodes."""
    replay: float
    """Share of the episodes."""
    zero: float
    """Share of the episodes that zero actions hold."""
    gain: float
    """Paired difference of policy and replay: the metric."""
    gain_error: float
    """Its standard error."""
    episodes: int

    @classmethod
    def of(cls, policy: torch.Tensor, replay: torch.Tensor, zero: torch.Tensor) -> ReplayAblation:
        """From the success of equal episodes, each [N] bool."""
        difference = policy.double() - replay.double()
        error = float(difference.std()) / len(difference) ** 0.5 if len(difference) > 1 else float("nan")
        mean = float(difference.mean())
        shares = [float(held.double().mean()) for held in (policy, replay, zero)]
        return cls(shares[0], shares[1], shares[2], mean, error, len(difference))

    def sentence(self) -> str:
        """The result in words."""
        return (
            f"policy {100 * self.policy:.1f} %, its replay {100 * self.replay:.1f} %, zero actions "
            f"{100 * self.zero:.1f} % of {self.episodes} equal episodes: looking gains {100 * self.gain:+.1f} +- "
            f"{100 * self.gain_error:.1f} points"
        )


class Recorder:
    """A policy whose mean action at each time step is remembered.

    Args:
        environment: The environment it plays in.
        policy: The policy.
    """

    def __init__(self, environment: Any, policy: Policy) -> None:
        self._world, self._policy = environment.unwrapped, policy
        steps = self._world.max_episode_length + 1
        self._sum = self._world.actions.new_zeros(steps, self._world.action_size)
        self._count = self._world.actions.new_zeros(steps, 1)

    def __call__(self, observed: Any) -> torch.Tensor:
        """The action, as the policy says."""
        action: torch.Tensor = self._policy(observed).clamp(-1.0, 1.0)
        self._sum.index_add_(0, self._world.steps, action)
        self._count.index_add_(0, self._world.steps, self._count.new_ones(len(action), 1))
        return action

    def mean(self) -> torch.Tensor:
        """Mean action of each time step, shape [steps, A]."""
        return self._sum / self._count.clamp(min=1.0)


def replay_policy(environment: Any, actions: torch.Tensor) -> Policy:
    """Actions [steps, A] that depend on nothing but the time since the reset."""
    world = environment.unwrapped
    return lambda _: actions[world.steps]


def replay_ablation(
    environment: Any, policy: Policy, *, episodes: int, seed: int, zero: torch.Tensor | None = None
) -> ReplayAblation:
    """Play a policy, its mean actions and zero actions on the same episodes.

    Args:
        environment: A learning task.
        policy: The policy.
        episodes: Episodes of each.
        seed: Of the episodes; training must not have seen it.
        zero: Success of zero actions on these episodes, shape [episodes]; played when ``None``.
    """
    recorder = Recorder(environment, policy)
    held = successes(environment, recorder, episodes=episodes, seed=seed)
    blind = successes(environment, replay_policy(environment, recorder.mean()), episodes=episodes, seed=seed)
    if zero is None:
        zero = successes(environment, None, episodes=episodes, seed=seed)
    return ReplayAblation.of(held, blind, zero)


def run(options: ReplayOptions) -> ReplayAblation:
    """The ablation of a checkpoint or of a scripted policy.

    Raises:
        ValueError: Unknown task, option or policy, or neither checkpoint nor policy.
        ImportError: Isaac Lab or the learning library is missing.
    """
    registration.require_isaaclab()
    if (options.checkpoint is None) == (not options.policy):
        raise ValueError("name either --checkpoint or a scripted --policy; zero actions are their own replay")
    environment = make_environment(options)
    try:
        if options.checkpoint is None:
            policy = scripted_policy(options.policy, environment, seed=options.seed)
        else:
            policy = load_policy(
                environment,
                task=options.task,
                checkpoint=options.checkpoint,
                library=options.library,
                seed=options.seed,
            )
        return replay_ablation(environment, policy, episodes=options.episodes, seed=options.seed)
    finally:
        environment.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = tyro.cli(ReplayOptions, args=arguments, prog="python -m warpgrasp.eval.isaaclab.replay")
    try:
        found = run(options)
    except (ValueError, ImportError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    if options.out is not None:
        with replace_file(options.out) as temporary:
            temporary.write_text(json.dumps(dataclasses.asdict(found)))
    sys.stdout.write(f"{options.task}: {found.sentence()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
