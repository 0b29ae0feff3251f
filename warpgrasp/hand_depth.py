"""How deep a hand reaches into the object, where the penetration energy sees nothing.

That energy asks how deep samples of the object's surface lie inside the hand [DGN]. A finger wholly inside the object has no
surface inside it, and another finger's contacts may pay for it: such grasps have low energies and hold in no hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import warp as wp
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from warpgrasp.kernels.sdf import launch_signed_distance

if TYPE_CHECKING:
    from warpgrasp.problem import GraspProblem, GraspState

__all__ = ["hand_depth"]


def hand_depth(problem: GraspProblem, state: GraspState) -> NDArray[np.float64]:
    """Largest depth of the hand's spheres in the object [m], at least 0, shape [B]; ``state`` has been evaluated."""
    hand, batch = problem.hand, problem.batch_size
    pose = state.link_pose.numpy()[:, hand.sphere_link].astype(np.float64)  # [B, S, 7]
    turn = Rotation.from_quat(pose[:, :, 3:].reshape(-1, 4))
    center = pose[:, :, :3].reshape(-1, 3) + turn.apply(np.tile(hand.sphere_position, (batch, 1)))
    points: wp.array = wp.array(center.astype(np.float32), dtype=wp.vec3, device=problem.device)
    index = np.repeat(problem.object_index.numpy(), len(hand.sphere_link))
    distance = wp.empty(len(center), dtype=wp.float32, device=problem.device)
    launch_signed_distance(
        problem.meshes,
        wp.array(index, dtype=wp.int32, device=problem.device),
        points,
        distance=distance,
        normal=wp.empty_like(points),
        closest=wp.empty_like(points),
    )
    depth = hand.sphere_radius - distance.numpy().reshape(batch, -1).astype(np.float64)
    return np.asarray(np.maximum(depth.max(axis=1, initial=0.0), 0.0))
