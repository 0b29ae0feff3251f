"""Recorder terms: which grasp an episode began with, and what the hand was told and felt."""

from __future__ import annotations

from typing import Any

import torch
from isaaclab.envs.mdp.recorders.recorders_cfg import ActionStateRecorderManagerCfg
from isaaclab.managers.recorder_manager import RecorderTerm, RecorderTermCfg
from isaaclab.utils import configclass

__all__ = [
    "ContactRecorder",
    "ContactRecorderCfg",
    "GraspRecorder",
    "GraspRecorderCfg",
    "GraspRecorderManagerCfg",
]


class GraspRecorder(RecorderTerm):
    """After a reset: ``grasp/index`` in the pool, ``grasp/object`` (index), ``grasp/place`` of the object [7]."""

    _env: Any

    def record_post_reset(self, env_ids: Any) -> tuple[str, dict[str, torch.Tensor]]:
        """The grasps of the worlds ``env_ids``."""
        env = self._env
        worlds = env.all_worlds if env_ids is None else env.all_worlds[env_ids]
        return "grasp", {
            "index": env.grasp[worlds, None],
            "object": env.world_object[worlds, None],
            "place": env.place[worlds],
        }


class ContactRecorder(RecorderTerm):
    """After every step: ``contact/touching`` per finger, and ``contact/distance`` [m] per patch of the hand."""

    _env: Any

    def record_post_step(self) -> tuple[str, dict[str, torch.Tensor]]:
        """Of all worlds."""
        contact = self._env.measured_contact()
        touching = self._env.geometry.finger_contact(contact)
        return "contact", {"touching": touching, "distance": contact.distance}


@configclass
class GraspRecorderCfg(RecorderTermCfg):
    """Configuration of :class:`GraspRecorder`."""

    class_type: Any = GraspRecorder


@configclass
class ContactRecorderCfg(RecorderTermCfg):
    """Configuration of :class:`ContactRecorder`."""

    class_type: Any = ContactRecorder


@configclass
class GraspRecorderManagerCfg(ActionStateRecorderManagerCfg):
    """Isaac Lab's recorders of states, actions and observations, and ours.

    Set ``dataset_export_dir_path`` and ``dataset_filename``; every episode is written as it ends.
    """

    record_grasp = GraspRecorderCfg()
    record_contact = ContactRecorderCfg()
