"""One worker: takes items, writes their files, and keeps account of what failed. The same with Ray and without.

Account of an item, below ``work``::

    attempts/<item>.json   deaths and errors so far; removed when the item is finished
    failed/<item>.json     set aside: what went wrong the last time
    log/<host>_<pid>.jsonl one line per finished item: rows, yields, seconds

An item whose work raises an error three times is set aside. A worker that dies leaves its attempt behind, which counts as a
death: machines are taken away and users kill things, so that only the tenth death at one item sets it aside.
"""

from __future__ import annotations

import json
import os
import socket
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warpgrasp.base.atomic_file import OutputError, write_text
from warpgrasp.base.json_text import json_text
from warpgrasp.dataset.generations import read_generations
from warpgrasp.dataset.items import WorkItem
from warpgrasp.dataset.making import ItemRows, Maker, versions
from warpgrasp.grasps.sharded.shard import INCOMING, remove_incoming, write_table_file

__all__ = ["DEATH_LIMIT", "ERROR_LIMIT", "Outcome", "Worker", "set_aside_items", "work_folder"]

ERROR_LIMIT = 3
"""Errors after which an item is set aside."""
DEATH_LIMIT = 10
"""Deaths of a worker at one item after which it is set aside."""


def work_folder(folder: Path) -> Path:
    """Where the account of a data set lies."""
    return folder / "work"


@dataclass(frozen=True)
class Outcome:
    """What became of an item in one attempt."""

    item: str
    state: str
    """``written``, ``there`` (by somebody else), ``failed`` (to be tried again) or ``set aside``."""
    rows: int = 0
    sentence: str = ""


class Worker:
    """Works on items of the data set in a folder.

    Args:
        folder: Data set with a plan.
        device: Warp device by name.
        threads: Threads of the physics engine; 0 takes all cores.
    """

    def __init__(self, folder: Path, *, device: str = "auto", threads: int = 0) -> None:
        from warpgrasp.base.warp_device import choose_device
        from warpgrasp.base.warp_messages import quiet_warp

        quiet_warp()
        self.folder = folder
        self.work = work_folder(folder)
        self.maker = Maker(
            folder, read_generations(folder), device=str(choose_device(device)), workers=threads
        )
        self.host = socket.gethostname()
        remove_incoming(self.work / INCOMING, now=time.time())

    def run(self, item: WorkItem) -> Outcome:
        """Make an item and write its file, unless it is there or set aside.

        Raises:
            OutputError: A file cannot be written; nobody can go on.
        """
        if item.path(self.folder).exists():
            return Outcome(item.id, "there")
        attempt = self._attempt(item)
        for kind, limit in (("deaths", DEATH_LIMIT), ("errors", ERROR_LIMIT)):
            if attempt[kind] >= limit:
                sentence = attempt["sentence"] or f"the worker ended {limit} times while it was at this item"
                return self._set_aside(item, sentence)
        self._write_attempt(item, {**attempt, "deaths": attempt["deaths"] + 1})  # until the opposite is known
        try:
            rows = self._make_and_write(item)
        except OutputError:
            self._write_attempt(item, attempt)
            raise
        except KeyboardInterrupt:
            self._write_attempt(item, attempt)
            raise
        except Exception as error:
            return self._failed(item, attempt, error)
        with suppress(OSError):
            self._attempt_file(item).unlink()
        return Outcome(item.id, "written", rows)

    # --------------------------------------------------------------------------------------------------- inside

    def _make_and_write(self, item: WorkItem) -> int:
        started, cpu = time.perf_counter(), time.process_time()
        if item.cell is None:
            from warpgrasp.dataset.views import write_views

            generation = self.maker.generations[item.generation]
            rows = write_views(self.maker, item, generation.settings["views"], self.work / INCOMING)
            self._log({"item": item.id, "views": rows}, started, cpu)
            return rows
        made = self.maker.grasps(item)
        footer = item_footer(item, made)
        bytes_written = write_table_file(
            item.path(self.folder), made.tables, made.columns.schema(), footer, incoming=self.work / INCOMING
        )
        line = {"item": item.id, **footer["yield"], "bytes": bytes_written, "failures": made.failures}
        self._log({**line, "stages": made.seconds}, started, cpu)
        return int(footer["yield"]["rows"])

    def _log(self, line: Mapping[str, Any], started: float, cpu: float) -> None:
        entry = {**line, "seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
        path = self.work / "log" / f"{self.host}_{os.getpid()}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(
            "a", encoding="utf-8"
        ) as file:  # an account, not a result: a torn last line is ignored
            file.write(json.dumps(entry) + "\n")

    def _failed(self, item: WorkItem, attempt: Mapping[str, Any], error: Exception) -> Outcome:
        sentence = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        trace = "".join(traceback.format_exception(error))
        now = {**attempt, "errors": attempt["errors"] + 1, "sentence": sentence, "trace": trace[-8000:]}
        self._write_attempt(item, now)
        if now["errors"] >= ERROR_LIMIT:
            return self._set_aside(item, sentence, trace)
        return Outcome(item.id, "failed", sentence=sentence)

    def _set_aside(self, item: WorkItem, sentence: str, trace: str = "") -> Outcome:
        content = {
            "item": item.id,
            "sentence": sentence,
            "objects": [entry.name for entry in item.objects],
            "trace": trace,
        }
        write_text(self.work / "failed" / f"{item.id}.json", json_text(content))
        return Outcome(item.id, "set aside", sentence=sentence)

    def _attempt_file(self, item: WorkItem) -> Path:
        return self.work / "attempts" / f"{item.id}.json"

    def _attempt(self, item: WorkItem) -> dict[str, Any]:
        none = {"deaths": 0, "errors": 0, "sentence": ""}
        with suppress(OSError, ValueError):
            return {**none, **json.loads(self._attempt_file(item).read_text(encoding="utf-8"))}
        return none

    def _write_attempt(self, item: WorkItem, attempt: Mapping[str, Any]) -> None:
        if attempt["deaths"] == 0 and attempt["errors"] == 0:
            with suppress(OSError):
                self._attempt_file(item).unlink()
            return
        write_text(self._attempt_file(item), json_text(dict(attempt)))


def item_footer(item: WorkItem, made: ItemRows) -> dict[str, Any]:
    """What the footer of an item's file says; nothing in it depends on when or where it was made."""
    cell = item.cell
    assert cell is not None
    rows = sum(map(len, made.tables))
    return {
        "items": [item.id],
        "hand": {"name": cell.hand, "asset_hash": cell.hand_hash, "path": cell.hand_source},
        "grasp_type": cell.grasp_type,
        "columns": made.columns.to_footer(),
        "configs": made.configs,
        "versions": versions(),
        "objects": made.objects,
        "failures": made.failures,
        "yield": {"requested": made.requested, "rows": rows, "status": made.statuses, "held": made.held},
    }


def set_aside_items(folder: Path) -> dict[str, dict[str, Any]]:
    """Items that were set aside, by id, with their sentence and objects."""
    found = {}
    for path in sorted((work_folder(folder) / "failed").glob("*.json")):
        with suppress(OSError, ValueError):
            found[path.stem] = dict(json.loads(path.read_text(encoding="utf-8")))
    return found


def forget_failures(folder: Path, items: Sequence[str]) -> None:
    """Let items that were set aside be tried again."""
    for item in items:
        for kind in ("failed", "attempts"):
            with suppress(OSError):
                (work_folder(folder) / kind / f"{item}.json").unlink()
