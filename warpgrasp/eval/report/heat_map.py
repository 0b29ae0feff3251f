"""Where grasps touch an object: contact density on its surface, in viridis, drawn by the ray caster."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import trimesh
import warp as wp
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from warpgrasp.eval.metrics.geometry import object_signed_distance
from warpgrasp.eval.report.figures import import_matplotlib
from warpgrasp.eval.report.gltf import crease_normals
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.kernels.raycast import CameraPose, RaycastScene, launch_image, raycast_mesh
from warpgrasp.objects import ObjectModel

__all__ = [
    "BANDWIDTH",
    "TOUCH_DISTANCE",
    "SurfaceMesh",
    "contact_density",
    "heat_map_views",
    "refine_surface",
    "render_surface",
    "touching_contacts",
    "viridis",
]

FloatArray = NDArray[np.float64]

TOUCH_DISTANCE = 0.005
"""A contact point of the hand further from the surface than this [m] does not count as a contact."""
BANDWIDTH = 0.006
"""Standard deviation of the Gaussian that spreads a contact over the surface [m]."""

_FACE_BUDGET = 30_000
_FIELD_OF_VIEW = np.radians(28.0)
_BACKGROUND = (1.0, 1.0, 1.0)
_ELEVATION = np.radians(25.0)


@dataclass(frozen=True, eq=False)
class SurfaceMesh:
    """A surface fine enough to be coloured by vertex; edges are split, so that each vertex has one normal."""

    vertices: FloatArray
    """[m], shape [V, 3]."""
    normals: FloatArray
    """Unit, outward, shape [V, 3]."""
    faces: NDArray[np.int64]
    """Shape [F, 3]."""


def refine_surface(model: ObjectModel, *, edge_share: float = 1.0 / 70.0) -> SurfaceMesh:
    """Divide the faces of an object until no edge is longer than ``edge_share`` of its diagonal.

    Normals are interpolated from the original mesh, so that shading does not change. Where that takes more than about
    30,000 faces the edges stay longer.
    """
    vertices, normals, faces, _ = crease_normals(model.vertices, model.faces)
    corners = vertices[faces].astype(np.float64)
    area = 0.5 * np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    diagonal = float(np.linalg.norm(np.ptp(vertices, axis=0)))
    edge = max(edge_share * diagonal, float(np.sqrt(4.0 * area.sum() / _FACE_BUDGET)))
    # Normals travel as three more coordinates; scaled down they do not count in the length of an edge.
    small = 1.0e-6 * edge
    columns = np.concatenate([vertices.astype(np.float64), small * normals.astype(np.float64)], axis=1)
    fine, fine_faces = trimesh.remesh.subdivide_to_size(columns, faces.astype(np.int64), edge, max_iter=20)
    keys = np.round(fine / np.array([1.0e-7] * 3 + [1.0e-3 * small] * 3)).astype(np.int64)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    direction = fine[first, 3:]
    direction = direction / np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1.0e-30)
    return SurfaceMesh(fine[first, :3], direction, inverse.ravel()[fine_faces])


def touching_contacts(
    grasps: GraspSet, model: ObjectModel, select: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    """Contacts within :data:`TOUCH_DISTANCE` of the surface of the grasps selected [N]: positions, normals [C, 3]."""
    position = np.asarray(grasps.contact_position, dtype=np.float64)[select].reshape(-1, 3)
    normal = np.asarray(grasps.contact_normal, dtype=np.float64)[select].reshape(-1, 3)
    finite = np.isfinite(position).all(axis=1) & np.isfinite(normal).all(axis=1)
    position, normal = position[finite], normal[finite]
    if len(position) == 0:
        return position, normal
    near = np.abs(object_signed_distance(model, position)) <= TOUCH_DISTANCE
    return position[near], normal[near]


def contact_density(
    points: ArrayLike,
    normals: ArrayLike,
    contact_position: ArrayLike,
    contact_normal: ArrayLike,
    *,
    bandwidth: float = BANDWIDTH,
) -> FloatArray:
    """Contacts per area [1/m^2] at points of a surface, shape [P].

    Each contact is a Gaussian of integral 1 on a plane, times the cosine between its normal and that of the surface,
    so that a contact on the outside of a thin wall does not colour the inside.

    Args:
        points: [m], shape [P, 3].
        normals: Outward, unit, shape [P, 3].
        contact_position: [m], shape [C, 3].
        contact_normal: Outward object normals, unit, shape [C, 3].
        bandwidth: Standard deviation [m].
    """
    if not bandwidth > 0.0:
        raise ValueError(f"bandwidth must be above 0 m (got {bandwidth})")
    x, n = np.asarray(points, dtype=np.float64), np.asarray(normals, dtype=np.float64)
    p = np.asarray(contact_position, dtype=np.float64).reshape(-1, 3)
    m = np.asarray(contact_normal, dtype=np.float64).reshape(-1, 3)
    density = np.zeros(len(x))
    if len(p):
        # Beyond four standard deviations a contact adds less than 0.04 % of its peak.
        pairs = cKDTree(x).sparse_distance_matrix(cKDTree(p), 4.0 * bandwidth, output_type="coo_matrix")
        point, contact = pairs.row, pairs.col
        cosine = np.maximum(np.einsum("ij,ij->i", n[point], m[contact]), 0.0)
        weight = cosine * np.exp(-0.5 * (pairs.data / bandwidth) ** 2)
        density = np.bincount(point, weight, len(x)).astype(np.float64)
    return density / (2.0 * np.pi * bandwidth**2)


def viridis(values: ArrayLike) -> FloatArray:
    """SRGB in [0, 1] of values in [0, 1], shape [..., 3].

    Raises:
        ImportError: matplotlib is not installed.
    """
    table = _viridis_table()
    index = np.round(np.clip(np.asarray(values, dtype=np.float64), 0.0, 1.0) * (len(table) - 1))
    return np.asarray(table[index.astype(np.int64)])


@lru_cache(maxsize=1)
def _viridis_table() -> FloatArray:
    colors = import_matplotlib().colormaps["viridis"](np.arange(256))
    return np.asarray(colors, dtype=np.float64)[:, :3]


def heat_map_views(surface: SurfaceMesh, density: FloatArray) -> list[FloatArray]:
    """Two opposite directions towards the camera, a little from above, the first facing most contacts, each [3]."""
    corners = surface.vertices[surface.faces]
    area_normal = 0.5 * np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    weight = density[surface.faces].mean(axis=1) + 1.0e-12
    angle = 2.0 * np.pi * np.arange(24) / 24
    horizontal = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=1)
    directions = np.cos(_ELEVATION) * horizontal + [0.0, 0.0, np.sin(_ELEVATION)]
    facing = np.maximum(area_normal @ directions.T, 0.0)
    best = int(np.argmax(weight @ facing))
    return [directions[best], directions[(best + 12) % 24]]


def render_surface(
    surface: SurfaceMesh,
    vertex_color: FloatArray,
    direction: FloatArray,
    *,
    size: int = 320,
    device: wp.DeviceLike = "cpu",
) -> NDArray[np.uint8]:
    """Picture of a coloured surface seen from ``direction``: sRGB, shape [size, size, 3].

    Args:
        surface: What to draw.
        vertex_color: SRGB in [0, 1], shape [V, 3].
        direction: Unit vector towards the camera.
        size: Edge of the picture in pixels.
        device: Warp device that casts the rays.
    """
    face_color = (np.asarray(vertex_color) ** 2.2)[surface.faces].mean(axis=1)
    body = raycast_mesh(surface.vertices, surface.faces, face_color, device)
    corner_normals = surface.normals[surface.faces].reshape(-1, 3).astype(np.float32)
    body.struct.corner_normal = wp.array(corner_normals, dtype=wp.vec3, device=device)
    # The scene of the ray caster has a hand; here it is a speck out of sight.
    speck = raycast_mesh(1.0e-3 * np.eye(3) - 900.0, [[0, 1, 2]], (0.0, 0.0, 0.0), device)
    scene = RaycastScene()
    scene.object, scene.hand = body.struct, speck.struct
    scene.contact_position = wp.zeros(0, dtype=wp.vec3, device=device)
    scene.contact_color = wp.zeros(0, dtype=wp.vec3, device=device)
    scene.contact_radius = 0.0
    scene.background = wp.vec3(*_BACKGROUND)
    vertical = np.array([0.0, 0.0, 1.0]) if abs(direction[2]) < 0.98 else np.array([0.0, 1.0, 0.0])
    right = np.cross(vertical, direction)
    right = right / np.linalg.norm(right)
    up = np.cross(direction, right)
    key, fill = 0.75 * direction + 0.55 * up - 0.45 * right, 0.6 * direction + 0.15 * up + 0.9 * right
    scene.key_direction = wp.vec3(*(key / np.linalg.norm(key)))
    scene.fill_direction = wp.vec3(*(fill / np.linalg.norm(fill)))
    camera = _camera(surface.vertices, direction, right, up)
    image: FloatArray = launch_image(scene, camera, size, device).numpy()
    return np.round(255.0 * np.clip(image, 0.0, 1.0) ** (1.0 / 2.2)).astype(np.uint8)


def _camera(points: FloatArray, direction: FloatArray, right: FloatArray, up: FloatArray) -> CameraPose:
    """As near as shows every point with a margin of a tenth."""
    tangent = float(np.tan(_FIELD_OF_VIEW / 2))
    x, y, depth = points @ right, points @ up, points @ direction
    x_middle, y_middle = 0.5 * (x.min() + x.max()), 0.5 * (y.min() + y.max())
    reach = np.maximum(np.abs(x - x_middle), np.abs(y - y_middle))
    distance = float((depth + 1.1 * reach / tangent).max())
    camera = CameraPose()
    camera.position = wp.vec3(*(x_middle * right + y_middle * up + distance * direction))
    camera.right, camera.up, camera.forward = wp.vec3(*right), wp.vec3(*up), wp.vec3(*-direction)
    camera.tangent = tangent
    return camera
