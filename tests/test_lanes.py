"""Kernels whose grasps are shared by the 32 lanes of a warp, run with 32 lanes on the CPU.

Warp runs the lanes of a block as fibers there, one after the other between two barriers, from the same source as on CUDA. They
add what one lane adds, in another order: at most some hundred float32 terms, so that sums agree within 2e-6 of the largest of a
grasp. What is chosen, not added, is the same bit by bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import warp as wp
from cases import example_objects, make_problem, only, random_variables, state_of
from numpy.typing import NDArray

from warpgrasp.kernels.hand_shapes import geometry_poses, launch_geometry_poses
from warpgrasp.kernels.lanes import LANES, add_wrenches, lane_count
from warpgrasp.kernels.spatial import vec6
from warpgrasp.kernels.targets.deepest_samples import deepest_samples
from warpgrasp.synthesis import energy_terms
from warpgrasp.synthesis.energy_terms import Penetration, SelfPenetration, SpherePenetration

SUM = 2.0e-6  # relative to the largest of a grasp
TERMS = {
    "penetration": Penetration(),
    "sphere_penetration": SpherePenetration(allowance=-0.005),
    "self_penetration": SelfPenetration(margin=0.01),
}


@pytest.fixture(autouse=True)
def blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(wp.config, "enable_cpu_blocks"):
        pytest.skip(f"Warp {wp.__version__} runs one lane per block on the CPU")
    monkeypatch.setattr(wp.config, "enable_cpu_blocks", True)


def evaluate(
    problem: Any, state: Any, name: str, lanes: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Energy [B] and link wrenches [B, L, 6] of a term, by so many lanes per grasp."""
    monkeypatch.setattr(energy_terms, "lane_count", lambda device: lanes)
    energy: wp.array = wp.zeros(problem.batch_size, dtype=wp.float32, device="cpu")
    state.link_wrench.zero_()
    TERMS[name].launch(problem, state, energy)
    return energy.numpy().copy(), state.link_wrench.numpy().copy()


