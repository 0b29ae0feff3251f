"""The editable annotation of a converted hand: a YAML file that is proposed once and kept afterwards.

Every top-level section that is in the file is taken as it stands; a section that is missing is proposed again. Frames,
lengths and angles: link frames, metres, degrees where the key says so, radians (or metres) for joint values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from warpgrasp.base.atomic_file import write_text
from warpgrasp.base.small_yaml import load_small_yaml
from warpgrasp.hands.usd.schema import REGIONS

__all__ = [
    "OPTIONAL",
    "SECTIONS",
    "GraspTypeAnnotation",
    "HandAnnotation",
    "JointAnnotation",
    "PatchAnnotation",
    "WristAnnotation",
    "plain_sections",
    "read_annotation_file",
    "write_annotation_file",
]

Triple = tuple[float, float, float]

SECTIONS = ("wrist", "fingers", "joints", "patches", "spheres", "grasp_types", "ignore")
OPTIONAL = ("ignore",)
"""Sections that a file may lack without anything being proposed."""

_INFINITE = math.inf
_FARTHEST = 10.0  # m or rad
_JOINT_RANGES: dict[str, tuple[float, float]] = {
    "opening": (-_FARTHEST, _FARTHEST),
    "effort": (1e-9, 1e6),
    "velocity": (1e-9, 1e6),
    "stiffness": (0.0, 1e9),
    "damping": (0.0, 1e9),
    "armature": (0.0, 1e6),
    "friction": (0.0, 1e6),
}
_COMMENTS = {
    "wrist": (
        "Wrist frame in the root link: origin on the palm [m], direction of the stretched fingers (y) and palm normal (z, out "
        "of the palm). The third axis (x) follows: to the thumb of a right hand, away from the thumb of a left one."
    ),
    "fingers": "Links of each finger, from the palm outward. Rename a finger here and in grasp_types.",
    "joints": "Opening pose [rad or m], effort limit [Nm or N], position gains, armature, dry friction, velocity limit.",
    "patches": (
        "Contact patches: the faces of a link within angle_deg of direction whose centre lies in the box lower..upper "
        "(link frame, m; leave the box out for no bound). region: tip, middle or palm."
    ),
    "spheres": "Self-collision spheres of each link: x, y, z, radius [m].",
    "grasp_types": (
        "Which fingers (and regions) may touch; idle: where the joints of the other fingers stay [rad or m]. Optional: "
        "required_fingers that must touch, seed_place (wrist or fingertips), reset_threshold (0.5 to 1)."
    ),
    "ignore": "Links of the file that are not solid, such as cables and covers; they are left out when it is read again.",
}


@dataclass(frozen=True)
class WristAnnotation:
    """Wrist frame in the root link: y along the fingers, z out of the palm, x across (y cross z)."""

    position: Triple
    finger_direction: Triple
    palm_normal: Triple


@dataclass(frozen=True)
class JointAnnotation:
    """Opening value and drive of an independent joint."""

    opening: float
    effort: float
    velocity: float
    stiffness: float
    damping: float
    armature: float
    friction: float


@dataclass(frozen=True)
class PatchAnnotation:
    """A contact patch; see :class:`warpgrasp.hands.authoring.description.PatchDescription`."""

    name: str
    link: str
    region: str
    direction: Triple
    angle_deg: float
    lower: Triple = (-_INFINITE, -_INFINITE, -_INFINITE)
    upper: Triple = (_INFINITE, _INFINITE, _INFINITE)
    finger: str = ""
    """Finger it belongs to; empty: the one that its link is listed under."""


@dataclass(frozen=True)
class GraspTypeAnnotation:
    """Fingers (and regions of their patches) that take part; joints of the others stay at ``idle``.

    The last three are those of :class:`warpgrasp.hands.GraspType`; ``None`` follows from the name of the grasp type.
    """

    fingers: tuple[str, ...]
    regions: tuple[str, ...] = REGIONS
    idle: dict[str, float] = field(default_factory=dict)
    required_fingers: tuple[str, ...] | None = None
    seed_place: str | None = None
    reset_threshold: float | None = None


@dataclass(frozen=True)
class HandAnnotation:
    """Everything about grasping that a robot description does not state."""

    wrist: WristAnnotation
    fingers: dict[str, tuple[str, ...]]
    joints: dict[str, JointAnnotation]
    patches: tuple[PatchAnnotation, ...]
    spheres: dict[str, tuple[tuple[float, float, float, float], ...]]
    grasp_types: dict[str, GraspTypeAnnotation]
    ignore: tuple[str, ...] = ()

    def finger_of_patch(self, patch: PatchAnnotation) -> str:
        """Finger that a patch belongs to."""
        return patch.finger or self.finger_of(patch.link)

    def finger_of(self, link: str) -> str:
        """Finger that a link belongs to."""
        for finger, links in self.fingers.items():
            if link in links:
                return finger
        raise ValueError(
            f"link '{link}' carries a patch but belongs to no finger; add it to one under 'fingers'"
        )


def write_annotation_file(annotation: HandAnnotation, path: Path, *, source: str) -> None:
    """Write the file with comments; numbers are rounded to a micrometre or microradian."""
    head = [
        f"# Grasp annotation of {source}, proposed by `python -m warpgrasp.hands.convert`. Edit it and run the same",
        "# command again: what stands here is kept, a section that is deleted is proposed anew.",
    ]
    blocks = ["\n".join(head)]
    for section, content in plain_sections(annotation).items():
        text = yaml.dump(
            {section: content},
            Dumper=_Dumper,
            sort_keys=False,
            default_flow_style=None,
            width=118,
        )
        blocks.append(f"# {_COMMENTS[section]}\n{text.rstrip()}")
    write_text(path, "\n\n".join(blocks) + "\n")


def plain_sections(annotation: HandAnnotation) -> dict[str, Any]:
    """The sections as mappings, lists, words and numbers, as the file holds them."""
    return {section: _plain(getattr(annotation, section)) for section in SECTIONS}


def read_annotation_file(path: Path) -> dict[str, Any]:
    """Sections of an annotation file as the values of :class:`HandAnnotation`'s fields; missing ones are left out.

    Raises:
        ValueError: The file is no YAML or far too large, a section has an unknown or missing key, or a number is not
            finite or out of range; the message names it.
    """
    content = load_small_yaml(path) or {}
    if not isinstance(content, dict):
        raise ValueError(f"'{path}' must be a mapping with the sections {', '.join(SECTIONS)}")
    unknown = [key for key in content if key not in SECTIONS]
    if unknown:
        raise ValueError(f"'{path}' has an unknown section '{unknown[0]}'; known are {', '.join(SECTIONS)}")
    sections: dict[str, Any] = {}
    for section, value in content.items():
        try:
            sections[section] = _READERS[section](value)
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            raise ValueError(
                f"section '{section}' of '{path}' is not understood ({error}); correct it, or delete the section to have "
                "it proposed again"
            ) from error
    return sections


def _read_patches(value: Any) -> tuple[PatchAnnotation, ...]:
    patches = []
    for row in value or ():
        row = dict(row)
        for key, limit in (("direction", _FARTHEST), ("lower", _INFINITE), ("upper", _INFINITE)):
            if key in row:
                row[key] = _triple(row[key], limit)
        patch = PatchAnnotation(**row)
        if patch.region not in REGIONS:
            raise ValueError(
                f"patch '{patch.name}' has region '{patch.region}'; use one of {', '.join(REGIONS)}"
            )
        if not np.linalg.norm(patch.direction) > 0.0 or not 0.0 < float(patch.angle_deg) <= 180.0:
            raise ValueError(f"patch '{patch.name}' needs a direction and 0 < angle_deg <= 180")
        patches.append(patch)
    names = [patch.name for patch in patches]
    if len(set(names)) < len(names):
        raise ValueError("two patches have the same name")
    return tuple(patches)


def _read_grasp_types(value: Any) -> dict[str, GraspTypeAnnotation]:
    found = {}
    for name, row in (value or {}).items():
        row = dict(row)
        idle = {
            str(joint): _number(number, f"idle position of '{joint}'", -_FARTHEST, _FARTHEST)
            for joint, number in (row.pop("idle", None) or {}).items()
        }
        fingers = tuple(str(finger) for finger in row.pop("fingers"))
        regions = tuple(str(region) for region in row.pop("regions", REGIONS))
        required, place = row.pop("required_fingers", None), row.pop("seed_place", None)
        threshold = row.pop("reset_threshold", None)
        if row:
            raise ValueError(f"grasp type '{name}' has an unknown key '{next(iter(row))}'")
        found[str(name)] = GraspTypeAnnotation(
            fingers,
            regions,
            idle,
            None if required is None else tuple(str(finger) for finger in required),
            None if place is None else str(place),
            None if threshold is None else float(threshold),
        )
    return found


def _read_wrist(value: Any) -> WristAnnotation:
    rows = {key: _triple(row) for key, row in value.items()}
    if "thumb_direction" in rows and "finger_direction" not in rows:  # files written before 0.3
        x, y, z = np.cross(rows["palm_normal"], rows.pop("thumb_direction"))
        rows["finger_direction"] = (float(x), float(y), float(z))
    wrist = WristAnnotation(**rows)
    if np.linalg.norm(np.cross(wrist.finger_direction, wrist.palm_normal)) < 1e-6:
        raise ValueError("finger_direction and palm_normal must not be parallel or zero")
    return wrist


_READERS: dict[str, Any] = {
    "wrist": _read_wrist,
    "fingers": lambda value: {str(k): tuple(str(v) for v in links) for k, links in value.items()},
    "joints": lambda value: {
        str(name): JointAnnotation(
            **{
                key: _number(number, f"{key} of joint '{name}'", *_JOINT_RANGES[key])
                for key, number in row.items()
            }
        )
        for name, row in value.items()
    },
    "patches": _read_patches,
    "spheres": lambda value: {
        str(link): tuple(_sphere(str(link), row) for row in rows or ())
        for link, rows in (value or {}).items()
    },
    "grasp_types": _read_grasp_types,
    "ignore": lambda value: tuple(str(link) for link in value or ()),
}


def _number(value: Any, what: str, least: float, most: float) -> float:
    """A number of the file, refused where it is not one or lies out of range."""
    number = float(value)
    if not least <= number <= most:  # false for nan
        raise ValueError(f"{what} is {number:g}; it must be a number from {least:g} to {most:g}")
    return number


def _triple(value: Any, limit: float = 1e3) -> Triple:
    x, y, z = (_number(v, "a coordinate", -limit, limit) for v in value)
    return x, y, z


def _sphere(link: str, value: Any) -> tuple[float, float, float, float]:
    x, y, z = _triple(value[:3], _FARTHEST)
    (radius,) = (_number(v, f"the radius of a sphere of link '{link}'", 1e-6, _FARTHEST) for v in value[3:])
    return x, y, z, radius


def _plain(value: Any) -> Any:
    """Dataclasses, tuples and floats as YAML's own types; unbounded boxes and default regions are left out."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, PatchAnnotation):
        row = {k: _plain(v) for k, v in vars(value).items()}
        for key in ("lower", "upper"):
            if all(math.isinf(v) for v in getattr(value, key)):
                del row[key]
        if not value.finger:
            del row["finger"]
        return row
    if isinstance(value, GraspTypeAnnotation):
        return {key: _plain(item) for key, item in vars(value).items() if item is not None}
    if hasattr(value, "__dataclass_fields__"):
        return {key: _plain(item) for key, item in vars(value).items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return _rounded(value) if isinstance(value, float) else value


def _rounded(value: float) -> float:
    if not math.isfinite(value):
        return value
    return 0.0 if value == 0.0 else float(f"{round(value, 6):.6g}") or float(f"{value:.3g}")


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Plain values only, lists of numbers on one line."""
