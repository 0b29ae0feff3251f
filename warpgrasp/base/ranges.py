"""Hyper-parameters are numbers in a range: every configuration checks all of its own when it is made.

A number that nobody names must be finite and not negative, so that a field added later is checked too.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["ANY_FINITE", "NOT_NEGATIVE", "POSITIVE", "NumberRange", "check_numbers"]


@dataclass(frozen=True)
class NumberRange:
    """Finite numbers between two ends, with an end that is not ``inf`` included unless it is open."""

    lower: float = 0.0
    upper: float = math.inf
    lower_open: bool = False

    def __contains__(self, value: float) -> bool:
        """Whether a number is finite and in the range."""
        above = value > self.lower if self.lower_open else value >= self.lower
        return math.isfinite(value) and above and value <= self.upper

    def __str__(self) -> str:
        """The range as a sentence says it: "in [0, 1]", "positive and finite", ..."""
        if math.isfinite(self.upper):
            return f"in {'(' if self.lower_open else '['}{self.lower:g}, {self.upper:g}]"
        if math.isinf(self.lower):
            return "finite"
        if self.lower == 0.0:
            return "positive and finite" if self.lower_open else "finite and not negative"
        return f"{'above' if self.lower_open else 'at least'} {self.lower:g}"


NOT_NEGATIVE = NumberRange()
POSITIVE = NumberRange(lower_open=True)
ANY_FINITE = NumberRange(lower=-math.inf)


def check_numbers(config: Any, prefix: str, **ranges: NumberRange) -> None:
    """Refuse a dataclass with a number out of its range; ``None``, truth values, enums and texts are left alone.

    Args:
        config: Instance of a dataclass. Numbers in tuples and in the values of mappings count, other dataclasses in it check
            themselves.
        prefix: What stands before the name of a field in the sentence, such as ``optimizer``.
        ranges: By field; ``NOT_NEGATIVE`` where none is given. A field whose default is an integer takes integers only.

    Raises:
        ValueError: The sentence names the field, its range and the value.
    """
    for field in dataclasses.fields(config):
        allowed = ranges.get(field.name, NOT_NEGATIVE)
        whole = "int" in str(field.type) and "float" not in str(field.type)
        name = f"{prefix}.{field.name}" if prefix else field.name
        for value in _numbers(getattr(config, field.name)):
            if value not in allowed:
                raise ValueError(f"{name} must be {allowed} (got {value:g})")
            if whole and value != int(value):
                raise ValueError(f"{name} must be a whole number (got {value:g})")


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, (bool, enum.Enum)):
        return
    if isinstance(value, (int, float)):
        yield value
    elif isinstance(value, tuple):
        for entry in value:
            yield from _numbers(entry)
