"""Grasps as ``isaac_grasp`` files, the YAML format of Isaac Sim's Grasp Editor, GraspGen and GraspDataGen; both directions.

One file per hand and object::

    format: isaac_grasp
    format_version: 1.0
    object_frame: /World/Object      for people; so are gripper_frame and the same names with _link
    gripper_frame: /World/Hand/...
    grasps:
      grasp_0000:
        confidence: 1.0
        position: [x, y, z]          gripper frame in the object frame [m]
        orientation: {w: 1.0, xyz: [0.0, 0.0, 0.0]}
        cspace_position: {joint: value}            at the grasp [rad or m]
        pregrasp_cspace_position: {joint: value}   of the opened hand

The format knows neither where the opened hand is nor how the hand presses. What is written here says so in further keys,
which other readers pass over: ``pregrasp_position``, ``pregrasp_orientation``, ``squeeze_position``,
``squeeze_orientation`` and ``squeeze_cspace_position``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import ArrayLike, NDArray

from warpgrasp.base.atomic_file import write_text
from warpgrasp.base.small_yaml import load_small_yaml
from warpgrasp.base.status import GraspStatus
from warpgrasp.base.version import VERSION
from warpgrasp.export.batch import ExportBatch
from warpgrasp.geometry.rotations import compose, invert, quaternion_from_wxyz, quaternion_to_wxyz
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.hands.model import HandModel, JointType
from warpgrasp.objects import ObjectModel

__all__ = ["read_isaac_grasps", "write_isaac_grasps"]

_FORMAT, _FORMAT_VERSION = "isaac_grasp", 1.0
_LARGEST_FILE, _MOST_VALUES = 200_000_000, 20_000_000
_STAGES = ("", "pregrasp_", "squeeze_")  # prefixes of the columns of a GraspSet and of the keys

Pose = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Position [m], shape [3], and quaternion xyzw, shape [4]."""


def write_isaac_grasps(batch: ExportBatch, folder: Path) -> list[Path]:
    """Write the grasps of one object as ``<object>.yaml``; returns the file.

    The gripper frame is the root link of the hand, joints have the names of the USD asset's prims, and the confidence is
    the rank by quality: 1 for the best of the file, then evenly down. Squeeze targets are for drives of the hand asset's
    stiffness or that of ``batch``.

    Raises:
        OutputError: The file cannot be written.
    """
    hand, targets, count = batch.hand, batch.targets, len(batch)
    if batch.stiffness is not None:
        squeeze = targets.grasp_joints + batch.torque / batch.stiffness
        targets = dataclasses.replace(targets, squeeze_joints=squeeze)
    names = _joint_prims(hand)
    grasps: dict[str, Any] = {}
    for row in range(count):
        entry: dict[str, Any] = {"confidence": 1.0 - row / count}
        for prefix in _STAGES:
            stage = prefix.rstrip("_") or "grasp"
            position, quaternion, joints = (
                getattr(targets, f"{stage}_{part}")[row] for part in ("position", "quaternion", "joints")
            )
            entry[f"{prefix}position"] = [float(value) for value in position]
            scalar, *axis = (float(value) for value in quaternion_to_wxyz(quaternion))
            entry[f"{prefix}orientation"] = {"w": scalar, "xyz": axis}
            entry[f"{prefix}cspace_position"] = dict(zip(names, map(float, joints), strict=True))
        grasps[f"grasp_{batch.index[row]:04d}"] = entry
    gripper = f"/World/Hand/{hand.link_names[0]}"
    content = {
        "format": _FORMAT,
        "format_version": _FORMAT_VERSION,
        **dict.fromkeys(("object_frame", "object_frame_link"), "/World/Object"),
        **dict.fromkeys(("gripper_frame", "gripper_frame_link"), gripper),
        "object_scale": float(batch.model.scale),
        "created_with": f"warpgrasp {VERSION}",
        "grasps": grasps,
    }
    path = folder / f"{batch.name}.yaml"
    write_text(path, yaml.safe_dump(content, sort_keys=False, width=100))
    return [path]


