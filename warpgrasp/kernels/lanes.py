"""Kernels in which the lanes of a warp share one grasp: how many there are, and what they tell each other.

Such a kernel is launched by ``wp.launch_tiled(kernel, dim=batch, block_dim=lane_count(device))``. It begins with

    grasp, number = wp.tid()
    lane = number % wp.block_dim()  # a constant where there is one lane

and lets each lane take every ``wp.block_dim()``-th piece of work. On a CPU there is one lane, which does all the work in order,
and what is written here costs next to nothing. On CUDA there are 32, and sums over lanes have an order of their own, the same
every time. All lanes must call these functions together: none may return early or be in a branch of its own.

What lanes tell each other goes through a piece of shared memory, which Warp takes at the begin of a function and gives back at
its end. So each function here ends by ``wp.tile_scatter_masked(..., False)``, which writes nothing and waits for all lanes:
otherwise the next function would write where a slower lane still reads.
"""

from __future__ import annotations

from typing import Any

import warp as wp

from warpgrasp.kernels.spatial import vec6

__all__ = [
    "LANES",
    "NO_LINK",
    "add_wrench_of_lanes",
    "add_wrenches",
    "first_bit",
    "lane_count",
    "lane_maximum",
    "lane_sum",
    "lanes_where",
    "value_of_lane",
]

wp.set_module_options({"enable_backward": False})

LANES = wp.constant(32)
"""Lanes of a warp on CUDA, and the most that kernels make room for."""

NO_LINK = wp.constant(2**31 - 1)
"""Link of a lane that has no force to add."""


def lane_count(device: Any) -> int:
    """Lanes that share a grasp on ``device``: 32 on CUDA, 1 on the CPU."""
    return LANES if wp.get_device(device).is_cuda else 1


@wp.func_native("""
#if defined(__CUDA_ARCH__)
return __ffsll(static_cast<long long>(mask)) - 1;
#else
return __builtin_ctzll(mask);
#endif
""")
def first_bit(mask: wp.uint64) -> int:
    """Number of the lowest bit of ``mask`` that is set; one must be."""


@wp.func
def lanes_where(condition: bool, lane: int) -> wp.uint64:
    """One bit per lane, set where its ``condition`` holds; at most 64 lanes."""
    bit = wp.uint64(0)
    if condition:
        bit = wp.uint64(1) << wp.uint64(lane)
    bits = wp.tile_reduce(wp.bit_or, wp.tile(bit))
    result = bits[0]
    wp.tile_scatter_masked(bits, 0, result, False)
    return result


@wp.func
def value_of_lane(value: wp.uint64, number: int) -> wp.uint64:
    """The value that lane ``number`` brings, which is the same for all."""
    values = wp.tile(value)
    result = values[number]
    wp.tile_scatter_masked(values, 0, result, False)
    return result


@wp.func
def lane_sum(value: float) -> float:
    """Sum of a value over the lanes."""
    total = wp.tile_sum(wp.tile(value))
    result = total[0]
    wp.tile_scatter_masked(total, 0, result, False)
    return result


@wp.func
def lane_maximum(value: float) -> float:
    """Largest value over the lanes."""
    most = wp.tile_max(wp.tile(value))
    result = most[0]
    wp.tile_scatter_masked(most, 0, result, False)
    return result


@wp.func
def _least(value: int) -> int:
    least = wp.tile_min(wp.tile(value))
    result = least[0]
    wp.tile_scatter_masked(least, 0, result, False)
    return result


@wp.func
def add_wrench_of_lanes(
    link_wrench: wp.array2d(dtype=vec6), grasp: int, lane: int, link: int, force: wp.vec3, point: wp.vec3
):
    """Add to the wrench of one link [B, L], about the object origin, the force at a point that each lane brings."""
    moment = wp.cross(point, force)
    wrench = vec6(force[0], force[1], force[2], moment[0], moment[1], moment[2])
    total = wp.tile_sum(wp.tile(wrench, preserve_type=True))
    result = total[0]
    wp.tile_scatter_masked(total, 0, result, False)
    if lane == 0:
        link_wrench[grasp, link] = link_wrench[grasp, link] + result


@wp.func
def add_wrenches(
    link_wrench: wp.array2d(dtype=vec6), grasp: int, lane: int, link: int, force: wp.vec3, point: wp.vec3
):
    """Add to the wrenches of links [B, L] the force at a point that each lane brings; links in ascending order.

    ``link`` is ``NO_LINK`` where a lane brings none.
    """
    waiting = link
    current = _least(waiting)
    while current < NO_LINK:
        own = wp.vec3()
        if waiting == current:
            own = force
            waiting = NO_LINK
        add_wrench_of_lanes(link_wrench, grasp, lane, current, own, point)
        current = _least(waiting)
