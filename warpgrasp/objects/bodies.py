"""Several bodies in one file: which contain or touch which, their union, and the mass of overlapping ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warpgrasp.base.warp_messages import warp_is_quiet
from warpgrasp.objects.geometry import Floats, MassProperties, sample_surface, signed_volumes
from warpgrasp.objects.topology import Faces, compact, components

__all__ = ["body_groups", "contains", "crossing_faces", "solid_mass_properties", "union", "winding_distance"]

TOUCH_DISTANCE = 1.0e-4
"""Bodies closer than this [m] belong together."""
PROBES = 600
"""Surface points per body that, beside its vertices, look for contact with the others."""
GRID_CELLS = 96
"""Cells along the largest extent for the mass of overlapping bodies; errors stay below about 1 %."""


@dataclass(frozen=True)
class _Shell:
    """What :func:`warpgrasp.kernels.mesh_distance.mesh_set` needs to know of an object."""

    vertices: Floats
    faces: Faces
    sign_method: int = 1  # SignMethod.WINDING


@warp_is_quiet()
def winding_distance(vertices: Floats, faces: Faces, points: Floats) -> Floats:
    """Distance to the surface at points [N, 3], negative where the winding number exceeds one half [m], shape [N]."""
    import warp as wp  # takes a second to import and compiles a kernel, and few objects need it

    from warpgrasp.kernels.mesh_distance import launch_signed_distance
    from warpgrasp.objects.device import mesh_set

    shells: Any = [_Shell(*compact(vertices, faces))]
    meshes, keep_alive = mesh_set(shells, "cpu")
    vectors = [wp.empty(len(points), dtype=wp.vec3, device="cpu") for _ in range(2)]
    distance = wp.empty(len(points), dtype=wp.float32, device="cpu")
    launch_signed_distance(
        meshes,
        wp.zeros(len(points), dtype=wp.int32, device="cpu"),
        wp.array(points.astype(np.float32), dtype=wp.vec3, device="cpu"),
        distance=distance,
        normal=vectors[0],
        closest=vectors[1],
    )
    del keep_alive
    return np.array(distance.numpy(), np.float64)


@warp_is_quiet()
def crossing_faces(vertices: Floats, faces: Faces) -> NDArray[np.bool_]:
    """Whether each face crosses or touches another one of the mesh that is not its neighbour, shape [F]."""
    import warp as wp

    from warpgrasp.kernels.self_intersection import launch_crossing_faces

    points, index = np.unique(vertices, axis=0, return_inverse=True)
    corner: Any = wp.array(index.reshape(-1)[faces].astype(np.int32), dtype=wp.int32, device="cpu")
    mesh = wp.Mesh(points=wp.array(points, dtype=wp.vec3, device="cpu"), indices=corner.flatten())
    crossing = wp.zeros(len(faces), dtype=wp.int32, device="cpu")
    exact: Any = wp.array(points, dtype=wp.vec3d, device="cpu")
    launch_crossing_faces(mesh, exact, corner, crossing=crossing)
    return np.asarray(crossing.numpy(), bool)


def contains(vertices: Floats, faces: Faces, points: Floats) -> NDArray[np.bool_]:
    """Whether each point [N, 3] lies inside the closed surface, shape [N]."""
    corners = vertices[faces.reshape(-1)]
    boxed = np.all((points > corners.min(axis=0)) & (points < corners.max(axis=0)), axis=1)
    if not boxed.any():
        return boxed
    inside: NDArray[np.bool_] = boxed & (winding_distance(vertices, faces, points) < 0.0)
    return inside


def body_groups(vertices: Floats, parts: list[Faces]) -> tuple[NDArray[np.int64], int]:
    """Group of each of P bodies, [P], those in one group overlap, touch or contain each other; and number of inward shells."""
    boxes = np.array([[vertices[part].min(axis=(0, 1)), vertices[part].max(axis=(0, 1))] for part in parts])
    random = np.random.default_rng(0)
    probes = [
        np.concatenate(
            [vertices[np.unique(part)], sample_surface(vertices, part, count=PROBES, random=random)[0]]
        )
        for part in parts
    ]
    links = []
    for i in range(len(parts)):
        for j in range(len(parts)):
            if i == j or np.any(boxes[i, 0] > boxes[j, 1] + TOUCH_DISTANCE):
                continue
            if np.any(boxes[j, 0] > boxes[i, 1] + TOUCH_DISTANCE):
                continue
            if winding_distance(vertices, parts[j], probes[i]).min() < TOUCH_DISTANCE:
                links.append((i, j))
    rows, columns = np.array(links, np.int64).reshape(-1, 2).T
    groups = np.unique(components(len(parts), rows, columns), return_inverse=True)[1].reshape(-1)
    return groups, sum(_is_cavity(vertices, part) for part in parts)


def _is_cavity(vertices: Floats, part: Faces) -> bool:
    return float(signed_volumes(vertices, part, vertices[part[0, 0]]).sum()) < 0.0


def union(vertices: Floats, parts: list[Faces]) -> tuple[Floats, Faces] | None:
    """Union of watertight bodies by manifold3d, or None where it is not installed or does not take the meshes."""
    try:
        import manifold3d
    except ImportError:
        return None
    total = manifold3d.Manifold()
    for part in sorted(parts, key=lambda part: _is_cavity(vertices, part)):  # cavities are cut out last
        cavity = _is_cavity(vertices, part)
        used, faces = compact(vertices, part)
        mesh = manifold3d.Mesh64(used, (faces[:, ::-1] if cavity else faces).astype(np.uint64))
        body = manifold3d.Manifold(mesh)
        if body.status() != manifold3d.Error.NoError or body.is_empty():
            return None
        total = total - body if cavity else total + body
    result = total.to_mesh64()
    return np.asarray(result.vert_properties, np.float64)[:, :3], np.asarray(result.tri_verts, np.int64)


def solid_mass_properties(vertices: Floats, faces: Faces) -> MassProperties:
    """Mass properties of the region of winding number above one half, at the centres of a cubic grid."""
    low, high = vertices[faces].min(axis=(0, 1)), vertices[faces].max(axis=(0, 1))
    cell = float((high - low).max()) / GRID_CELLS
    axes = [np.arange(low[axis] + 0.5 * cell, high[axis], cell) for axis in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    points = points[winding_distance(vertices, faces, points) < 0.0]
    center = points.mean(axis=0)
    moment = cell**3 * ((points - center).T @ (points - center) + len(points) * cell**2 / 12.0 * np.eye(3))
    return MassProperties(len(points) * cell**3, center, np.trace(moment) * np.eye(3) - moment)
