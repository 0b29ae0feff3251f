"""A hand on the device: joint tree, collision geometry, spheres and contact candidates as structs that kernels read."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from warpgrasp.geometry.clusters import bounding_sphere, clusters_of
from warpgrasp.geometry.shapes import GeometryType
from warpgrasp.hands.contact_sampling import ContactCandidates, spread_over_mesh
from warpgrasp.hands.model import HandModel
from warpgrasp.kernels.contact import CandidateSet
from warpgrasp.kernels.energies.self_penetration import HandSpheres
from warpgrasp.kernels.hand_shapes import HandGeometry
from warpgrasp.kernels.kinematics import KinematicTree
from warpgrasp.kernels.targets.opening import SurfacePoints

__all__ = ["candidate_set", "hand_geometry", "hand_spheres", "kinematic_tree", "surface_points"]

IntArray = NDArray[np.int32]
FloatArray = NDArray[np.float64]

_CLUSTER_SIZE = 12  # surface points of the hand in a cluster
_GEOMETRY_LIMIT = 64  # geometries per hand, one bit each in the mask of a cluster of samples


def kinematic_tree(hand: HandModel, device: Any) -> KinematicTree:
    """Copy the joint tree of ``hand`` to ``device`` in float32."""
    tree = KinematicTree()
    child = np.concatenate([hand.joint_child_position, hand.joint_child_quaternion], axis=1)
    parent = np.concatenate([hand.joint_parent_position, hand.joint_parent_quaternion], axis=1)
    child_inverse = [wp.transform_inverse(wp.transform(*map(float, row))) for row in child]
    tree.link_parent = wp.array(hand.link_parent, dtype=wp.int32, device=device)
    tree.joint_type = wp.array(hand.joint_type, dtype=wp.int32, device=device)
    tree.joint_axis = wp.array(hand.joint_axis, dtype=wp.vec3, device=device)
    tree.joint_parent = wp.array(parent, dtype=wp.transform, device=device)
    tree.joint_child_inverse = wp.array(np.array(child_inverse), dtype=wp.transform, device=device)
    tree.joint_dof = wp.array(hand.joint_dof, dtype=wp.int32, device=device)
    tree.joint_multiplier = wp.array(hand.joint_multiplier, dtype=wp.float32, device=device)
    tree.joint_offset = wp.array(hand.joint_offset, dtype=wp.float32, device=device)
    tree.dof_lower = wp.array(hand.dof_lower, dtype=wp.float32, device=device)
    tree.dof_upper = wp.array(hand.dof_upper, dtype=wp.float32, device=device)
    return tree


def hand_geometry(hand: HandModel, device: Any) -> HandGeometry:
    """Copy the collision geometry of ``hand`` to ``device``; at most 64 shapes."""
    count = len(hand.geometry_type)
    if count > _GEOMETRY_LIMIT:
        raise ValueError(
            f"hand {hand.name!r} has {count} collision geometries, at most {_GEOMETRY_LIMIT} are supported: "
            "merge small parts into one convex hull per link"
        )
    bounds = [_bounding_capsule(hand, g) for g in range(count)]
    result = HandGeometry()
    pose = np.concatenate([hand.geometry_position, hand.geometry_quaternion], axis=1)
    plane = _separating_first(hand, [b[0] for b in bounds]) if len(hand.plane) else np.zeros((1, 4))
    result.type = wp.array(hand.geometry_type, dtype=wp.int32, device=device)
    result.link = wp.array(hand.geometry_link, dtype=wp.int32, device=device)
    result.pose = wp.array(pose, dtype=wp.transform, device=device)
    result.size = wp.array(hand.geometry_size, dtype=wp.vec3, device=device)
    result.plane_start = wp.array(hand.geometry_plane_start, dtype=wp.int32, device=device)
    result.plane_count = wp.array(hand.geometry_plane_count, dtype=wp.int32, device=device)
    result.plane = wp.array(plane, dtype=wp.vec4, device=device)
    result.bound_center = wp.array([b[0] for b in bounds], dtype=wp.vec3, device=device)
    result.bound_axis = wp.array([b[1] for b in bounds], dtype=wp.vec3, device=device)
    result.mask = wp.uint64((1 << count) - 1)
    slack = 1.0 + 1e-5  # float32 rounding must not cull what touches
    result.bound_radius = wp.array([slack * b[2] for b in bounds], dtype=wp.float32, device=device)
    return result


def _separating_first(hand: HandModel, centers: list[np.ndarray]) -> np.ndarray:
    """Planes [P, 4], those of each mesh from its center outward: a near plane separates more points, so a search ends early."""
    plane = hand.plane.copy()
    for g, center in enumerate(centers):
        start = hand.geometry_plane_start[g]
        own = hand.plane[start : start + hand.geometry_plane_count[g]]
        plane[start : start + len(own)] = own[np.argsort(own[:, 3] - own[:, :3] @ center, kind="stable")]
    return plane


def _bounding_capsule(hand: HandModel, geometry: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Capsule around a geometry in its own frame: center, half segment, radius; along the longest axis of its box."""
    if hand.geometry_type[geometry] == GeometryType.CAPSULE:
        radius, half_length, _ = hand.geometry_size[geometry]
        return np.zeros(3), np.array([0.0, 0.0, half_length]), float(radius)
    if hand.geometry_type[geometry] == GeometryType.BOX:
        corners = hand.geometry_size[geometry] * np.array(
            [[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float
        )
    else:
        corners = _to_frame(
            hand.geometry_mesh[geometry].vertices,
            hand.geometry_position[geometry],
            hand.geometry_quaternion[geometry],
        )
    low, high = corners.min(axis=0), corners.max(axis=0)
    center, half = 0.5 * (low + high), 0.5 * (high - low)
    longest = int(np.argmax(half))
    # A segment shortened by half the cross section covers the ends of a box with less air around its middle.
    reach = max(0.0, half[longest] - 0.5 * float(np.delete(half, longest).min()))
    nearest = np.tile(center, (len(corners), 1))
    nearest[:, longest] += np.clip(corners[:, longest] - center[longest], -reach, reach)
    radius = np.linalg.norm(corners - nearest, axis=1).max()
    return center, reach * np.eye(3)[longest], float(radius)


def _to_frame(points: np.ndarray, position: np.ndarray, quaternion: np.ndarray) -> np.ndarray:
    """Points given in the link frame, expressed in the geometry frame."""
    return Rotation.from_quat(quaternion).inv().apply(points - position)


def hand_spheres(hand: HandModel, device: Any) -> HandSpheres:
    """Copy the self-collision spheres of ``hand`` to ``device``."""
    result = HandSpheres()
    result.link = wp.array(hand.sphere_link, dtype=wp.int32, device=device)
    result.position = wp.array(hand.sphere_position, dtype=wp.vec3, device=device)
    result.radius = wp.array(hand.sphere_radius, dtype=wp.float32, device=device)
    pairs, group_start = _by_links(np.asarray(hand.self_collision_pairs()).reshape(-1, 2), hand.sphere_link)
    result.pair = wp.array(pairs, dtype=wp.int32, device=device)
    result.group_start = wp.array(group_start, dtype=wp.int32, device=device)
    position, radius = _link_bounds(hand)
    result.bound_position = wp.array(position, dtype=wp.vec3, device=device)
    result.bound_radius = wp.array(radius, dtype=wp.float32, device=device)
    return result


def _by_links(pairs: IntArray, sphere_link: IntArray) -> tuple[IntArray, IntArray]:
    """The pairs sorted by the links they join, the lower link first, and where each pair of links starts."""
    links = sphere_link[pairs]
    pairs = np.where((links[:, :1] <= links[:, 1:]), pairs, pairs[:, ::-1])
    links = np.sort(links, axis=1)
    order = np.lexsort((links[:, 1], links[:, 0]))
    _, start = np.unique(links[order], axis=0, return_index=True)
    return pairs[order], np.append(start, len(pairs))


def _link_bounds(hand: HandModel) -> tuple[FloatArray, FloatArray]:
    """A sphere around the spheres of every link; links without spheres get radius 0."""
    position, radius = np.zeros((hand.link_count, 3)), np.zeros(hand.link_count)
    for link in np.unique(hand.sphere_link):
        own = hand.sphere_link == link
        centers, radii = hand.sphere_position[own], hand.sphere_radius[own]
        position[link] = 0.5 * (centers.min(axis=0) + centers.max(axis=0))
        radius[link] = np.max(np.linalg.norm(centers - position[link], axis=1) + radii)
    return position, radius


def candidate_set(candidates: ContactCandidates, device: Any) -> CandidateSet:
    """Copy contact candidates to ``device`` in float32."""
    result = CandidateSet()
    result.link = wp.array(candidates.link, dtype=wp.int32, device=device)
    result.position = wp.array(candidates.position, dtype=wp.vec3, device=device)
    result.normal = wp.array(candidates.normal, dtype=wp.vec3, device=device)
    return result


def surface_points(hand: HandModel, device: Any, *, spacing: float = 0.005) -> SurfacePoints:
    """Points all over the hand's collision surface, one in every square of ``spacing`` [m], and the corners of its shapes.

    The last few results are kept.
    """
    return _surface_points(hand, str(device), spacing)


@functools.lru_cache(maxsize=8)
def _surface_points(hand: HandModel, device: str, spacing: float) -> SurfacePoints:
    points: list[FloatArray] = []
    spheres: list[FloatArray] = []
    link_spheres: list[FloatArray] = []
    start, cluster_start, link_start = [0], [0], [0]
    for own in _points_of_links(hand, spacing):
        link_spheres.append(bounding_sphere(own) if len(own) else np.zeros(4))
        for cluster in clusters_of(own, _CLUSTER_SIZE):
            points.append(own[cluster])
            spheres.append(bounding_sphere(own[cluster]))
            cluster_start.append(cluster_start[-1] + len(cluster))
        start.append(cluster_start[-1])
        link_start.append(len(spheres))
    result = SurfacePoints()
    result.start = wp.array(start, dtype=wp.int32, device=device)
    result.position = wp.array(np.concatenate(points), dtype=wp.vec3, device=device)
    result.link_sphere = wp.array(np.array(link_spheres), dtype=wp.vec4, device=device)
    result.link_cluster = wp.array(link_start, dtype=wp.int32, device=device)
    result.cluster_start = wp.array(cluster_start, dtype=wp.int32, device=device)
    result.cluster_sphere = wp.array(np.array(spheres), dtype=wp.vec4, device=device)
    return result


def _points_of_links(hand: HandModel, spacing: float) -> list[FloatArray]:
    """Points on the surface of every link, link frame, each of shape [P, 3]."""
    links = []
    for link in range(hand.link_count):
        points = [np.zeros((0, 3))]
        shapes = hand.link_shapes(link)
        for own in shapes:
            triangles = own.mesh.vertices[own.mesh.faces]
            sides = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
            area = 0.5 * float(np.linalg.norm(sides, axis=1).sum())
            spread = spread_over_mesh(triangles, max(4, round(area / spacing**2)))[0]
            if own.type != GeometryType.CAPSULE:
                spread = np.concatenate([spread, own.mesh.vertices])
            hidden = np.zeros(len(spread), dtype=bool)
            for other in shapes:
                if other is not own:
                    hidden |= other.inner_distance(spread) < -1.0e-4
            points.append(spread[~hidden])
        links.append(np.concatenate(points))
    return links
