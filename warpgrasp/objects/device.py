"""Objects on the device: meshes, clustered surface samples and bounds of the distance as structs that kernels read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import warp as wp
from numpy.typing import NDArray

from warpgrasp.geometry.clusters import bounding_disc, bounding_sphere, clusters_of
from warpgrasp.kernels.distance_bound import CELL_COUNT, DistanceBound, grid_distance_kernel
from warpgrasp.kernels.mesh_distance import SIGN_WINDING, MeshSet
from warpgrasp.kernels.object_samples import GROUP_SIZE, SampleSet
from warpgrasp.objects.cache import cached_arrays
from warpgrasp.objects.geometry import corner_normals, feature_normals

__all__ = ["SampledSolid", "Solid", "corner_normal_array", "distance_bound", "mesh_set", "sample_set"]


class Solid(Protocol):
    """A closed triangle mesh."""

    @property
    def vertices(self) -> NDArray[np.float64]:
        """Positions [m], shape [V, 3]."""
        ...

    @property
    def faces(self) -> NDArray[np.int32]:
        """Vertex indices, shape [F, 3]."""
        ...

    @property
    def sign_method(self) -> int:
        """``warpgrasp.objects.SignMethod``: how inside is told from outside."""
        ...


class SampledSolid(Solid, Protocol):
    """A solid that knows points of its surface, as ``warpgrasp.objects.ObjectModel``."""

    def surface_samples(self, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Points [m] and outward face normals, each of shape [count, 3]."""
        ...


_CREASE = np.pi / 6.0  # rad
_CLUSTER_SIZE = 20  # samples per cluster; on a CPU, clusters of at most 10 gain 15 % at best


def mesh_set(objects: Sequence[Solid], device: Any) -> tuple[MeshSet, list[wp.Mesh]]:
    """Build the meshes of ``objects`` on ``device``; keep the returned ``wp.Mesh`` list alive as long as the set."""
    meshes, normals, starts = [], [], []
    face_total = 0
    for model in objects:
        meshes.append(
            wp.Mesh(
                points=wp.array(model.vertices, dtype=wp.vec3, device=device),
                indices=wp.array(model.faces.ravel(), dtype=wp.int32, device=device),
                support_winding_number=model.sign_method == SIGN_WINDING,
            )
        )
        normals.append(feature_normals(model.vertices, model.faces))
        starts.append(face_total)
        face_total += len(model.faces)
    result = MeshSet()
    result.mesh = wp.array([mesh.id for mesh in meshes], dtype=wp.uint64, device=device)
    result.sign_method = wp.array([int(m.sign_method) for m in objects], dtype=wp.int32, device=device)
    result.face_start = wp.array(starts, dtype=wp.int32, device=device)
    result.feature_normal = wp.array(np.concatenate(normals), dtype=wp.vec3, device=device)
    return result, meshes


def corner_normal_array(objects: Sequence[Solid], device: Any) -> wp.array:
    """Normals at the corners of all faces, in the order of ``MeshSet.feature_normal``, vec3, shape [sum of faces, 3].

    They are smooth where neighbouring faces bend by less than 30 degrees, and keep the creases elsewhere.
    """
    parts = [corner_normals(model.vertices, model.faces, crease=_CREASE) for model in objects]
    return wp.array(np.concatenate(parts).astype(np.float32), dtype=wp.vec3, device=device)


def sample_set(objects: Sequence[SampledSolid], sample_count: int, device: Any) -> SampleSet:
    """Sort the surface samples of every object into clusters of neighbours on ``device``."""
    positions, starts, spheres, group_spheres, discs = [], [], [], [], []
    total = 0
    for model in objects:
        points = model.surface_samples(sample_count)[0]
        clusters = clusters_of(points, _CLUSTER_SIZE)
        positions.append(points[np.concatenate(clusters)])
        starts.append(total + np.concatenate([[0], np.cumsum([len(c) for c in clusters])]))
        spheres.append([bounding_sphere(points[c]) for c in clusters])
        groups = [np.concatenate(clusters[k : k + GROUP_SIZE]) for k in range(0, len(clusters), GROUP_SIZE)]
        group_spheres.append([bounding_sphere(points[c]) for c in groups])
        discs.append([bounding_disc(points[c]) for c in clusters])
        total += len(points)
    result = SampleSet()
    result.position = wp.array(np.concatenate(positions), dtype=wp.vec3, device=device)
    result.cluster_start = wp.array(np.array(starts), dtype=wp.int32, device=device)
    result.cluster_sphere = wp.array(np.array(spheres), dtype=wp.vec4, device=device)
    disc = np.array(discs)
    result.cluster_disc = wp.array(disc[..., :4], dtype=wp.vec4, device=device)
    result.cluster_axis = wp.array(disc[..., 4:], dtype=wp.vec4, device=device)
    result.group_sphere = wp.array(np.array(group_spheres), dtype=wp.vec4, device=device)
    return result


def distance_bound(objects: Sequence[Solid], meshes: MeshSet, device: Any) -> DistanceBound:
    """Sample the signed distance of ``objects``, whose meshes are ``meshes``, on grids.

    It takes 0.07 s per object on a CPU, unless it is cached.
    """
    lower = np.array([model.vertices.min(axis=0) for model in objects], dtype=np.float64)
    upper = np.array([model.vertices.max(axis=0) for model in objects], dtype=np.float64)
    spacing = np.max(upper - lower, axis=1) / CELL_COUNT
    count = np.ceil((upper - lower) / spacing[:, None] - 1e-6).astype(np.int64) + 1
    start = np.cumsum(np.prod(count, axis=1)) - np.prod(count, axis=1)
    grids = []
    for number, model in enumerate(objects):
        grids.append(_grid(model, meshes, number, lower[number], float(spacing[number]), count[number]))
    result = DistanceBound()
    result.distance = wp.array(np.concatenate(grids), dtype=wp.float32, device=device)
    result.start = wp.array(start, dtype=wp.int32, device=device)
    result.node_count = wp.array(count, dtype=wp.vec3i, device=device)
    result.lower = wp.array(lower, dtype=wp.vec3, device=device)
    result.upper = wp.array(upper, dtype=wp.vec3, device=device)
    result.spacing = wp.array(spacing, dtype=wp.float32, device=device)
    return result


def _grid(
    model: Solid,
    meshes: MeshSet,
    number: int,
    lower: NDArray[np.float64],
    spacing: float,
    node_count: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Signed distances at the nodes of one object's grid [m], from the cache where the mesh has a hash."""

    def compute() -> dict[str, NDArray[Any]]:
        distance = wp.empty(int(np.prod(node_count)), dtype=wp.float32, device=meshes.mesh.device)
        wp.launch(
            grid_distance_kernel,
            dim=(int(node_count[0]), int(node_count[1])),
            inputs=[meshes, number, wp.vec3(*lower), spacing, wp.vec3i(*(int(side) for side in node_count))],
            outputs=[distance],
            device=distance.device,
            record_tape=False,
        )
        return {"distance": distance.numpy()}

    mesh_hash = getattr(model, "mesh_hash", None)
    if mesh_hash is None:
        return compute()["distance"]
    return cached_arrays("grid", f"{mesh_hash} {CELL_COUNT}", ("distance",), compute)["distance"]
