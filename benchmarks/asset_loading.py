"""Processor seconds that Newton needs to read the shipped hands and objects, and how many shapes it makes of them.

python benchmarks/asset_loading.py [--hands allegro shadow] [--objects mug]

Each asset is read twice; the second reading, without first-time imports and kernels, counts.
"""

from __future__ import annotations

import dataclasses
import time
import warnings
from pathlib import Path

import tyro
from machine import machine_name

from warpgrasp.base.warp_messages import quiet_warp
from warpgrasp.hands import hand_names, load_hand
from warpgrasp.objects import example_object_names, example_object_path


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Load assets in Newton."""

    hands: tuple[str, ...] = ()
    """Names of shipped hands; empty: all."""
    objects: tuple[str, ...] = ()
    """Names of shipped objects; empty: all."""


def _row(name: str, path: Path) -> str:
    import newton

    seconds = 0.0
    for _ in range(2):
        builder = newton.ModelBuilder()
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            builder.add_usd(str(path))
        seconds = time.process_time() - start
    colliding = sum(bool(flags & newton.ShapeFlags.COLLIDE_SHAPES) for flags in builder.shape_flags)
    visible = sum(bool(flags & newton.ShapeFlags.VISIBLE) for flags in builder.shape_flags)
    return (
        f"{name:18s} {seconds:7.2f} s  {builder.body_count:3d} bodies  {builder.shape_count:4d} shapes: "
        f"{colliding:3d} collide, {visible:3d} are drawn"
    )


def main() -> None:
    """Load and print a row per asset."""
    options = tyro.cli(Options)
    quiet_warp()
    print(machine_name())
    for name in options.hands or hand_names():
        print(_row(name, load_hand(name).path), flush=True)
    for name in options.objects or example_object_names():
        print(_row(name, example_object_path(name)), flush=True)


if __name__ == "__main__":
    main()
