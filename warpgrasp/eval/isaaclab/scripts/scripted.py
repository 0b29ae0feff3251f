"""``python -m warpgrasp.eval.isaaclab.scripted``: success of policies that are written down instead of learned.

They say how hard a task is before anybody trains: ``zero`` plays the grasp file, ``random`` explores, ``squeeze`` and
``open`` close and open the fingers as far as actions can, ``raise`` moves the wrist up once the hand has closed, and
``track`` moves the wrist by how far the object is from where the grasp has it, which the simulation knows: a bound for what
looking can gain. The table is printed as Markdown.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import tyro

import warpgrasp.eval.isaaclab as registration
from warpgrasp.eval.isaaclab.scripts.play import PlayOptions, successes
from warpgrasp.eval.isaaclab.scripts.policies import Policy, make_environment
from warpgrasp.hands import hand_names

if TYPE_CHECKING:
    import torch

__all__ = ["POLICIES", "Rate", "ScriptedOptions", "main", "markdown", "rates", "scripted_policy"]

POLICIES: tuple[str, ...] = ("zero", "random", "squeeze", "open", "raise", "track")
"""Names of the policies."""

_RAISE_SPEED = 0.12  # m/s; faster, the object is thrown rather than carried


@dataclass(frozen=True, kw_only=True)
class ScriptedOptions:
    """Success of scripted policies."""

    tasks: tuple[Literal["Grasp", "Lift", "Approach"], ...] = ("Grasp", "Lift")
    """Tasks."""
    hands: tuple[str, ...] = ()
    """Shipped hands; all when left out."""
    policies: tuple[Literal["zero", "random", "squeeze", "open", "raise", "track"], ...] = POLICIES  # type: ignore[assignment]
    """Policies; those that a task has no actions for are left out."""
    num_envs: int = 48
    """Worlds simulated side by side."""
    episodes: int = 48
    """Episodes of each policy."""
    seed: int = 1000
    """Seed of the resets, pushes and random actions; all policies play the same episodes."""
    device: str = "auto"
    """auto, cpu, cuda:0, ..."""
    physics: Literal["newton", "physx"] = "newton"
    """Physics engine; physx needs Isaac Sim."""
    cone: Literal["pyramidal", "elliptic"] = "pyramidal"
    """Friction cone (Newton)."""
    options: dict[str, float] = field(default_factory=dict)
    """Further numeric options of the environments."""


@dataclass(frozen=True)
class Rate:
    """Outcome of one policy on one task."""

    task: str
    hand: str
    policy: str
    success: float
    """Share of the episodes."""
    episodes: int
    diverged: int
    """Worlds whose state was no longer finite, counted over the policies played so far."""
    overflow: float
    """Share of the worlds whose contacts have not fitted, over the policies played so far."""


def scripted_policy(name: str, environment: Any, *, seed: int = 0) -> Policy:
    """A policy that is written down.

    Args:
        name: One of :data:`POLICIES`.
        environment: A learning task.
        seed: Of the random actions.

    Raises:
        ValueError: Unknown name, or one that the task has no actions for.
    """
    import torch

    from warpgrasp.eval.isaaclab.mdp import tracking_action

    if name not in POLICIES:
        raise ValueError(f"unknown policy {name!r}; choose from {', '.join(POLICIES)}")
    world = environment.unwrapped
    if not _possible(name, world):
        need = (
            "a height to rise to; take Lift"
            if name == "raise"
            else "wrist actions; take Approach or wrist=True"
        )
        raise ValueError(f"policy {name!r} needs {need} (got {type(world).__name__})")
    joints = world.joint_action_count
    generator = torch.Generator(device=world.device).manual_seed(seed)

    def act(_: Any) -> torch.Tensor:
        action = torch.zeros(world.num_envs, world.action_size, device=world.device)
        if name == "random":
            action.uniform_(-1.0, 1.0, generator=generator)
        elif name in ("squeeze", "open"):
            action[:, :joints] = world.closing_actions() * (1.0 if name == "squeeze" else -1.0)
        elif name == "raise":
            since = world.time - 2.0 * world.cfg.closing_time
            rising = (since > -1.0e-6) & (since * _RAISE_SPEED < world.cfg.goal_height)
            action[:, joints + 2] = rising * (_RAISE_SPEED * world.step_dt / world.cfg.wrist_position_scale)
        elif name == "track":
            action = tracking_action(world)
        return action

    return act


def _possible(name: str, world: Any) -> bool:
    if name == "raise":
        return hasattr(world.cfg, "goal_height")
    return name != "track" or (world.moves_wrist and not hasattr(world.cfg, "goal_height"))


def rates(options: ScriptedOptions, task: str, hand: str) -> list[Rate]:
    """Outcome of every policy on one task, shape [policies].

    Raises:
        ValueError: Unknown hand or option.
        ImportError: Isaac Lab is missing.
    """
    registration.require_isaaclab()
    names = {own: name for name, own in registration.environment_ids().items()}
    if (task, hand) not in names:
        raise ValueError(f"unknown hand {hand!r}; choose from {', '.join(hand_names())}")
    play = PlayOptions(
        task=names[task, hand], num_envs=options.num_envs, episodes=options.episodes, seed=options.seed,
        device=options.device, physics=options.physics, cone=options.cone, options=options.options,
    )  # fmt: skip
    environment = make_environment(play)
    try:
        return _played(options, environment, task, hand)
    finally:
        environment.close()


def _played(options: ScriptedOptions, environment: Any, task: str, hand: str) -> list[Rate]:
    found = []
    for name in options.policies:
        if not _possible(name, environment.unwrapped):
            continue
        policy = scripted_policy(name, environment, seed=options.seed)
        held = successes(environment, policy, episodes=options.episodes, seed=options.seed)
        world = environment.unwrapped
        overflow = float(world.adapter.worlds_overflowed().float().mean())
        found.append(
            Rate(task, hand, name, float(held.float().mean()), len(held), world.divergence_count, overflow)
        )
    return found


def markdown(found: Sequence[Rate]) -> str:
    """The outcomes as a Markdown table, one row per task and hand."""
    policies = list(dict.fromkeys(rate.policy for rate in found))
    lines = ["| Task | Hand | " + " | ".join(policies) + " |", "|---" * (2 + len(policies)) + "|"]
    by_name = {(rate.task, rate.hand, rate.policy): rate for rate in found}
    for task, hand in dict.fromkeys((rate.task, rate.hand) for rate in found):
        cells = [by_name.get((task, hand, policy)) for policy in policies]
        text = ["" if cell is None else f"{100.0 * cell.success:.0f} %" for cell in cells]
        lines.append(f"| {task} | {hand} | " + " | ".join(text) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = tyro.cli(ScriptedOptions, args=arguments, prog="python -m warpgrasp.eval.isaaclab.scripted")
    found: list[Rate] = []
    try:
        for task in options.tasks:
            for hand in options.hands or hand_names():
                own = rates(options, task, hand)
                found += own
                sys.stderr.write("".join(f"{dataclasses.asdict(rate)}\n" for rate in own))
    except (ValueError, ImportError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(markdown(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
