"""How far a data set is, from its files alone: from any terminal, whoever works on it."""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warpgrasp.dataset.generations import Generation
from warpgrasp.dataset.items import work_items
from warpgrasp.dataset.worker import set_aside_items, work_folder

__all__ = ["DataSetStatus", "finished_files", "read_logs", "read_status"]


@dataclass
class DataSetStatus:
    """Progress, yield and failures."""

    items: int = 0
    finished: int = 0
    set_aside: dict[str, str] = field(default_factory=dict)
    """Item and sentence."""
    rows: int = 0
    requested: int = 0
    status: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    """Objects without grasps, by stage."""
    sentences: Counter[str] = field(default_factory=Counter)
    cpu_seconds: float = 0.0
    bytes: int = 0
    last_finished: float | None = None
    """Seconds since a worker last finished an item."""

    @property
    def open(self) -> int:
        """Items nobody has finished or set aside."""
        return self.items - self.finished - len(self.set_aside)


def finished_files(folder: Path) -> set[str]:
    """Ids of the items whose file is there; one listing per folder, no file is opened."""
    files = [*folder.glob("grasps/hand=*/grasp_type=*/*.parquet"), *folder.glob("views/*.parquet")]
    return {path.stem for path in files}


def read_logs(folder: Path) -> dict[str, dict[str, Any]]:
    """Last line of every finished item, by id."""
    lines: dict[str, dict[str, Any]] = {}
    for path in sorted((work_folder(folder) / "log").glob("*.jsonl")):
        with path.open(encoding="utf-8") as file:
            for text in file:
                with suppress(
                    ValueError, KeyError, TypeError
                ):  # the last line of a killed worker may be torn
                    line = json.loads(text)
                    lines[line["item"]] = line
    return lines


def read_status(folder: Path, generations: list[Generation]) -> DataSetStatus:
    """Read the status of a data set."""
    status = DataSetStatus()
    there = finished_files(folder)
    ids = {item.id for item in work_items(generations)}
    status.items, status.finished = len(ids), len(ids & there)
    status.set_aside = {
        item: str(content.get("sentence", ""))
        for item, content in set_aside_items(folder).items()
        if item in ids - there
    }
    for item, line in read_logs(folder).items():
        if item not in there:
            continue
        status.rows += int(line.get("rows", 0))
        status.requested += int(line.get("requested", 0))
        status.status.update(line.get("status", {}))
        status.held.update(line.get("held", {}))
        status.cpu_seconds += float(line.get("cpu_seconds", 0.0))
        status.bytes += int(line.get("bytes", 0))
        for failure in line.get("failures", []):
            status.failures[failure["stage"]] += 1
            status.sentences[f"{failure['object']}: {failure['sentence']}"] += 1
    times = [path.stat().st_mtime for path in (work_folder(folder) / "log").glob("*.jsonl")]
    status.last_finished = time.time() - max(times) if times else None
    return status
