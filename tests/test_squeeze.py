"""Forces and torques of the squeeze against SciPy and differences of the host kinematics."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from cases import HANDS, annealed_variables, example_objects, make_problem, only, state_of
from numpy.typing import NDArray
from oracle_forces import solve_box_qp, wrench_matrix
from scipy.optimize import nnls
from scipy.spatial.transform import Rotation

from warpgrasp.base.status import GraspStatus
from warpgrasp.kernels.qp.dual_newton import QpConfig
from warpgrasp.synthesis.energy_terms import ForceClosure
from warpgrasp.synthesis.methods import method_config
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.squeeze import balanced_forces, contact_forces, joint_torques, squeeze
from warpgrasp.synthesis.state import GraspState
from warpgrasp.synthesis.target_config import TargetConfig

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
        "allegro", problem.objects, grasp_count=3, contact_count=6, energy=method_config("dexgraspnet").energy
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


# -- balanced forces -------------------------------------------------------------------------------------------------------


def exact_balance(problem: GraspProblem, state: GraspState, grasp: int, config: TargetConfig) -> FloatArray:
    """Forces [C, 3] by SciPy's non-negative least squares; the weights are those of the module's description."""
    position = state.contact_position.numpy()[grasp].astype(np.float64)
    normal = state.object_normal.numpy()[grasp].astype(np.float64)
    near = np.flatnonzero(state.contact_distance.numpy()[grasp] < config.squeeze_reach)
    model = problem.objects[grasp // problem.grasp_count]
    # radius: root mean square distance of the surface, from many samples
    points = model.surface_samples(2500)[0]
    radius = np.sqrt(np.mean(np.sum((points - model.center_of_mass) ** 2, axis=1)))
    mu = config.squeeze_friction
    columns = wrench_matrix(position[near], normal[near], model.center_of_mass, mu, 8, 1.0 / radius)
    columns = columns * 8.0 * np.sqrt(1.0 + mu**2)  # a normal force of 1 on every edge
    count = columns.shape[1]
    sums = np.kron(np.eye(len(near)), np.ones((1, 8)))
    rows = np.concatenate([30.0 * columns, sums, 0.05 * np.eye(count)])
    wanted = np.concatenate([np.zeros(6), np.ones(len(near)), np.zeros(count)])
    share = nnls(rows, wanted, maxiter=100 * count)[0]
    force = np.zeros((len(position), 3))
    force[near] = np.einsum("ck,ckd->cd", share.reshape(-1, 8), columns[:3].T.reshape(-1, 8, 3))
    return force


@pytest.mark.parametrize(("hand", "grasp_type"), CASES)
def test_balanced_forces_are_the_least_squares(hand: str, grasp_type: str) -> None:
    problem, state = annealed(hand, grasp_type)
    config = TargetConfig()
    force = balanced_forces(problem, state, config)
    for grasp in range(problem.batch_size):
        # The radius of the samples differs from that of the surface by half a percent.
        np.testing.assert_allclose(force[grasp], exact_balance(problem, state, grasp, config), atol=0.02)
    far = state.contact_distance.numpy() >= config.squeeze_reach
    np.testing.assert_array_equal(force[far], 0.0)


def test_balanced_forces_cancel_and_stay_in_their_cones() -> None:
    """On grasps that close, no wrench is left; every force pushes into the object within the friction allowed."""
    problem, state = annealed("allegro")
    config = TargetConfig()
    force = balanced_forces(problem, state, config)
    position, normal = state.contact_position.numpy(), state.object_normal.numpy()
    inward = -np.sum(force * normal, axis=2)
    tangential = np.linalg.norm(force + inward[:, :, None] * normal, axis=2)
    assert np.all(inward >= -1e-6)
    assert np.all(tangential <= config.squeeze_friction * inward + 1e-5)
    center = np.repeat([model.center_of_mass for model in problem.objects], problem.grasp_count, axis=0)
    torque = np.cross(position - center[:, None, :], force).sum(axis=1)
    assert np.median(np.linalg.norm(force.sum(axis=1), axis=1)) < 0.02
    assert np.median(np.linalg.norm(torque, axis=1)) < 0.02 * 0.05


@pytest.mark.parametrize("count", [1, 2, 3, 17])
def test_balanced_forces_of_any_number_of_contacts(count: int) -> None:
    """One contact cannot be balanced and hardly pushes; opposite ones press with 1 each, less a little for the ridge."""
    model = example_objects(1)[0]
    problem = make_problem("allegro", [model], grasp_count=1, contact_count=count)
    state = problem.create_state()
    center = model.center_of_mass
    angle = 2.0 * np.pi * np.arange(count) / count
    outward = np.stack([np.cos(angle), np.sin(angle), np.zeros(count)], axis=1)
    state.contact_position.assign((center + 0.04 * outward)[None].astype(np.float32))
    state.object_normal.assign(outward[None].astype(np.float32))
    state.contact_distance.assign(np.zeros((1, count), dtype=np.float32))
    force = balanced_forces(problem, state, TargetConfig())[0]
    expected = exact_balance(problem, state, 0, TargetConfig())
    np.testing.assert_allclose(force, expected, atol=5e-3)
    if count == 1:
        assert np.linalg.norm(force) < 0.01
    else:
        np.testing.assert_allclose(np.sum(force * -outward, axis=1), 1.0, atol=0.01)


# -- torques ---------------------------------------------------------------------------------------------------------------


def contact_positions(problem: GraspProblem, state: GraspState, grasp: int, joints: FloatArray) -> FloatArray:
    """Contact points [C, 3] of other joint positions, by the host kinematics."""
    root = state.root_pose.numpy()[grasp].astype(np.float64)
    position, quaternion = problem.hand.forward_kinematics(root[:3], root[3:], joints)
    index = state.contact_index.numpy()[grasp]
    link, local = problem.host_candidates.link[index], problem.host_candidates.position[index]
    return position[link] + Rotation.from_quat(quaternion[link]).apply(local)


@pytest.mark.parametrize(("hand", "grasp_type"), CASES)
@pytest.mark.parametrize("effort", [0.3, 0.9])
def test_torques_are_jacobian_transpose_force(hand: str, grasp_type: str, effort: float) -> None:
    problem, state = annealed(hand, grasp_type)
    raw = contact_forces(problem, state).force
    pressed = squeeze(problem, state, raw, TargetConfig(squeeze_effort=effort))
    model, step = problem.hand, 1e-6
    for grasp in range(problem.batch_size):
        joints = state.joint_position.numpy()[grasp].astype(np.float64)
        torque = np.zeros(model.dof_count)
        for dof in range(model.dof_count):
            offset = step * np.eye(model.dof_count)[dof]
            column = contact_positions(problem, state, grasp, joints + offset)
            column = (column - contact_positions(problem, state, grasp, joints - offset)) / (2.0 * step)
            torque[dof] = np.sum(column * pressed.force[grasp])
        assert np.max(np.abs(torque) / model.dof_effort) == pytest.approx(effort, rel=1e-3)
        np.testing.assert_allclose(pressed.torque[grasp], torque, atol=1e-3 * np.abs(torque).max() + 1e-6)
        # One factor per grasp: the ratios of the forces, and with them the cones, stay.
        factor = np.linalg.norm(pressed.force[grasp]) / np.linalg.norm(raw[grasp])
        np.testing.assert_allclose(pressed.force[grasp], factor * raw[grasp], rtol=1e-6)
    for name in problem.grasp_type.idle_joint_position:
        np.testing.assert_array_equal(pressed.torque[:, model.joint_names.index(name)], 0.0)


def test_torques_push_contacts_along_their_forces() -> None:
    """The sign: fingers that give way to the torques move their contacts into the object."""
    problem, state = annealed("allegro")
    pressed = squeeze(problem, state, balanced_forces(problem, state, TargetConfig()), TargetConfig())
    for grasp in range(problem.batch_size):
        joints = state.joint_position.numpy()[grasp].astype(np.float64)
        moved = contact_positions(problem, state, grasp, joints + 0.01 * pressed.torque[grasp])
        moved -= contact_positions(problem, state, grasp, joints)
        assert np.sum(moved * pressed.force[grasp]) > 0.0


def test_strong_squeeze_bounds_every_joint_and_tells_bearable_forces() -> None:
    problem, state = annealed("allegro")
    force = contact_forces(problem, state).force
    full = squeeze(problem, state, force, TargetConfig(squeeze_effort=1.0))
    strong = squeeze(problem, state, force, TargetConfig(squeeze_effort=3.0))
    ratio = full.torque / problem.hand.dof_effort
    assert np.any(np.abs(ratio) < 1.0 / 3.0)
    assert np.any((np.abs(ratio) > 1.0 / 3.0) & (np.abs(ratio) < 0.99))
    np.testing.assert_allclose(
        strong.torque / problem.hand.dof_effort, np.clip(3.0 * ratio, -1.0, 1.0), atol=1e-6
    )
    np.testing.assert_array_equal(strong.force, full.force)


def test_no_effort_or_no_force_means_no_squeeze() -> None:
    problem, state = annealed("allegro")
    force = contact_forces(problem, state).force
    pressed = squeeze(problem, state, force, TargetConfig(squeeze_effort=0.0))
    np.testing.assert_array_equal(pressed.torque, 0.0)
    np.testing.assert_array_equal(pressed.force, 0.0)
    np.testing.assert_array_equal(squeeze(problem, state, 0.0 * force, TargetConfig()).torque, 0.0)
    assert not state.link_wrench.numpy().any()
    assert joint_torques(problem, state, force).shape == (problem.batch_size, problem.hand.dof_count)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"squeeze": "hard"},
            r"targets\.squeeze must be balanced, closure, closing or descent \(got 'hard'\)",
        ),
        ({"pregrasp": "wide"}, r"targets\.pregrasp must be open or approach \(got 'wide'\)"),
        ({"squeeze_effort": -0.5}, r"targets\.squeeze_effort must be finite and not negative \(got -0\.5\)"),
        ({"squeeze_reach": 0.0}, r"targets\.squeeze_reach must be positive and finite \(got 0\)"),
        ({"clearance": -0.1}, r"targets\.clearance must be finite and not negative \(got -0\.1\)"),
        ({"opening_steps": 0}, r"opening_steps must be positive and finite \(got 0\)"),
        ({"retreat_step": 0.0}, r"retreat_step must be positive and finite \(got 0\)"),
        ({"retreat_step": 1e-9}, r"try .*e\+09 pregrasps of each grasp, at most 100000"),
    ],
)
def test_bad_targets_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TargetConfig(**options)  # type: ignore[arg-type]
