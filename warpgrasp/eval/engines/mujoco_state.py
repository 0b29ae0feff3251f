"""States of a scene in MuJoCo's layout, and the contacts in them: the same start and the same limits for every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.eval.engines.mujoco_scene import import_mujoco, quaternion_to_wxyz_batch
from warpgrasp.eval.protocol.trial import root_targets
from warpgrasp.eval.protocol.verdict import StartContact

if TYPE_CHECKING:
    from warpgrasp.eval.engines.mujoco_scene import Scene
    from warpgrasp.eval.protocol.protocols import Protocol
    from warpgrasp.eval.protocol.squeeze_rules import HandTargets

__all__ = ["mocap_targets", "scene_contacts", "scene_positions"]

FloatArray = NDArray[np.float64]


def mocap_targets(protocol: Protocol, targets: HandTargets, time: FloatArray) -> FloatArray:
    """Root targets as MuJoCo takes them: position [m] and quaternion (wxyz), shape [N, S, 7]."""
    root = root_targets(protocol, targets, time)
    return np.concatenate([root[:, :, :3], quaternion_to_wxyz_batch(root[:, :, 3:])], axis=2)


def scene_positions(
    scene: Scene, joints: FloatArray, mocap: FloatArray, body: FloatArray | None = None
) -> FloatArray:
    """``qpos`` of N states, shape [N, nq].

    Args:
        scene: The scene.
        joints: Independent joints [rad or m], shape [N, J]; mimic joints follow.
        mocap: Pose of the root, position and quaternion (wxyz), shape [N, 7].
        body: Pose of the object's centre of mass, position and quaternion (wxyz), shape [N, 7]; by default where the
            reset puts it.
    """
    position = np.tile(np.asarray(scene.model.qpos0, dtype=np.float64), (len(joints), 1))
    position[:, scene.joint_qpos] = scene.joint_qpos_values(joints)
    if scene.root_qpos >= 0:
        position[:, scene.root_qpos : scene.root_qpos + 7] = mocap
    if body is not None:
        position[:, scene.object_qpos : scene.object_qpos + 7] = body
    return position


def scene_contacts(scene: Scene, position: FloatArray, mocap: FloatArray, data: Any = None) -> StartContact:
    """Hand-object and hand-hand contacts of N states, by MuJoCo's collision detection.

    Args:
        scene: The scene.
        position: ``qpos``, shape [N, nq]; a state that is not finite has no contacts.
        mocap: Pose of the root, position and quaternion (wxyz), shape [N, 7].
        data: ``mujoco.MjData`` to work in; its state is lost.
    """
    mujoco, model = import_mujoco(), scene.model
    data = mujoco.MjData(model) if data is None else data
    count = len(position)
    depth, own, number = np.zeros(count), np.zeros(count), np.zeros(count, dtype=np.int32)
    for i in range(count):
        if not np.isfinite(position[i]).all():
            continue
        mujoco.mj_resetData(model, data)
        data.qpos[:] = position[i]
        data.mocap_pos[0], data.mocap_quat[0] = mocap[i, :3], mocap[i, 3:]
        mujoco.mj_fwdPosition(model, data)
        hand = scene.hand_geom[data.contact.geom].reshape(-1, 2)
        distance = np.asarray(data.contact.dist)
        touching, itself = hand.sum(axis=1) == 1, hand.all(axis=1)
        depth[i] = max(0.0, -distance[touching].min(initial=0.0))
        own[i] = max(0.0, -distance[itself].min(initial=0.0))
        number[i] = int(np.sum(touching))
    return StartContact(depth, own, number)
