"""``python -m warpgrasp.hands.convert``: a robot description (URDF, MJCF, USD) becomes a hand that grasps.

Writes into the output folder ``hand.usda`` (the asset), ``annotation.yaml`` (editable), ``report.md`` (what was guessed,
with what confidence) and ``hand.png`` (the same, drawn). Run again with an edited annotation to keep the edits.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import tyro

from warpgrasp.base.command import run_command
from warpgrasp.base.warp_messages import quiet_warp
from warpgrasp.hands.convert import Conversion, ConvertConfig, convert_hand
from warpgrasp.hands.convert.mirror import mirror_hand
from warpgrasp.hands.model import HandModel
from warpgrasp.hands.picture import write_hand_picture

__all__ = ["main"]

_MOST_WARNINGS = 6


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    from rich.console import Console

    def run(
        source: Annotated[Path, tyro.conf.Positional],
        output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
        config: Annotated[ConvertConfig, tyro.conf.arg(name="")] = ConvertConfig(),  # noqa: B008  frozen
    ) -> Conversion | HandModel:
        """Convert a URDF, MJCF or USD robot hand into a hand asset with contact patches, grasp types and spheres.

        Args:
            source: URDF, MJCF or USD file.
            output: Folder for hand.usda, annotation.yaml, report.md, hand.png and review.html.
            config: How to read the file.
        """
        if config.mirror:
            hand = mirror_hand(source, output, config.name)
            if config.picture:
                write_hand_picture(output / "hand.png", hand)
            return hand
        console = Console(stderr=True, soft_wrap=True)
        with console.status(f"{source.name}: starting") as status:

            def tell(step: str) -> None:
                status.update(f"{source.name}: {step}")

            return convert_hand(source, output, config, tell if console.is_terminal else None)

    try:
        quiet_warp()
        result = tyro.cli(run, args=arguments, prog="python -m warpgrasp.hands.convert")
    except (ValueError, ImportError) as error:
        Console(stderr=True, soft_wrap=True).print(str(error), style="red", highlight=False, markup=False)
        return 1
    console = Console(soft_wrap=True, highlight=False)
    if isinstance(result, HandModel):
        console.print(f"{result.path}: the mirror image, {result.dof_count} joints", markup=False)
        return 0
    hand, folder = result.hand, result.hand.path.parent
    console.print(
        f"{hand.path}: {hand.dof_count} joints, fingers {', '.join(f for f in hand.fingers if f != 'palm')}, "
        f"{len(hand.patches)} contact patches, "
        f"grasp types {', '.join(hand.grasp_types)}",
        markup=False,
    )
    for warning in result.warnings[:_MOST_WARNINGS]:
        console.print(f"note: {warning}", markup=False, style="yellow")
    if len(result.warnings) > _MOST_WARNINGS:
        more = len(result.warnings) - _MOST_WARNINGS
        console.print(f"{more} more notes stand in {folder / 'report.md'}", markup=False)
    unsure = [guess.topic for guess in result.guesses if guess.confidence < 0.5]
    if unsure:
        console.print(f"check these guesses (see {folder / 'report.md'}): {', '.join(unsure)}", markup=False)
    if (folder / "hand.png").is_file():
        console.print(f"look at {folder / 'hand.png'}", markup=False)
    if (page := folder / "review.html").is_file():
        console.print(f"open {page} in a browser to correct the guesses", markup=False)
    console.print(f"edit {folder / 'annotation.yaml'} and run again to change what was guessed", markup=False)
    console.print(f"then: python -m warpgrasp.hands.check {hand.path}", markup=False)
    console.print(f"and:  python -m warpgrasp.generate MESH --hand {hand.path}", markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
