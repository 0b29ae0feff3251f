"""How many grasps a second one loader process gives: ``python benchmarks/loader.py [FOLDER]``.

Makes a data set of random poses (1,000 generated objects, 200 grasps each) where FOLDER holds none, and reads it through
``GraspStream`` and ``GraspDataset``, without and with point clouds. Seconds are CPU seconds of this process.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from warpgrasp.dataset.__main__ import main as make
from warpgrasp.torch import GraspDataset, GraspStream

BATCH = 256


def rate(batches: Iterable[dict[str, torch.Tensor]], limit: int = 100_000) -> float:
    """Grasps per CPU second, over at most ``limit`` grasps, the first batch left out."""
    source = iter(batches)
    next(source)
    started, count = time.process_time(), 0
    for batch in source:
        count += len(batch["object_index"])
        if count >= limit:
            break
    return count / (time.process_time() - started)


def main() -> None:
    """Make the data set where it is missing, and print the rates."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "loader_data")
    torch.set_num_threads(1)
    if not folder.exists():
        plan = [
            "--primitives",
            "1000",
            "--methods",
            "simulated",
            "--grasps",
            "200",
            "--objects-per-item",
            "50",
        ]
        make([*plan, "--out", str(folder), "--shard", "0/1"])
    for points in (0, 1024):
        stream = GraspStream(folder, batch_size=BATCH, points=points)
        print(f"stream, {points} points: {rate(stream):,.0f} grasps/s")
        print(f"stream, {points} points, objects known: {rate(stream):,.0f} grasps/s")
        data = GraspDataset(folder, points=points)
        loader = DataLoader(data, batch_size=BATCH, shuffle=True, collate_fn=data.collate)
        rate(loader, limit=50_000)
        print(f"in memory, {points} points: {rate(loader):,.0f} grasps/s")


if __name__ == "__main__":
    main()
