"""Poses as torch tensors: quaternions xyzw, and the six joints of the carrier that reach a pose."""

from __future__ import annotations

import torch

from warpgrasp.eval.isaaclab.adapter import rotate

__all__ = [
    "carrier_from_pose",
    "compose",
    "inverse",
    "multiply",
    "pose_from_carrier",
    "rotation_six",
    "rotation_vector",
    "turned_by",
]


def multiply(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Product of quaternions xyzw [..., 4]: ``second`` first, then ``first``."""
    axis_a, scalar_a, axis_b, scalar_b = first[..., :3], first[..., 3:], second[..., :3], second[..., 3:]
    axis_a, axis_b = torch.broadcast_tensors(axis_a, axis_b)
    axis = scalar_a * axis_b + scalar_b * axis_a + torch.cross(axis_a, axis_b, dim=-1)
    scalar = scalar_a * scalar_b - (axis_a * axis_b).sum(dim=-1, keepdim=True)
    return torch.cat([axis, scalar.expand(*axis.shape[:-1], 1)], dim=-1)


def compose(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Poses [..., 7] (position, quaternion xyzw): ``second`` given in the frame ``first``."""
    position = first[..., :3] + rotate(first[..., 3:], second[..., :3])
    return torch.cat([position, multiply(first[..., 3:], second[..., 3:])], dim=-1)


def inverse(pose: torch.Tensor) -> torch.Tensor:
    """Inverse poses [..., 7]."""
    back = torch.cat([-pose[..., 3:6], pose[..., 6:]], dim=-1)
    return torch.cat([-rotate(back, pose[..., :3]), back], dim=-1)


def rotation_six(quaternion: torch.Tensor) -> torch.Tensor:
    """First two columns of the rotation matrix, [..., 6]: a continuous description for a network."""
    x = torch.zeros_like(quaternion[..., :3])
    y = x.clone()
    x[..., 0], y[..., 1] = 1.0, 1.0
    return torch.cat([rotate(quaternion, x), rotate(quaternion, y)], dim=-1)


def rotation_vector(quaternion: torch.Tensor) -> torch.Tensor:
    """Axis times angle [rad] of quaternions, [..., 3]; angles up to pi."""
    axis = torch.where(quaternion[..., 3:] < 0.0, -quaternion[..., :3], quaternion[..., :3])
    length = axis.norm(dim=-1, keepdim=True)
    angle = 2.0 * torch.atan2(length, quaternion[..., 3:].abs())
    return axis * torch.where(length > 1.0e-7, angle / length.clamp(min=1.0e-7), 2.0)


def turned_by(vector: torch.Tensor) -> torch.Tensor:
    """Quaternions of rotation vectors [..., 3] [rad]."""
    angle = vector.norm(dim=-1, keepdim=True)
    axis = vector / angle.clamp(min=1.0e-9)
    return torch.cat([axis * torch.sin(0.5 * angle), torch.cos(0.5 * angle)], dim=-1)


def carrier_from_pose(base: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
    """Carrier joints (x, y, z, roll, pitch, yaw) [..., 6] that put the root at ``pose`` above a base at ``base``.

    The hinges turn about x, then the new y, then the new z.
    """
    relative = compose(inverse(base), pose)
    quaternion = relative[..., 3:]
    eye = torch.eye(3, dtype=pose.dtype, device=pose.device)
    first, third = rotate(quaternion, eye[0]), rotate(quaternion, eye[2])
    second = rotate(quaternion, eye[1])
    pitch = torch.asin(third[..., 0].clamp(-1.0, 1.0))
    roll = torch.atan2(-third[..., 1], third[..., 2])
    yaw = torch.atan2(-second[..., 0], first[..., 0])
    return torch.cat([relative[..., :3], torch.stack([roll, pitch, yaw], dim=-1)], dim=-1)


def pose_from_carrier(base: torch.Tensor, carrier: torch.Tensor) -> torch.Tensor:
    """Pose of the root [..., 7] for carrier joints [..., 6] above a base."""
    quaternion = torch.zeros_like(carrier[..., :4])
    quaternion[..., 3] = 1.0
    for axis in range(3):
        turn = torch.zeros_like(quaternion)
        turn[..., axis] = torch.sin(0.5 * carrier[..., 3 + axis])
        turn[..., 3] = torch.cos(0.5 * carrier[..., 3 + axis])
        quaternion = multiply(quaternion, turn)
    return compose(base, torch.cat([carrier[..., :3], quaternion], dim=-1))
