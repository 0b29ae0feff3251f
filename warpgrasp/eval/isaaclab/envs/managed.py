"""The manager-based form of Grasp and Lift: every observation, reward, event and termination is a term one can override.

What a step does is the same as in the direct environments, term by term; on the same state both give the same observation
and reward.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from isaaclab.envs import ManagerBasedRLEnv, ManagerBasedRLEnvCfg
from isaaclab.envs import mdp as core
from isaaclab.managers import (
    EventTermCfg,
    ObservationGroupCfg,
    ObservationTermCfg,
    RewardTermCfg,
    TerminationTermCfg,
)
from isaaclab.utils import configclass

from warpgrasp.eval.isaaclab import mdp
from warpgrasp.eval.isaaclab.adapter import engine_of, require_engine
from warpgrasp.eval.isaaclab.envs.base import check_schemas
from warpgrasp.eval.isaaclab.envs.grasp import GraspOptions, GraspTask
from warpgrasp.eval.isaaclab.envs.hand_task import HandTask
from warpgrasp.eval.isaaclab.envs.lift import LiftEventsCfg, LiftOptions, LiftTask

__all__ = [
    "ActionsCfg",
    "GraspEventsCfg",
    "LiftManagedEventsCfg",
    "ManagedEnv",
    "ManagedGraspEnv",
    "ManagedGraspEnvCfg",
    "ManagedLiftEnv",
    "ManagedLiftEnvCfg",
    "ObservationsCfg",
    "PolicyObservationsCfg",
    "RewardsCfg",
    "TerminationsCfg",
]


def observed(term: Any, **options: Any) -> ObservationTermCfg:
    """An observation term, clipped as in the direct environments."""
    return ObservationTermCfg(func=term, clip=(-mdp.OBSERVATION_LIMIT, mdp.OBSERVATION_LIMIT), **options)


@configclass
class ActionsCfg:
    """Actions."""

    motion = mdp.HandMotionActionCfg()


@configclass
class PolicyObservationsCfg(ObservationGroupCfg):
    """What the policy sees; the terms of the wrist are left out where it does not move."""

    joint_position = observed(mdp.joint_position)
    joint_velocity = observed(mdp.joint_velocity)
    joint_targets = observed(mdp.joint_targets)
    action_of_joints = observed(mdp.action_of_joints)
    object_pose = observed(mdp.object_pose)
    object_velocity = observed(mdp.object_velocity)
    grasp_error = observed(mdp.grasp_error)
    task_observation = observed(mdp.task_observation)
    fingertip_poses = observed(mdp.fingertip_poses)
    finger_contact = observed(mdp.finger_contact)
    episode_time = observed(mdp.episode_time)
    wrist_position = observed(mdp.wrist_position)
    action_of_wrist = observed(mdp.action_of_wrist)


@configclass
class ObservationsCfg:
    """Groups of observations."""

    policy: PolicyObservationsCfg = PolicyObservationsCfg()


@configclass
class RewardsCfg:
    """Rewards; the weights count per second."""

    contact = RewardTermCfg(func=mdp.fingers_in_contact, weight=0.5)
    force_closure = RewardTermCfg(func=mdp.force_closure, weight=1.0)
    distance = RewardTermCfg(func=mdp.contact_distance, weight=-1.0)
    alignment = RewardTermCfg(func=mdp.alignment, weight=0.5)
    task = RewardTermCfg(func=mdp.task_reward, weight=2.0)
    action_rate = RewardTermCfg(func=mdp.action_rate, weight=-0.02)
    drop = RewardTermCfg(func=mdp.lost, weight=-10.0)


@configclass
class TerminationsCfg:
    """Ends of an episode."""

    time_out = TerminationTermCfg(func=core.time_out, time_out=True)
    success = TerminationTermCfg(func=mdp.succeeded, time_out=True)
    dropped = TerminationTermCfg(func=mdp.dropped)
    diverged = TerminationTermCfg(func=mdp.diverged)


@configclass
class GraspEventsCfg:
    """Starts and pushes."""

    start = EventTermCfg(func=mdp.start_at_pregrasp, mode="reset")
    push = EventTermCfg(
        func=mdp.push_object, mode="interval", interval_range_s=(0.0, 0.0), is_global_time=True
    )


@configclass
class LiftManagedEventsCfg(LiftEventsCfg):
    """Domain randomisation of the direct environment, then the start."""

    start = EventTermCfg(func=mdp.start_at_pregrasp, mode="reset")


class ManagedEnv(HandTask, ManagerBasedRLEnv):
    """Base of the manager-based environments: builds the scene from the options and keeps what the terms look at."""

    cfg: Any

    def __init__(self, cfg: Any, render_mode: str | None = None, **_: Any) -> None:
        check_schemas()
        self._prepare(cfg)
        leave_out_missing(cfg)
        require_engine(engine_of(cfg.sim.physics))
        self._prepare_pictures(cfg, render_mode)
        super().__init__(cfg, render_mode)

    def render(self, recompute: bool = False) -> np.ndarray | None:
        """Picture of the first world by Newton's camera with ``render_mode="rgb_array"``, shape [360, 480, 3]."""
        picture = self._picture()
        return super().render(recompute) if picture is None else picture

    def load_managers(self) -> None:
        """Make the state of the task before the managers, whose terms look at it."""
        self._connect(self.cfg)
        self._start_task(self.cfg)
        super().load_managers()

    def _reset_idx(self, env_ids: Any) -> None:
        found = self.outcome(self.all_worlds[env_ids]) if hasattr(self, "reset_terminated") else {}
        super()._reset_idx(env_ids)
        cast(dict[str, Any], self.extras["log"]).update(found)


def leave_out_missing(cfg: Any) -> None:
    """Leave out observation terms of a wrist that does not move."""
    if cfg.carrier is not None:
        return
    for group in vars(cfg.observations).values():
        for name in ("wrist_position", "action_of_wrist"):
            if getattr(group, name, None) is not None:
                setattr(group, name, None)


@configclass
class ManagedGraspEnvCfg(GraspOptions, ManagerBasedRLEnvCfg):
    """Grasp as a manager-based configuration."""

    observations: Any = ObservationsCfg()
    actions: Any = ActionsCfg()
    rewards: Any = RewardsCfg()
    terminations: Any = TerminationsCfg()
    events: Any = GraspEventsCfg()


class ManagedGraspEnv(GraspTask, ManagedEnv):
    """The task Grasp with managers."""

    cfg: ManagedGraspEnvCfg


@configclass
class ManagedLiftEnvCfg(LiftOptions, ManagerBasedRLEnvCfg):
    """Lift as a manager-based configuration."""

    observations: Any = ObservationsCfg()
    actions: Any = ActionsCfg()
    rewards: Any = RewardsCfg()
    terminations: Any = TerminationsCfg()
    events: Any = LiftManagedEventsCfg()


class ManagedLiftEnv(LiftTask, ManagedEnv):
    """The task Lift with managers."""

    cfg: ManagedLiftEnvCfg
