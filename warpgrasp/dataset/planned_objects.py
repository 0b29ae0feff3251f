"""Objects of a plan: found on the disk, each once, with the side of the split."""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warpgrasp.base.file_hash import file_hash
from warpgrasp.base.json_text import to_json
from warpgrasp.dataset.plan import ObjectEntry, Plan
from warpgrasp.dataset.primitives import write_primitives
from warpgrasp.objects import example_object_names, example_object_path
from warpgrasp.objects.assets import mesh_files
from warpgrasp.objects.names import object_name

__all__ = ["PlannedObject", "digest", "planned_objects"]


@dataclass(frozen=True)
class PlannedObject:
    """One object at one scale."""

    key: str
    """Hash of the content of its file, its scale and its rescaling."""
    name: str
    path: str
    file_hash: str
    size: int
    modified: int
    """Bytes and time of change [ns] of the file; while both stay, the hash does."""
    scale: float
    target_size: bool
    licence: str
    category: str
    split: str


def digest(content: Any) -> str:
    """Sixteen digits of the hash of what JSON holds."""
    return hashlib.sha256(json.dumps(to_json(content), sort_keys=True).encode()).hexdigest()[:16]


def planned_objects(
    plan: Plan, folder: Path, known: Mapping[tuple[str, int, int], str], splits: Mapping[str, str]
) -> tuple[PlannedObject, ...]:
    """Every object once, in the order of the plan; two files of the same content and scale are one object.

    Args:
        plan: The plan.
        folder: Data set; generated objects are written there.
        known: Hash by path, size and time of change, of files that need not be read again.
        splits: Side by hash of the file, of objects that have one already.

    Raises:
        ValueError: No objects, or a file that cannot be read.
    """
    found: dict[str, PlannedObject] = {}
    names: set[str] = set()
    for entry in plan.objects:
        for path in _files(entry, folder):
            try:
                stat = path.stat()
                there = (str(path), stat.st_size, stat.st_mtime_ns)
                content = known.get(there) or file_hash(path)
            except OSError as error:
                raise ValueError(
                    f"{path} cannot be read ({error.strerror}); check objects of the plan."
                ) from error
            for scale in entry.scales:
                key = digest([content, float(scale), entry.target_size])
                if key in found:
                    continue
                stem = object_name(path) + ("" if len(entry.scales) == 1 else f"_x{scale:g}")
                name = stem if stem.lower() not in names else f"{stem}_{key[:6]}"
                names.add(name.lower())
                category = entry.category or (
                    path.stem.split("_")[0] if entry.primitives else path.parent.name
                )
                found[key] = PlannedObject(
                    key, name, str(path), content, there[1], there[2], float(scale), entry.target_size,
                    entry.licence or ("CC0-1.0" if entry.primitives else ""), category, "",
                )  # fmt: skip
    if not found:
        raise ValueError("the plan has no objects: no file fits its entries of objects")
    sides = _splits(found.values(), plan, splits)
    return tuple(dataclasses.replace(entry, split=sides[entry.file_hash]) for entry in found.values())


def _files(entry: ObjectEntry, folder: Path) -> list[Path]:
    if entry.primitives:
        place = folder.absolute() / "assets" / "primitives"
        return write_primitives(place, entry.primitives, kinds=entry.kinds, seed=entry.primitive_seed)
    path = Path(entry.path)
    if entry.path in example_object_names() or (path.name in example_object_names() and not path.exists()):
        return [example_object_path(path.name).absolute()]
    if path.suffix == ".txt" and path.is_file():
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        listed = [path.parent / line for line in lines if line and not line.startswith("#")]
        return mesh_files(listed)
    if glob.has_magic(entry.path) and not path.exists():
        matches = sorted(glob.glob(entry.path, recursive=True))
        if not matches:
            raise ValueError(f"no file fits {entry.path!r} of objects; quote patterns and check the folder")
        return mesh_files(matches)
    if not path.exists():
        raise ValueError(
            f"{path} of objects does not exist; name mesh files, folders, patterns or list files"
        )
    return mesh_files([path])


def _splits(objects: Iterable[PlannedObject], plan: Plan, known: Mapping[str, str]) -> dict[str, str]:
    """Side of every file: within each category the files of the smallest hashes of seed and content are ``test``."""
    sides = dict(known)
    groups: dict[str, list[str]] = {}
    for entry in objects:
        if entry.file_hash not in sides and entry.file_hash not in groups.get(entry.category, []):
            groups.setdefault(entry.category, []).append(entry.file_hash)
    owed, given = 0.0, 0
    for category in sorted(groups):
        files = sorted(groups[category], key=lambda content: digest([plan.split_seed, content]))
        owed += plan.test_share * len(files)
        count = min(max(round(owed) - given, 0), len(files))  # shares of small categories add up
        given += count
        sides.update({content: "test" if rank < count else "train" for rank, content in enumerate(files)})
    return sides
