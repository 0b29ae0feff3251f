"""Values of a YAML file as those of a dataclass: of the type that each field has, or refused by a sentence."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

__all__ = ["from_mapping", "from_value"]

_Kind = TypeVar("_Kind")

_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text (quote what looks like a number)",
}


def from_mapping(kind: type[_Kind], content: Mapping[Any, Any], where: str = "") -> _Kind:
    """A dataclass of a mapping; a field that is a tuple takes one value alone too.

    Args:
        kind: The dataclass.
        content: Values by name of the field; one that is an instance already is taken as it is.
        where: What stands before the name of a field in the sentence, such as ``views``.

    Raises:
        ValueError: An unknown field, one that is missing, or a value of another type.
    """
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    owner = f"an entry of {where}" if where else "a plan"
    unknown = sorted(str(key) for key in content if key not in fields)
    if unknown:
        raise ValueError(f"{owner} has no key {unknown[0]!r}; known are {', '.join(sorted(fields))}")
    for name, field in fields.items():
        if name not in content and field.default is field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{owner} must have the key {name!r} (got {dict(content)!r})")
    prefix = f"{where}." if where else ""
    return kind(**{key: from_value(value, hints[key], f"{prefix}{key}") for key, value in content.items()})


def from_value(value: Any, kind: Any, name: str) -> Any:
    """A value of a file as one of ``kind``: a plain type, an optional one, a dataclass or a tuple of such.

    Raises:
        ValueError: It is of another type.
    """
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        (inner,) = [part for part in typing.get_args(kind) if part is not type(None)]
        return None if value is None else from_value(value, inner, name)
    if typing.get_origin(kind) is tuple:
        listed = value if isinstance(value, (list, tuple)) else [value]
        return tuple(from_value(entry, typing.get_args(kind)[0], name) for entry in listed)
    if isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool):
        return value
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise ValueError(f"{name} must be a mapping of key: value (got {value!r})")
        return from_mapping(kind, value, name)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    raise ValueError(f"{name} must be {_WORDS[kind]} (got {value!r})")
