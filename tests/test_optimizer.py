"""MALA and MALA* on real hands and objects: schedules, restore on reject, best so far, resets, limits, failures, capture."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import warp as wp
from cases import HANDS, Variables, example_objects, make_problem, random_variables, state_of
from numpy.typing import NDArray
from scipy.stats import norm

from warpgrasp.hands import load_hand
from warpgrasp.initialize import InitializeConfig, SeedGrasps, seed_grasps
from warpgrasp.optimizer import OptimizerMala, OptimizerMalaStar, OptimizerState
from warpgrasp.problem import GraspProblem
from warpgrasp.status import GraspStatus
from warpgrasp.synthesis import run_steps

CHAIN = ("root_pose", "joint_position", "contact_index", "closest_point", "qp_dual", "energy")


def small_problem(
    hand: str = "allegro", object_count: int = 1, grasp_count: int = 8, **options: Any
) -> GraspProblem:
    options = {"contact_count": 6, "sample_count": 300, **options}
    return make_problem(hand, example_objects(object_count), grasp_count=grasp_count, **options)


def start(
    problem: GraspProblem, optimizer: OptimizerMala, step_count: int, seed: int = 0
) -> tuple[OptimizerState, list[SeedGrasps]]:
    config = InitializeConfig()
    seeds = seed_grasps(problem, config, seed=seed)
    resets = [
        seed_grasps(problem, config, seed=seed, reset=1 + i) for i in range(optimizer.reset_count(step_count))
    ]
    return optimizer.init(problem, seeds, resets, step_count=step_count), resets


def snapshot(chain: Any, names: tuple[str, ...] = CHAIN) -> dict[str, NDArray[Any]]:
    return {name: np.array(getattr(chain, name).numpy()) for name in names}


# -- schedules -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step_count", [100, 700, 1000, 7000, 14000])
def test_periods_scale_with_the_length_of_the_run(step_count: int) -> None:
    """A run of any length decays as often, and so anneals as far, as the 7000 steps of the paper."""
    optimizer = OptimizerMalaStar()
    schedule = optimizer.schedule(step_count)
    scale = step_count / 7000.0
    assert schedule.step_size_period == pytest.approx(50.0 * scale)
    assert schedule.temperature_period == pytest.approx(30.0 * scale)
    assert schedule.reset_period == pytest.approx(600.0 * scale)
    assert schedule.reset_last_step == pytest.approx(step_count - 1200.0 * scale)
    assert schedule.reset_z == pytest.approx(norm.ppf(0.8413))
    assert schedule.temperature * schedule.temperature_decay ** np.floor(
        step_count / schedule.temperature_period * (1.0 + 1e-6)
    ) == pytest.approx(18.0 * 0.95**233)
    assert optimizer.reset_count(step_count) == 9
    assert OptimizerMala().reset_count(step_count) == 0
    assert OptimizerMala().schedule(step_count).temperature_scaling == 0.0


def test_defaults_are_the_published_ones() -> None:
    optimizer = OptimizerMalaStar()
    assert dataclasses.asdict(optimizer) == {
        "step_size": 0.005,
        "step_size_decay": 0.95,
        "step_size_period": 50.0,
        "momentum": 0.98,
        "switch_probability": 0.4,
        "temperature": 18.0,
        "temperature_decay": 0.95,
        "temperature_period": 30.0,
        "reference_steps": 7000,
        "temperature_scaling": True,
        "reset_period": 600.0,
        "reset_threshold": 0.8413,
        "reset_free_steps": 1200.0,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step_size": 0.0}, r"optimizer\.step_size must be positive \(got 0\.0\)"),
        ({"temperature": -1.0}, r"optimizer\.temperature must be positive \(got -1\.0\)"),
        ({"temperature_decay": 1.1}, r"optimizer\.temperature_decay must be in \(0, 1\] \(got 1\.1\)"),
        ({"switch_probability": 2.0}, r"optimizer\.switch_probability must be in \[0, 1\] \(got 2\.0\)"),
        ({"reset_period": 0.0}, r"optimizer\.reset_period must be positive \(got 0\.0\)"),
        ({"reset_threshold": 0.2}, r"optimizer\.reset_threshold must be in \[0\.5, 1\] \(got 0\.2\)"),
        ({"step_size": float("nan")}, r"optimizer\.step_size must be positive \(got nan\)"),
    ],
)
def test_bad_hyper_parameters_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OptimizerMalaStar(**options)  # type: ignore[arg-type]


def test_zero_steps_are_refused() -> None:
    problem = small_problem(grasp_count=1)
    with pytest.raises(ValueError, match=r"step_count must be at least 1 \(got 0\)"):
        start(problem, OptimizerMala(), 0)


# -- a run, watched step by step -------------------------------------------------------------------------------------------


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


def watch(
    problem: GraspProblem, optimizer: OptimizerMala, state: OptimizerState, steps: int
) -> Iterator[Moment]:
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
        tight, example_objects(1), grasp_count=6, contact_count=6, sample_count=200, device="cpu"
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


# -- single grasps, failures -----------------------------------------------------------------------------------------------


def test_one_grasp_is_never_reset() -> None:
    problem = small_problem(grasp_count=1, sample_count=100, contact_count=3)
    optimizer = OptimizerMalaStar(reset_threshold=0.5)
    state, _ = start(problem, optimizer, 70)
    for _ in range(70):
        optimizer.step(problem, state)
        assert state.work.z_score.numpy()[0] == 0.0
    assert state.work.reset_count.numpy()[0] == 0


def test_a_nan_freezes_its_chain_and_no_other() -> None:
    """The poisoned chain keeps its best and says so; its batch goes on, the other object bit for bit as without it."""
    problem = small_problem(object_count=2, grasp_count=4)
    optimizer = OptimizerMalaStar()
    runs = []
    for poisoned in (False, True):
        state, _ = start(problem, optimizer, 60)
        for step in range(60):
            if poisoned and step == 22:  # not a reset date
                poses = state.current.root_pose.numpy().copy()
                poses[1, 0] = np.nan
                state.current.root_pose.assign(poses)
                frozen = snapshot(state.best)
            optimizer.step(problem, state)
        runs.append((snapshot(state.best), state.work.status.numpy().copy(), snapshot(state.current)))
    (clean, clean_status, _), (best, status, current) = runs
    assert not clean_status.any()
    np.testing.assert_array_equal(status, [0, GraspStatus.NONFINITE_ENERGY, 0, 0, 0, 0, 0, 0])
    for name, value in clean.items():
        assert np.all(np.isfinite(best[name]))
        np.testing.assert_array_equal(best[name][4:], value[4:])  # the other object
        np.testing.assert_array_equal(best[name][1], frozen[name][1])
    assert np.all(best["root_pose"][[0, 2, 3]] != frozen["root_pose"][[0, 2, 3]])
    assert np.all(np.isfinite(current["energy"]))


def test_seeds_that_are_not_finite_are_reported() -> None:
    """A chain that never had a finite energy has a status and an infinite best."""
    problem = small_problem(grasp_count=3)
    optimizer = OptimizerMala()
    seeds = seed_grasps(problem, InitializeConfig(), seed=0)
    seeds.root_pose[1, 2] = np.nan
    state = optimizer.init(problem, seeds, [], step_count=10)
    for _ in range(10):
        optimizer.step(problem, state)
    np.testing.assert_array_equal(state.work.status.numpy(), [0, GraspStatus.NONFINITE_ENERGY, 0])
    assert np.isfinite(state.best.energy.numpy()[[0, 2]]).all()
    assert state.best.energy.numpy()[1] == np.inf


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e12, 1e30])
def test_a_lost_hand_has_no_finite_energy(value: float) -> None:
    """Beyond every search radius the closest point is unknown, and must not read as a small distance."""
    problem = small_problem(grasp_count=3)
    variables = random_variables(problem, 0)
    clean = state_of(problem, variables).energy.numpy()
    variables.root_pose[1, 0] = value
    energy = state_of(problem, variables).energy.numpy()
    assert not energy[1] < 1e9  # NaN, infinite or huge
    np.testing.assert_array_equal(energy[[0, 2]], clean[[0, 2]])


# -- capture ---------------------------------------------------------------------------------------------------------------


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
    from warpgrasp.energy import EnergyConfig
    from warpgrasp.energy_optional import Approach, Manipulability, Wall, WrenchBalance

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
