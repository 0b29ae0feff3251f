"""Task-wrench program and fingertip terms against float64 NumPy: values and gradients to 1e-3."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import warp as wp
from cases import example_objects, make_problem, only, state_of
from central_differences import central_difference
from numpy.typing import NDArray
from oracle import GraspOracle, PosedHand, oracle_of
from oracle_forces import first_tangents
from oracle_geometry import closest_on_mesh
from oracle_tips import TipOracle, friction_edges, solve_task_forces

from warpgrasp.hands import load_hand
from warpgrasp.hands.fingertips import fingertips
from warpgrasp.kernels.energies.fingertips import probes
from warpgrasp.kernels.qp.task_forces import (
    TaskForceLimits,
    launch_task_forces,
    task_forces,
    vec6d,
)
from warpgrasp.synthesis.fingertip_terms import (
    JointMargin,
    SphereProximity,
    TaskWrench,
    TipDistance,
    TipPull,
    half_diagonal,
    tips_of,
)
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.seeds import InitializeConfig, seed_grasps
from warpgrasp.synthesis.simulation_terms import JointMiddle
from warpgrasp.synthesis.state import GraspState

FloatArray = NDArray[np.float64]
LENGTH = 0.05  # m; makes translations comparable with angles
EDGE_RIDGE = 1e-6
TERMS: dict[str, Any] = {
    "task_wrench": TaskWrench(weight=3.0, friction=0.3, period=1),
    "tip_distance": TipDistance(weight=2.0, offset=0.01),
    "tip_pairs": TipDistance(weight=2.0, offset=0.004, exact=True),
    "tip_pull": TipPull(weight=5.0),
    "sphere_proximity": SphereProximity(weight=4.0, shell=0.02),
    "joint_margin": JointMargin(weight=1.5, share=0.3),
    "joint_middle": JointMiddle(weight=1.5),
    "joint_opening": JointMiddle(weight=1.5, squared=False, opening=True),
}


def random_wrenches(rng: np.random.Generator, count: int, friction: float) -> FloatArray:
    columns = []
    for _ in range(count):
        point = rng.normal(size=3)
        point /= np.linalg.norm(point)
        inward = -point + 0.4 * rng.normal(size=3)
        inward /= np.linalg.norm(inward)
        first = np.cross(inward, rng.normal(size=3))
        edges = friction_edges(inward, first / np.linalg.norm(first), friction)
        columns.append(np.concatenate([edges, np.cross(0.6 * point, edges)], axis=1))
    return np.concatenate(columns).T


@pytest.mark.parametrize("contacts", [3, 5])
def test_task_forces_solve_the_program(contacts: int) -> None:
    """Residuals and forces of random contacts, with groups that must press, to 1e-6."""
    rng = np.random.default_rng(contacts)
    batch = 4
    wrenches = [random_wrenches(rng, contacts, 0.1) for _ in range(batch)]
    member = np.vstack([np.ones(contacts), np.eye(contacts)[0], np.arange(contacts) > 0])
    minimum = np.array([1.0, 0.5, 0.4])
    targets = 0.2 * np.vstack([np.eye(6), -np.eye(6)[:3], np.zeros((1, 6))])
    limits = TaskForceLimits()
    limits.lower, limits.upper, limits.ridge, limits.edge_ridge = 0.01, 1.0, 0.01, EDGE_RIDGE
    limits.member = wp.array(member, dtype=wp.float64, device="cpu")
    limits.minimum = wp.array(minimum, dtype=wp.float64, device="cpu")
    forces = task_forces(batch, len(targets), contacts, len(minimum), "cpu")
    wrench = wp.array(np.stack([w.T for w in wrenches]), dtype=vec6d, device="cpu")
    launch_task_forces(limits, wrench, wp.array(targets, dtype=vec6d, device="cpu"), forces=forces)
    assert forces.iterations.numpy().max() < 100
    for grasp, own in enumerate(wrenches):
        for task, target in enumerate(targets):
            expected = solve_task_forces(
                own, target, member, minimum, lower=0.01, upper=1.0, ridge=0.01, edge_ridge=EDGE_RIDGE
            )
            got = forces.edge_force.numpy()[grasp, task]
            np.testing.assert_allclose(got, expected, atol=1e-6)
            np.testing.assert_allclose(
                forces.residual.numpy()[grasp, task], target - own @ expected, atol=1e-6
            )


@lru_cache(maxsize=1)
def posed_problem() -> tuple[GraspProblem, GraspState]:
    """Two Allegro hands near the duck, the tips within a few centimetres of it and none inside."""
    problem = make_problem(
        objects=example_objects(2)[1:], grasp_count=2, energy=only(), contact_count=4, sample_count=50
    )
    near = InitializeConfig(distance_lower=0.03, distance_upper=0.04, joint_spread=0.2)
    seeds = seed_grasps(problem, near, seed=4)
    return problem, state_of(problem, seeds)  # type: ignore[arg-type]  # has the three fields that are read


def launched(term: Any, problem: GraspProblem, state: GraspState) -> tuple[FloatArray, FloatArray]:
    alone = problem.with_terms({"term": term})
    own = dataclasses.replace(
        state, energy_terms=wp.zeros((1, problem.batch_size), dtype=wp.float32, device="cpu"), scratch={}
    )
    if isinstance(term, TipPull):
        tips_of(alone, own).goal.assign(np.full((*tips_of(alone, own).goal.shape, 3), 0.02))
    alone.evaluate(own)
    return own.energy_terms.numpy()[0].astype(float), own.gradient.numpy().astype(float) / term.weight


def expected_task_wrench(term: TaskWrench, tips: TipOracle) -> Callable[[PosedHand], tuple[float, float]]:
    """Energy without, and with, the ridge that the forces minimise too."""
    member, minimum = term.groups(tips.tips.fingers)
    offset, _ = probes(term.probe)
    fits = tips.fits(offset)
    first = first_tangents(tips.normal)
    radius = half_diagonal(tips.model)
    options = {
        "lower": term.force_lower,
        "upper": term.force_upper,
        "ridge": term.ridge,
        "edge_ridge": EDGE_RIDGE,
    }

    def energy(posed: PosedHand) -> tuple[float, float]:
        wrench = tips.edge_wrenches(posed, fits, first, term.friction, radius)
        plain = ridged = 0.0
        for target in term.targets():
            force = solve_task_forces(wrench, target, member, minimum, **options)
            left = float(np.sum((target - wrench @ force) ** 2))
            normal = force.reshape(-1, 8).sum(axis=1)
            plain += left
            ridged += left + term.ridge * float(normal @ normal) + EDGE_RIDGE * float(force @ force)
        return plain, ridged

    return energy


def hinge(depth: FloatArray, shell: FloatArray) -> FloatArray:
    inner = 0.5 * depth**2 / np.maximum(shell, 1e-12)
    return np.where(depth <= 0.0, 0.0, np.where(depth < shell, inner, depth - 0.5 * shell))


def expected_energies(
    problem: GraspProblem, oracle: GraspOracle, base: PosedHand
) -> Callable[[FloatArray], dict[str, float]]:
    hand, model = problem.hand, problem.objects[0]
    tips = TipOracle(fingertips(hand, "power"), model, base)
    task = expected_task_wrench(TERMS["task_wrench"], tips)
    pairs = [_closest_pair(tips, base, tip) for tip in range(len(tips.base))]
    spheres = _sphere_centers(problem, base)
    closest = [closest_on_mesh(model, center) for center in spheres]
    normals = np.array([(c - p) / d for c, (p, d) in zip(spheres, closest, strict=True)])
    points = np.array([p for p, _ in closest])
    shell = np.where(np.isin(hand.sphere_link, tips.tips.link), 0.0, TERMS["sphere_proximity"].shell)
    margin = TERMS["joint_margin"].share * (hand.dof_upper - hand.dof_lower)

    def energies(increment: FloatArray) -> dict[str, float]:
        posed = oracle.pose(increment)
        distance = np.einsum("si,si->s", normals, _sphere_centers(problem, posed) - points)
        q = posed.joint_position
        below = np.maximum(hand.dof_lower + margin - q, 0.0)
        above = np.maximum(q - hand.dof_upper + margin, 0.0)
        link = tips.tips.link
        surface = posed.link_position[link] + np.einsum(
            "fij,fj->fi", posed.link_rotation[link], np.array([local for local, *_ in pairs])
        )
        gap = [n @ (x - p) for x, (_, p, n) in zip(surface, pairs, strict=True)]
        plain, ridged = task(posed)
        return {
            "task_wrench": ridged,
            "task_wrench value": plain,
            "tip_distance": float(np.sum((tips.gaps(posed) - 0.01) ** 2)),
            "tip_pairs": float(np.sum((np.array(gap) - 0.004) ** 2)),
            "tip_pull": float(np.sum((surface - 0.02) ** 2)),
            "sphere_proximity": float(hinge(hand.sphere_radius + shell - distance, shell).sum()),
            "joint_margin": float(np.sum(below**2 + above**2)),
            "joint_middle": float(np.sum((q - 0.5 * (hand.dof_lower + hand.dof_upper)) ** 2)),
            "joint_opening": float(np.sum(np.abs(q - hand.dof_opening))),
        }

    return energies


def _sphere_centers(problem: GraspProblem, posed: PosedHand) -> FloatArray:
    link, local = problem.hand.sphere_link, problem.hand.sphere_position
    return np.asarray(posed.link_position[link] + np.einsum("sij,sj->si", posed.link_rotation[link], local))


def _closest_pair(tips: TipOracle, base: PosedHand, tip: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Surface point in the link's frame with the least signed distance, object point and normal, by brute force."""
    link = tips.tips.link[tip]
    best: tuple[FloatArray, FloatArray, FloatArray] | None = None
    least = np.inf
    for local in tips.tips.points[tip]:
        place = base.link_position[link] + base.link_rotation[link] @ local
        point, distance = closest_on_mesh(tips.model, place)
        if distance < least:
            least, best = distance, (local, point, (place - point) / distance)
    assert best is not None
    return best


