"""The six-dimensional vectors of the kernels: a force or translation in front, a torque or rotation behind."""

from __future__ import annotations

import warp as wp

__all__ = ["vec6"]

vec6 = wp.types.vector(length=6, dtype=wp.float32)
"""Wrench (force [N], torque [N m], or weighted as its user says), dual of one, or an increment; six float32."""
