"""The objects of a run: every file once, or once at each of its sizes, or once for each of its bodies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Entry", "entries_of", "entry_key"]


@dataclass(frozen=True)
class Entry:
    """One object of a run."""

    path: Path
    """Object file, absolute."""
    size: float | None = None
    """Largest extent it is brought to [m]; as the file says where left out."""
    part: int = 1
    """Which of its bodies, from the largest down."""
    several: bool = False
    """Whether each of its bodies is an object."""

    @property
    def label(self) -> str:
        """What its name has beyond that of the file, such as ``60mm`` or ``60mm_part2``; empty for the file itself."""
        size = [] if self.size is None else [f"{1000.0 * self.size:.6g}mm"]
        return "_".join([*size, *([f"part{self.part}"] if self.several else [])])

    @property
    def key(self) -> str:
        """What it is called in sentences and owns its name by."""
        return entry_key(str(self.path), self.label)


def entry_key(path: str, label: str) -> str:
    """File and label of an object in one text."""
    return f"{path} ({label})" if label else path


def entries_of(paths: list[Path], sizes: tuple[float, ...]) -> list[Entry]:
    """Every file, at every size in the order given; sizes that are given twice count once."""
    return [Entry(path, size) for path in paths for size in dict.fromkeys(sizes or (None,))]
