"""How different the grasps of a set are: unique grasp rate, entropy, first variance ratio.

Poses are those of the hand root in the object frame, quaternions xyzw, joints in radians or metres.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

__all__ = ["first_variance_ratio", "grasp_entropy", "pose_unique_rate", "unique_grasps", "unique_rate"]

FloatArray = NDArray[np.float64]

_BIN_COUNT = 32
_POSITION_RANGE = 0.1  # m, on both sides of the object's origin


def unique_grasps(
    root_position: ArrayLike,
    root_quaternion: ArrayLike,
    joint_position: ArrayLike,
    *,
    position_bin: float = 0.02,
    angle_bin: float = 4.0,
    joint_bin: float | None = 1.15,
) -> NDArray[np.int64]:
    """Indices of the first grasp in each occupied bin (Zurbrügg et al. 2025, Sec. 5), ascending.

    Bins are cubes of the root position, of its rotation vector and of the joints.

    Args:
        root_position: [m], shape [N, 3].
        root_quaternion: xyzw, shape [N, 4]; q and -q are the same rotation.
        joint_position: [rad], shape [N, J]; a prismatic joint counts 1 m as 1 rad.
        position_bin: Edge of a position bin [m].
        angle_bin: Edge of a rotation bin [deg].
        joint_bin: Edge of a joint bin [deg]; ``None`` ignores the joints.
    """
    position = np.asarray(root_position, dtype=np.float64).reshape(-1, 3)
    if len(position) == 0:
        return np.zeros(0, dtype=np.int64)
    rotation = np.degrees(Rotation.from_quat(np.asarray(root_quaternion, dtype=np.float64)).as_rotvec())
    cells = [np.floor(position / position_bin), np.floor(rotation / angle_bin)]
    if joint_bin is not None:
        cells.append(np.floor(np.degrees(np.asarray(joint_position, dtype=np.float64)) / joint_bin))
    _, first = np.unique(np.concatenate(cells, axis=1), axis=0, return_index=True)
    return np.sort(first).astype(np.int64)


def unique_rate(
    root_position: ArrayLike,
    root_quaternion: ArrayLike,
    joint_position: ArrayLike,
    success: ArrayLike,
    *,
    requested: int | None = None,
) -> float:
    """Unique grasp rate of Zurbrügg et al. 2025, Sec. 5: different successful grasps per grasp requested.

    Two grasps are different when they fall into different bins of 2 cm, 4 deg and 1.15 deg.

    Args:
        root_position: [m], shape [N, 3].
        root_quaternion: xyzw, shape [N, 4].
        joint_position: [rad], shape [N, J].
        success: Whether a grasp holds, shape [N].
        requested: Grasps asked for, failures included; N by default.
    """
    return _rate(root_position, root_quaternion, joint_position, success, requested, 4.0, 1.15)


def pose_unique_rate(
    root_position: ArrayLike,
    root_quaternion: ArrayLike,
    success: ArrayLike,
    *,
    requested: int | None = None,
) -> float:
    """Unique grasp rate by root pose alone (2 cm, 15 deg): jitter of the joints cannot inflate it."""
    count = len(np.asarray(root_position))
    return _rate(root_position, root_quaternion, np.zeros((count, 0)), success, requested, 15.0, None)


def grasp_entropy(
    root_position: ArrayLike,
    root_quaternion: ArrayLike,
    joint_position: ArrayLike,
    *,
    joint_lower: ArrayLike,
    joint_upper: ArrayLike,
) -> float:
    """Entropy ``H = 1/2 H(q) + 1/2 (H(position) + H(orientation))`` of successful grasps, in nats.

    Source: Zurbrügg et al. 2025, Sec. 8.1.

    Each part is the mean over its components of the entropy of a histogram of 32 bins: joints within their limits,
    positions within +-0.1 m, orientations as angle, inclination and azimuth of the rotation vector. Values outside
    count in the outermost bin. No grasp: NaN.

    Args:
        root_position: [m], shape [N, 3].
        root_quaternion: xyzw, shape [N, 4].
        joint_position: [rad or m], shape [N, J].
        joint_lower: Lower limits, shape [J].
        joint_upper: Upper limits, shape [J].
    """
    position = np.asarray(root_position, dtype=np.float64).reshape(-1, 3)
    if len(position) == 0:
        return float("nan")
    joints = np.asarray(joint_position, dtype=np.float64)
    lower, upper = np.asarray(joint_lower, dtype=np.float64), np.asarray(joint_upper, dtype=np.float64)
    vector = Rotation.from_quat(np.asarray(root_quaternion, dtype=np.float64)).as_rotvec()
    angle = np.linalg.norm(vector, axis=1)
    inclination = np.arccos(np.clip(vector[:, 2] / np.maximum(angle, 1.0e-12), -1.0, 1.0))
    azimuth = np.arctan2(vector[:, 1], vector[:, 0])
    spherical = np.stack([angle, inclination, azimuth], axis=1)
    pi, limit = np.pi, np.full(3, _POSITION_RANGE)
    in_joints = _mean_entropy(joints, lower, upper)
    in_position = _mean_entropy(position, -limit, limit)
    in_orientation = _mean_entropy(spherical, np.array([0.0, 0.0, -pi]), np.array([pi, pi, pi]))
    return 0.5 * in_joints + 0.5 * (in_position + in_orientation)


def first_variance_ratio(
    root_position: ArrayLike, root_quaternion: ArrayLike, joint_position: ArrayLike
) -> float:
    """Share of the first principal component in the variance of (position, rotation vector, joints) (Chen et al. 2025).

    Small when grasps differ in many ways; 1 when they all lie on a line. Fewer than two different grasps: NaN.
    """
    vector = Rotation.from_quat(np.asarray(root_quaternion, dtype=np.float64)).as_rotvec()
    columns = np.concatenate([np.asarray(root_position), vector, np.asarray(joint_position)], axis=1)
    centered = columns.astype(np.float64) - columns.mean(axis=0)
    variance = np.linalg.svd(centered, compute_uv=False) ** 2
    total = float(variance.sum())
    return float(variance[0]) / total if total > 0.0 else float("nan")


def _rate(
    position: ArrayLike,
    quaternion: ArrayLike,
    joints: ArrayLike,
    success: ArrayLike,
    requested: int | None,
    angle_bin: float,
    joint_bin: float | None,
) -> float:
    keep = np.asarray(success, dtype=bool)
    total = len(keep) if requested is None else requested
    if total < 1:
        return float("nan")
    chosen = (np.asarray(column, dtype=np.float64)[keep] for column in (position, quaternion, joints))
    return len(unique_grasps(*chosen, angle_bin=angle_bin, joint_bin=joint_bin)) / total


def _mean_entropy(values: FloatArray, lower: FloatArray, upper: FloatArray) -> float:
    """Mean over columns of the entropy of a histogram between the limits [nats]."""
    span = np.where(upper > lower, upper - lower, 1.0)
    cell = np.clip(np.floor(_BIN_COUNT * (values - lower) / span), 0, _BIN_COUNT - 1).astype(np.int64)
    entropies = []
    for column in cell.T:
        share = np.bincount(column, minlength=_BIN_COUNT) / len(column)
        occupied = share[share > 0.0]
        entropies.append(-float(np.sum(occupied * np.log(occupied))))
    return float(np.mean(entropies)) if entropies else 0.0
