"""Grasp files with the hand and the object they were made for; what does not fit is refused with one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warpgrasp.base.file_hash import file_hash
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.hands import HandModel, hand_names, load_hand
from warpgrasp.objects import ObjectError, ObjectModel, load_object
from warpgrasp.objects.reading import Reading

__all__ = [
    "EVALUATION_FOLDER",
    "CaseError",
    "GraspCase",
    "grasp_files",
    "load_case",
    "load_recorded_object",
]

EVALUATION_FOLDER = "evaluation"
"""Results lie in a folder of this name beside the grasps; it is not searched for grasps."""
_ARCHIVE_START = b"PK"  # of an npz file


class CaseError(ValueError):
    """A grasp file cannot be evaluated; one sentence with the remedy."""


@dataclass(frozen=True, eq=False)
class GraspCase:
    """One grasp file, ready to be evaluated."""

    path: Path
    file_hash: str
    """SHA-256 of the grasp file."""
    grasps: GraspSet
    hand: HandModel
    model: ObjectModel

    @property
    def object_name(self) -> str:
        """Name of the object in the metadata; that of the file where it does not say."""
        known = self.grasps.metadata.get("object")
        name = str(known.get("name", "")) if isinstance(known, dict) else ""
        return name or self.path.stem

    @property
    def grasp_type(self) -> str:
        """Grasp type of the synthesis; ``power`` where the file does not say."""
        config = self.grasps.metadata.get("config")
        return str(config.get("grasp_type", "power")) if isinstance(config, dict) else "power"


def grasp_files(inputs: Sequence[Path]) -> list[Path]:
    """Grasp files of a list of files and folders, each once, sorted within a folder.

    A folder stands for the npz files in it, or, when there are none, in the folders below it.

    Raises:
        ValueError: No path, a path that does not exist, or a folder without npz files.
    """
    if not inputs:
        raise ValueError("no grasps named; name a folder of warpgrasp.generate or grasp files (*.npz)")
    files: list[Path] = []
    for path in inputs:
        if path.is_dir():
            found = sorted(path.glob("*.npz")) or sorted(path.rglob("*.npz"))
            found = [file for file in found if EVALUATION_FOLDER not in file.relative_to(path).parts]
            found = [file for file in found if not file.name.startswith(".")]
            if not found:
                raise ValueError(f"{path} holds no grasp files (*.npz); name a folder of warpgrasp.generate")
            files += found
        elif path.exists():
            files.append(path)
        else:
            raise ValueError(f"{path} does not exist; name grasp files (*.npz) or a folder of them")
    return list(dict.fromkeys(file.resolve() for file in files))


def load_case(path: Path, *, hand: str | None = None) -> GraspCase:
    """Read a grasp file with its hand and object.

    Args:
        path: npz file of :class:`~warpgrasp.grasps.grasp_set.GraspSet`.
        hand: Name or path of the hand the grasps must be of; by default what the file names.

    Raises:
        CaseError: Damaged file, other hand, missing object, or an object or hand that changed since.
    """
    _check_kind(path)
    try:
        grasps = GraspSet.load(path)
    except (ValueError, OSError) as error:
        raise CaseError(str(error)) from error
    if len(grasps) == 0:
        raise CaseError(f"{path} holds no grasps; generate it again.")
    model_of_hand = _load_hand(path, grasps, hand)
    model = _load_object(path, grasps)
    case = GraspCase(path, file_hash(path), grasps, model_of_hand, model)
    _check_contacts(case)
    return case


def _check_contacts(case: GraspCase) -> None:
    """Contacts name candidate points of the hand; how many it has is known for its own grasp types."""
    if case.grasp_type not in case.hand.grasp_types or not case.grasps.contact_index.size:
        return
    count, largest = len(case.hand.contact_candidates(case.grasp_type).link), case.grasps.contact_index.max()
    if largest >= count:
        raise CaseError(
            f"{case.path} is damaged: a contact_index is {int(largest)}, hand {case.hand.name!r} has {count} candidate points "
            f"for {case.grasp_type} grasps; generate it again."
        )


def _check_kind(path: Path) -> None:
    """Refuse what is no archive at all, so that nobody is told how to unpack a text or a USD stage."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_ARCHIVE_START))
    except OSError as error:
        raise CaseError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        shown = str(path).encode("utf-8", "backslashreplace").decode()
        raise CaseError(f"{shown} has a name that is not UTF-8; rename it.") from error
    if start == _ARCHIVE_START:
        return
    if not start:
        raise CaseError(f"{path} is empty, not a grasp file; generate it again.")
    beside = path.with_suffix(".npz")
    if path.suffix != ".npz" and beside.is_file():
        raise CaseError(f"{path} is not a grasp file; name {beside.name} beside it.")
    raise CaseError(f"{path} is not a grasp file; name an npz file of warpgrasp.generate or its folder.")


