"""Metrics of grasp sets: small functions of plain arrays, each names its source.

Those of geometry are imported when they are first asked for, because they bring Warp.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from warpgrasp.eval.metrics.diversity import (
    first_variance_ratio,
    grasp_entropy,
    pose_unique_rate,
    unique_grasps,
    unique_rate,
)
from warpgrasp.eval.metrics.wrench import (
    contact_wrenches,
    epsilon_quality,
    volume_quality,
    wrench_space_qualities,
)

if TYPE_CHECKING:
    from warpgrasp.eval.metrics.geometry import (
        contact_area,
        contact_distance_consistency,
        hand_signed_distance,
        intersection_volume,
        object_signed_distance,
        penetration_depth,
        self_penetration_depth,
        surface_metrics,
    )

__all__ = [
    "contact_area",
    "contact_distance_consistency",
    "contact_wrenches",
    "epsilon_quality",
    "first_variance_ratio",
    "grasp_entropy",
    "hand_signed_distance",
    "intersection_volume",
    "object_signed_distance",
    "penetration_depth",
    "pose_unique_rate",
    "self_penetration_depth",
    "surface_metrics",
    "unique_grasps",
    "unique_rate",
    "volume_quality",
    "wrench_space_qualities",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("warpgrasp.eval.metrics.geometry"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
