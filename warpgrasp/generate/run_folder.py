"""The output folder of a run: what is finished stays finished, what differs is refused.

Layout::

    config.json          resolved options; another configuration is refused in this folder
    <object>.npz         grasps, see warpgrasp.grasps.grasp_set
    <object>.usda        the same grasps as a USD stage, see warpgrasp.grasps.usd
    assets/              the hand and the objects the stages reference
    rows/                what the summary says, one small file per object, see warpgrasp.generate.object_rows
    summary.json         one entry per object, put together from the rows
    timing.json          seconds of the stages of the last run
    gallery.png          the best grasps

Every file is written whole or not at all. An object counts as finished when its stage exists with the assets it refers to,
and its npz file loads and comes from the same settings and the same object file. Grasps of two settings never lie in one
folder. Several processes of the same settings may share it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from warpgrasp.base.atomic_file import OutputError, remove_temporary_files, write_text
from warpgrasp.base.json_text import json_mapping, json_text, to_json
from warpgrasp.base.version import VERSION
from warpgrasp.generate.entries import Entry, entry_key
from warpgrasp.generate.object_rows import ObjectRow, RowFiles
from warpgrasp.grasps.grasp_set import SCHEMA_VERSION, GraspSet
from warpgrasp.grasps.usd import write_grasp_usd
from warpgrasp.objects.names import object_name

if TYPE_CHECKING:
    from warpgrasp.hands import HandModel
    from warpgrasp.objects import ObjectModel

__all__ = ["ConfigurationMismatchError", "ObjectRow", "RunFolder"]


_BEST_COUNT = 10  # grasps of a stage that shows the best


class ConfigurationMismatchError(ValueError):
    """The folder holds grasps made with other options; the message names them."""


class RunFolder:
    """An output folder, opened for one configuration.

    Args:
        path: Folder; created when missing.
        settings: Everything that decides the grasps, as JSON (:func:`warpgrasp.base.json_text.to_json`).
        usd: Which grasps the stages show: all, the ten best, or none: then there are no stages.
        resume: Keep finished objects and refuse other settings; otherwise start over: grasps of other settings are removed
            at once, those of the same settings are replaced one by one.

    Raises:
        ConfigurationMismatchError: The folder was written with other settings.
        OutputError: The folder cannot be written.
    """

    def __init__(
        self,
        path: Path,
        settings: Mapping[str, Any],
        *,
        resume: bool,
        usd: Literal["all", "best", "none"] = "all",
    ) -> None:
        self.path = path
        self.usd = usd
        self.settings = dict(settings)
        self.settings_hash = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        self.resume = resume
        self.removed = 0
        """Objects whose grasps of other settings were removed."""
        self._files = RowFiles(path / "rows")
        self._check_settings()
        for folder in (self.path, self.path / "assets"):
            remove_temporary_files(folder)
        self._rows = self._read_rows()
        self._refuse_or_remove_others()
        content = {
            "schema_version": SCHEMA_VERSION,
            "warpgrasp_version": VERSION,
            "settings": self.settings,
        }
        write_text(self.path / "config.json", json_text(content))

    def _read_rows(self) -> dict[str, ObjectRow]:
        """Rows of the grasp files that are there, with the seconds of their row files."""
        known, rows = self._files.read(), {}
        for file in sorted(self.path.glob("*.npz")):
            try:
                row = ObjectRow.from_grasps(file.stem, GraspSet.load(file))
            except (ValueError, OSError):
                continue  # not ours or damaged: it will be written again when its object comes up
            written = known.get(row.name)
            if written is not None and (written.settings_hash, written.mesh_hash) == (
                row.settings_hash,
                row.mesh_hash,
            ):
                row = dataclasses.replace(row, seconds=written.seconds)
            rows[row.name] = row
        return rows

    def _refuse_or_remove_others(self) -> None:
        """Grasps of other settings do not stay beside those of these; files without settings are not ours."""
        others = [row for row in self._rows.values() if row.settings_hash not in ("", self.settings_hash)]
        if others and self.resume:
            raise ConfigurationMismatchError(
                f"{self.npz_path(others[0].name)} holds grasps made with other options than config.json says. "
                "Choose another --out, or start over with --no-resume."
            )
        for row in others:
            self.npz_path(row.name).unlink(missing_ok=True)  # first: it marks the object as finished
            self.usd_path(row.name).unlink(missing_ok=True)
            self._files.remove(row.name)
            del self._rows[row.name]
        if others:
            self.removed = len(others)
            for name in ("summary.json", "gallery.png"):
                (self.path / name).unlink(missing_ok=True)

    def _check_settings(self) -> None:
        file = self.path / "config.json"
        if not self.resume or not file.exists():
            return
        try:
            there = json_mapping(file.read_bytes())["settings"]
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

    def finished(self, entry: Entry, file_hash: str, taken: Collection[str] = ()) -> ObjectRow | None:
        """Return the row of an object whose grasps are complete, or None.

        Args:
            entry: The object.
            file_hash: Hash of its content; where the file has moved, name and content identify it.
            taken: Names of objects that other files of this run stand for.
        """
        row = self._finished_grasps(entry, file_hash, taken)
        if row is None or not self._stage_is_complete(row.name):
            return None
        self._files.write(row)
        return row

    def with_new_stage(
        self, entry: Entry, hand: HandModel, model: ObjectModel, taken: Collection[str] = ()
    ) -> ObjectRow | None:
        """Write the stage again of an object whose grasps are there but whose stage has gone; None without grasps.

        Raises:
            OutputError: The stage cannot be written.
        """
        row = self._finished_grasps(entry, model.file_hash, taken)
        if row is None:
            return None
        grasps = GraspSet.load(self.npz_path(row.name))
        self._write_stage(row.name, grasps, hand, dataclasses.replace(model, name=row.name))
        self._files.write(row)
        return row

    def _finished_grasps(self, entry: Entry, file_hash: str, taken: Collection[str]) -> ObjectRow | None:
        if not self.resume:
            return None
        complete = [
            row
            for row in self._rows.values()
            if row.settings_hash == self.settings_hash
            and not row.stopped_step
            and row.file_hash == file_hash
            and row.label == entry.label
            and row.name not in taken
        ]
        moved = [
            row for row in complete if Path(row.path).name == entry.path.name and not Path(row.path).exists()
        ]
        return next((row for row in complete if row.path == str(entry.path)), moved[0] if moved else None)

    def _write_stage(self, name: str, grasps: GraspSet, hand: HandModel, model: ObjectModel) -> None:
        if self.usd != "none":
            shown = grasps.best(_BEST_COUNT) if self.usd == "best" else grasps
            write_grasp_usd(self.usd_path(name), shown, hand, model)

    def _stage_is_complete(self, name: str) -> bool:
        """Whether the stage is there, and what it refers to, or none is wanted."""
        if self.usd == "none":
            return True
        try:
            text = self.usd_path(name).read_bytes()
        except OSError:
            return False
        assets = re.findall(rb"@(\./assets/[^@\n]+)@", text)
        return bool(assets) and all((self.path / asset.decode()).exists() for asset in set(assets))

    def unique_name(self, entry: Entry, taken: Collection[str]) -> str:
        """Name of the files of an object: that of an earlier run, else :func:`object_name`, with a number where it is taken.

        Raises:
            OutputError: The folder cannot be written.
        """
        for row in self._rows.values():
            known = entry_key(row.path, row.label) == entry.key
            if known and row.name not in taken and self._files.claim(row.name, entry):
                return row.name
        used = {name.lower() for name in (*self._rows, *taken)}
        stem = object_name(entry.path) + (f"_{entry.label}" if entry.label else "")
        name, number = stem, 2
        while name.lower() in used or not self._is_free(name, entry):
            name, number = f"{stem}_{number}", number + 1
        return name

    def _is_free(self, name: str, entry: Entry) -> bool:
        """Take the name for an object file, unless another process has taken it, in whatever case."""
        if name.lower() in self._files.names() and self._files.owner(name) != entry.key:
            return False
        return self._files.claim(name, entry)

    def npz_path(self, name: str) -> Path:
        """File of an object's grasps."""
        return self.path / f"{name}.npz"

    def usd_path(self, name: str) -> Path:
        """File of an object's stage."""
        return self.path / f"{name}.usda"

    def store(
        self,
        name: str,
        grasps: GraspSet,
        hand: HandModel,
        model: ObjectModel,
        *,
        seconds: float,
        label: str = "",
    ) -> ObjectRow:
        """Write the stage, then the npz file, which marks the object as finished, then its row, and return that.

        Raises:
            OutputError: A file cannot be written, or the folder was deleted while the command ran.
        """
        self.check()
        metadata = {**grasps.metadata, "settings_hash": self.settings_hash}
        if label:
            metadata["label"] = label
        grasps = dataclasses.replace(grasps, metadata=metadata)
        self.path.mkdir(parents=True, exist_ok=True)
        self._write_stage(name, grasps, hand, model)
        grasps.save(self.npz_path(name))
        row = ObjectRow.from_grasps(name, grasps, seconds=seconds)
        self._rows[name] = row
        self._files.write(row)
        return row

    def check(self) -> None:
        """Refuse to go on in a folder that was deleted or moved: what was finished in it is not there any more.

        Raises:
            OutputError: ``config.json`` is gone.
        """
        if not (self.path / "config.json").is_file():
            raise OutputError(
                f"{self.path} was deleted or moved while the command ran; the same command starts over there."
            )

    def fail(self, entry: Entry, sentence: str) -> None:
        """Keep the reason why an object gave no grasps, for the summary.

        Raises:
            OutputError: The folder cannot be written.
        """
        self._files.write_failure(entry.key, sentence, self.settings_hash)

    def write_summary(self) -> Path:
        """Write ``summary.json``: a row per finished object of these settings, a sentence per failed one.

        Other processes may finish objects meanwhile: whoever finishes last lists all.
        """
        self.check()
        path = self.path / "summary.json"
        state = None
        while state != (now := self._files.state()):
            state = now
            rows = [
                {name: value for name, value in to_json(row).items() if name != "type"}
                for row in self._files.read().values()
                if row.settings_hash == self.settings_hash and self.npz_path(row.name).exists()
            ]
            content = {
                "schema_version": SCHEMA_VERSION,
                "objects": rows,
                "failures": self._files.failures(self.settings_hash),
            }
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