def _load_hand(path: Path, grasps: GraspSet, hand: str | None) -> HandModel:
    known = _entry(path, grasps, "hand")
    name, asset = str(known.get("name", "")), str(known.get("path", ""))
    source = hand or (name if name in hand_names() else asset)
    try:
        model = load_hand(source)
    except (ValueError, OSError) as error:
        raise CaseError(f"{path}: its hand {name!r} cannot be loaded ({error}); pass --hand.") from error
    if name and model.name != name:
        raise CaseError(
            f"{path}: its grasps are of hand {name!r}, not of {model.name!r}; pass --hand {name}."
        )
    if grasps.joint_names != model.joint_names:
        raise CaseError(
            f"{path}: its joints ({_some(grasps.joint_names)}) are not those of hand {model.name!r} "
            f"({_some(model.joint_names)}); pass the hand it was made for."
        )
    if known.get("asset_hash") not in (None, model.asset_hash, *model.earlier_hashes):
        raise CaseError(
            f"{path}: hand {model.name!r} has changed since the grasps were made (asset hash "
            f"{str(known['asset_hash'])[:8]} then, {model.asset_hash[:8]} now); generate the grasps again."
        )
    return model


def _load_object(path: Path, grasps: GraspSet) -> ObjectModel:
    known = _entry(path, grasps, "object")
    file = Path(str(known.get("path", "")))
    candidates = [file, path.parent / file, path.parent / file.name]
    found = next((candidate for candidate in candidates if candidate.is_file()), None)
    if found is None:
        raise CaseError(f"{path}: its object {file} is missing; put it back or beside the grasps.")
    try:
        model = load_recorded_object(found, known)
    except (ObjectError, ValueError, OSError) as error:
        raise CaseError(f"{path}: its object cannot be loaded: {error}") from error
    if known.get("mesh_hash") != model.mesh_hash:
        raise CaseError(
            f"{path}: object {found} has changed since the grasps were made (mesh hash "
            f"{str(known.get('mesh_hash'))[:8]} then, {model.mesh_hash[:8]} now); generate the grasps again."
        )
    return model


def load_recorded_object(path: Path, known: Mapping[str, Any]) -> ObjectModel:
    """The object of a grasp file as the synthesis read it.

    Args:
        path: Mesh file.
        known: Entry ``object`` of the metadata.

    Raises:
        ValueError: The object cannot be used, or the entry is damaged.
    """
    part = known.get("part", 1)
    reading = Reading.of(known.get("reading"))
    return load_object(path, scale=_scale(known), reading=reading, part=part if isinstance(part, int) else 1)


def _some(names: Sequence[str], count: int = 3) -> str:
    rest = f", ... {len(names)} in all" if len(names) > count else ""
    return ", ".join(names[:count]) + rest


def _scale(known: Mapping[str, Any]) -> float:
    scale = known.get("scale", 1.0)
    return (
        float(scale) if isinstance(scale, (int, float)) else 1.0
    )  # another one changes the hash of the mesh


def _entry(path: Path, grasps: GraspSet, name: str) -> dict[str, Any]:
    entry = grasps.metadata.get(name)
    if not isinstance(entry, dict):
        raise CaseError(
            f"{path}: its metadata does not say which {name} the grasps are for; generate it again."
        )
    return entry
