"""Result of an evaluation: verdicts and metrics of one grasp file as columns, joined force by force.

The npz file of one grasp file holds plain arrays: N grasps, F forces, T trials. ``metadata`` is a JSON string with the whole
protocol and everything else that decides the numbers but the forces; ``key`` is its hash, by which a later run finds the
forces that are done and adds others.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.base.atomic_file import write_bytes
from warpgrasp.base.json_text import json_mapping
from warpgrasp.base.npz import npz_bytes, read_npz
from warpgrasp.eval.protocol.verdict import FailureReason, Verdict

__all__ = ["RESULT_VERSION", "CaseResult", "result_key"]

RESULT_VERSION = 4
"""Raised when a column changes its meaning or an engine its physics: older results are computed again."""

_FORCE_COLUMNS = tuple(entry.name for entry in dataclasses.fields(Verdict))
_TRIAL_COLUMNS = ("trial_success", "displacement", "rotation")  # with an axis of trials after that of forces
_KINDS = {
    "trial_success": "b",
    "contact_count": "iu",
    "reason": "iu",
}  # of dtypes; the other columns hold floats
_NOT_SIMULATED = (int(FailureReason.INVALID), int(FailureReason.BLOW_UP))
_TEXTS = (
    "key",
    "settings_hash",
    "grasp_path",
    "grasp_file_hash",
    "object",
    "hand",
    "grasp_type",
    "engine",
    "squeeze",
)
_LISTS = ("joint_lower", "joint_upper")


@dataclass(frozen=True, eq=False)
class CaseResult:
    """Verdicts and metrics of the grasps of one file.

    What is not known of a grasp is NaN; infinite is only what a simulation says that became unstable.

    Raises:
        ValueError: A column has another shape than the others, a reason is unknown, or a number is out of its range.
    """

    force: NDArray[np.float64]
    """Pushes [N], shape [F]."""
    columns: dict[str, NDArray]
    """Fields of :class:`Verdict` with an axis of forces after that of grasps, and metrics [N] by name."""
    metadata: dict[str, Any]

    def __post_init__(self) -> None:
        force = np.asarray(self.force)
        if (
            force.ndim != 1
            or force.dtype.kind not in "fiu"
            or not np.isfinite(force).all()
            or (force < 0.0).any()
        ):
            raise ValueError(
                f"force must be a list of finite numbers that are not negative (got {force.tolist()!r:.80})"
            )
        missing = [name for name in _FORCE_COLUMNS if name not in self.columns]
        if missing:
            raise ValueError(f"column {missing[0]!r} is missing")
        count, trials = (
            len(np.atleast_1d(self.columns["reason"])),
            np.shape(self.columns["trial_success"])[-1:],
        )
        for name, column in self.columns.items():
            shape: tuple[int, ...] = (count, len(force)) if name in _FORCE_COLUMNS else (count,)
            shape += trials if name in _TRIAL_COLUMNS else ()
            if column.shape != shape or column.dtype.kind not in _KINDS.get(name, "fiu"):
                raise ValueError(
                    f"{name} must hold numbers of shape {list(shape)} (got {column.dtype}, {list(column.shape)})"
                )
        self._check_ranges()

    def _check_ranges(self) -> None:
        reason, success = self.columns["reason"], self.columns["trial_success"]
        known = [int(item) for item in FailureReason]
        wrong = reason[~np.isin(reason, known)]
        if wrong.size:
            raise ValueError(f"reason must be a FailureReason in {known} (got {int(wrong[0])})")
        if self.columns["contact_count"].size and self.columns["contact_count"].min() < 0:
            raise ValueError("contact_count must not be negative")
        simulated = ~np.isin(reason, _NOT_SIMULATED)
        if (success.any(axis=2) & ~simulated).any():
            raise ValueError("trial_success holds of a grasp that could not be simulated")
        if not np.isfinite(self.columns["displacement"][success]).all():
            raise ValueError("displacement of a trial with success must be finite")
        for name, column in self.columns.items():
            rows = simulated if name in _FORCE_COLUMNS else np.ones(len(reason), dtype=bool)
            if column.dtype.kind == "f" and np.isinf(column[rows]).any():
                raise ValueError(f"{name} of a grasp that was simulated must not be infinite")

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

    def at(self, forces: Collection[float]) -> CaseResult:
        """The same at some of its forces, ascending; forces it does not have are left out."""
        order = [int(i) for i in np.argsort(self.force) if float(self.force[i]) in set(forces)]
        columns = {
            name: value[:, order] if name in _FORCE_COLUMNS else value for name, value in self.columns.items()
        }
        return CaseResult(self.force[order], columns, self.metadata)

    def joined(self, other: CaseResult) -> CaseResult:
        """All forces of both, ascending; where both have one, and for metrics and metadata, this one counts.

        Raises:
            ValueError: They are about different numbers of grasps.
        """
        if len(self) != len(other):
            raise ValueError(f"results of {len(self)} and {len(other)} grasps cannot be joined")
        rest = other.at([float(force) for force in other.force if force not in self.force])
        columns = {**other.metrics(), **self.metrics()}
        for name in _FORCE_COLUMNS:
            columns[name] = np.concatenate([self.columns[name], rest.columns[name]], axis=1)
        force = np.concatenate([self.force, rest.force])
        return CaseResult(force, columns, self.metadata).at([float(value) for value in force])

    def without_metrics(self) -> CaseResult:
        """The verdicts alone."""
        return CaseResult(self.force, {name: self.columns[name] for name in _FORCE_COLUMNS}, self.metadata)

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
        text = json.dumps(self.metadata, sort_keys=True)
        arrays = {"force": self.force, **self.columns, "metadata": np.asarray(text)}
        write_bytes(path, npz_bytes(arrays, compress=True))
        return path

    @classmethod
    def load(cls, path: Path) -> CaseResult:
        """Read a file of :meth:`save`.

        Raises:
            ValueError: The file is missing, damaged or not of this kind.
        """
        try:
            columns = read_npz(path)
            for name in ("metadata", "force"):
                if name not in columns:
                    raise ValueError(f"column {name!r} is missing")
            metadata = json_mapping(str(columns.pop("metadata")))
            _check_metadata(metadata)
            return cls(columns.pop("force"), columns, metadata)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path} is not a readable evaluation ({error}); evaluate again.") from error


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    for name in _TEXTS:
        if not isinstance(metadata.get(name), str):
            raise ValueError(f"its {name} is {metadata.get(name)!r:.80}, not a text")
    lengths = set()
    for name in _LISTS:
        values = metadata.get(name)
        if not isinstance(values, list) or not all(isinstance(value, (int, float)) for value in values):
            raise ValueError(f"its {name} is {values!r:.80}, not a list of numbers")
        lengths.add(len(values))
    if len(lengths) > 1:
        raise ValueError("its joint_lower and joint_upper have different lengths")


def result_key(settings: Mapping[str, Any]) -> str:
    """Hash of everything that decides a result."""
    text = json.dumps({"result_version": RESULT_VERSION, **settings}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
