"""Rows of the tables of an evaluation, of CSV and JSON: one per grasp file and force, and those of all grasps together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.eval.metrics.diversity import (
    first_variance_ratio,
    grasp_entropy,
    pose_unique_rate,
    unique_rate,
)
from warpgrasp.eval.protocol.verdict import FailureReason
from warpgrasp.eval.results.case_result import CaseResult
from warpgrasp.grasps.grasp_set import GraspSet

__all__ = ["result_rows", "row_labels", "total_rows"]

_TEXTS = ("object", "file", "hand", "grasp_type", "engine", "squeeze")
_COUNTS = ("grasps", *(item.name.lower() for item in FailureReason))
_BY_OBJECT = ("entropy", "first_variance_ratio")


def result_rows(result: CaseResult, grasps: GraspSet, path: Path | str) -> list[dict[str, Any]]:
    """One row per force: what tables, CSV and JSON show about one grasp file.

    Args:
        result: Result of the file; its metadata knows the joint limits.
        grasps: The grasps of the file.
        path: The file.
    """
    root = (grasps.root_position, grasps.root_quaternion, grasps.joint_position)
    known = result.metadata
    rows = []
    for index, force in enumerate(result.force):
        verdict = result.verdict(index)
        any_holds = verdict.success_any
        kept = [np.asarray(column, dtype=np.float64)[any_holds] for column in root]
        names, counts = np.unique(verdict.reason, return_counts=True)
        row: dict[str, Any] = {name: str(known.get(name, "")) for name in _TEXTS}
        row["file"] = str(path)
        row.update(
            force=float(force),
            grasps=len(result),
            succ1=float(any_holds.mean()),
            succ3=float(verdict.success_all.mean()),
            unique=unique_rate(*root, any_holds) if any_holds.any() else 0.0,
            unique_pose=pose_unique_rate(root[0], root[1], any_holds) if any_holds.any() else 0.0,
            entropy=grasp_entropy(*kept, joint_lower=known["joint_lower"], joint_upper=known["joint_upper"]),
            first_variance_ratio=first_variance_ratio(*kept) if any_holds.sum() > 1 else float("nan"),
            effort_ratio=_largest(verdict.effort_ratio),
            settle_displacement=_mean(verdict.settle_displacement),
            start_self_penetration_p90=_percentile(verdict.self_penetration, 90.0),
        )
        row.update({f"mean_{name}": _mean(value) for name, value in result.metrics().items()})
        row.update({item.name.lower(): 0 for item in FailureReason})
        row.update({FailureReason(int(n)).name.lower(): int(c) for n, c in zip(names, counts, strict=True)})
        rows.append(row)
    return rows


def total_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """All grasps of each hand, grasp type and force together.

    Rates and means are over all grasps, ``H`` and the first variance ratio over the files where they are known (there is
    a grasp with Succ1; ``entropy_files`` counts them); counts are summed, the effort is the largest.
    """
    groups: dict[tuple[str, str, float], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["hand"], row["grasp_type"], row["force"]), []).append(row)
    totals = []
    for (hand, grasp_type, force), members in groups.items():
        weights = np.array([member["grasps"] for member in members], dtype=np.float64)
        total: dict[str, Any] = {
            "object": f"all {int(weights.sum())} grasps",
            "hand": hand,
            "grasp_type": grasp_type,
            "force": force,
            "files": len(members),
        }
        names = dict.fromkeys(name for member in members for name in member)
        for name in names:
            if name in total or name in _TEXTS:
                continue
            values = np.array([member.get(name, np.nan) for member in members], dtype=np.float64)
            if name in _COUNTS:
                total[name] = int(values.sum())
            elif name == "effort_ratio":
                total[name] = _largest(values)
            elif name in _BY_OBJECT:
                total[name] = _mean(values)
            else:
                some = np.isfinite(values)
                total[name] = (
                    float(np.average(values[some], weights=weights[some])) if some.any() else float("nan")
                )
        total["entropy_files"] = sum(bool(np.isfinite(member["entropy"])) for member in members)
        totals.append(total)
    return totals


def row_labels(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the tables call each row: its object; with the file, or its folder too, where several share one."""
    for form in (_by_object, _by_file):
        # A file has one row per force; two files of one label, hand and type could not be told apart.
        files = {(form(row), row["hand"], row["grasp_type"], row["file"]) for row in rows}
        if max(Counter(entry[:3] for entry in files).values(), default=1) == 1:
            return [form(row) for row in rows]
    return [_by_folder(row) for row in rows]


def _by_object(row: Mapping[str, Any]) -> str:
    return str(row["object"])


def _by_file(row: Mapping[str, Any]) -> str:
    return f"{row['object']} ({Path(row['file']).stem})"


def _by_folder(row: Mapping[str, Any]) -> str:
    path = Path(row["file"])
    return f"{row['object']} ({path.parent.name}/{path.stem})"


def _finite(values: NDArray) -> NDArray:
    return values[np.isfinite(values)]


def _mean(values: NDArray) -> float:
    known = _finite(values)
    return float(known.mean()) if known.size else float("nan")


def _largest(values: NDArray) -> float:
    known = _finite(values)
    return float(known.max()) if known.size else float("nan")


def _percentile(values: NDArray, q: float) -> float:
    known = _finite(values)
    return float(np.percentile(known, q)) if known.size else float("nan")
