"""Work items: what one worker does in one go and writes into one file, the same on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warpgrasp.dataset.generations import Cell, Generation
from warpgrasp.dataset.planned_objects import PlannedObject

__all__ = ["WorkItem", "in_share", "work_items"]

_SHARD_BYTES = 128_000_000
_ROW_BYTES = 2000
"""At most; a grasp of 24 joints and 15 contacts with a protocol has 1.5 kB before compression."""


@dataclass(frozen=True)
class WorkItem:
    """Some objects of one cell, or, without a cell, their pictures."""

    id: str
    """Hash of its cell and its objects: the name of its file."""
    generation: int
    cell: Cell | None
    objects: tuple[PlannedObject, ...]

    def path(self, folder: Path) -> Path:
        """The file it is to write."""
        if self.cell is None:
            return folder / "views" / f"{self.id}.parquet"
        place = folder / "grasps" / f"hand={self.cell.hand}" / f"grasp_type={self.cell.grasp_type}"
        return place / f"{self.id}.parquet"


def work_items(generations: Sequence[Generation]) -> Iterator[WorkItem]:
    """All items of all generations in their order; a task of an earlier generation is not made again."""
    for generation in generations:
        cells: list[Cell | None] = list(generation.cells)
        if generation.settings["views"] is not None:
            cells.append(None)
        earlier = [other for other in generations if other.number < generation.number]
        for cell in cells:
            name = "views" if cell is None else cell.id
            made = {
                entry.key
                for other in earlier
                if cell is None or any(cell.id == known.id for known in other.cells)
                for entry in other.objects
            }
            left = [entry for entry in generation.objects if entry.key not in made]
            for chosen in _even_parts(left, _largest_item(generation.settings, pictures=cell is None)):
                text = " ".join((name, *(entry.key for entry in chosen)))
                digest = hashlib.sha256(text.encode()).hexdigest()[:16]
                yield WorkItem(digest, generation.number, cell, chosen)


def in_share(items: Iterable[WorkItem], number: int, count: int) -> Iterator[WorkItem]:
    """The items of one of ``count`` shares, counted from 0; all shares have as many, up to one.

    The place among all items decides, so that shares are the same whatever is finished. Each round of ``count`` items is dealt
    out one place further than the last: no share gets only one hand or grasp type.
    """
    for place, item in enumerate(items):
        if (place + place // count) % count == number:
            yield item


def _largest_item(settings: Mapping[str, Any], *, pictures: bool) -> int:
    """Objects of an item: so many as the plan says, unless what is made of them would fill more than one file."""
    if pictures:
        views = settings["views"]
        bytes_per_object = views["count"] * (9 * views["size"] ** 2 + 12 * views["points"] + 500)
    else:
        rounds = settings["rounds"] if settings["target"] else 1
        bytes_per_object = settings["grasps"] * rounds * _ROW_BYTES
    return min(int(settings["objects_per_item"]), max(int(_SHARD_BYTES // bytes_per_object), 1))


def _even_parts(objects: Sequence[PlannedObject], largest: int) -> Iterator[tuple[PlannedObject, ...]]:
    """As few parts as ``largest`` allows, all of one size up to one, so that no worker waits for the others."""
    parts = -(-len(objects) // largest)
    for part in range(parts):
        yield tuple(objects[part * len(objects) // parts : (part + 1) * len(objects) // parts])
