"""Which object files a command line names."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from warpgrasp.base.file_hash import file_hash
from warpgrasp.objects import example_object_names, example_object_path
from warpgrasp.objects.assets import mesh_files

__all__ = ["content_hash", "object_paths"]


def object_paths(names: Sequence[str]) -> list[Path]:
    """Absolute paths, each once; folders of meshes, shipped objects by name, wildcards for shells without them."""
    paths: list[Path] = []
    for name in names or example_object_names():
        there = os.path.lexists(name)
        if not there and name in example_object_names():
            paths.append(example_object_path(name))
        elif not there and glob.has_magic(name):
            paths += [Path(match) for match in sorted(glob.glob(name))] or [Path(name)]
        else:
            paths.append(Path(name))
    return mesh_files(paths)


def content_hash(path: Path) -> str:
    """Hash of a file, or nothing where it cannot be read: why, is said when it is loaded."""
    try:
        return file_hash(path) if path.is_file() else ""
    except OSError:
        return ""
