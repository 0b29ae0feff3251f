"""Reading a small YAML file that somebody may have made to grow: size, depth and expanded aliases have a budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

__all__ = ["load_small_yaml"]

_LARGEST_FILE = 5_000_000  # bytes
_DEEPEST = 20
_MOST_VALUES = 200_000


def load_small_yaml(path: Path) -> Any:
    """Content of a YAML file.

    Raises:
        ValueError: It is no YAML, or larger, deeper or (with its aliases written out) longer than an annotation can be.
    """
    if path.stat().st_size > _LARGEST_FILE:
        raise ValueError(f"'{path}' has {path.stat().st_size / 1e6:.0f} MB; an annotation has less than one")
    try:
        text = path.read_text(encoding="utf-8")
        _check_size(text, path)
        return yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(
            f"'{path}' is no YAML ({' '.join(str(error).split())}); correct or delete it"
        ) from error


def _check_size(text: str, path: Path) -> None:
    """Count values with every alias counted as often as it is written out, without writing it out."""
    sizes: dict[str, int] = {}
    open_anchors: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            total += sizes.get(event.anchor, 1)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            open_anchors.append((event.anchor, total))
            total += 1
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            anchor, before = open_anchors.pop()
            if anchor is not None:
                sizes[anchor] = total - before
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
        if len(open_anchors) > _DEEPEST:
            raise ValueError(f"'{path}' is nested more than {_DEEPEST} deep; correct or delete it")
        if total > _MOST_VALUES:
            raise ValueError(
                f"'{path}' holds more than {_MOST_VALUES} values once its aliases are written out; correct or delete it"
            )
