"""Observation terms of what a robot senses, and of what only the critic is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import trimesh
from isaaclab.managers import ManagerTermBase, ObservationTermCfg

from warpgrasp.eval.isaaclab.adapter import rotate

__all__ = ["depth_image", "fingertip_forces", "friction", "object_mass", "object_points"]

_POINT_SCALE = 20.0  # 5 cm reads 1
_FORCE_SCALE = 0.2  # 5 N read 1


class object_points(ManagerTermBase):  # noqa: N801  (Isaac Lab names its terms like functions)
    """Points on the object's surface [5 cm], axes of the hand root, shape [W, 3 count].

    They are given relative to where the centre of mass was believed to be for the grasp, so that they all move when the
    object is elsewhere. The points of an object are drawn once, evenly over its surface. Noise of a sensor is the
    ``noise`` of the term.

    Parameters of the term: ``count``, number of points.
    """

    def __init__(self, cfg: ObservationTermCfg, env: Any) -> None:
        super().__init__(cfg, env)
        count = int(cfg.params["count"])
        clouds = []
        for model in env.pool.models:
            mesh = trimesh.Trimesh(model.vertices, model.faces, process=False)
            clouds.append(trimesh.sample.sample_surface(mesh, count, seed=0)[0])
        points = torch.as_tensor(np.array(clouds), dtype=torch.float32, device=env.device)
        self._points = points[env.world_object]

    def __call__(self, env: Any, count: int) -> torch.Tensor:
        """The points now."""
        seen = env.root_frame()[1][:, None, :]
        points = seen[..., :3] + rotate(seen[..., 3:], self._points)
        center = seen[:, 0, :3] + rotate(seen[:, 0, 3:], env.adapter.center_of_mass)
        believed = center - env.grasp_error(seen[:, 0])[:, :3]
        return (_POINT_SCALE * (points - believed[:, None, :])).flatten(1).nan_to_num(0.0, 0.0, 0.0)


def fingertip_forces(env: Any) -> torch.Tensor:
    """Force of the object on each fingertip [5 N], along the axes of the hand root, shape [W, 3 F]."""
    back = env.root_frame()[0]
    names = sorted(name for name in env.scene.sensors if name.startswith("tip_"))
    forces = [
        env.scene.sensors[name].data.force_matrix_w.torch.reshape(env.num_envs, -1, 3).sum(dim=1)
        for name in names
    ]
    turned = [rotate(back[:, 3:], force) for force in forces]
    return (_FORCE_SCALE * torch.cat(turned, dim=1)).nan_to_num(0.0, 0.0, 0.0)


def object_mass(env: Any) -> torch.Tensor:
    """Mass of the object [0.1 kg], shape [W, 1]."""
    mass: torch.Tensor = env.scene["object"].data.body_mass.torch
    return 10.0 * mass.reshape(env.num_envs, -1)[:, :1]


def friction(env: Any) -> torch.Tensor:
    """Coulomb coefficient, shape [W, 1]."""
    value: torch.Tensor = env.friction
    return value[:, None]


def depth_image(env: Any, sensor: str, far: float) -> torch.Tensor:
    """Depth of a camera, 0 at the camera to 1 at ``far`` and beyond, shape [W, 1, height, width].

    Args:
        env: The environment.
        sensor: Name of the camera in the scene.
        far: Depth that reads 1 [m].
    """
    depth: torch.Tensor = env.scene.sensors[sensor].data.output["depth"].torch
    return (depth.nan_to_num(far, far, 0.0) / far).clamp(0.0, 1.0).permute(0, 3, 1, 2)
