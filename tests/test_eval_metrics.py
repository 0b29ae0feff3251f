"""Metrics against closed forms and independent computations."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from eval_factory import offset_box, pad_hand
from scipy.optimize import linprog
from scipy.spatial.transform import Rotation

from warpgrasp.eval.metrics import (
    contact_area,
    contact_distance_consistency,
    contact_wrenches,
    epsilon_quality,
    first_variance_ratio,
    grasp_entropy,
    hand_signed_distance,
    intersection_volume,
    object_signed_distance,
    penetration_depth,
    pose_unique_rate,
    self_penetration_depth,
    unique_grasps,
    unique_rate,
    volume_quality,
)
from warpgrasp.hands import load_hand
from warpgrasp.objects import ObjectModel

IDENTITY = np.array([0.0, 0.0, 0.0, 1.0])
HALF = (0.02, 0.02, 0.02)


@pytest.fixture
def box(tmp_path: Path) -> ObjectModel:
    return offset_box(tmp_path, HALF)


def about_z(degrees: float) -> np.ndarray:
    return Rotation.from_euler("z", degrees, degrees=True).as_quat()


def test_unique_grasps_count_occupied_bins() -> None:
    position = np.array([[0.001, 0.001, 0.001], [0.019, 0.001, 0.001], [0.021, 0.001, 0.001]])
    quaternion = np.tile(about_z(1.0), (3, 1))
    joints = np.full((3, 2), math.radians(0.5))
    assert unique_grasps(position, quaternion, joints).tolist() == [0, 2]
    turned = np.stack([about_z(1.0), about_z(3.0), about_z(5.0)])
    same_place = np.full((3, 3), 0.001)
    assert unique_grasps(same_place, turned, joints).tolist() == [0, 2]
    moved = joints + np.radians([[0.0, 0.0], [0.0, 0.6], [0.0, 0.7]])
    assert unique_grasps(same_place, quaternion, moved).tolist() == [0, 2]
    assert unique_grasps(same_place, quaternion, moved, joint_bin=None).tolist() == [0]
    # q and -q are one rotation
    assert unique_grasps(same_place, quaternion * [[1.0], [-1.0], [1.0]], joints).tolist() == [0]
    assert len(unique_grasps(np.zeros((0, 3)), np.zeros((0, 4)), np.zeros((0, 2)))) == 0


def test_unique_rates_divide_by_grasps_requested() -> None:
    position = np.array([[0.001, 0.0, 0.0], [0.001, 0.0, 0.0], [0.1, 0.0, 0.0], [0.2, 0.0, 0.0]])
    quaternion = np.tile(IDENTITY, (4, 1))
    joints = np.array([[0.0], [0.5], [0.0], [0.0]])
    success = [True, True, True, False]
    assert unique_rate(position, quaternion, joints, success) == pytest.approx(3 / 4)
    assert unique_rate(position, quaternion, joints, success, requested=12) == pytest.approx(3 / 12)
    assert pose_unique_rate(position, quaternion, success) == pytest.approx(2 / 4)  # joints do not count


def test_entropy_of_equal_and_of_evenly_spread_grasps() -> None:
    count = 64
    limits = {"joint_lower": [0.0], "joint_upper": [1.0]}
    still = np.zeros((count, 3)), np.tile(IDENTITY, (count, 1)), np.full((count, 1), 0.5)
    assert grasp_entropy(*still, **limits) == pytest.approx(0.0)
    even = (np.arange(count)[:, None] + 0.5) / count
    assert grasp_entropy(still[0], still[1], even, **limits) == pytest.approx(0.5 * math.log(32))
    position = 0.2 * np.repeat(even, 3, axis=1) - 0.1
    assert grasp_entropy(position, still[1], still[2], **limits) == pytest.approx(0.5 * math.log(32))
    # Turned about z by angles spread over (0, 180) deg: only the angle of the rotation vector differs.
    turned = np.stack([about_z(180.0 * value) for value in even[:, 0]])
    assert grasp_entropy(still[0], turned, still[2], **limits) == pytest.approx(0.5 * math.log(32) / 3)
    assert math.isnan(grasp_entropy(np.zeros((0, 3)), np.zeros((0, 4)), np.zeros((0, 1)), **limits))


def test_first_variance_ratio_of_a_line_and_of_a_square() -> None:
    quaternion = np.tile(IDENTITY, (4, 1))
    line = np.outer([-2.0, -1.0, 1.0, 2.0], [0.1, 0.2, 0.3])
    assert first_variance_ratio(line, quaternion, np.outer([-2, -1, 1, 2], [1.0])) == pytest.approx(1.0)
    square = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])
    assert first_variance_ratio(square, quaternion, np.zeros((4, 1))) == pytest.approx(0.5)
    assert math.isnan(first_variance_ratio(np.zeros((4, 3)), quaternion, np.zeros((4, 1))))


def test_hand_signed_distance_agrees_with_every_shape_alone() -> None:
    hand = load_hand("robotiq_2f140")
    random = np.random.default_rng(0)
    root, quaternion = np.array([0.02, -0.01, 0.03]), random.normal(size=4)
    quaternion /= np.linalg.norm(quaternion)
    joints = np.array([0.3])
    points = random.uniform(-0.2, 0.2, (300, 3))
    position, turned = hand.forward_kinematics(root, quaternion, joints)
    expected = np.full(len(points), np.inf)
    for geometry, link in enumerate(hand.geometry_link):
        local = Rotation.from_quat(turned[link]).inv().apply(points - position[link])
        expected = np.minimum(expected, hand.geometry_shape(geometry).signed_distance(local))
    np.testing.assert_allclose(
        hand_signed_distance(hand, root, quaternion, joints, points), expected, atol=1e-12
    )
    near = hand_signed_distance(hand, root, quaternion, joints, points, reach=0.03)
    np.testing.assert_allclose(np.minimum(near, 0.03), np.minimum(expected, 0.03), atol=1e-12)


def test_object_signed_distance_of_a_box(box: ObjectModel) -> None:
    points = [[0.0, 0.0, 0.0], [0.03, 0.0, 0.0], [0.015, 0.0, 0.001], [0.023, 0.024, 0.0]]
    np.testing.assert_allclose(object_signed_distance(box, points), [-0.02, 0.01, -0.005, 0.005], atol=1e-7)


def test_penetration_depth_of_pads_in_a_box(box: ObjectModel) -> None:
    hand = pad_hand()
    assert penetration_depth(hand, box, np.zeros(3), IDENTITY, [0.018, 0.019]) == pytest.approx(
        0.002, abs=1e-7
    )
    assert penetration_depth(hand, box, np.zeros(3), IDENTITY, [0.021, 0.021]) == 0.0
    moved = about_z(90.0)  # the hand turned: its plates press on y, and its root moves along y
    depth = penetration_depth(hand, box, [0.0, 0.001, 0.0], moved, [0.0205, 0.0205])
    assert depth == pytest.approx(0.0005, abs=1e-7)


def test_self_penetration_depth_of_overlapping_plates() -> None:
    hand = pad_hand()
    assert self_penetration_depth(hand, [0.01, 0.01]) == 0.0
    assert self_penetration_depth(hand, [0.01, -0.012]) == pytest.approx(0.002, abs=1e-7)
    # as no simulator sees a contact that the hand's file filters, such as that of nested brackets
    filtered = dataclasses.replace(hand, name="filtered", filtered_links=np.array([[1, 2]], dtype=np.int32))
    assert self_penetration_depth(filtered, [0.01, -0.012]) == 0.0


def test_contact_distance_consistency_is_the_spread_of_finger_distances(box: ObjectModel) -> None:
    spread = contact_distance_consistency(pad_hand(), box, np.zeros(3), IDENTITY, [0.021, 0.024])
    assert spread == pytest.approx(0.003, abs=1e-6)
    inside = contact_distance_consistency(pad_hand(), box, np.zeros(3), IDENTITY, [0.019, 0.024])
    assert inside == pytest.approx(0.005, abs=1e-6)


def test_contact_area_of_one_plate_on_a_face(box: ObjectModel) -> None:
    # The plate covers the face of 16 cm^2 from 1 mm; within 2 mm lie the face and 1 mm of the sides around it.
    area = contact_area(pad_hand(), box, np.zeros(3), IDENTITY, [0.021, 0.09], distance=0.002)
    assert area == pytest.approx(0.04**2 + 4 * 0.04 * 0.001, rel=0.01)  # of samples
    assert contact_area(pad_hand(), box, np.zeros(3), IDENTITY, [0.09, 0.09]) == 0.0


def test_intersection_volume_of_pads_in_a_box(box: ObjectModel) -> None:
    volume = intersection_volume(pad_hand(), box, np.zeros(3), IDENTITY, [0.016, 0.018], spacing=0.001)
    assert volume == pytest.approx((0.004 + 0.002) * 0.04**2, rel=1e-6)
    assert intersection_volume(pad_hand(), box, np.zeros(3), IDENTITY, [0.03, 0.03]) == 0.0


def test_wrench_space_of_a_cross_polytope() -> None:
    wrenches = np.concatenate([np.eye(6), -np.eye(6)])
    assert epsilon_quality(wrenches) == pytest.approx(1.0 / math.sqrt(6.0))
    assert volume_quality(wrenches) == pytest.approx(2.0**6 / math.factorial(6))


def test_epsilon_is_zero_without_force_closure_and_volume_when_flat() -> None:
    wrenches = np.concatenate([np.eye(6), -np.eye(6)])
    assert epsilon_quality(wrenches + np.eye(6)[0] * 1.5) == 0.0  # the origin lies outside
    flat = np.concatenate([np.eye(6)[:5], -np.eye(6)[:5]])
    assert epsilon_quality(flat) == 0.0
    assert volume_quality(flat) == 0.0
    assert epsilon_quality(np.full((20, 6), np.nan)) == 0.0


def test_epsilon_agrees_with_linear_programs_over_directions() -> None:
    """Along every direction the hull reaches at least epsilon, along the direction of the nearest facet exactly."""
    random = np.random.default_rng(1)
    normal = random.normal(size=(12, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    wrenches = contact_wrenches(
        0.04 * normal, normal + 0.1 * random.normal(size=(12, 3)), np.zeros(3), friction=0.5
    )
    epsilon = epsilon_quality(wrenches)
    assert epsilon > 0.0
    reach = []
    for direction in random.normal(size=(200, 6)):
        unit = direction / np.linalg.norm(direction)
        # largest t with t * unit in the hull
        rows = np.concatenate([np.column_stack([wrenches.T, -unit]), [[*np.ones(len(wrenches)), 0.0]]])
        answer = linprog([*np.zeros(len(wrenches)), -1.0], A_eq=rows, b_eq=[*np.zeros(6), 1.0])
        reach.append(answer.x[-1])
    assert min(reach) >= epsilon - 1e-9
    assert min(reach) < 4.0 * epsilon


def test_contact_wrenches_lie_on_the_friction_cone() -> None:
    normal = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    position = np.array([[0.1, 0.2, 0.3], [0.0, 0.1, 0.0]])
    center = np.array([0.1, 0.0, 0.3])
    wrenches = contact_wrenches(position, normal, center, friction=0.3, edge_count=8, torque_weight=5.0)
    assert wrenches.shape == (16, 6)
    force = wrenches[:, :3].reshape(2, 8, 3)
    pressing = -np.einsum("cei,ci->ce", force, normal)
    np.testing.assert_allclose(pressing, 1.0)
    sliding = np.linalg.norm(force + pressing[..., None] * normal[:, None], axis=2)
    np.testing.assert_allclose(sliding, 0.3)
    torque = 5.0 * np.cross((position - center)[:, None], force)
    np.testing.assert_allclose(wrenches[:, 3:].reshape(2, 8, 3), torque, atol=1e-12)
