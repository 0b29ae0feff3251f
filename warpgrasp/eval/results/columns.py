"""Columns of the tables of an evaluation, the same in the terminal and in the report: title, unit, key of the row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from warpgrasp.eval.protocol.verdict import FailureReason

__all__ = [
    "METRIC_COLUMNS",
    "NOTE",
    "RESULT_COLUMNS",
    "Column",
    "counted",
    "failure_count",
    "reason_name",
]


@dataclass(frozen=True)
class Column:
    """One number of a row."""

    title: str
    unit: str
    """Empty for a number without one."""
    key: str
    factor: float
    """From SI units to ``unit``."""
    form: str
    note: str = ""
    """What it is, for the line below the table."""
    heading: str = ""
    """The title in narrow lines, for a terminal; the title itself by default."""

    def text(self, row: Mapping[str, Any], *, missing: str = "-") -> str:
        """The number of a row, ``missing`` where it is not known."""
        value = float(row.get(self.key, np.nan))
        return self.form.format(self.factor * value) if np.isfinite(value) else missing


RESULT_COLUMNS = (
    Column("push", "N", "force", 1.0, "{:g}"),
    Column("grasps", "", "grasps", 1.0, "{:.0f}"),
    Column("Succ1", "%", "succ1", 100.0, "{:.0f}"),
    Column("Succ3", "%", "succ3", 100.0, "{:.0f}"),
    Column("unique", "%", "unique", 100.0, "{:.0f}"),
    Column("by pose", "%", "unique_pose", 100.0, "{:.0f}", heading="by\npose"),
    Column("H", "", "entropy", 1.0, "{:.2f}"),
    Column("pen", "mm", "mean_penetration_depth", 1000.0, "{:.1f}"),
    Column("self", "mm", "mean_self_penetration_depth", 1000.0, "{:.1f}"),
    Column("effort", "", "effort_ratio", 1.0, "{:.2f}"),
)
NOTE = (
    "Succ1: holds along at least one trial, Succ3: along all, per grasp requested; unique: different grasps with Succ1 per "
    "grasp requested (2 cm, 4 deg, 1.15 deg), then by pose (2 cm, 15 deg); H: entropy of grasps with Succ1; pen and self: "
    "mean of the deepest point; effort: largest torque per limit."
)
METRIC_COLUMNS = (
    Column("epsilon", "", "mean_epsilon_quality", 1.0, "{:.3f}", "largest ball in the wrench space"),
    Column("volume", "", "mean_volume_quality", 1.0, "{:.3f}", "of the wrench space"),
    Column("contact area", "cm²", "mean_contact_area", 1.0e4, "{:.1f}", "surface within 5 mm of the hand", "contact\narea"),
    Column("intersection", "cm³", "mean_intersection_volume", 1.0e6, "{:.2f}", "of hand and object", "inter-\nsection"),
    Column("displacement", "mm", "mean_simulation_displacement", 1000.0, "{:.1f}", "drift in 1 s unpushed", "displace-\nment"),
    Column("consistency", "mm", "mean_contact_distance_consistency", 1000.0, "{:.1f}",
           "largest minus smallest finger distance", "consis-\ntency"),
    Column("1st variance", "%", "first_variance_ratio", 100.0, "{:.0f}",
           "share of the first principal component of grasps with Succ1", "1st vari-\nance"),
)  # fmt: skip


def counted(count: int, noun: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def reason_name(reason: FailureReason) -> str:
    """The reason in small letters, as the tables write it."""
    return reason.name.lower().replace("_", " ")


def failure_count(row: Mapping[str, Any]) -> dict[FailureReason, int]:
    """Grasps of a row that do not hold in all trials, by reason; only reasons that occur."""
    counts = {reason: int(row.get(reason.name.lower(), 0)) for reason in FailureReason}
    return {reason: count for reason, count in counts.items() if count and reason != FailureReason.HOLDS}