def read_isaac_grasps(
    path: Path | str,
    hand: HandModel,
    model: ObjectModel,
    *,
    gripper_link: str | None = None,
    joints: Mapping[str, str] | None = None,
    default_joints: ArrayLike | None = None,
) -> GraspSet:
    """Read an ``isaac_grasp`` file of any origin as grasps of ``hand`` on ``model``, in the order of the file.

    Args:
        path: YAML file.
        hand: The hand; the file does not say which it is.
        model: The object, in the scale that the poses are of.
        gripper_link: Link of the hand whose frame the file's poses give; the root by default. (The frames the file names
            are for people: the format asks not to rely on them.)
        joints: The file's joint names -> those of the hand, by vendor or prim name, where they differ; a name mapped to
            an empty text is passed over, as couplings of the hand are anyway.
        default_joints: Joints at the grasp where the file has none, as GraspGen's [rad or m], shape [J].

    Returns:
        All grasps with status OK and without contacts. The energy is one minus the confidence, which is also the only
        energy term. Where the file has no pregrasp, that is the hand's opening at the same pose; where it has no squeeze
        (all files but our own), that is the grasp itself: evaluate with ``--squeeze extrapolate-joints``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not of this format, a joint is unknown or missing, or a number is not finite.
    """
    path = Path(path)
    content = _content(path)
    link = 0 if gripper_link is None else hand.link_index(gripper_link)
    names = _names(hand, joints or {})
    fallback = None if default_joints is None else np.asarray(default_joints, dtype=np.float64)
    rows: dict[str, list[Any]] = {}
    for name, entry in content["grasps"].items():
        try:
            for column, value in _columns(hand, entry, link, names, fallback).items():
                rows.setdefault(column, []).append(value)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
            raise ValueError(f"{path}: grasp {name!r} cannot be read: {reason}") from error
    confidence = np.array(rows.pop("confidence"), dtype=np.float32)
    count = len(confidence)
    columns: dict[str, Any] = {name: np.array(values) for name, values in rows.items()}
    for name in ("contact_position", "contact_normal", "contact_force"):
        columns[name] = np.zeros((count, 0, 3))
    try:
        return GraspSet(
            **columns,
            joint_names=hand.joint_names,
            contact_index=np.zeros((count, 0), dtype=np.int32),
            energy=np.float32(1.0) - confidence,
            energy_terms=(np.float32(1.0) - confidence)[:, None],
            energy_term_names=("confidence",),
            status=np.full(count, int(GraspStatus.OK), dtype=np.int32),
            metadata=_metadata(path, hand, model),
        )
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _content(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"'{path}' does not exist; give the path of an isaac_grasp file (YAML)")
    content = load_small_yaml(path, largest_file=_LARGEST_FILE, most_values=_MOST_VALUES, what="a grasp file")
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ValueError(f"{path} is not an isaac_grasp file: its key 'format' must be {_FORMAT!r}")
    if content.get("format_version", _FORMAT_VERSION) not in (_FORMAT_VERSION, str(_FORMAT_VERSION)):
        raise ValueError(
            f"{path} has format_version {content['format_version']}; this reader knows {_FORMAT_VERSION}"
        )
    if not isinstance(content.get("grasps"), dict) or not content["grasps"]:
        raise ValueError(f"{path} holds no grasps: its key 'grasps' must map names to grasps")
    return content


def _columns(
    hand: HandModel,
    entry: dict[str, Any],
    link: int,
    names: Mapping[str, int],
    fallback: NDArray[np.float64] | None,
) -> dict[str, Any]:
    """One grasp as columns of a GraspSet, and its confidence."""
    grasp = _joints(hand, entry.get("cspace_position"), names, fallback, "cspace_position")
    opened = _joints(
        hand, entry.get("pregrasp_cspace_position"), names, hand.dof_opening, "pregrasp_cspace_position"
    )
    squeeze = _joints(hand, entry.get("squeeze_cspace_position"), names, grasp, "squeeze_cspace_position")
    # The link's pose in the root turns with the joints above it; the root stands still while the hand opens.
    root = _root(hand, _pose(entry, ""), link, grasp)
    columns: dict[str, Any] = {"confidence": float(entry.get("confidence", 1.0))}
    for prefix, values in zip(_STAGES, (grasp, opened, squeeze), strict=True):
        given = prefix and f"{prefix}position" in entry
        position, quaternion = _root(hand, _pose(entry, prefix), link, values) if given else root
        columns[f"{prefix}root_position"], columns[f"{prefix}root_quaternion"] = position, quaternion
        columns[f"{prefix}joint_position"] = values
    if not all(np.isfinite(value).all() for value in columns.values()):
        raise ValueError("its numbers must be finite")
    return columns


