"""What a grasp stage costs to write: ``python benchmarks/stage_writing.py RUN...``, RUN being grasp files or folders of them.

Every stage is written sixteen times into a temporary folder; the first writing also copies the assets and does not count.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import machine_name

from warpgrasp.base.warp_messages import quiet_warp
from warpgrasp.grasps.case import grasp_files, load_case
from warpgrasp.grasps.usd import write_grasp_usd

TIMES = 16


def main(arguments: list[str]) -> None:
    """One row per file."""
    quiet_warp()
    print(f"{machine_name()}\n| file | hand | grasps | CPU ms / grasp | KiB / grasp |\n|---|---|---|---|---|")
    for path in grasp_files([Path(argument) for argument in arguments]):
        case = load_case(path)
        seconds = []
        with tempfile.TemporaryDirectory() as folder:
            stage = Path(folder) / f"{path.stem}.usda"
            for _ in range(TIMES):
                began = time.process_time()
                write_grasp_usd(stage, case.grasps, case.hand, case.model)
                seconds.append(time.process_time() - began)
            size = stage.stat().st_size / 1024.0 / len(case.grasps)
        spent = 1e3 * float(np.min(seconds[1:])) / len(case.grasps)
        print(
            f"| {path.stem} | {case.hand.name} | {len(case.grasps)} | {spent:.2f} | {size:.1f} |", flush=True
        )


if __name__ == "__main__":
    main(sys.argv[1:])
