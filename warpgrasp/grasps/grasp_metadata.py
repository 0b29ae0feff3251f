"""Metadata of grasp files: read from JSON, joined when sets of grasps are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from warpgrasp.base.json_text import json_mapping

__all__ = ["join_metadata", "read_metadata"]


def join_metadata(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Entries that all parts share; the rest, part by part, as the entry ``parts``."""
    first = parts[0]
    shared = {
        key: first[key] for key in first if all(key in part and part[key] == first[key] for part in parts)
    }
    rest = [{key: value for key, value in part.items() if key not in shared} for part in parts]
    return {**shared, "parts": rest} if any(rest) else shared


def read_metadata(path: Path, column: npt.NDArray[Any], *, newest: int) -> dict[str, Any]:
    """Metadata from its column.

    Args:
        path: The file, for messages.
        column: The JSON text.
        newest: The newest schema version that can be read.

    Raises:
        ValueError: The text is no such metadata, or of a newer version.
    """
    try:
        metadata = json_mapping(str(column))
        version = metadata.get("schema_version")
        if not isinstance(version, int) or version < 1:
            raise ValueError(f"its schema_version is {version!r}")
    except ValueError as error:
        raise ValueError(f"{path} is damaged: its metadata cannot be read ({error}).") from error
    if version > newest:
        raise ValueError(
            f"{path} has schema version {version}, this warpgrasp reads up to {newest}; update warpgrasp."
        )
    return metadata
