"""Squeeze and pregrasp of finished grasps made anew: other options, or files of older versions."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from warpgrasp.base.status import GraspStatus
from warpgrasp.base.warp_device import choose_device
from warpgrasp.grasps.grasp_set import no_waypoints
from warpgrasp.grasps.success_estimate import with_estimate
from warpgrasp.synthesis.controller_targets import TargetConfig, controller_targets
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.withdrawal import waypoint_columns

if TYPE_CHECKING:
    from warpgrasp.grasps.grasp_set import GraspSet
    from warpgrasp.hands import HandModel
    from warpgrasp.objects import ObjectModel

__all__ = ["retarget"]

_OF_THE_PREGRASP = tuple(  # others outrank them
    int(status) for status in (GraspStatus.OK, GraspStatus.PREGRASP_NOT_CLEAR, GraspStatus.EARLY_CONTACT)
)


def retarget(
    hand: HandModel,
    model: ObjectModel,
    grasps: GraspSet,
    config: TargetConfig | None = None,
    *,
    grasp_type: str = "power",
    device: str = "auto",
) -> GraspSet:
    """The same grasps with new pregrasps, waypoints, squeezes and contact forces.

    Args:
        hand: The hand of the grasps.
        model: Their object.
        grasps: The grasps; poses, contacts and energies stay. A status that does not come from the pregrasp stays too.
        config: Options of the targets.
        grasp_type: The grasp type they were made with.
        device: Warp device.

    Raises:
        ValueError: The grasps have other joints than the hand, or contacts that the hand does not have.
    """
    if grasps.joint_names != hand.joint_names:
        raise ValueError(
            f"the grasps have the joints {', '.join(grasps.joint_names)}, hand {hand.name!r} has "
            f"{', '.join(hand.joint_names)}"
        )
    if len(grasps) == 0:
        return grasps
    problem = GraspProblem(
        hand,
        [model],
        grasp_count=len(grasps),
        contact_count=grasps.contact_index.shape[1],
        grasp_type=grasp_type,
        terms=EnergyConfig().active_terms(),
        device=choose_device(device),
    )
    if grasps.contact_index.max() >= problem.host_candidates.count or grasps.contact_index.min() < 0:
        raise ValueError(
            f"the grasps use contact point {int(grasps.contact_index.max())} of hand {hand.name!r}, which has "
            f"{problem.host_candidates.count} for grasp type {grasp_type!r}"
        )
    state = problem.create_state()
    pose = np.concatenate([grasps.root_position, grasps.root_quaternion], axis=1)
    problem.set_variables(state, pose, grasps.joint_position, grasps.contact_index)
    problem.evaluate(state)
    targets = controller_targets(problem, state, config or TargetConfig())
    torque, opened = targets.squeeze.torque, targets.pregrasp
    judged = np.isin(grasps.status, _OF_THE_PREGRASP) & np.isin(targets.status, _OF_THE_PREGRASP)
    columns: dict[str, np.ndarray] = {
        "pregrasp_root_position": opened.root_pose[:, :3],
        "pregrasp_root_quaternion": opened.root_pose[:, 3:],
        "pregrasp_joint_position": opened.joint_position,
        "squeeze_root_position": grasps.root_position,
        "squeeze_root_quaternion": grasps.root_quaternion,
        "squeeze_joint_position": grasps.joint_position + torque / hand.dof_stiffness,
        "squeeze_torque": torque,
        "contact_force": targets.squeeze.force,
        "status": np.where(judged, targets.status, grasps.status),
    }
    columns |= waypoint_columns(problem, columns, config or TargetConfig()) or no_waypoints(grasps)
    made = dataclasses.replace(grasps, **columns)  # type: ignore[arg-type]  # converted as they are checked
    return with_estimate(made)
