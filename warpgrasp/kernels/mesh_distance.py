"""Exact signed distance to triangle meshes: BVH closest point, sign from the closest feature.

The sign of a watertight mesh comes from the pseudo normal of the closest feature (face, edge or vertex; Baerentzen and
Aanaes, "Signed distance computation using the angle weighted pseudonormal", 2005), which is exact also inside thin parts
and at edges. A slightly broken mesh uses the generalised winding number (Jacobson et al. 2013).

What is returned is *frozen*: the closest point and the outward unit normal are constants of the step, and the distance is
``d = dot(normal, p - closest)``, so that its gradient is the normal, on the surface too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import warp as wp

if TYPE_CHECKING:
    pass

__all__ = [
    "SIGN_WINDING",
    "UNBOUNDED",
    "ClosestFeature",
    "MeshSet",
    "launch_signed_distance",
    "query_closest_feature",
    "query_feature_within",
]

wp.set_module_options({"enable_backward": False})

SIGN_WINDING = wp.constant(1)
# A closest point this near to an edge or vertex (barycentric) takes that feature's pseudo normal. The sign stays right when
# the point was truly inside the face: a face normal and the pseudo normals of its edges never oppose each other.
_FEATURE_TOLERANCE = wp.constant(1.0e-4)
_SURFACE_TOLERANCE = wp.constant(1.0e-6)  # m; nearer than this, the direction p - c is rounding noise
UNBOUNDED = wp.constant(1.0e6)  # m


@wp.struct
class MeshSet:
    """Meshes of ``O`` objects, each in its own frame."""

    mesh: wp.array(dtype=wp.uint64)  #: [O] wp.Mesh handles
    sign_method: wp.array(dtype=wp.int32)  #: [O] warpgrasp.objects.SignMethod
    face_start: wp.array(dtype=wp.int32)  #: [O] first face of each object in feature_normal
    feature_normal: wp.array2d(dtype=wp.vec3)  #: [sum of faces, 7] face, three edges, three vertices


@wp.struct
class ClosestFeature:
    """Closest point of a mesh to a query point."""

    point: wp.vec3  #: m, object frame
    normal: wp.vec3  #: unit, out of the object
    distance: float  #: m, negative inside
    face: int


@wp.func
def _feature_column(u: float, v: float) -> int:
    """Column of ``feature_normal`` for barycentric weights (u, v, 1 - u - v) of vertices 0, 1, 2."""
    w = 1.0 - u - v
    column = int(0)
    if u < _FEATURE_TOLERANCE:
        column = int(1)
        if v < _FEATURE_TOLERANCE:
            column = int(6)
        elif w < _FEATURE_TOLERANCE:
            column = int(5)
    elif v < _FEATURE_TOLERANCE:
        column = int(2)
        if w < _FEATURE_TOLERANCE:
            column = int(4)
    elif w < _FEATURE_TOLERANCE:
        column = int(3)
    return column


@wp.func
def _feature(meshes: MeshSet, object_index: int, p: wp.vec3, query: wp.MeshQueryPoint) -> ClosestFeature:
    """The closest feature that a query has found."""
    mesh = meshes.mesh[object_index]
    closest = wp.mesh_eval_position(mesh, query.face, query.u, query.v)
    face = meshes.face_start[object_index] + query.face
    offset = p - closest
    length = wp.length(offset)
    sign = float(1.0)
    if meshes.sign_method[object_index] == SIGN_WINDING:
        sign = wp.mesh_query_point_sign_winding_number(mesh, p, length + 1.0e-5).sign
    elif wp.dot(offset, meshes.feature_normal[face, _feature_column(query.u, query.v)]) < 0.0:
        sign = -1.0
    normal = meshes.feature_normal[face, 0]
    if length > _SURFACE_TOLERANCE:
        normal = offset * (sign / length)
    result = ClosestFeature()
    result.point = closest
    result.normal = normal
    result.distance = wp.dot(normal, offset)
    if not query.result:
        result.distance = wp.inf  # NaN, or beyond any workspace: must not look like a small distance
    result.face = query.face
    return result


@wp.func
def query_closest_feature(meshes: MeshSet, object_index: int, p: wp.vec3, within: float) -> ClosestFeature:
    """Closest feature of object ``object_index`` to ``p``.

    ``within`` [m] is a distance in which there is some of that mesh, such as the way to the closest point of the last step:
    it prunes the BVH from the root without changing the answer.
    """
    mesh = meshes.mesh[object_index]
    query = wp.mesh_query_point_no_sign(mesh, p, 1.001 * within + 1.0e-5)
    if not query.result:
        query = wp.mesh_query_point_no_sign(mesh, p, UNBOUNDED)
    return _feature(meshes, object_index, p, query)


@wp.func
def query_feature_within(meshes: MeshSet, object_index: int, p: wp.vec3, within: float) -> ClosestFeature:
    """Closest feature of object ``object_index`` to ``p`` within a distance [m]; infinitely far where there is none."""
    result = ClosestFeature()
    result.distance = wp.inf
    query = wp.mesh_query_point_no_sign(meshes.mesh[object_index], p, 1.001 * within + 1.0e-5)
    if query.result:
        result = _feature(meshes, object_index, p, query)
    return result


@wp.kernel
def _signed_distance(
    meshes: MeshSet,
    object_index: wp.array(dtype=wp.int32),  # [N]
    points: wp.array(dtype=wp.vec3),  # [N]
    # outputs
    distance: wp.array(dtype=wp.float32),  # [N]
    normal: wp.array(dtype=wp.vec3),  # [N]
    closest: wp.array(dtype=wp.vec3),  # [N]
):
    i = wp.tid()
    feature = query_closest_feature(meshes, object_index[i], points[i], UNBOUNDED)
    distance[i] = feature.distance
    normal[i] = feature.normal
    closest[i] = feature.point


def launch_signed_distance(
    meshes: MeshSet,
    object_index: wp.array,
    points: wp.array,
    *,
    distance: wp.array,
    normal: wp.array,
    closest: wp.array,
) -> None:
    """Signed distance [m], outward normal and closest point of query points [N] of objects ``object_index`` [N]."""
    wp.launch(
        _signed_distance,
        dim=points.shape[0],
        inputs=[meshes, object_index, points],
        outputs=[distance, normal, closest],
        device=points.device,
        record_tape=False,
    )
