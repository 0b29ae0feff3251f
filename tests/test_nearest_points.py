"""Nearest points, depths and slides that pass over what cannot matter give what the plain way gives, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import warp as wp
from cases import annealed_variables, example_objects, make_problem, random_variables, state_of
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from warpgrasp.hands.device import surface_points
from warpgrasp.kernels.energies.sphere_penetration import launch_closest_to_spheres
from warpgrasp.kernels.targets.closing import distance_of_candidates, slide_contacts
from warpgrasp.kernels.targets.nearest_points import (
    launch_least_distance,
    launch_nearest_remembered,
    launch_sphere_distances,
    nearest_memory,
)
from warpgrasp.kernels.targets.opening import NEAREST_COUNT, launch_nearest_points
from warpgrasp.synthesis import closing_steps
from warpgrasp.synthesis.closing import close_gaps
from warpgrasp.synthesis.closing_config import ClosingConfig
from warpgrasp.synthesis.closing_steps import ClosingSteps
from warpgrasp.synthesis.problem import GraspProblem


def moved(pose: NDArray[np.float32], way: float, random: np.random.Generator) -> NDArray[np.float32]:
    """Link poses [B, L, 7], each moved by about ``way`` [m] and turned by as much over 5 cm."""
    turn = Rotation.from_rotvec(random.normal(size=(pose[..., 0].size, 3)) * way / 0.05)
    result = pose.copy()
    result[..., :3] += way * random.normal(size=result[..., :3].shape)
    result[..., 3:] = (
        (turn * Rotation.from_quat(pose[..., 3:].reshape(-1, 4))).as_quat().reshape(*pose.shape[:2], 4)
    )
    return result


def buffers(problem: GraspProblem) -> dict[str, wp.array]:
    shape = (problem.batch_size, problem.hand.link_count, NEAREST_COUNT)
    result: dict[str, wp.array] = {"distance": wp.zeros(shape, dtype=wp.float32, device="cpu")}
    return result | {name: wp.zeros(shape, dtype=wp.vec3, device="cpu") for name in ("position", "normal")}


@pytest.mark.parametrize(
    ("hand", "reach"), [("allegro", 0.0009), ("allegro", 0.005), ("robotiq_2f140", 0.005)]
)
def test_remembered_looks_equal_plain_ones(hand: str, reach: float) -> None:
    """Over looks at hands that move by 10 µm to 10 mm between them, some of them at rest now and then."""
    problem = make_problem(hand, grasp_count=4)
    variables = random_variables(problem, 3)
    state = state_of(problem, variables)
    points, random = surface_points(problem.hand, "cpu"), np.random.default_rng(0)
    memory = nearest_memory(points, problem.batch_size, problem.hand.link_count, "cpu")
    plain, found = buffers(problem), buffers(problem)
    pose, near = state.link_pose.numpy(), 0
    for look, way in enumerate([0.0, 1e-5, 1e-4, 1e-3, 1e-2, 1e-3, 1e-4, 0.0]):
        running: wp.array = wp.array(
            np.arange(problem.batch_size) % 3 != look % 4, dtype=wp.int32, device="cpu"
        )
        pose = moved(pose, way, random)
        link_pose: wp.array = wp.array(pose, dtype=wp.transform, device="cpu")
        seen = (points, problem.meshes, problem.distance_bound, problem.object_index, link_pose, reach)
        launch_nearest_points(*seen, running=running, **plain)
        launch_nearest_remembered(*seen, memory=memory, running=running, **found)
        distance = plain["distance"].numpy()
        np.testing.assert_array_equal(found["distance"].numpy(), distance)
        for name in ("position", "normal"):
            here = distance < np.float32(reach)
            np.testing.assert_array_equal(found[name].numpy()[here], plain[name].numpy()[here])
        near += int(np.sum(distance < np.float32(reach)))
    assert near > 200


def test_least_distances_and_depths_equal_plain_ones() -> None:
    """The least of the nearest distances; distances of the spheres that reach into the object, others infinite."""
    problem = make_problem("allegro", grasp_count=6)
    state = state_of(problem, random_variables(problem, 5))
    points, plain = surface_points(problem.hand, "cpu"), buffers(problem)
    seen = (points, problem.meshes, problem.distance_bound, problem.object_index, state.link_pose)
    for reach in (0.0, 0.004):
        launch_nearest_points(*seen, reach, **plain)
        least: wp.array = wp.full(problem.batch_size, reach, dtype=wp.float32, device="cpu")
        launch_least_distance(*seen, distance=least)
        np.testing.assert_array_equal(least.numpy(), plain["distance"].numpy().min(axis=(1, 2)))
    shape, radius = (problem.batch_size, len(problem.hand.sphere_radius)), problem.hand.sphere_radius
    distance, expected = (wp.zeros(shape, dtype=wp.float32, device="cpu") for _ in range(2))
    launch_sphere_distances(problem.spheres, *seen[1:], distance=distance)
    launch_closest_to_spheres(
        problem.spheres,
        problem.meshes,
        problem.object_index,
        state.link_pose,
        distance=expected,
        closest=wp.empty(shape, dtype=wp.vec3, device="cpu"),
        normal=wp.empty(shape, dtype=wp.vec3, device="cpu"),
    )
    inside = expected.numpy() < radius
    assert 0 < inside.sum() < inside.size
    np.testing.assert_array_equal(distance.numpy()[inside], expected.numpy()[inside])
    assert np.all(distance.numpy()[~inside] >= radius[None].repeat(shape[0], 0)[~inside])


def test_contacts_slide_as_in_a_plain_loop() -> None:
    """Over all distances of all candidates, one contact after the other."""
    problem = make_problem("allegro", grasp_count=4)
    state = state_of(problem, annealed_variables(problem, 3))
    reach, touching, spacing = 0.012, 0.0008, 0.005
    shape = (problem.batch_size, problem.host_candidates.count)
    position: wp.array = wp.empty(shape, dtype=wp.vec3, device="cpu")
    distance: wp.array = wp.empty(shape, dtype=wp.float32, device="cpu")
    seen = (problem.candidates, problem.meshes, problem.distance_bound, problem.object_index, state.link_pose)
    wp.launch(
        distance_of_candidates, dim=shape, inputs=[*seen, reach], outputs=[position, distance], device="cpu"
    )
    index = state.contact_index.numpy().copy()
    before, gap, place = index.copy(), np.abs(distance.numpy()), position.numpy()
    for grasp, own in enumerate(index):
        for c in range(len(own)):
            if gap[grasp, own[c]] > np.float32(touching):
                others = place[grasp, np.delete(own, c)]
                slot = np.arange(problem.slot_start[c], problem.slot_start[c] + problem.slot_count[c])
                away = np.linalg.norm(place[grasp, slot, None] - others, axis=2).min(axis=1)
                free = slot[away >= np.float32(spacing)]
                best = free[np.argmin(gap[grasp, free])] if len(free) else own[c]
                if gap[grasp, best] < np.float32(0.5) * gap[grasp, own[c]]:
                    own[c] = best
    slots = [wp.array(s, dtype=wp.int32, device="cpu") for s in (problem.slot_start, problem.slot_count)]
    inputs = [*seen, *slots, reach, touching, spacing]
    wp.launch(
        slide_contacts, dim=problem.batch_size, inputs=inputs, outputs=[state.contact_index], device="cpu"
    )
    np.testing.assert_array_equal(state.contact_index.numpy(), index)
    assert np.any(index != before)


def test_closing_is_the_same_with_plain_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = make_problem("allegro", example_objects(2), grasp_count=3, contact_count=8)
    variables = annealed_variables(problem, 3)
    found = []

    def plain(*arguments: Any, memory: object, **outputs: Any) -> None:
        launch_nearest_points(*arguments, **outputs)

    for launch in (launch_nearest_remembered, plain):
        monkeypatch.setattr(closing_steps, "launch_nearest_remembered", launch)
        state = state_of(problem, variables)
        closed = close_gaps(problem, state, ClosingConfig(), friction=0.2)
        found.append(
            (closed, *(getattr(state, n).numpy() for n in ("root_pose", "joint_position", "contact_index")))
        )
    for remembered, expected in zip(*found, strict=True):
        np.testing.assert_array_equal(remembered, expected)


@pytest.mark.parametrize("steps", [3, 16])
def test_slides_begin_where_steps_without_them_were(steps: int) -> None:
    """The steps before the first slide are those without slides: taken from there, the same to the bit as from the start."""
    problem = make_problem("allegro", example_objects(2), grasp_count=3, contact_count=8)
    state = state_of(problem, annealed_variables(problem, 3))
    names = ("root_pose", "joint_position", "contact_index", "closest_point")
    start = {name: getattr(state, name).numpy().copy() for name in names}
    config, grasps = ClosingConfig(steps=steps), np.arange(problem.batch_size)

    def run(variables: dict[str, Any], **options: bool) -> tuple[ClosingSteps, NDArray[np.bool_]]:
        own = {name: values.copy() for name, values in variables.items()}
        result = ClosingSteps(problem, config, grasps, own, allowance=config.allowance, **options)
        return result, result.run(0.2)

    still, _ = run(start, slides=False)
    whole, closed = run(start, slides=True)
    branched, closed_too = run(still.branch, slides=True, branches=True)
    np.testing.assert_array_equal(closed_too, closed)
    for name in names:
        np.testing.assert_array_equal(branched.variables[name].numpy(), whole.variables[name].numpy())
    assert np.any(whole.variables["contact_index"].numpy() != start["contact_index"])
