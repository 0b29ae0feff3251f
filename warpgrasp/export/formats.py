"""The export formats by name, and writing grasp files in one of them."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from warpgrasp.base.atomic_file import OutputError
from warpgrasp.export.batch import ExportBatch, select_grasps
from warpgrasp.grasps.case import GraspCase, grasp_files, load_case
from warpgrasp.grasps.sharded.folder import DataSetFolder, is_data_set
from warpgrasp.objects.names import object_name

__all__ = ["EXPORT_FORMATS", "ExportResult", "export_grasps"]

Writer = Callable[[ExportBatch, Path], list[Path]]


def _dexgraspbench(batch: ExportBatch, folder: Path) -> list[Path]:
    from warpgrasp.export.dexgraspbench import write_dexgraspbench

    return write_dexgraspbench(batch, folder)


def _dexgraspnet(batch: ExportBatch, folder: Path) -> list[Path]:
    from warpgrasp.export.dexgraspnet import write_dexgraspnet

    return write_dexgraspnet(batch, folder)


def _dexlearn(batch: ExportBatch, folder: Path) -> list[Path]:
    from warpgrasp.export.dexlearn import write_dexlearn

    return write_dexlearn(batch, folder)


def _graspqp(batch: ExportBatch, folder: Path) -> list[Path]:
    from warpgrasp.export.graspqp import write_graspqp

    return write_graspqp(batch, folder)


def _isaac_grasp(batch: ExportBatch, folder: Path) -> list[Path]:
    from warpgrasp.export.isaac_grasp import write_isaac_grasps

    return write_isaac_grasps(batch, folder)


def _mjcf(batch: ExportBatch, folder: Path) -> list[Path]:
    from warpgrasp.export.scene_mjcf import write_scene_mjcf

    return write_scene_mjcf(batch, folder)


def _usd(batch: ExportBatch, folder: Path) -> list[Path]:
    from warpgrasp.grasps.usd import write_grasp_usd

    return [write_grasp_usd(folder / f"{batch.name}.usda", batch.grasps, batch.hand, batch.model)]


EXPORT_FORMATS: Mapping[str, Writer] = {
    "dexgraspbench": _dexgraspbench,
    "dexgraspnet": _dexgraspnet,
    "dexlearn": _dexlearn,
    "graspqp": _graspqp,
    "isaac_grasp": _isaac_grasp,
    "mjcf": _mjcf,
    "usd": _usd,
}
"""Name of each format and what writes the grasps of one object; imported when used."""


_SERVO_FORMATS = (
    "dexgraspbench",
    "dexlearn",
    "graspqp",
    "isaac_grasp",
)  # hold targets for servos of the reader
_TYPED_FORMATS = ("dexlearn",)  # have a folder per grasp type


@dataclass(frozen=True)
class ExportResult:
    """What an export wrote and left out.

    Attributes:
        paths: Files written.
        grasp_count: Grasps written.
        flagged_count: Grasps left out because their status is not OK.
        failures: Grasp file or object -> why it, or some of its grasps, could not be exported.
    """

    paths: tuple[Path, ...]
    grasp_count: int
    flagged_count: int
    failures: dict[str, str]


def export_grasps(
    inputs: Sequence[Path | str],
    output: Path | str,
    *,
    format: str,
    hand: str | None = None,
    every_status: bool = False,
    best: int | None = None,
    stiffness: float | None = None,
) -> ExportResult:
    """Write grasp files in another tool's format.

    Args:
        inputs: Grasp files (npz), folders of them, or data sets of ``python -m warpgrasp.dataset``.
        output: Folder, created when missing. Where files of several runs have the same name, each run gets a folder of its
            name in it.
        format: One of :data:`EXPORT_FORMATS`.
        hand: Name or path of the hand, where the grasp files do not find it; grasps of another hand are refused.
        every_status: Also write grasps whose status is not OK.
        best: At most this many grasps per file, those most likely to hold.
        stiffness: Stiffness of the position servos that will read the squeeze targets [Nm/rad or N/m]; by default what the
            format knows of its reader. Of ``dexgraspbench`` and ``graspqp`` only.

    Raises:
        ValueError: Unknown format, a stiffness that is not positive or of a format that has none, no grasp files, or two
            files of one name.
        ImportError: An object is not convex and CoACD is not installed.
        OutputError: A file cannot be written.
    """
    if format not in EXPORT_FORMATS:
        raise ValueError(f"format must be one of {', '.join(EXPORT_FORMATS)} (got {format!r})")
    if best is not None and best < 1:
        raise ValueError(f"best must be at least 1 (got {best})")
    if stiffness is not None and not 0.0 < stiffness < float("inf"):
        raise ValueError(f"stiffness must be positive and finite (got {stiffness})")
    if stiffness is not None and format not in _SERVO_FORMATS:
        raise ValueError(
            f"format {format!r} carries its own servos: a stiffness (got {stiffness:g}) is for {', '.join(_SERVO_FORMATS)}"
        )
    sources = _sources([Path(path) for path in inputs], hand)
    typed = [file for file in sources if format in _TYPED_FORMATS and not file.exists()]  # of data sets
    folders = _folders(list(sources), Path(output), typed)
    paths: list[Path] = []
    failures: dict[str, str] = {}
    grasp_count = flagged_count = 0
    for file, load in sources.items():
        try:
            case = load()
            batch = select_grasps(case, every_status=every_status, best=best, stiffness=stiffness)
        except (ImportError, OutputError):
            raise
        except Exception as error:  # whatever it is, the other files finish
            failures[str(file)] = str(error) if file.name in str(error) else f"{file}: {error}"
            continue
        flagged_count += batch.flagged_count
        if batch.invalid_count:
            failures[str(file)] = (
                f"{file}: {batch.invalid_count} of its grasps have a number that is not finite or a quaternion that has "
                "not unit length; they were left out."
            )
        if len(batch) == 0:
            failures.setdefault(
                str(file),
                f"{file}: none of its {batch.flagged_count} grasps has status OK; pass --every-status.",
            )
            continue
        try:
            paths += EXPORT_FORMATS[format](batch, folders[file])
        except (OutputError, ImportError):
            raise
        except Exception as error:  # whatever it is, the other files finish
            failures[str(file)] = f"{file}: cannot be exported ({str(error).rstrip('.')})."
            continue
        grasp_count += len(batch)
    return ExportResult(tuple(paths), grasp_count, flagged_count, failures)


def _sources(inputs: Sequence[Path], hand: str | None) -> dict[Path, Callable[[], GraspCase]]:
    """What reads the grasps of each file, or of each object of a data set."""
    sources: dict[Path, Callable[[], GraspCase]] = {}
    others = [path for path in inputs if not is_data_set(path)]
    for path in inputs:
        if path not in others:
            sources.update(DataSetFolder(path).cases(hand=hand))
    if others or not inputs:
        sources.update({file: functools.partial(load_case, file, hand=hand) for file in grasp_files(others)})
    return sources


def _folders(files: Sequence[Path], output: Path, typed: Collection[Path] = ()) -> dict[Path, Path]:
    """Where each file goes: exported files carry its name, so files of one name in several runs get folders like theirs.

    Those of ``typed`` lie in folders of grasp types, which the format keeps apart itself.
    """
    place = {file: file.parent.parent if file in typed else file.parent for file in files}
    names = {file: (object_name(file).lower(), file.parent.name if file in typed else "") for file in files}
    hands = {place[file] for file in typed}
    if len(set(names.values())) == len(names) and len(hands) < 2:
        return dict.fromkeys(files, output)
    common = os.path.commonpath(list(place.values()))
    folders = {file: output / os.path.relpath(place[file], common) for file in files}
    seen: dict[tuple[Path, tuple[str, str]], Path] = {}
    for file, folder in folders.items():
        other = seen.setdefault((folder, names[file]), file)
        if other != file:
            raise ValueError(f"{other} and {file} have the same name; export them into different folders")
    return folders
