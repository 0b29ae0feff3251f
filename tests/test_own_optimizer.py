"""A user's own optimiser: gradient descent in a few lines takes the place of MALA*."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import warp as wp
from cases import example_objects

from warpgrasp.hands import load_hand
from warpgrasp.synthesis.closing_config import ClosingConfig
from warpgrasp.synthesis.optimizer import OptimizerMalaFast
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.seeds import SeedGrasps, seed_grasps
from warpgrasp.synthesis.state import GraspState
from warpgrasp.synthesis.synthesize import Progress, SynthesisConfig, synthesize


@wp.kernel
def _descend(
    gradient: wp.array2d(dtype=wp.float32),  # [B, 6 + J]
    lower: wp.array(dtype=wp.float32),  # [J]
    upper: wp.array(dtype=wp.float32),  # [J]
    step_size: float,
    # outputs
    root_pose: wp.array(dtype=wp.transform),  # [B]
    joint_position: wp.array2d(dtype=wp.float32),  # [B, J]
):
    grasp = wp.tid()
    length = float(0.0)  # noqa: UP018 (declares a variable)
    for column in range(gradient.shape[1]):
        length += gradient[grasp, column] * gradient[grasp, column]
    scale = step_size / wp.sqrt(length + 1.0e-6)
    move = wp.vec3(gradient[grasp, 0], gradient[grasp, 1], gradient[grasp, 2])
    rotation = wp.transform_get_rotation(root_pose[grasp])
    root_pose[grasp] = wp.transform(wp.transform_get_translation(root_pose[grasp]) - scale * move, rotation)
    for dof in range(joint_position.shape[1]):
        joint_position[grasp, dof] = wp.clamp(
            joint_position[grasp, dof] - scale * gradient[grasp, 6 + dof], lower[dof], upper[dof]
        )


@dataclass
class DescentState:
    """The grasps in work are the best there are."""

    best: GraspState
    status: wp.array
    accept_count: None = None

    @property
    def energy(self) -> wp.array:
        return self.best.energy


@dataclass(frozen=True)
class Descent:
    """Normalised steps down the gradient, along translation and joints."""

    step_size: float = 0.01

    def reset_count(self, step_count: int) -> int:
        return 0

    def init(
        self, problem: GraspProblem, seeds: SeedGrasps, resets: list[SeedGrasps], *, step_count: int
    ) -> DescentState:
        state = problem.create_state()
        problem.set_variables(state, seeds.root_pose, seeds.joint_position, seeds.contact_index)
        problem.evaluate(state)
        return DescentState(state, wp.zeros(problem.batch_size, dtype=wp.int32, device=problem.device))

    def step(self, problem: GraspProblem, state: DescentState) -> None:
        wp.launch(
            _descend,
            dim=problem.batch_size,
            inputs=[state.best.gradient, problem.tree.dof_lower, problem.tree.dof_upper, self.step_size],
            outputs=[state.best.root_pose, state.best.joint_position],
            device=problem.device,
        )
        problem.evaluate(state.best)


class DescentOnTheHost(Descent):
    """The same with decisions on the host, which no graph can hold: the step size shrinks from step to step."""

    capturable = False
    steps_taken = 0

    def step(self, problem: GraspProblem, state: DescentState) -> None:
        type(self).steps_taken += 1
        assert np.isfinite(state.energy.numpy()).all()
        super().step(problem, state)


SMALL = {"grasp_count": 3, "step_count": 60, "contact_count": 4, "sample_count": 100, "device": "cpu"}


def seed_energy(config: SynthesisConfig) -> np.ndarray:
    objects = example_objects(1)
    problem = GraspProblem(
        load_hand("allegro"),
        objects,
        terms=config.energy.active_terms(),
        grasp_count=config.grasp_count,
        contact_count=config.contact_count,
        sample_count=config.sample_count,
        device="cpu",
    )
    seeds = seed_grasps(problem, config.initialize, seed=config.seed)
    return Descent().init(problem, seeds, [], step_count=1).energy.numpy()


def test_gradient_descent_takes_the_place_of_mala() -> None:
    reports: list[Progress] = []
    # The last stage would move what the optimiser has reported.
    config = SynthesisConfig(optimizer=Descent(), closing=ClosingConfig(steps=0), **SMALL)
    (grasps,) = synthesize(load_hand("allegro"), example_objects(1), config, progress=reports.append)
    assert np.all(grasps.energy < 0.7 * seed_energy(config)), "the steps lead down"
    assert np.all(grasps.joint_position >= load_hand("allegro").dof_lower - 1e-6)
    assert reports[-1].accept_rate is None
    assert reports[-1].energy_best == pytest.approx(grasps.energy.min(), rel=1e-4)
    assert grasps.metadata["config"]["optimizer"] == {"type": "Descent", "step_size": 0.01}


def test_a_step_that_works_on_the_host_is_called_every_time() -> None:
    DescentOnTheHost.steps_taken = 0
    synthesized = [
        synthesize(load_hand("allegro"), example_objects(1), SynthesisConfig(optimizer=optimizer, **SMALL))[0]
        for optimizer in (DescentOnTheHost(), Descent())
    ]
    assert DescentOnTheHost.steps_taken == SMALL["step_count"]
    np.testing.assert_array_equal(synthesized[0].joint_position, synthesized[1].joint_position)


@pytest.mark.parametrize(("grasp_type", "threshold"), [("power", 1.0), ("pinch", 0.5)])
def test_the_reset_threshold_that_was_used_is_recorded(grasp_type: str, threshold: float) -> None:
    config = SynthesisConfig(grasp_type=grasp_type, **{**SMALL, "step_count": 2})
    (grasps,) = synthesize(load_hand("allegro"), example_objects(1), config)
    stored = grasps.metadata["config"]["optimizer"]
    assert (stored["type"], stored["reset_threshold"]) == ("OptimizerMalaFast", threshold)
    assert config.optimizer == OptimizerMalaFast()
