"""Ray casting of one object and one posed hand for pictures: Lambert shading, hard shadow, contact spheres.

Colours are linear RGB in [0, 1] until the host converts them. No gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import warp as wp

__all__ = ["CameraPose", "MeshArrays", "RaycastScene", "launch_image", "launch_visibility", "raycast_mesh"]

wp.set_module_options({"enable_backward": False})

_FAR = wp.constant(1.0e3)  # m
_SHADOW_OFFSET = wp.constant(2.0e-4)  # m, keeps a shadow ray off the surface it starts from
_CONTRAST = wp.constant(0.04)  # colour difference to a neighbour from which a pixel is supersampled
# A corner whose face turns away further than this from the vertex normal is an edge and stays sharp.
_SHARP_COSINE = 0.85


@wp.struct
class RaycastMesh:
    """A mesh with a normal per corner and a colour per face."""

    mesh: wp.uint64
    corner_normal: wp.array(dtype=wp.vec3)  #: [3 F]
    face_color: wp.array(dtype=wp.vec3)  #: [F]


@wp.struct
class RaycastScene:
    """What a ray can hit, and the two lights."""

    object: RaycastMesh
    hand: RaycastMesh
    contact_position: wp.array(dtype=wp.vec3)  #: [C] m
    contact_color: wp.array(dtype=wp.vec3)  #: [C]
    contact_radius: float  #: m
    key_direction: wp.vec3  #: unit, towards the light that casts shadows
    fill_direction: wp.vec3  #: unit, towards the light that does not
    background: wp.vec3


@wp.struct
class CameraPose:
    """Perspective camera; ``right``, ``up`` and ``forward`` are orthonormal."""

    position: wp.vec3  #: m
    right: wp.vec3
    up: wp.vec3
    forward: wp.vec3
    tangent: float  #: of half the field of view


@dataclass(frozen=True)
class MeshArrays:
    """Keeps alive what a :class:`RaycastMesh` points to."""

    struct: Any
    mesh: wp.Mesh


def raycast_mesh(
    vertices: npt.ArrayLike,
    faces: npt.ArrayLike,
    face_color: npt.ArrayLike,
    device: wp.DeviceLike,
    *,
    vertex_normal: npt.ArrayLike | None = None,
) -> MeshArrays:
    """Build the BVH and the corner normals of a mesh.

    Args:
        vertices: Shape [V, 3], m.
        faces: Shape [F, 3].
        face_color: Linear RGB, shape [3] or [F, 3].
        device: Warp device.
        vertex_normal: Unit normals, shape [V, 3]; by default those of the faces, smooth where the surface is smooth.
    """
    points = np.ascontiguousarray(vertices, dtype=np.float32)
    triangles = np.ascontiguousarray(faces, dtype=np.int32)
    mesh = wp.Mesh(
        points=wp.array(points, dtype=wp.vec3, device=device),
        indices=wp.array(triangles.ravel(), dtype=wp.int32, device=device),
    )
    color = np.broadcast_to(np.asarray(face_color, dtype=np.float32), triangles.shape)
    result = RaycastMesh()
    result.mesh = mesh.id
    if vertex_normal is None:
        normals = _corner_normals(points, triangles)
    else:
        normals = np.ascontiguousarray(np.asarray(vertex_normal, dtype=np.float32)[triangles.ravel()])
    result.corner_normal = wp.array(normals, dtype=wp.vec3, device=device)
    result.face_color = wp.array(np.ascontiguousarray(color), dtype=wp.vec3, device=device)
    return MeshArrays(result, mesh)


def _corner_normals(points: npt.NDArray[np.float32], faces: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """Normals that are smooth where the surface is smooth and flat beside edges, shape [3 F, 3]."""
    corners = points[faces].astype(np.float64)
    area_normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    vertex_normal = np.stack(
        [np.bincount(faces.ravel(), np.repeat(area_normal[:, axis], 3), len(points)) for axis in range(3)],
        axis=1,
    )
    vertex_normal /= np.maximum(np.linalg.norm(vertex_normal, axis=1, keepdims=True), 1e-30)
    face_normal = area_normal / np.maximum(np.linalg.norm(area_normal, axis=1, keepdims=True), 1e-30)
    smooth = vertex_normal[faces]
    is_smooth = np.einsum("fki,fi->fk", smooth, face_normal) > _SHARP_COSINE
    return np.where(is_smooth[..., None], smooth, face_normal[:, None]).reshape(-1, 3).astype(np.float32)


@wp.func
def _is_lit(scene: RaycastScene, point: wp.vec3, normal: wp.vec3):
    start = point + _SHADOW_OFFSET * normal
    blocked = wp.mesh_query_ray(scene.hand.mesh, start, scene.key_direction, _FAR)
    if blocked.result:
        return False
    blocked = wp.mesh_query_ray(scene.object.mesh, start, scene.key_direction, _FAR)
    return not blocked.result


@wp.func
def _shade(scene: RaycastScene, direction: wp.vec3, point: wp.vec3, normal_in: wp.vec3, color: wp.vec3):
    normal = normal_in
    if wp.dot(normal, direction) > 0.0:
        normal = -normal
    key = wp.max(wp.dot(normal, scene.key_direction), 0.0)
    if key > 0.0:
        if not _is_lit(scene, point, normal):
            key = 0.15 * key
    fill = wp.max(wp.dot(normal, scene.fill_direction), 0.0)
    # Sky above, a little less light from below, so that unlit parts keep their shape.
    ambient = 0.30 + 0.12 * normal[2]
    highlight = wp.pow(wp.max(wp.dot(normal, wp.normalize(scene.key_direction - direction)), 0.0), 40.0)
    return color * (ambient + 0.75 * key + 0.24 * fill) + wp.vec3(0.08 * highlight * wp.min(key * 4.0, 1.0))


@wp.func
def _sphere_entry(start: wp.vec3, direction: wp.vec3, center: wp.vec3, radius: float):
    offset = start - center
    half = wp.dot(offset, direction)
    discriminant = half * half - wp.dot(offset, offset) + radius * radius
    if discriminant < 0.0:
        return _FAR
    return -half - wp.sqrt(discriminant)


@wp.func
def _mesh_normal(surface: RaycastMesh, face: int, u: float, v: float):
    return wp.normalize(
        u * surface.corner_normal[3 * face]
        + v * surface.corner_normal[3 * face + 1]
        + (1.0 - u - v) * surface.corner_normal[3 * face + 2]
    )


@wp.func
def _ray_color(scene: RaycastScene, start: wp.vec3, direction: wp.vec3):
    distance = _FAR
    color = scene.background
    normal = wp.vec3(0.0)
    hit = wp.mesh_query_ray(scene.object.mesh, start, direction, distance)
    if hit.result:
        distance = hit.t
        normal = _mesh_normal(scene.object, hit.face, hit.u, hit.v)
        color = scene.object.face_color[hit.face]
    hit = wp.mesh_query_ray(scene.hand.mesh, start, direction, distance)
    if hit.result:
        distance = hit.t
        normal = _mesh_normal(scene.hand, hit.face, hit.u, hit.v)
        color = scene.hand.face_color[hit.face]
    nearest = _FAR
    contact = int(-1)
    for i in range(scene.contact_position.shape[0]):
        entry = _sphere_entry(start, direction, scene.contact_position[i], scene.contact_radius)
        if entry < nearest:
            nearest = entry
            contact = i
    if contact >= 0:
        center = scene.contact_position[contact]
        sphere_normal = wp.normalize(start + nearest * direction - center)
        # Contacts glow: half of their colour does not depend on the light.
        bright = scene.contact_color[contact] * (0.6 + 0.4 * wp.abs(wp.dot(sphere_normal, direction)))
        if nearest < distance:
            return bright
        # A hidden contact shows through, so that all contacts of a grasp can be counted in one picture.
        return 0.45 * _shade(scene, direction, start + distance * direction, normal, color) + 0.55 * bright
    if distance < _FAR:
        color = _shade(scene, direction, start + distance * direction, normal, color)
    return color


@wp.func
def _pixel_direction(camera: CameraPose, x: float, y: float, size: float):
    right = (2.0 * x / size - 1.0) * camera.tangent
    up = (1.0 - 2.0 * y / size) * camera.tangent
    return wp.normalize(camera.forward + right * camera.right + up * camera.up)


@wp.kernel
def _trace(
    scene: RaycastScene,
    camera: CameraPose,
    # outputs
    image: wp.array2d(dtype=wp.vec3),  # [size, size]
):
    row, column = wp.tid()
    size = float(image.shape[0])
    image[row, column] = _ray_color(
        scene, camera.position, _pixel_direction(camera, float(column) + 0.5, float(row) + 0.5, size)
    )


@wp.kernel
def _supersample_edges(
    scene: RaycastScene,
    camera: CameraPose,
    image: wp.array2d(dtype=wp.vec3),  # [size, size] one sample per pixel
    # outputs
    smooth_image: wp.array2d(dtype=wp.vec3),  # [size, size]
):
    row, column = wp.tid()
    size = image.shape[0]
    color = image[row, column]
    contrast = float(0.0)
    for k in range(9):
        r = wp.clamp(row + k // 3 - 1, 0, size - 1)
        c = wp.clamp(column + k % 3 - 1, 0, size - 1)
        contrast = wp.max(contrast, wp.length(image[r, c] - color))
    if contrast > _CONTRAST:
        color = wp.vec3(0.0)
        for k in range(4):
            x = float(column) + 0.25 + 0.5 * float(k % 2)
            y = float(row) + 0.25 + 0.5 * float(k // 2)
            color += 0.25 * _ray_color(scene, camera.position, _pixel_direction(camera, x, y, float(size)))
    smooth_image[row, column] = color


@wp.kernel
def _contact_visibility(
    scene: RaycastScene,
    directions: wp.array(dtype=wp.vec3),  # [D] unit, from the scene towards the camera
    # outputs
    visibility: wp.array2d(
        dtype=wp.float32
    ),  # [D, C] 1 in sight, 0.3 behind the hand only, 0 behind the object
):
    d, contact = wp.tid()
    direction = directions[d]
    start = scene.contact_position[contact] + scene.contact_radius * direction
    value = float(1.0)
    hit = wp.mesh_query_ray(scene.hand.mesh, start, direction, _FAR)
    if hit.result:
        value = 0.3
    hit = wp.mesh_query_ray(scene.object.mesh, start, direction, _FAR)
    if hit.result:
        value = 0.0
    visibility[d, contact] = value


def launch_image(scene: RaycastScene, camera: CameraPose, size: int, device: wp.DeviceLike) -> wp.array:
    """Render a square picture; edges get 2 x 2 samples. Returns linear RGB, shape [size, size] of vec3."""
    image = wp.empty((size, size), dtype=wp.vec3, device=device)
    smooth_image = wp.empty_like(image)
    wp.launch(_trace, dim=(size, size), inputs=[scene, camera], outputs=[image], device=device)
    wp.launch(
        _supersample_edges,
        dim=(size, size),
        inputs=[scene, camera, image],
        outputs=[smooth_image],
        device=device,
    )
    return smooth_image


def launch_visibility(scene: RaycastScene, directions: wp.array, device: wp.DeviceLike) -> wp.array:
    """How well each contact can be seen from far away along each direction, shape [D, C], in [0, 1]."""
    visibility = wp.empty(
        (directions.shape[0], scene.contact_position.shape[0]), dtype=wp.float32, device=device
    )
    wp.launch(
        _contact_visibility,
        dim=visibility.shape,
        inputs=[scene, directions],
        outputs=[visibility],
        device=device,
    )
    return visibility
