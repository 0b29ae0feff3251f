"""Seed grasps: outside the hull, palm towards it, within the ranges, well spread, keyed by seed, mesh and reset alone."""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cases import HANDS, example_objects, make_problem
from numpy.typing import NDArray
from oracle_geometry import closest_on_mesh
from scipy.spatial import ConvexHull, cKDTree
from scipy.spatial.transform import Rotation
from scipy.stats import kstest

from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.seeds import (
    InitializeConfig,
    SeedGrasps,
    _distinct_contacts,
    seed_grasps,
    seed_sets,
)

FloatArray = NDArray[np.float64]
COUNT = 96


@lru_cache(maxsize=4)
def problem_of(hand: str) -> GraspProblem:
    return make_problem(hand, grasp_count=COUNT)


def seeds_of(hand: str, *, seed: int = 0, reset: int = 0, **options: float) -> SeedGrasps:
    return seed_grasps(problem_of(hand), InitializeConfig(**options), seed=seed, reset=reset)


def wrists(hand: str, seeds: SeedGrasps) -> tuple[FloatArray, Rotation]:
    """Wrist frames in the object frame: positions [B, 3] and rotations."""
    model = problem_of(hand).hand
    root = Rotation.from_quat(seeds.root_pose[:, 3:])
    return (
        seeds.root_pose[:, :3] + root.apply(model.wrist_position),
        root * Rotation.from_quat(model.wrist_quaternion),
    )


