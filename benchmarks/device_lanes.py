"""The energy terms whose kernels share a grasp among the lanes of a warp, with one lane and with 32."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import warp as wp
from device_problems import make_run

from warpgrasp.kernels.lanes import LANES
from warpgrasp.synthesis import energy_terms
from warpgrasp.synthesis.energy_config import EnergyTerm
from warpgrasp.synthesis.energy_terms import Penetration, SelfPenetration, SpherePenetration

__all__ = ["compare_lanes"]


def compare_lanes(hand: str, batch: int, device: str, step_count: int) -> Iterator[tuple[object, ...]]:
    """Term, lanes, microseconds of a launch and per grasp, how far from one lane, whether two launches agree."""
    problem, run, config = make_run(hand, batch, device)
    for _ in range(min(50, step_count)):
        config.optimizer.step(problem, run)
    repeats = max(step_count // 10, 1)
    for term in (Penetration(), SpherePenetration(), SelfPenetration()):
        alone, _ = _by_lanes(term, problem, run.proposal, 1, repeats)
        scale = np.abs(alone).max(axis=1) + 1e-20
        for count in (1, LANES):
            found, _ = _by_lanes(term, problem, run.proposal, count, repeats)
            again, spent = _by_lanes(term, problem, run.proposal, count, repeats)
            apart = np.max(np.abs(found - alone).max(axis=1) / scale)
            same = np.array_equal(found, again)
            yield type(term).__name__, count, f"{spent:.1f}", f"{spent / batch:.4f}", f"{apart:.1e}", same


def _by_lanes(
    term: EnergyTerm, problem: Any, state: Any, count: int, repeats: int
) -> tuple[np.ndarray, float]:
    """Energy and forces on links, one row per grasp, by so many lanes, and the microseconds of a launch."""
    energy: Any = wp.zeros(problem.batch_size, dtype=wp.float32, device=problem.device)
    lane_count, blocks = energy_terms.lane_count, getattr(wp.config, "enable_cpu_blocks", False)
    energy_terms.lane_count = lambda device: count
    wp.config.enable_cpu_blocks = True  # otherwise a CPU has one lane
    try:
        state.link_wrench.zero_()
        term.launch(problem, state, energy)
        forces = state.link_wrench.numpy().reshape(problem.batch_size, -1)
        columns = np.concatenate([energy.numpy()[:, None], forces], axis=1)
        wp.synchronize()
        began = time.perf_counter()
        for _ in range(repeats):
            term.launch(problem, state, energy)
        wp.synchronize()
        return columns, 1e6 * (time.perf_counter() - began) / repeats
    finally:
        energy_terms.lane_count, wp.config.enable_cpu_blocks = lane_count, blocks
