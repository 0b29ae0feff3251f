"""MALA and MALA* on real hands and objects, watched step by step: restore on reject, best so far, resets, limits, fingers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cases import Variables, example_objects, state_of
from numpy.typing import NDArray
from optimizer_runs import CHAIN, small_problem, snapshot, start
from scipy.stats import norm

from warpgrasp.hands import load_hand
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.optimizer import MalaState, OptimizerMala, OptimizerMalaStar
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.seeds import SeedGrasps


@dataclasses.dataclass
class Moment:
    """The run before and after one step."""

    step: int
    before: dict[str, NDArray[Any]]
    after: dict[str, NDArray[Any]]
    best_before: dict[str, NDArray[Any]]
    best_after: dict[str, NDArray[Any]]
    z_score: NDArray[Any]
    accepted: NDArray[np.bool_]
    reset: NDArray[np.bool_]
    chain_step_before: NDArray[Any]
    chain_step: NDArray[Any]


def watch(problem: GraspProblem, optimizer: OptimizerMala, state: MalaState, steps: int) -> Iterator[Moment]:
    for step in range(1, steps + 1):
        work = state.work
        before, best = snapshot(state.current, (*CHAIN, "gradient")), snapshot(state.best)
        accepts, resets = np.array(work.accept_count.numpy()), np.array(work.reset_count.numpy())
        age = np.array(work.chain_step.numpy())
        optimizer.step(problem, state)
        yield Moment(
            step=step,
            before=before,
            after=snapshot(state.current, (*CHAIN, "gradient")),
            best_before=best,
            best_after=snapshot(state.best),
            z_score=np.array(work.z_score.numpy()),
            accepted=work.accept_count.numpy() > accepts,
            reset=work.reset_count.numpy() > resets,
            chain_step_before=age,
            chain_step=np.array(work.chain_step.numpy()),
        )


STEPS = 350  # resets every 30 steps, none in the last 60


@pytest.fixture(scope="module")
def history() -> tuple[GraspProblem, list[SeedGrasps], list[Moment]]:
    """A full MALA* run of 12 grasps on each of two objects, started cool so that proposals are also rejected."""
    problem = small_problem(object_count=2, grasp_count=12, contact_count=4, sample_count=150)
    optimizer = OptimizerMalaStar(temperature=2.0)
    state, resets = start(problem, optimizer, STEPS)
    return problem, resets, list(watch(problem, optimizer, state, STEPS))


History = tuple[GraspProblem, list[SeedGrasps], list[Moment]]


def test_reject_restores_everything(history: History) -> None:
    """A rejected step leaves pose, joints, contacts, cached geometry, energy and gradient bit for bit."""
    rejected = 0
    for moment in history[2]:
        for name, value in moment.before.items():
            np.testing.assert_array_equal(moment.after[name][~moment.accepted], value[~moment.accepted])
        rejected += int((~moment.accepted).sum())
    assert 100 < rejected < 0.95 * 24 * STEPS


def test_current_energy_is_that_of_the_current_variables(history: History) -> None:
    """Whatever was accepted or rejected, a cold evaluation of the chain's variables gives its energy."""
    problem, _, moments = history
    for moment in (moments[40], moments[200], moments[-1]):
        for chain in (moment.after, moment.best_after):
            state = state_of(
                problem, Variables(chain["root_pose"], chain["joint_position"], chain["contact_index"])
            )
            np.testing.assert_allclose(state.energy.numpy(), chain["energy"], rtol=2e-4)


def test_best_so_far_falls_except_at_resets(history: History) -> None:
    for moment in history[2]:
        kept = ~moment.reset
        assert np.all(moment.best_after["energy"][kept] <= moment.best_before["energy"][kept])
        assert np.all(moment.best_after["energy"] <= moment.after["energy"])
        same = kept & (moment.best_after["energy"] == moment.best_before["energy"])
        for name in CHAIN:
            np.testing.assert_array_equal(moment.best_after[name][same], moment.best_before[name][same])
            # A reset clears the best: what remains is the fresh seed.
            np.testing.assert_array_equal(
                moment.best_after[name][moment.reset], moment.after[name][moment.reset]
            )


