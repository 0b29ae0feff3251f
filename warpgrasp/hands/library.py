"""The shipped hands by name, and loading a hand by name or path."""

from __future__ import annotations

from functools import lru_cache
from os import PathLike, fspath
from pathlib import Path

from warpgrasp.hands.model import HandModel

__all__ = ["hand_names", "hand_path", "load_hand"]

_FOLDER = Path(__file__).parent / "shipped"
_USD_SUFFIXES = (".usd", ".usda", ".usdc", ".usdz")


def hand_names() -> tuple[str, ...]:
    """Names of the shipped hands: every folder of ``shipped`` with a ``hand.usda``."""
    return tuple(sorted(asset.parent.name for asset in _FOLDER.glob("*/hand.usda")))


def hand_path(name: str) -> Path:
    """Path of a shipped hand's asset."""
    if name not in hand_names():
        raise ValueError(
            f"unknown hand '{name}'; shipped hands are {', '.join(hand_names())}, "
            f"or give the path of a USD file ({', '.join(_USD_SUFFIXES)})"
        )
    return _FOLDER / name / "hand.usda"


def load_hand(name_or_path: str | PathLike[str]) -> HandModel:
    """Load a shipped hand by name or any hand by the path of its USD file.

    Loading the same unchanged file again returns the same object.

    Raises:
        ValueError: Unknown name, unreadable file, or an asset that is not a usable hand.
    """
    text = fspath(name_or_path)
    path = Path(text) if text.lower().endswith(_USD_SUFFIXES) else hand_path(text)
    if not path.is_file():
        raise ValueError(f"hand asset '{path}' does not exist; shipped hands are {', '.join(hand_names())}")
    stamp = path.stat()
    return _load(path.resolve(), stamp.st_mtime_ns, stamp.st_size)


@lru_cache(maxsize=16)
def _load(path: Path, modified: int, size: int) -> HandModel:  # the stamps are part of the cache key
    from warpgrasp.hands.usd.read import read_hand

    return read_hand(path)
