"""The force-closure QP against SciPy in float64: values, forces, gradients, warm starts and degenerate inputs."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import warp as wp
from scipy.optimize import lsq_linear

from warpgrasp.base.status import GraspStatus
from warpgrasp.kernels.energies.force_closure import contact_position_gradient, force_closure_energy
from warpgrasp.kernels.energies.singular_values import SingularValueForm, gram_matrix, singular_value_factor
from warpgrasp.kernels.energies.wrench import launch_wrench_matrix
from warpgrasp.kernels.qp.adjoint import QpAdjoint, qp_value
from warpgrasp.kernels.qp.dual_newton import QpConfig, QpSolver
from warpgrasp.kernels.qp.launch import QpArrays, launch_qp
from warpgrasp.kernels.spatial import vec6

wp.set_module_options({"enable_backward": False})
DEVICE = "cpu"
SOLVERS = [QpSolver.DUAL_NEWTON, QpSolver.PROJECTED_GRADIENT]
LOWER, UPPER, RIDGE = 1.0, 50.0, 1e-4


def contact_set(kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Positions and outward normals of 12 contacts on an object of 5 cm radius."""
    direction = rng.normal(size=(12, 3))
    normal = direction / np.linalg.norm(direction, axis=1, keepdims=True)
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    side = np.where(np.arange(12) < 8, 1.0, -1.0)[:, None]  # 8 against 4: the forces have to differ
    if kind == "force_closure":  # all around a slightly rough ellipsoid
        position = 0.05 * normal * [1.0, 0.7, 1.3]
        normal = normal + rng.normal(scale=0.1, size=normal.shape)
    elif kind == "random":  # normals that have nothing to do with the positions
        position = rng.normal(scale=0.03, size=normal.shape)
    elif kind == "near_singular":  # almost one line of contacts with almost one normal
        position = axis * rng.uniform(-0.05, 0.05, size=(12, 1)) + rng.normal(scale=1e-5, size=normal.shape)
        normal = np.cross(axis, [0.3, 0.5, -0.8]) * side + rng.normal(scale=1e-4, size=normal.shape)
    elif kind == "pinch":  # two points: no torque about their line, rank 5
        position, normal = 0.03 * axis * side, axis * side
    elif kind == "two_pad":  # two parallel flat pads
        u, v = np.linalg.svd(axis[None])[2][1:]
        position = (
            0.02 * axis * side + rng.uniform(-0.01, 0.01, (12, 1)) * u + rng.uniform(-0.01, 0.01, (12, 1)) * v
        )
        normal = axis * side
    else:  # non_closure: pushed from one side
        normal = axis + rng.normal(scale=0.2, size=normal.shape)
        position = 0.05 * axis + rng.normal(scale=0.02, size=normal.shape)
    return position, normal / np.linalg.norm(normal, axis=1, keepdims=True)


KINDS = ["force_closure", "random", "near_singular", "pinch", "two_pad", "non_closure"]


def wrench_columns(position: np.ndarray, normal: np.ndarray, edge_count: int = 4) -> np.ndarray:
    """Wrench matrices [B, E, 6] in float32, centre of mass at the origin."""
    count = len(position)
    columns = launch_wrench_matrix(
        wp.array(position, dtype=wp.vec3, device=DEVICE),
        wp.array(normal, dtype=wp.vec3, device=DEVICE),
        wp.zeros(1, dtype=wp.vec3, device=DEVICE),
        wp.zeros(count, dtype=wp.int32, device=DEVICE),
        edge_count=edge_count,
    )
    return columns.numpy()


