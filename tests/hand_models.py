"""The robot hands of ../shared/hands/models that the converter is tried on: file and options each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["MODELS", "MODEL_FOLDER", "RobotModel"]

MODEL_FOLDER = Path(__file__).parents[2] / "shared" / "hands" / "models"


@dataclass(frozen=True)
class RobotModel:
    """One description; ``density`` where links state no mass; ``original`` is what MuJoCo loads of the same hand."""

    path: str
    density: float | None = None
    original: str = ""

    @property
    def mujoco_path(self) -> Path:
        """The file that MuJoCo loads."""
        return MODEL_FOLDER / (self.original or self.path.replace(".urdf", ".mujoco.urdf"))


MODELS = {
    "allegro": RobotModel("allegro/allegro_hand_right.urdf"),
    "shadow": RobotModel("shadow/shadow_hand_right.urdf"),
    "leap": RobotModel("leap/leap_hand_right.urdf"),
    "barrett": RobotModel("barrett/bhand_model.urdf"),
    "barrett_bh280": RobotModel("barrett/frogger_bh280/bh280.urdf"),
    "ability_hand": RobotModel("ability_hand/ability_hand_right_large.urdf"),
    "ability_hand_mjcf": RobotModel(
        "ability_hand/mjcf/abh_right_large.xml", original="ability_hand/mjcf/abh_right_large.xml"
    ),
    "robotiq_2f140": RobotModel("robotiq_2f140/robotiq_2f140.urdf"),
    "robotiq_3f": RobotModel("robotiq_3f/robotiq_3f_articulated.urdf"),
    "panda": RobotModel("panda/panda_hand.urdf"),
    "graspqp_allegro": RobotModel("graspqp/allegro/allegro_hand.urdf", density=1000.0),
    "graspqp_shadow": RobotModel("graspqp/shadow_hand/shadow_hand.urdf"),
    "graspqp_ability_hand": RobotModel("graspqp/ability_hand/ability_hand.urdf"),
    "graspqp_robotiq2": RobotModel("graspqp/robotiq2/robotiq_2f140.urdf"),
    "graspqp_robotiq3": RobotModel("graspqp/robotiq3/robotiq_3finger_flat.urdf", density=1000.0),
    "graspqp_panda": RobotModel("graspqp/panda/franka_panda.urdf"),
}
