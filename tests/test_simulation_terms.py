"""The contact simulation of Fast-Grasp'D against float64 NumPy: its step, gradient, leak and surface."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
import warp as wp
from cases import example_objects, make_problem, only, state_of
from central_differences import central_difference
from numpy.typing import NDArray
from oracle import PosedHand, oracle_of

from warpgrasp.eval.metrics.geometry import contact_area
from warpgrasp.hands import load_hand
from warpgrasp.hands.device import surface_points
from warpgrasp.objects import load_object
from warpgrasp.synthesis.methods import method_config
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.seeds import InitializeConfig, seed_grasps
from warpgrasp.synthesis.simulation_terms import SimulatedPush, dilation_of
from warpgrasp.synthesis.state import GraspState
from warpgrasp.synthesis.synthesize import synthesize

FloatArray = NDArray[np.float64]
LENGTH = 0.05  # m; makes translations comparable with angles
SPACING = 0.02


@lru_cache(maxsize=1)
def posed() -> tuple[GraspProblem, GraspState]:
    problem = make_problem(
        objects=example_objects(2)[1:], grasp_count=2, energy=only(), contact_count=4, sample_count=50
    )
    near = InitializeConfig(distance_lower=0.0, distance_upper=0.02, joint_spread=0.2)
    return problem, state_of(problem, seed_grasps(problem, near, seed=3))  # type: ignore[arg-type]


def launched(term: SimulatedPush) -> tuple[FloatArray, FloatArray, GraspState]:
    problem, state = posed()
    alone = problem.with_terms({"term": term})
    rows = wp.zeros((1, problem.batch_size), dtype=wp.float32, device="cpu")
    own = dataclasses.replace(state, energy_terms=rows, scratch={})
    alone.evaluate(own)
    return own.energy_terms.numpy()[0].astype(float), own.gradient.numpy().astype(float), own


class StepOracle:
    """The simulated step of one hand from the formulas, closest places and counts frozen at the base pose."""

    def __init__(self, term: SimulatedPush, problem: GraspProblem, own: GraspState, grasp: int) -> None:
        spread = surface_points(problem.hand, "cpu", spacing=SPACING)
        start = spread.start.numpy()
        self.link = np.repeat(np.arange(len(start) - 1), np.diff(start))
        self.local = spread.position.numpy().astype(float)
        key = f"hand_surface {term.spacing}"
        self.place = own.scratch[f"{key} place"].numpy()[grasp].astype(float)
        self.normal = own.scratch[f"{key} normal"].numpy()[grasp].astype(float)
        self.normal /= np.linalg.norm(self.normal, axis=1, keepdims=True)
        model = problem.objects[0]
        self.center = model.center_of_mass
        self.radius = np.linalg.norm(model.vertices - self.center, axis=1).max()
        self.term, self.motions = term, term.motions()
        self.count: FloatArray | None = None
        self.velocities: list[tuple[FloatArray, FloatArray]] | None = None

    def points(self, pose: PosedHand) -> FloatArray:
        turned = np.einsum("pij,pj->pi", pose.link_rotation[self.link], self.local)
        return np.asarray(pose.link_position[self.link] + turned)

    def depths(self, pose: PosedHand) -> FloatArray:
        """Level less distance of every point in every test [M, P]; negative where it does not touch."""
        point = self.points(pose)
        rho = np.einsum("pi,pi->p", self.normal, point - self.place)
        result = []
        for motion in self.motions:
            moved = motion[:3] + np.cross(motion[3:], point - self.center)
            result.append(self.term.dilation - rho + np.einsum("pi,pi->p", self.normal, moved))
        return np.array(result)

    def energy(self, pose: PosedHand, violation: FloatArray) -> float:
        """Mean size of the velocities for given constraint violations [M, P]."""
        arm = self.points(pose) - self.center
        inertia = 0.4 * self.radius**2
        if self.count is None:
            self.count = np.maximum((violation > 0.0).sum(axis=1), 1)
        total, velocities = 0.0, []
        for motion, depth, count in zip(self.motions, violation, self.count, strict=True):
            mass = 1.0 + np.sum(np.cross(arm, self.normal) ** 2, axis=1) / inertia
            pressure = depth / mass
            sliding = motion[:3] + np.cross(motion[3:], arm)
            sliding = sliding - np.sum(sliding * self.normal, axis=1, keepdims=True) * self.normal
            speed = np.linalg.norm(sliding, axis=1)
            along = sliding / np.maximum(speed, 1e-30)[:, None]
            stopping = speed / (1.0 + np.sum(np.cross(arm, along) ** 2, axis=1) / inertia)
            friction = np.where(speed > 1e-9, np.minimum(stopping, self.term.friction * pressure), 0.0)
            impulse = -pressure[:, None] * self.normal - friction[:, None] * along
            velocity = motion[:3] + impulse.sum(axis=0) / count
            spin = motion[3:] + np.cross(arm, impulse).sum(axis=0) / inertia / count
            velocities.append((velocity, spin))
            size = np.linalg.norm(velocity) + self.radius * np.linalg.norm(spin)
            total += size / self.term.time_step / len(self.motions)
        self.velocities = self.velocities or velocities
        return float(total)

    def surrogate(self, base: PosedHand) -> FloatArray:
        """Slope of every violation: 1 inside, ``leak`` outside where a larger one lowers the energy, else 0."""
        depth = self.depths(base)
        self.energy(base, np.maximum(depth, 0.0))
        assert self.velocities is not None
        arm = self.points(base) - self.center
        inertia = 0.4 * self.radius**2
        mass = 1.0 + np.sum(np.cross(arm, self.normal) ** 2, axis=1) / inertia
        slope = (depth > 0.0).astype(float)
        for test, motion in enumerate(self.motions):
            velocity, spin = self.velocities[test]
            sliding = motion[:3] - np.outer(self.normal @ motion[:3], np.ones(3)) * self.normal
            speed = np.maximum(np.linalg.norm(sliding, axis=1, keepdims=True), 1e-30)
            change = -(self.normal + np.where(speed > 1e-9, self.term.friction / speed, 0.0) * sliding)
            change /= mass[:, None]
            lowers = change @ velocity / max(np.linalg.norm(velocity), 1e-12)
            turning = np.cross(arm, change) / inertia @ spin
            lowers += self.radius * turning / max(np.linalg.norm(spin), 1e-12)
            slope[test, (depth[test] <= 0.0) & (lowers < 0.0)] = self.term.leak
        return slope


@pytest.mark.parametrize("leak", [0.0, 0.1])
def test_the_step_and_its_gradient(leak: float) -> None:
    """Values and gradients to 1e-4, the latter of the norm; with leak against the linear surrogate that the leak stands for."""
    term = SimulatedPush(leak=leak, spacing=SPACING, dilation=0.02, spin=10.0 if leak == 0.0 else 0.0)
    value, gradient, own = launched(term)
    problem, state = posed()
    scale = np.where(np.arange(gradient.shape[1]) < 3, LENGTH, 1.0)
    grasp = 1
    oracle = oracle_of(problem, state, grasp, frozen_at=np.zeros(len(scale)))
    step = StepOracle(term, problem, own, grasp)
    base = oracle.pose(np.zeros(len(scale)))
    depth, slope = step.depths(base), step.surrogate(base)

    def energies(increment: FloatArray) -> dict[str, float]:
        pose = oracle.pose(increment)
        moved = np.maximum(depth, 0.0) + slope * (step.depths(pose) - depth)
        return {"push": step.energy(pose, moved)}

    assert (depth > 0.0).sum() > 20
    difference = central_difference(energies, np.zeros(len(scale)))
    assert value[grasp] == pytest.approx(difference.value["push"], rel=1e-4)
    keep = ~difference.kink["push"]
    error = np.linalg.norm(((gradient[grasp] - difference.gradient["push"]) * scale)[keep])
    assert keep.mean() > 0.9
    assert error <= 1e-4 * np.linalg.norm((difference.gradient["push"] * scale)[keep])


def test_a_hand_far_away_stops_nothing() -> None:
    """Six of seven tests move at 1 m/s, and nothing pushes back."""
    far = SimulatedPush(spacing=SPACING, dilation=-1.0)
    np.testing.assert_allclose(launched(far)[0], 6.0 / 7.0, rtol=1e-5)
    np.testing.assert_allclose(launched(dataclasses.replace(far, squared=True))[0], 6.0, rtol=1e-5)


def test_the_smoothed_surface_follows_the_vertex_normals(tmp_path: Path) -> None:
    """On a coarse sphere the places lie nearer to the sphere than the facets, and blend 0 gives the facets."""
    path = tmp_path / "ball.obj"
    trimesh.creation.icosphere(subdivisions=1, radius=0.04).export(path)
    problem = make_problem(objects=[load_object(path)], grasp_count=1, energy=only(), contact_count=4)
    state = problem.create_state()
    problem.set_variables(
        state,
        np.array([[0.02, 0.01, 0.1, 0.0, 0.0, 0.0, 1.0]]),
        problem.hand.dof_opening[None],
        np.zeros((1, 4), dtype=int),
    )
    places = {}
    for blend in (0.0, 0.5):
        term = SimulatedPush(blend=blend, spacing=SPACING)
        alone = problem.with_terms({"term": term})
        rows = wp.zeros((1, 1), dtype=wp.float32, device="cpu")
        own = dataclasses.replace(state, energy_terms=rows, scratch={})
        alone.evaluate(own)
        places[blend] = np.linalg.norm(own.scratch[f"hand_surface {SPACING} place"].numpy()[0], axis=1)
    off = {blend: np.abs(radius - 0.04) for blend, radius in places.items()}
    assert off[0.0].max() > 5e-4
    assert off[0.5].mean() < 0.5 * off[0.0].mean()
    assert np.all(places[0.0] < 0.04 + 1e-6)


def test_the_method_brings_the_hand_around_the_object() -> None:
    """A short run with few points ends undilated, and stops the object better than the seeds do."""
    config: Any = method_config("fast-graspd", grasp_count=2, step_count=150, device="cpu")
    push = SimulatedPush(spacing=SPACING)
    extra = {**config.energy.extra, "simulated_push": push}
    config = dataclasses.replace(config, energy=dataclasses.replace(config.energy, extra=extra))
    hand, duck = load_hand("allegro"), example_objects(2)[1]
    problem = GraspProblem(
        hand, [duck], terms=config.energy.active_terms(), grasp_count=2, contact_count=12, device="cpu"
    )
    seeds = seed_grasps(problem, config.initialize, seed=0)
    state = config.optimizer.init(problem, seeds, [], step_count=10)
    assert dilation_of(state.best).numpy()[0] == pytest.approx(0.06)
    for _ in range(10):
        config.optimizer.step(problem, state)
    assert dilation_of(state.best).numpy()[0] == 0.0
    (grasps,) = synthesize(hand, [duck], config)
    area = [
        contact_area(
            hand, duck, *(getattr(grasps, f"root_{name}")[i] for name in ("position", "quaternion")), q
        )
        for i, q in enumerate(grasps.joint_position)
    ]
    assert np.mean(area) > 1e-3
    assert len({tuple(row) for row in grasps.contact_index}) == 2
    assert all(len(set(row)) == 12 for row in grasps.contact_index.tolist())
