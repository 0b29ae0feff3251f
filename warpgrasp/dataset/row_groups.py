"""Row groups of a data set that a loader reads, with the rows it keeps of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.grasps.sharded.columns import Columns
from warpgrasp.grasps.sharded.folder import DataSetFolder, ShardFile
from warpgrasp.grasps.sharded.rows import list_values

__all__ = ["GraspRows", "RowGroup", "RowQuery"]

_OPEN_FILES = 64


@dataclass(frozen=True)
class RowGroup:
    """Kept rows of one row group, all of one object."""

    shard: int
    number: int
    rows: NDArray[np.int64]
    """Within the row group."""
    object_hash: str


@dataclass(frozen=True, kw_only=True)
class RowQuery:
    """Which rows."""

    hand: str | None = None
    """Needed where the data set has several."""
    grasp_type: str | None = None
    split: str | None = None
    """``train`` or ``test``."""
    held: str | None = None
    """Only grasps that hold under this protocol, such as ``graspqp_5n``."""
    every_status: bool = False
    """Also grasps whose status is not OK."""


class GraspRows:
    """The rows of a data set that fit a query.

    Args:
        folder: The data set.
        query: Which rows.

    Raises:
        ValueError: No such rows, or several hands and none named.
    """

    def __init__(self, folder: Path | str, query: RowQuery) -> None:
        self.folder = DataSetFolder(folder)
        self.query = query
        self.shards: list[ShardFile] = self.folder.shards(hand=query.hand, grasp_type=query.grasp_type)
        hands = sorted({shard.hand for shard in self.shards})
        if len(hands) > 1:
            raise ValueError(f"{folder} holds grasps of {', '.join(hands)}; name one of them as hand")
        self.columns: Columns = self.shards[0].columns()
        self._files: dict[int, Any] = {}
        self.groups = [group for index in range(len(self.shards)) for group in self._kept(index)]
        if not self.groups:
            raise ValueError(f"{folder} holds no rows for {query}; leave conditions out")
        self.objects = sorted({group.object_hash for group in self.groups})
        """Mesh hashes of the objects; ``object_index`` counts them."""
        self.object_index = {mesh_hash: number for number, mesh_hash in enumerate(self.objects)}

    def __len__(self) -> int:
        """Number of kept rows."""
        return sum(len(group.rows) for group in self.groups)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": {}}  # open files stay in the process that opened them

    def check(self, names: Sequence[str]) -> None:
        """Refuse columns that the files do not have.

        Raises:
            ValueError: The sentence lists those they have.
        """
        known = self._file(0).schema_arrow.names
        for name in names:
            if name not in known:
                raise ValueError(f"there is no column {name!r}; there are {', '.join(known)}")

    def read(self, groups: Sequence[RowGroup], names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Columns of some row groups, [N, ...] each, and ``object_index`` [N]."""
        parts: dict[str, list[NDArray[Any]]] = {name: [] for name in (*names, "object_index")}
        by_shard: dict[int, list[RowGroup]] = {}
        for group in groups:
            by_shard.setdefault(group.shard, []).append(group)
        for shard, members in by_shard.items():
            file = self._file(shard)
            table = file.read_row_groups(
                [group.number for group in members], columns=list(names), use_threads=False
            )
            sizes = [file.metadata.row_group(group.number).num_rows for group in members]
            starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
            rows = np.concatenate([start + group.rows for start, group in zip(starts, members, strict=True)])
            for name in names:
                parts[name].append(list_values(table[name])[rows])
            indices = [self.object_index[group.object_hash] for group in members]
            parts["object_index"].append(np.repeat(indices, [len(group.rows) for group in members]))
        return {name: np.concatenate(values) for name, values in parts.items()}

    def _file(self, shard: int) -> Any:
        if shard not in self._files:
            if len(self._files) >= _OPEN_FILES:
                self._files.pop(next(iter(self._files)))
            self._files[shard] = self.shards[shard].open()
        return self._files[shard]

    def _kept(self, shard: int) -> list[RowGroup]:
        """Row groups of a file with the rows that fit."""
        file = self._file(shard)
        names = ["object_hash", "status", "split"]
        if self.query.held is not None:
            column = f"held_{self.query.held}"
            self.check([column])
            names.append(column)
        table = file.read(columns=names, use_threads=False)
        keep = np.ones(len(table), dtype=bool)
        if not self.query.every_status:
            keep &= np.asarray(table["status"].to_pylist()) == "OK"
        if self.query.split is not None:
            keep &= np.asarray(table["split"].to_pylist()) == self.query.split
        if self.query.held is not None:
            keep &= np.asarray(table[names[-1]].fill_null(False))
        hashes = table["object_hash"].to_pylist()
        groups, start = [], 0
        for number in range(file.num_row_groups):
            size = file.metadata.row_group(number).num_rows
            rows = np.flatnonzero(keep[start : start + size])
            if len(rows):
                groups.append(RowGroup(shard, number, rows, hashes[start]))
            start += size
        return groups
