"""How hand and object lie against each other: penetration, contact distance, contact area, intersection volume.

The hand is its collision geometry (capsules, boxes, convex meshes), exactly; the object is its mesh. Functions take one grasp
or N grasps of a hand on an object and compute them in one launch; what they need of the hand and of the object is
uploaded once. They compute in float32, which is 1e-8 m for the parts of a hand.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import warp as wp
from numpy.typing import ArrayLike, NDArray

from warpgrasp.eval.metrics.posed_hands import PosedHands, shape_surfaces
from warpgrasp.geometry.rotations import quaternion_to_matrix
from warpgrasp.kernels.grasp_metrics import (
    contact_distance_kernel,
    hand_distance_kernel,
    self_depth_kernel,
    shared_cells_kernel,
)
from warpgrasp.kernels.mesh_distance import launch_signed_distance
from warpgrasp.objects.device import mesh_set

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
    "surface_metrics",
]

FloatArray = NDArray[np.float64]

PENETRATION_POINTS = 3000
"""Surface points of the object over which penetration is measured (Zurbrügg et al. 2025, Sec. 8.1)."""
CONTACT_DISTANCE = 0.005
"""Surface nearer than this [m] to the hand is its contact area."""


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
    to ``reach`` are exact, larger ones at least ``reach``. In float64, on the host.
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
    points = np.ascontiguousarray(np.asarray(points, dtype=np.float32).reshape(-1, 3))
    distance = wp.zeros(len(points), dtype=wp.float32, device="cpu")
    vectors = [wp.zeros(len(points), dtype=wp.vec3, device="cpu") for _ in range(2)]
    launch_signed_distance(
        _meshes(model)[0],
        wp.zeros(len(points), dtype=wp.int32, device="cpu"),
        wp.array(points, dtype=wp.vec3, device="cpu"),
        distance=distance,
        normal=vectors[0],
        closest=vectors[1],
    )
    return distance.numpy().astype(np.float64)


def penetration_depth(
    hand: HandModel,
    model: ObjectModel,
    root_position: ArrayLike,
    root_quaternion: ArrayLike,
    joint_position: ArrayLike,
) -> FloatArray:
    """Largest depth [m] of 3000 surface points of the object inside the hand, at least 0; shape [N], or one number.

    As measured by Zurbrügg et al. 2025, Sec. 8.1.

    Args:
        hand: The hand.
        model: The object.
        root_position: [m], shape [N, 3], or [3] of one grasp.
        root_quaternion: xyzw, shape [N, 4] or [4].
        joint_position: [rad or m], shape [N, J] or [J].
    """
    posed = PosedHands.of(hand, root_position, root_quaternion, joint_position)
    return posed.shaped(_depth(_surface_distance(posed, model, PENETRATION_POINTS, 0.0)))


def contact_area(
    hand: HandModel,
    model: ObjectModel,
    root_position: ArrayLike,
    root_quaternion: ArrayLike,
    joint_position: ArrayLike,
    *,
    distance: float = CONTACT_DISTANCE,
    count: int = PENETRATION_POINTS,
) -> FloatArray:
    """Area [m^2] of the object's surface nearer than ``distance`` to the hand, from evenly spread points.

    Source: Turpin et al. 2023. Poses and shape of the result as in :func:`penetration_depth`.
    """
    posed = PosedHands.of(hand, root_position, root_quaternion, joint_position)
    return posed.shaped(_area(model, _surface_distance(posed, model, count, distance), distance))


def surface_metrics(
    hand: HandModel,
    model: ObjectModel,
    root_position: ArrayLike,
    root_quaternion: ArrayLike,
    joint_position: ArrayLike,
) -> tuple[FloatArray, FloatArray]:
    """:func:`penetration_depth` and :func:`contact_area` from one pass over the surface."""
    posed = PosedHands.of(hand, root_position, root_quaternion, joint_position)
    found = _surface_distance(posed, model, PENETRATION_POINTS, CONTACT_DISTANCE)
    return posed.shaped(_depth(found)), posed.shaped(_area(model, found, CONTACT_DISTANCE))


def self_penetration_depth(hand: HandModel, joint_position: ArrayLike) -> FloatArray:
    """Largest depth [m] of surface points of a link inside a link that is not its neighbour, at least 0.

    Neighbours are links with a common joint, links that touch at the opening pose, and pairs whose contact the hand's file
    filters. Points: 200 per shape, and its corners.

    Args:
        hand: The hand.
        joint_position: [rad or m], shape [N, J]; or [J], for one number.
    """
    posed = PosedHands.at_origin(hand, joint_position)
    depth = wp.empty((posed.count, len(hand.geometry_type)), dtype=wp.float32, device="cpu")
    wp.launch(
        self_depth_kernel,
        dim=depth.shape,
        inputs=[posed.own.geometry, posed.poses, posed.link_pose, shape_surfaces(hand)],
        outputs=[depth],
        device="cpu",
    )
    return posed.shaped(depth.numpy().max(axis=1, initial=0.0))


def contact_distance_consistency(
    hand: HandModel,
    model: ObjectModel,
    root_position: ArrayLike,
    root_quaternion: ArrayLike,
    joint_position: ArrayLike,
    *,
    grasp_type: str = "power",
) -> FloatArray:
    """Largest minus smallest distance [m] of the fingers of a grasp type to the object (Chen et al. 2025).

    The distance of a finger is that of its closest contact candidate, negative inside. The palm does not count. Poses and
    shape of the result as in :func:`penetration_depth`; NaN for a grasp type without fingers.
    """
    posed = PosedHands.of(hand, root_position, root_quaternion, joint_position)
    candidates = _candidates(hand, grasp_type)
    found = wp.empty((posed.count, len(candidates.link)), dtype=wp.float32, device="cpu")
    wp.launch(
        contact_distance_kernel,
        dim=found.shape,
        inputs=[
            _meshes(model)[0],
            posed.link_pose,
            wp.array(candidates.link, dtype=wp.int32, device="cpu"),
            wp.array(candidates.position, dtype=wp.vec3, device="cpu"),
        ],
        outputs=[found],
        device="cpu",
    )
    distance = found.numpy()
    fingers = [
        distance[:, candidates.finger == index].min(axis=1)
        for index, name in enumerate(candidates.finger_names)
        if name != "palm" and np.any(candidates.finger == index)
    ]
    if not fingers:
        return posed.shaped(np.full(posed.count, np.nan))
    return posed.shaped(np.max(fingers, axis=0) - np.min(fingers, axis=0))


def intersection_volume(
    hand: HandModel,
    model: ObjectModel,
    root_position: ArrayLike,
    root_quaternion: ArrayLike,
    joint_position: ArrayLike,
    *,
    spacing: float = 0.002,
) -> FloatArray:
    """Volume [m^3] that hand and object share (Turpin et al. 2023), counted on a grid over the object's bounding box.

    Poses and shape of the result as in :func:`penetration_depth`; ``spacing`` of the grid in [m].
    """
    posed = PosedHands.of(hand, root_position, root_quaternion, joint_position)
    lower, upper = model.vertices.min(axis=0), model.vertices.max(axis=0)
    count = [len(np.arange(a + 0.5 * spacing, b, spacing)) for a, b in zip(lower, upper, strict=True)]
    cells = wp.empty((posed.count, len(hand.geometry_type)), dtype=wp.int32, device="cpu")
    wp.launch(
        shared_cells_kernel,
        dim=cells.shape,
        inputs=[
            posed.own.geometry,
            posed.poses,
            _meshes(model)[0],
            wp.vec3(*lower),
            wp.vec3i(*count),
            spacing,
        ],
        outputs=[cells],
        device="cpu",
    )
    return posed.shaped(cells.numpy().sum(axis=1) * spacing**3)


def _surface_distance(posed: PosedHands, model: ObjectModel, count: int, reach: float) -> NDArray[np.float32]:
    """Signed distance [m] of the object's surface points to each hand, at most ``reach``, shape [N, count]."""
    distance = wp.empty((posed.count, count), dtype=wp.float32, device="cpu")
    wp.launch(
        hand_distance_kernel,
        dim=distance.shape,
        inputs=[posed.own.geometry, posed.poses, posed.own.mesh, _surface_points(model, count), reach],
        outputs=[distance],
        device="cpu",
    )
    return np.asarray(distance.numpy())


def _depth(distance: NDArray[np.float32]) -> FloatArray:
    return -np.minimum(distance.min(axis=1).astype(np.float64), 0.0) + 0.0


def _area(model: ObjectModel, distance: NDArray[np.float32], limit: float) -> FloatArray:
    corner = model.vertices[model.faces]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    area = 0.5 * float(np.linalg.norm(normal, axis=1).sum())
    return np.asarray((distance < np.float32(limit)).mean(axis=1) * area)


# An evaluation works through one object after the other: nothing is kept of those before.
@lru_cache(maxsize=2)
def _meshes(model: ObjectModel) -> tuple[Any, list[wp.Mesh]]:
    """Mesh of an object with its BVH; the list keeps it alive."""
    return mesh_set([model], "cpu")


@lru_cache(maxsize=2)
def _surface_points(model: ObjectModel, count: int) -> wp.array:
    return wp.array(model.surface_samples(count)[0], dtype=wp.vec3, device="cpu")


@lru_cache(maxsize=16)
def _candidates(hand: HandModel, grasp_type: str) -> Any:
    return hand.contact_candidates(grasp_type)


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