def posed(hand: str, sample_count: int) -> tuple[Any, Any]:
    """Hands in the object, by 2,500 samples or few: clusters fill the last warp, or do not."""
    problem = make_problem(
        hand,
        example_objects(2),
        grasp_count=4,
        energy=only(**TERMS),
        contact_count=6,
        sample_count=sample_count,
    )
    return problem, state_of(problem, random_variables(problem, seed=0))


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize(("hand", "sample_count"), [("allegro", 2500), ("shadow", 700)])
def test_lanes_together_add_what_one_adds(
    hand: str, sample_count: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, state = posed(hand, sample_count)
    energy, wrench = evaluate(problem, state, name, 1, monkeypatch)
    assert np.sum(energy > 0.0) >= 4, "there is something to add"
    assert np.sum(np.any(wrench != 0.0, axis=2), axis=1).max() >= 4, "at several links"
    scale = np.abs(wrench).max(axis=(1, 2), keepdims=True) + 1e-20
    for lanes in (4, LANES):
        own_energy, own_wrench = evaluate(problem, state, name, lanes, monkeypatch)
        np.testing.assert_allclose(own_energy, energy, rtol=SUM)
        assert np.max(np.abs(own_wrench - wrench) / scale) < SUM
        again = evaluate(problem, state, name, lanes, monkeypatch)
        np.testing.assert_array_equal(again[0], own_energy)
        np.testing.assert_array_equal(again[1], own_wrench)


@pytest.mark.parametrize("name", TERMS)
def test_a_grasp_is_the_same_in_another_place_of_the_batch(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, state = posed("allegro", 700)
    energy, wrench = evaluate(problem, state, name, LANES, monkeypatch)
    order = np.array([3, 0, 2, 1, 5, 7, 4, 6])  # among the grasps of the same object
    state.link_pose.assign(state.link_pose.numpy()[order])
    own_energy, own_wrench = evaluate(problem, state, name, LANES, monkeypatch)
    np.testing.assert_array_equal(own_energy, energy[order])
    np.testing.assert_array_equal(own_wrench, wrench[order])


@pytest.mark.parametrize("lanes", [4, LANES])
def test_lanes_find_the_deepest_samples_bit_by_bit(lanes: int) -> None:
    problem, state = posed("shadow", 2500)
    poses = geometry_poses(problem.geometry, problem.batch_size, "cpu")
    launch_geometry_poses(problem.geometry, state.link_pose, poses=poses)
    shape = poses.pose.shape
    running: wp.array = wp.array(np.arange(problem.batch_size) != 2, dtype=wp.int32, device="cpu")

    def found(lanes: int) -> list[NDArray[np.float32]]:
        outputs = [wp.zeros(shape, dtype=kind, device="cpu") for kind in (wp.float32, wp.vec3, wp.vec3)]
        wp.launch_tiled(
            deepest_samples,
            dim=problem.batch_size,
            inputs=[problem.geometry, problem.samples, problem.object_index, running, poses, 1.0e-4],
            outputs=outputs,
            device="cpu",
            block_dim=lanes,
        )
        return [output.numpy() for output in outputs]

    expected = found(1)
    assert np.sum(expected[0] > 1.0e-4) > 20
    assert not expected[0][2].any(), "a grasp at rest is left as it is"
    for own, one in zip(found(lanes), expected, strict=True):
        np.testing.assert_array_equal(own, one)


@wp.kernel(enable_backward=False)
def _add(
    link: wp.array2d(dtype=wp.int32),  # [B, lanes]
    force: wp.array2d(dtype=wp.vec3),
    point: wp.array2d(dtype=wp.vec3),
    link_wrench: wp.array2d(dtype=vec6),  # [B, L]
):
    grasp, number = wp.tid()
    lane = number % wp.block_dim()
    add_wrenches(link_wrench, grasp, lane, link[grasp, lane], force[grasp, lane], point[grasp, lane])


def test_every_link_gets_the_wrenches_of_its_lanes() -> None:
    """Against NumPy in float64; what the links had before stays."""
    random = np.random.default_rng(0)
    batch, links = 5, 9
    link = random.integers(0, links, (batch, LANES)).astype(np.int32)
    link[0], link[1, 1:] = -1, -1
    force, point = random.normal(size=(2, batch, LANES, 3)).astype(np.float32)
    before = random.normal(size=(batch, links, 6)).astype(np.float32)
    expected = before.astype(float)
    for grasp, lane in np.argwhere(link >= 0):
        f, p = force[grasp, lane].astype(float), point[grasp, lane].astype(float)
        expected[grasp, link[grasp, lane]] += [*f, *np.cross(p, f)]
    found: wp.array = wp.array(before, dtype=vec6, device="cpu")
    arrays = [
        wp.array(a, dtype=k, device="cpu") for a, k in ((link, wp.int32), (force, wp.vec3), (point, wp.vec3))
    ]
    wp.launch_tiled(_add, dim=batch, inputs=arrays, outputs=[found], device="cpu", block_dim=LANES)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
    np.testing.assert_array_equal(found.numpy()[0], before[0])


def test_a_step_of_many_lanes_is_recorded_and_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, state = posed("allegro", 700)
    expected = evaluate(problem, state, "penetration", LANES, monkeypatch)
    energy: wp.array = wp.zeros(problem.batch_size, dtype=wp.float32, device="cpu")
    with wp.ScopedCapture(device="cpu") as capture:
        state.link_wrench.zero_()
        TERMS["penetration"].launch(problem, state, energy)
    energy.fill_(-1.0)
    wp.capture_launch(capture.graph)
    np.testing.assert_array_equal(energy.numpy(), expected[0])
    np.testing.assert_array_equal(state.link_wrench.numpy(), expected[1])


def test_the_cpu_has_one_lane() -> None:
    assert lane_count("cpu") == 1
