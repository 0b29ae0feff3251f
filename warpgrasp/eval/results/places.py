"""Where results lie, and what lies there already: a folder of results only ever grows.

One folder holds results of one set of settings; its name says them. A file in it holds the forces simulated so far. What
covers several runs is written where their folders meet.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warpgrasp.base.file_hash import file_hash
from warpgrasp.base.json_text import json_mapping
from warpgrasp.eval.results.case_result import CaseResult
from warpgrasp.eval.results.rows import result_rows
from warpgrasp.grasps.case import EVALUATION_FOLDER, GraspCase
from warpgrasp.grasps.grasp_set import GraspSet

__all__ = ["Places", "StoredResult", "check_places", "stored_results"]


@dataclass(frozen=True)
class Places:
    """Folders of results of one command."""

    files: tuple[Path, ...]
    """Grasp files."""
    settings: str
    """Of :func:`~warpgrasp.eval.protocol.conditions.settings_name`."""
    out: Path | None = None
    """Folder the user asked for; results of several runs lie in folders of their names below it."""
    engine: str = ""
    """Name of the second engine, for its results below ``out``; empty for the first."""

    @property
    def runs(self) -> list[Path]:
        """Folders of grasp files, each once."""
        return sorted({path.parent for path in self.files})

    @property
    def common(self) -> Path:
        """Where the folders of the grasp files meet; the working directory where that is the root of the disk."""
        common = Path(os.path.commonpath(self.runs))
        return Path.cwd() if common == Path(common.anchor) and len(self.runs) > 1 else common

    def folder(self, path: Path) -> Path:
        """Folder of the result of a grasp file."""
        if self.out is None:
            return path.parent / EVALUATION_FOLDER / self.settings
        folder = self.out
        if len(self.runs) > 1:
            folder = self.out / os.path.relpath(path.parent, os.path.commonpath(self.runs))
        return self.beside(folder) if self.engine else folder

    def beside(self, folder: Path) -> Path:
        """Folder of these results of a second engine, given that of the first."""
        return folder.parent / self.settings if self.out is None else folder / f"compared_{self.engine}"

    def result(self, path: Path) -> Path:
        """File of the result of a grasp file."""
        name = path.name if path.suffix == ".npz" else f"{path.name}.npz"
        return self.folder(path) / name

    @property
    def combined(self) -> Path | None:
        """Folder of what covers all runs; none for a single run."""
        if len(self.runs) < 2:
            return None
        if self.out is None:
            return self.common / EVALUATION_FOLDER / self.settings
        return self.beside(self.out) if self.engine else self.out

    def summaries(self) -> dict[Path, list[Path]]:
        """Folders that get tables, that of all runs last, and for each the folders whose results it covers."""
        own = sorted({self.folder(path) for path in self.files})
        members = {folder: member_folders(folder, ()) for folder in own}
        if self.combined is not None:
            members[self.combined] = member_folders(self.combined, own)
        return members


@dataclass(frozen=True, eq=False)
class StoredResult:
    """One finished result with the grasps it is about."""

    path: Path
    grasp_path: Path
    grasps: GraspSet
    result: CaseResult

    @classmethod
    def of(cls, path: Path, case: GraspCase, result: CaseResult) -> StoredResult:
        """Result of a case that is at hand."""
        return cls(path, case.path, case.grasps, result)

    def rows(self, forces: Sequence[float] | None = None) -> list[dict[str, Any]]:
        """Rows at all forces, or at some."""
        result = self.result if forces is None else self.result.at(forces)
        return result_rows(result, self.grasps, self.grasp_path)


def stored_results(
    folders: Iterable[Path], settings_hash: str
) -> tuple[list[StoredResult], dict[str, list[str]]]:
    """Every result in folders that has these settings and whose grasps are still the same.

    Returns:
        Results in the order of the grasp files, one per grasp file, and why files were left out, by reason.
    """
    found: dict[Path, StoredResult] = {}
    left_out: dict[str, list[str]] = {}
    for folder in folders:
        for path in sorted(folder.glob("[!.]*.npz")):
            try:
                result = CaseResult.load(path)
            except ValueError:
                left_out.setdefault("cannot be read", []).append(path.name)
                continue
            if result.metadata.get("settings_hash") != settings_hash:
                left_out.setdefault("have other settings or are of an older version", []).append(path.name)
                continue
            grasp_path = _grasp_path(path, result)
            if grasp_path is None:
                left_out.setdefault("are about grasps that changed or are gone", []).append(path.name)
                continue
            try:
                grasps = GraspSet.load(grasp_path)
            except ValueError:
                grasps = None
            if grasps is None or len(grasps) != len(result):
                left_out.setdefault("are about grasps that cannot be read", []).append(path.name)
                continue
            found[grasp_path] = StoredResult(path, grasp_path, grasps, result)
    return [found[path] for path in sorted(found)], left_out


def check_places(places: Places) -> None:
    """Refuse to put results where others lie: of other settings, or of another grasp file.

    Raises:
        ValueError: Names both and the remedy.
    """
    for folder in places.summaries():
        _check_settings(folder, str(_summary(folder).get("settings", places.settings)), places)
    seen: dict[Path, Path] = {}
    for file in places.files:
        path = places.result(file)
        other = seen.setdefault(path, file)
        if other != file:
            raise ValueError(f"the results of {other} and {file} would both be {path}; leave --out away")
        try:
            known = CaseResult.load(path).metadata
        except ValueError:
            continue  # none, or damaged: computed
        _check_settings(path.parent, str(known.get("settings_name", places.settings)), places)
        before = Path(known.get("grasp_path", file))
        if before != file and known.get("grasp_file_hash") != file_hash(file):
            raise ValueError(f"{path} is the result of {before}, not of {file}; choose another --out")


def member_folders(folder: Path, asked: Iterable[Path]) -> list[Path]:
    """Folders a summary in ``folder`` covers: itself, those asked for, and those it covered before."""
    known = _summary(folder).get("folders")
    before = [folder / str(name) for name in known] if isinstance(known, list) else []
    members = dict.fromkeys(path.resolve() for path in (folder, *before, *asked))
    return [path for path in members if path.is_dir()]


def _summary(folder: Path) -> dict[str, Any]:
    """The ``results.json`` of a folder; empty when there is none."""
    try:
        return json_mapping((folder / "results.json").read_bytes())
    except (OSError, ValueError):
        return {}


def _check_settings(folder: Path, settings: str, places: Places) -> None:
    if settings != places.settings:
        raise ValueError(
            f"{folder} holds results of {settings}, not of {places.settings}; choose another --out or leave it away"
        )


def _grasp_path(path: Path, result: CaseResult) -> Path | None:
    """The grasp file of a result, where it was or, in a run that was moved as a whole, beside the folder of results."""
    known = result.metadata
    before = Path(str(known.get("grasp_path", "")))
    for candidate in (path.parent.parent.parent / before.name, before):
        if candidate.is_file() and file_hash(candidate) == known.get("grasp_file_hash"):
            return candidate.resolve()
    return None
