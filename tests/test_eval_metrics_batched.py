"""Metrics of many grasps in one launch, against float64 computations on the host, shape by shape and point by point.

The grasps are shipped ones of a hand with capsules, boxes and convex meshes; some are moved into the object, some have
their fingers closed into each other.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import warpgrasp
from warpgrasp.eval.metrics import (
    contact_area,
    contact_distance_consistency,
    contact_wrenches,
    epsilon_quality,
    hand_signed_distance,
    intersection_volume,
    object_signed_distance,
    penetration_depth,
    self_penetration_depth,
    surface_metrics,
    volume_quality,
    wrench_space_qualities,
)
from warpgrasp.eval.metrics.posed_hands import shape_surfaces
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.hands import HandModel, load_hand
from warpgrasp.objects import ObjectModel, example_object_path, load_object

Poses = tuple[np.ndarray, np.ndarray, np.ndarray]
COUNT = 4
SHIPPED = Path(warpgrasp.__file__).parent / "eval" / "isaaclab" / "grasps" / "allegro" / "duck.npz"


@pytest.fixture(scope="module")
def hand() -> HandModel:
    hand = load_hand("allegro")
    assert set(hand.geometry_type) == {0, 1, 2}
    return hand


@pytest.fixture(scope="module")
def duck() -> ObjectModel:
    return load_object(example_object_path("duck"))


@pytest.fixture(scope="module")
def poses(hand: HandModel) -> Poses:
    grasps = GraspSet.load(SHIPPED).select(np.arange(COUNT))
    position = np.array(grasps.root_position, dtype=np.float64)
    joints = np.array(grasps.joint_position, dtype=np.float64)
    position[1] *= 0.8  # into the object
    joints[2] += 0.6 * (hand.dof_upper - joints[2])  # fingers over each other
    return position, np.array(grasps.root_quaternion, dtype=np.float64), joints


def one_by_one(poses: Poses) -> list[Poses]:
    return list(zip(*poses, strict=True))


def test_penetration_and_area_come_from_the_signed_distance_of_every_point(
    hand: HandModel, duck: ObjectModel, poses: Poses
) -> None:
    points, _ = duck.surface_samples(3000)
    distance = np.array(
        [hand_signed_distance(hand, *pose, points, reach=0.005) for pose in one_by_one(poses)]
    )
    corner = duck.vertices[duck.faces]
    whole = (
        0.5 * np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1).sum()
    )
    depth, area = surface_metrics(hand, duck, *poses)
    np.testing.assert_allclose(depth, np.maximum(-distance.min(axis=1), 0.0), atol=1e-7)
    # A point in 3000 may be 5 mm away to the last bit.
    np.testing.assert_allclose(area, (distance < 0.005).mean(axis=1) * whole, atol=1.5 * whole / 3000)
    assert depth.max() > 0.003
    assert area.min() > 0.0
    np.testing.assert_allclose(penetration_depth(hand, duck, *poses), depth, atol=1e-7)
    np.testing.assert_array_equal(contact_area(hand, duck, *poses), area)


def test_self_penetration_is_the_deepest_surface_point_in_another_shape(
    hand: HandModel, poses: Poses
) -> None:
    surfaces = shape_surfaces(hand)
    start, cloud, bits = (getattr(surfaces, name).numpy() for name in ("start", "position", "apart"))
    expected = []
    for joints in poses[2]:
        position, quaternion = hand.forward_kinematics(np.zeros(3), [0.0, 0.0, 0.0, 1.0], joints)
        turn = Rotation.from_quat(quaternion)
        deepest = 0.0
        for first, link in enumerate(hand.geometry_link):
            world = turn[link].apply(cloud[start[first] : start[first + 1]]) + position[link]
            for second, other in enumerate(hand.geometry_link):
                if int(bits[first]) >> second & 1:
                    local = turn[other].inv().apply(world - position[other])
                    deepest = max(deepest, -hand.geometry_shape(second).inner_distance(local).min())
        expected.append(deepest)
    assert max(expected) > 0.002
    np.testing.assert_allclose(self_penetration_depth(hand, poses[2]), expected, atol=1e-7)


def test_links_that_may_overlap_are_neighbours_and_those_that_touch_when_opened(hand: HandModel) -> None:
    bits = shape_surfaces(hand).apart.numpy()
    link, parent = hand.geometry_link, hand.link_parent
    apart = np.array([[int(row) >> g & 1 for g in range(len(link))] for row in bits], dtype=bool)
    np.testing.assert_array_equal(apart, apart.T)
    for a, b in zip(*np.nonzero(apart), strict=True):
        assert link[a] != link[b]
        assert parent[link[a]] != link[b]
        assert parent[link[b]] != link[a]
    assert apart.sum() > 0.5 * apart.size
    assert self_penetration_depth(hand, hand.dof_opening) == 0.0


def test_finger_distances_and_shared_volume(hand: HandModel, duck: ObjectModel, poses: Poses) -> None:
    candidates = hand.contact_candidates("power")
    spacing = 0.004
    axes = [
        np.arange(a + 0.5 * spacing, b, spacing)
        for a, b in zip(duck.vertices.min(axis=0), duck.vertices.max(axis=0), strict=True)
    ]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    inner = grid[object_signed_distance(duck, grid) < 0.0]
    spread, volume = [], []
    for pose in one_by_one(poses):
        position, quaternion = hand.forward_kinematics(*pose)
        points = (
            Rotation.from_quat(quaternion[candidates.link]).apply(candidates.position)
            + position[candidates.link]
        )
        distance = object_signed_distance(duck, points)
        fingers = [
            distance[candidates.finger == index].min()
            for index, name in enumerate(candidates.finger_names)
            if name != "palm"
        ]
        spread.append(max(fingers) - min(fingers))
        volume.append(np.sum(hand_signed_distance(hand, *pose, inner, reach=0.0) < 0.0) * spacing**3)
    assert max(volume) > 10 * spacing**3
    np.testing.assert_allclose(contact_distance_consistency(hand, duck, *poses), spread, atol=1e-6)
    # A cell may lie on a surface to the last bit.
    np.testing.assert_allclose(
        intersection_volume(hand, duck, *poses, spacing=spacing), volume, atol=1.5 * spacing**3
    )


def test_one_grasp_is_measured_like_that_one_of_many(
    hand: HandModel, duck: ObjectModel, poses: Poses
) -> None:
    for function in (penetration_depth, contact_area, contact_distance_consistency, intersection_volume):
        many = function(hand, duck, *poses)
        assert many.shape == (COUNT,)
        alone = [function(hand, duck, *pose) for pose in one_by_one(poses)]
        assert np.shape(alone[0]) == ()
        np.testing.assert_array_equal(many, alone)
        assert function(hand, duck, *(part[:0] for part in poses)).shape == (0,)
    np.testing.assert_array_equal(
        self_penetration_depth(hand, poses[2]), [self_penetration_depth(hand, row) for row in poses[2]]
    )
    with pytest.raises(ValueError, match=r"\[N, 16\] \(got \(4, 3\)\)"):
        self_penetration_depth(hand, poses[2][:, :3])


def test_both_qualities_of_a_wrench_space_come_from_one_hull() -> None:
    normal = np.random.default_rng(3).normal(size=(8, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    wrenches = contact_wrenches(0.03 * normal, normal, np.zeros(3), friction=0.3)
    assert wrench_space_qualities(wrenches) == (epsilon_quality(wrenches), volume_quality(wrenches))
    assert wrench_space_qualities(wrenches[:5]) == (0.0, 0.0)
