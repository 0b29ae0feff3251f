"""Options of ``python -m warpgrasp.dataset`` when it works on a plan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

__all__ = ["RunOptions", "plan_flags"]

Words = Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="WORD [WORD ...]")]
Numbers = Annotated[tuple[int, ...] | None, tyro.conf.arg(metavar="INT [INT ...]")]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Make a data set of grasps from a plan; the same command continues where it stopped.

    Other commands: merge, filter, dedup, select, stats, from-npz, to-npz; each has its own --help.
    """

    plan: tyro.conf.Positional[Path | None] = None
    """YAML file of the plan; flags change single values of it, and are enough without it."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("dataset")
    """Folder of the data set."""
    objects: Words = None
    """Mesh files, folders, quoted patterns, list files (.txt) or shipped objects."""
    primitives: int | None = None
    """Generate so many boxes, cylinders, spheres, tori and mugs, beside or instead of --objects."""
    hands: Words = None
    """Shipped hands or paths of hand files."""
    grasp_types: Words = None
    """power, precision, pinch, or other grasp types of the hands."""
    contact_counts: Annotated[Numbers, tyro.conf.arg(name="contacts")] = None
    """Contacts of a grasp; several counts are made one after the other."""
    methods: Words = None
    """Methods of python -m warpgrasp.generate (--list-methods); simulated writes random poses, to try a pipeline."""
    seeds: int | None = None
    """Number of seeds; each gives --grasps grasps per object."""
    grasps: int | None = None
    """Grasps per object, hand, grasp type, contact count, method and seed (default: 32)."""
    steps: int | None = None
    """Optimiser steps (default: the method's own)."""
    target: int | None = None
    """Go on with further seeds until so many grasps of an object hold (or are OK, without --protocols)."""
    protocols: Words = None
    """Tests of the grasps: graspqp, dexgraspbench, bodex-paper."""
    views: int | None = None
    """Cameras per object."""
    objects_per_item: int | None = None
    """Objects of one work item, which is one file (default: 16)."""
    dry_run: bool = False
    """Say what the plan amounts to, with hours from a short measurement, and write nothing."""
    status: bool = False
    """Say how far the data set in --out is, and end; works from any terminal."""
    extend: bool = False
    """Add what the plan has more than the one the folder was begun with; without it another plan is refused."""
    retry_failed: bool = False
    """Try again what was set aside after three errors."""
    shard: str | None = None
    """i/n: work on the i-th of n shares (from 0) in this process, without Ray: for job arrays. 0/1 is everything."""
    address: str | None = None
    """Ray cluster: auto, or ray://HOST:10001; without it Ray is started on this machine for this run."""
    workers: int | None = None
    """Ray actors (default: one per GPU, or one per CPU where there is none)."""
    device: str = "auto"
    """Device of each worker: auto, cpu, cuda."""
    threads: int = 0
    """With --shard: threads of the physics engine; 0 takes all cores."""


_FLAGS = (
    "hands",
    "grasp_types",
    "contact_counts",
    "methods",
    "seeds",
    "grasps",
    "steps",
    "target",
    "protocols",
    "views",
    "objects_per_item",
)


def plan_flags(options: RunOptions) -> dict[str, Any]:
    """The flags that change the plan, by key of the plan."""
    flags: dict[str, Any] = {name: getattr(options, name) for name in _FLAGS}
    named: list[Any] = list(options.objects or ())
    if options.primitives:
        named.append({"primitives": options.primitives})
    flags["objects"] = named or None
    return flags
