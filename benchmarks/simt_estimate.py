"""What the counts of ``simt.py`` let one expect of an H100: microseconds of a step, grasps per second, by stated assumptions.

A kernel's warps are spread over the schedulers. The instructions that a scheduler issues per cycle depend on how many warps it
has, because an instruction of a warp waits for the one before it: a pessimistic and an optimistic figure are carried along. The
kernels of a step run one after the other.
"""

from __future__ import annotations

__all__ = ["BATCHES", "STEPS", "grasps_per_second", "microseconds"]

BATCHES = (1024, 8192, 65536)
STEPS = 1500
"""Of a run; every grasp that is kept is the better one of two."""

_SCHEDULERS = 528
_CYCLES = 1755.0  # per microsecond
_INSTRUCTIONS = 0.45  # per statement: half of them are copies that the compiler removes
_SEARCH = 10_000  # instructions of a warp whose lanes search for closest points, which is native code
_GAPS = 30.0  # us between the launches of a step
# Instructions per cycle and scheduler, by its warps.
_ISSUED = ((1.0, (0.1, 0.2)), (2.5, (0.15, 0.3)), (5.0, (0.2, 0.5)), (float("inf"), (0.3, 0.6)))


def microseconds(issued: dict[str, tuple[float, float]], batch: int) -> tuple[float, float]:
    """Optimistic and pessimistic time of a step.

    Args:
        issued: Of each kernel, the statements that warps issue for one grasp, and its threads per grasp.
        batch: Grasps.
    """
    quick = slow = _GAPS
    for kernel, (statements, threads) in issued.items():
        warps = threads * batch / 32.0
        each = _INSTRUCTIONS * statements * batch / warps
        if kernel == "closest_features":
            each += _SEARCH
        loaded = warps / _SCHEDULERS
        low, high = next(rate for limit, rate in _ISSUED if loaded <= limit)
        instructions = each * max(loaded, 1.0)
        quick += instructions / high / _CYCLES
        slow += instructions / low / _CYCLES
    return quick, slow


def grasps_per_second(step: float, batch: int) -> float:
    """Grasps that are kept per second, of a step's microseconds."""
    return 1e6 * batch / 2.0 / (STEPS * step)
