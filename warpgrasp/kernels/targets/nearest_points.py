"""The points of a hand that are nearest to the object, for hands that are looked at again and again while they move little.

The answer is that of ``launch_nearest_points`` (``opening.py``), to the bit. What differs is what is asked: a signed distance
changes by at most the way of the point, so that a point whose distance was known at an earlier look, less the way that its
link has gone since, needs no look at the mesh while that is more than the third least distance of its link. The points that
were nearest at the last look come first, which makes the third least distance small from the start.
"""

from __future__ import annotations

import warp as wp

from warpgrasp.kernels.distance_bound import (
    DistanceBound,
    largest_distance,
    least_distance,
    query_nearer,
    surely_farther,
)
from warpgrasp.kernels.energies.self_penetration import HandSpheres
from warpgrasp.kernels.mesh_distance import SIGN_WINDING, MeshSet, query_closest_feature
from warpgrasp.kernels.targets.opening import NEAREST_COUNT, SurfacePoints

__all__ = [
    "NearestMemory",
    "launch_least_distance",
    "launch_nearest_remembered",
    "launch_sphere_distances",
    "nearest_memory",
]

wp.set_module_options({"enable_backward": False})

_NEAREST = wp.constant(NEAREST_COUNT)
_SLACK = wp.constant(2.0e-5)  # m, for the rounding of distances and ways
_DEEP = wp.constant(-10.0)  # m, less than any distance
_TIE = wp.constant(1.0e-6)  # m, so that a distance equal to the third least one is found too
_UNKNOWN = wp.constant(-1.0e6)  # m, what is known of a distance before the first look


@wp.struct
class NearestMemory:
    """What is known of ``B`` hands from earlier looks. A *mark* is a least distance plus the way at the time it was known."""

    way: wp.array2d(dtype=wp.float32)  #: [B, L] m, no point of the link has gone further since the first look
    pose: wp.array2d(dtype=wp.transform)  #: [B, L] of the links at the last look
    link_mark: wp.array2d(dtype=wp.float32)  #: [B, L] m, of all points of a link
    cluster_mark: wp.array2d(dtype=wp.float32)  #: [B, K] m, of all points of a cluster
    index: wp.array3d(
        dtype=wp.int32
    )  #: [B, L, 3] the nearest points at the last look, -1 where there are fewer


def nearest_memory(points: SurfacePoints, batch: int, links: int, device: wp.DeviceLike) -> NearestMemory:
    """Memory of ``batch`` hands that have not been looked at."""
    memory = NearestMemory()
    memory.way = wp.zeros((batch, links), dtype=wp.float32, device=device)
    memory.pose = wp.zeros((batch, links), dtype=wp.transform, device=device)
    for name, count in {"link": links, "cluster": points.cluster_sphere.shape[0]}.items():
        mark = wp.full((batch, count), _UNKNOWN, dtype=wp.float32, device=device)
        setattr(memory, f"{name}_mark", mark)
    memory.index = wp.full((batch, links, NEAREST_COUNT), -1, dtype=wp.int32, device=device)
    return memory


@wp.func
def _way(sphere: wp.vec4, before: wp.transform, after: wp.transform) -> float:
    """A number [m] not below the way of any point in a sphere of the link frame: its centre's and that of the turn about it."""
    center = wp.vec3(sphere[0], sphere[1], sphere[2])
    p = wp.transform_get_rotation(before)
    q = wp.transform_get_rotation(after)
    # half the chord of two rotations is at most the difference of their quaternions, of which either sign is the same
    turn = 2.0 * wp.min(wp.length(q - p), wp.length(q + p))
    return (
        wp.length(wp.transform_point(after, center) - wp.transform_point(before, center)) + turn * sphere[3]
    )


