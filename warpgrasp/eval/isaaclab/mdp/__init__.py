"""Terms of the tasks, for managers of Isaac Lab: observations, rewards, events, terminations, curricula, recorders, actions.

They work in every environment that is a :class:`~warpgrasp.eval.isaaclab.envs.hand_task.HandTask`; the direct environments
use the same observation and reward terms.
"""

from warpgrasp.eval.isaaclab.mdp.actions import HandMotionAction, HandMotionActionCfg
from warpgrasp.eval.isaaclab.mdp.curriculums import grow_with_success
from warpgrasp.eval.isaaclab.mdp.events import (
    push_object,
    randomize_friction,
    randomize_place,
    start_at_pregrasp,
)
from warpgrasp.eval.isaaclab.mdp.observations import (
    OBSERVATION_LIMIT,
    action_of_joints,
    action_of_wrist,
    episode_time,
    finger_contact,
    fingertip_poses,
    grasp_error,
    joint_position,
    joint_targets,
    joint_velocity,
    object_pose,
    object_velocity,
    observation_terms,
    task_observation,
    wrist_position,
)
from warpgrasp.eval.isaaclab.mdp.perception import (
    depth_image,
    fingertip_forces,
    friction,
    object_mass,
    object_points,
)
from warpgrasp.eval.isaaclab.mdp.recorders import (
    ContactRecorder,
    ContactRecorderCfg,
    GraspRecorder,
    GraspRecorderCfg,
    GraspRecorderManagerCfg,
)
from warpgrasp.eval.isaaclab.mdp.rewards import (
    action_rate,
    alignment,
    contact_distance,
    fingers_in_contact,
    force_closure,
    lost,
    reward_terms,
    task_reward,
)
from warpgrasp.eval.isaaclab.mdp.teachers import tracking_action
from warpgrasp.eval.isaaclab.mdp.terminations import diverged, dropped, succeeded

__all__ = [
    "OBSERVATION_LIMIT",
    "ContactRecorder",
    "ContactRecorderCfg",
    "GraspRecorder",
    "GraspRecorderCfg",
    "GraspRecorderManagerCfg",
    "HandMotionAction",
    "HandMotionActionCfg",
    "action_of_joints",
    "action_of_wrist",
    "action_rate",
    "alignment",
    "contact_distance",
    "depth_image",
    "diverged",
    "dropped",
    "episode_time",
    "finger_contact",
    "fingers_in_contact",
    "fingertip_forces",
    "fingertip_poses",
    "force_closure",
    "friction",
    "grasp_error",
    "grow_with_success",
    "joint_position",
    "joint_targets",
    "joint_velocity",
    "lost",
    "object_mass",
    "object_points",
    "object_pose",
    "object_velocity",
    "observation_terms",
    "push_object",
    "randomize_friction",
    "randomize_place",
    "reward_terms",
    "start_at_pregrasp",
    "succeeded",
    "task_observation",
    "task_reward",
    "tracking_action",
    "wrist_position",
]
