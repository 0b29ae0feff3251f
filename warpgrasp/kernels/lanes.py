"""Kernels in which the lanes of a warp share one grasp: how many there are, and what they tell each other.

Such a kernel is launched by ``wp.launch_tiled(kernel, dim=batch, block_dim=lane_count(device))``. It begins with

    grasp, number = wp.tid()
    lane = number % wp.block_dim()  # a constant where there is one lane

and lets each lane take every ``wp.block_dim()``-th piece of work. On a CPU there is one lane, which does all the work in order,
and what is written here costs nothing. On CUDA there are 32, and sums over lanes have an order of their own, the same every
time. All lanes must call these functions together: none may return early or be in a branch of its own.

On CUDA lanes tell each other by shuffles and votes. Tests run many lanes on the CPU too (``wp.config.enable_cpu_blocks``), as
fibers that tell each other by memory and add in the same order. Tiles of Warp would do on both, but what they give back passes
through shared memory: a vote takes some 35 instructions instead of 2.
"""

from __future__ import annotations

from typing import Any

import warp as wp

from warpgrasp.kernels.spatial import vec6

__all__ = [
    "LANES",
    "add_wrench_of_lanes",
    "add_wrenches",
    "first_bit",
    "lane_count",
    "lane_maximum",
    "lane_sum",
    "lanes_where",
    "masks_of_lanes",
    "value_of_lane",
    "wait_for_lanes",
]

wp.set_module_options({"enable_backward": False})

LANES = 32
"""Lanes of a warp on CUDA."""


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


@wp.func_native("WP_TILE_SYNC();")
def wait_for_lanes():
    """Wait for all lanes: each sees what the others wrote to arrays before."""


@wp.func_native("""
#if WP_TILE_BLOCK_DIM == 1
return condition ? 1 : 0;
#elif defined(__CUDA_ARCH__)
return __ballot_sync(0xffffffffu, condition);
#else
static volatile bool told[WP_TILE_BLOCK_DIM];
told[WP_TILE_THREAD_IDX] = condition;
WP_TILE_SYNC();
unsigned long long result = 0;
for (int lane = 0; lane < WP_TILE_BLOCK_DIM; ++lane)
    result |= static_cast<unsigned long long>(told[lane]) << lane;
WP_TILE_SYNC();
return result;
#endif
""")
def lanes_where(condition: bool) -> wp.uint64:
    """One bit per lane, set where its ``condition`` holds."""


@wp.func_native("""
#if WP_TILE_BLOCK_DIM == 1
return value;
#elif defined(__CUDA_ARCH__)
return __shfl_sync(0xffffffffu, static_cast<unsigned long long>(value), lane);
#else
static volatile unsigned long long told[WP_TILE_BLOCK_DIM];
told[WP_TILE_THREAD_IDX] = value;
WP_TILE_SYNC();
const unsigned long long result = told[lane];
WP_TILE_SYNC();
return result;
#endif
""")
def value_of_lane(value: wp.uint64, lane: int) -> wp.uint64:
    """The ``value`` of one lane, which is the same lane for all."""


def _combined(kind: str, combination: str) -> str:
    """Source that combines the ``value`` of ``width`` neighbouring lanes pair by pair, with the same bits for all of them."""
    return f"""
{kind} result = value;
for (int offset = width / 2; offset > 0; offset /= 2) {{
#if defined(__CUDA_ARCH__)
    const {kind} other = __shfl_xor_sync(0xffffffffu, result, offset);
#else
    static volatile {kind} told[WP_TILE_BLOCK_DIM];
    told[WP_TILE_THREAD_IDX] = result;
    WP_TILE_SYNC();
    const {kind} other = told[WP_TILE_THREAD_IDX ^ offset];
    WP_TILE_SYNC();
#endif
    result = {combination};
}}
return result;
"""


@wp.func_native(_combined("float", "result + other"))
def _sum(value: float, width: int) -> float: ...


@wp.func_native(_combined("float", "result < other ? other : result"))
def _maximum(value: float, width: int) -> float: ...


@wp.func_native(_combined("unsigned long long", "result | other"))
def masks_of_lanes(value: wp.uint64, width: int) -> wp.uint64:
    """Bits that are set in the mask of any of ``width`` neighbouring lanes, a power of two."""


@wp.func
def lane_sum(value: float) -> float:
    """Sum of a value over the lanes."""
    return _sum(value, wp.block_dim())


@wp.func
def lane_maximum(value: float) -> float:
    """Largest value over the lanes."""
    return _maximum(value, wp.block_dim())


@wp.func
def add_wrench_of_lanes(
    link_wrench: wp.array2d(dtype=vec6), grasp: int, lane: int, link: int, force: wp.vec3, point: wp.vec3
):
    """Add to the wrench of one link [B, L], about the object origin, the force at a point that each lane brings."""
    moment = wp.cross(point, force)
    wrench = vec6(
        lane_sum(force[0]),
        lane_sum(force[1]),
        lane_sum(force[2]),
        lane_sum(moment[0]),
        lane_sum(moment[1]),
        lane_sum(moment[2]),
    )
    if lane == 0:
        link_wrench[grasp, link] = link_wrench[grasp, link] + wrench


@wp.func
def add_wrenches(
    link_wrench: wp.array2d(dtype=vec6), grasp: int, lane: int, link: int, force: wp.vec3, point: wp.vec3
):
    """Add to the wrenches of links [B, L] the force at a point that each lane brings; ``link`` is -1 where it brings none."""
    waiting = lanes_where(link >= 0)
    while waiting != wp.uint64(0):
        current = int(value_of_lane(wp.uint64(link), first_bit(waiting)))
        own = wp.vec3()
        if link == current:
            own = force
        add_wrench_of_lanes(link_wrench, grasp, lane, current, own, point)
        waiting = waiting & ~lanes_where(link == current)
