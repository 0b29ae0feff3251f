"""How hard the tasks are for each shipped hand: pushes and masses at which the open loop holds 30 to 50 % of the episodes.

A push that throws everything out of one hand does not move an object in another. The table of
``python -m warpgrasp.eval.isaaclab.scripted`` in ``docs/results/isaaclab_tasks.md`` shows what these numbers lead to.
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
    approach_force: float = 5.0
    """Pushes of Approach [N]."""


DIFFICULTY: dict[str, Difficulty] = {
    "ability_hand": Difficulty(push_force=2.0),
    "allegro": Difficulty(push_force=13.0),
    "barrett": Difficulty(push_force=9.0),
    "leap": Difficulty(push_force=5.0),
    "robotiq_2f140": Difficulty(push_force=1.0),
    "robotiq_3f": Difficulty(push_force=18.0),
    "shadow": Difficulty(push_force=0.7),
    "shadow_wristless": Difficulty(push_force=1.0),
}
"""By the name of the hand."""


def difficulty_of(hand: str) -> Difficulty:
    """The numbers of a hand; the default ones for a hand that is not shipped."""
    return DIFFICULTY.get(hand, Difficulty())