@lru_cache(maxsize=4)
def approach_of(hand: str) -> tuple[FloatArray, FloatArray]:
    """Distance of every wrist to the hull [m], and the unit vector towards its closest point in the wrist frame."""
    seeds = seeds_of(hand)
    position, rotation = wrists(hand, seeds)
    distance, direction = [], []
    for grasp, point in enumerate(position):
        model = problem_of(hand).objects[grasp // COUNT]
        hull = ConvexHull(model.vertices)
        assert np.max(hull.equations[:, :3] @ point + hull.equations[:, 3]) > 0.0, (
            "the wrist is inside the hull"
        )
        solid: Any = SimpleNamespace(vertices=model.vertices, faces=hull.simplices)
        closest, _ = closest_on_mesh(solid, point)
        distance.append(np.linalg.norm(closest - point))
        direction.append((closest - point) / distance[-1])
    return np.array(distance), rotation.inv().apply(direction)


@pytest.mark.parametrize("hand", HANDS)
def test_wrists_stand_off_the_hull_within_the_range(hand: str) -> None:
    distance, _ = approach_of(hand)
    assert distance.min() >= 0.05 - 1e-6
    assert distance.max() <= 0.10 + 1e-6
    assert kstest(distance, "uniform", args=(0.05, 0.05)).pvalue > 1e-3


@pytest.mark.parametrize("hand", HANDS)
def test_palms_face_the_object_within_pitch_and_tilt(hand: str) -> None:
    """The hull's closest point seen from the wrist: pitch turns it out of the palm normal about x, tilt about y."""
    _, direction = approach_of(hand)
    pitch = np.degrees(np.arcsin(direction[:, 1]))
    tilt = np.degrees(np.arctan2(-direction[:, 0], direction[:, 2]))
    for angle, limit in ((pitch, 15.0), (tilt, 45.0)):
        assert np.abs(angle).max() <= limit + 1e-3
        assert kstest(angle, "uniform", args=(-limit, 2.0 * limit)).pvalue > 1e-3
    assert np.all(direction[:, 2] >= np.cos(np.radians(15.0)) * np.cos(np.radians(45.0)) - 1e-6)


@pytest.mark.parametrize("hand", HANDS)
def test_hands_are_turned_any_way_in_the_plane(hand: str) -> None:
    """The finger direction around the approach direction is uniform, measured from an arbitrary world direction."""
    seeds = seeds_of(hand, pitch=0.0, tilt=0.0)
    _, rotation = wrists(hand, seeds)
    finger, approach = rotation.apply([0.0, 1.0, 0.0]), rotation.apply([0.0, 0.0, 1.0])
    first = np.cross(approach, [0.3, -0.8, 0.52])
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(approach, first)
    angle = np.arctan2(np.sum(finger * second, axis=1), np.sum(finger * first, axis=1))
    assert kstest(angle, "uniform", args=(-np.pi, 2.0 * np.pi)).pvalue > 1e-3


@pytest.mark.parametrize("hand", HANDS)
def test_joints_scatter_around_the_opening_pose(hand: str) -> None:
    model = problem_of(hand).hand
    joints = seeds_of(hand).joint_position
    span = model.dof_upper - model.dof_lower
    assert np.all((joints >= model.dof_lower) & (joints <= model.dof_upper))
    away = np.minimum(model.dof_opening - model.dof_lower, model.dof_upper - model.dof_opening) > 0.3 * span
    if away.any():  # the limits cut nothing off
        np.testing.assert_allclose(joints.mean(axis=0)[away], model.dof_opening[away], atol=0.03 * span.max())
        # four standard errors of a normal sample's deviation
        error = 4.0 * 0.1 / np.sqrt(2.0 * len(joints))
        np.testing.assert_allclose(joints.std(axis=0)[away] / span[away], 0.1, atol=error)
    still = seeds_of(hand, joint_spread=0.0).joint_position
    opening = np.clip(model.dof_opening, model.dof_lower, model.dof_upper)
    np.testing.assert_allclose(still, np.broadcast_to(opening, still.shape), atol=1e-6)


@pytest.mark.parametrize("hand", HANDS)
def test_seeds_spread_better_than_random(hand: str) -> None:
    """Mean distance to the nearest neighbour, against as many seeds drawn at random from 12 other sets."""
    options = {"distance_lower": 0.05, "distance_upper": 0.05}
    spread = [wrists(hand, seeds_of(hand, reset=reset, **options))[0][:COUNT] for reset in range(13)]
    pool = np.concatenate(spread[1:])
    rng = np.random.default_rng(0)
    chosen = [pool[rng.choice(len(pool), COUNT, replace=False)] for _ in range(8)]

    def nearest(points: FloatArray) -> FloatArray:
        return cKDTree(points).query(points, k=2)[0][:, 1]

    random = float(np.mean([nearest(points).mean() for points in chosen]))
    assert nearest(spread[0]).mean() > 1.3 * random
    assert nearest(spread[0]).min() > 3.0 * float(np.mean([nearest(points).min() for points in chosen]))


@pytest.mark.parametrize("hand", ["allegro", "shadow_wristless", "robotiq_2f140"])
def test_pinches_start_with_the_hull_between_the_open_fingertips(hand: str) -> None:
    """Seen from the root: the middle of the tips in its range from the hull, which lies halfway from palm normal to tips."""
    problem = make_problem(hand, grasp_count=COUNT, grasp_type="pinch")
    seeds = seed_grasps(problem, InitializeConfig(pitch=0.0, tilt=0.0), seed=0)
    model = problem.hand
    position, quaternion = model.forward_kinematics(
        np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]), model.dof_opening
    )
    candidates = model.contact_candidates("pinch")
    tips = []
    for index in range(len(candidates.finger_names)):
        own = candidates.finger == index
        turn = Rotation.from_quat(quaternion[candidates.link[own]])
        points = position[candidates.link[own]] + turn.apply(candidates.position[own])
        if own.any():
            tips.append(points.mean(axis=0))
    middle = np.mean(tips, axis=0)
    palm = Rotation.from_quat(model.wrist_quaternion).apply([0.0, 0.0, 1.0])
    reach = middle - model.wrist_position
    halfway = palm + reach / np.linalg.norm(reach)
    root = Rotation.from_quat(seeds.root_pose[:, 3:])
    found = []
    for grasp, (point, toward) in enumerate(
        zip(seeds.root_pose[:, :3] + root.apply(middle), root.apply(halfway), strict=True)
    ):
        thing = problem.objects[grasp // COUNT]
        hull = ConvexHull(thing.vertices)
        solid: Any = SimpleNamespace(vertices=thing.vertices, faces=hull.simplices)
        closest, _ = closest_on_mesh(solid, point)
        outside = np.max(hull.equations[:, :3] @ point + hull.equations[:, 3]) > 0.0
        found.append(np.linalg.norm(closest - point) if outside else -np.linalg.norm(closest - point))
        if found[-1] > 1e-4:  # from inside the nearest point of the hull may be another
            toward /= np.linalg.norm(toward)
            np.testing.assert_allclose((closest - point) / found[-1], toward, atol=1e-3)
    assert min(found) >= -0.01 - 1e-6
    assert max(found) <= 0.05 + 1e-6
    outer = np.array([value for value in found if value > 0.0])
    assert kstest(outer, "uniform", args=(0.0, 0.05)).pvalue > 1e-3


@pytest.mark.parametrize(
    ("hand", "grasp_type"),
    [("allegro", "power"), ("allegro", "precision"), ("allegro", "pinch"), ("robotiq_2f140", "pinch")],
)
def test_contacts_are_distinct_and_cover_the_fingers(hand: str, grasp_type: str) -> None:
    problem = make_problem(hand, example_objects(1), grasp_count=64, contact_count=5, grasp_type=grasp_type)
    seeds = seed_grasps(problem, InitializeConfig(), seed=0)
    contacts = seeds.contact_index
    candidates = problem.host_candidates
    assert np.all(np.diff(np.sort(contacts, axis=1), axis=1) > 0)
    assert contacts.min() >= 0
    assert contacts.max() < candidates.count
    assert len(np.unique(contacts)) > 0.8 * candidates.count
    if grasp_type != "power":
        names = np.array(candidates.finger_names)[candidates.finger[contacts]]
        for finger in problem.grasp_type.fingers:
            assert np.all(np.any(names == finger, axis=1))
    for name, value in problem.grasp_type.idle_joint_position.items():
        column = seeds.joint_position[:, problem.hand.joint_names.index(name)]
        np.testing.assert_allclose(column, value, atol=1e-6)


def test_more_contacts_than_candidates_are_refused() -> None:
    with pytest.raises(ValueError, match="contact_count must"):
        make_problem("robotiq_2f140", example_objects(1), contact_count=65)
    with pytest.raises(ValueError, match=r"contact_count must be in \[1, 64\] \(got 0\)"):
        make_problem("robotiq_2f140", example_objects(1), contact_count=0)
    with pytest.raises(ValueError, match=r"needs a contact on each of its 3 required fingers.*got 2"):
        make_problem("allegro", example_objects(1), contact_count=2, grasp_type="precision")


def test_seeds_are_keyed_by_seed_reset_and_mesh() -> None:
    base = seeds_of("allegro")
    again = seeds_of("allegro")
    np.testing.assert_array_equal(again.root_pose, base.root_pose)
    np.testing.assert_array_equal(again.random_key, base.random_key)
    for other in (seeds_of("allegro", seed=1), seeds_of("allegro", reset=1)):
        assert np.all(np.any(other.root_pose != base.root_pose, axis=1))
        assert np.mean(other.random_key == base.random_key) < 0.01
    assert len(np.unique(base.random_key)) == len(base.random_key)
    alone = seed_grasps(
        make_problem("allegro", [example_objects()[1]], grasp_count=COUNT), InitializeConfig(), seed=0
    )
    for name in ("root_pose", "joint_position", "contact_index", "random_key"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(base, name)[COUNT : 2 * COUNT])


def test_thousands_of_seeds_are_spread_group_by_group() -> None:
    problem = make_problem("robotiq_2f140", example_objects(1), grasp_count=1500, sample_count=50)
    seeds = seed_grasps(problem, InitializeConfig(), seed=0)
    assert np.isfinite(seeds.root_pose).all()
    assert len(np.unique(seeds.root_pose[:, :3], axis=0)) == 1500


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"distance_lower": 0.2}, r"distance_lower must not exceed distance_upper.*got 0\.2, 0\.1"),
        ({"distance_lower": -0.1}, r"distance_lower must be finite and not negative \(got -0\.1"),
        ({"tip_distance_lower": 0.2}, r"tip_distance_lower must not exceed.*got 0\.2, 0\.05"),
        ({"joint_spread": -1.0}, r"initialize\.joint_spread must be finite and not negative \(got -1"),
    ],
)
def test_bad_ranges_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InitializeConfig(**options)