@lru_cache(maxsize=16)
def wrench_batch(kind: str, count: int = 16, edge_count: int = 4, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    sets = [contact_set(kind, rng) for _ in range(count)]
    return wrench_columns(np.array([s[0] for s in sets]), np.array([s[1] for s in sets]), edge_count)


def scipy_solution(columns: np.ndarray, upper: float = UPPER) -> tuple[float, np.ndarray]:
    """V and x* of one matrix [E, 6] in float64."""
    w = columns.astype(np.float64).T
    stacked = np.vstack([w, np.sqrt(RIDGE) * np.eye(w.shape[1])])
    x = lsq_linear(stacked, np.zeros(len(stacked)), (LOWER, upper), method="bvls", tol=1e-14, max_iter=1000).x
    return 0.5 * float((w @ x) @ (w @ x) + RIDGE * x @ x), x


def exact_solution(columns: np.ndarray) -> tuple[float, np.ndarray]:
    """V and x* of one matrix [E, 6] in float64: SciPy's active set, then the linear system of the free forces."""
    w = columns.astype(np.float64).T
    _, x = scipy_solution(columns)
    for _ in range(3):
        gradient = w.T @ (w @ x) + RIDGE * x
        step = x - gradient / RIDGE
        free = (step > LOWER) & (step < UPPER)
        x = np.where(free, x, np.clip(step, LOWER, UPPER))
        f = w[:, free]
        x[free] = np.linalg.solve(f.T @ f + RIDGE * np.eye(free.sum()), -f.T @ (w[:, ~free] @ x[~free]))
    return 0.5 * float((w @ x) @ (w @ x) + RIDGE * x @ x), x


def kkt_violation(columns: np.ndarray, x: np.ndarray) -> float:
    """Largest violation of the optimality conditions, in units of force."""
    w = columns.astype(np.float64).T
    projected = np.clip(x - (w.T @ (w @ x) + RIDGE * x) / RIDGE, LOWER, UPPER)
    return float(np.abs(projected - x).max())


def solve(columns: np.ndarray, *, dual_start: wp.array | None = None, **options: object) -> QpArrays:
    config = QpConfig(**options)
    device_columns = wp.array(columns, dtype=vec6, device=DEVICE)
    arrays = QpArrays.allocate(*device_columns.shape, config=config, device=DEVICE)
    launch_qp(device_columns, config=config, arrays=arrays, dual_start=dual_start)
    return arrays


@pytest.mark.parametrize("kind", KINDS)
def test_the_oracle_satisfies_the_optimality_conditions(kind: str) -> None:
    for columns in wrench_batch(kind)[:4]:
        value, x = exact_solution(columns)
        assert x.min() >= LOWER
        assert x.max() <= UPPER
        assert kkt_violation(columns, x) < 1e-6
        assert value == pytest.approx(scipy_solution(columns)[0], rel=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("edge_count", [4, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_value_and_forces_against_scipy(kind: str, edge_count: int, solver: QpSolver) -> None:
    batch = wrench_batch(kind, edge_count=edge_count)
    arrays = solve(batch, solver=solver)
    assert np.all(arrays.status.numpy() == GraspStatus.OK)
    value, force = arrays.value.numpy(), arrays.force.numpy()
    assert force.min() >= LOWER
    assert force.max() <= UPPER
    for columns, v, x, residual in zip(batch, value, force, arrays.residual.numpy(), strict=True):
        expected, expected_force = scipy_solution(columns)
        # the reported residual is a rigorous bound; float32 evaluation of V adds its own rounding
        assert abs(v - expected) <= (residual + 2e-6) * expected
        # the forces follow from strong convexity: eps/2 |x - x*|^2 <= V(x) - V*
        assert np.linalg.norm(x - expected_force) <= np.sqrt(2 * (residual + 2e-6) * expected / RIDGE)


@pytest.mark.parametrize("kind", KINDS)
def test_newton_forces_reach_float32_accuracy(kind: str) -> None:
    batch = wrench_batch(kind)
    for columns, x in zip(batch, solve(batch).force.numpy(), strict=True):
        expected = exact_solution(columns)[1]
        assert np.linalg.norm(x - expected) < 1e-3 * np.linalg.norm(expected)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("kind", KINDS)
def test_warm_start_gives_the_cold_value_in_fewer_iterations(kind: str, solver: QpSolver) -> None:
    batch = wrench_batch(kind)
    noise = 1.0 + np.random.default_rng(1).normal(scale=1e-3, size=batch.shape)
    neighbour = (batch * noise).astype(np.float32)
    start = solve(neighbour, solver=solver).dual
    cold = solve(batch, solver=solver)
    warm = solve(batch, solver=solver, dual_start=start)
    np.testing.assert_allclose(warm.value.numpy(), cold.value.numpy(), rtol=2e-6)
    assert warm.iteration_count.numpy().sum() <= cold.iteration_count.numpy().sum()
    repeated = solve(batch, solver=solver, dual_start=cold.dual)
    np.testing.assert_allclose(repeated.value.numpy(), cold.value.numpy(), rtol=2e-6)


def test_warm_start_from_an_unrelated_grasp_is_harmless() -> None:
    start = solve(wrench_batch("non_closure")).dual
    batch = wrench_batch("force_closure")
    warm = solve(batch, dual_start=start)
    assert np.all(warm.status.numpy() == GraspStatus.OK)
    np.testing.assert_allclose(warm.value.numpy(), solve(batch).value.numpy(), rtol=2e-6)


@pytest.mark.parametrize("solver", SOLVERS)
def test_degenerate_matrices_have_a_defined_result(solver: QpSolver) -> None:
    batch = np.repeat(wrench_batch("force_closure")[:1], 5, axis=0)
    batch[0] = 0.0
    batch[1, 7, 2] = np.nan
    batch[2, 0, 0] = np.inf
    batch[3] = 3e30
    arrays = solve(batch, solver=solver)
    status = [GraspStatus(s) for s in arrays.status.numpy()]
    bad = GraspStatus.NONFINITE_ENERGY
    assert status == [GraspStatus.OK, bad, bad, bad, GraspStatus.OK]
    assert arrays.value.numpy()[0] == pytest.approx(0.5 * RIDGE * LOWER**2 * batch.shape[1])
    assert np.all(np.isinf(arrays.value.numpy()[1:4]))
    assert np.all(np.isinf(arrays.residual.numpy()[1:4]))
    for array in (arrays.value, arrays.residual, arrays.dual, arrays.force):
        assert not np.any(np.isnan(array.numpy()))
    # a dual that was poisoned by a bad step does not poison the next solve
    poisoned = wp.array(np.full((5, 6), np.nan), dtype=vec6, device=DEVICE)
    assert solve(batch, solver=solver, dual_start=poisoned).status.numpy()[4] == GraspStatus.OK


@pytest.mark.parametrize("scale", [1e-4, 1e-2, 10.0])
def test_newton_converges_far_from_the_usual_scale(scale: float) -> None:
    for kind in KINDS:
        batch = (wrench_batch(kind) * np.float32(scale)).astype(np.float32)
        arrays = solve(batch, tolerance=1e-5)
        assert np.all(arrays.status.numpy() == GraspStatus.OK), kind
        for columns, v in zip(batch[:4], arrays.value.numpy(), strict=False):
            assert v == pytest.approx(scipy_solution(columns)[0], rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_residual_stays_honest_where_float32_cannot_solve(kind: str) -> None:
    """An object in millimetres: the ridge vanishes beside W W^T."""
    batch = (wrench_batch(kind) * np.float32(1e3)).astype(np.float32)
    arrays = solve(batch)
    value, residual = arrays.value.numpy(), arrays.residual.numpy()
    for columns, v, r, status in zip(batch, value, residual, arrays.status.numpy(), strict=True):
        assert (status == GraspStatus.OK) == (r <= QpConfig().tolerance)
        if status == GraspStatus.OK:
            assert v == pytest.approx(scipy_solution(columns)[0], rel=1e-3)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_starved_solver_says_so(solver: QpSolver) -> None:
    arrays = solve(wrench_batch("force_closure"), solver=solver, iteration_limit=1)
    assert np.all(arrays.status.numpy() == GraspStatus.QP_NOT_CONVERGED)
    assert np.all(arrays.residual.numpy() > QpConfig().tolerance)


@pytest.mark.parametrize(
    "options",
    [
        {"lower": -1.0},
        {"lower": 5.0, "upper": 5.0},
        {"ridge": 0.0},
        {"tolerance": 0.0},
        {"iteration_limit": 0},
    ],
)
def test_settings_without_meaning_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="got"):
        QpConfig(**options)


def central_differences(columns: np.ndarray, function: object, step: float = 1e-6) -> np.ndarray:
    gradient = np.zeros(columns.shape)
    for index in np.ndindex(*columns.shape):
        offset = np.zeros(columns.shape)
        offset[index] = step
        gradient[index] = (function(columns + offset) - function(columns - offset)) / (2 * step)  # type: ignore[operator]
    return gradient


def small_batch(kind: str) -> np.ndarray:
    """Two matrices of 6 contacts (24 columns): central differences stay affordable."""
    return np.ascontiguousarray(wrench_batch(kind)[:2, ::2])


def taped_gradient(
    batch: np.ndarray, adjoint: QpAdjoint, *, force_seed: np.ndarray | None = None, **options: object
) -> np.ndarray:
    columns = wp.array(batch, dtype=vec6, device=DEVICE, requires_grad=True)
    tape = wp.Tape()
    with tape:
        arrays = qp_value(columns, config=QpConfig(**options), adjoint=adjoint)
    assert np.all(arrays.status.numpy() == GraspStatus.OK)
    if force_seed is None:
        tape.backward(grads={arrays.value: wp.ones(len(batch), dtype=wp.float32, device=DEVICE)})
    else:
        tape.backward(grads={arrays.force: wp.array(force_seed, dtype=wp.float32, device=DEVICE)})
    return columns.grad.numpy().astype(np.float64)


@pytest.mark.parametrize("adjoint", list(QpAdjoint))
@pytest.mark.parametrize("kind", KINDS)
def test_value_gradient_against_central_differences(kind: str, adjoint: QpAdjoint) -> None:
    batch = small_batch(kind)
    options = {"iteration_limit": 2500, "tolerance": 1e-5} if adjoint == QpAdjoint.UNROLLED else {}
    gradient = taped_gradient(batch, adjoint, **options)
    for columns, actual in zip(batch, gradient, strict=True):
        expected = central_differences(columns.astype(np.float64), lambda w: exact_solution(w)[0])
        assert np.abs(actual - expected).max() < 1e-3 * np.abs(expected).max()


@pytest.mark.parametrize("adjoint", [QpAdjoint.IMPLICIT, QpAdjoint.UNROLLED])
@pytest.mark.parametrize("kind", ["force_closure", "random", "two_pad", "pinch"])
def test_force_gradient_against_central_differences(kind: str, adjoint: QpAdjoint) -> None:
    batch = small_batch(kind)
    seed = np.random.default_rng(2).normal(size=batch.shape[:2])
    options = {"iteration_limit": 2500, "tolerance": 1e-5} if adjoint == QpAdjoint.UNROLLED else {}
    gradient = taped_gradient(batch, adjoint, force_seed=seed, **options)
    for columns, weight, actual in zip(batch, seed, gradient, strict=True):
        expected = central_differences(
            columns.astype(np.float64), lambda w, s=weight: s @ exact_solution(w)[1], 1e-7
        )
        assert np.abs(actual - expected).max() < 1e-3 * np.abs(expected).max()


def test_envelope_gradient_reaches_contact_positions_through_the_tape() -> None:
    position, normal = contact_set("force_closure", np.random.default_rng(3))
    device_position = wp.array(position[None], dtype=wp.vec3, device=DEVICE, requires_grad=True)
    tape = wp.Tape()
    with tape:
        columns = launch_wrench_matrix(
            device_position,
            wp.array(normal[None], dtype=wp.vec3, device=DEVICE),
            wp.zeros(1, dtype=wp.vec3, device=DEVICE),
            wp.zeros(1, dtype=wp.int32, device=DEVICE),
        )
        arrays = qp_value(columns)
    tape.backward(grads={arrays.value: wp.ones(1, dtype=wp.float32, device=DEVICE)})
    edge = columns.numpy()[0, :, :3].astype(np.float64)

    def value(p: np.ndarray) -> float:
        torque = 5.0 * np.cross(np.repeat(p, 4, axis=0), edge)
        return exact_solution(np.concatenate([edge, torque], axis=1))[0]

    expected = central_differences(position, value)
    assert np.abs(device_position.grad.numpy()[0] - expected).max() < 1e-3 * np.abs(expected).max()


def test_a_tape_without_gradients_is_refused() -> None:
    columns = wp.array(wrench_batch("pinch"), dtype=vec6, device=DEVICE)
    with pytest.raises(ValueError, match="requires_grad"):
        qp_value(columns, tape=wp.Tape())


@wp.kernel
def _energy_kernel(
    columns: wp.array2d(dtype=vec6),
    force: wp.array2d(dtype=wp.float32),
    dual: wp.array(dtype=vec6),
    value: wp.array(dtype=wp.float32),
    form: int,
    decay: float,
    energy: wp.array(dtype=wp.float32),
    gradient: wp.array2d(dtype=wp.vec3),
):
    grasp = wp.tid()
    factor = singular_value_factor(gram_matrix(columns, grasp), form)
    total = force_closure_energy(value[grasp], factor.value, 2.0, 0.01, decay)
    energy[grasp] = total
    for i in range(gradient.shape[1]):
        gradient[grasp, i] = contact_position_gradient(
            columns,
            force,
            grasp,
            i,
            4,
            5.0,
            dual[grasp],
            2.0 * wp.exp(-decay * factor.value),
            factor.gradient,
            -decay * total,
        )


@pytest.mark.parametrize(
    ("form", "decay"),
    [(SingularValueForm.GEOMETRIC_MEAN, 0.1), (SingularValueForm.SUM, 1.0), (SingularValueForm.NONE, 0.0)],
)
@pytest.mark.parametrize("kind", ["force_closure", "random", "two_pad", "pinch"])
def test_force_closure_energy_and_its_position_gradient(
    kind: str, form: SingularValueForm, decay: float
) -> None:
    position, normal = contact_set(kind, np.random.default_rng(4))
    columns = wrench_columns(position[None], normal[None])
    arrays = solve(columns)
    energy = wp.zeros(1, dtype=wp.float32, device=DEVICE)
    gradient = wp.zeros((1, 12), dtype=wp.vec3, device=DEVICE)
    wp.launch(
        _energy_kernel,
        dim=1,
        inputs=[
            wp.array(columns, dtype=vec6, device=DEVICE),
            arrays.force,
            arrays.dual,
            arrays.value,
            int(form),
            decay,
        ],
        outputs=[energy, gradient],
        device=DEVICE,
    )
    edge = columns[0, :, :3].astype(np.float64)
    start = columns[0, :, 3:].astype(np.float64)  # differences start at the float32 torques the kernel saw

    def reference(offset: np.ndarray) -> float:
        torque = start + 5.0 * np.cross(np.repeat(offset, 4, axis=0), edge)
        w = np.concatenate([edge, torque], axis=1)
        squared = np.linalg.svd(w, compute_uv=False) ** 2 + 1e-8
        forms = {
            SingularValueForm.GEOMETRIC_MEAN: np.prod(squared) ** (1 / 12),
            SingularValueForm.SUM: np.sqrt(squared).sum(),
            SingularValueForm.NONE: 0.0,
        }
        return 2.0 * (exact_solution(w)[0] + 0.01) * float(np.exp(-decay * forms[form]))

    assert energy.numpy()[0] == pytest.approx(reference(np.zeros_like(position)), rel=1e-4)
    expected = central_differences(np.zeros_like(position), reference)
    # a pinch is stationary: its gradient is the difference of larger terms, of order E / 0.03 m
    scale = np.abs(expected).max() + 0.1 * energy.numpy()[0]
    assert np.abs(gradient.numpy()[0] - expected).max() < 1e-3 * scale