@wp.func
def _insert(
    distance: wp.array3d(dtype=wp.float32),
    position: wp.array3d(dtype=wp.vec3),
    normal: wp.array3d(dtype=wp.vec3),
    index: wp.array3d(dtype=wp.int32),
    grasp: int,
    link: int,
    nearer: float,
    point: wp.vec3,
    gradient: wp.vec3,
    number: int,
):
    """Put a point among the nearest, if it is; of equal distances the lower number comes first."""
    slot = int(_NEAREST)
    moving = int(1)
    while moving == 1:
        moving = 0
        if slot > 0:
            other = distance[grasp, link, slot - 1]
            if nearer < other or (nearer == other and number < index[grasp, link, slot - 1]):
                moving = 1
                slot -= 1
                if slot < _NEAREST - 1:
                    distance[grasp, link, slot + 1] = distance[grasp, link, slot]
                    position[grasp, link, slot + 1] = position[grasp, link, slot]
                    normal[grasp, link, slot + 1] = normal[grasp, link, slot]
                    index[grasp, link, slot + 1] = index[grasp, link, slot]
    if slot < _NEAREST:
        distance[grasp, link, slot] = nearer
        position[grasp, link, slot] = point
        normal[grasp, link, slot] = gradient
        index[grasp, link, slot] = number


@wp.kernel
def _nearest_remembered(
    points: SurfacePoints,
    meshes: MeshSet,
    bound: DistanceBound,
    object_index: wp.array(dtype=wp.int32),  # [B]
    running: wp.array(dtype=wp.int32),  # [B]
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    reach: float,
    memory: NearestMemory,  # in place
    # outputs
    distance: wp.array3d(dtype=wp.float32),  # [B, L, 3]
    position: wp.array3d(dtype=wp.vec3),  # [B, L, 3]
    normal: wp.array3d(dtype=wp.vec3),  # [B, L, 3]
):
    grasp, link = wp.tid()
    if running[grasp] == 0:
        return
    obj = object_index[grasp]
    pose = link_pose[grasp, link]
    way = memory.way[grasp, link]
    # an object with holes: its distances may jump, so that nothing follows from those of earlier looks
    remembers = meshes.sign_method[obj] != SIGN_WINDING
    if remembers and memory.link_mark[grasp, link] > _UNKNOWN:
        way += _way(points.link_sphere[link], memory.pose[grasp, link], pose)
    memory.way[grasp, link] = way
    memory.pose[grasp, link] = pose
    last = wp.vec3i(memory.index[grasp, link, 0], memory.index[grasp, link, 1], memory.index[grasp, link, 2])
    for slot in range(_NEAREST):
        distance[grasp, link, slot] = reach
        memory.index[grasp, link, slot] = -1
    if not remembers:
        last = wp.vec3i(-1, -1, -1)
    elif memory.link_mark[grasp, link] - way > reach:
        return
    for slot in range(_NEAREST):
        index = last[slot]
        if index >= 0:
            point = wp.transform_point(pose, points.position[index])
            feature = query_closest_feature(meshes, obj, point, largest_distance(bound, obj, point))
            _insert(
                distance,
                position,
                normal,
                memory.index,
                grasp,
                link,
                feature.distance,
                point,
                feature.normal,
                index,
            )
    link_mark = float(wp.inf)
    for cluster in range(points.link_cluster[link], points.link_cluster[link + 1]):
        mark = memory.cluster_mark[grasp, cluster]
        limit = distance[grasp, link, _NEAREST - 1]
        if mark - way <= limit or not remembers:
            sphere = points.cluster_sphere[cluster]
            center = wp.transform_point(pose, wp.vec3(sphere[0], sphere[1], sphere[2]))
            least = least_distance(bound, obj, center, limit + sphere[3]) - sphere[3]
            if least <= limit:
                least = float(wp.inf)
                for index in range(points.cluster_start[cluster], points.cluster_start[cluster + 1]):
                    point = wp.transform_point(pose, points.position[index])
                    limit = distance[grasp, link, _NEAREST - 1]
                    asked = index == last[0] or index == last[1] or index == last[2]
                    own = float(
                        _DEEP
                    )  # of those that came first, so that their cluster is looked at next time
                    if not asked:
                        feature = query_nearer(meshes, bound, obj, point, limit + _TIE)
                        own = feature.distance
                        if own <= limit:
                            _insert(
                                distance,
                                position,
                                normal,
                                memory.index,
                                grasp,
                                link,
                                own,
                                point,
                                feature.normal,
                                index,
                            )
                    least = wp.min(least, own)
            mark = way + least - _SLACK
            memory.cluster_mark[grasp, cluster] = mark
        link_mark = wp.min(link_mark, mark)
    memory.link_mark[grasp, link] = link_mark


