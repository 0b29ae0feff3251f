"""Position drives of a hand's joints: what the asset says, or what somebody sets in its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from warpgrasp.hands.model import HandModel

__all__ = ["JointDrives", "asset_drives"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class JointDrives:
    """Position drives of the independent joints, arrays of shape [J]."""

    stiffness: FloatArray
    """[Nm/rad or N/m]."""
    damping: FloatArray
    """[Nm s/rad or N s/m]."""
    effort: FloatArray
    """Largest torque or force [Nm or N]."""
    armature: FloatArray
    """Rotor inertia seen at the joint [kg m^2 or kg]."""
    friction: FloatArray
    """Dry friction [Nm or N]."""


def asset_drives(hand: HandModel) -> JointDrives:
    """The drives as the hand's asset states them."""
    return JointDrives(
        stiffness=hand.dof_stiffness,
        damping=hand.dof_damping,
        effort=hand.dof_effort,
        armature=hand.dof_armature,
        friction=hand.dof_friction,
    )
