"""The hands of the published GraspQP implementation as it sees them, in float64 NumPy.

Read off its definition: a link's surface is the union of its collision meshes, of its visual meshes where it has none, in
one mesh, hulls taken of nothing. The normal of a contact is that of the closest *face of this surface*, not of the contact
mesh that the point was drawn from; where two faces are as good as equally near (squared distances within 1e-8 m^2) and the
point is more than 0.1 mm away, it is the one that faces the point more. A sample's depth is its distance to that surface
where it is inside; as everywhere there, distances are ``sqrt(d^2 + 1e-8)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import trimesh
import warp as wp
from numpy.typing import NDArray

from warpgrasp.geometry.rotations import quaternion_to_matrix, rpy_to_quaternion

__all__ = ["PublishedLink", "farthest_point_subset", "read_links"]

wp.set_module_options({"enable_backward": False})

FloatArray = NDArray[np.float64]

_TIE = 1e-8  # m^2


@wp.kernel
def _inside_distance(
    mesh: wp.uint64,
    point: wp.array(dtype=wp.vec3),  # type: ignore[valid-type]
    # outputs
    distance: wp.array(dtype=float),  # type: ignore[valid-type]
):
    i = wp.tid()
    query = wp.mesh_query_point_sign_normal(mesh, point[i], 1.0e6)
    closest = wp.mesh_eval_position(mesh, query.face, query.u, query.v)
    distance[i] = 0.0
    if query.sign < 0.0:
        distance[i] = wp.sqrt(wp.length_sq(point[i] - closest) + 1.0e-8)


@dataclass(frozen=True, eq=False)
class PublishedLink:
    """Surface of one link in its own frame, and the frame of its visual (of contact meshes and spheres)."""

    surface: trimesh.Trimesh
    visual_position: FloatArray
    visual_quaternion: FloatArray
    mesh: wp.Mesh

    def normal(self, point: FloatArray) -> FloatArray:
        """Contact normal for a point of the hand's surface, both in the link's frame."""
        triangles = np.asarray(self.surface.triangles)
        away = point - trimesh.triangles.closest_point(triangles, np.tile(point, (len(triangles), 1)))
        square = np.einsum("ij,ij->i", away, away)
        first, second = np.argsort(square, kind="stable")[:2]
        normals = self.surface.face_normals
        tied = square[second] - square[first] < _TIE < square[first]
        if tied and normals[second] @ away[second] / np.sqrt(square[second]) > normals[first] @ away[
            first
        ] / np.sqrt(square[first]):
            return np.asarray(normals[second])
        return np.asarray(normals[first])

    def depth(self, points: FloatArray) -> FloatArray:
        """Distance to the surface of the points inside, zero for others; points in the link's frame."""
        lower, upper = self.surface.bounds
        near = np.flatnonzero(((points > lower) & (points < upper)).all(axis=1))
        depth = np.zeros(len(points))
        if len(near):
            found = wp.empty(len(near), dtype=float, device="cpu")
            local = wp.array(points[near].astype(np.float32), dtype=wp.vec3, device="cpu")
            wp.launch(
                _inside_distance, len(near), inputs=[self.mesh.id, local], outputs=[found], device="cpu"
            )
            depth[near] = found.numpy()
        return depth


def read_links(path: Path) -> dict[str, PublishedLink]:
    """Links with geometry of a URDF, by name, in the order of the file."""
    links = {}
    for link in ElementTree.parse(path).getroot().findall("link"):
        elements = link.findall("collision") or link.findall("visual")
        if not elements:
            continue
        parts = []
        for element in elements:
            position, quaternion = _origin(element)
            mesh = trimesh.load_mesh(
                path.parent / element.find("geometry/mesh").get("filename"), process=False
            )
            turned = mesh.vertices @ quaternion_to_matrix(quaternion).T + position
            parts.append(trimesh.Trimesh(turned, mesh.faces, process=False))
        joined = trimesh.util.concatenate(parts)
        surface = trimesh.Trimesh(joined.vertices, joined.faces)  # equal vertices merged: watertight
        device_mesh = wp.Mesh(
            points=wp.array(surface.vertices.astype(np.float32), dtype=wp.vec3, device="cpu"),
            indices=wp.array(surface.faces.ravel().astype(np.int32), dtype=wp.int32, device="cpu"),
        )
        links[link.get("name")] = PublishedLink(surface, *_origin(link.find("visual")), device_mesh)
    return links


def _origin(element: ElementTree.Element) -> tuple[FloatArray, FloatArray]:
    origin = element.find("origin")
    xyz, rpy = (
        ("0 0 0", "0 0 0") if origin is None else (origin.get("xyz", "0 0 0"), origin.get("rpy", "0 0 0"))
    )
    return np.array([float(v) for v in xyz.split()]), rpy_to_quaternion([float(v) for v in rpy.split()])


def farthest_point_subset(cloud: FloatArray, count: int) -> FloatArray:
    """``count`` points of a cloud, each the farthest from those before it, the first being the cloud's first."""
    cloud = cloud.astype(np.float32)
    nearest, chosen = np.full(len(cloud), np.inf, dtype=np.float32), [0]
    for _ in range(count - 1):
        away = cloud - cloud[chosen[-1]]
        np.minimum(nearest, np.einsum("ij,ij->i", away, away), out=nearest)
        chosen.append(int(nearest.argmax()))
    return cloud[chosen].astype(np.float64)
