"""Pregrasps against exact distances, and their steps against NumPy's least squares."""

from __future__ import annotations

import dataclasses
import itertools
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import warp as wp
from cases import HANDS, annealed_variables, example_objects, make_problem, state_of
from eval_factory import offset_box, pad_hand
from numpy.typing import NDArray
from oracle_clearance import corner_clearance, exact_clearance
from oracle_geometry import closest_on_mesh
from scipy.spatial.transform import Rotation

from warpgrasp.base.status import GraspStatus
from warpgrasp.hands import HandModel, load_hand
from warpgrasp.hands.device import surface_points
from warpgrasp.kernels.targets.opening import launch_nearest_points
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.pregrasp import pregrasp
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.state import GraspState
from warpgrasp.synthesis.synthesize import SynthesisConfig, synthesize
from warpgrasp.synthesis.target_config import TargetConfig

FloatArray = NDArray[np.float64]


@lru_cache(maxsize=4)
def annealed(hand: str, grasp_type: str = "power") -> tuple[GraspProblem, GraspState]:
    problem = make_problem(hand, example_objects(2), grasp_count=3, contact_count=6, grasp_type=grasp_type)
    return problem, state_of(problem, annealed_variables(problem, 3, step_count=150))


APPROACH = TargetConfig(pregrasp="approach", clearance=0.01, opening_steps=20)

CASES = [*[(hand, "power") for hand in HANDS], ("allegro", "pinch")]


