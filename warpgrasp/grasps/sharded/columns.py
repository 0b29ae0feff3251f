"""Columns of a data set of grasps: their Arrow types, units and what the footer of a file says about them.

One file holds grasps of one hand and one grasp type, so that every list has a fixed length: J joints, C contacts (the
largest contact count of the data set; a grasp with fewer has the index -1 and NaN there). All types are plain Arrow types that
Parquet readers know; no extension types. Units are SI, quaternions xyzw, poses in the object frame, as in the npz files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from warpgrasp.base.extras import install_extra

__all__ = ["DATA_SET_VERSION", "METADATA_KEY", "Columns", "import_pyarrow", "read_footer"]

DATA_SET_VERSION = 1
"""Version of the columns and of the folder; raised when one changes its meaning."""
METADATA_KEY = b"warpgrasp"
"""Key of the JSON text in the footer of a Parquet file."""

UNITS = {
    "root_position": "m, object frame",
    "root_quaternion": "xyzw, object frame",
    "joint_position": "rad or m",
    "pregrasp_root_position": "m, object frame",
    "pregrasp_root_quaternion": "xyzw, object frame",
    "pregrasp_joint_position": "rad or m",
    "squeeze_root_position": "m, object frame",
    "squeeze_root_quaternion": "xyzw, object frame",
    "squeeze_joint_position": "rad or m",
    "squeeze_torque": "N m or N",
    "contact_position": "m, object frame",
    "contact_normal": "outward object normal, object frame",
    "contact_force": "N, on the object, object frame",
    "scale": "factor from the lengths of the file to metres",
    "penetration_depth": "m",
    "self_penetration_depth": "m",
    "contact_distance_consistency": "m",
    "contact_area": "m^2",
    "quality": "estimated probability that the grasp holds, null where nobody said",
}
"""Unit of the columns that have one; ``displacement_*`` is in metres."""

POSE_COLUMNS = (
    "root_position",
    "root_quaternion",
    "joint_position",
    "pregrasp_root_position",
    "pregrasp_root_quaternion",
    "pregrasp_joint_position",
    "squeeze_root_position",
    "squeeze_root_quaternion",
    "squeeze_joint_position",
    "squeeze_torque",
)
CONTACT_COLUMNS = ("contact_position", "contact_normal", "contact_force")


def import_pyarrow() -> Any:
    """The module ``pyarrow``.

    Raises:
        ImportError: It is not installed; the sentence names the extra.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise ImportError(
            f"Data sets are Parquet files, which need pyarrow; {install_extra('scale')}."
        ) from error
    return pyarrow


@dataclass(frozen=True)
class Columns:
    """What decides the columns of a file."""

    joint_names: tuple[str, ...]
    contact_width: int
    """C, length of the lists of contacts."""
    term_names: tuple[str, ...] = ()
    """Energy terms, one column ``energy_<term>`` each."""
    verdicts: Mapping[str, tuple[str, ...]] | None = None
    """Label of a protocol and a force, such as ``graspqp_5n``, and the names of its trials."""
    metrics: tuple[str, ...] = ()
    """Metrics of the grasps, one column each."""

    def width(self, name: str) -> int:
        """Length of the list in a pose column."""
        if name.endswith("position") and "joint" not in name:
            return 3
        return 4 if name.endswith("quaternion") else len(self.joint_names)

    def schema(self) -> Any:
        """The Arrow schema, with units in the metadata of the fields."""
        pa = import_pyarrow()
        text = pa.dictionary(pa.int32(), pa.string())
        fields = [
            ("grasp_id", pa.string()),
            ("object", text),
            ("object_hash", text),
            ("scale", pa.float64()),
            ("split", text),
            ("method", text),
            ("seed", pa.int64()),
            ("config_hash", text),
            ("grasp_index", pa.int32()),
            ("status", text),
        ]
        fields += [(name, pa.list_(pa.float32(), self.width(name))) for name in POSE_COLUMNS]
        fields += [("contact_count", pa.int32()), ("contact_index", pa.list_(pa.int32(), self.contact_width))]
        point = pa.list_(pa.float32(), 3)
        fields += [(name, pa.list_(point, self.contact_width)) for name in CONTACT_COLUMNS]
        fields += [("quality", pa.float32()), ("energy", pa.float32())]
        fields += [(f"energy_{name}", pa.float32()) for name in self.term_names]
        for label, trials in (self.verdicts or {}).items():
            fields += [
                (f"held_{label}", pa.bool_()),
                (f"trial_held_{label}", pa.list_(pa.bool_(), len(trials))),
                (f"displacement_{label}", pa.list_(pa.float32(), len(trials))),
                (f"reason_{label}", text),
            ]
        fields += [(name, pa.float32()) for name in self.metrics]
        return pa.schema([pa.field(name, kind, metadata=self._describe(name)) for name, kind in fields])

    def _describe(self, name: str) -> dict[str, str] | None:
        described = {"unit": UNITS[name]} if name in UNITS else {}
        if name.startswith("displacement_"):
            described["unit"] = "m"
        if "joint" in name or name == "squeeze_torque":
            described["names"] = json.dumps(self.joint_names)
        for label, trials in (self.verdicts or {}).items():
            if name in (f"trial_held_{label}", f"displacement_{label}"):
                described["names"] = json.dumps(trials)
        return described or None

    def to_footer(self) -> dict[str, Any]:
        """What :meth:`from_footer` needs."""
        return {
            "joint_names": list(self.joint_names),
            "contact_width": self.contact_width,
            "energy_term_names": list(self.term_names),
            "verdicts": {label: list(trials) for label, trials in (self.verdicts or {}).items()},
            "metrics": list(self.metrics),
        }

    @classmethod
    def from_footer(cls, footer: Mapping[str, Any]) -> Columns:
        """The columns of a file by its footer."""
        return cls(
            tuple(footer["joint_names"]),
            int(footer["contact_width"]),
            tuple(footer["energy_term_names"]),
            {label: tuple(trials) for label, trials in footer["verdicts"].items()},
            tuple(footer["metrics"]),
        )


def read_footer(metadata: Any, path: Any) -> dict[str, Any]:
    """The JSON of the footer of a Parquet file.

    Args:
        metadata: Metadata of the file's Arrow schema.
        path: For the message.

    Raises:
        ValueError: The file is not of this kind, or of a newer version.
    """
    try:
        footer = dict(json.loads((metadata or {})[METADATA_KEY]))
        version = int(footer["schema_version"])
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(f"{path} is not a Parquet file of a warpgrasp data set ({error!r}).") from error
    if version > DATA_SET_VERSION:
        raise ValueError(
            f"{path} has data set version {version}, this warpgrasp reads up to {DATA_SET_VERSION}; update warpgrasp."
        )
    return footer
