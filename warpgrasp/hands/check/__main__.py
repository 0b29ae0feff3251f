"""``python -m warpgrasp.hands.check HAND``: what to run after converting a hand, and when no grasp comes out."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table

from warpgrasp.base.atomic_file import scratch_folder
from warpgrasp.base.command import run_command
from warpgrasp.hands import load_hand
from warpgrasp.hands.check.asset import Finding, check_hand
from warpgrasp.hands.check.trial import run_trial

__all__ = ["main"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Check a hand: joints, drives, masses, spheres, patches, opening, and short trials on five shapes."""

    hand: tyro.conf.Positional[str]
    """Name of a shipped hand, or path of a hand.usda."""
    trials: bool = True
    """Grasp five shapes with every grasp type and shake the grasps (extra sim); a few minutes on two CPU cores."""
    grasps: int = 8
    """Grasps of each shape and type."""
    steps: int = 1500
    """Optimisation steps; stock runs take 1500."""
    force: float = 2.0
    """Push in the evaluation [N]."""


def main(arguments: list[str] | None = None) -> int:
    """Print one table; returns 0 when all is well, 1 when something is to be looked at, 2 for a hand that does not load."""
    options = tyro.cli(Options, args=arguments, prog="python -m warpgrasp.hands.check", description=__doc__)
    errors = Console(stderr=True, soft_wrap=True)
    try:
        hand = load_hand(options.hand)
    except ValueError as error:
        errors.print(str(error), style="red", highlight=False, markup=False)
        return 2
    findings = check_hand(hand)
    if options.trials:
        with scratch_folder() as folder:
            for grasp_type in hand.grasp_types:
                with errors.status(f"{grasp_type} grasps on five shapes"):
                    findings.append(_trial(options, grasp_type, folder))
    table = Table(box=None, pad_edge=False, title=hand.name, title_justify="left")
    for column in ("check", "", "found"):
        table.add_column(column, no_wrap=column != "found")
    for row in findings:
        table.add_row(row.topic, "[green]ok[/green]" if row.ok else "[yellow]look[/yellow]", row.detail)
    Console(highlight=False).print(table)
    return 0 if all(row.ok for row in findings) else 1


def _trial(options: Options, grasp_type: str, folder: Path) -> Finding:
    hand = load_hand(options.hand)
    try:
        row = run_trial(
            hand, grasp_type, folder, grasps=options.grasps, steps=options.steps, force=options.force
        )
    except ValueError as error:
        return Finding(f"{grasp_type} trials", False, str(error))
    detail = (
        f"{100 * row.succ1:.0f} % hold one push of {options.force:g} N, {100 * row.succ3:.0f} % hold all; "
        f"{row.grasps} grasps of {options.steps} steps on five shapes"
    )
    if row.reason and row.succ1 < 1.0:
        detail += f"; the others mostly: {row.reason}"
    return Finding(f"{grasp_type} trials", row.succ1 >= 0.3, detail)


if __name__ == "__main__":
    sys.exit(run_command(main))
