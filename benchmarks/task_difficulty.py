"""How hard the learning tasks are for each hand: pushes, masses and errors of the position side by side in one environment.

    python benchmarks/task_difficulty.py --pushes 0.5 1 2                          # Grasp, zero actions, all hands
    python benchmarks/task_difficulty.py --task Lift --policies raise --masses 0.5 1 2
    python benchmarks/task_difficulty.py --task Approach --policies zero track --pushes 0.3 1 3 --noises 0 1

Pushes, masses and noises are factors of what the hand has in ``warpgrasp.eval.isaaclab.difficulty``. Every world has one
setting, which takes turns with those of the other worlds, and plays one episode per round. A table is printed as Markdown.
Needs Isaac Lab (``pip install "warpgrasp[isaaclab]"``).
"""

from __future__ import annotations

import itertools
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Literal

import tyro

from warpgrasp.hands import hand_names


@dataclass(frozen=True, kw_only=True)
class Options:
    """Settings to compare."""

    task: Literal["Grasp", "Lift", "Approach"] = "Grasp"
    """Task."""
    hands: tuple[str, ...] = ()
    """Shipped hands; all when left out."""
    policies: tuple[str, ...] = ("zero",)
    """Scripted policies (``python -m warpgrasp.eval.isaaclab.scripted``)."""
    pushes: tuple[float, ...] = (1.0,)
    """Factors of the hand's push."""
    masses: tuple[float, ...] = (1.0,)
    """Factors of the object's mass."""
    noises: tuple[float, ...] = (1.0,)
    """Factors of how far the object is from where the hand expects it."""
    episodes: int = 48
    """Episodes of each setting."""
    num_envs: int = 96
    """Worlds side by side, about; they are divided evenly between settings and objects."""
    seed: int = 500
    """Seed of the episodes."""
    device: str = "cpu"
    """cpu or cuda:0."""
    by_object: bool = False
    """Tell the objects apart."""
    options: dict[str, float] = field(default_factory=dict)
    """Further numeric options of the environment."""


@dataclass(frozen=True)
class Setting:
    """What a world has, as factors."""

    push: float
    mass: float
    noise: float


def main() -> int:
    """Play and print."""
    options = tyro.cli(Options, description=__doc__)
    print(
        "| Hand | Policy | Push [N] | Mass [kg] | Error [cm] | Success |\n|---|---|---|---|---|---|",
        flush=True,
    )
    for hand in options.hands or hand_names():
        started = time.process_time()
        _hand(options, hand)
        print(f"{hand}: {time.process_time() - started:.0f} s of the processor", file=sys.stderr, flush=True)
    return 0


def _hand(options: Options, hand: str) -> None:
    import gymnasium
    import torch

    from warpgrasp.eval.isaaclab import environment_ids
    from warpgrasp.eval.isaaclab.scripts.scripted import scripted_policy

    if options.device == "cpu":
        torch.set_num_threads(1)
    names = {own: name for name, own in environment_ids().items()}
    settings = [Setting(*row) for row in itertools.product(options.pushes, options.masses, options.noises)]
    extra: dict[str, Any] = {} if options.task != "Approach" else {"curriculum": None, "objects": "train"}
    objects = 2 if options.task == "Approach" else 3
    share = len(settings) * objects
    worlds = share * max(options.num_envs // share, 1)
    environment = gymnasium.make(
        names[options.task, hand], num_envs=worlds, device=options.device, **extra, **options.options
    )
    world = environment.unwrapped
    which = (torch.arange(worlds) // objects) % len(settings)
    _give(world, [settings[index] for index in which.tolist()])
    rounds = max(round(options.episodes * len(settings) / worlds), 1)
    for name in options.policies:
        policy = scripted_policy(name, environment, seed=options.seed)
        held = _held(environment, policy, rounds, options.seed)
        for index, setting in enumerate(settings):
            own = held[:, which == index]
            parts = [f"{100 * _mean(own):.0f} ± {100 * _error(own):.0f} %"]
            if options.by_object:
                of = world.world_object.cpu()[which == index]
                for number in of.unique().tolist():
                    name_of = world.pool.models[number].name
                    parts.append(f"{name_of} {100 * _mean(own[:, of == number]):.0f} %")
            push = getattr(world.cfg, "push_force", 0.0) * setting.push
            mass = world.cfg.object_mass * setting.mass
            error = 100 * world.cfg.position_noise * setting.noise
            print(
                f"| {hand} | {name} | {push:.3g} | {mass:.3g} | {error:.2g} | {', '.join(parts)} of {own.numel()} |",
                flush=True,
            )
    environment.close()


def _give(world: Any, settings: list[Setting]) -> None:
    """Every world its setting; the inertia goes with the mass."""
    import torch

    world.push_scale[:] = torch.tensor([setting.push for setting in settings])
    world.noise_scale[:] = torch.tensor([setting.noise for setting in settings])
    factor = torch.tensor([[setting.mass] for setting in settings], device=world.device)
    thing = world.scene["object"]
    mass, inertia = thing.data.body_mass.torch.clone(), thing.data.body_inertia.torch.clone()
    thing.set_masses_index(masses=mass * factor)
    thing.set_inertias_index(inertias=inertia * factor[:, :, None])


def _held(environment: Any, policy: Any, rounds: int, seed: int) -> Any:
    """Whether the episodes succeed, shape [rounds, W]."""
    from warpgrasp.eval.isaaclab.scripts.play import successes

    worlds = environment.unwrapped.num_envs
    return successes(environment, policy, episodes=rounds * worlds, seed=seed).reshape(rounds, worlds)


def _mean(held: Any) -> float:
    return float(held.double().mean())


def _error(held: Any) -> float:
    """Standard error of the share."""
    rate = _mean(held)
    return float((rate * (1.0 - rate) / held.numel()) ** 0.5)


if __name__ == "__main__":
    sys.exit(main())
