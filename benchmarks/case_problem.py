"""Grasps of a file as a problem of the synthesis, on the CPU: for measurements of what follows the optimiser."""

from __future__ import annotations

import numpy as np

from warpgrasp.grasps.case import GraspCase
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.state import GraspState

__all__ = ["problem_of", "state_of"]


def problem_of(case: GraspCase) -> GraspProblem:
    """The problem whose grasps those of the file are, with the default energy."""
    return GraspProblem(
        case.hand,
        [case.model],
        grasp_count=len(case.grasps),
        contact_count=case.grasps.contact_index.shape[1],
        grasp_type=case.grasp_type,
        terms=EnergyConfig().active_terms(),
        device="cpu",
    )


def state_of(problem: GraspProblem, case: GraspCase) -> GraspState:
    """A fresh state with the poses and contacts of the file."""
    grasps, state = case.grasps, problem.create_state()
    pose = np.concatenate([grasps.root_position, grasps.root_quaternion], axis=1)
    problem.set_variables(state, pose, grasps.joint_position, grasps.contact_index)
    return state
