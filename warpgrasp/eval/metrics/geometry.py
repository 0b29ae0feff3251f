"""How hand and object lie against each other: penetration, contact distance, contact area, intersection volume.

The hand is its collision geometry (capsules, boxes, convex meshes), exactly; the object is its mesh.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from warpgrasp.geometry.rotations import IDENTITY_QUATERNION, quaternion_to_matrix

if TYPE_CHECKING:
    from warpgrasp.hands.model import HandModel
    from warpgrasp.objects import ObjectModel

__all__ = [
    "contact_area",
    "contact_distance_consistency",
    "hand_signed_distance",
    "intersection_volume",
    "object_signed_distance",
    "penetration_depth",
    "self_penetration_depth",
]

FloatArray = NDArray[np.float64]

PENETRATION_POINTS = 3000
"""Surface points of the object over which penetration is measured (Zurbrügg et al. 2025, Sec. 8.1)."""


def hand_signed_distance(
    hand: HandModel,
    root_position: ArrayLike,
    root_quaternion: ArrayLike,
    joint_position: ArrayLike,
    points: ArrayLike,
    *,
    reach: float = np.inf,
) -> FloatArray:
    """Signed distance [m] of points in the object frame to the hand of one grasp, negative inside, shape [P].

    Inside it is the depth in the deepest shape. Shapes further than ``reach`` from a point may be left out: values up
    to ``reach`` are exact, larger ones at least ``reach``.
    """
    points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    position, quaternion = hand.forward_kinematics(root_position, root_quaternion, joint_position)
    distance = np.full(len(points), np.inf)
    for geometry in range(len(hand.geometry_type)):
        link = int(hand.geometry_link[geometry])
        local = (points - position[link]) @ quaternion_to_matrix(quaternion[link])
        center, radius = _bounding_sphere(hand, geometry)
        near = np.flatnonzero(np.linalg.norm(local - center, axis=1) <= radius + reach)
        if near.size:
            own = hand.geometry_shape(geometry).signed_distance(local[near])
            distance[near] = np.minimum(distance[near], own)
    return np.where(np.isfinite(distance), distance, reach)


def object_signed_distance(model: ObjectModel, points: ArrayLike) -> FloatArray:
    """Signed distance [m] of points in the object frame to the object's mesh, negative inside, shape [P]."""
    import warp as wp

    from warpgrasp.kernels.mesh_distance import launch_signed_distance
    from warpgrasp.objects.device import mesh_set

    points = np.ascontiguousarray(np.asarray(points, dtype=np.float32).reshape(-1, 3))
    meshes, owner = mesh_set([model], "cpu")
    distance = wp.zeros(len(points), dtype=wp.float32, device="cpu")
    vectors = [wp.zeros(len(points), dtype=wp.vec3, device="cpu") for _ in range(2)]
    launch_signed_distance(
        meshes,
        wp.zeros(len(points), dtype=wp.int32, device="cpu"),
        wp.array(points, dtype=wp.vec3, device="cpu"),
        distance=distance,
        normal=vectors[0],
        closest=vectors[1],
    )
    result = distance.numpy().astype(np.float64)
    del owner  # the meshes had to live until here
    return result


def penetration_depth(
    hand: HandModel,
    model: ObjectModel,
    root_position: ArrayLike,
    root_quaternion: ArrayLike,
    joint_position: ArrayLike,
) -> float:
    """Largest depth [m] of 3000 surface points of the object inside the hand of one grasp, at least 0.

    As measured by Zurbrügg et al. 2025, Sec. 8.1.
    """
    points, _ = model.surface_samples(PENETRATION_POINTS)
    distance = hand_signed_distance(hand, root_position, root_quaternion, joint_position, points, reach=0.0)
    return float(-min(distance.min(), 0.0))


def self_penetration_depth(hand: HandModel, joint_position: ArrayLike) -> float:
    """Largest depth [m] of surface points of a link inside a link that is not its neighbour, at least 0.

    Neighbours are links with a common joint, and links that touch at the opening pose. Points: 200 per shape.
    """
    clouds, pairs = _self_penetration_setup(hand)
    joints = np.asarray(joint_position, dtype=np.float64)
    return max(_pair_depths(hand, joints, clouds, pairs), default=0.0)


def contact_distance_consistency(
    hand: HandModel,
    model: ObjectModel,
    root_position: ArrayLike,
    root_quaternion: ArrayLike,
    joint_position: ArrayLike,
    *,
    grasp_type: str = "power",
) -> float:
    """Largest minus smallest distance [m] of the fingers of a grasp type to the object (Chen et al. 2025).

    The distance of a finger is that of its closest contact candidate, negative inside. The palm does not count.
    """
    candidates = hand.contact_candidates(grasp_type)
    position, quaternion = hand.forward_kinematics(root_position, root_quaternion, joint_position)
    points = np.empty_like(candidates.position)
    for link in np.unique(candidates.link):
        own = candidates.link == link
        points[own] = candidates.position[own] @ quaternion_to_matrix(quaternion[link]).T + position[link]
    distance = object_signed_distance(model, points)
    fingers = [
        distance[candidates.finger == index].min()
        for index, name in enumerate(candidates.finger_names)
        if name != "palm" and np.any(candidates.finger == index)
    ]
    return float(max(fingers) - min(fingers)) if fingers else float("nan")


