"""How deep a hand reaches into the object, where the penetration energy sees nothing.

That energy asks how deep samples of the object's surface lie inside the hand (Wang et al. 2023). A finger wholly
inside the object has no surface inside it, and another finger's contacts may pay for it: such grasps hold in no hand.
``sphere_penetration`` keeps fingers out; what is left is told by this depth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import warp as wp
from numpy.typing import NDArray

from warpgrasp.kernels.targets.nearest_points import launch_sphere_distances

if TYPE_CHECKING:
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.state import GraspState

__all__ = ["hand_depth"]


def hand_depth(problem: GraspProblem, state: GraspState) -> NDArray[np.float64]:
    """Largest depth of the hand's spheres in the object [m], at least 0, shape [B]; ``state`` has been evaluated."""
    radius = problem.hand.sphere_radius
    distance = wp.empty((problem.batch_size, len(radius)), dtype=wp.float32, device=problem.device)
    launch_sphere_distances(
        problem.spheres,
        problem.meshes,
        problem.distance_bound,
        problem.object_index,
        state.link_pose,
        distance=distance,
    )
    depth = radius - distance.numpy().astype(np.float64)
    return np.asarray(np.maximum(depth.max(axis=1, initial=0.0), 0.0))
