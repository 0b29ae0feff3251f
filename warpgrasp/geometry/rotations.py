"""Host-side rotations in float64. Quaternions are xyzw; wxyz appears only in functions that say so."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "IDENTITY_QUATERNION",
    "axis_angle_to_quaternion",
    "compose",
    "invert",
    "is_mirror",
    "matrix_to_quaternion",
    "mirrored_rotation",
    "multiply_each",
    "multiply_quaternions",
    "quaternion_between",
    "quaternion_from_wxyz",
    "quaternion_to_matrix",
    "quaternion_to_rpy",
    "quaternion_to_wxyz",
    "rotate",
    "rotate_each",
    "rpy_to_quaternion",
]

Array = NDArray[np.float64]

IDENTITY_QUATERNION: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0)


def multiply_quaternions(first: ArrayLike, second: ArrayLike) -> Array:
    """Hamilton product ``first * second``, xyzw: the rotation ``second`` followed by ``first``."""
    ax, ay, az, aw = np.asarray(first, dtype=np.float64)
    bx, by, bz, bw = np.asarray(second, dtype=np.float64)
    return np.array(
        [
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ]
    )


def multiply_each(first: ArrayLike, second: ArrayLike) -> Array:
    """:func:`multiply_quaternions` of many, shape [..., 4], broadcast."""
    ax, ay, az, aw = np.moveaxis(np.asarray(first, dtype=np.float64), -1, 0)
    bx, by, bz, bw = np.moveaxis(np.asarray(second, dtype=np.float64), -1, 0)
    return np.stack(
        [
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ],
        axis=-1,
    )


def rotate_each(quaternion: ArrayLike, vectors: ArrayLike) -> Array:
    """Rotate vectors [..., 3] by unit quaternions [..., 4], broadcast."""
    x, y, z, w = np.moveaxis(np.asarray(quaternion, dtype=np.float64), -1, 0)
    a, b, c = np.moveaxis(np.asarray(vectors, dtype=np.float64), -1, 0)
    # v + 2 u x (u x v + w v), u the vector part
    i, j, k = y * c - z * b + w * a, z * a - x * c + w * b, x * b - y * a + w * c
    return np.stack(
        [a + 2.0 * (y * k - z * j), b + 2.0 * (z * i - x * k), c + 2.0 * (x * j - y * i)], axis=-1
    )


def axis_angle_to_quaternion(axis: ArrayLike, angle: float) -> Array:
    """Rotation by ``angle`` [rad] about the unit vector ``axis``, xyzw."""
    return np.append(math.sin(0.5 * angle) * np.asarray(axis, dtype=np.float64), math.cos(0.5 * angle))


def rpy_to_quaternion(rpy: Sequence[float]) -> Array:
    """Fixed-axis XYZ angles [rad], ``R = Rz(yaw) Ry(pitch) Rx(roll)`` (URDF convention), to xyzw."""
    roll, pitch, yaw = rpy
    about_x = axis_angle_to_quaternion((1.0, 0.0, 0.0), roll)
    about_y = axis_angle_to_quaternion((0.0, 1.0, 0.0), pitch)
    about_z = axis_angle_to_quaternion((0.0, 0.0, 1.0), yaw)
    return multiply_quaternions(about_z, multiply_quaternions(about_y, about_x))


def quaternion_to_matrix(quaternion: ArrayLike) -> Array:
    """Rotation matrix [3, 3] (columns are the rotated axes) of a unit quaternion xyzw."""
    x, y, z, w = np.asarray(quaternion, dtype=np.float64)
    return np.array(
        [
            [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
            [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
            [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
        ]
    )


def matrix_to_quaternion(matrix: ArrayLike) -> Array:
    """Unit quaternion xyzw with w >= 0 of a rotation matrix [3, 3] (the largest component is divided by)."""
    m = np.asarray(matrix, dtype=np.float64)
    trace = m[0, 0] + m[1, 1] + m[2, 2]
    squares = np.array([m[0, 0], m[1, 1], m[2, 2], trace])
    largest = int(np.argmax(squares))
    if largest == 3:
        raw = np.array([m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], 1.0 + trace])
    else:
        i, j, k = largest, (largest + 1) % 3, (largest + 2) % 3
        raw = np.empty(4)
        raw[i] = 1.0 + m[i, i] - m[j, j] - m[k, k]
        raw[j] = m[j, i] + m[i, j]
        raw[k] = m[k, i] + m[i, k]
        raw[3] = m[k, j] - m[j, k]
    raw /= np.linalg.norm(raw)
    return -raw if raw[3] < 0.0 else raw


def quaternion_between(start: ArrayLike, end: ArrayLike) -> Array:
    """Shortest rotation, xyzw, that takes the unit vector ``start`` to the unit vector ``end``."""
    a = np.asarray(start, dtype=np.float64)
    b = np.asarray(end, dtype=np.float64)
    if float(a @ b) < -1.0 + 1e-12:
        axis = np.cross(a, np.eye(3)[int(np.argmin(np.abs(a)))])
        return np.append(axis / np.linalg.norm(axis), 0.0)
    raw = np.append(np.cross(a, b), 1.0 + float(a @ b))
    return raw / np.linalg.norm(raw)


def quaternion_from_wxyz(wxyz: Sequence[float]) -> Array:
    """USD and MuJoCo border: wxyz to a normalised xyzw (single-precision files are renormalised)."""
    w, x, y, z = wxyz
    raw = np.array([x, y, z, w], dtype=np.float64)
    length = float(np.linalg.norm(raw))
    if length < 1e-9:
        raise ValueError(f"quaternion (w, x, y, z) = {tuple(wxyz)} has no direction; write a unit quaternion")
    return raw / length


def quaternion_to_wxyz(quaternion: ArrayLike) -> tuple[float, float, float, float]:
    """USD and MuJoCo border: xyzw to wxyz."""
    x, y, z, w = (float(v) for v in np.asarray(quaternion, dtype=np.float64))
    return (w, x, y, z)


def rotate(quaternion: ArrayLike, vectors: ArrayLike) -> Array:
    """Rotate vectors, shape [3] or [N, 3]."""
    return np.asarray(vectors, dtype=np.float64) @ quaternion_to_matrix(quaternion).T


def compose(
    outer_position: ArrayLike,
    outer_quaternion: ArrayLike,
    inner_position: ArrayLike,
    inner_quaternion: ArrayLike,
) -> tuple[Array, Array]:
    """Pose ``outer * inner``: the inner pose, given in the outer frame, seen from outside."""
    position = np.asarray(outer_position, dtype=np.float64) + rotate(outer_quaternion, inner_position)
    quaternion = multiply_quaternions(outer_quaternion, inner_quaternion)
    return position, quaternion / np.linalg.norm(quaternion)


def invert(position: ArrayLike, quaternion: ArrayLike) -> tuple[Array, Array]:
    """Inverse of a pose."""
    conjugate = np.asarray(quaternion, dtype=np.float64) * np.array([-1.0, -1.0, -1.0, 1.0])
    return -rotate(conjugate, position), conjugate


def quaternion_to_rpy(quaternion: ArrayLike) -> tuple[float, float, float]:
    """Fixed-axis roll, pitch, yaw [rad] of a quaternion xyzw (URDF convention)."""
    m = quaternion_to_matrix(quaternion)
    pitch = math.atan2(-m[2, 0], math.hypot(m[0, 0], m[1, 0]))
    if math.hypot(m[0, 0], m[1, 0]) < 1e-9:  # looking straight up or down: yaw is free
        return math.atan2(-m[1, 2], m[1, 1]), pitch, 0.0
    return math.atan2(m[2, 1], m[2, 2]), pitch, math.atan2(m[1, 0], m[0, 0])


def is_mirror(matrix: ArrayLike) -> bool:
    """Whether a linear or affine map, its linear part first (shape [3 or 4, 3 or 4]), turns right hands into left ones."""
    with np.errstate(invalid="ignore", over="ignore"):  # a map that is not finite mirrors nothing
        return bool(np.linalg.det(np.asarray(matrix, dtype=np.float64)[:3, :3]) < 0.0)


def mirrored_rotation(middle: ArrayLike, first: ArrayLike) -> Array:
    """The rotation (xyzw) as far beyond ``middle`` as ``first`` is before it; what is not finite or zero stays so."""
    back = np.asarray(first) * np.array([-1.0, -1.0, -1.0, 1.0])
    result = multiply_quaternions(multiply_quaternions(middle, back), middle)
    length = np.linalg.norm(result)
    return result / length if length > 0.0 else result