def test_resets_happen_only_when_and_where_they_may(history: History) -> None:
    """On dates, never in the last 1200/7000, only for z > 1 within the object's batch; then accepted whatever it costs."""
    problem, resets, moments = history
    count = np.zeros(problem.batch_size, dtype=int)
    threshold = norm.ppf(0.8413)
    for moment in moments:
        energy = moment.before["energy"].reshape(2, 12).astype(np.float64)
        z = ((energy - energy.mean(axis=1, keepdims=True)) / energy.std(axis=1, keepdims=True)).ravel()
        np.testing.assert_allclose(moment.z_score, z, atol=1e-3)
        due = moment.step % 30 == 0 and moment.step <= STEPS - 60
        np.testing.assert_array_equal(moment.reset, due & (moment.z_score > threshold))
        for grasp in np.flatnonzero(moment.reset):
            fresh = resets[count[grasp]]
            np.testing.assert_allclose(moment.after["root_pose"][grasp], fresh.root_pose[grasp], atol=1e-6)
            np.testing.assert_allclose(
                moment.after["joint_position"][grasp], fresh.joint_position[grasp], atol=1e-6
            )
        count += moment.reset
        assert np.all(moment.accepted[moment.reset])
        np.testing.assert_array_equal(
            moment.chain_step, np.where(moment.reset, 1, moment.chain_step_before + 1)
        )
    assert count.sum() > 10
    assert count.reshape(2, 12).sum(axis=1).min() > 0


def test_limits_contacts_and_quaternions_stay_valid(history: History) -> None:
    """Joints within their limits, contacts distinct, quaternions of unit length, at every step."""
    problem, _, moments = history
    lower, upper = problem.tree.dof_lower.numpy(), problem.tree.dof_upper.numpy()
    for moment in moments:
        for chain in (moment.after, moment.best_after):
            assert np.all((chain["joint_position"] >= lower) & (chain["joint_position"] <= upper))
            assert np.all(np.diff(np.sort(chain["contact_index"], axis=1), axis=1) > 0)
            np.testing.assert_allclose(np.linalg.norm(chain["root_pose"][:, 3:], axis=1), 1.0, atol=1e-5)


def test_tight_joint_limits_are_reached_and_never_violated() -> None:
    """A hand whose joints may move by 0.05 around their opening: many end at a limit, none beyond, and the energy is zero."""
    hand = load_hand("allegro")
    tight = dataclasses.replace(
        hand,
        dof_lower=np.maximum(hand.dof_lower, hand.dof_opening - 0.05),
        dof_upper=np.minimum(hand.dof_upper, hand.dof_opening + 0.05),
    )
    problem = GraspProblem(
        tight,
        example_objects(1),
        grasp_count=6,
        contact_count=6,
        sample_count=200,
        terms=EnergyConfig().active_terms(),
        device="cpu",
    )
    optimizer = OptimizerMalaStar()
    state, _ = start(problem, optimizer, 80)
    lower, upper = problem.tree.dof_lower.numpy(), problem.tree.dof_upper.numpy()
    row = problem.term_names.index("joint_limits")
    for _ in range(80):
        optimizer.step(problem, state)
        for joints in (state.current.joint_position.numpy(), state.best.joint_position.numpy()):
            assert np.all((joints >= lower) & (joints <= upper))
        assert np.all(state.proposal.energy_terms.numpy()[row] == 0.0)
    joints = state.current.joint_position.numpy()
    assert np.mean((joints == lower) | (joints == upper)) > 0.1


def test_the_run_improves_the_grasps(history: History) -> None:
    moments = history[2]
    assert np.median(moments[-1].best_after["energy"]) < 0.5 * np.median(moments[0].before["energy"])


@pytest.mark.parametrize("grasp_type", ["pinch", "precision"])
def test_every_finger_that_takes_part_keeps_a_contact(grasp_type: str) -> None:
    """Also through switches and resets; idle joints do not move."""
    problem = small_problem(contact_count=5, grasp_count=16, sample_count=100, grasp_type=grasp_type)
    optimizer = OptimizerMalaStar(switch_probability=1.0)
    state, _ = start(problem, optimizer, 100)
    candidates = problem.host_candidates
    fingers = problem.grasp_type.fingers
    idle = {problem.hand.joint_names.index(n): v for n, v in problem.grasp_type.idle_joint_position.items()}
    assert idle
    first, moved = state.current.contact_index.numpy().copy(), False
    for _ in range(100):
        optimizer.step(problem, state)
        contacts = state.current.contact_index.numpy()
        moved |= bool(np.any(contacts != first))
        names = np.array(candidates.finger_names)[candidates.finger[contacts]]
        for finger in fingers:
            assert np.all(np.any(names == finger, axis=1)), finger
        assert set(np.unique(names)) <= set(fingers)
        assert np.all(np.diff(np.sort(contacts, axis=1), axis=1) > 0)
        for dof, value in idle.items():
            np.testing.assert_allclose(state.current.joint_position.numpy()[:, dof], value, atol=1e-6)
    assert moved
    assert state.work.reset_count.numpy().sum() > 0


def test_one_grasp_is_never_reset() -> None:
    problem = small_problem(grasp_count=1, sample_count=100, contact_count=3)
    optimizer = OptimizerMalaStar(reset_threshold=0.5)
    state, _ = start(problem, optimizer, 70)
    for _ in range(70):
        optimizer.step(problem, state)
        assert state.work.z_score.numpy()[0] == 0.0
    assert state.work.reset_count.numpy()[0] == 0
