"""Which grasps of an object to keep: no two nearly alike, or as different as possible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from warpgrasp.base.ranges import POSITIVE, check_numbers
from warpgrasp.base.warp_device import choose_device
from warpgrasp.grasps.sharded.rows import list_values
from warpgrasp.kernels.grasp_distance import mark_near, nearest_distance

__all__ = ["PoseDistance", "best_first", "distinct", "farthest"]


@dataclass(frozen=True, kw_only=True)
class PoseDistance:
    """What counts as the same grasp: within all three limits of another on the same object."""

    position: float = 0.01
    """Of the hand roots [m]."""
    angle: float = 15.0
    """Between the hand roots [deg]."""
    joint: float = 0.1
    """Root mean square difference of the joints [rad or m]."""

    def __post_init__(self) -> None:
        check_numbers(self, "", position=POSITIVE, angle=POSITIVE, joint=POSITIVE)

    def limits(self) -> wp.vec3:
        """Limits in SI units."""
        return wp.vec3(self.position, float(np.radians(self.angle)), self.joint)


def best_first(table: Any) -> NDArray[np.int64]:
    """Rows from best to worst: those that hold under most protocols, then status OK, then by quality, then by energy.

    Within the same verdicts as :meth:`warpgrasp.grasps.grasp_set.GraspSet.order`.
    """
    held = sum(
        (
            np.asarray(table[name].fill_null(False), dtype=np.int64)
            for name in table.column_names
            if name.startswith("held_")
        ),
        start=np.zeros(len(table), np.int64),
    )
    ok = np.asarray([value == "OK" for value in table["status"].to_pylist()])
    energy = list_values(table["energy"])
    energy = np.where(np.isfinite(energy), energy, np.inf)
    quality = list_values(table["quality"])
    quality = np.where(np.isfinite(quality), quality, -np.inf)
    return np.lexsort((energy, -quality, ~ok, -held)).astype(np.int64)


def distinct(table: Any, distance: PoseDistance, *, device: str = "auto") -> NDArray[np.int64]:
    """Rows of one object without near duplicates, ascending: the best first, each next one unless a kept one is near."""
    order = best_first(table)
    poses, near = _Poses(table, order, device), np.zeros(len(order), np.int32)
    marks: Any = wp.array(near, dtype=wp.int32, device=poses.device)
    kept = []
    for index in range(len(order)):
        if near[index]:
            continue
        kept.append(index)
        poses.launch(mark_near, distance.limits(), index, marks)
        near = marks.numpy()
    return np.sort(order[np.asarray(kept, dtype=np.int64)])


def farthest(table: Any, count: int, distance: PoseDistance, *, device: str = "auto") -> NDArray[np.int64]:
    """Up to ``count`` rows of one object, ascending: the best, then always the one farthest from all chosen.

    The distance is the norm of the three differences, each divided by its limit.

    Raises:
        ValueError: ``count`` is not positive.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1 (got {count})")
    order = best_first(table)
    if len(order) <= count:
        return np.sort(order)
    poses = _Poses(table, order, device)
    apart = wp.full(len(order), float(np.inf), dtype=wp.float32, device=poses.device)
    chosen = [0]
    while len(chosen) < count:
        poses.launch(nearest_distance, distance.limits(), chosen[-1], apart)
        chosen.append(int(np.argmax(apart.numpy())))
    return np.sort(order[np.asarray(chosen)])


class _Poses:
    """Poses of rows on the device."""

    def __init__(self, table: Any, order: NDArray[np.int64], device: str) -> None:
        self.device = choose_device(device)
        self.count = len(order)

        def put(name: str, kind: Any) -> Any:
            values = np.ascontiguousarray(list_values(table[name])[order], dtype=np.float32)
            return wp.array(values, dtype=kind, device=self.device)

        self.arrays = [
            put("root_position", wp.vec3),
            put("root_quaternion", wp.quat),
            put("joint_position", wp.float32),
        ]

    def launch(self, kernel: Any, limits: wp.vec3, chosen: int, output: Any) -> None:
        inputs = [*self.arrays, limits, chosen]
        wp.launch(kernel, dim=self.count, inputs=inputs, outputs=[output], device=self.device)
