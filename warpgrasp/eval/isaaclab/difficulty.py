"""How hard the tasks are for each shipped hand: pushes at which the open loop holds 30 to 50 % of the episodes of Grasp.

A push that throws everything out of one hand does not move an object in another. How they were found stands in
``docs/results/isaaclab_tasks.md``. Those of Approach are measured for the 2F-140 and Allegro and by eye for the others; the
mass is the same for all hands.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DIFFICULTY", "Difficulty", "difficulty_of"]


@dataclass(frozen=True)
class Difficulty:
    """Options of the tasks that depend on the hand."""

    push_force: float = 5.0
    """Pushes of Grasp on an object of 0.1 kg [N]."""
    lift_mass: float = 0.1
    """Mass of the objects of Lift [kg]."""
    approach_force: float = 1.0
    """Pushes of Approach on an object of 0.1 kg [N]: what a hand holds that is where the grasp has it."""
    approach_noise: float = 0.03
    """How far the object of Approach is from where the hand expects it, at most [m]."""


DIFFICULTY: dict[str, Difficulty] = {
    "ability_hand": Difficulty(push_force=3.0, approach_force=1.0),
    "allegro": Difficulty(push_force=13.0, approach_force=3.0),
    "barrett": Difficulty(push_force=15.0, approach_force=3.0),
    "leap": Difficulty(push_force=6.0, approach_force=3.0),
    "robotiq_2f140": Difficulty(push_force=1.1, approach_force=0.6),
    "robotiq_3f": Difficulty(push_force=34.0, approach_force=6.0),
    "shadow": Difficulty(push_force=0.5, approach_force=0.3, approach_noise=0.02),
    "shadow_wristless": Difficulty(push_force=2.0, approach_force=0.5, approach_noise=0.02),
}
"""By the name of the hand."""


def difficulty_of(hand: str) -> Difficulty:
    """The numbers of a hand; the default ones for a hand that is not shipped."""
    return DIFFICULTY.get(hand, Difficulty())