def test_sets_at_once_are_the_sets_one_by_one() -> None:
    problem = problem_of("robotiq_2f140")
    together = seed_sets(problem, InitializeConfig(), seed=3, resets=range(3))
    for number, found in enumerate(together):
        alone = seed_grasps(problem, InitializeConfig(), seed=3, reset=number)
        for name in ("root_pose", "joint_position", "contact_index", "random_key"):
            np.testing.assert_array_equal(getattr(found, name), getattr(alone, name))


def test_contacts_are_drawn_from_what_is_free() -> None:
    """Against a loop that lists the free candidates, with ranges that overlap, are apart, and lie in each other."""
    start, count = [2, 0, 0, 4, 8], [2, 6, 12, 3, 4]
    uniform = np.random.default_rng(0).random((500, len(start)))
    contacts = _distinct_contacts(start, count, uniform)
    for row, numbers in zip(contacts, uniform, strict=True):
        taken: list[int] = []
        for first, size, number in zip(start, count, numbers, strict=True):
            free = [c for c in range(first, first + size) if c not in taken]
            taken.append(free[int(number * len(free))])
        assert row.tolist() == taken


def test_seeds_are_spread_as_farthest_points_of_the_inflated_hull() -> None:
    """Hull points nearest to as many points spread by NumPy over an independently sampled inflated hull are as far apart."""
    problem = problem_of("robotiq_2f140")
    config = InitializeConfig(distance_lower=0.07, distance_upper=0.07, pitch=0.0, tilt=0.0)
    position, rotation = wrists("robotiq_2f140", seed_grasps(problem, config, seed=0))
    random = np.random.default_rng(1)
    for number, model in enumerate(problem.objects):
        own = slice(number * COUNT, (number + 1) * COUNT)
        hull = ConvexHull(model.vertices)
        corners = model.vertices[hull.vertices]
        away = corners - corners.mean(axis=0)
        inflated = ConvexHull(corners + 0.05 * away / np.linalg.norm(away, axis=1, keepdims=True))
        triangles = inflated.points[inflated.simplices]
        area = np.linalg.norm(
            np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=1
        )
        chosen = random.choice(len(triangles), 20 * COUNT, p=area / area.sum())
        cloud = np.einsum("nk,nkd->nd", random.dirichlet((1.0, 1.0, 1.0), 20 * COUNT), triangles[chosen])
        spread = [cloud[0]]
        while len(spread) < COUNT:
            spread.append(cloud[np.argmax(cKDTree(spread).query(cloud)[0])])
        solid: Any = SimpleNamespace(vertices=model.vertices, faces=hull.simplices)
        expected = np.array([closest_on_mesh(solid, point)[0] for point in spread])
        found = position[own] + rotation[own].apply([0.0, 0.0, 0.07])
        size = np.ptp(model.vertices, axis=0)
        assert np.all(np.abs(found.mean(axis=0) - expected.mean(axis=0)) < 0.1 * size)
        assert np.all(np.abs(found.std(axis=0) - expected.std(axis=0)) < 0.1 * size)
