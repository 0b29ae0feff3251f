"""Reading a YAML file that somebody may have made to grow: size, depth and expanded aliases have a budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

__all__ = ["load_small_yaml"]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C where PyYAML has it
_DEEPEST = 20


def load_small_yaml(
    path: Path, *, largest_file: int = 5_000_000, most_values: int = 200_000, what: str = "an annotation"
) -> Any:
    """Content of a YAML file.

    Args:
        path: The file.
        largest_file: Bytes beyond which it is not read.
        most_values: Values it may hold, each alias counted as often as it is written out.
        what: What such a file holds, for the sentences.

    Raises:
        ValueError: It is no YAML, or larger, deeper or (with its aliases written out) longer than ``what`` can be.
    """
    size = path.stat().st_size
    if size > largest_file:
        raise ValueError(
            f"'{path}' has {size / 1e6:.0f} MB; {what} has at most {largest_file / 1e6:.0f}, split or correct it"
        )
    try:
        text = path.read_text(encoding="utf-8")
        _check_size(text, path, most_values)
        return yaml.load(text, Loader=_LOADER)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(
            f"'{path}' is no YAML ({' '.join(str(error).split())}); correct or delete it"
        ) from error


def _check_size(text: str, path: Path, most_values: int) -> None:
    """Count values with every alias counted as often as it is written out, without writing it out."""
    sizes: dict[str, int] = {}
    open_anchors: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(text, Loader=_LOADER):
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
        if total > most_values:
            raise ValueError(
                f"'{path}' holds more than {most_values} values once its aliases are written out; correct or delete it"
            )
