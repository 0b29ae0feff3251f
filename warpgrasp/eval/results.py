"""Results of an evaluation: columns of one grasp file, and the rows of tables, CSV and JSON made of them.

The npz file of one grasp file holds plain arrays: N grasps, F forces, T trials. ``metadata`` is a JSON string with the whole
protocol and everything else that decides the numbers; ``key`` is its hash, by which an interrupted run resumes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.atomic_file import write_bytes
from warpgrasp.eval.metrics_diversity import (
    first_variance_ratio,
    grasp_entropy,
    pose_unique_rate,
    unique_rate,
)
from warpgrasp.eval.verdict import FailureReason, Verdict

__all__ = ["RESULT_VERSION", "CaseResult", "result_key", "result_rows", "total_rows"]

RESULT_VERSION = 2
"""Raised when a column changes its meaning or an engine its physics: older results are computed again."""

_FORCE_COLUMNS = tuple(entry.name for entry in dataclasses.fields(Verdict))


@dataclass(frozen=True, eq=False)
class CaseResult:
    """Verdicts and metrics of the grasps of one file."""

    force: NDArray[np.float64]
    """Pushes [N], shape [F]."""
    columns: dict[str, NDArray]
    """Fields of :class:`Verdict` with an axis of forces after that of grasps, and metrics [N] by name."""
    metadata: dict[str, Any]

    @classmethod
    def from_verdicts(
        cls,
        force: Sequence[float],
        verdicts: Sequence[Verdict],
        metrics: Mapping[str, NDArray],
        metadata: Mapping[str, Any],
    ) -> CaseResult:
        """Stack one verdict per force."""
        columns = {
            name: np.stack([getattr(verdict, name) for verdict in verdicts], axis=1)
            for name in _FORCE_COLUMNS
        }
        columns.update({name: np.asarray(value) for name, value in metrics.items()})
        return cls(np.asarray(force, dtype=np.float64), columns, dict(metadata))

    def __len__(self) -> int:
        """Number of grasps."""
        return len(self.columns["reason"])

    def verdict(self, index: int) -> Verdict:
        """Verdict under the ``index``-th force."""
        return Verdict(**{name: self.columns[name][:, index] for name in _FORCE_COLUMNS})

    def metrics(self) -> dict[str, NDArray]:
        """Metrics of every grasp, each of shape [N]."""
        return {name: value for name, value in self.columns.items() if name not in _FORCE_COLUMNS}

    def bad_count(self) -> dict[str, int]:
        """Grasps that could not be simulated, by the name of the reason; under any force."""
        reason = self.columns["reason"]
        bad = (FailureReason.INVALID, FailureReason.BLOW_UP)
        counts = {item.name.lower(): int(np.sum((reason == item).any(axis=1))) for item in bad}
        return {name: count for name, count in counts.items() if count}

    def save(self, path: Path) -> Path:
        """Write the npz file, whole or not at all."""
        buffer = io.BytesIO()
        text = json.dumps(self.metadata, sort_keys=True)
        np.savez_compressed(
            buffer, allow_pickle=False, force=self.force, **self.columns, metadata=np.asarray(text)
        )
        write_bytes(path, buffer.getvalue())
        return path

    @classmethod
    def load(cls, path: Path) -> CaseResult:
        """Read a file of :meth:`save`.

        Raises:
            ValueError: The file is missing, damaged or not of this kind.
        """
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
                columns = {name: file[name] for name in file.files}
            metadata = json.loads(str(columns.pop("metadata")))
            force = columns.pop("force")
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is not a readable evaluation ({error}); evaluate again.") from error
        missing = [name for name in _FORCE_COLUMNS if name not in columns]
        if missing:
            raise ValueError(
                f"{path} is not an evaluation: column {missing[0]!r} is missing; evaluate again."
            )
        return cls(force, columns, metadata)


def result_key(settings: Mapping[str, Any]) -> str:
    """Hash of everything that decides a result."""
    text = json.dumps({"result_version": RESULT_VERSION, **settings}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def result_rows(
    result: CaseResult, root: tuple[NDArray, NDArray, NDArray], limits: tuple[NDArray, NDArray]
) -> list[dict[str, Any]]:
    """One row per force: what tables, CSV and JSON show about one grasp file.

    Args:
        result: Result of the file.
        root: Root positions [N, 3], quaternions [N, 4] and joints [N, J] of its grasps.
        limits: Lower and upper joint limits, each [J].
    """
    rows = []
    for index, force in enumerate(result.force):
        verdict = result.verdict(index)
        holds = verdict.success_all
        any_holds = verdict.success_any
        kept = [np.asarray(column, dtype=np.float64)[any_holds] for column in root]
        names, counts = np.unique(verdict.reason, return_counts=True)
        row: dict[str, Any] = {
            "object": result.metadata["object"],
            "hand": result.metadata["hand"],
            "grasp_type": result.metadata["grasp_type"],
            "force": float(force),
            "grasps": len(result),
            "succ1": float(any_holds.mean()),
            "succ3": float(holds.mean()),
            "unique": _unique(root, any_holds),
            "unique_pose": _unique_pose(root, any_holds),
            "entropy": grasp_entropy(*kept, joint_lower=limits[0], joint_upper=limits[1]),
            "first_variance_ratio": first_variance_ratio(*kept) if any_holds.sum() > 1 else float("nan"),
            "effort_ratio": _largest(verdict.effort_ratio),
            "settle_displacement": _mean(verdict.settle_displacement),
            "start_self_penetration_p90": _percentile(verdict.self_penetration, 90.0),
        }
        row.update({f"mean_{name}": _mean(value) for name, value in result.metrics().items()})
        row.update({item.name.lower(): 0 for item in FailureReason})
        row.update({FailureReason(int(n)).name.lower(): int(c) for n, c in zip(names, counts, strict=True)})
        rows.append(row)
    return rows


def total_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Means over objects of each hand, grasp type and force; counts are summed, the effort is the largest."""
    groups: dict[tuple[str, str, float], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["hand"], row["grasp_type"], row["force"]), []).append(row)
    counted = {"grasps", *(item.name.lower() for item in FailureReason)}
    totals = []
    for (hand, grasp_type, force), members in groups.items():
        total: dict[str, Any] = {
            "object": f"mean of {len(members)}", "hand": hand, "grasp_type": grasp_type, "force": force
        }  # fmt: skip
        weights = np.array([member["grasps"] for member in members], dtype=np.float64)
        for name in members[0]:
            if name in total:
                continue
            values = np.array([member.get(name, np.nan) for member in members], dtype=np.float64)
            if name in counted:
                total[name] = int(values.sum())
            elif name == "effort_ratio":
                total[name] = _largest(values)
            else:
                known = np.isfinite(values)
                some = known.any()
                total[name] = (
                    float(np.average(values[known], weights=weights[known])) if some else float("nan")
                )
        totals.append(total)
    return totals


def _unique(root: tuple[NDArray, NDArray, NDArray], success: NDArray[np.bool_]) -> float:
    return unique_rate(*root, success) if success.any() else 0.0


def _unique_pose(root: tuple[NDArray, NDArray, NDArray], success: NDArray[np.bool_]) -> float:
    return pose_unique_rate(root[0], root[1], success) if success.any() else 0.0


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