def test_terms_and_their_gradients() -> None:
    """Every term at two hands: values to 1e-3, gradients to 1e-3 of the norm in translation, rotation and joints.

    The forces of the task wrenches are solved anew at every step of the difference, with the ridge that they minimise too.
    """
    problem, state = posed_problem()
    found = {name: launched(term, problem, state) for name, term in TERMS.items()}
    scale = np.where(np.arange(6 + problem.hand.dof_count) < 3, LENGTH, 1.0)
    for grasp in range(problem.batch_size):
        oracle = oracle_of(problem, state, grasp, frozen_at=np.zeros(len(scale)))
        base = oracle.pose(np.zeros(len(scale)))
        difference = central_difference(expected_energies(problem, oracle, base), np.zeros(len(scale)))
        for name, (value, gradient) in found.items():
            expected = difference.value["task_wrench value" if name == "task_wrench" else name]
            assert value[grasp] == pytest.approx(expected, rel=1e-3, abs=1e-7), name
            slope, kink = difference.gradient[name], difference.kink[name]
            assert kink.mean() < 0.1, name
            error = np.linalg.norm(((gradient[grasp] - slope) * scale)[~kink])
            assert error <= 1e-3 * np.linalg.norm((slope * scale)[~kink]) + 1e-7, name
        assert difference.value["task_wrench value"] > 1e-4
        assert difference.value["sphere_proximity"] > 1e-4
        assert difference.value["joint_margin"] > 1e-4


