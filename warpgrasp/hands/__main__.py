"""``python -m warpgrasp.hands``: list the shipped hands, or describe the hands given by name or path."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from warpgrasp.hands import hand_names, load_hand


def main(arguments: list[str]) -> int:
    """Print one row per hand; returns the exit code."""
    table = Table("hand", "dof", "links", "fingers", "patches", "spheres", "grasp types")
    failures = []
    for name in arguments or hand_names():
        try:
            hand = load_hand(name)
        except ValueError as error:
            failures.append(str(error))
            continue
        fingers = ", ".join(hand.fingers) or "-"
        grasp_types = ", ".join(hand.grasp_types) or "-"
        numbers = (hand.dof_count, hand.link_count, fingers, len(hand.patches), len(hand.sphere_link))
        table.add_row(hand.name, *(str(value) for value in numbers), grasp_types)
    if table.row_count:
        Console().print(table)
    for failure in failures:
        Console(stderr=True).print(failure, style="red", highlight=False, markup=False)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
