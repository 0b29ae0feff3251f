"""Where a grasp can start on a table: pairs of a grasp and a stable pose of its object that keep the hand clear of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

if TYPE_CHECKING:
    from warpgrasp.eval.isaaclab.pool import GraspPool
    from warpgrasp.hands.model import HandModel
    from warpgrasp.objects import ObjectModel

__all__ = ["Starts", "table_starts"]

_CLEARANCE = 0.003  # m, of the hand above the table at pregrasp and grasp
_POSES = 12  # stable poses tried per object


@dataclass(frozen=True, eq=False)
class Starts:
    """Pairs of a grasp and a resting pose of its object where the hand is clear of the table."""

    grasp: np.ndarray  # [S] index into the pool
    height: np.ndarray  # [S] m, of the object frame's origin above the table
    quaternion: np.ndarray  # [S, 4] xyzw, of the object
    probability: np.ndarray  # [S] of the resting pose


def table_starts(hand: HandModel, pool: GraspPool) -> Starts:
    """All pairs of a grasp of the pool and a stable pose of its object that keep the hand above the table.

    Raises:
        ValueError: There is none.
    """
    rows: list[tuple[int, float, np.ndarray, float]] = []
    vertices = [np.asarray(mesh.vertices) for mesh in hand.geometry_mesh]
    for index, model in enumerate(pool.models):
        poses = _stable_poses(model)
        for grasp in np.flatnonzero(pool.object_index.cpu().numpy() == index):
            points = _hand_points(hand, pool, int(grasp), vertices)
            for turn, height, probability in poses:
                if float((points @ turn[2]).min()) + height > _CLEARANCE:
                    quaternion = Rotation.from_matrix(turn).as_quat()
                    rows.append((int(grasp), height, quaternion, probability))
    if not rows:
        raise ValueError(
            f"none of the {len(pool)} grasps is clear of a table in any stable pose of its object; generate more grasps"
        )
    return Starts(
        grasp=np.array([row[0] for row in rows], dtype=np.int64),
        height=np.array([row[1] for row in rows]),
        quaternion=np.array([row[2] for row in rows]),
        probability=np.array([row[3] for row in rows]),
    )


def _stable_poses(model: ObjectModel) -> list[tuple[np.ndarray, float, float]]:
    """Rotation matrix, height of the object frame [m] and probability of the likeliest resting poses."""
    mesh = trimesh.Trimesh(model.vertices, model.faces, process=False).convex_hull
    transforms, probability = trimesh.poses.compute_stable_poses(
        mesh, center_mass=np.asarray(model.center_of_mass), sigma=0.0
    )
    result = []
    for transform, chance in zip(transforms[:_POSES], probability[:_POSES], strict=True):
        turn = np.asarray(transform[:3, :3])
        height = -float((mesh.vertices @ turn[2]).min()) + 5.0e-4  # dropped by half a millimetre
        result.append((turn, height, float(chance)))
    return result


def _hand_points(hand: HandModel, pool: GraspPool, grasp: int, vertices: list[np.ndarray]) -> np.ndarray:
    """Points of the hand's surface at pregrasp and grasp, object frame, shape [N, 3]."""
    points = []
    for stage in ("pregrasp", "grasp"):
        targets = pool.targets
        link_position, link_quaternion = hand.forward_kinematics(
            getattr(targets, f"{stage}_position")[grasp],
            getattr(targets, f"{stage}_quaternion")[grasp],
            getattr(targets, f"{stage}_joints")[grasp],
        )
        turns = Rotation.from_quat(link_quaternion)
        for geometry, own in enumerate(vertices):
            link = int(hand.geometry_link[geometry])
            points.append(turns[link].apply(own) + link_position[link])
    return np.concatenate(points)
