"""Grasps for GraspQP's tools: one torch file per object, without torch (see :mod:`warpgrasp.export.torch_file`).

``<object>.dexgrasp.pt`` is a dictionary::

    parameters        {joint: (N,) rad or m, ..., "root_pose": (N, 7) x y z qw qx qy qz, object frame}
    grasp_velocities  {joint: (N,)}: squeeze target minus grasp [rad or m], the way each joint is told to go further,
                      by servos of the hand asset's stiffness or that of ``stiffness``
    values            (N,) energy
    contact_idx       (N, C) candidate point of the hand behind each contact, in the numbering used here
    grasp_type        "power", "precision" or "pinch"
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from warpgrasp.base.atomic_file import write_text
from warpgrasp.export.batch import ExportBatch
from warpgrasp.export.peer_hands import PeerHand, graspqp_hand, pose_xyz_wxyz
from warpgrasp.export.torch_file import write_torch

__all__ = ["write_graspqp"]


def write_graspqp(batch: ExportBatch, folder: Path) -> list[Path]:
    """Write the grasps of one object; returns the file.

    Raises:
        OutputError: A file cannot be written.
    """
    peer = graspqp_hand(batch.hand)
    targets = batch.targets
    root = peer.root_poses(batch.hand, targets.grasp_position, targets.grasp_quaternion, targets.grasp_joints)
    joints = peer.joint_values(batch.hand, targets.grasp_joints)
    further = peer.squeeze_positions(batch.hand, targets.grasp_joints, batch.torque, batch.stiffness) - joints
    parameters = {**_by_joint(peer, joints), "root_pose": pose_xyz_wxyz(*root).astype(np.float32)}
    path = folder / f"{batch.name}.dexgrasp.pt"
    content = {
        "parameters": parameters,
        "grasp_velocities": _by_joint(peer, further),
        "values": batch.grasps.energy.astype(np.float32),
        "contact_idx": batch.grasps.contact_index.astype(np.int64),
        "grasp_type": batch.grasp_type,
    }
    write_torch(path, content)
    description = json.dumps(peer.description(batch.hand), indent=2)
    write_text(folder / f"{batch.hand.name}_graspqp_joints.json", description + "\n")
    return [path]


def _by_joint(peer: PeerHand, values: NDArray[np.float64]) -> dict[str, NDArray[np.float32]]:
    return {joint.name: values[:, column].astype(np.float32) for column, joint in enumerate(peer.joints)}
