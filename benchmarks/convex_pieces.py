"""What cutting objects into convex pieces costs, and how near the pieces are: ``python benchmarks/convex_pieces.py MESH...``.

Processor seconds are those of the process that cuts, which has one thread; the cache is left aside. Distances [mm] are from
20,000 points of the mesh to the surface of the pieces' union, and from those of 20,000 points of the union that lie at most
0.5 mm inside the mesh (inner faces between pieces are no error) to the mesh: means and 99 % quantiles.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from typing import Any

import manifold3d
import numpy as np
import trimesh
import warp as wp
from machine import machine_name
from numpy.typing import NDArray

from warpgrasp.base.warp_messages import quiet_warp
from warpgrasp.objects import load_object
from warpgrasp.objects.decomposition import ConvexPieceConfig, decompose

POINTS = 20_000
INSIDE = 0.5e-3  # m
FAR = 1.0  # m

FloatArray = NDArray[np.float64]


@wp.kernel
def _signed_distance(
    mesh: wp.uint64, point: wp.array(dtype=wp.vec3), distance: wp.array(dtype=wp.float32)
) -> None:
    i = wp.tid()
    found = wp.mesh_query_point_sign_winding_number(mesh, point[i], FAR)
    nearest = wp.mesh_eval_position(mesh, found.face, found.u, found.v)
    distance[i] = found.sign * wp.length(point[i] - nearest)


def distances(mesh: trimesh.Trimesh, points: FloatArray) -> FloatArray:
    """Signed distances of points [N, 3] to a closed mesh [m], negative inside, shape [N]."""
    vertices: Any = wp.array(mesh.vertices.astype(np.float32), dtype=wp.vec3, device="cpu")
    faces: Any = wp.array(mesh.faces.astype(np.int32).ravel(), dtype=wp.int32, device="cpu")
    surface = wp.Mesh(vertices, faces, support_winding_number=True)
    found: Any = wp.zeros(len(points), dtype=wp.float32, device="cpu")
    at: Any = wp.array(points.astype(np.float32), dtype=wp.vec3, device="cpu")
    wp.launch(_signed_distance, dim=len(points), inputs=[surface.id, at], outputs=[found], device="cpu")
    return np.asarray(found.numpy(), dtype=np.float64)


def union_of(parts: Sequence[FloatArray]) -> trimesh.Trimesh:
    """Surface of the union of the hulls of points."""
    hulls = [manifold3d.Manifold.hull_points(part.astype(np.float32)) for part in parts]
    mesh = manifold3d.Manifold.batch_boolean(hulls, manifold3d.OpType.Add).to_mesh()
    return trimesh.Trimesh(np.asarray(mesh.vert_properties[:, :3], float), mesh.tri_verts, process=False)


def main(paths: list[str]) -> None:
    """One row per mesh."""
    quiet_warp()
    print(machine_name())
    print("| object | CPU s | pieces | mesh to pieces | 99 % | pieces to mesh | 99 % | volume error % |")
    print("|---|---|---|---|---|---|---|---|")
    for path in paths:
        model = load_object(path)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        parts = decompose(model, ConvexPieceConfig())
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        mesh, union = trimesh.Trimesh(model.vertices, model.faces, process=False), union_of(parts)
        there = 1e3 * np.abs(distances(union, trimesh.sample.sample_surface(mesh, POINTS, seed=0)[0]))
        back = distances(mesh, trimesh.sample.sample_surface(union, POINTS, seed=1)[0])
        back = 1e3 * np.abs(back[back > -INSIDE])
        cells = [f"{v:.3f}" for a in (there, back) for v in (a.mean(), np.percentile(a, 99))]
        error = 100.0 * (union.volume / model.volume - 1.0)
        print(
            f"| {model.name} | {spent:.1f} | {len(parts)} | {' | '.join(cells)} | {error:+.1f} |", flush=True
        )


if __name__ == "__main__":
    main(sys.argv[1:])
