"""``python -m warpgrasp.hands``: list the shipped hands, describe hands by name or path, or draw one."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table

from warpgrasp.base.command import run_command
from warpgrasp.hands import HandModel, hand_names, load_hand

THUMBNAIL = "thumbnail.png"
"""Picture beside a hand's asset, as ``--show`` draws it."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """List hands, or draw one."""

    hands: tyro.conf.Positional[tuple[str, ...]] = ()
    """Names of shipped hands or paths of USD files; all shipped hands by default."""
    show: str | None = None
    """Draw this hand: contact patches in the colours of their fingers, frames, self-collision spheres, opening pose."""
    output: Path | None = None
    """Picture of --show; HAND.png in the current folder by default."""
    size: int = 620
    """Edge of a view of the picture [pixels]."""


def main(arguments: list[str]) -> int:
    """Print one row per hand, or write a picture; returns the exit code."""
    options = tyro.cli(Options, args=arguments, prog="python -m warpgrasp.hands", description=__doc__)
    if options.show is not None:
        return _show(options.show, options.output, options.size)
    return _list(options.hands or hand_names())


def _list(names: tuple[str, ...]) -> int:
    table = Table(box=None, pad_edge=False)
    for column in ("hand", "dof", "links", "fingers", "patches", "spheres", "grasp types"):
        table.add_column(column, no_wrap=column == "hand")
    pictures, failures = [], []
    for name in names:
        try:
            hand = load_hand(name)
        except ValueError as error:
            failures.append(str(error))
            continue
        table.add_row(*_row(hand))
        pictures.append(hand.path.with_name(THUMBNAIL))
    console = Console()
    if table.row_count:
        console.print(table)
    for picture in pictures:
        if picture.is_file():
            console.print(f"thumbnail  {picture}", soft_wrap=True, highlight=False)
    for failure in failures:
        _complain(failure)
    return 1 if failures else 0


def _row(hand: HandModel) -> tuple[str, ...]:
    fingers = ", ".join(hand.fingers) or "-"
    grasp_types = ", ".join(hand.grasp_types) or "-"
    numbers = (hand.dof_count, hand.link_count, fingers, len(hand.patches), len(hand.sphere_link))
    return (hand.name, *(str(value) for value in numbers), grasp_types)


def _show(name: str, output: Path | None, size: int) -> int:
    from warpgrasp.base.warp_messages import quiet_warp
    from warpgrasp.hands.picture import write_hand_picture

    quiet_warp()

    try:
        hand = load_hand(name)
        path = write_hand_picture(output or Path(f"{hand.name}.png"), hand, size=size)
    except ValueError as error:
        _complain(str(error))
        return 1
    Console().print(f"{hand.name}: {path}", highlight=False, soft_wrap=True)
    return 0


def _complain(message: str) -> None:
    Console(stderr=True).print(message, style="red", highlight=False, markup=False)


if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
