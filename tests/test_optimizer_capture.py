"""Captured steps: bit-identical to plain launches, and free of what a CUDA graph forbids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import warp as wp
from cases import HANDS
from optimizer_runs import small_problem, snapshot, start

from warpgrasp.synthesis.optimizer import OptimizerMalaStar
from warpgrasp.synthesis.synthesize import run_steps


@pytest.mark.parametrize("hand", HANDS)
def test_captured_steps_are_bit_identical_to_plain_launches(hand: str) -> None:
    problem = small_problem(hand, object_count=2, grasp_count=6)
    optimizer = OptimizerMalaStar()
    plain, _ = start(problem, optimizer, 70)
    for _ in range(70):
        optimizer.step(problem, plain)
    captured, _ = start(problem, optimizer, 70)
    run_steps(problem, optimizer, captured, 70)
    assert plain.work.reset_count.numpy().sum() > 0
    for chain in ("current", "best"):
        expected = snapshot(getattr(plain, chain))
        for name, value in snapshot(getattr(captured, chain)).items():
            np.testing.assert_array_equal(value, expected[name], err_msg=f"{chain}.{name}")
    for name in ("step", "chain_step", "accept_count", "reset_count", "mean_square", "z_score", "status"):
        np.testing.assert_array_equal(
            getattr(captured.work, name).numpy(), getattr(plain.work, name).numpy(), err_msg=name
        )


@pytest.mark.parametrize("preset", ["default", "everything"])
def test_a_step_allocates_nothing_and_reads_nothing(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a CUDA graph demands, checked on the CPU: no new arrays, no copy to the host after the first step."""
    from warpgrasp.synthesis.energy_config import EnergyConfig
    from warpgrasp.synthesis.energy_optional import Approach, Manipulability, Wall, WrenchBalance

    energy = EnergyConfig()
    if preset == "everything":
        energy = EnergyConfig(
            wall=Wall(weight=1.0),
            approach=Approach(weight=1.0),
            manipulability=Manipulability(weight=1.0),
            wrench_balance=WrenchBalance(weight=1.0),
        )
    problem = small_problem(grasp_count=4, energy=energy)
    optimizer = OptimizerMalaStar()
    state, _ = start(problem, optimizer, 60)
    optimizer.step(problem, state)

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("the step allocates or reads back")

    monkeypatch.setattr(type(problem.device.get_allocator()), "allocate", refuse)
    for owner, name in ((wp, "copy"), (wp, "synchronize"), (wp.array, "numpy"), (wp.array, "assign")):
        monkeypatch.setattr(owner, name, refuse)
    with pytest.raises(AssertionError, match="allocates"):
        wp.zeros(3, device="cpu")
    for _ in range(40):
        optimizer.step(problem, state)
