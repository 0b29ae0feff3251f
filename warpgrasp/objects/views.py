"""An object as a depth camera sees it: depth, normals, mask, partial point clouds.

Cameras lie on a sphere around the object and look at it; positions and targets are scattered as in the tools of BODex
(Chen et al. 2025): by a tenth of the distance, and by a tenth of the object's radius. The focal length is chosen so that the
whole object fits. Conventions are those of OpenCV: x right, y down, z forward, the centre of the upper left pixel is (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import warp as wp
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from warpgrasp.base.ranges import NumberRange, check_numbers
from warpgrasp.kernels.object_views import view_kernel
from warpgrasp.objects.model import ObjectModel

__all__ = ["ObjectViews", "ViewConfig", "add_depth_noise", "object_views"]

Floats = NDArray[np.float32]

_MARGIN = 1.15  # of the picture beyond the object's bounding sphere


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """Pictures of every object."""

    count: int = 5
    """Cameras per object."""
    size: int = 128
    """Pixels along each side."""
    points: int = 1024
    """Points of the partial cloud; at most 4096."""
    distance: float = 1.0
    """Radius of the sphere of cameras [m]."""
    noise: bool = False
    """Also depth with the noise of a depth camera."""
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers(
            self,
            "views",
            count=NumberRange(lower=1.0),
            size=NumberRange(lower=8.0, upper=2048.0),
            points=NumberRange(lower=1.0, upper=4096.0),
            distance=NumberRange(lower=0.05, upper=100.0),
        )


@dataclass(frozen=True, eq=False)
class ObjectViews:
    """V views of one object, H x W pixels."""

    camera_position: Floats
    """Camera in the object frame [m], shape [V, 3]."""
    camera_quaternion: Floats
    """Camera in the object frame, axes of OpenCV, xyzw, shape [V, 4]."""
    focal: Floats
    """Focal length [pixels], shape [V]; the principal point is the middle of the picture."""
    depth: Floats
    """Along the viewing direction [m], 0 where nothing is seen, shape [V, H, W]."""
    normal: Floats
    """Towards the camera, camera frame, unit, shape [V, H, W, 3]."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Pixels that show the object, shape [V, H, W]."""
        return self.depth > 0.0

    def points(self, view: int) -> Floats:
        """Seen points of one view in the object frame [m], shape [K, 3], row by row."""
        row, column = np.nonzero(self.mask[view])
        z = self.depth[view, row, column].astype(np.float64)
        height, width = self.depth.shape[1:]
        x = (column - 0.5 * (width - 1)) / self.focal[view] * z
        y = (row - 0.5 * (height - 1)) / self.focal[view] * z
        turned = Rotation.from_quat(self.camera_quaternion[view]).apply(np.stack([x, y, z], axis=1))
        return (turned + self.camera_position[view]).astype(np.float32)


def object_views(model: ObjectModel, config: ViewConfig, *, device: str = "cpu") -> ObjectViews:
    """Look at an object from random directions, the same for the same mesh and seed.

    Raises:
        ValueError: The cameras would be inside the object.
    """
    middle = 0.5 * (model.vertices.min(axis=0) + model.vertices.max(axis=0))
    radius = float(np.linalg.norm(model.vertices - middle, axis=1).max())
    if config.distance < 1.5 * radius:
        raise ValueError(
            f"views.distance must be at least {1.5 * radius:.2g} m for {model.name}, 1.5 times its radius (got "
            f"{config.distance:g})"
        )
    random = np.random.default_rng([config.seed, int(model.mesh_hash[:16], 16)])
    direction = random.normal(size=(config.count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    distance = config.distance * random.uniform(0.9, 1.1, config.count)
    position = middle + distance[:, None] * direction
    target = middle + 0.1 * radius * random.uniform(-1.0, 1.0, (config.count, 3))
    rotation = _looking(target - position, random.uniform(-0.2, 0.2, config.count))
    reach = np.linalg.norm(target - middle, axis=1) + radius * _MARGIN
    away = np.linalg.norm(target - position, axis=1)
    focal = 0.5 * config.size * np.sqrt(np.maximum(away**2 - reach**2, 1e-12)) / reach
    quaternion = rotation.as_quat()
    pose = np.concatenate([position, quaternion], axis=1).astype(np.float32)
    shape = (config.count, config.size, config.size)
    depth = wp.empty(shape, dtype=wp.float32, device=device)
    normal = wp.empty(shape, dtype=wp.vec3, device=device)
    mesh = wp.Mesh(
        points=wp.array(model.vertices.astype(np.float32), dtype=wp.vec3, device=device),
        indices=wp.array(model.faces.reshape(-1), dtype=wp.int32, device=device),
    )
    inputs = [
        mesh.id,
        wp.array(pose, dtype=wp.transform, device=device),
        wp.array(focal.astype(np.float32), dtype=wp.float32, device=device),
    ]
    wp.launch(view_kernel, dim=shape, inputs=inputs, outputs=[depth, normal], device=device)
    return ObjectViews(pose[:, :3], pose[:, 3:], focal.astype(np.float32), depth.numpy(), normal.numpy())


def _looking(forward: NDArray[np.float64], roll: NDArray[np.float64]) -> Rotation:
    """Cameras with z along ``forward`` and y about down in the object frame, rolled a little."""
    z = forward / np.linalg.norm(forward, axis=1, keepdims=True)
    down = np.where(np.abs(z[:, 2:]) < 0.99, [[0.0, 0.0, -1.0]], [[0.0, -1.0, 0.0]])
    x = np.cross(down, z)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    upright = Rotation.from_matrix(np.stack([x, np.cross(z, x), z], axis=2))
    return upright * Rotation.from_euler("z", roll[:, None])


def add_depth_noise(views: ObjectViews, *, seed: int) -> Floats:
    """Depth as a structured-light camera would measure it [m], shape [V, H, W].

    Axial noise of Nguyen, Izadi and Lovell 2012, Eq. 2: the standard deviation at depth z and angle a to the surface is
    ``0.0012 + 0.0019 (z - 0.4)^2``, and beyond 60 degrees ``0.0001 / sqrt(z) * a^2 / (pi/2 - a)^2`` more. Surfaces seen at more
    than 80 degrees are lost.
    """
    random = np.random.default_rng([seed, 7])
    view, row, column = np.nonzero(views.mask)
    depth = views.depth[view, row, column].astype(np.float64)
    height, width = views.depth.shape[1:]
    x = (column - 0.5 * (width - 1)) / views.focal[view]
    y = (row - 0.5 * (height - 1)) / views.focal[view]
    normal = views.normal[view, row, column].astype(np.float64)
    cosine = -(x * normal[:, 0] + y * normal[:, 1] + normal[:, 2]) / np.sqrt(x * x + y * y + 1.0)
    angle = np.arccos(np.clip(cosine, 0.0, 1.0))
    deviation = 0.0012 + 0.0019 * (depth - 0.4) ** 2
    grazing = 0.0001 / np.sqrt(depth) * angle**2 / np.maximum(np.pi / 2 - angle, 1e-6) ** 2
    deviation += np.where(angle > np.pi / 3, grazing, 0.0)
    measured = depth + random.normal(size=len(depth)) * deviation
    measured[(angle >= np.deg2rad(80.0)) | (measured < 0.0)] = 0.0
    result = np.zeros_like(views.depth)
    result[view, row, column] = measured
    return result
