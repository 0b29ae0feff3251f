"""Grasps that nobody synthesised: random poses with the columns of real ones, to try a pipeline without waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from warpgrasp.grasps.grasp_set import GraspSet

if TYPE_CHECKING:
    from warpgrasp.hands import HandModel
    from warpgrasp.objects import ObjectModel
    from warpgrasp.synthesis.synthesize import SynthesisConfig

__all__ = ["simulated_grasps"]


def simulated_grasps(hand: HandModel, model: ObjectModel, config: SynthesisConfig) -> GraspSet:
    """Random poses around an object, determined by its mesh and the seed; status OK, energies zero."""
    random = np.random.default_rng([config.seed, int(model.mesh_hash[:16], 16)])
    count, contacts = config.grasp_count, config.contact_count
    quaternion = random.normal(size=(count, 4))
    quaternion /= np.linalg.norm(quaternion, axis=1, keepdims=True)
    position = random.normal(size=(count, 3))
    position *= 0.15 / np.linalg.norm(position, axis=1, keepdims=True)
    joints = random.uniform(hand.dof_lower, hand.dof_upper, (count, len(hand.joint_names)))
    terms = tuple(config.energy.active_terms())
    points = random.uniform(-0.05, 0.05, (count, contacts, 3))
    poses = {
        f"{stage}root_{name}": value
        for stage in ("", "pregrasp_", "squeeze_")
        for name, value in (("position", position), ("quaternion", quaternion))
    }
    columns: dict[str, Any] = {
        **poses,
        "joint_position": joints,
        "pregrasp_joint_position": joints,
        "squeeze_joint_position": joints,
        "squeeze_torque": np.zeros_like(joints),
        "joint_names": hand.joint_names,
        "contact_index": np.zeros((count, contacts), np.int32),
        "contact_position": points,
        "contact_normal": np.broadcast_to([0.0, 0.0, 1.0], points.shape),
        "contact_force": np.zeros_like(points),
        "energy": random.uniform(size=count),
        "energy_terms": np.zeros((count, len(terms))),
        "energy_term_names": terms,
        "status": np.zeros(count, np.int32),
        "metadata": {"config": {"type": "simulated", "grasp_type": config.grasp_type}},
    }
    return GraspSet(**columns)
