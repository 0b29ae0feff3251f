"""Grasp sets to Arrow tables and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.base.status import GraspStatus
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.grasps.sharded.columns import CONTACT_COLUMNS, POSE_COLUMNS, Columns, import_pyarrow

__all__ = ["Lineage", "VerdictColumns", "grasp_table", "list_values", "read_grasps"]

_NUMPY = {"float": "float32", "double": "float64"}
"""NumPy's names of Arrow's types, where they differ."""


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """Where the grasps of one object come from."""

    object: str
    object_hash: str
    """Hash of the mesh."""
    scale: float
    split: str
    """``train``, ``test``, or empty where nobody said."""
    method: str
    config_hash: str
    task: str
    """Start of the grasp ids; tells the grasps of one task from those of all others."""


@dataclass(frozen=True)
class VerdictColumns:
    """Outcome of one protocol at one force; rows that were not simulated count as unknown."""

    simulated: NDArray[np.bool_]
    """Shape [N]."""
    trial_held: NDArray[np.bool_]
    """Shape [N, T]."""
    displacement: NDArray[np.float32]
    """[m], shape [N, T]."""
    reason: NDArray[np.str_]
    """Name of a :class:`~warpgrasp.eval.protocol.verdict.FailureReason`, shape [N]."""

    def held(self) -> NDArray[np.bool_]:
        """Whether the object stayed in all trials, shape [N]."""
        return self.simulated & self.trial_held.all(axis=1)


@dataclass(frozen=True)
class _Arrays:
    """Makes Arrow arrays from their buffers: ``pyarrow.array`` imports pandas, where it is installed, for half a second."""

    pa: Any

    def flat(self, values: Any, kind: Any, mask: Any = None) -> Any:
        """Numbers or truth values; null where ``mask``."""
        flat = np.ascontiguousarray(values, dtype=_NUMPY.get(str(kind), str(kind))).reshape(-1)
        unknown = None if mask is None else self._bits(~np.asarray(mask, bool))
        data = self._bits(flat) if flat.dtype == np.bool_ else self.pa.py_buffer(flat)
        return self.pa.Array.from_buffers(kind, len(flat), [unknown, data])

    def lists(self, values: NDArray[Any], kind: Any) -> Any:
        """Fixed-size lists of the last axis, nested for every axis before it but the first."""
        result = self.flat(values, kind)
        for size in reversed(values.shape[1:]):
            result = self.pa.FixedSizeListArray.from_arrays(result, size)
        return result

    def texts(self, values: Sequence[str]) -> Any:
        """A text each."""
        encoded = [value.encode() for value in values]
        ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
        buffers = (self.pa.py_buffer(ends), self.pa.py_buffer(b"".join(encoded)))
        return self.pa.StringArray.from_buffers(len(encoded), *buffers)

    def words(self, values: Iterable[str], mask: Any = None) -> Any:
        """Texts of which there are few different ones; null where ``mask``."""
        number: dict[str, int] = {}
        codes = [number.setdefault(value, len(number)) for value in values]
        return self.pa.DictionaryArray.from_arrays(
            self.flat(codes, self.pa.int32(), mask), self.texts(list(number))
        )

    def _bits(self, values: NDArray[np.bool_]) -> Any:
        return self.pa.py_buffer(np.packbits(values, bitorder="little"))


def grasp_table(
    grasps: GraspSet,
    columns: Columns,
    lineage: Lineage,
    *,
    seed: NDArray[np.int64],
    verdicts: Mapping[str, VerdictColumns] | None = None,
    metrics: Mapping[str, NDArray[Any]] | None = None,
    index: NDArray[np.int64] | None = None,
) -> Any:
    """Rows of the grasps of one object.

    Args:
        grasps: N grasps.
        columns: Columns of the file.
        lineage: Where they come from.
        seed: Seed of every grasp, shape [N].
        verdicts: Outcomes by label; labels of ``columns`` that are not there become null.
        metrics: Metrics by name, each [N]; NaN and those that are not there become null.
        index: Number of each grasp within its task, shape [N]; 0 to N - 1 by default.

    Raises:
        ValueError: The grasps have other joints or more contacts than the columns.
    """
    if grasps.joint_names != columns.joint_names:
        raise ValueError(f"the grasps have joints {grasps.joint_names}, the file {columns.joint_names}")
    contacts = grasps.contact_index.shape[1]
    if contacts > columns.contact_width:
        raise ValueError(f"grasps of {contacts} contacts do not fit into lists of {columns.contact_width}")
    pa = import_pyarrow()
    arrays, count = _Arrays(pa), len(grasps)
    index = np.arange(count) if index is None else index
    table: dict[str, Any] = {
        "grasp_id": arrays.texts([f"{lineage.task}-{number:05d}" for number in index]),
        "scale": arrays.flat(np.full(count, lineage.scale), pa.float64()),
        "seed": arrays.flat(seed, pa.int64()),
        "grasp_index": arrays.flat(index, pa.int32()),
        "status": arrays.words(GraspStatus(int(value)).name for value in grasps.status),
        "contact_count": arrays.flat(np.full(count, contacts), pa.int32()),
        "contact_index": arrays.lists(_padded(grasps.contact_index, columns.contact_width, -1), pa.int32()),
        "quality": arrays.flat(grasps.quality, pa.float32(), mask=np.isnan(grasps.quality)),
        "energy": arrays.flat(grasps.energy, pa.float32()),
    }
    for name in ("object", "object_hash", "split", "method", "config_hash"):
        table[name] = arrays.words([getattr(lineage, name)] * count)
    for name in POSE_COLUMNS:
        table[name] = arrays.lists(getattr(grasps, name), pa.float32())
    for name in CONTACT_COLUMNS:
        padded = _padded(getattr(grasps, name), columns.contact_width, np.nan)
        table[name] = arrays.lists(padded, pa.float32())
    for number, term in enumerate(grasps.energy_term_names):
        table[f"energy_{term}"] = arrays.flat(grasps.energy_terms[:, number], pa.float32())
    for label, outcome in (verdicts or {}).items():
        unknown = ~outcome.simulated
        table[f"held_{label}"] = arrays.flat(outcome.held(), pa.bool_(), mask=unknown)
        table[f"trial_held_{label}"] = arrays.lists(outcome.trial_held & ~unknown[:, None], pa.bool_())
        away = np.where(unknown[:, None], np.nan, outcome.displacement).astype(np.float32)
        table[f"displacement_{label}"] = arrays.lists(away, pa.float32())
        table[f"reason_{label}"] = arrays.words(outcome.reason.tolist(), mask=unknown)
    for name, values in (metrics or {}).items():
        table[name] = arrays.flat(values.astype(np.float32), pa.float32(), mask=~np.isfinite(values))
    schema = columns.schema()
    return pa.table([_column(pa, table, entry, count) for entry in schema], schema=schema)


def _column(pa: Any, table: Mapping[str, Any], entry: Any, count: int) -> Any:
    """A column, or one that says nothing: null, in lists NaN or false."""
    if entry.name in table:
        return table[entry.name]
    if pa.types.is_fixed_size_list(entry.type):
        shape = (count, entry.type.list_size)
        is_bool = pa.types.is_boolean(entry.type.value_type)
        return _Arrays(pa).lists(
            np.zeros(shape, bool) if is_bool else np.full(shape, np.nan), entry.type.value_type
        )
    return pa.nulls(count, entry.type)


def _padded(values: NDArray[Any], width: int, fill: float) -> NDArray[Any]:
    result = np.full((len(values), width, *values.shape[2:]), fill, dtype=values.dtype)
    result[:, : values.shape[1]] = values
    return result


def list_values(column: Any) -> NDArray[Any]:
    """A column of an Arrow table as a NumPy array; nested lists of fixed size become its later axes."""
    pa = import_pyarrow()
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    shape = [len(array)]
    while pa.types.is_fixed_size_list(array.type):
        shape.append(array.type.list_size)
        array = array.flatten()
    values: NDArray[Any] = np.asarray(array.to_numpy(zero_copy_only=False))
    return values.reshape(shape)


def read_grasps(table: Any, columns: Columns, *, metadata: Mapping[str, Any] | None = None) -> GraspSet:
    """Grasps of a table of :func:`grasp_table`; all must have the same contact count and energy terms.

    Raises:
        ValueError: Rows of different contact counts, or a column is missing.
    """
    counts = np.unique(list_values(table["contact_count"]))
    if len(counts) > 1:
        raise ValueError(
            f"rows with {counts[0]} and {counts[-1]} contacts are not one grasp set; select one count"
        )
    contacts = int(counts[0]) if len(counts) else columns.contact_width
    names = table.column_names
    missing = [name for name in (*POSE_COLUMNS, *CONTACT_COLUMNS) if name not in names]
    if missing:
        raise ValueError(f"column {missing[0]!r} is missing; read the file with all its columns")
    terms = [
        term
        for term in columns.term_names
        if f"energy_{term}" in names and table[f"energy_{term}"].null_count < max(len(table), 1)
    ]
    values = {name: list_values(table[name]) for name in POSE_COLUMNS}
    values |= {name: list_values(table[name])[:, :contacts] for name in (*CONTACT_COLUMNS, "contact_index")}
    energies = [list_values(table[f"energy_{term}"]).astype(np.float32) for term in terms]
    status = [GraspStatus[name] for name in table["status"].to_pylist()]
    known = "quality" in names  # tables may have been read without it
    return GraspSet(
        **values,
        quality=list_values(table["quality"]) if known else np.full(len(table), np.nan),
        joint_names=columns.joint_names,
        energy=list_values(table["energy"]),
        energy_terms=np.stack(energies, axis=1) if energies else np.zeros((len(table), 0), np.float32),
        energy_term_names=tuple(terms),
        status=np.asarray([int(value) for value in status], dtype=np.int32),
        metadata=dict(metadata or {}),
    )
