"""A data set from the rows of others: what merging, filtering, deduplicating and selecting have in common.

All grasps of an object lie together in one row group afterwards, files are filled up to 128 MB, and every row keeps its
lineage. Views and assets of the objects that are left come along.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.base.atomic_file import OutputError, write_text
from warpgrasp.dataset.tables import write_tables
from warpgrasp.grasps.sharded.columns import CONTACT_COLUMNS, Columns, import_pyarrow
from warpgrasp.grasps.sharded.folder import DataSetFolder, ShardFile, is_data_set, object_file_name
from warpgrasp.grasps.sharded.rows import list_values
from warpgrasp.grasps.sharded.shard import write_table_file

__all__ = ["Rewritten", "counts", "rewrite"]

LARGEST_SHARD = 128_000_000
"""Bytes of Arrow data after which a new file is begun; on the disk it is smaller."""
Pick = Callable[[Any], NDArray[np.int64]]


@dataclass
class Rewritten:
    """Counts of what was read and written."""

    rows_read: int = 0
    rows_written: int = 0
    repeated: int = 0
    """Rows that two of the data sets had."""
    objects: set[str] = field(default_factory=set)
    files: int = 0


@dataclass
class _Cell:
    """All shards of one hand and grasp type."""

    shards: list[ShardFile] = field(default_factory=list)
    footers: list[dict[str, Any]] = field(default_factory=list)

    def columns(self) -> Columns:
        """The union of the columns."""
        found = [Columns.from_footer(footer["columns"]) for footer in self.footers]
        verdicts: dict[str, tuple[str, ...]] = {}
        for columns in found:
            verdicts.update(columns.verdicts or {})
        return Columns(
            found[0].joint_names,
            max(columns.contact_width for columns in found),
            tuple(dict.fromkeys(term for columns in found for term in columns.term_names)),
            verdicts,
            tuple(dict.fromkeys(name for columns in found for name in columns.metrics)),
        )

    def groups(self) -> dict[str, list[tuple[int, int]]]:
        """Shard and row group of every object, by mesh hash."""
        found: dict[str, list[tuple[int, int]]] = {}
        for number, shard in enumerate(self.shards):
            file = shard.open()
            for group in range(file.num_row_groups):
                head = file.read_row_group(group, columns=["object_hash"]).slice(0, 1)
                found.setdefault(head["object_hash"][0].as_py(), []).append((number, group))
        return found


def rewrite(inputs: Sequence[Path], output: Path, pick: Pick, *, how: dict[str, Any]) -> Rewritten:
    """Write the rows of some data sets that ``pick`` chooses into a new one.

    Args:
        inputs: Folders of data sets.
        output: Folder of the new one.
        pick: Takes the table of one hand, grasp type and object, and returns the rows to keep.
        how: What was done, for ``curation.json``.

    Raises:
        ValueError: ``output`` holds a data set, or the hands of the inputs differ.
        OutputError: A file cannot be written.
    """
    if not inputs:
        raise ValueError("no data set named; name folders of python -m warpgrasp.dataset")
    if is_data_set(output):
        raise ValueError(f"{output} holds a data set already; choose another --out")
    cells: dict[tuple[str, str], _Cell] = {}
    for path in inputs:
        for shard in DataSetFolder(path).shards():
            cell = cells.setdefault((shard.hand, shard.grasp_type), _Cell())
            cell.shards.append(shard)
            cell.footers.append(shard.footer())
    _check_hands(cells)
    result = Rewritten()
    with _whole_or_not_at_all(output) as place:
        for (hand, grasp_type), cell in cells.items():
            _write_cell(cell, place / f"hand={hand}" / f"grasp_type={grasp_type}", pick, result)
        if result.rows_written == 0:
            raise ValueError(f"none of the {result.rows_read} grasps is left; nothing was written")
        for path in inputs:
            _copy_assets(path, output, result.objects)
        sources = [str(path) for path in inputs]
        write_text(output / "curation.json", json.dumps({**how, "inputs": sources}, indent=2) + "\n")
    write_tables(output)
    return result


@contextmanager
def _whole_or_not_at_all(output: Path) -> Iterator[Path]:
    """A folder for files that become ``grasps`` of a data set when all are there; what a killed process left goes first."""
    prepared = output / "unfinished"
    shutil.rmtree(prepared, ignore_errors=True)
    try:
        yield prepared
        os.replace(prepared, output / "grasps")
    except OSError as error:
        raise OutputError(f"cannot write {output}: {error.strerror}; choose another --out.") from error
    finally:
        shutil.rmtree(prepared, ignore_errors=True)


def _check_hands(cells: dict[tuple[str, str], _Cell]) -> None:
    hashes: dict[str, str] = {}
    for (hand, _), cell in cells.items():
        for footer in cell.footers:
            known = hashes.setdefault(hand, footer["hand"]["asset_hash"])
            if known != footer["hand"]["asset_hash"]:
                raise ValueError(
                    f"two of the data sets have different hands of the name {hand} (asset hashes {known[:8]} and "
                    f"{footer['hand']['asset_hash'][:8]}); merge those of one hand"
                )


def _write_cell(cell: _Cell, place: Path, pick: Pick, result: Rewritten) -> None:
    columns = cell.columns()
    described = {entry["object_hash"]: entry for footer in cell.footers for entry in footer["objects"]}
    requested = sum(int(footer["yield"]["requested"]) for footer in cell.footers)
    configs = {key: value for footer in cell.footers for key, value in footer["configs"].items()}
    versions = {key: value for footer in cell.footers for key, value in footer["versions"].items()}
    for number, tables in enumerate(_filled(_chosen(cell, columns, pick, result))):
        status = Counter(value for table in tables for value in table["status"].to_pylist())
        held = {
            label: sum(int(np.sum(np.asarray(table[f"held_{label}"].fill_null(False)))) for table in tables)
            for label in columns.verdicts or {}
        }
        rows = sum(map(len, tables))
        hashes = [table["object_hash"][0].as_py() for table in tables]
        footer = {
            "items": [],
            "hand": cell.footers[0]["hand"],
            "grasp_type": cell.shards[0].grasp_type,
            "columns": columns.to_footer(),
            "configs": configs,
            "versions": versions,
            "objects": [described[mesh_hash] for mesh_hash in hashes],
            "failures": [],
            # What was requested belongs to the whole cell: the first file carries it.
            "yield": {
                "requested": requested if number == 0 else 0,
                "rows": rows,
                "status": status,
                "held": held,
            },
        }
        write_table_file(place / f"part_{number:05d}.parquet", tables, columns.schema(), footer)
        result.rows_written += rows
        result.objects.update(hashes)
        result.files += 1


def _chosen(cell: _Cell, columns: Columns, pick: Pick, result: Rewritten) -> Iterator[Any]:
    """The rows to keep of every object, with the columns of the new files."""
    pa = import_pyarrow()
    for _, members in sorted(cell.groups().items()):
        parts = [
            _aligned(cell.shards[number].open().read_row_group(group), columns)
            for number, group in sorted(members)
        ]
        table = pa.concat_tables(parts).unify_dictionaries().combine_chunks()
        result.rows_read += len(table)
        _, first = np.unique(np.asarray(table["grasp_id"].to_pylist()), return_index=True)
        if len(first) < len(table):
            result.repeated += len(table) - len(first)
            table = table.take(np.sort(first))
        kept = pick(table)
        if len(kept):
            yield table.take(kept)


def _filled(tables: Iterator[Any]) -> Iterator[list[Any]]:
    """Tables of a file, until it is full."""
    file: list[Any] = []
    size = 0
    for table in tables:
        file.append(table)
        size += table.nbytes
        if size >= LARGEST_SHARD:
            yield file
            file, size = [], 0
    if file:
        yield file


def _aligned(table: Any, columns: Columns) -> Any:
    """A table with the columns of others: longer lists of contacts, null where it has nothing to say."""
    pa = import_pyarrow()
    schema = columns.schema()
    arrays = []
    for entry in schema:
        if entry.name not in table.column_names:
            arrays.append(_empty(entry.type, len(table)))
        elif (
            entry.name in (*CONTACT_COLUMNS, "contact_index")
            and table.schema.field(entry.name).type != entry.type
        ):
            arrays.append(_longer(list_values(table[entry.name]), entry.type))
        else:
            arrays.append(table[entry.name].cast(entry.type))
    return pa.table(arrays, schema=schema.remove_metadata())


def _empty(kind: Any, count: int) -> Any:
    pa = import_pyarrow()
    if not pa.types.is_fixed_size_list(kind):
        return pa.nulls(count, kind)
    is_bool = pa.types.is_boolean(kind.value_type)
    values = np.zeros(count * kind.list_size, bool) if is_bool else np.full(count * kind.list_size, np.nan)
    return pa.FixedSizeListArray.from_arrays(pa.array(values, type=kind.value_type), kind.list_size)


def _longer(values: NDArray[Any], kind: Any) -> Any:
    pa = import_pyarrow()
    wider = np.full(
        (len(values), kind.list_size, *values.shape[2:]),
        -1 if values.dtype.kind == "i" else np.nan,
        values.dtype,
    )
    wider[:, : values.shape[1]] = values
    inner = kind.value_type
    is_nested = pa.types.is_fixed_size_list(inner)
    flat = pa.array(wider.reshape(-1), type=inner.value_type if is_nested else inner)
    if is_nested:
        flat = pa.FixedSizeListArray.from_arrays(flat, inner.list_size)
    return pa.FixedSizeListArray.from_arrays(flat, kind.list_size)


def _copy_assets(source: Path, output: Path, objects: set[str]) -> None:
    """Meshes of the objects that are left, all hands, all views; a hard link where the file system allows it."""
    wanted = [source / "assets" / "objects" / object_file_name(mesh_hash) for mesh_hash in sorted(objects)]
    wanted += [path for path in sorted((source / "assets" / "hands").rglob("*")) if path.is_file()]
    wanted += sorted((source / "views").glob("*.parquet"))
    for path in wanted:
        target = output / path.relative_to(source)
        if target.exists() or not path.exists():
            continue
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(OSError):
                os.link(path, target)
                continue
            shutil.copyfile(path, target)
        except OSError as error:
            raise OutputError(f"cannot write {target}: {error.strerror}; choose another --out.") from error


def counts(result: Rewritten) -> str:
    """A sentence for the terminal."""
    twice = f"; {result.repeated} were in two of the data sets" if result.repeated else ""
    rows = f"{result.rows_written} of {result.rows_read} grasps"
    return f"{rows} of {len(result.objects)} objects in {result.files} files{twice}"
