"""The way from the pregrasp to the grasp, against plates that close on a box."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import example_objects
from eval_factory import offset_box, pad_hand

from warpgrasp.base.status import GraspStatus
from warpgrasp.hands import load_hand
from warpgrasp.synthesis import controller_targets as targets
from warpgrasp.synthesis import synthesize as synthesis
from warpgrasp.synthesis.closing_path import EARLY_DEPTH, early_depth
from warpgrasp.synthesis.controller_targets import controller_targets
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.pregrasp import Pregrasp
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.target_config import TargetConfig


@pytest.mark.parametrize(("left", "depth"), [(0.045, 0.0), (0.0445, 0.0), (0.043, 0.0008), (0.041, 0.0026)])
def test_early_depth_is_that_of_a_plate_at_nine_tenths_of_the_way(
    left: float, depth: float, tmp_path: Path
) -> None:
    """Plates close from 55 mm on a box of 45 mm: after nine tenths the left one stands at 0.9 left + 0.1 * 55 mm."""
    hand, box = pad_hand(), offset_box(tmp_path, (0.045, 0.02, 0.0095))
    problem = GraspProblem(
        hand, [box], grasp_count=1, contact_count=2, terms=EnergyConfig().active_terms(), device="cpu"
    )
    state = problem.create_state()
    identity = np.array([[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]])
    problem.set_variables(state, identity, np.array([[left, 0.045]]), np.array([[0, 1]]))
    opened = Pregrasp(identity, np.full((1, 2), 0.055), np.array([0.01]), np.array([True]))
    np.testing.assert_allclose(early_depth(problem, state, opened), [depth], atol=1e-6)
    problem.evaluate(state)
    status = controller_targets(problem, state, TargetConfig(clearance=0.008)).status
    assert (status[0] == GraspStatus.EARLY_CONTACT) == (depth > EARLY_DEPTH)


def test_that_contacts_do_not_close_outranks_a_link_that_arrives_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every grasp is said to be early and open: what it lacks itself is told, not its way."""
    close_gaps = synthesis.close_gaps

    def never_closed(*arguments: Any, **options: Any) -> np.ndarray:
        return np.zeros_like(close_gaps(*arguments, **options))

    monkeypatch.setattr(synthesis, "close_gaps", never_closed)
    monkeypatch.setattr(targets, "early_depth", lambda problem, *_: np.full(problem.batch_size, 0.002))
    config = synthesis.SynthesisConfig(grasp_count=6, step_count=120, sample_count=300, device="cpu")
    (grasps,) = synthesis.synthesize(load_hand("allegro"), example_objects(1), config)
    assert (grasps.status == GraspStatus.NOT_CLOSED).any()
    assert not np.isin(grasps.status, (GraspStatus.OK, GraspStatus.EARLY_CONTACT)).any()
