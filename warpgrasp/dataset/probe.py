"""What a plan amounts to: items, grasps, bytes and hours, from a short measurement on this machine."""

from __future__ import annotations

import dataclasses
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warpgrasp.base.warp_device import choose_device
from warpgrasp.dataset.generations import Cell, Generation
from warpgrasp.dataset.items import WorkItem
from warpgrasp.dataset.making import Maker
from warpgrasp.dataset.planned_objects import PlannedObject
from warpgrasp.dataset.worker import item_footer
from warpgrasp.grasps.sharded.shard import write_table_file
from warpgrasp.objects import ObjectError, load_object
from warpgrasp.objects.convex_pieces import convex_pieces

__all__ = ["Estimate", "estimate"]

_PROBE_STEPS = 500  # a whole schedule: steps are dearer once the hand is at the object
_PROBE_GRASPS = 8
_PROBE_OBJECTS = 4


@dataclass(frozen=True)
class Estimate:
    """Expected cost of the items of a plan that are still open."""

    items: int
    grasps: int
    bytes: float
    hours: float
    """Of one CPU core, or of one GPU where ``device`` is CUDA."""
    device: str
    probed: tuple[str, ...]
    """What was measured, one sentence per cell kind, and one about objects that are seen for the first time."""


def estimate(generations: Sequence[Generation], items: Sequence[WorkItem], *, device: str) -> Estimate:
    """Measure a few objects of every hand, grasp type, contact count and method, and scale up.

    A probe runs two steps to compile and then 500, on up to four objects with eight grasps; in longer runs a step costs
    somewhat more, since the hand stays at the object for longer. With a target the rounds are not known before: one round
    is counted. Every object counts as one that this machine has not seen before: mending it, and cutting it into convex
    pieces for tests, is measured on four of them.
    """
    name = str(choose_device(device))
    found: dict[tuple[Any, ...], tuple[float, float, float, float]] = {}
    sentences: list[str] = []
    seconds = size = 0.0
    grasps = 0
    for item in items:
        if item.cell is None:
            continue
        generation = next(g for g in generations if g.number == item.generation)
        cell = item.cell
        key = (cell.hand, cell.grasp_type, cell.contact_count, cell.method)
        if key not in found:
            found[key] = _measure(generation, cell, item, name)
            sentences.append(
                f"{cell.hand}, {cell.grasp_type}, {cell.contact_count} contacts, {cell.method}: "
                f"{1000.0 * found[key][0]:.3g} ms per grasp and step, {found[key][1]:.3g} s per grasp for the last stage "
                f"and the tests"
            )
        per_step, per_grasp, per_object, row_bytes = found[key]
        count = len(item.objects) * int(generation.settings["grasps"])
        grasps += count
        seconds += (
            count * (per_step * cell.config(generation.settings, device="cpu").step_count + per_grasp)
            + len(item.objects) * per_object
        )
        size += count * row_bytes
    new = {entry.key: entry for item in items for entry in item.objects}
    tested = any(generation.settings["protocols"] for generation in generations)
    first = _first_time(list(new.values()), tested=tested)
    sentences.append(f"an object that is seen for the first time: {first:.3g} s of the CPU")
    seconds += first * len(new)
    return Estimate(len(items), grasps, size, seconds / 3600.0, name, tuple(sentences))


def _measure(
    generation: Generation, cell: Cell, item: WorkItem, device: str
) -> tuple[float, float, float, float]:
    """Seconds per grasp and step, seconds per grasp beside them, seconds per object, bytes per grasp."""
    clock = time.perf_counter if device.startswith("cuda") else time.process_time
    few = dataclasses.replace(item, objects=item.objects[:_PROBE_OBJECTS])
    count = min(int(generation.settings["grasps"]), _PROBE_GRASPS)
    with tempfile.TemporaryDirectory() as folder:
        for steps in (2, 1 + _PROBE_STEPS):  # the first time kernels are compiled or loaded
            settings = {**generation.settings, "steps": steps, "grasps": count, "target": None, "keep": "all"}
            probe = dataclasses.replace(generation, settings=settings)
            maker = Maker(Path(folder), [probe], device=device, workers=1)
            started = clock()
            rows = maker.grasps(few)
            spent = clock() - started
        path = Path(folder) / "probe.parquet"
        size = write_table_file(path, rows.tables, rows.columns.schema(), item_footer(few, rows))
    made = max(sum(map(len, rows.tables)), 1)
    loop, load = rows.seconds.get("loop", 0.0), rows.seconds.get("load", 0.0)
    tried = count * len(few.objects)
    per_object = load / len(few.objects)
    return loop / (_PROBE_STEPS * tried), max(spent - load - loop, 0.0) / tried, per_object, size / made


def _first_time(objects: Sequence[PlannedObject], *, tested: bool) -> float:
    """CPU seconds, child processes too, that an object costs where nothing of it is in the user's cache."""
    chosen = objects[:: max(len(objects) // _PROBE_OBJECTS, 1)][:_PROBE_OBJECTS]
    before, root = sum(os.times()[:4]), os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        try:
            for entry in chosen:
                with suppress(ObjectError):  # said when it is its turn
                    model = load_object(entry.path, scale=entry.scale, target_size=entry.target_size)
                    if tested:
                        convex_pieces(model)
        finally:
            del os.environ["XDG_CACHE_HOME"]
            if root is not None:
                os.environ["XDG_CACHE_HOME"] = root
    return (sum(os.times()[:4]) - before) / max(len(chosen), 1)
