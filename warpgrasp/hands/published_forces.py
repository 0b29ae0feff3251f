"""How hard robot hands press, by what their makers publish: from this it follows which effort limits can be true.

Every row was read at its source; ``docs/howto/hands_in_practice.md`` shows them. The rules are computed from the rows, so
that whoever knows more adds a row instead of a rule.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["PUBLISHED", "PublishedForce", "largest_force", "typical_force"]

_SCATTER = 2.0  # by which a hand may exceed the best published force per mass
_GRIPPER_FINGERS = 2


@dataclass(frozen=True)
class PublishedForce:
    """What a maker, or somebody with a force meter, publishes of a hand or gripper."""

    name: str
    gripper: bool
    """Two jaws, which press against each other."""
    force: float
    """Largest force of a fingertip or a jaw [N]."""
    mass: float | None
    """[kg]; None where the source does not tell."""
    source: str
    """Where it is written."""


_EMANUAL = "https://emanual.robotis.com/docs/"
_MARA = "https://github.com/AcutronicRobotics/robotiq_modular_gripper"
PUBLISHED = (
    PublishedForce("ROBOTIS 3 Finger Hand PHN-33B", False, 19.6, 0.4, f"{_EMANUAL}kr/platform/robothand_rx28"),
    PublishedForce("ROBOTIS 3 Finger Hand PHN-33C", False, 16.7, 0.4, f"{_EMANUAL}kr/platform/robothand_mx28"),
    PublishedForce(
        "DLR Hand II", False, 30.0, 1.8,
        "http://www.dlr.de/rmc/rm/desktopdefault.aspx/tabid-3802/6102_read-8922/usetemplate-print/",
    ),
    PublishedForce("DexHand 021", False, 10.0, 1.0, "https://arxiv.org/abs/2511.03481"),
    PublishedForce(
        "Robotiq 3-Finger", False, 60.0, 2.5,
        "instruction manual 2014, page 47 (force); https://github.com/ros-industrial/robotiq, articulated URDF (mass)",
    ),
    PublishedForce(
        "Inspire RH56DFX, index finger, measured", False, 7.06, None, "https://github.com/correlllab/rh56_controller"
    ),
    PublishedForce("Robotiq Hand-E", True, 130.0, 1.0, _MARA),
    PublishedForce("Robotiq 2F-85", True, 235.0, 0.9, _MARA),
    PublishedForce("Robotiq 2F-140", True, 125.0, 1.0, _MARA),
    PublishedForce(
        "DH-Robotics AG-95", True, 160.0, 1.0, "https://github.com/TrossenRobotics/dobot_cr_cobots_docs"
    ),
    PublishedForce("ROBOTIS RH-P12-RN", True, 170.0, 0.51, f"{_EMANUAL}en/platform/rh_p12_rn"),
)  # fmt: skip


def largest_force(mass: float, fingers: int) -> float:
    """Force [N] beyond which a fingertip of a hand of this mass [kg] cannot be true.

    Twice the best published force per mass, and never less than the largest published force, because files often leave
    out a part of the mass. Two fingers are a gripper.
    """
    rows = _of_kind(fingers)
    return max(_SCATTER * max(_per_mass(rows)) * mass, max(row.force for row in rows))


def typical_force(mass: float, fingers: int) -> float:
    """Force [N] of a fingertip of hands of this mass [kg]: the median published force per mass, within published forces."""
    rows = _of_kind(fingers)
    least, most = min(row.force for row in PUBLISHED), max(row.force for row in rows)
    return float(np.clip(np.median(_per_mass(rows)) * mass, least, most))


def _of_kind(fingers: int) -> list[PublishedForce]:
    return [row for row in PUBLISHED if row.gripper == (fingers <= _GRIPPER_FINGERS)]


def _per_mass(rows: list[PublishedForce]) -> list[float]:
    return [row.force / row.mass for row in rows if row.mass is not None]
