"""How hard the tasks are for each shipped hand: masses, and pushes at which the open loop holds 30 to 50 % of Grasp.

A push that throws everything out of one hand does not move an object in another. The mass is what a hand of this strength
lifts: all its fingertips together can press with 50 times the weight of the object, those of the two Shadow Hands with 100
times (:func:`~warpgrasp.hands.fingertip_force.fingertip_forces`). How the pushes were found stands in
``docs/results/isaaclab_tasks.md``; ``benchmarks/task_difficulty.py`` measures them.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DIFFICULTY", "Difficulty", "difficulty_of"]


@dataclass(frozen=True)
class Difficulty:
    """Options of the tasks that depend on the hand."""

    object_mass: float = 0.1
    """Mass of the objects [kg]."""
    push_force: float = 5.0
    """Pushes of Grasp [N]."""
    approach_force: float = 1.0
    """Pushes of Approach [N]: what a hand holds that is where the grasp has it."""
    approach_noise: float = 0.03
    """How far the object of Approach is from where the hand expects it, at most [m]."""


DIFFICULTY: dict[str, Difficulty] = {
    "ability_hand": Difficulty(object_mass=0.06, push_force=1.8, approach_force=1.0),
    "allegro": Difficulty(object_mass=0.13, push_force=16.0, approach_force=3.0),
    "barrett": Difficulty(object_mass=0.12, push_force=15.0, approach_force=3.0),
    "leap": Difficulty(object_mass=0.074, push_force=6.5, approach_force=2.0, approach_noise=0.04),
    "robotiq_2f140": Difficulty(object_mass=0.067, push_force=0.7, approach_force=0.6),
    "robotiq_3f": Difficulty(object_mass=0.19, push_force=32.0, approach_force=6.0, approach_noise=0.04),
    "shadow": Difficulty(object_mass=0.06, push_force=1.0, approach_force=0.3),
    "shadow_wristless": Difficulty(object_mass=0.06, push_force=3.0, approach_force=0.5),
}
"""By the name of the hand."""


def difficulty_of(hand: str) -> Difficulty:
    """The numbers of a hand; the default ones for a hand that is not shipped."""
    return DIFFICULTY.get(hand, Difficulty())
