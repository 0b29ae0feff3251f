"""``python -m warpgrasp.export.import_isaac FILE.yaml --hand HAND --object MESH -o DIR``: isaac_grasp files as grasp files.

What comes out (npz) can be evaluated, exported and trained with like grasps of ``python -m warpgrasp.generate``. Exit codes:
0 written, 2 wrong usage or a file that cannot be read.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from warpgrasp.base.atomic_file import OutputError
from warpgrasp.base.command import run_command
from warpgrasp.export.isaac_grasp import read_isaac_grasps
from warpgrasp.hands import load_hand
from warpgrasp.objects import example_object_names, example_object_path, load_object

__all__ = ["ImportOptions", "main"]


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """Read grasps of Isaac Sim's Grasp Editor, GraspGen or GraspDataGen."""

    file: tyro.conf.Positional[Path]
    """isaac_grasp file (YAML)."""
    hand: str
    """Name or path of the hand."""
    object: str
    """Mesh file of the object, or the name of a shipped one."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder for the npz file, which has the name of the object."""
    scale: float = 1.0
    """Factor from the mesh file's lengths to metres."""
    gripper_link: str | None = None
    """Link of the hand whose frame the file's poses give; the root when left out."""
    joints: dict[str, str] = field(default_factory=dict)
    """Joint names of the file and of the hand where they differ: --joints finger_joint left_outer_knuckle_joint."""
    default_joints: tuple[float, ...] = ()
    """Joints at the grasp [rad or m] where the file has none, as GraspGen's."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = tyro.cli(ImportOptions, args=arguments, prog="python -m warpgrasp.export.import_isaac")
    try:
        hand = load_hand(options.hand)
        named = options.object in example_object_names() and not Path(options.object).exists()
        source = example_object_path(options.object) if named else Path(options.object)
        model = load_object(source, scale=options.scale)
        grasps = read_isaac_grasps(
            options.file,
            hand,
            model,
            gripper_link=options.gripper_link,
            joints=options.joints,
            default_joints=options.default_joints or None,
        )
        path = grasps.save(options.output / f"{model.name}.npz")
    except (OutputError, ValueError, OSError) as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(
            f"error: {error}", style="red", markup=False
        )
        return 2
    text = f"{len(grasps)} grasps of hand {hand.name} on {model.name}: {path}"
    Console(soft_wrap=True, highlight=False).print(text, markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
