"""SpringGrasp: the energy and its derivatives against float64 NumPy, and the springs as squeeze."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import warp as wp
from cases import example_objects, make_problem, only, state_of
from numpy.typing import NDArray
from oracle import oracle_of
from oracle_geometry import closest_on_mesh
from scipy.spatial.transform import Rotation

from warpgrasp.hands import load_hand
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.fingertip_terms import tips_of
from warpgrasp.synthesis.methods import method_config
from warpgrasp.synthesis.methods.springgrasp import SpringEquilibrium, springs_of
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.seeds import InitializeConfig, seed_grasps
from warpgrasp.synthesis.state import GraspState
from warpgrasp.synthesis.synthesize import synthesize

FloatArray = NDArray[np.float64]
TERM = SpringEquilibrium(weight=2.0, friction=0.8, mass=0.3, largest_force=3.0)


def stretched(s: FloatArray) -> FloatArray:
    return np.log(np.maximum(s, 0.05)) + np.minimum(s - 0.05, 0.0) / 0.05


def spring_energy(
    x: FloatArray,
    normal: FloatArray,
    y: FloatArray,
    k: FloatArray,
    center: FloatArray,
    gap: FloatArray,
    inside: FloatArray,
) -> float:
    """The formula of the kernel; the rest pose by SciPy's weighted alignment of vectors about the centroids."""
    t = TERM
    points, goals = np.vstack([x, center]), np.vstack([y, center - [0.0, 0.0, 0.2]])
    weights = np.append(k, t.mass * 9.81 / 0.2)
    p, g = np.average(points, axis=0, weights=weights), np.average(goals, axis=0, weights=weights)
    turn, _ = Rotation.align_vectors(goals - g, points - p, weights=weights)
    rest = turn.apply(x - p) + g
    cosine = 1.0 / np.sqrt(1.0 + t.friction**2)

    def reward(way: FloatArray, n: FloatArray) -> float:
        a = np.sum(way * n, axis=1) / np.sqrt(np.sum(way**2, axis=1) + 1e-8)
        return float(np.sum(0.2 * stretched(1.0 + a) + 0.8 * stretched(1.0 + a - cosine)))

    length = np.sqrt(np.sum((rest - y) ** 2, axis=1) + 1e-8)
    return float(
        -t.reward * (reward(rest - y, turn.apply(normal)) + 0.5 * reward(x - y, normal))
        - t.force * np.mean(np.minimum(k * length, t.largest_force))
        + t.motion * np.mean(np.sqrt(np.sum((rest - x) ** 2, axis=1) + 1e-8))
        + t.stiffness * k.sum()
        + t.target * inside.sum()
        + t.distance * np.sum(np.sqrt(gap**2 + 1e-8))
    )


@lru_cache(maxsize=1)
def posed() -> tuple[GraspProblem, GraspState, FloatArray, FloatArray]:
    problem = make_problem(
        objects=example_objects(2)[1:], grasp_count=2, energy=only(), contact_count=4, sample_count=50
    ).with_terms({"term": TERM})
    near = InitializeConfig(distance_lower=0.02, distance_upper=0.03, joint_spread=0.2)
    base = state_of(problem, seed_grasps(problem, near, seed=3))  # type: ignore[arg-type]
    rows = wp.zeros((1, problem.batch_size), dtype=wp.float32, device="cpu")
    state = dataclasses.replace(base, energy_terms=rows, scratch={})
    rng = np.random.default_rng(0)
    count = len(tips_of(problem, state).model.link)
    problem.evaluate(state)
    tips = tips_of(problem, state)
    below = tips.contacts.point.numpy() - 0.01 * tips.contacts.normal.numpy()
    target = below + rng.normal(scale=0.004, size=(2, count, 3))
    stiffness = rng.uniform(40.0, 200.0, size=(2, count))
    springs_of(problem, state).target.assign(target.astype(np.float32))
    springs_of(problem, state).stiffness.assign(stiffness.astype(np.float32))
    problem.evaluate(state)
    return problem, state, target, stiffness