@pytest.mark.parametrize(("hand", "grasp_type"), CASES)
def test_approach_is_clear_or_says_that_it_is_not(hand: str, grasp_type: str) -> None:
    problem, state = annealed(hand, grasp_type)
    opened = pregrasp(problem, state, APPROACH)
    assert np.mean(opened.clearance >= 0.01) > 0.5
    for grasp in range(problem.batch_size):
        model = problem.objects[grasp // problem.grasp_count]
        exact = exact_clearance(problem.hand, model, opened.root_pose[grasp], opened.joint_position[grasp])
        # Near the edges of boxes and hulls the reported clearance is a lower bound.
        assert exact >= opened.clearance[grasp] - 2e-5
        if opened.clearance[grasp] >= 0.01:
            assert exact >= 0.01 - 1e-5
            # Samples miss what lies between them, hand corners see it: less than 1 mm.
            assert (
                corner_clearance(problem.hand, model, opened.root_pose[grasp], opened.joint_position[grasp])
                > 0.009
            )


@pytest.mark.parametrize("hand", HANDS)
def test_approach_moves_no_more_than_it_must(hand: str) -> None:
    """Joints on the line to the opening pose, root drawn back along the palm, in the smallest step that clears."""
    problem, state = annealed(hand)
    config = APPROACH
    opened = pregrasp(problem, state, config)
    model = problem.hand
    root, joints = state.root_pose.numpy().astype(np.float64), state.joint_position.numpy().astype(np.float64)
    palm = Rotation.from_quat(root[:, 3:]) * Rotation.from_quat(model.wrist_quaternion)
    retreat = np.einsum("bi,bi->b", root[:, :3] - opened.root_pose[:, :3], palm.apply([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(
        opened.root_pose[:, :3], root[:, :3] - retreat[:, None] * palm.apply([0.0, 0.0, 1.0]), atol=1e-7
    )
    np.testing.assert_array_equal(opened.root_pose[:, 3:], root[:, 3:])
    assert np.all(np.abs(retreat / config.retreat_step - np.round(retreat / config.retreat_step)) < 1e-4)
    assert retreat.max() <= config.retreat + 1e-6
    toward = model.dof_opening - joints
    share = np.sum((opened.joint_position - joints) * toward, axis=1) / np.sum(toward**2, axis=1)
    np.testing.assert_allclose(opened.joint_position, joints + share[:, None] * toward, atol=1e-6)
    assert np.all((share > -1e-6) & (share < 1.0 + 1e-6))
    assert np.all(opened.joint_position >= model.dof_lower - 1e-6)
    assert np.all(opened.joint_position <= model.dof_upper + 1e-6)


def test_approach_opens_rather_than_draws_back(tmp_path: Path) -> None:
    """Two plates beside a flat box: 1 cm of opening, two thirds of all, clears it; so would 5 cm of retreat."""
    hand, box = pad_hand(), offset_box(tmp_path, (0.045, 0.02, 0.0095))
    problem = GraspProblem(
        hand, [box], grasp_count=1, contact_count=2, terms=EnergyConfig().active_terms(), device="cpu"
    )
    state = problem.create_state()
    identity = np.array([[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]])
    problem.set_variables(state, identity, np.full((1, 2), 0.045), np.array([[0, 1]]))
    problem.evaluate(state)
    opened = pregrasp(problem, state, APPROACH)
    np.testing.assert_allclose(opened.root_pose, identity, atol=1e-12)
    finest = (hand.dof_opening[0] - 0.045) / APPROACH.opening_steps
    assert np.all(opened.joint_position >= 0.055 - 1e-6)
    assert np.all(opened.joint_position <= 0.055 + finest + 1e-6)
    # Where the plates are held shut, retreat is what remains, in steps of 1 cm.
    held = dataclasses.replace(hand, dof_opening=np.full(2, 0.045))
    problem = GraspProblem(
        held, [box], grasp_count=1, contact_count=2, terms=EnergyConfig().active_terms(), device="cpu"
    )
    opened = pregrasp(problem, state, APPROACH)
    np.testing.assert_allclose(opened.root_pose[0, :3], [0.0, 0.0, -0.05], atol=1e-6)


@pytest.mark.parametrize("config", [APPROACH, TargetConfig()])
def test_a_clear_hand_stays_where_it_is(config: TargetConfig) -> None:
    """Nothing to open when the grasp itself is clear already."""
    problem, state = annealed("allegro")
    far = problem.create_state()
    pose = state.root_pose.numpy().copy()
    pose[:, 2] += 1.0
    problem.set_variables(far, pose, state.joint_position.numpy(), state.contact_index.numpy())
    problem.evaluate(far)
    opened = pregrasp(problem, far, config)
    np.testing.assert_array_equal(opened.root_pose, pose.astype(np.float64))
    np.testing.assert_array_equal(opened.joint_position, far.joint_position.numpy())
    assert opened.clear.all()


@pytest.mark.parametrize("hand", HANDS)
def test_synthesis_flags_pregrasps_that_are_not_clear(hand: str) -> None:
    """A retreat that is too short for the demanded clearance: each grasp is either clear or has the status."""
    config = SynthesisConfig(
        grasp_count=6,
        contact_count=6,
        step_count=60,
        device="cpu",
        targets=TargetConfig(pregrasp="approach", clearance=0.02, retreat=0.01, opening_steps=1),
    )
    model, thing = load_hand(hand), example_objects(1)[0]
    result = synthesize(model, [thing], config)[0]
    pose = np.concatenate([result.pregrasp_root_position, result.pregrasp_root_quaternion], axis=1).astype(
        np.float64
    )
    flagged = np.asarray(result.status) == GraspStatus.PREGRASP_NOT_CLEAR
    assert flagged.any()
    for grasp in range(6):
        joints = np.asarray(result.pregrasp_joint_position[grasp], dtype=np.float64)
        clearance = exact_clearance(model, thing, pose[grasp], joints)
        if not flagged[grasp]:
            assert clearance >= 0.02 - 1e-5


# -- opening ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hand", "grasp_type"), CASES)
def test_opened_hands_are_clear_and_near(hand: str, grasp_type: str) -> None:
    """By exact distances of points all over the hand; the root within 1 cm and not turned, the joints in their limits."""
    problem, state = annealed(hand, grasp_type)
    config = TargetConfig()
    opened = pregrasp(problem, state, config)
    np.testing.assert_array_equal(opened.clear, opened.clearance >= 0.8 * config.clearance)
    assert np.mean(opened.clear) >= 0.5
    root = state.root_pose.numpy()
    assert np.linalg.norm(opened.root_pose[:, :3] - root[:, :3], axis=1).max() <= config.root_reach + 1e-6
    np.testing.assert_array_equal(opened.root_pose[:, 3:], root[:, 3:])
    limits = problem.tree.dof_lower.numpy(), problem.tree.dof_upper.numpy()
    before = state.joint_position.numpy()
    assert np.all(opened.joint_position >= np.minimum(limits[0], before) - 1e-6)
    assert np.all(opened.joint_position <= np.maximum(limits[1], before) + 1e-6)
    for grasp in range(problem.batch_size):
        model = problem.objects[grasp // problem.grasp_count]
        pose, joints = opened.root_pose[grasp], opened.joint_position[grasp]
        exact = exact_clearance(problem.hand, model, pose, joints)
        # Points 5 mm apart on the hand miss what lies between them.
        assert exact >= opened.clearance[grasp] - 2.5e-3
        if opened.clearance[grasp] < config.clearance:
            assert exact <= opened.clearance[grasp] + 1.5e-3


def host_points(hand: HandModel, spacing: float) -> list[FloatArray]:
    """The points of ``surface_points`` as arrays [P, 3] per link."""
    points = surface_points(hand, "cpu", spacing=spacing)
    start, position = points.start.numpy(), points.position.numpy()
    return [position[a:b] for a, b in itertools.pairwise(start)]


def test_points_cover_the_surface_and_nothing_else() -> None:
    hand = load_hand("allegro")
    for link, points in enumerate(host_points(hand, 0.005)):
        shapes = hand.link_shapes(link)
        distance = np.min([shape.signed_distance(points) for shape in shapes], axis=0)
        assert np.all(np.abs(distance) < 2e-4)
        for shape in shapes:
            corners = shape.mesh.vertices
            free = np.all([own.signed_distance(corners) > -1e-4 for own in shapes], axis=0)
            away = np.linalg.norm(corners[free][:, None] - points[None], axis=2).min(axis=1)
            assert away.size == 0 or away.max() < 0.006


def test_nearest_points_are_the_nearest() -> None:
    problem, state = annealed("allegro")
    reach = 0.006
    points = surface_points(problem.hand, "cpu", spacing=0.02)
    shape = (*state.link_pose.shape, 3)
    distance = wp.empty(shape, dtype=wp.float32, device="cpu")
    position, normal = (wp.empty(shape, dtype=wp.vec3, device="cpu") for _ in range(2))
    launch_nearest_points(
        points,
        problem.meshes,
        problem.distance_bound,
        problem.object_index,
        state.link_pose,
        reach,
        running=wp.ones(problem.batch_size, dtype=wp.int32, device="cpu"),
        distance=distance,
        position=position,
        normal=normal,
    )
    found, where = distance.numpy(), position.numpy()
    local, pose = host_points(problem.hand, 0.02), state.link_pose.numpy().astype(np.float64)
    near = 0
    for grasp in range(0, problem.batch_size, 2):
        model = problem.objects[grasp // problem.grasp_count]
        for link, own in enumerate(local):
            world = Rotation.from_quat(pose[grasp, link, 3:]).apply(own) + pose[grasp, link, :3]
            exact = np.sort([min(closest_on_mesh(model, x)[1], reach) for x in world])[:3]
            exact = np.concatenate([exact, np.full(3 - len(exact), reach)])
            np.testing.assert_allclose(found[grasp, link], exact, atol=2e-6)
            for slot in np.flatnonzero(exact < reach - 1e-5):
                near += 1
                assert np.linalg.norm(world - where[grasp, link, slot], axis=1).min() < 1e-6
                gradient = where[grasp, link, slot] - closest_on_mesh(model, where[grasp, link, slot])[0]
                gradient *= np.sign(found[grasp, link, slot]) / np.linalg.norm(gradient)
                np.testing.assert_allclose(normal.numpy()[grasp, link, slot], gradient, atol=2e-2)
    assert near > 20


def moved_points(
    hand: HandModel, pose: FloatArray, joints: FloatArray, link: int, local: FloatArray
) -> FloatArray:
    """Points [N, 3] of a link in the object frame."""
    position, quaternion = hand.forward_kinematics(pose[:3], pose[3:], joints)
    return position[link] + Rotation.from_quat(quaternion[link]).apply(local)


def row_of(
    hand: HandModel, pose: FloatArray, joints: FloatArray, link: int, point: FloatArray, way: FloatArray
) -> FloatArray:
    """How fast a point of a link moves along ``way`` with the unknowns, by central differences, shape [3 + J]."""
    position, quaternion = hand.forward_kinematics(pose[:3], pose[3:], joints)
    local = Rotation.from_quat(quaternion[link]).inv().apply(point - position[link])
    row = [*way]
    for dof in range(hand.dof_count):
        offset = 1e-6 * np.eye(hand.dof_count)[dof]
        ahead = moved_points(hand, pose, joints + offset, link, local)
        back = moved_points(hand, pose, joints - offset, link, local)
        row.append(float((ahead - back) @ way) / 2e-6)
    return np.array(row)


def exact_step(
    problem: GraspProblem, state: GraspState, grasp: int, config: TargetConfig
) -> tuple[FloatArray, FloatArray]:
    """Root position and joints after one opening step: rows from exact distances, solved by NumPy."""
    hand, model = problem.hand, problem.objects[grasp // problem.grasp_count]
    pose = state.root_pose.numpy()[grasp].astype(np.float64)
    joints = state.joint_position.numpy()[grasp].astype(np.float64)
    link_pose = state.link_pose.numpy()[grasp].astype(np.float64)
    rows, ways, weights = [], [], []
    for link, own in enumerate(host_points(hand, 0.005)):
        world = Rotation.from_quat(link_pose[link, 3:]).apply(own) + link_pose[link, :3]
        low, high = (
            model.vertices.min(axis=0) - config.clearance,
            model.vertices.max(axis=0) + config.clearance,
        )
        world = world[np.all((world > low) & (world < high), axis=1)]
        features = [closest_on_mesh(model, x) for x in world]
        order = np.argsort([feature[1] for feature in features])[:3] if features else []
        for index in order:
            closest, distance = features[index][:2]
            if distance < config.clearance:
                gradient = (world[index] - closest) / distance
                rows.append(row_of(hand, pose, joints, link, world[index], gradient))
                ways.append(min(config.clearance - distance, 0.002))
                weights.append(1.0)
    center = hand.sphere_centers(pose[:3], pose[3:], joints)
    first, second = np.asarray(hand.self_collision_pairs()).T
    offset = center[first] - center[second]
    gap = np.linalg.norm(offset, axis=1) - hand.sphere_radius[first] - hand.sphere_radius[second]
    for pair in np.argsort(gap)[:6]:
        if gap[pair] < 0.0005:
            apart = offset[pair] / np.linalg.norm(offset[pair])
            one, other = first[pair], second[pair]
            row = row_of(hand, pose, joints, hand.sphere_link[one], center[one], apart)
            rows.append(row - row_of(hand, pose, joints, hand.sphere_link[other], center[other], apart))
            ways.append(min(0.0005 - gap[pair], 0.002))
            weights.append(2.0)
    damping = np.concatenate([np.full(3, 0.05), np.full(hand.dof_count, 1e-3)])
    held = np.zeros(3 + hand.dof_count, dtype=bool)
    for _ in range(2):
        scaled = np.sqrt(weights)[:, None] * np.array(rows) * ~held
        step = np.linalg.lstsq(
            np.concatenate([scaled, np.diag(np.sqrt(damping))]),
            np.concatenate([np.sqrt(weights) * ways, np.zeros(len(damping))]),
        )[0]
        wanted = joints + step[3:]
        held[3:] |= (wanted > hand.dof_upper) | (wanted < hand.dof_lower)
    root = step[:3] * min(1.0, 0.002 / np.linalg.norm(step[:3]))
    moved = np.clip(joints + np.clip(step[3:], -0.08, 0.08), hand.dof_lower, hand.dof_upper)
    return pose[:3] + root, np.where(held[3:], joints, moved)


@pytest.mark.parametrize("hand", ["allegro", "shadow_wristless", "barrett"])
def test_an_opening_step_is_the_damped_least_squares(hand: str) -> None:
    problem, state = annealed(hand)
    config = TargetConfig(opening_steps=1)
    opened = pregrasp(problem, state, config)
    for grasp in range(0, problem.batch_size, 2):
        root, joints = exact_step(problem, state, grasp, config)
        np.testing.assert_allclose(opened.root_pose[grasp, :3], root, atol=3e-5)
        np.testing.assert_allclose(opened.joint_position[grasp], joints, atol=2e-3)


def test_opened_plates_leave_a_box_by_the_clearance(tmp_path: Path) -> None:
    """Two plates that pinch a box open by what is asked for each; the root stays, its pulls cancel."""
    hand, box = pad_hand(), offset_box(tmp_path, (0.045, 0.02, 0.0095))
    problem = GraspProblem(
        hand, [box], grasp_count=1, contact_count=2, terms=EnergyConfig().active_terms(), device="cpu"
    )
    state = problem.create_state()
    identity = np.array([[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]])
    problem.set_variables(state, identity, np.full((1, 2), 0.045), np.array([[0, 1]]))
    problem.evaluate(state)
    for clearance in (0.003, 0.008):
        opened = pregrasp(problem, state, TargetConfig(clearance=clearance))
        np.testing.assert_allclose(opened.joint_position, 0.045 + clearance, atol=0.1 * clearance)
        np.testing.assert_allclose(opened.root_pose, identity, atol=1e-4)
        assert opened.clear.all()


def test_opening_keeps_idle_fingers_still() -> None:
    problem, state = annealed("allegro", "pinch")
    opened = pregrasp(problem, state, TargetConfig())
    for name in problem.grasp_type.idle_joint_position:
        dof = problem.hand.joint_names.index(name)
        np.testing.assert_allclose(
            opened.joint_position[:, dof], state.joint_position.numpy()[:, dof], atol=1e-6
        )
