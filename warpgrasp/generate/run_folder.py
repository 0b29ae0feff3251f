"""The output folder of a run: what is finished stays finished, what differs is refused.

Layout::

    config.json          resolved options; another configuration is refused in this folder
    <object>.npz         grasps, see warpgrasp.grasps.grasp_set
    <object>.usda        the same grasps as a USD stage, see warpgrasp.grasps.usd
    assets/              the hand and the objects the stages reference
    summary.json         one entry per object
    gallery.png          the best grasps

Every file is written whole or not at all. An object counts as finished when its stage exists and its npz file loads and
comes from the same settings and the same object file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from warpgrasp.base.atomic_file import remove_temporary_files, write_text
from warpgrasp.base.json_text import json_text
from warpgrasp.base.status import GraspStatus
from warpgrasp.base.version import VERSION
from warpgrasp.grasps.grasp_set import SCHEMA_VERSION, GraspSet
from warpgrasp.grasps.usd import write_grasp_usd

if TYPE_CHECKING:
    from warpgrasp.hands import HandModel
    from warpgrasp.objects import ObjectModel

__all__ = ["ConfigurationMismatchError", "ObjectRow", "RunFolder"]


class ConfigurationMismatchError(ValueError):
    """The folder holds grasps made with other options; the message names them."""


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
    """Wall time of the object's share of its batch [s]."""
    settings_hash: str

    @classmethod
    def from_grasps(cls, name: str, grasps: GraspSet) -> ObjectRow:
        """Summarise one grasp set; its metadata says which object it belongs to."""
        known = grasps.metadata.get("object", {})
        ok = grasps.status == GraspStatus.OK
        columns = {"total": grasps.energy}
        columns.update(zip(grasps.energy_term_names, grasps.energy_terms.T, strict=True))
        nan = float("nan")
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
            energy_best={key: float(value[ok].min()) if ok.any() else nan for key, value in columns.items()},
            energy_median={
                key: float(np.median(value[ok])) if ok.any() else nan for key, value in columns.items()
            },
            seconds=float(grasps.metadata.get("wall_time", nan)),
            settings_hash=str(grasps.metadata.get("settings_hash", "")),
        )


class RunFolder:
    """An output folder, opened for one configuration.

    Args:
        path: Folder; created when missing.
        settings: Everything that decides the grasps, as JSON (:func:`warpgrasp.base.json_text.to_json`).
        resume: Keep finished objects and refuse other settings; otherwise start over: files of an earlier run are
            replaced one by one.

    Raises:
        ConfigurationMismatchError: The folder was written with other settings.
        OutputError: The folder cannot be written.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
        self.path = path
        self.settings = dict(settings)
        self.settings_hash = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        self.resume = resume
        self._rows: dict[str, ObjectRow] = {}
        self._check_settings()
        content = {
            "schema_version": SCHEMA_VERSION,
            "warpgrasp_version": VERSION,
            "settings": self.settings,
        }
        write_text(self.path / "config.json", json_text(content))
        for folder in (self.path, self.path / "assets"):
            remove_temporary_files(folder)
        for file in sorted(self.path.glob("*.npz")):
            try:
                self._rows[file.stem] = ObjectRow.from_grasps(file.stem, GraspSet.load(file))
            except (ValueError, OSError):
                continue  # not ours or damaged: it will be written again when its object comes up

    def _check_settings(self) -> None:
        file = self.path / "config.json"
        if not self.resume or not file.exists():
            return
        try:
            there = json.loads(file.read_text())["settings"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigurationMismatchError(
                f"{file} cannot be read ({error!r}); choose another --out, or start over with --no-resume."
            ) from error
        differences = _differences(there, self.settings)
        if differences:
            shown = "; ".join(f"{key}: {old} there, {new} now" for key, old, new in differences[:6])
            more = f"; and {len(differences) - 6} more" if len(differences) > 6 else ""
            raise ConfigurationMismatchError(
                f"{self.path} holds grasps made with other options ({shown}{more}). "
                "Choose another --out, use the same options, or start over with --no-resume."
            )

    def finished(self, path: Path, file_hash: str, taken: Collection[str] = ()) -> ObjectRow | None:
        """Return the row of an object file whose grasps are complete, or None.

        Args:
            path: Object file, absolute.
            file_hash: Hash of its content; where the file has moved, name and content identify it.
            taken: Names of objects that other files of this run stand for.
        """
        if not self.resume:
            return None
        complete = [
            row
            for row in self._rows.values()
            if row.settings_hash == self.settings_hash
            and row.file_hash == file_hash
            and row.name not in taken
        ]
        moved = [row for row in complete if Path(row.path).name == path.name and not Path(row.path).exists()]
        return next((row for row in complete if row.path == str(path)), moved[0] if moved else None)

    def unique_name(self, path: Path, taken: Collection[str]) -> str:
        """Name of the files of an object: that of an earlier run, else the stem, with a number where it is taken."""
        for row in self._rows.values():
            if row.path == str(path) and row.name not in taken:
                return row.name
        used = {name.lower() for name in (*self._rows, *taken)}
        name, number = path.stem, 2
        while name.lower() in used:
            name, number = f"{path.stem}_{number}", number + 1
        return name

    def npz_path(self, name: str) -> Path:
        """File of an object's grasps."""
        return self.path / f"{name}.npz"

    def usd_path(self, name: str) -> Path:
        """File of an object's stage."""
        return self.path / f"{name}.usda"

    def store(
        self, name: str, grasps: GraspSet, hand: HandModel, model: ObjectModel, *, seconds: float
    ) -> ObjectRow:
        """Write the stage, then the npz file, which marks the object as finished; return its row.

        Raises:
            OutputError: A file cannot be written.
        """
        metadata = {**grasps.metadata, "settings_hash": self.settings_hash, "wall_time": seconds}
        grasps = dataclasses.replace(grasps, metadata=metadata)
        self.path.mkdir(parents=True, exist_ok=True)
        write_grasp_usd(self.usd_path(name), grasps, hand, model)
        grasps.save(self.npz_path(name))
        row = ObjectRow.from_grasps(name, grasps)
        self._rows[name] = row
        return row

    def write_summary(self, failures: Mapping[str, str]) -> Path:
        """Write ``summary.json``: a row per finished object of these settings, a sentence per failed one."""
        rows = [
            dataclasses.asdict(row) for row in self._rows.values() if row.settings_hash == self.settings_hash
        ]
        content = {"schema_version": SCHEMA_VERSION, "objects": rows, "failures": dict(failures)}
        path = self.path / "summary.json"
        write_text(path, json_text(content))
        return path


def _differences(there: Any, here: Any, prefix: str = "") -> list[tuple[str, str, str]]:
    """Leaves that differ: option name as on the command line, old and new value."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        result = []
        for key in [*here, *(key for key in there if key not in here)]:
            name = f"{prefix}.{key}" if prefix else str(key)
            result += _differences(there.get(key, "nothing"), here.get(key, "nothing"), name)
        return result
    if there == here:
        return []
    return [("--" + prefix.replace("_", "-"), str(there), str(here))]
