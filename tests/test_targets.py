"""Contact forces, squeeze targets and pregrasps against SciPy, differences of the host kinematics and exact distances."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from cases import HANDS, annealed_variables, example_objects, make_problem, only, state_of
from eval_factory import offset_box, pad_hand
from numpy.typing import NDArray
from oracle_forces import solve_box_qp, wrench_matrix
from oracle_geometry import closest_on_mesh, geometry_depth
from scipy.spatial.transform import Rotation

from warpgrasp.base.status import GraspStatus
from warpgrasp.hands import GeometryType, HandModel, load_hand
from warpgrasp.kernels.qp.dual_newton import QpConfig
from warpgrasp.objects import ObjectModel
from warpgrasp.synthesis.controller_targets import TargetConfig, contact_forces, pregrasp, squeeze
from warpgrasp.synthesis.energy_config import ENERGY_PRESETS, EnergyConfig
from warpgrasp.synthesis.energy_terms import ForceClosure
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.state import GraspState
from warpgrasp.synthesis.synthesize import SynthesisConfig, synthesize

FloatArray = NDArray[np.float64]


@lru_cache(maxsize=4)
def annealed(hand: str, grasp_type: str = "power") -> tuple[GraspProblem, GraspState]:
    problem = make_problem(hand, example_objects(2), grasp_count=3, contact_count=6, grasp_type=grasp_type)
    return problem, state_of(problem, annealed_variables(problem, 3, step_count=150))


CASES = [*[(hand, "power") for hand in HANDS], ("allegro", "pinch")]


# -- contact forces --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hand", "grasp_type"), CASES)
def test_contact_forces_are_the_qps(hand: str, grasp_type: str) -> None:
    """Edge forces of SciPy's solution, summed per contact; inside their cone, pushing into the object, within the bounds."""
    problem, state = annealed(hand, grasp_type)
    solution = contact_forces(problem, state)
    np.testing.assert_array_equal(solution.status, GraspStatus.OK)
    position, normal = state.contact_position.numpy(), state.object_normal.numpy().astype(np.float64)
    term = ForceClosure()
    for grasp in range(problem.batch_size):
        center = problem.objects[grasp // problem.grasp_count].center_of_mass
        columns = wrench_matrix(position[grasp], normal[grasp], center, term.friction, 4, term.torque_weight)
        exact, _ = solve_box_qp(columns, term.qp.lower, term.qp.upper, term.qp.ridge)
        edges = columns[:3].T.reshape(-1, 4, 3)
        expected = np.einsum("ck,ckd->cd", exact.reshape(-1, 4), edges)
        # Forces are less certain than the value: the ridge of 1e-4 is all that makes them unique.
        np.testing.assert_allclose(solution.force[grasp], expected, atol=0.02 * np.abs(expected).max())

        inward = np.einsum("cd,cd->c", solution.force[grasp], -normal[grasp])
        tangential = np.linalg.norm(solution.force[grasp] + inward[:, None] * normal[grasp], axis=1)
        length = np.sqrt(1.0 + term.friction**2)
        assert np.all(inward >= term.qp.lower / length - 1e-4)
        assert np.all(inward <= term.qp.upper / length + 1e-3)
        # The pyramid's edges lie on the Coulomb cone, so the pyramid lies inside it.
        assert np.all(tangential <= term.friction * inward + 1e-4 * inward.max())
        # Inside the pyramid itself: between the faces of its square section, turned by 45 deg to the tangents.
        for edge_pair in ((0, 2), (1, 3)):
            axis = (edges[:, edge_pair[0]] - edges[:, edge_pair[1]]) * 2.0 * length / term.friction
            np.testing.assert_allclose(np.linalg.norm(axis, axis=1), 1.0, atol=1e-5)
        tangents = (
            np.stack([edges[:, 0] - edges[:, 2], edges[:, 1] - edges[:, 3]], axis=1)
            * 2.0
            * length
            / term.friction
        )
        share = np.abs(np.einsum("cd,ckd->ck", solution.force[grasp], tangents)).sum(axis=1)
        assert np.all(share <= term.friction * inward + 1e-4 * inward.max())


@pytest.mark.parametrize(("lower", "upper"), [(1.0, 1.5), (0.5, 5.0)])
def test_bounds_of_the_qp_bind_the_forces(lower: float, upper: float) -> None:
    term = ForceClosure(qp=QpConfig(lower=lower, upper=upper), friction=0.4)
    problem = make_problem(
        "allegro", example_objects(1), grasp_count=3, contact_count=5, energy=only(force_closure=term)
    )
    state = state_of(
        problem,
        annealed_variables(make_problem("allegro", example_objects(1), grasp_count=3, contact_count=5), 1),
    )
    solution = contact_forces(problem, state, term)
    inward = np.einsum("bcd,bcd->bc", solution.force, -state.object_normal.numpy())
    length = np.sqrt(1.0 + 0.4**2)
    assert np.all(inward >= lower / length - 1e-4)
    assert np.all(inward <= upper / length + 1e-4)


def test_forces_do_not_need_a_force_closure_energy() -> None:
    """Grasps made with another energy get the forces of the default QP; nothing is left in the accumulators."""
    problem, state = annealed("allegro")
    other = make_problem(
        "allegro", problem.objects, grasp_count=3, contact_count=6, energy=ENERGY_PRESETS["dexgraspnet"]()
    )
    moved = other.create_state()
    other.set_variables(
        moved, state.root_pose.numpy(), state.joint_position.numpy(), state.contact_index.numpy()
    )
    other.evaluate(moved)
    expected = contact_forces(problem, state).force
    np.testing.assert_allclose(
        contact_forces(other, moved).force, expected, atol=1e-3 * np.abs(expected).max()
    )
    assert not moved.link_wrench.numpy().any()


# -- squeeze ---------------------------------------------------------------------------------------------------------------


def contact_positions(problem: GraspProblem, state: GraspState, grasp: int, joints: FloatArray) -> FloatArray:
    """Contact points [C, 3] of other joint positions, by the host kinematics."""
    root = state.root_pose.numpy()[grasp].astype(np.float64)
    position, quaternion = problem.hand.forward_kinematics(root[:3], root[3:], joints)
    index = state.contact_index.numpy()[grasp]
    link, local = problem.host_candidates.link[index], problem.host_candidates.position[index]
    return position[link] + Rotation.from_quat(quaternion[link]).apply(local)


@pytest.mark.parametrize(("hand", "grasp_type"), CASES)
@pytest.mark.parametrize("effort", [0.3, 0.9])
def test_squeeze_is_jacobian_transpose_force_over_stiffness(
    hand: str, grasp_type: str, effort: float
) -> None:
    problem, state = annealed(hand, grasp_type)
    raw = contact_forces(problem, state).force
    target, force = squeeze(problem, state, raw, TargetConfig(squeeze_effort=effort))
    model, step = problem.hand, 1e-6
    for grasp in range(problem.batch_size):
        joints = state.joint_position.numpy()[grasp].astype(np.float64)
        torque = np.zeros(model.dof_count)
        for dof in range(model.dof_count):
            offset = step * np.eye(model.dof_count)[dof]
            column = contact_positions(problem, state, grasp, joints + offset)
            column = (column - contact_positions(problem, state, grasp, joints - offset)) / (2.0 * step)
            torque[dof] = np.sum(column * force[grasp])
        assert np.max(np.abs(torque) / model.dof_effort) == pytest.approx(effort, rel=1e-3)
        expected = joints + torque / model.dof_stiffness
        np.testing.assert_allclose(
            target[grasp], expected, atol=1e-3 * np.abs(expected - joints).max() + 1e-6
        )
        # One factor per grasp: the ratios of the forces, and with them the cones, stay.
        factor = np.linalg.norm(force[grasp]) / np.linalg.norm(raw[grasp])
        np.testing.assert_allclose(force[grasp], factor * raw[grasp], rtol=1e-6)
    for name in problem.grasp_type.idle_joint_position:
        dof = model.joint_names.index(name)
        np.testing.assert_array_equal(target[:, dof], state.joint_position.numpy()[:, dof])


def test_squeeze_pushes_contacts_along_their_forces() -> None:
    """The sign: at the squeeze target the fingers' contacts lie deeper in the object than at the grasp."""
    problem, state = annealed("allegro")
    force = contact_forces(problem, state).force
    target, scaled = squeeze(problem, state, force, TargetConfig(squeeze_effort=0.5))
    for grasp in range(problem.batch_size):
        joints = state.joint_position.numpy()[grasp].astype(np.float64)
        moved = contact_positions(problem, state, grasp, target[grasp]) - contact_positions(
            problem, state, grasp, joints
        )
        assert np.sum(moved * scaled[grasp]) > 0.0


def test_strong_squeeze_bounds_every_joint_and_tells_bearable_forces() -> None:
    problem, state = annealed("allegro")
    force = contact_forces(problem, state).force
    full, bearable = squeeze(problem, state, force, TargetConfig(squeeze_effort=1.0))
    strong, told = squeeze(problem, state, force, TargetConfig(squeeze_effort=3.0))
    joints = state.joint_position.numpy()
    ratio = (full - joints) * problem.hand.dof_stiffness / problem.hand.dof_effort
    assert np.any(np.abs(ratio) < 1.0 / 3.0)
    assert np.any((np.abs(ratio) > 1.0 / 3.0) & (np.abs(ratio) < 0.99))
    found = (strong - joints) * problem.hand.dof_stiffness / problem.hand.dof_effort
    np.testing.assert_allclose(found, np.clip(3.0 * ratio, -1.0, 1.0), atol=1e-6)
    np.testing.assert_array_equal(told, bearable)


def test_no_effort_means_no_squeeze() -> None:
    problem, state = annealed("allegro")
    force = contact_forces(problem, state).force
    target, scaled = squeeze(problem, state, force, TargetConfig(squeeze_effort=0.0))
    np.testing.assert_array_equal(target, state.joint_position.numpy())
    np.testing.assert_array_equal(scaled, 0.0)
    target, scaled = squeeze(problem, state, np.zeros_like(force), TargetConfig())
    np.testing.assert_array_equal(target, state.joint_position.numpy())


# -- pregrasp --------------------------------------------------------------------------------------------------------------


def outside_distance(hand: HandModel, geometry: int, points: FloatArray) -> FloatArray:
    """Distance [N] of points (link frame) to a geometry; exact outside within 2 cm, minus the depth inside, inf far away."""
    turn = Rotation.from_quat(hand.geometry_quaternion[geometry])
    local = turn.inv().apply(points - hand.geometry_position[geometry])
    bound = -geometry_depth(hand, geometry, local)[0]
    if hand.geometry_type[geometry] == GeometryType.CAPSULE:
        return bound
    if hand.geometry_type[geometry] == GeometryType.BOX:
        over = np.maximum(np.abs(local) - hand.geometry_size[geometry], 0.0)
        return np.where(bound > 0.0, np.linalg.norm(over, axis=1), bound)
    result = np.where(bound > 0.02, np.inf, bound)
    mesh = hand.geometry_mesh[geometry]
    surface = dataclasses.replace(example_objects(1)[0], vertices=mesh.vertices, faces=mesh.faces)
    for i in np.flatnonzero((bound > 0.0) & (bound <= 0.02)):
        result[i] = abs(closest_on_mesh(surface, points[i])[1])
    return result


def exact_clearance(hand: HandModel, model: ObjectModel, pose: FloatArray, joints: FloatArray) -> float:
    """Smallest distance [m] between the object's samples and the hand's geometry."""
    position, quaternion = hand.forward_kinematics(pose[:3], pose[3:], joints)
    samples = model.surface_samples(2500)[0]
    smallest = np.inf
    for g in range(len(hand.geometry_type)):
        link = hand.geometry_link[g]
        local = Rotation.from_quat(quaternion[link]).inv().apply(samples - position[link])
        smallest = min(smallest, float(outside_distance(hand, g, local).min()))
    return smallest


@pytest.mark.parametrize(("hand", "grasp_type"), CASES)
def test_pregrasp_is_clear_or_says_that_it_is_not(hand: str, grasp_type: str) -> None:
    problem, state = annealed(hand, grasp_type)
    opened = pregrasp(problem, state, TargetConfig())
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


def corner_clearance(hand: HandModel, model: ObjectModel, pose: FloatArray, joints: FloatArray) -> float:
    """Smallest signed distance [m] of 150 vertices of the hand's meshes to the object's exact surface."""
    position, quaternion = hand.forward_kinematics(pose[:3], pose[3:], joints)
    corners = [
        position[link] + Rotation.from_quat(quaternion[link]).apply(mesh.vertices)
        for link, mesh in zip(hand.geometry_link, hand.geometry_mesh, strict=True)
    ]
    points = np.concatenate(corners)
    # The nearest to the samples first: only they can decide.
    samples = model.surface_samples(2500)[0]
    coarse = np.array([np.min(np.sum((samples - p) ** 2, axis=1)) for p in points])
    return min(closest_on_mesh(model, points[i])[1] for i in np.argsort(coarse)[:20])


@pytest.mark.parametrize("hand", HANDS)
def test_pregrasp_moves_no_more_than_it_must(hand: str) -> None:
    """Joints on the line to the opening pose, root drawn back along the palm, in the smallest step that clears."""
    problem, state = annealed(hand)
    config = TargetConfig()
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


def test_pregrasp_opens_rather_than_draws_back(tmp_path: Path) -> None:
    """Two plates beside a flat box: 1 cm of opening, two thirds of all, clears it; so would 5 cm of retreat."""
    hand, box = pad_hand(), offset_box(tmp_path, (0.045, 0.02, 0.0095))
    problem = GraspProblem(
        hand, [box], grasp_count=1, contact_count=2, terms=EnergyConfig().active_terms(), device="cpu"
    )
    state = problem.create_state()
    identity = np.array([[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]])
    problem.set_variables(state, identity, np.full((1, 2), 0.045), np.array([[0, 1]]))
    problem.evaluate(state)
    opened = pregrasp(problem, state, TargetConfig())
    np.testing.assert_allclose(opened.root_pose, identity, atol=1e-12)
    finest = (hand.dof_opening[0] - 0.045) / TargetConfig().opening_steps
    assert np.all(opened.joint_position >= 0.055 - 1e-6)
    assert np.all(opened.joint_position <= 0.055 + finest + 1e-6)
    # Where the plates are held shut, retreat is what remains, in steps of 1 cm.
    held = dataclasses.replace(hand, dof_opening=np.full(2, 0.045))
    problem = GraspProblem(
        held, [box], grasp_count=1, contact_count=2, terms=EnergyConfig().active_terms(), device="cpu"
    )
    opened = pregrasp(problem, state, TargetConfig())
    np.testing.assert_allclose(opened.root_pose[0, :3], [0.0, 0.0, -0.05], atol=1e-6)


def test_a_clear_hand_stays_where_it_is() -> None:
    """Nothing to open when the grasp itself is clear already."""
    problem, state = annealed("allegro")
    far = problem.create_state()
    pose = state.root_pose.numpy().copy()
    pose[:, 2] += 1.0
    problem.set_variables(far, pose, state.joint_position.numpy(), state.contact_index.numpy())
    problem.evaluate(far)
    opened = pregrasp(problem, far, TargetConfig())
    np.testing.assert_array_equal(opened.root_pose, pose.astype(np.float64))
    np.testing.assert_array_equal(opened.joint_position, far.joint_position.numpy())
    assert np.all(opened.clearance >= 0.01)


@pytest.mark.parametrize("hand", HANDS)
def test_synthesis_flags_pregrasps_that_are_not_clear(hand: str) -> None:
    """A retreat that is too short for the demanded clearance: each grasp is either clear or has the status."""
    config = SynthesisConfig(
        grasp_count=6,
        contact_count=6,
        step_count=60,
        device="cpu",
        targets=TargetConfig(clearance=0.02, retreat=0.01, opening_steps=1),
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"squeeze_effort": -0.5}, r"targets\.squeeze_effort must be finite and not negative \(got -0\.5\)"),
        ({"clearance": -0.1}, r"targets\.clearance must be finite and not negative \(got -0\.1\)"),
        ({"opening_steps": 0}, r"opening_steps must be positive and finite \(got 0\)"),
        ({"retreat_step": 0.0}, r"retreat_step must be positive and finite \(got 0\)"),
        ({"retreat_step": 1e-9}, r"try 3\.36e\+09 pregrasps of each grasp, at most 100000"),
    ],
)
def test_bad_targets_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TargetConfig(**options)  # type: ignore[arg-type]
