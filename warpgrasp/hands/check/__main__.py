"""``python -m warpgrasp.hands.check HAND``: what to run after converting a hand, and when no grasp comes out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import tyro
from rich.console import Console
from rich.table import Table

from warpgrasp.base.command import run_command
from warpgrasp.base.warp_messages import quiet_warp
from warpgrasp.hands import load_hand
from warpgrasp.hands.check.asset import Finding, check_hand
from warpgrasp.hands.check.trial import Trial, run_trials

__all__ = ["main"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Check a hand: joints, drives, masses, spheres, patches, opening, and short trials on five shapes."""

    hand: tyro.conf.Positional[str]
    """Name of a shipped hand, or path of a hand.usda."""
    trials: bool = True
    """Grasp five shapes with every grasp type and shake the grasps (extra sim); about a minute on one CPU core."""
    grasps: int = 8
    """Grasps of each shape and type."""
    candidates: int = 2
    """Grasps that are synthesised for each one kept, as in warpgrasp.generate."""
    steps: int = 1500
    """Optimisation steps; stock runs take 1500."""
    force: tuple[float, ...] = (2.0, 5.0)
    """Pushes in the evaluation [N]."""


def main(arguments: list[str] | None = None) -> int:
    """Print one table; returns 0 when all is well, 1 when something is to be looked at, 2 for a hand that does not load."""
    options = tyro.cli(Options, args=arguments, prog="python -m warpgrasp.hands.check", description=__doc__)
    quiet_warp()
    errors = Console(stderr=True, soft_wrap=True)
    try:
        if not options.force:
            raise ValueError("--force needs at least one push [N], such as --force 2 5")
        hand = load_hand(options.hand)
    except ValueError as error:
        errors.print(str(error), style="red", highlight=False, markup=False)
        return 2
    findings = check_hand(hand)
    if options.trials:
        with errors.status("trials on five shapes") as status:
            findings += _trials(options, lambda step: status.update(step))
    table = Table(box=None, pad_edge=False, title=hand.name, title_justify="left")
    for column in ("check", "", "found"):
        table.add_column(column, no_wrap=column != "found")
    for row in findings:
        table.add_row(row.topic, "[green]ok[/green]" if row.ok else "[yellow]look[/yellow]", row.detail)
    Console(highlight=False).print(table)
    return 0 if all(row.ok for row in findings) else 1


def _trials(options: Options, progress: Callable[[str], None]) -> list[Finding]:
    try:
        rows = run_trials(
            options.hand,
            grasps=options.grasps,
            candidates=options.candidates,
            steps=options.steps,
            forces=options.force,
            progress=progress,
        )
    except ValueError as error:
        return [Finding("trials", False, str(error))]
    return [
        Finding(f"{row.grasp_type} trials", not (row.why or row.error), _told(row, options)) for row in rows
    ]


def _told(row: Trial, options: Options) -> str:
    if row.error:
        return row.error
    rates = "; ".join(
        f"at {force:g} N {100 * one:.0f} % hold one push and {100 * three:.0f} % all"
        for force, one, three in zip(row.forces, row.succ1, row.succ3, strict=True)
    )
    told = f"{rates} ({row.grasps} grasps of {options.steps} steps on five shapes)"
    return f"{told}: {row.why}" if row.why else told


if __name__ == "__main__":
    sys.exit(run_command(main))
