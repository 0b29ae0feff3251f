"""What the package stores as JSON: configurations and tables, one convention for all files."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

__all__ = ["json_mapping", "json_text", "to_json"]


def to_json(value: Any) -> Any:
    """Turn a value into what JSON holds.

    A dataclass, or another object with hyper-parameters, becomes a mapping with its class as ``type``, because two optimisers
    may share all their fields. An enum becomes its value where that is a word, otherwise its name. Paths, tuples and NumPy
    scalars become text, lists and numbers; a number that is not finite becomes ``null``.
    """
    if isinstance(value, enum.Enum):
        return value.value if isinstance(value.value, str) else value.name
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, np.generic):
        return to_json(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): to_json(entry) for key, entry in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_json(entry) for entry in value]
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        entries = {entry.name: getattr(value, entry.name) for entry in dataclasses.fields(value)}
    else:
        entries = {name: entry for name, entry in vars(value).items() if not name.startswith("_")}
    return {"type": type(value).__name__, **to_json(entries)}


def json_text(value: Any) -> str:
    """Text of a JSON file: two spaces of indentation and a newline at the end."""
    return json.dumps(to_json(value), indent=2, allow_nan=False) + "\n"


def json_mapping(text: str | bytes) -> dict[str, Any]:
    """The mapping that a JSON text holds.

    Raises:
        ValueError: It is no JSON or no mapping, is nested too deeply, or holds a number that is not finite; the sentence does
            not name the file.
    """
    try:
        content = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(content, dict):
        raise ValueError(f"it holds {type(content).__name__}, not a mapping")
    return content


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is not finite")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"it holds {text}, which is not finite")
    return value
