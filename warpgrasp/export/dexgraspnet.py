"""Grasps in the layout of DexGraspNet: one npy list of dictionaries per object.

Each dictionary has ``scale`` (the mesh in the units of its file times this is in metres), ``qpos`` (``WRJTx``, ``WRJTy``,
``WRJTz`` [m], ``WRJRx``, ``WRJRy``, ``WRJRz`` [rad], extrinsic rotations about x, y and z in this order, and every joint by
name), ``qpos_st`` (the same for the pregrasp), ``energy`` and ``E_<term>`` for the energy terms. Shadow is written in the frame
and with the joints of DexGraspNet's hand; other hands keep their own.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from warpgrasp.base.atomic_file import write_bytes, write_text
from warpgrasp.export.batch import ExportBatch
from warpgrasp.export.peer_hands import dexgraspnet_hand

__all__ = ["write_dexgraspnet"]

_POSITION, _ROTATION = ("WRJTx", "WRJTy", "WRJTz"), ("WRJRx", "WRJRy", "WRJRz")
_TERMS = {
    "force_closure": "E_fc",
    "wrench_balance": "E_fc",
    "distance": "E_dis",
    "penetration": "E_pen",
    "self_penetration": "E_spen",
    "joint_limits": "E_joints",
}
"""What DexGraspNet calls the terms that it knows."""


def write_dexgraspnet(batch: ExportBatch, folder: Path) -> list[Path]:
    """Write the grasps of one object; returns the file.

    Raises:
        OutputError: A file cannot be written.
    """
    qpos, start = (_poses(batch, stage) for stage in ("grasp", "pregrasp"))
    terms = {name: batch.grasps.energy_terms[:, k] for k, name in enumerate(batch.grasps.energy_term_names)}
    entries = []
    for row in range(len(batch)):
        entry: dict[str, Any] = {
            "scale": float(batch.model.scale),
            "qpos": qpos[row],
            "qpos_st": start[row],
            "energy": float(batch.grasps.energy[row]),
        }
        for name, values in terms.items():
            entry[_TERMS.get(name, f"E_{name}")] = float(values[row])
        entries.append(entry)
    content = np.empty(len(entries), dtype=object)
    content[:] = entries
    buffer = io.BytesIO()
    np.save(buffer, content, allow_pickle=True)
    path = folder / f"{batch.name}.npy"
    write_bytes(path, buffer.getvalue())
    description = {**dexgraspnet_hand(batch.hand).description(batch.hand), "pose_order": "extrinsic x, y, z"}
    text = json.dumps(description, indent=2)
    write_text(folder / f"{batch.hand.name}_dexgraspnet_joints.json", text + "\n")
    return [path]


def _poses(batch: ExportBatch, stage: str) -> list[dict[str, float]]:
    """Root and joints of every grasp at a stage, by the names of DexGraspNet."""
    peer = dexgraspnet_hand(batch.hand)
    targets = batch.targets
    joints: NDArray[np.float64] = getattr(targets, f"{stage}_joints")
    position, quaternion = peer.root_poses(
        batch.hand, getattr(targets, f"{stage}_position"), getattr(targets, f"{stage}_quaternion"), joints
    )
    angles = Rotation.from_quat(quaternion).as_euler("xyz")
    values = peer.joint_values(batch.hand, joints)
    names = (*_POSITION, *_ROTATION, *(joint.name for joint in peer.joints))
    table = np.concatenate([position, angles, values], axis=1)
    return [dict(zip(names, row, strict=True)) for row in table.tolist()]
