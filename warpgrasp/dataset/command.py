"""What the smaller commands have in common: options, messages, exit codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import tyro
from rich.console import Console

from warpgrasp.base.atomic_file import OutputError
from warpgrasp.base.output_text import print_any_text
from warpgrasp.base.warp_messages import quiet_warp

__all__ = ["command"]

Options = TypeVar("Options")


def command(kind: type[Options], arguments: Sequence[str], name: str, run: Callable[[Options], Any]) -> int:
    """Parse options, run, print the sentence that comes back; 0 done, 1 not written, 2 wrong usage."""
    options = tyro.cli(kind, args=list(arguments), prog=f"python -m warpgrasp.dataset {name}")
    print_any_text()
    quiet_warp()
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        text = run(options)
    except OutputError as error:
        errors.print(f"error: {error}", style="red", markup=False)
        return 1
    except (ValueError, ImportError, OSError) as error:
        errors.print(f"error: {error}", style="red", markup=False)
        return 2
    Console(soft_wrap=True, highlight=False).print(str(text), markup=False)
    return 0
