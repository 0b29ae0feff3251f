"""How to read a robot description, and what a conversion made of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from warpgrasp.base.ranges import POSITIVE, check_numbers
from warpgrasp.hands.convert.annotation_file import HandAnnotation
from warpgrasp.hands.convert.collision_pieces import PieceReport
from warpgrasp.hands.convert.propose.annotation import Guess
from warpgrasp.hands.model import HandModel

__all__ = ["Conversion", "ConvertConfig"]


@dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """How to read a robot description."""

    name: str = ""
    """Name of the hand; empty: that of the output folder."""
    root: str = ""
    """Link to start from, where the file also holds an arm or several roots; empty: the root of the file."""
    geometry: str = "collision"
    """collision or visual: which geometry of a link with both becomes convex pieces."""
    scale: float = 1.0
    """Factor on every length of the file (0.001 for a file in millimetres)."""
    mesh_scale: float = 1.0
    """Factor on mesh files only (0.001 where only they are in millimetres)."""
    package_path: tuple[Path, ...] = ()
    """Folders in which package://NAME and $(find NAME) are looked for, besides those beside and above the file."""
    density: float | None = None
    """kg/m^3 for links that state no mass; without it such links are refused."""
    joint_limits: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Limits [rad or m] for joints that have none: NAME LOWER UPPER."""
    mirror: bool = False
    """The source is the hand.usda of a converted hand; write its mirror image, a left hand from a right one."""
    fresh: bool = False
    """Propose the annotation again even where an annotation file exists."""
    picture: bool = True
    """Draw hand.png."""
    review: bool = False
    """Also write review.html, a page in which joints are moved, patches, fingers and the opening pose are changed, and the
    annotation file is saved."""

    def __post_init__(self) -> None:
        if self.geometry not in ("collision", "visual"):
            raise ValueError(f"geometry must be collision or visual (got '{self.geometry}')")
        check_numbers(self, "", scale=POSITIVE, mesh_scale=POSITIVE, density=POSITIVE)
        for joint, (lower, upper) in self.joint_limits.items():
            if not (math.isfinite(lower) and math.isfinite(upper) and lower <= upper):
                raise ValueError(
                    f"joint_limits of {joint} must be two finite numbers in order (got {lower} and {upper})"
                )


@dataclass(frozen=True, eq=False)
class Conversion:
    """What a conversion made: the loaded hand, the annotation, and what the report says."""

    hand: HandModel
    annotation: HandAnnotation
    kept_sections: tuple[str, ...]
    guesses: tuple[Guess, ...]
    pieces: tuple[PieceReport, ...]
    notes: tuple[str, ...]
    """What was assumed about masses and geometry."""
    warnings: tuple[str, ...] = ()
    """What a user should read: how the file was understood, and efforts that cannot be true."""
