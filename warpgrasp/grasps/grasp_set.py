"""Grasps of one hand on one object as columns: validation, selection, npz files.

The columns and their order are those of the npz file, which holds plain arrays (no pickles) and one JSON string.
All poses are in the object frame, quaternions are xyzw, units are SI.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from warpgrasp.base.atomic_file import OutputError, write_bytes
from warpgrasp.base.npz import npz_bytes, read_npz
from warpgrasp.base.status import GraspStatus
from warpgrasp.grasps.grasp_metadata import join_metadata, read_metadata

__all__ = ["SCHEMA_VERSION", "GraspSet", "OutputError", "no_waypoints"]

SCHEMA_VERSION = 1
"""Version of the npz and USD layout; raised when a column changes its meaning."""

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]

# Column -> its shape in the symbols N grasps, J joints, C contacts, K energy terms, or a literal length.
_SHAPES: dict[str, tuple[str | int, ...]] = {
    "root_position": ("N", 3),
    "root_quaternion": ("N", 4),
    "joint_position": ("N", "J"),
    "pregrasp_root_position": ("N", 3),
    "pregrasp_root_quaternion": ("N", 4),
    "pregrasp_joint_position": ("N", "J"),
    "squeeze_root_position": ("N", 3),
    "squeeze_root_quaternion": ("N", 4),
    "squeeze_joint_position": ("N", "J"),
    "squeeze_torque": ("N", "J"),
    "joint_names": ("J",),
    "contact_index": ("N", "C"),
    "contact_position": ("N", "C", 3),
    "contact_normal": ("N", "C", 3),
    "contact_force": ("N", "C", 3),
    "energy": ("N",),
    "energy_terms": ("N", "K"),
    "energy_term_names": ("K",),
    "status": ("N",),
    "quality": ("N",),
    "waypoint_root_position": ("N", "W", 3),
    "waypoint_joint_position": ("N", "W", "J"),
    "waypoint_clearance": ("N", "W"),
}
_WAYPOINTS = ("waypoint_root_position", "waypoint_joint_position", "waypoint_clearance")
_LATER_COLUMNS = ("squeeze_torque", "quality", *_WAYPOINTS)  # files of older versions lack them
_NAME_COLUMNS = ("joint_names", "energy_term_names")
_INT_COLUMNS = ("contact_index", "status")
_MAPPINGS = (
    "config",
    "hand",
    "object",
    "units",
    "versions",
)  # entries of the metadata that hold entries themselves
_SYMBOLS = {"N": "grasps", "J": "joints", "C": "contacts", "K": "energy terms", "W": "waypoints"}


@dataclass(frozen=True, eq=False)
class GraspSet:
    """``N`` grasps of one hand on one object; ``J`` independent joints, ``C`` contacts, ``K`` energy terms.

    Arrays are converted to float32 or int32 and checked; they are the columns of the npz file.

    Raises:
        ValueError: A column has another shape than the others imply or holds no numbers, a status is unknown, a contact index
            is negative, a grasp with status OK has a number that is not finite or a quaternion that has not unit length, or
            the metadata holds what no grasp file can.
    """

    root_position: FloatArray
    """Hand root in the object frame [m], shape [N, 3]."""
    root_quaternion: FloatArray
    """Hand root in the object frame, xyzw, unit length, shape [N, 4]."""
    joint_position: FloatArray
    """Independent joints in the order of ``joint_names`` [rad or m], shape [N, J]."""
    pregrasp_root_position: FloatArray
    """Root of the opened hand, clear of the object [m], shape [N, 3]."""
    pregrasp_root_quaternion: FloatArray
    """Root of the opened hand, xyzw, shape [N, 4]."""
    pregrasp_joint_position: FloatArray
    """Joints of the opened hand [rad or m], shape [N, J]."""
    squeeze_root_position: FloatArray
    """Root target that presses the contacts [m], shape [N, 3]."""
    squeeze_root_quaternion: FloatArray
    """Root target that presses the contacts, xyzw, shape [N, 4]."""
    squeeze_joint_position: FloatArray
    """Joint position targets that press the contacts with drives of the hand asset's stiffness [rad or m], shape [N, J]."""
    joint_names: tuple[str, ...]
    """Names of the independent joints, length J."""
    contact_index: IntArray
    """Index of each active contact among the hand's candidate points, shape [N, C]."""
    contact_position: FloatArray
    """Contact points on the hand, object frame [m], shape [N, C, 3]."""
    contact_normal: FloatArray
    """Outward object normals at the contacts, object frame, shape [N, C, 3]."""
    contact_force: FloatArray
    """Forces on the object, object frame [N], shape [N, C, 3]."""
    energy: FloatArray
    """Weighted total energy, shape [N]."""
    energy_terms: FloatArray
    """Unweighted energy terms, shape [N, K]."""
    energy_term_names: tuple[str, ...]
    """Names of the energy terms, length K."""
    status: IntArray
    """:class:`~warpgrasp.base.status.GraspStatus` of each grasp, shape [N]."""
    squeeze_torque: FloatArray = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    """Joint torques that press the contacts [Nm or N], shape [N, J]; position targets of any controller follow from them and
    its stiffness. NaN where nobody said, as in files of older versions: there ``squeeze_joint_position`` tells them."""
    quality: FloatArray = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    """Estimated probability to hold, see :mod:`warpgrasp.grasps.success_estimate`, shape [N]; NaN where nobody said."""
    waypoint_root_position: FloatArray = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    """Where the root is on the way to the pregrasp, far to near [m], shape [N, W, 3]; it does not turn. By default W is 0."""
    waypoint_joint_position: FloatArray = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    """Joints on that way [rad or m], shape [N, W, J]."""
    waypoint_clearance: FloatArray = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    """Least distance of the hand to the object on the straight leg from each waypoint to the next, the last to the pregrasp
    [m], at most ``targets.clearance``, negative where it touches, shape [N, W]."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """What JSON can hold: versions, resolved configuration, seed, hand, object, units, device."""

    def __post_init__(self) -> None:
        if np.size(self.squeeze_torque) == 0:
            unknown = np.full(np.shape(self.joint_position), np.nan, dtype=np.float32)
            object.__setattr__(self, "squeeze_torque", unknown)
        if np.size(self.quality) == 0:
            object.__setattr__(self, "quality", np.full(np.shape(self.energy), np.nan, dtype=np.float32))
        for name, none in no_waypoints(self).items():
            if np.ndim(getattr(self, name)) == 1 and np.size(getattr(self, name)) == 0:
                object.__setattr__(self, name, none)
        sizes: dict[str, tuple[int, str]] = {}
        for name, shape in _SHAPES.items():
            value = getattr(self, name)
            if name in _NAME_COLUMNS:
                if np.ndim(value) != 1:
                    raise ValueError(f"{name} must be a list of names (got shape {list(np.shape(value))})")
                value = tuple(str(item) for item in value)
                actual: tuple[int, ...] = (len(value),)
            else:
                value = _numbers(name, value)
                actual = value.shape
            _check_shape(name, actual, shape, sizes)
            object.__setattr__(self, name, value)
        self._check_values()
        metadata = dict(self.metadata)
        metadata.setdefault("schema_version", SCHEMA_VERSION)
        for name in _MAPPINGS:
            if name in metadata and not isinstance(metadata[name], Mapping):
                raise ValueError(f"metadata {name!r} must hold entries (got {metadata[name]!r:.80})")
        object.__setattr__(self, "metadata", metadata)

    def _check_values(self) -> None:
        for name in _NAME_COLUMNS:
            names = getattr(self, name)
            repeated = sorted({item for item in names if names.count(item) > 1})
            if repeated:
                raise ValueError(
                    f"{name} must be different from each other (got {repeated[0]!r} more than once)"
                )
        known = [int(status) for status in GraspStatus]
        unknown = self.status[~np.isin(self.status, known)]
        if unknown.size:
            raise ValueError(f"status must be a GraspStatus in {known} (got {int(unknown[0])})")
        if self.contact_index.size and self.contact_index.min() < 0:
            raise ValueError(f"contact_index must not be negative (got {int(self.contact_index.min())})")
        strange = np.flatnonzero(np.isinf(self.quality) | (self.quality < 0.0) | (self.quality > 1.0))
        if strange.size:
            raise ValueError(f"quality must be in [0, 1] or NaN (got {self.quality[strange[0]]:g})")
        ok = self.status == GraspStatus.OK
        for prefix in ("", "pregrasp_", "squeeze_"):
            with np.errstate(invalid="ignore", over="ignore"):
                length = np.linalg.norm(getattr(self, f"{prefix}root_quaternion"), axis=1)
            wrong = np.flatnonzero(ok & ~(np.abs(length - 1.0) < 1e-3))
            if wrong.size:
                raise ValueError(
                    f"{prefix}root_quaternion of a grasp with status OK must have unit length "
                    f"(got {length[wrong[0]]:g} for grasp {wrong[0]}); normalise it or set another status"
                )
        for name in _ROW_FLOATS:
            wrong = np.flatnonzero(ok & ~_finite_rows(self, name))
            if wrong.size:
                raise ValueError(
                    f"{name} of a grasp with status OK must be finite (it is not for grasp {wrong[0]}); set the status "
                    f"{GraspStatus.NONFINITE_ENERGY.name}"
                )

    def finite(self) -> npt.NDArray[np.bool_]:
        """Whether every number of a grasp is finite, shape [N]; a torque may be unknown. Of status OK all are."""
        finite = np.ones(len(self), dtype=bool)
        for name in _ROW_FLOATS:
            finite &= _finite_rows(self, name)
        return finite

    def __len__(self) -> int:
        """Return the number of grasps."""
        return len(self.energy)

    def order(self) -> npt.NDArray[np.int64]:
        """Return the grasp indices from best to worst, shape [N].

        Grasps with status OK come first, then the others; within each by descending quality, where it is not known by
        ascending energy, not finite last.
        """
        energy = np.where(np.isfinite(self.energy), self.energy, np.inf)
        quality = np.where(np.isfinite(self.quality), self.quality, -np.inf)
        return np.lexsort((energy, -quality, self.status != GraspStatus.OK)).astype(np.int64)

    def best(self, count: int) -> GraspSet:
        """Return the ``count`` best grasps, best first (see :meth:`order`); fewer when there are not so many."""
        if count < 0:
            raise ValueError(f"count must not be negative (got {count})")
        return self.select(self.order()[:count])

    def select(self, mask: npt.ArrayLike) -> GraspSet:
        """Return the grasps of a boolean mask, shape [N], or of an index list, in its order."""
        index = np.asarray(mask)
        if index.size == 0 and index.dtype != np.bool_:
            index = index.astype(np.int64)
        if index.ndim != 1 or index.dtype.kind not in "biu":
            raise ValueError(
                f"mask must be one-dimensional and boolean or integer (got shape {index.shape}, {index.dtype})"
            )
        if index.dtype == np.bool_ and len(index) != len(self):
            raise ValueError(f"mask must have one entry for each of {len(self)} grasps (got {len(index)})")
        if (
            index.dtype != np.bool_
            and index.size
            and not (-len(self) <= index.min() <= index.max() < len(self))
        ):
            raise ValueError(f"indices must be below the number of grasps {len(self)} (got {index.max()})")
        changed = {name: getattr(self, name)[index] for name, shape in _SHAPES.items() if shape[0] == "N"}
        return replace(self, **changed)

    @classmethod
    def concatenate(cls, parts: Sequence[GraspSet]) -> GraspSet:
        """Join grasps of the same hand on the same object, in the order given.

        Metadata entries that all parts share are kept; the rest goes, part by part, into ``metadata["parts"]``.

        Raises:
            ValueError: No parts, or parts with other joints, energy terms, contact counts, hand or object.
        """
        if not parts:
            raise ValueError("parts must hold at least one GraspSet (got none)")
        first = parts[0]
        for index, part in enumerate(parts):
            for name in (*_NAME_COLUMNS, "contact_count", "waypoint_count", "hand", "object"):
                expected, got = _identity(first, name), _identity(part, name)
                if expected != got:
                    raise ValueError(f"part {index} differs in {name}: {got} instead of {expected}")
        columns = {name: getattr(first, name) for name in _NAME_COLUMNS}
        for name, shape in _SHAPES.items():
            if shape[0] == "N":
                columns[name] = np.concatenate([getattr(part, name) for part in parts])
        return cls(**columns, metadata=join_metadata([part.metadata for part in parts]))

    def save(self, path: Path | str) -> Path:
        """Write an npz file, whole or not at all, and return its path.

        Raises:
            OutputError: The file cannot be written, or the metadata holds what JSON cannot.
        """
        path = Path(path)
        try:
            metadata = json.dumps(self.metadata, sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise OutputError(f"cannot write {path}: metadata holds what JSON cannot ({error}).") from error
        arrays = {name: np.asarray(getattr(self, name)) for name in _SHAPES}
        for name in _NAME_COLUMNS:
            arrays[name] = np.asarray(getattr(self, name), dtype=np.str_)
        write_bytes(path, npz_bytes({**arrays, "metadata": np.asarray(metadata)}))
        return path

    @classmethod
    def load(cls, path: Path | str) -> GraspSet:
        """Read an npz file written by :meth:`save`.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file is damaged, not of this format, or written by a newer version.
        """
        path = Path(path)
        try:
            columns: dict[str, Any] = dict(read_npz(path))
        except ValueError as error:
            raise ValueError(f"{path} is not a readable grasp file ({error}); generate it again.") from error
        missing = [
            name for name in (*_SHAPES, "metadata") if name not in columns and name not in _LATER_COLUMNS
        ]
        if missing:
            raise ValueError(f"{path} is not a grasp file of warpgrasp: column {missing[0]!r} is missing.")
        metadata = read_metadata(path, columns.pop("metadata"), newest=SCHEMA_VERSION)
        known = {entry.name for entry in fields(cls)}
        try:
            return cls(**{name: value for name, value in columns.items() if name in known}, metadata=metadata)
        except ValueError as error:
            raise ValueError(f"{path} is damaged: {error}") from error


def no_waypoints(grasps: GraspSet) -> dict[str, npt.NDArray[np.float32]]:
    """Columns of a set without waypoints."""
    count, joints = np.shape(grasps.energy)[0], len(grasps.joint_names)
    shapes = dict(zip(_WAYPOINTS, ((count, 0, 3), (count, 0, joints), (count, 0)), strict=True))
    return {name: np.zeros(shape, dtype=np.float32) for name, shape in shapes.items()}


_ROW_FLOATS = tuple(
    name
    for name, shape in _SHAPES.items()
    if shape[0] == "N" and name not in (*_INT_COLUMNS, *_NAME_COLUMNS, "quality")
)


def _numbers(name: str, value: npt.ArrayLike) -> npt.NDArray[Any]:
    """A column as float32 or int32.

    Raises:
        ValueError: It holds no numbers, or whole numbers that are none.
    """
    column = np.asarray(value)
    if column.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold numbers (got {column.dtype})")
    if name not in _INT_COLUMNS:
        with np.errstate(over="ignore"):  # an overflow is infinite, which a grasp of status OK must not be
            return np.asarray(column, dtype=np.float32)
    limit = np.iinfo(np.int32)
    wrong = ~np.isfinite(column) | (column < limit.min) | (column > limit.max) if column.size else column
    if np.any(wrong) or (column.dtype.kind == "f" and np.any(column != np.trunc(column))):
        raise ValueError(f"{name} must hold whole numbers of 32 bits (got {column.dtype} with others)")
    return np.asarray(column, dtype=np.int32)


def _finite_rows(grasps: GraspSet, name: str) -> npt.NDArray[np.bool_]:
    """Whether a column is finite, grasp by grasp; a torque that nobody told is NaN for all joints."""
    column = getattr(grasps, name)
    finite: npt.NDArray[np.bool_] = np.isfinite(column).all(axis=tuple(range(1, column.ndim)))
    return finite | np.isnan(column).all(axis=1) if name == "squeeze_torque" else finite


def _check_shape(
    name: str, actual: tuple[int, ...], shape: tuple[str | int, ...], sizes: dict[str, tuple[int, str]]
) -> None:
    """Check one column; ``sizes`` maps each symbol seen so far to its value and the column that set it."""
    text = "[" + ", ".join(str(entry) for entry in shape) + "]"
    if len(actual) != len(shape):
        raise ValueError(f"{name} must have shape {text} (got {list(actual)})")
    for length, entry in zip(actual, shape, strict=True):
        if isinstance(entry, int):
            if length != entry:
                raise ValueError(f"{name} must have shape {text} (got {list(actual)})")
            continue
        expected, source = sizes.setdefault(entry, (length, name))
        if length != expected:
            raise ValueError(
                f"{name} must have shape {text} with {entry} = {expected} {_SYMBOLS[entry]}, as in {source} "
                f"(got {list(actual)})"
            )


def _identity(grasps: GraspSet, name: str) -> Any:
    """Return what must agree before two sets may be joined; unknown hand and object agree with each other."""
    if name == "contact_count":
        return grasps.contact_index.shape[1]
    if name == "waypoint_count":
        return grasps.waypoint_clearance.shape[1]
    if name in _NAME_COLUMNS:
        return getattr(grasps, name)
    entry = grasps.metadata.get(name)
    if isinstance(entry, Mapping):  # paths may differ, hashes may not
        return {key: value for key, value in entry.items() if key != "path"}
    return entry
