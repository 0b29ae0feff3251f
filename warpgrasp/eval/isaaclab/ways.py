"""Whether a hand can go from the pregrasp to the grasp without going through the object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.spatial.transform import Rotation, Slerp

from warpgrasp.synthesis.torch_bridge import ObjectSurfaces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from warpgrasp.eval.isaaclab.pool import GraspPool
    from warpgrasp.hands.model import HandModel

__all__ = ["DEEPEST", "way_depth"]

DEEPEST = 0.005
"""A way on which the hand is deeper in the object than this is none [m]; fingers that have closed are 1 to 3 mm deep."""

_STAGES = 6  # looked at, from the pregrasp to the grasp
_POINTS = 1500  # of the hand's surface, at most


def way_depth(hand: HandModel, pool: GraspPool) -> NDArray[np.float64]:
    """How deep the hand's surface is in the object on the way from pregrasp to grasp, at worst [m], shape [G].

    Root and joints move evenly, as the nominal motion of the tasks has it. Zero where the hand stays outside.
    """
    link, points = _surface(hand)
    surfaces = ObjectSurfaces(pool.models, "cpu")
    targets, depth = pool.targets, np.zeros(len(pool))
    for grasp in range(len(pool)):
        turns = Slerp(
            [0.0, 1.0],
            Rotation.from_quat([targets.pregrasp_quaternion[grasp], targets.grasp_quaternion[grasp]]),
        )
        seen = []
        for share in np.linspace(0.0, 1.0, _STAGES):
            position, joints = (
                (1.0 - share) * getattr(targets, f"pregrasp_{name}")[grasp]
                + share * getattr(targets, f"grasp_{name}")[grasp]
                for name in ("position", "joints")
            )
            place, turn = hand.forward_kinematics(position, turns(share).as_quat(), joints)
            seen.append(Rotation.from_quat(turn[link]).apply(points) + place[link])
        all_points = torch.as_tensor(np.concatenate(seen), dtype=torch.float32)
        index = torch.full((len(all_points),), int(pool.object_index[grasp]), dtype=torch.long)
        depth[grasp] = max(-float(surfaces.closest(all_points, index)[2].min()), 0.0)
    return depth


def _surface(hand: HandModel) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Link [N] and position in it [N, 3] of points of the hand's surface."""
    meshes = [np.asarray(mesh.vertices) for mesh in hand.geometry_mesh]
    link = np.concatenate(
        [np.full(len(own), int(hand.geometry_link[index])) for index, own in enumerate(meshes)]
    )
    every = -(-len(link) // _POINTS)
    return link[::every], np.concatenate(meshes)[::every]
