"""The grasps of one file that are exported, checked and in float64: what every writer is given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from warpgrasp.base.status import GraspStatus
from warpgrasp.eval.protocol.squeeze_rules import HandTargets, SqueezeRule, hand_targets, squeeze_torques
from warpgrasp.grasps.case import GraspCase
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.hands import HandModel
from warpgrasp.objects import ObjectModel
from warpgrasp.objects.names import object_name

__all__ = ["ExportBatch", "select_grasps"]


@dataclass(frozen=True, eq=False)
class ExportBatch:
    """Grasps of one hand on one object."""

    name: str
    """Name of the object in the exported files: that of the grasp file, made fit for all uses."""
    hand: HandModel
    model: ObjectModel
    grasp_type: str
    split: str
    """Side of the object in its data set, ``train`` or ``test``; empty where nobody said."""
    grasps: GraspSet
    """The exported grasps, best first."""
    targets: HandTargets
    """Their poses at pregrasp, grasp and squeeze, finite, float64."""
    torque: NDArray[np.float64]
    """Joint torques of the squeeze [Nm or N], shape [N, J]."""
    stiffness: float | None
    """Stiffness of the reader's servos that the user told [Nm/rad or N/m]."""
    index: NDArray[np.int64]
    """Row of each in the grasp file, shape [N]; their names in the exported files."""
    invalid_count: int
    """Grasps left out because a pose is not finite or has no unit quaternion."""
    flagged_count: int
    """Grasps left out because their status is not OK."""

    def __len__(self) -> int:
        """Number of exported grasps."""
        return len(self.index)


def select_grasps(
    case: GraspCase, *, every_status: bool = False, best: int | None = None, stiffness: float | None = None
) -> ExportBatch:
    """Choose the grasps of a file.

    Args:
        case: The grasp file with its hand and object.
        every_status: Also those whose status is not OK.
        best: At most this many, by quality; all by default.
        stiffness: Stiffness of the reader's servos [Nm/rad or N/m]; by default what the format knows of them.
    """
    grasps = case.grasps
    valid = _targets(case.hand, grasps).valid()
    ok = np.full(len(grasps), True) if every_status else grasps.status == GraspStatus.OK
    order = grasps.order()
    index = order[(valid & ok)[order]][:best]
    chosen = grasps.select(index)
    return ExportBatch(
        name=object_name(case.path),
        hand=case.hand,
        model=case.model,
        grasp_type=case.grasp_type,
        split=str(case.grasps.metadata.get("split", "")),
        grasps=chosen,
        targets=_targets(case.hand, chosen),
        torque=squeeze_torques(case.hand, chosen),
        stiffness=stiffness,
        index=index,
        invalid_count=int(np.sum(~valid)),
        flagged_count=int(np.sum(valid & ~ok)),
    )


def _targets(hand: HandModel, grasps: GraspSet) -> HandTargets:
    return hand_targets(hand, grasps, stiffness=hand.dof_stiffness, rule=SqueezeRule.POSITION)
