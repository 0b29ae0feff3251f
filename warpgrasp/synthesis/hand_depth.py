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

from warpgrasp.kernels.energies.sphere_penetration import launch_closest_to_spheres

if TYPE_CHECKING:
    from warpgrasp.synthesis.problem import GraspProblem
    from warpgrasp.synthesis.state import GraspState

__all__ = ["hand_depth"]


def hand_depth(problem: GraspProblem, state: GraspState) -> NDArray[np.float64]:
    """Largest depth of the hand's spheres in the object [m], at least 0, shape [B]; ``state`` has been evaluated."""
    radius = problem.hand.sphere_radius
    shape = (problem.batch_size, len(radius))
    distance = wp.empty(shape, dtype=wp.float32, device=problem.device)
    launch_closest_to_spheres(
        problem.spheres,
        problem.meshes,
        problem.object_index,
        state.link_pose,
        distance=distance,
        closest=wp.empty(shape, dtype=wp.vec3, device=problem.device),
        normal=wp.empty(shape, dtype=wp.vec3, device=problem.device),
    )
    depth = radius - distance.numpy().astype(np.float64)
    return np.asarray(np.maximum(depth.max(axis=1, initial=0.0), 0.0))
