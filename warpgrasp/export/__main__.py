"""``python -m warpgrasp.export RUN... --format FORMAT -o DIR``: grasps for other tools.

Frames and joint orders are those the reader expects for Allegro, Shadow and LEAP; other hands keep their own, and a file
``<hand>_<format>_joints.json`` beside the grasps says which. Exit codes: 0 all grasps written, 1 files or grasps had to be
skipped, 2 wrong usage.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from warpgrasp.base.atomic_file import OutputError
from warpgrasp.base.command import run_command
from warpgrasp.base.output_text import print_any_text
from warpgrasp.base.warp_messages import quiet_warp
from warpgrasp.export import export_grasps

__all__ = ["ExportOptions", "main"]


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Write grasps in another tool's format."""

    inputs: tyro.conf.Positional[tuple[Path, ...]]
    """Grasp files (npz), folders of python -m warpgrasp.generate, or data sets of python -m warpgrasp.dataset."""
    format: Literal["dexgraspbench", "dexgraspnet", "dexlearn", "graspqp", "isaac_grasp", "mjcf", "usd"]
    """dexgraspbench: npy per grasp with object folders; dexgraspnet: npy per object; dexlearn: training folder with point
    clouds; graspqp: torch file per object; isaac_grasp: YAML per
    object; mjcf: MuJoCo scene with keyframes
    per object; usd: stage per object."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder to write into; runs with files of one name get folders of their own in it."""
    hand: str | None = None
    """Name or path of the hand, where the grasp files do not find it; grasps of another hand are refused."""
    best: int | None = None
    """At most this many grasps per file, those most likely to hold."""
    every_status: bool = False
    """Also write grasps whose status is not OK."""
    stiffness: float | None = None
    """Stiffness of the position servos that will read the squeeze targets [Nm/rad or N/m], for dexgraspbench, graspqp and
    isaac_grasp; by default that of DexGraspBench's Allegro, Shadow and LEAP, and of the hand's asset otherwise."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = tyro.cli(ExportOptions, args=arguments, prog="python -m warpgrasp.export")
    print_any_text()
    quiet_warp()
    console = Console(soft_wrap=True, highlight=False)
    errors = Console(stderr=True, soft_wrap=True, highlight=False)

    def complain(text: str) -> None:
        errors.print(f"error: {text}", style="red", markup=False)

    try:
        result = export_grasps(
            options.inputs,
            options.output,
            format=options.format,
            hand=options.hand,
            every_status=options.every_status,
            best=options.best,
            stiffness=options.stiffness,
        )
    except OutputError as error:
        complain(str(error))
        return 1
    except (ValueError, ImportError) as error:
        complain(str(error))
        return 2
    for sentence in result.failures.values():
        complain(sentence)
    flagged = f"; {result.flagged_count} with a status other than OK left out" if result.flagged_count else ""
    text = f"{result.grasp_count} grasps in {len(result.paths)} files of {options.format}{flagged}: {options.output}"
    console.print(text, markup=False)
    return 1 if result.failures else 0


if __name__ == "__main__":
    sys.exit(run_command(main))