def contact_area(
    hand: HandModel,
    model: ObjectModel,
    root_position: ArrayLike,
    root_quaternion: ArrayLike,
    joint_position: ArrayLike,
    *,
    distance: float = 0.005,
    count: int = PENETRATION_POINTS,
) -> float:
    """Area [m^2] of the object's surface nearer than ``distance`` to the hand, from evenly spread points.

    Source: Turpin et al. 2023.
    """
    points, _ = model.surface_samples(count)
    near = (
        hand_signed_distance(hand, root_position, root_quaternion, joint_position, points, reach=distance)
        < distance
    )
    corner = model.vertices[model.faces]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    return float(near.mean() * 0.5 * np.linalg.norm(normal, axis=1).sum())


def intersection_volume(
    hand: HandModel,
    model: ObjectModel,
    root_position: ArrayLike,
    root_quaternion: ArrayLike,
    joint_position: ArrayLike,
    *,
    spacing: float = 0.002,
) -> float:
    """Volume [m^3] that hand and object share (Turpin et al. 2023), counted on a grid over the object's bounding box."""
    lower, upper = model.vertices.min(axis=0), model.vertices.max(axis=0)
    axes = [np.arange(a + 0.5 * spacing, b, spacing) for a, b in zip(lower, upper, strict=True)]
    inside = np.zeros([len(axis) for axis in axes], dtype=bool)
    position, quaternion = hand.forward_kinematics(root_position, root_quaternion, joint_position)
    for geometry in range(len(hand.geometry_type)):
        link = int(hand.geometry_link[geometry])
        turn = quaternion_to_matrix(quaternion[link])
        center, radius = _bounding_sphere(hand, geometry)
        center = position[link] + turn @ center
        # Only the grid around the shape: most of it is far from any finger.
        around = tuple(
            slice(np.searchsorted(axis, c - radius), np.searchsorted(axis, c + radius))
            for axis, c in zip(axes, center, strict=True)
        )
        points = _grid([axis[part] for axis, part in zip(axes, around, strict=True)])
        if len(points):
            depth = hand.geometry_shape(geometry).signed_distance((points - position[link]) @ turn)
            inside[around] |= (depth < 0.0).reshape(inside[around].shape)
    candidates = _grid(axes)[inside.ravel()]
    if len(candidates) == 0:
        return 0.0
    return float(np.sum(object_signed_distance(model, candidates) < 0.0) * spacing**3)


def _grid(axes: Sequence[FloatArray]) -> FloatArray:
    """All points of a grid, shape [P, 3]."""
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


@lru_cache(maxsize=64)
def _bounding_spheres(hand: HandModel) -> list[tuple[FloatArray, float]]:
    spheres = []
    for mesh in hand.geometry_mesh:
        center = 0.5 * (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0))
        # A tessellated capsule lies inside the capsule, by less than a few per cent of its radius.
        spheres.append((center, 1.1 * float(np.linalg.norm(mesh.vertices - center, axis=1).max())))
    return spheres


def _bounding_sphere(hand: HandModel, geometry: int) -> tuple[FloatArray, float]:
    """Centre and radius of a sphere around one shape, in its link frame."""
    return _bounding_spheres(hand)[geometry]


@lru_cache(maxsize=64)
def _self_penetration_setup(hand: HandModel) -> tuple[list[FloatArray], list[tuple[int, int]]]:
    """Surface points of every shape in its link frame, and ordered pairs of shapes that must not overlap."""
    import trimesh

    clouds = []
    for geometry, mesh in enumerate(hand.geometry_mesh):
        solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
        sampled, _ = trimesh.sample.sample_surface(solid, 200, seed=geometry)
        # Onto the exact surface: a capsule's mesh cuts its corners.
        surface = hand.geometry_shape(geometry).closest_surface_points(np.asarray(sampled))[0]
        clouds.append(np.concatenate([surface, mesh.vertices]))
    link, parent = hand.geometry_link, hand.link_parent
    pairs = [
        (first, second)
        for first in range(len(link))
        for second in range(len(link))
        if link[first] != link[second]
        and parent[link[first]] != link[second]
        and parent[link[second]] != link[first]
    ]
    depth = _pair_depths(hand, hand.dof_opening, clouds, pairs)
    touching = {
        frozenset((int(link[a]), int(link[b])))
        for (a, b), value in zip(pairs, depth, strict=True)
        if value > 0.0
    }
    return clouds, [(a, b) for a, b in pairs if frozenset((int(link[a]), int(link[b]))) not in touching]


def _pair_depths(
    hand: HandModel, joint_position: FloatArray, clouds: list[FloatArray], pairs: list[tuple[int, int]]
) -> list[float]:
    """Depth [m] of the points of the first shape of each pair in the second, at least 0."""
    position, quaternion = hand.forward_kinematics(np.zeros(3), IDENTITY_QUATERNION, joint_position)
    matrix = np.array([quaternion_to_matrix(q) for q in quaternion])
    link = hand.geometry_link
    center = [position[link[g]] + matrix[link[g]] @ _bounding_sphere(hand, g)[0] for g in range(len(link))]
    result = []
    for first, second in pairs:
        reach = _bounding_sphere(hand, first)[1] + _bounding_sphere(hand, second)[1]
        if np.linalg.norm(center[first] - center[second]) > reach:
            result.append(0.0)
            continue
        a, b = link[first], link[second]
        world = clouds[first] @ matrix[a].T + position[a]
        local = (world - position[b]) @ matrix[b]
        near = (
            np.linalg.norm(local - _bounding_sphere(hand, second)[0], axis=1)
            < _bounding_sphere(hand, second)[1]
        )
        if not near.any():
            result.append(0.0)
            continue
        result.append(max(0.0, -float(hand.geometry_shape(second).signed_distance(local[near]).min())))
    return result
