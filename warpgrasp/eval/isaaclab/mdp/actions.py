"""Action term: the motion of the grasp file, corrected by actions."""

from __future__ import annotations

from typing import Any

import torch
from isaaclab.managers import ActionTerm, ActionTermCfg
from isaaclab.utils import configclass

__all__ = ["HandMotionAction", "HandMotionActionCfg"]


class HandMotionAction(ActionTerm):
    """Corrections of joint targets and, for a hand on a carrier, of the wrist; zeros play the grasp file.

    How actions become targets is said by the options ``joint_action_scale``, ``finger_actions``, ``joint_action_rate``,
    ``wrist_position_scale`` and ``wrist_angle_scale`` of the environment.
    """

    _env: Any

    @property
    def action_dim(self) -> int:
        """Number of actions."""
        return int(self._env.action_size)

    @property
    def raw_actions(self) -> torch.Tensor:
        """Actions as they count, in [-1, 1], shape [W, A]."""
        actions: torch.Tensor = self._env.actions
        return actions

    @property
    def processed_actions(self) -> torch.Tensor:
        """Targets at the end of the step: joints, then carrier [rad or m], shape [W, J] or [W, J + 6]."""
        targets: torch.Tensor = self._env.command
        return targets

    def process_actions(self, actions: torch.Tensor) -> None:
        """Once per step."""
        self._env.begin_step(actions)

    def apply_actions(self) -> None:
        """Once per physics step."""
        self._env.apply_command()


@configclass
class HandMotionActionCfg(ActionTermCfg):
    """Configuration of :class:`HandMotionAction`."""

    class_type: Any = HandMotionAction
    asset_name: str = "hand"
