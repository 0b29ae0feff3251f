"""A user's own energy term: its gradient from the tape, its columns, and what a broken one is told.

The terms of the package serve as terms that know only their taped form: their gradients are known from float64 central
differences of the oracle (``gradient_cases.py``, tolerance 1e-2, measured 1e-6 against the hand-derived ones).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import warp as wp
from cases import example_objects, make_problem, only, state_of
from gradient_cases import CASES, assert_close, reference, taped, total_of, variables_of
from optimizer_runs import small_problem, snapshot, start
from scipy.spatial.transform import Rotation

from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.hands import load_hand
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.energy_optional import Wall
from warpgrasp.synthesis.energy_terms import Distance, ForceClosure, Penetration
from warpgrasp.synthesis.optimizer import OptimizerMala
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.state import GraspState
from warpgrasp.synthesis.synthesize import SynthesisConfig, run_steps, synthesize


@dataclasses.dataclass(frozen=True)
class OnlyTaped:
    """A term of the package without its hand-derived form."""

    term: Any
    weight: float

    def launch_taped(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        self.term.launch_taped(problem, state, energy)


@dataclasses.dataclass(frozen=True)
class OnlyFused:
    """A term of the package without its taped form."""

    term: Any
    weight: float

    def launch(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        self.term.launch(problem, state, energy)


@wp.kernel
def _root_energy(
    root_pose: wp.array(dtype=wp.transform),  # [B]
    axis: wp.vec3,
    direction: wp.vec3,
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
):
    grasp = wp.tid()
    position = wp.transform_get_translation(root_pose[grasp])
    turned = wp.quat_rotate(wp.transform_get_rotation(root_pose[grasp]), axis)
    wp.atomic_add(energy, grasp, wp.dot(turned, direction) + wp.dot(position, position))


@dataclasses.dataclass(frozen=True)
class RootPose:
    """``<R a, b> + |t|^2`` of the root pose, whose gradient is (2 t, a x R^T b)."""

    weight: float = 3.0
    axis: tuple[float, float, float] = (0.2, -0.5, 1.0)
    direction: tuple[float, float, float] = (1.0, 0.3, 0.4)

    def launch_taped(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        wp.launch(
            _root_energy,
            dim=problem.batch_size,
            inputs=[state.root_pose, wp.vec3(*self.axis), wp.vec3(*self.direction)],
            outputs=[energy],
            device=problem.device,
        )


@wp.kernel
def _smooth_distance(
    contact_distance: wp.array2d(dtype=wp.float32),  # [B, C]
    # outputs
    energy: wp.array(dtype=wp.float32),  # [B]
):
    grasp, contact = wp.tid()
    d = contact_distance[grasp, contact]
    wp.atomic_add(energy, grasp, wp.sqrt(d * d + 1.0e-8))


@dataclasses.dataclass(frozen=True)
class SmoothDistance:
    """The plain contact distance, from the distances that the problem has measured."""

    weight: float = 100.0

    def launch_taped(self, problem: GraspProblem, state: GraspState, energy: wp.array) -> None:
        wp.launch(
            _smooth_distance,
            dim=state.contact_distance.shape,
            inputs=[state.contact_distance],
            outputs=[energy],
            device=problem.device,
        )


@pytest.mark.parametrize("case", CASES)
def test_gradient_of_a_term_that_is_only_taped(case: str) -> None:
    term = CASES[case][1]
    config = dataclasses.replace(only(), extra={"mine": OnlyTaped(term, term.weight)})
    problem = make_problem("allegro", energy=config)
    state = state_of(problem, variables_of("allegro", "random"))
    differences = reference("allegro", "random")
    value = np.array([difference.value[case] for difference in differences])
    slope = term.weight * np.array([difference.gradient[case] for difference in differences])
    kink = np.array([difference.kink[case] for difference in differences])
    assert problem.term_names == ("mine",)
    assert_close(state.energy_terms.numpy()[0], state.gradient.numpy(), value, slope, kink)
    assert_close(*taped(problem, state), term.weight * value, slope, kink)


def test_gradient_of_a_term_that_reads_the_root_pose() -> None:
    term = RootPose()
    problem = make_problem("allegro", energy=dataclasses.replace(only(), extra={"root": term}))
    variables = variables_of("allegro", "random")
    state = state_of(problem, variables)
    rotation = Rotation.from_quat(variables.root_pose[:, 3:])
    expected = np.zeros(state.gradient.shape)
    expected[:, :3] = 2.0 * variables.root_pose[:, :3]
    expected[:, 3:6] = np.cross(term.axis, rotation.inv().apply(term.direction))
    np.testing.assert_allclose(state.gradient.numpy(), term.weight * expected, atol=1e-5)


def test_gradient_of_a_term_that_reads_the_contact_distances() -> None:
    term = SmoothDistance()
    problem = make_problem("allegro", energy=dataclasses.replace(only(), extra={"mine": term}))
    state = state_of(problem, variables_of("allegro", "random"))
    differences = reference("allegro", "random")
    value = np.array([difference.value["distance_plain"] for difference in differences])
    slope = term.weight * np.array([difference.gradient["distance_plain"] for difference in differences])
    kink = np.array([difference.kink["distance_plain"] for difference in differences])
    assert_close(state.energy_terms.numpy()[0], state.gradient.numpy(), value, slope, kink)
    assert_close(*taped(problem, state), term.weight * value, slope, kink)


def test_taped_and_hand_derived_terms_add_up() -> None:
    """Penetration and distance from the tape, the others by hand: the total of ``graspqp``, twice bit for bit."""
    config = dataclasses.replace(
        EnergyConfig(distance=Distance(weight=0.0), penetration=Penetration(weight=0.0)),
        extra={
            "my_distance": OnlyTaped(Distance(), 100.0),
            "my_penetration": OnlyTaped(Penetration(), 100.0),
        },
    )
    problem = make_problem("allegro", energy=config)
    state = state_of(problem, variables_of("allegro", "random"))
    assert_close(
        state.energy.numpy(), state.gradient.numpy(), *total_of(reference("allegro", "random"), "graspqp")
    )
    assert not state.link_wrench.numpy().any()
    assert not state.joint_force.numpy().any()
    state.qp_dual.zero_()
    problem.evaluate(state)
    first = state.gradient.numpy().copy()
    state.qp_dual.zero_()
    problem.evaluate(state)
    np.testing.assert_array_equal(state.gradient.numpy(), first)


def test_captured_steps_with_a_taped_term_are_bit_identical_to_plain_ones() -> None:
    config = dataclasses.replace(only(distance=Distance()), extra={"mine": OnlyTaped(Penetration(), 50.0)})
    problem = small_problem(grasp_count=3, energy=config)
    optimizer = OptimizerMala()
    plain, _ = start(problem, optimizer, 30)
    for _ in range(30):
        optimizer.step(problem, plain)
    captured, _ = start(problem, optimizer, 30)
    run_steps(problem, optimizer, captured, 30)
    expected = snapshot(plain.best)
    for name, value in snapshot(captured.best).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_a_term_without_taped_form_is_optimised_and_refused_on_a_tape() -> None:
    config = dataclasses.replace(only(), extra={"mine": OnlyFused(Distance(), 100.0)})
    problem = make_problem("allegro", energy=config)
    state = state_of(problem, variables_of("allegro", "random"))
    builtin = make_problem("allegro", energy=only(distance=Distance()))
    expected = state_of(builtin, variables_of("allegro", "random"))
    np.testing.assert_array_equal(state.gradient.numpy(), expected.gradient.numpy())
    with pytest.raises(ValueError, match=r"energy term 'mine' \(OnlyFused\) has no launch_taped"):
        taped(problem, state)


def test_a_second_term_of_one_class_has_buffers_of_its_own() -> None:
    """A second force closure and a second wall beside the built-in ones: the energies each has alone."""
    second = {"eight_edges": ForceClosure(edge_count=8), "ceiling": Wall(weight=1.0, offset=-0.2)}
    first = only(force_closure=ForceClosure(), wall=Wall(weight=1.0))
    both = make_problem("allegro", energy=dataclasses.replace(first, extra=second))
    variables = variables_of("allegro", "random")
    together = dict(zip(both.term_names, state_of(both, variables).energy_terms.numpy(), strict=True))
    for name, term in {**first.active_terms(), **second}.items():
        alone = make_problem("allegro", energy=dataclasses.replace(only(), extra={"alone": term}))
        expected = state_of(alone, variables).energy_terms.numpy()[0]
        np.testing.assert_allclose(together[name], expected, rtol=1e-5, err_msg=name)
    assert not np.allclose(together["force_closure"], together["eight_edges"])
    assert not np.allclose(together["wall"], together["ceiling"])


def test_a_term_of_ones_own_is_a_column_and_stands_in_the_metadata(tmp_path: Path) -> None:
    config = SynthesisConfig(
        grasp_count=2,
        step_count=3,
        contact_count=4,
        sample_count=50,
        device="cpu",
        energy=EnergyConfig(extra={"root": RootPose(), "silent": RootPose(weight=0.0)}),
    )
    (grasps,) = synthesize(load_hand("allegro"), example_objects(1), config)
    assert grasps.energy_term_names[-1] == "root"
    rotation = Rotation.from_quat(grasps.root_quaternion)
    turned = rotation.apply(RootPose().axis) @ np.asarray(RootPose().direction)
    expected = turned + np.sum(np.square(grasps.root_position), axis=1)
    np.testing.assert_allclose(grasps.energy_terms[:, -1], expected, atol=1e-5)
    grasps.save(tmp_path / "grasps.npz")
    stored = GraspSet.load(tmp_path / "grasps.npz").metadata["config"]["energy"]["extra"]["root"]
    assert stored == {
        "type": "RootPose",
        "weight": 3.0,
        "axis": [0.2, -0.5, 1.0],
        "direction": [1.0, 0.3, 0.4],
    }


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"distance": RootPose()}, r"'distance', which is a field of EnergyConfig: choose another name"),
        ({"extra": RootPose()}, r"'extra', which is a field"),
        ({"my term": RootPose()}, r"must be a Python identifier, such as my_term \(got 'my term'\)"),
        ({"mine": RootPose}, r"energy\.extra\['mine'\] must be an object with a number weight and a method"),
        ({"mine": 3.0}, r"must be an object with a number weight"),
        (
            {"mine": RootPose(weight=-1.0)},
            r"energy\.mine\.weight must be finite and not negative \(got -1\.0\)",
        ),
    ],
)
def test_extra_terms_that_break_the_contract_are_refused(extra: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EnergyConfig(extra=extra)
