"""Small made-up grasp sets for tests of everything that comes after the synthesis."""

from __future__ import annotations

from typing import Any

import numpy as np

from warpgrasp.grasps.grasp_set import GraspSet

__all__ = ["make_grasp_set"]


def make_grasp_set(
    *,
    count: int = 5,
    joint_names: tuple[str, ...] = ("a", "b", "c"),
    contact_count: int = 4,
    waypoint_count: int = 0,
    seed: int = 0,
    **changes: Any,
) -> GraspSet:
    """Random columns of the right shapes; unit quaternions; every status OK."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {"joint_names": joint_names, "energy_term_names": ("force_closure", "distance")}
    for prefix in ("", "pregrasp_", "squeeze_"):
        quaternion = rng.normal(size=(count, 4))
        columns[f"{prefix}root_position"] = rng.normal(0.0, 0.1, (count, 3))
        columns[f"{prefix}root_quaternion"] = quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)
        columns[f"{prefix}joint_position"] = rng.uniform(0.0, 1.0, (count, len(joint_names)))
    columns["squeeze_torque"] = rng.normal(0.0, 0.5, (count, len(joint_names)))
    columns["contact_index"] = rng.integers(0, 100, (count, contact_count))
    for name in ("contact_position", "contact_normal", "contact_force"):
        columns[name] = rng.normal(0.0, 0.03, (count, contact_count, 3))
    columns["energy"] = rng.uniform(1.0, 10.0, count)
    columns["energy_terms"] = rng.uniform(0.0, 1.0, (count, 2))
    columns["status"] = np.zeros(count)
    columns["quality"] = np.where(np.arange(count) == 1, np.nan, rng.uniform(0.0, 1.0, count))
    way = (count, waypoint_count)
    columns["waypoint_root_position"] = rng.normal(0.0, 0.1, (*way, 3))
    columns["waypoint_joint_position"] = rng.uniform(0.0, 1.0, (*way, len(joint_names)))
    columns["waypoint_clearance"] = rng.uniform(-0.001, 0.005, way)
    metadata = {
        "seed": seed,
        "hand": {"name": "fake", "asset_hash": "00"},
        "object": {"name": "cube", "mesh_hash": "11"},
    }
    return GraspSet(**{**columns, **changes}, metadata=metadata)
