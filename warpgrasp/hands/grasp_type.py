"""Grasp types: data on the hand that says which parts touch, where a search starts and how soon it starts anew."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["PUBLISHED_RESET_THRESHOLD", "GraspType", "SeedPlace", "make_grasp_type"]

PUBLISHED_RESET_THRESHOLD = 0.8413
"""One standard deviation above the mean energy of a batch, as GraspQP publishes it."""
_PINCH_RESET_THRESHOLD = 0.5


class SeedPlace(enum.Enum):
    """Which part of the hand a seed grasp holds in front of the object."""

    WRIST = "wrist"
    """The wrist frame: the palm faces the object."""
    FINGERTIPS = "fingertips"
    """The middle of the fingertips at the opening pose: the object lies between them."""


@dataclass(frozen=True)
class GraspType:
    """Which patches take part in a grasp, where the joints of the other fingers stay [rad or m], and how to search for it."""

    name: str
    patch_names: tuple[str, ...]
    fingers: tuple[str, ...]
    """Fingers of the patches."""
    idle_joint_position: dict[str, float]
    required_fingers: tuple[str, ...] = ()
    """Fingers that must touch: each has a contact of its own; the other contacts may lie anywhere on the patches."""
    seed_place: SeedPlace = SeedPlace.WRIST
    """What seed grasps hold in front of the object."""
    reset_threshold: float = PUBLISHED_RESET_THRESHOLD
    """Quantile of a batch's energies above which MALA* starts a grasp anew, in [0.5, 1]; 1 never does."""

    def __post_init__(self) -> None:
        strangers = [finger for finger in self.required_fingers if finger not in self.fingers]
        if strangers:
            raise ValueError(
                f"grasp type '{self.name}' requires finger '{strangers[0]}', none of whose patches takes part; "
                f"require some of {', '.join(self.fingers)}"
            )
        if not 0.5 <= self.reset_threshold <= 1.0:
            raise ValueError(
                f"reset threshold of grasp type '{self.name}' must be in [0.5, 1] (got {self.reset_threshold})"
            )


def make_grasp_type(
    name: str,
    patch_names: tuple[str, ...],
    fingers: tuple[str, ...],
    idle_joint_position: dict[str, float],
    *,
    required_fingers: tuple[str, ...] | None = None,
    seed_place: str | None = None,
    reset_threshold: float | None = None,
) -> GraspType:
    """A grasp type; what is ``None``, because an asset does not say it, follows from the conventional names.

    All fingers of a grasp type must touch, but for ``power``. A ``pinch`` starts with the object between the fingertips and
    resets the worse half of a batch; every other type starts from the wrist and resets at the published threshold.

    Raises:
        ValueError: for a required finger that takes no part, an unknown place or a threshold outside [0.5, 1].
    """
    pinch = name == "pinch"
    if required_fingers is None:
        required_fingers = () if name == "power" else fingers
    else:  # in the order of the patches, whatever that of the asset
        strangers = tuple(finger for finger in required_fingers if finger not in fingers)
        required_fingers = (*(finger for finger in fingers if finger in required_fingers), *strangers)
    if seed_place is None:
        place = SeedPlace.FINGERTIPS if pinch else SeedPlace.WRIST
    elif seed_place not in [known.value for known in SeedPlace]:
        raise ValueError(
            f"seed place of grasp type '{name}' must be one of {', '.join(known.value for known in SeedPlace)} "
            f"(got '{seed_place}')"
        )
    else:
        place = SeedPlace(seed_place)
    if reset_threshold is None:
        reset_threshold = _PINCH_RESET_THRESHOLD if pinch else PUBLISHED_RESET_THRESHOLD
    return GraspType(
        name, patch_names, fingers, idle_joint_position, required_fingers, place, reset_threshold
    )