def _pose(entry: dict[str, Any], prefix: str) -> Pose:
    position = np.array(entry[f"{prefix}position"], dtype=np.float64)
    orientation = entry[f"{prefix}orientation"]
    wxyz = np.array([orientation["w"], *orientation["xyz"]], dtype=np.float64)
    if position.shape != (3,) or wxyz.shape != (4,):
        raise ValueError(f"position and orientation xyz must have three numbers (got {entry!r})")
    length = float(np.linalg.norm(wxyz))
    if not length > 1.0e-6:
        raise ValueError(f"its orientation must be a quaternion with a length (got {wxyz.tolist()})")
    return position, quaternion_from_wxyz((wxyz / length).tolist())


def _root(hand: HandModel, pose: Pose, link: int, joints: NDArray[np.float64]) -> Pose:
    """Pose of the hand's root, of a link whose pose is given."""
    if link == 0:
        return pose
    position, quaternion = hand.forward_kinematics(np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]), joints)
    return compose(*pose, *invert(position[link], quaternion[link]))


def _joints(
    hand: HandModel,
    values: Any,
    names: Mapping[str, int],
    fallback: NDArray[np.float64] | None,
    key: str,
) -> NDArray[np.float64]:
    if not values:
        if fallback is None:
            raise ValueError(f"it has no {key}; say where the joints are (default_joints)")
        if fallback.shape != (hand.dof_count,):
            raise ValueError(
                f"default_joints must have shape [{hand.dof_count}] (got {list(fallback.shape)})"
            )
        return fallback
    found = np.full(hand.dof_count, np.nan)
    for name, value in values.items():
        if name not in names:
            known = ", ".join(_joint_prims(hand))
            raise ValueError(
                f"{key} has the joint {name!r}, which hand {hand.name!r} has not; it has {known}"
            )
        if names[name] >= 0:
            found[names[name]] = float(value)
    missing = [name for name, value in zip(_joint_prims(hand), found, strict=True) if np.isnan(value)]
    if missing:
        raise ValueError(f"{key} lacks the joints {', '.join(missing)} of hand {hand.name!r}")
    return found


def _driven_links(hand: HandModel) -> list[int]:
    """Link below the driven joint of each degree of freedom, [J]: one that follows no other."""
    result = []
    for dof in range(hand.dof_count):
        links = np.flatnonzero((hand.joint_dof == dof) & (hand.joint_type != JointType.FIXED))
        leads = (hand.joint_multiplier[links] == 1.0) & (hand.joint_offset[links] == 0.0)
        result.append(int(links[np.argmax(leads)]))
    return result


def _prim(hand: HandModel, link: int) -> str:
    return hand.joint_paths[link].rsplit("/", 1)[-1]


def _joint_prims(hand: HandModel) -> list[str]:
    """Name of the prim of the driven joint of each degree of freedom, [J]: what Isaac Sim calls it."""
    return [_prim(hand, link) for link in _driven_links(hand)]


def _names(hand: HandModel, joints: Mapping[str, str]) -> dict[str, int]:
    """Degree of freedom of every name that a file may have; -1 for those that are passed over."""
    names: dict[str, int] = {}
    for link in range(hand.link_count):
        if hand.joint_paths[link] and hand.joint_type[link] != JointType.FIXED:
            names[_prim(hand, link)] = names[hand.link_joint_names[link]] = -1
    for dof, link in enumerate(_driven_links(hand)):
        names[_prim(hand, link)] = names[hand.link_joint_names[link]] = dof
    for theirs, ours in joints.items():
        if ours and ours not in names:
            raise ValueError(
                f"joints maps {theirs!r} to {ours!r}, which hand {hand.name!r} has not; it has "
                f"{', '.join(_joint_prims(hand))}"
            )
        names[theirs] = names[ours] if ours else -1
    return names


def _metadata(path: Path, hand: HandModel, model: ObjectModel) -> dict[str, Any]:
    """As the synthesis writes it, so that the grasps can be evaluated and exported."""
    return {
        "versions": {"warpgrasp": VERSION},
        "config": {"grasp_type": "power"},
        "imported": {"format": _FORMAT, "file": path.name},
        "hand": {"name": hand.name, "path": str(hand.path), "asset_hash": hand.asset_hash},
        "object": {
            "name": model.name,
            "path": str(model.path.resolve()),
            "file_hash": model.file_hash,
            "mesh_hash": model.mesh_hash,
            "scale": model.scale,
            "repairs": list(model.repairs),
        },
        "units": {"length": "m", "angle": "rad", "force": "N", "quaternion": "xyzw"},
    }