def test_groups_must_be_able_to_press() -> None:
    with pytest.raises(ValueError, match=r"asks 1 fingertips for normal forces of 1\.5"):
        TaskWrench(thumb=1.5).groups(("index", "middle", "thumb"))
    member, minimum = TaskWrench().groups(("index", "middle", "ring", "thumb"))
    np.testing.assert_array_equal(member, [[1, 1, 1, 1], [0, 0, 0, 1], [1, 1, 0, 0]])
    np.testing.assert_array_equal(minimum, [1.0, 0.5, 0.4])
    assert len(TaskWrench().groups(("finger_1", "finger_2", "finger_3"))[1]) == 1, "no thumb"


def test_task_wrenches_of_ones_own() -> None:
    push = (0.0, 0.0, 1.0, 0.0, 0.0, 0.5)
    np.testing.assert_allclose(
        TaskWrench(wrenches=(push,), wrench_size=0.4).targets(), [0.4 * np.array(push)]
    )
    with pytest.raises(ValueError, match="six numbers"):
        TaskWrench(wrenches=((1.0, 0.0, 0.0),))  # type: ignore[arg-type]


@pytest.mark.parametrize("hand", ["shadow_wristless", "barrett", "leap"])
def test_every_finger_has_a_tip(hand: str) -> None:
    model = load_hand(hand)
    tips = fingertips(model, "power")
    assert set(tips.fingers) == set(model.fingers) - {"palm"}
    for finger, link, points in zip(tips.fingers, tips.link, tips.points, strict=True):
        assert any(p.finger == finger and p.link == link for p in model.patches)
        assert len(points) >= 16
