"""What a controller needs beside the grasp: joint torques of the squeeze with their contact forces, and a pregrasp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from warpgrasp.base.status import GraspStatus
from warpgrasp.synthesis.closing_path import EARLY_DEPTH, early_depth
from warpgrasp.synthesis.pregrasp import Pregrasp, pregrasp
from warpgrasp.synthesis.squeeze import (
    Squeeze,
    balanced_forces,
    contact_forces,
    moved_squeeze,
    squeeze,
)
from warpgrasp.synthesis.squeeze_motion import closing_motion, descent_motion
from warpgrasp.synthesis.target_config import TargetConfig

if TYPE_CHECKING:
    from warpgrasp.synthesis.energy_terms import ForceClosure
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.state import GraspState

__all__ = ["ControllerTargets", "TargetConfig", "controller_targets"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ControllerTargets:
    """Targets of ``B`` grasps."""

    squeeze: Squeeze
    pregrasp: Pregrasp
    status: NDArray[np.int32]
    """GraspStatus of contacts, force-closure program, pregrasp and the way from it, shape [B]."""


def controller_targets(
    problem: GraspProblem,
    state: GraspState,
    config: TargetConfig,
    force_closure: ForceClosure | None = None,
) -> ControllerTargets:
    """Squeeze and pregrasp of every grasp.

    Args:
        problem: Hand and objects.
        state: Evaluated grasps.
        config: Options.
        force_closure: Friction and bounds of the force-closure program whose solution decides the status and is the force of
            a ``closure`` squeeze.
    """
    solution = contact_forces(problem, state, force_closure)
    pressed = _squeeze(problem, state, config, solution.force)
    opened = pregrasp(problem, state, config)
    unclear = (solution.status == GraspStatus.OK) & ~opened.clear
    status = np.where(unclear, int(GraspStatus.PREGRASP_NOT_CLEAR), solution.status)
    early = (status == GraspStatus.OK) & (early_depth(problem, state, opened) > EARLY_DEPTH)
    status = np.where(early, int(GraspStatus.EARLY_CONTACT), status)
    return ControllerTargets(pressed, opened, status.astype(np.int32))


def _squeeze(problem: GraspProblem, state: GraspState, config: TargetConfig, closure: FloatArray) -> Squeeze:
    """The squeeze of ``config``; ``closure`` [B, C, 3] are the forces of the force-closure program."""
    if config.squeeze == "balanced":
        return squeeze(problem, state, balanced_forces(problem, state, config), config)
    if config.squeeze == "closure":
        return squeeze(problem, state, closure, config)
    motion = (closing_motion if config.squeeze == "closing" else descent_motion)(problem, state)
    return moved_squeeze(problem, state, motion, closure)
