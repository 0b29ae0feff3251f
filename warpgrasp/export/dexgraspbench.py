"""Grasps for DexGraspBench: one npy dictionary per grasp, and a folder per object.

Layout::

    graspdata/<object>/<scale>/<id>.npy   obj_path, obj_scale, obj_pose, pregrasp_qpos, grasp_qpos, squeeze_qpos
    object/<object>/info/simplified.json  mass, density, scale
    object/<object>/urdf/meshes/*.obj     convex pieces and nothing else: the reader takes every file there
    <hand>_dexgraspbench_joints.json      root frame, joint order

Squeeze targets are made for the servos of the reader, so that they press with the torques of the grasp file: 5 Nm/rad for
Allegro and Shadow (3 Nm at most; the two outer joints of a finger share a servo), 3 Nm/rad for LEAP, the asset's own stiffness
for other hands, or what ``stiffness`` says.

Poses are x y z, then the quaternion w x y z. The pieces are in the units of the object's file and ``obj_scale`` makes them
metres, as the reader expects: it derives the density from ``mass / (density scale^3)``, the volume at scale 1.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.base.atomic_file import write_bytes, write_text
from warpgrasp.base.json_text import json_text
from warpgrasp.export.batch import ExportBatch
from warpgrasp.export.peer_hands import dexgraspbench_hand, pose_xyz_wxyz
from warpgrasp.objects.convex_pieces import ConvexPiece, convex_pieces

__all__ = ["stage_poses", "write_dexgraspbench", "write_object_folder"]

_DENSITY = 1000.0  # kg/m^3; the benchmark sets the mass itself
_STAGES = ("pregrasp", "grasp", "squeeze")


def write_dexgraspbench(batch: ExportBatch, folder: Path) -> list[Path]:
    """Write the grasps of one object; returns the grasp files.

    Raises:
        ImportError: The object is not convex and CoACD is not installed.
        OutputError: A file cannot be written.
    """
    peer = dexgraspbench_hand(batch.hand)
    object_folder = folder / "object" / batch.name
    write_object_folder(object_folder, batch, convex_pieces(batch.model))
    qpos = stage_poses(batch)
    common: dict[str, Any] = {
        "obj_path": str(object_folder.resolve()),
        "obj_scale": float(batch.model.scale),
        "obj_pose": np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]),
    }
    target = folder / "graspdata" / batch.name / f"{batch.model.scale:.6g}"
    if target.is_dir():
        for stale in target.glob("*.npy"):
            stale.unlink()
    paths = []
    for row, index in enumerate(batch.index):
        entry = {**common, **{f"{stage}_qpos": qpos[stage][row] for stage in _STAGES}}
        buffer = io.BytesIO()
        np.save(buffer, np.array(entry, dtype=object), allow_pickle=True)
        path = target / f"{index:04d}.npy"
        write_bytes(path, buffer.getvalue())
        paths.append(path)
    description = json.dumps(peer.description(batch.hand), indent=2)
    write_text(folder / f"{batch.hand.name}_dexgraspbench_joints.json", description + "\n")
    return paths


def stage_poses(batch: ExportBatch) -> dict[str, NDArray[np.float64]]:
    """Poses of the reader's hand at pregrasp, grasp and squeeze: x y z, w x y z, joints, each of shape [N, 7 + K]."""
    peer = dexgraspbench_hand(batch.hand)
    qpos = {}
    for stage in _STAGES:
        position, quaternion, joints = (
            getattr(batch.targets, f"{stage}_{name}") for name in ("position", "quaternion", "joints")
        )
        if stage == "squeeze":  # where a wrist is part of the pose, it holds still
            joints = batch.targets.grasp_joints
        root = peer.root_poses(batch.hand, position, quaternion, joints)
        values = peer.joint_values(batch.hand, joints)
        if stage == "squeeze":
            values = peer.squeeze_positions(batch.hand, joints, batch.torque, batch.stiffness)
        qpos[stage] = np.concatenate([pose_xyz_wxyz(*root), values], axis=1)
    return qpos


def write_object_folder(folder: Path, batch: ExportBatch, pieces: Sequence[ConvexPiece]) -> None:
    """``info/simplified.json`` and the convex pieces; other files among the pieces are removed."""
    model = batch.model
    info = {"mass": _DENSITY * model.volume, "density": _DENSITY, "scale": float(model.scale)}
    write_text(folder / "info" / "simplified.json", json_text(info))
    meshes = folder / "urdf" / "meshes"
    names = [f"convex_piece_{index:03d}.obj" for index in range(len(pieces))]
    for name, piece in zip(names, pieces, strict=True):
        lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in piece.vertices / model.scale]
        lines += [f"f {a} {b} {c}" for a, b, c in piece.faces + 1]
        write_text(meshes / name, "\n".join(lines) + "\n")
    for stale in meshes.iterdir():
        if stale.is_file() and stale.name not in names:
            stale.unlink()
