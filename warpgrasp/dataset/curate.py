"""``python -m warpgrasp.dataset merge|filter|dedup|select``: a new data set from the rows of others."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray

from warpgrasp.base.json_text import to_json
from warpgrasp.dataset.choosing import PoseDistance, distinct, farthest
from warpgrasp.dataset.command import command
from warpgrasp.dataset.rewriting import Rewritten, counts, rewrite
from warpgrasp.grasps.sharded.rows import list_values

__all__ = [
    "DedupOptions",
    "FilterOptions",
    "MergeOptions",
    "SelectOptions",
    "dedup",
    "filter_rows",
    "merge",
    "select",
]

DataSets = tyro.conf.Positional[tuple[Path, ...]]
Out = Annotated[Path, tyro.conf.arg(aliases=["-o"])]


@dataclass(frozen=True, kw_only=True)
class MergeOptions:
    """Join data sets, or pack the many small files of one into few large ones."""

    data_sets: DataSets
    """Folders of data sets; rows that two of them have are written once."""
    out: Out
    """Folder of the new data set."""


@dataclass(frozen=True, kw_only=True)
class FilterOptions:
    """Keep the grasps that fulfil all conditions."""

    data_sets: DataSets
    """Folders of data sets."""
    out: Out
    """Folder of the new data set."""
    held: tuple[str, ...] = ()
    """Protocols under which a grasp must hold, such as graspqp_5n."""
    status: tuple[str, ...] = ()
    """Statuses, such as OK."""
    split: str | None = None
    """train or test."""
    objects: tuple[str, ...] = ()
    """Names of objects; * and ? stand for any letters."""
    methods: tuple[str, ...] = ()
    """Methods."""
    where: tuple[str, ...] = ()
    """Conditions on columns of numbers, such as "penetration_depth < 0.003" or "energy <= 20"."""


@dataclass(frozen=True, kw_only=True)
class DedupOptions:
    """Drop grasps that nearly equal a better one on the same object."""

    data_sets: DataSets
    """Folders of data sets."""
    out: Out
    """Folder of the new data set."""
    distance: tyro.conf.OmitArgPrefixes[PoseDistance] = field(default_factory=PoseDistance)
    """What counts as the same grasp."""
    device: str = "auto"
    """Where distances are computed: auto, cpu, cuda, ..."""


@dataclass(frozen=True, kw_only=True)
class SelectOptions:
    """Keep a number of grasps per object, hand and grasp type, as different from each other as possible."""

    data_sets: DataSets
    """Folders of data sets."""
    out: Out
    """Folder of the new data set."""
    count: int
    """Grasps per object, hand and grasp type: the best, then always the one farthest from those chosen."""
    distance: tyro.conf.OmitArgPrefixes[PoseDistance] = field(default_factory=PoseDistance)
    """What counts as one unit of distance."""
    device: str = "auto"
    """Where distances are computed: auto, cpu, cuda, ..."""


def merge(options: MergeOptions) -> Rewritten:
    """Join data sets (:func:`warpgrasp.dataset.rewriting.rewrite` raises what it says)."""
    return rewrite(
        options.data_sets, options.out, lambda table: np.arange(len(table)), how={"command": "merge"}
    )


def filter_rows(options: FilterOptions) -> Rewritten:
    """Keep rows that fulfil all conditions.

    Raises:
        ValueError: A condition that cannot be read, or a column that does not exist.
    """
    conditions = [_condition(text) for text in options.where]

    def pick(table: Any) -> NDArray[np.int64]:
        keep = np.ones(len(table), dtype=bool)
        for label in options.held:
            keep &= np.asarray(_column(table, f"held_{label}").fill_null(False))
        for name, allowed in (("status", options.status), ("method", options.methods)):
            if allowed:
                keep &= np.isin(np.asarray(table[name].to_pylist()), allowed)
        if options.split is not None:
            keep &= np.asarray(table["split"].to_pylist()) == options.split
        if options.objects:
            names = table["object"].to_pylist()
            keep &= np.asarray([any(fnmatchcase(n, pattern) for pattern in options.objects) for n in names])
        for name, compare, number in conditions:
            values = list_values(_column(table, name).cast("float64"))
            with np.errstate(invalid="ignore"):
                keep &= compare(values, number) & ~np.isnan(values)
        return np.flatnonzero(keep)

    how = {
        name: value for name, value in to_json(options).items() if name not in ("data_sets", "out", "type")
    }
    return rewrite(options.data_sets, options.out, pick, how={"command": "filter", **how})


def dedup(options: DedupOptions) -> Rewritten:
    """Drop near duplicates (:func:`warpgrasp.dataset.choosing.distinct`)."""
    return rewrite(
        options.data_sets,
        options.out,
        lambda table: distinct(table, options.distance, device=options.device),
        how={"command": "dedup", "distance": to_json(options.distance)},
    )


def select(options: SelectOptions) -> Rewritten:
    """Keep different grasps of every object (:func:`warpgrasp.dataset.choosing.farthest`).

    Raises:
        ValueError: ``count`` is not positive.
    """
    if options.count < 1:
        raise ValueError(f"--count must be at least 1 (got {options.count})")
    return rewrite(
        options.data_sets,
        options.out,
        lambda table: farthest(table, options.count, options.distance, device=options.device),
        how={"command": "select", "count": options.count, "distance": to_json(options.distance)},
    )


_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
    "!=": operator.ne,
}


def _condition(text: str) -> tuple[str, Callable[[Any, Any], Any], float]:
    match = re.fullmatch(r"\s*(\w+)\s*(<=|>=|==|!=|<|>)\s*(\S+)\s*", text)
    try:
        if match is None:
            raise ValueError
        return match[1], _COMPARISONS[match[2]], float(match[3])
    except ValueError:
        raise ValueError(f'--where takes "COLUMN < NUMBER", also <=, >, >=, ==, != (got {text!r})') from None


def _column(table: Any, name: str) -> Any:
    if name not in table.column_names:
        raise ValueError(f"there is no column {name!r}; there are {', '.join(table.column_names)}")
    return table[name]


def merge_command(arguments: Sequence[str]) -> int:
    """Command line of :func:`merge`."""
    return command(MergeOptions, arguments, "merge", lambda options: counts(merge(options)))


def filter_command(arguments: Sequence[str]) -> int:
    """Command line of :func:`filter_rows`."""
    return command(FilterOptions, arguments, "filter", lambda options: counts(filter_rows(options)))


def dedup_command(arguments: Sequence[str]) -> int:
    """Command line of :func:`dedup`."""
    return command(DedupOptions, arguments, "dedup", lambda options: counts(dedup(options)))


def select_command(arguments: Sequence[str]) -> int:
    """Command line of :func:`select`."""
    return command(SelectOptions, arguments, "select", lambda options: counts(select(options)))
