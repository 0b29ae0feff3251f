"""``python -m warpgrasp.hands.export NAME --format mjcf|urdf|usd -o DIR``: a hand for users of other simulators."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import tyro

from warpgrasp.base.command import run_command
from warpgrasp.hands.export import export_hand

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    from rich.console import Console

    def run(
        hand: Annotated[str, tyro.conf.Positional],
        output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
        format: str = "mjcf",
        floating: bool = False,
    ) -> Path:
        """Write a hand as MJCF, URDF or USD.

        Args:
            hand: Name of a shipped hand, or path of a hand.usda.
            output: Folder to write into.
            format: mjcf, urdf or usd.
            floating: MJCF only: the root moves freely instead of being fixed to the world.
        """
        return export_hand(hand, output, format=format, floating=floating)

    try:
        path = tyro.cli(run, args=arguments, prog="python -m warpgrasp.hands.export")
    except (ValueError, ImportError) as error:
        Console(stderr=True, soft_wrap=True).print(str(error), style="red", highlight=False, markup=False)
        return 1
    Console(soft_wrap=True, highlight=False).print(str(path), markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
