"""Approach with a depth camera in place of the points: Newton's camera, no Isaac Sim needed."""

from __future__ import annotations

import math
from typing import Any

import isaaclab.sim as sim_utils
from isaaclab.managers import ObservationGroupCfg, ObservationTermCfg
from isaaclab.sensors import CameraCfg
from isaaclab.utils import configclass
from isaaclab_newton.renderers import NewtonWarpRendererCfg

from warpgrasp.eval.isaaclab import mdp
from warpgrasp.eval.isaaclab.envs.approach import (
    ApproachEnv,
    ApproachEnvCfg,
    ApproachObservationsCfg,
)

__all__ = ["ApproachDepthEnv", "ApproachDepthEnvCfg", "CameraObservationsCfg", "DepthObservationsCfg"]

_FROM = (0.5, 0.0, 0.35)  # m, of the camera from the object's frame, which it looks at


@configclass
class CameraObservationsCfg(ObservationGroupCfg):
    """The image, apart from the rest for networks that treat it apart."""

    depth = ObservationTermCfg(func=mdp.depth_image, params={"sensor": "camera", "far": 1.0})


@configclass
class DepthObservationsCfg(ApproachObservationsCfg):
    """Groups of observations; the image instead of the points."""

    points: Any = None
    camera: Any = CameraObservationsCfg()


@configclass
class ApproachDepthEnvCfg(ApproachEnvCfg):
    """The task with a camera."""

    image_size: int = 48
    """Width and height of the image [pixels]."""
    observations: Any = DepthObservationsCfg()


class ApproachDepthEnv(ApproachEnv):
    """The task with a camera beside the object."""

    cfg: ApproachDepthEnvCfg

    def _fill_scene(self, cfg: Any) -> None:
        super()._fill_scene(cfg)
        half = 0.5 * math.atan2(_FROM[2], _FROM[0])
        # Forwards is x: half a turn about z, then down; quaternion xyzw.
        turn = (-math.sin(half), 0.0, math.cos(half), 0.0)
        cfg.scene.camera = CameraCfg(
            prim_path="{ENV_REGEX_NS}/Camera",
            offset=CameraCfg.OffsetCfg(pos=_FROM, rot=turn, convention="world"),
            data_types=["depth"],
            spawn=sim_utils.PinholeCameraCfg(clipping_range=(0.01, 2.0)),
            width=cfg.image_size,
            height=cfg.image_size,
            renderer_cfg=NewtonWarpRendererCfg(),
        )