def launch_nearest_remembered(
    points: SurfacePoints,
    meshes: MeshSet,
    bound: DistanceBound,
    object_index: wp.array,
    link_pose: wp.array,
    reach: float,
    *,
    memory: NearestMemory,
    running: wp.array,
    distance: wp.array,
    position: wp.array,
    normal: wp.array,
) -> None:
    """What ``launch_nearest_points`` gives, with less work the less the hands have moved since the last look.

    ``memory`` is that of these hands, in place. The other arguments are those of ``launch_nearest_points``.
    """
    wp.launch(
        _nearest_remembered,
        dim=link_pose.shape,
        inputs=[points, meshes, bound, object_index, running, link_pose, reach, memory],
        outputs=[distance, position, normal],
        device=link_pose.device,
        record_tape=False,
    )


@wp.kernel
def _least_distance(
    points: SurfacePoints,
    meshes: MeshSet,
    bound: DistanceBound,
    object_index: wp.array(dtype=wp.int32),  # [B]
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    # outputs
    distance: wp.array(dtype=wp.float32),  # [B] in place
):
    grasp, link = wp.tid()
    obj = object_index[grasp]
    pose = link_pose[grasp, link]
    for cluster in range(points.link_cluster[link], points.link_cluster[link + 1]):
        sphere = points.cluster_sphere[cluster]
        center = wp.transform_point(pose, wp.vec3(sphere[0], sphere[1], sphere[2]))
        if not surely_farther(bound, obj, center, distance[grasp] + sphere[3]):
            for index in range(points.cluster_start[cluster], points.cluster_start[cluster + 1]):
                point = wp.transform_point(pose, points.position[index])
                # links share the number: what is seen of another one's says only how much can be passed over
                limit = distance[grasp]
                own = query_nearer(meshes, bound, obj, point, limit).distance
                if own < limit:
                    wp.atomic_min(distance, grasp, own)


def launch_least_distance(
    points: SurfacePoints,
    meshes: MeshSet,
    bound: DistanceBound,
    object_index: wp.array,
    link_pose: wp.array,
    *,
    distance: wp.array,
) -> None:
    """Signed distance [m] of the hand's nearest point where it is less than ``distance`` [B], in place."""
    wp.launch(
        _least_distance,
        dim=link_pose.shape,
        inputs=[points, meshes, bound, object_index, link_pose],
        outputs=[distance],
        device=link_pose.device,
        record_tape=False,
    )


@wp.kernel
def _sphere_distances(
    spheres: HandSpheres,
    meshes: MeshSet,
    bound: DistanceBound,
    object_index: wp.array(dtype=wp.int32),  # [B]
    link_pose: wp.array2d(dtype=wp.transform),  # [B, L]
    # outputs
    distance: wp.array2d(dtype=wp.float32),  # [B, S]
):
    grasp, i = wp.tid()
    obj = object_index[grasp]
    center = wp.transform_point(link_pose[grasp, spheres.link[i]], spheres.position[i])
    own = query_nearer(meshes, bound, obj, center, spheres.radius[i]).distance
    distance[grasp, i] = wp.where(own < spheres.radius[i], own, wp.inf)


def launch_sphere_distances(
    spheres: HandSpheres,
    meshes: MeshSet,
    bound: DistanceBound,
    object_index: wp.array,
    link_pose: wp.array,
    *,
    distance: wp.array,
) -> None:
    """Signed distances [m] of the centres of the hand's spheres [B, S]; infinite where a sphere is outside the object."""
    wp.launch(
        _sphere_distances,
        dim=distance.shape,
        inputs=[spheres, meshes, bound, object_index, link_pose],
        outputs=[distance],
        device=link_pose.device,
        record_tape=False,
    )
