"""Pictures and videos of an environment by Newton's ray tracer: no display, no Isaac Sim, the CPU will do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from warpgrasp.base.atomic_file import replace_file
from warpgrasp.geometry.rotations import matrix_to_quaternion

__all__ = ["VIDEO_FORMATS", "WorldCamera", "check_video_path", "write_video"]

Frame = NDArray[np.uint8]

VIDEO_FORMATS = {".webp": "WEBP", ".gif": "GIF", ".png": "PNG"}
"""Suffix and format of animations that Pillow writes."""

_DIRECTION = np.array([0.75, -1.0, 0.6])  # from the object towards the camera
_DISTANCE = 0.6  # m
_PAPER = 0xFFF4F6F6  # packed from alpha down to red
_FIELD_OF_VIEW = np.radians(35.0)


class WorldCamera:
    """A camera that looks at the middle of the first world.

    Args:
        model: Newton model of the scene, with its visual shapes.
        origins: Middle of every world [m], shape [W, 3].
        width: Of a picture [pixels].
        height: Of a picture [pixels].
    """

    def __init__(
        self, model: Any, origins: NDArray[np.float64], *, width: int = 480, height: int = 360
    ) -> None:
        import newton
        import warp as wp

        settings = newton.sensors.SensorTiledCamera.RenderConfig(enable_shadows=True)
        self._model = model
        self._sensor = newton.sensors.SensorTiledCamera(model, default_render_config=settings)
        self._sensor.utils.create_default_light(enable_shadows=True)
        self._rays = self._sensor.utils.compute_camera_rays_pinhole(width, height, camera_fovs=_FIELD_OF_VIEW)
        self._background = newton.sensors.SensorTiledCamera.ClearData(clear_color=_PAPER)
        self._color = self._sensor.utils.create_color_image_output(width, height)
        towards = _DIRECTION / np.linalg.norm(_DIRECTION)
        right = np.cross([0.0, 0.0, 1.0], towards)
        right /= np.linalg.norm(right)
        turn = matrix_to_quaternion(np.column_stack([right, np.cross(towards, right), towards]))
        rows = np.column_stack([origins + _DISTANCE * towards, np.tile(turn, (len(origins), 1))])
        self._places: wp.array = wp.array(
            rows[None].astype(np.float32), dtype=wp.transformf, device=model.device
        )

    def frame(self, state: Any) -> Frame:
        """Picture of the first world in a state of the model: sRGB, shape [height, width, 3]."""
        self._model.bvh_refit_shapes(state)
        self._sensor.update(
            state, self._places, self._rays, color_image=self._color, clear_data=self._background
        )
        packed = self._color.numpy()[0, 0]
        return np.stack([(packed >> shift) & 255 for shift in (0, 8, 16)], axis=-1).astype(np.uint8)


def write_video(path: Path, frames: Sequence[Frame], *, seconds_per_frame: float) -> Path:
    """Write an animation that repeats, whole or not at all, and return its path.

    Args:
        path: Its suffix is one of :data:`VIDEO_FORMATS`.
        frames: Pictures of one size.
        seconds_per_frame: Time that a frame stands.

    Raises:
        ValueError: Another suffix, or no frames.
        OutputError: The file cannot be written.
    """
    check_video_path(path)
    if not len(frames):
        raise ValueError("a video needs at least one frame (got none); play at least one step")
    first, *rest = (Image.fromarray(frame) for frame in frames)
    with replace_file(path) as temporary:
        first.save(
            temporary,
            format=VIDEO_FORMATS[path.suffix.lower()],
            save_all=True,
            append_images=rest,
            duration=max(round(1e3 * seconds_per_frame), 20),
            loop=0,
        )
    return path


def check_video_path(path: Path) -> None:
    """Refuse a suffix that Pillow writes no animation for, before anything is simulated.

    Raises:
        ValueError: The suffix.
    """
    if path.suffix.lower() not in VIDEO_FORMATS:
        raise ValueError(
            f"a video must end in {', '.join(VIDEO_FORMATS)} (got '{path.name}'); choose one of these"
        )
