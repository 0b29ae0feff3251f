"""Metrics of grasp sets: small functions of plain arrays, each names its source."""

from __future__ import annotations

from warpgrasp.eval.metrics.diversity import (
    first_variance_ratio,
    grasp_entropy,
    pose_unique_rate,
    unique_grasps,
    unique_rate,
)
from warpgrasp.eval.metrics.geometry import (
    contact_area,
    contact_distance_consistency,
    hand_signed_distance,
    intersection_volume,
    object_signed_distance,
    penetration_depth,
    self_penetration_depth,
)
from warpgrasp.eval.metrics.wrench import contact_wrenches, epsilon_quality, volume_quality

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
    "unique_grasps",
    "unique_rate",
    "volume_quality",
]
