"""Joint drives of a hand under a protocol: what the protocol sets, what the asset says, what a time step resolves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from warpgrasp.hands.joint_drives import JointDrives

if TYPE_CHECKING:
    from warpgrasp.eval.protocol.protocols import Protocol
    from warpgrasp.hands.model import HandModel

__all__ = ["joint_drives"]

FloatArray = NDArray[np.float64]


def joint_drives(hand: HandModel, protocol: Protocol) -> JointDrives:
    """Drives of ``hand`` under ``protocol``; what the protocol leaves open is the asset's.

    A protocol that sets the stiffness alone keeps the asset's damping ratio: damping goes with the root of the stiffness.

    The armature is at least ``stiffness * time_step^2`` unless the protocol says another. The drives of our engines are
    explicit in position: lighter joints without damping oscillate against their own drive within a step and throw the object
    out. ``benchmarks/evaluate.py --time-step 0.001`` compares with a step that resolves a light rotor. The scene gives it to
    the joints that follow by a coupling too.
    """
    drive = protocol.drive_of(hand.name)
    stiffness = _filled(drive.stiffness, hand.dof_stiffness)
    ratio = np.sqrt(stiffness / np.maximum(hand.dof_stiffness, 1.0e-12))
    armature = _filled(drive.armature, hand.dof_armature)
    resolved = stiffness * protocol.time_step**2
    return JointDrives(
        stiffness=stiffness,
        damping=_filled(drive.damping, hand.dof_damping * ratio),
        effort=_filled(drive.effort, hand.dof_effort),
        armature=armature if drive.armature is not None else np.maximum(armature, resolved),
        friction=_filled(drive.friction, hand.dof_friction),
    )


def _filled(value: float | None, own: FloatArray) -> FloatArray:
    return np.asarray(own, dtype=np.float64) if value is None else np.full(len(own), float(value))
