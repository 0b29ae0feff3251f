"""What the energies freeze and cull: closest points, deepest geometries, normals; and what that leaves out of gradients."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from cases import (
    HANDS,
    Variables,
    annealed_variables,
    example_objects,
    make_problem,
    only,
    random_variables,
    state_of,
)
from central_differences import central_difference
from gradient_cases import CASES, CONVEX_HANDS, LENGTH, taped, variables_of
from oracle import oracle_of
from oracle_geometry import closest_on_mesh
from scipy.spatial.transform import Rotation

from warpgrasp.synthesis.energy_terms import Penetration


@pytest.mark.parametrize("hand", HANDS)
def test_frozen_features_are_the_closest(hand: str) -> None:
    """Closest points and signed distances of all contacts against brute force over all triangles, 1e-5 m."""
    problem = make_problem(hand, grasp_count=2)
    variables = copy.deepcopy(variables_of(hand, "random"))
    # The last hand of each object is moved so that its first contact lies in the middle of the object.
    last = slice(problem.grasp_count - 1, None, problem.grasp_count)
    contact = state_of(problem, variables).contact_position.numpy()[last, 0]
    variables.root_pose[last, :3] += [model.center_of_mass for model in problem.objects] - contact
    state = state_of(problem, variables)
    position, closest = state.contact_position.numpy(), state.closest_point.numpy()
    normal, distance = state.object_normal.numpy(), state.contact_distance.numpy()
    index = problem.object_index.numpy()
    for grasp in range(problem.batch_size):
        model = problem.objects[index[grasp]]
        for contact in range(problem.contact_count):
            p = position[grasp, contact].astype(np.float64)
            nearest, signed = closest_on_mesh(model, p)
            assert distance[grasp, contact] == pytest.approx(signed, abs=1e-5)
            # Several points may be equally near.
            assert np.linalg.norm(p - closest[grasp, contact]) == pytest.approx(abs(signed), abs=1e-6)
            if abs(signed) > 1e-4 and np.linalg.norm(nearest - closest[grasp, contact]) < 1e-6:
                np.testing.assert_allclose(normal[grasp, contact], (p - nearest) / signed, atol=1e-3)
    assert np.any(distance < -0.002)
    assert np.any(distance > 0.002)


@pytest.mark.parametrize("hand", HANDS + CONVEX_HANDS)
def test_penetration_unfrozen_and_unculled(hand: str) -> None:
    """Culled = unculled = float64 over all samples and geometries, from deep inside to far away; and so their slopes."""
    problem = make_problem(hand, grasp_count=6, energy=only(penetration=Penetration(weight=1.0)))
    variables = random_variables(problem, 7)
    # Draw the hands through the object: from 8 cm further in to 12 cm further out.
    shift = np.tile(np.linspace(-0.08, 0.12, 6), len(problem.objects))[:, None]
    outward = variables.root_pose[:, :3] / np.linalg.norm(variables.root_pose[:, :3], axis=1, keepdims=True)
    variables.root_pose[:, :3] += shift * outward
    state = state_of(problem, variables)
    culled, gradient = state.energy.numpy(), state.gradient.numpy()
    unculled, slope = taped(problem, state)
    np.testing.assert_allclose(culled, unculled, rtol=2e-5, atol=1e-7)
    np.testing.assert_allclose(gradient, slope, rtol=1e-3, atol=1e-4 * np.abs(slope).max())
    zero = np.zeros(6 + problem.hand.dof_count)
    oracles = [oracle_of(problem, state, grasp) for grasp in range(problem.batch_size)]
    exact = np.array([oracle.unfrozen_penetration(oracle.pose(zero)) for oracle in oracles])
    np.testing.assert_allclose(culled, exact, rtol=1e-4, atol=1e-6)
    assert exact.max() > 1.0
    assert exact.min() == 0.0

    deep = int(np.argsort(exact)[len(exact) // 2])
    unfrozen = central_difference(
        lambda x: {"penetration": oracles[deep].unfrozen_penetration(oracles[deep].pose(x))}, zero, step=1e-7
    )
    kink = unfrozen.kink["penetration"]
    expected = unfrozen.gradient["penetration"]
    np.testing.assert_allclose(gradient[deep][~kink], expected[~kink], atol=1e-2 * np.abs(expected).max())
    assert kink.mean() < 0.5


@pytest.mark.parametrize("hand", HANDS + CONVEX_HANDS)
def test_culling_keeps_shallow_samples(hand: str) -> None:
    """In grasps that touch their objects the few samples barely inside are all counted, each within rounding."""
    problem = make_problem(hand, grasp_count=4, energy=only(penetration=Penetration(weight=1.0)))
    # Weighed by the default energy, a short run leaves the links pressed slightly into the surface.
    variables = annealed_variables(make_problem(hand, grasp_count=4), 3)
    state = state_of(problem, variables)
    zero = np.zeros(6 + problem.hand.dof_count)
    oracles = [oracle_of(problem, state, grasp) for grasp in range(problem.batch_size)]
    exact = np.array([oracle.unfrozen_penetration(oracle.pose(zero)) for oracle in oracles])
    np.testing.assert_allclose(state.energy.numpy(), exact, rtol=1e-6, atol=1e-6)
    assert np.mean((exact > 1e-4) & (exact < 0.2)) >= 0.5


@pytest.mark.parametrize("hand", ["allegro", "ability_hand"])
def test_discs_change_no_bit(hand: str) -> None:
    """With discs of 1 m, which cull nothing, energies and gradients are the same to the bit."""
    problem = make_problem(hand, grasp_count=6, energy=only(penetration=Penetration(weight=1.0)))
    variables = (random_variables(problem, 7), annealed_variables(make_problem(hand, grasp_count=6), 3))
    culled = [state_of(problem, own) for own in variables]
    discs = problem.samples.cluster_disc.numpy().copy()
    discs[..., 3] = 1.0
    problem.samples.cluster_disc.assign(discs)
    for own, found in zip(variables, culled, strict=True):
        unculled = state_of(problem, own)
        np.testing.assert_array_equal(found.energy.numpy(), unculled.energy.numpy())
        np.testing.assert_array_equal(found.gradient.numpy(), unculled.gradient.numpy())


@pytest.mark.parametrize("hand", HANDS)
def test_distance_gradient_is_unfrozen_too(hand: str, record_property: Any) -> None:
    """The gradient of a distance is its normal, so the plain distance loses nothing by frozen features.

    The normal-weighted distance and force closure do lose the turn of ``n_obj``; that gap is recorded, not bounded.
    """
    for name, bound in (("distance_plain", 2e-2), ("distance", None), ("force_closure", None)):
        field, term = CASES[name]
        problem = make_problem(hand, example_objects(1), grasp_count=1, energy=only(**{field: term}))
        variables = random_variables(problem, 11)
        state = state_of(problem, variables)
        slope = state.gradient.numpy()[0].astype(np.float64)
        step = 2e-4  # float32 energies: a wide step
        unfrozen = np.zeros_like(slope)
        turned = Rotation.from_quat(variables.root_pose[0, 3:])
        for axis in range(len(slope)):
            energy = []
            for sign in (1.0, -1.0):
                increment = np.zeros(len(slope))
                increment[axis] = sign * step
                quaternion = (turned * Rotation.from_rotvec(increment[3:6])).as_quat()
                pose = np.concatenate([variables.root_pose[0, :3] + increment[:3], quaternion])[None]
                joints = variables.joint_position + increment[6:]
                moved = state_of(problem, Variables(pose, joints, variables.contact_index))
                energy.append(float(moved.energy.numpy()[0]))
            unfrozen[axis] = (energy[0] - energy[1]) / (2.0 * step)
        scale = np.where(np.arange(len(slope)) < 3, LENGTH, 1.0)
        gap = float(np.linalg.norm((unfrozen - slope) * scale) / np.linalg.norm(slope * scale))
        record_property(f"unfrozen_gap_{hand}_{name}", gap)
        assert np.isfinite(gap)
        if bound is not None:
            assert gap < bound
