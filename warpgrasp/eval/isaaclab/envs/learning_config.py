"""Options of the learning tasks."""

from __future__ import annotations

from isaaclab.sim import SimulationCfg
from isaaclab.utils import configclass

from warpgrasp.eval.isaaclab.contacts import finger_groups, fingertips
from warpgrasp.eval.isaaclab.envs.base import HandSceneOptions, WarpGraspEnvCfg
from warpgrasp.hands import load_hand
from warpgrasp.hands.model import HandModel

__all__ = ["LearningEnvCfg", "LearningOptions"]


@configclass
class LearningOptions(HandSceneOptions):
    """Options of the learning tasks, direct or manager-based."""

    decimation: int = 6
    sim: SimulationCfg = SimulationCfg(
        dt=1.0 / 120.0, device="auto", gravity=(0.0, 0.0, 0.0), render_interval=6
    )
    object_mass: float | None = 0.1
    """[kg]."""
    closing_time: float = 0.3
    """Time of each of the two legs pregrasp -> grasp -> squeeze [s]."""
    position_noise: float = 0.0
    """The object is not where the hand expects it, but up to this far off in every direction [m]."""
    angle_noise: float = 0.0
    """It is also turned by up to this angle about a random axis through its centre of mass [rad]."""
    finger_actions: bool = False
    """One action per finger, which opens or closes it along its own closing motion, instead of one per joint."""
    joint_action_scale: float = 0.1
    """Largest change of a joint target by an action, as a fraction of the joint's range."""
    action_smoothing: float = 0.7
    """Share of the last step in a moving average of the joint actions: exploration does not shake what is held."""
    joint_action_rate: float = 0.0
    """Where not zero, joint actions add up, like those of the wrist: by this share of their reach per step."""
    wrist_position_scale: float = 0.02
    """Largest way of the wrist per step [m], where it moves."""
    wrist_angle_scale: float = 0.06
    """Largest turn of the wrist per step [rad], where it moves."""
    drop_distance: float = 0.1
    """An object further than this from where it should be has been dropped [m]; the episode ends."""


@configclass
class LearningEnvCfg(LearningOptions, WarpGraspEnvCfg):
    """Options of the direct learning tasks; weights of rewards count per second."""

    contact_weight: float = 0.5
    """Reward of fingers in contact, per finger and step, divided by their number."""
    force_closure_weight: float = 1.0
    """Reward ``exp(-E_fc)`` of the contacts there are."""
    distance_weight: float = 1.0
    """Penalty of the contact distance energy [1/m]."""
    alignment_weight: float = 0.5
    """Reward of the object lying in the hand as the grasp has it, within 2 cm and 0.3 rad."""
    task_weight: float = 2.0
    """Reward of what the task asks for."""
    action_rate_weight: float = 0.02
    """Penalty of changes of the action, squared and averaged."""
    drop_penalty: float = 10.0
    """Penalty of an object that is lost, for the step in which it is."""

    def declare_spaces(self) -> None:
        super().declare_spaces()
        hand = load_hand(self.hand)
        joint_actions = int(finger_groups(hand).max()) + 1 if self.finger_actions else len(hand.joint_names)
        self.observation_space += joint_actions - self.action_space
        self.action_space = joint_actions
        if self.carrier is not None:
            self.action_space += 6
            self.observation_space += 12

    def observation_size(self, hand: HandModel) -> int:
        joints, tips = len(hand.joint_names), len(fingertips(hand)[0])
        fingers = len(hand.contact_candidates("power").finger_names)
        # joints: position, velocity, target, action; object: 9 pose, 6 velocity, 6 error, 3 task; tips: 9 each;
        # contact; time
        return 4 * joints + 24 + 9 * tips + fingers + 1
