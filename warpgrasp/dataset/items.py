"""Work items: what one worker does in one go and writes into one file, the same on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from warpgrasp.dataset.generations import Cell, Generation
from warpgrasp.dataset.planned_objects import PlannedObject

__all__ = ["WorkItem", "work_items"]


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
            step = int(generation.settings["objects_per_item"])
            for start in range(0, len(left), step):
                chosen = tuple(left[start : start + step])
                text = " ".join((name, *(entry.key for entry in chosen)))
                digest = hashlib.sha256(text.encode()).hexdigest()[:16]
                yield WorkItem(digest, generation.number, cell, chosen)
