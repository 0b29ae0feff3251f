"""``python -m warpgrasp.hands.export NAME --format mjcf|urdf|usd -o DIR``: a hand for users of other simulators."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import tyro

from warpgrasp.hands.library import load_hand

__all__ = ["EXPORT_FORMATS", "export_hand", "main"]

EXPORT_FORMATS = ("mjcf", "urdf", "usd")


def export_hand(
    hand: str | Path, output: Path | str, *, format: str = "mjcf", floating: bool = False
) -> Path:
    """Write a hand in another format.

    Args:
        hand: Name of a shipped hand, or path of a hand asset.
        output: Folder, created when missing. Mesh files go to ``meshes`` inside it.
        format: One of :data:`EXPORT_FORMATS`. mjcf carries gains, effort limits and couplings; urdf carries mimic joints
            but no gains; usd is the asset itself in one file.
        floating: MJCF only: the root moves freely instead of being fixed to the world.

    Returns:
        Path of the written description.

    Raises:
        ValueError: Unknown hand or format.
    """
    if format not in EXPORT_FORMATS:
        raise ValueError(f"format must be one of {', '.join(EXPORT_FORMATS)} (got '{format}')")
    model = load_hand(hand)
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    if format == "mjcf":
        from warpgrasp.hands.export_mjcf import write_mjcf

        return write_mjcf(model, folder, floating=floating)
    if format == "urdf":
        from warpgrasp.hands.export_urdf import write_urdf

        return write_urdf(model, folder)
    from pxr import Usd

    path = folder / f"{model.name}.usda"
    Usd.Stage.Open(str(model.path)).Flatten().Export(str(path))
    return path


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
    except ValueError as error:
        Console(stderr=True, soft_wrap=True).print(str(error), style="red", highlight=False, markup=False)
        return 1
    Console(soft_wrap=True, highlight=False).print(str(path), markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