@pytest.mark.parametrize("grasp", [0, 1])
def test_energy_and_derivatives(grasp: int) -> None:
    """Values to 1e-4, derivatives by pose, targets and stiffnesses to 1e-4 of their norms."""
    problem, state, target, stiffness = posed()
    tips, duck = tips_of(problem, state), problem.objects[0]
    c = tips.contacts
    point, normal = c.point.numpy()[grasp].astype(float), c.normal.numpy()[grasp].astype(float)
    oracle = oracle_of(problem, state, grasp, frozen_at=np.zeros(6 + problem.hand.dof_count))
    base = oracle.pose(np.zeros(6 + problem.hand.dof_count))
    link = tips.model.link
    local = np.einsum(
        "fji,fj->fi", base.link_rotation[link], c.center.numpy()[grasp] - base.link_position[link]
    )
    closest = [closest_on_mesh(duck, goal) for goal in target[grasp]]
    inward = np.array([(goal - p) / d for goal, (p, d) in zip(target[grasp], closest, strict=True)])

    def energy(unknowns: FloatArray) -> float:
        dofs, count = 6 + problem.hand.dof_count, len(link)
        pose = oracle.pose(unknowns[:dofs])
        y, k = unknowns[dofs : dofs + 3 * count].reshape(count, 3), unknowns[dofs + 3 * count :]
        x = pose.link_position[link] + np.einsum("fij,fj->fi", pose.link_rotation[link], local)
        gap = np.sum(normal * (x - point), axis=1)
        inside = np.array([d for _, d in closest]) + np.sum(inward * (y - target[grasp]), axis=1)
        return spring_energy(x, normal, y, k, duck.center_of_mass, gap, inside)

    at = np.concatenate([np.zeros(6 + problem.hand.dof_count), target[grasp].ravel(), stiffness[grasp]])
    steps = np.concatenate([np.full(at.size - len(link), 1e-6), np.full(len(link), 1e-3)])
    slope = np.array([(energy(at + e) - energy(at - e)) / (2.0 * e.sum()) for e in np.diag(steps)])
    springs = springs_of(problem, state)
    found: dict[str, Any] = {
        "pose": state.gradient.numpy()[grasp] / TERM.weight,
        "target": springs.target_slope.numpy()[grasp].ravel(),
        "stiffness": springs.stiffness_slope.numpy()[grasp],
    }
    assert state.energy_terms.numpy()[0, grasp] == pytest.approx(energy(at), rel=1e-4)
    start = 0
    for name, values in found.items():
        expected = slope[start : start + len(values)]
        start += len(values)
        assert np.linalg.norm(values - expected) <= 1e-4 * np.linalg.norm(expected), name


def test_the_springs_are_the_squeeze() -> None:
    """The tips touch, and the torques of a hand with a free root are ``J^T f`` of the forces in the file."""
    hand = load_hand("allegro")
    config = method_config("springgrasp", grasp_count=3, step_count=120, device="cpu")
    (grasps,) = synthesize(hand, example_objects(2)[1:], config)
    distance = [
        closest_on_mesh(example_objects(2)[1], place.astype(float))[1]
        for place in grasps.contact_position.reshape(-1, 3)
    ]
    assert np.median(np.abs(distance)) < 0.004
    grasp, step = 0, 1e-6
    pose = (grasps.root_position[grasp], grasps.root_quaternion[grasp])
    joints = grasps.joint_position[grasp].astype(float)
    candidates = hand.contact_candidates("power")
    links = candidates.link[grasps.contact_index[grasp]]
    position, quaternion = hand.forward_kinematics(*pose, joints)
    local = [
        Rotation.from_quat(quaternion[link]).inv().apply(place - position[link])
        for link, place in zip(links, grasps.contact_position[grasp], strict=True)
    ]
    for dof in (0, 5, 13):
        power = 0.0
        for sign in (1.0, -1.0):
            moved = joints.copy()
            moved[dof] += sign * step
            position, quaternion = hand.forward_kinematics(*pose, moved)
            for link, place, force in zip(links, local, grasps.contact_force[grasp], strict=True):
                at = position[link] + Rotation.from_quat(quaternion[link]).apply(place)
                power += sign * float(force @ at) / (2.0 * step)
        limit = hand.dof_effort[dof]
        assert grasps.squeeze_torque[grasp, dof] == pytest.approx(np.clip(power, -limit, limit), abs=2e-4)


def test_the_optimiser_needs_its_term() -> None:
    config = method_config("springgrasp", grasp_count=1, step_count=2, device="cpu")
    with pytest.raises(ValueError, match="needs the energy term spring_equilibrium"):
        synthesize(
            load_hand("allegro"), example_objects(1), dataclasses.replace(config, energy=EnergyConfig())
        )
