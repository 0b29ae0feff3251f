"""One small file per object of a run: what the summary says about it, and which object file a name stands for.

Several processes may write one folder: nobody rewrites what another has written, and the summary is put together from the
files of all. A name belongs to the object file whose process created ``rows/<name>.json`` first.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from warpgrasp.base.atomic_file import OutputError, remove_temporary_files, write_text
from warpgrasp.base.json_text import json_mapping, json_text, to_json
from warpgrasp.base.status import GraspStatus
from warpgrasp.generate.entries import Entry, entry_key
from warpgrasp.grasps.grasp_set import GraspSet

__all__ = ["ObjectRow", "RowFiles"]

_NAN = float("nan")
_PATIENCE = 0.5  # s for another process to fill the file that it has just created


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


@dataclass(frozen=True)
class ObjectRow:
    """What the summary says about one object."""

    name: str
    path: str
    """Object file, absolute."""
    file_hash: str
    mesh_hash: str
    grasp_count: int
    status_count: dict[str, int]
    """Grasps per :class:`~warpgrasp.base.status.GraspStatus` name; only those that occur."""
    energy_best: dict[str, float]
    """Smallest total (``"total"``) and unweighted terms over the grasps with status OK; NaN when there is none."""
    energy_median: dict[str, float]
    """Medians, likewise."""
    seconds: float
    """Wall time of the object's share of its batch [s]; NaN where it is not known."""
    settings_hash: str
    label: str = ""
    """What stands for the size and the part of an object that is not a whole file as it is, such as ``60mm``."""
    stopped_step: int = 0
    """Step after which the process was asked to end; 0 where all steps were done. A stopped object is not finished."""

    @classmethod
    def from_grasps(cls, name: str, grasps: GraspSet, *, seconds: float = _NAN) -> ObjectRow:
        """Summarise one grasp set; its metadata says which object it belongs to."""
        known = grasps.metadata.get("object", {})
        ok = grasps.status == GraspStatus.OK
        columns = {"total": grasps.energy}
        columns.update(zip(grasps.energy_term_names, grasps.energy_terms.T, strict=True))
        return cls(
            name=name,
            path=str(known.get("path", "")),
            file_hash=str(known.get("file_hash", "")),
            mesh_hash=str(known.get("mesh_hash", "")),
            grasp_count=len(grasps),
            status_count={
                status.name: int(np.sum(grasps.status == status))
                for status in GraspStatus
                if np.any(grasps.status == status)
            },
            energy_best={key: float(value[ok].min()) if ok.any() else _NAN for key, value in columns.items()},
            energy_median={
                key: float(np.median(value[ok])) if ok.any() else _NAN for key, value in columns.items()
            },
            seconds=seconds,
            settings_hash=str(grasps.metadata.get("settings_hash", "")),
            label=str(grasps.metadata.get("label", "")),
            stopped_step=_whole(grasps.metadata.get("stopped_at_step", 0)),
        )

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ObjectRow:
        """Read what :func:`warpgrasp.base.json_text.to_json` wrote; ``null`` is NaN.

        Raises:
            KeyError: It is no row of a finished object.
        """
        values = {
            entry.name: content[entry.name]
            for entry in fields(cls)
            if entry.name not in ("stopped_step", "label")
        }
        values["label"] = str(content.get("label", ""))
        values["stopped_step"] = _whole(content.get("stopped_step", 0))
        for name in ("energy_best", "energy_median"):
            values[name] = {
                key: _NAN if value is None else float(value) for key, value in values[name].items()
            }
        values["seconds"] = _NAN if values["seconds"] is None else float(values["seconds"])
        return cls(**values)


class RowFiles:
    """The folder of the rows; failures lie in ``failed`` inside it.

    Args:
        folder: Created when the first row is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._failed = folder / "failed"
        for known in (folder, self._failed):
            remove_temporary_files(known)

    def write(self, row: ObjectRow) -> None:
        """Write the row of a finished object; what stood there about a failure of its file goes."""
        content = to_json(row)
        del content["type"]
        write_text(self._file(row.name), json_text(content))
        self.clear_failure(entry_key(row.path, row.label))

    def read(self) -> dict[str, ObjectRow]:
        """Rows of finished objects by name, sorted; claims and damaged files are left out."""
        rows = {}
        for file in sorted(self.folder.glob("*.json")):
            with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                row = ObjectRow.from_json(json_mapping(file.read_bytes()))
                rows[row.name] = row
        return rows

    def names(self) -> set[str]:
        """Names that are taken, in lower case: on some file systems ``Mug`` and ``mug`` are one file."""
        return {file.stem.lower() for file in self.folder.glob("*.json")}

    def claim(self, name: str, entry: Entry) -> bool:
        """Take a name for an object; False where another one has it.

        Raises:
            OutputError: The folder cannot be written.
        """
        file = self._file(name)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8") as stream:
                stream.write(json_text({"name": name, "path": str(entry.path), "label": entry.label}))
        except FileExistsError:
            return self.owner(name) == entry.key
        except OSError as error:
            raise OutputError(f"cannot write {file}: {error.strerror}; choose another --out.") from error
        return True

    def owner(self, name: str) -> str:
        """Key of the object that a name stands for; empty where that is not known."""
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                content = json_mapping(self._file(name).read_bytes())
                return entry_key(str(content["path"]), str(content.get("label", "")))
            except (OSError, ValueError, KeyError, TypeError):
                if not self._file(name).exists() or time.monotonic() > until:
                    return ""
                time.sleep(0.01)

    def remove(self, name: str) -> None:
        """Forget an object."""
        self._file(name).unlink(missing_ok=True)

    def write_failure(self, path: str, sentence: str, settings_hash: str) -> None:
        """Write why an object file gave no grasps."""
        content = {"path": path, "sentence": sentence, "settings_hash": settings_hash}
        write_text(self._failure_file(path), json_text(content))

    def clear_failure(self, path: str) -> None:
        """Forget the failure of an object file."""
        self._failure_file(path).unlink(missing_ok=True)

    def failures(self, settings_hash: str) -> dict[str, str]:
        """Sentence of every object file that failed under these settings, sorted by path."""
        found = {}
        for file in self._failed.glob("*.json"):
            with suppress(OSError, ValueError, KeyError, TypeError):
                content = json_mapping(file.read_bytes())
                if content["settings_hash"] == settings_hash:
                    found[str(content["path"])] = str(content["sentence"])
        return dict(sorted(found.items()))

    def state(self) -> tuple[tuple[str, int], ...]:
        """Changes whenever a row or a failure is written."""
        files = sorted([*self.folder.glob("*.json"), *self._failed.glob("*.json")])
        seen = []
        for file in files:
            with suppress(OSError):
                seen.append((str(file), file.stat().st_mtime_ns))
        return tuple(seen)

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _failure_file(self, path: str) -> Path:
        digest = hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest()[:16]
        return self._failed / f"{digest}.json"
