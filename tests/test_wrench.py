"""Friction cones, wrench matrix, DexGraspNet energy and the singular-value factor against float64 NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import warp as wp

from warpgrasp.base.status import GraspStatus
from warpgrasp.kernels.energies.singular_values import (
    SingularValueForm,
    gram_matrix,
    largest_eigenvalue_bound,
    mat66d,
    singular_value_factor,
)
from warpgrasp.kernels.energies.wrench import (
    contact_status,
    edge_directions,
    friction_cone_edge,
    launch_wrench_matrix,
    launch_wrench_sum_energy,
    tangent_basis,
    write_contact_wrenches,
)
from warpgrasp.kernels.spatial import vec6

wp.set_module_options({"enable_backward": False})
DEVICE = "cpu"


@wp.kernel
def _edges_kernel(
    normal: wp.array(dtype=wp.vec3),
    friction: float,
    direction: wp.array(dtype=wp.vec2),
    edge: wp.array2d(dtype=wp.vec3),
    tangent: wp.array2d(dtype=wp.vec3),
):
    i, j = wp.tid()
    u, v = tangent_basis(normal[i])
    edge[i, j] = friction_cone_edge(normal[i], u, v, friction, direction[j], direction.shape[0])
    tangent[i, j] = u * direction[j][0] + v * direction[j][1]


@wp.kernel
def _columns_kernel(
    position: wp.array2d(dtype=wp.vec3),
    normal: wp.array2d(dtype=wp.vec3),
    center: wp.vec3,
    direction: wp.array(dtype=wp.vec2),
    columns: wp.array2d(dtype=vec6),
):
    grasp, contact = wp.tid()
    write_contact_wrenches(
        position[grasp, contact], normal[grasp, contact], center, 0.2, 5.0, direction, grasp, contact, columns
    )


@wp.kernel
def _status_kernel(
    position: wp.array2d(dtype=wp.vec3), normal: wp.array2d(dtype=wp.vec3), status: wp.array(dtype=wp.int32)
):
    grasp = wp.tid()
    status[grasp] = contact_status(position, normal, grasp)


@wp.kernel
def _factor_kernel(
    columns: wp.array2d(dtype=vec6),
    form: int,
    value: wp.array(dtype=wp.float32),
    gradient: wp.array(dtype=mat66d),
    bound: wp.array(dtype=wp.float32),
):
    grasp = wp.tid()
    gram = gram_matrix(columns, grasp)
    factor = singular_value_factor(gram, form)
    value[grasp] = factor.value
    gradient[grasp] = factor.gradient
    bound[grasp] = largest_eigenvalue_bound(gram)


def unit_vectors(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, 3))
    vectors = np.concatenate([vectors, np.eye(3), -np.eye(3), [[1e-8, 0, -1], [0, -1e-8, 1]]])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def cone_edges(normal: np.ndarray, friction: float, edge_count: int) -> tuple[np.ndarray, np.ndarray]:
    shape = (len(normal), edge_count)
    edge = wp.zeros(shape, dtype=wp.vec3, device=DEVICE)
    tangent = wp.zeros(shape, dtype=wp.vec3, device=DEVICE)
    wp.launch(
        _edges_kernel,
        dim=shape,
        inputs=[
            wp.array(normal, dtype=wp.vec3, device=DEVICE),
            friction,
            edge_directions(edge_count, DEVICE),
        ],
        outputs=[edge, tangent],
        device=DEVICE,
    )
    return edge.numpy().astype(np.float64), tangent.numpy().astype(np.float64)


@pytest.mark.parametrize("edge_count", [3, 4, 8])
@pytest.mark.parametrize("friction", [0.0, 0.2, 1.0])
def test_edges_lie_on_the_coulomb_cone_for_every_normal(edge_count: int, friction: float) -> None:
    normal = unit_vectors(200)
    edge, tangent = cone_edges(normal, friction, edge_count)
    np.testing.assert_allclose(np.linalg.norm(tangent, axis=-1), 1.0, atol=1e-6)
    np.testing.assert_allclose(np.einsum("ijk,ik->ij", tangent, normal), 0.0, atol=1e-6)
    along = np.einsum("ijk,ik->ij", edge, normal)
    across = np.linalg.norm(edge - along[..., None] * normal[:, None], axis=-1)
    np.testing.assert_allclose(across, friction * along, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(edge, axis=-1), 1.0 / edge_count, rtol=1e-6)


@pytest.mark.parametrize("edge_count", [3, 4, 8])
def test_edges_stand_at_equal_angles_and_their_sum_is_the_normal(edge_count: int) -> None:
    normal = unit_vectors(100, seed=1)
    edge, tangent = cone_edges(normal, 0.2, edge_count)
    cosine = np.einsum("ijk,ijk->ij", tangent, np.roll(tangent, -1, axis=1))
    np.testing.assert_allclose(cosine, np.cos(2 * np.pi / edge_count), atol=1e-6)
    np.testing.assert_allclose(edge.sum(axis=1), normal / np.sqrt(1 + 0.2**2), atol=1e-6)


def test_cone_is_isotropic_under_rotation() -> None:
    """The second moment of the edges depends on the normal only: (mu^2/2 (I - n n^T) + n n^T) / (k (1 + mu^2))."""
    normal, friction, edge_count = unit_vectors(100, seed=2), 0.3, 4
    edge, _ = cone_edges(normal, friction, edge_count)
    moment = np.einsum("ija,ijb->iab", edge, edge)
    outer = np.einsum("ia,ib->iab", normal, normal)
    expected = (0.5 * friction**2 * (np.eye(3) - outer) + outer) / (edge_count * (1 + friction**2))
    np.testing.assert_allclose(moment, expected, atol=1e-7)


def contacts(grasp_count: int = 6, contact_count: int = 5, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    position = rng.normal(scale=0.04, size=(grasp_count, contact_count, 3))
    normal = rng.normal(size=(grasp_count, contact_count, 3))
    return position, normal / np.linalg.norm(normal, axis=-1, keepdims=True)


def wrench_inputs(position: np.ndarray, normal: np.ndarray, *, requires_grad: bool = False) -> list[wp.array]:
    center = np.array([[0.01, -0.02, 0.005], [0.0, 0.03, 0.0]])
    index = np.arange(len(position)) % 2
    return [
        wp.array(position, dtype=wp.vec3, device=DEVICE, requires_grad=requires_grad),
        wp.array(normal, dtype=wp.vec3, device=DEVICE),
        wp.array(center, dtype=wp.vec3, device=DEVICE),
        wp.array(index, dtype=wp.int32, device=DEVICE),
    ]


@pytest.mark.parametrize("edge_count", [4, 8])
def test_wrench_matrix_columns(edge_count: int) -> None:
    position, normal = contacts()
    inputs = wrench_inputs(position, normal)
    columns = launch_wrench_matrix(*inputs, edge_count=edge_count, friction=0.2, torque_weight=5.0).numpy()
    edge, _ = cone_edges(-normal.reshape(-1, 3), 0.2, edge_count)
    edge = edge.reshape(*position.shape[:2], edge_count, 3)
    center = inputs[2].numpy()[inputs[3].numpy()]
    torque = 5.0 * np.cross((position - center[:, None])[:, :, None], edge)
    expected = np.concatenate([edge, torque], axis=-1).reshape(len(position), -1, 6)
    np.testing.assert_allclose(columns, expected, atol=1e-6)


def test_fused_function_writes_the_same_columns_as_the_kernel() -> None:
    position, normal = contacts()
    inputs = wrench_inputs(position, normal)
    inputs[3].zero_()
    expected = launch_wrench_matrix(*inputs)
    columns = wp.zeros_like(expected)
    center = wp.vec3(*[float(v) for v in inputs[2].numpy()[0]])
    direction = edge_directions(4, DEVICE)
    wp.launch(
        _columns_kernel,
        dim=position.shape[:2],
        inputs=[inputs[0], inputs[1], center, direction],
        outputs=[columns],
        device=DEVICE,
    )
    np.testing.assert_allclose(columns.numpy(), expected.numpy(), atol=1e-7)


def test_wrench_matrix_gradient_on_the_tape_flows_to_positions_only() -> None:
    position, normal = contacts()
    inputs = wrench_inputs(position, normal, requires_grad=True)
    tape = wp.Tape()
    with tape:
        columns = launch_wrench_matrix(*inputs)
    seed = np.random.default_rng(4).normal(size=(*columns.shape, 6))
    tape.backward(grads={columns: wp.array(seed, dtype=vec6, device=DEVICE)})
    edge = columns.numpy().astype(np.float64)[..., :3].reshape(*position.shape[:2], 4, 3)
    torque_seed = seed[..., 3:].reshape(*position.shape[:2], 4, 3)
    expected = 5.0 * np.cross(edge, torque_seed).sum(axis=2)
    np.testing.assert_allclose(inputs[0].grad.numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("torque_weight", [1.0, 5.0])
def test_dexgraspnet_energy_and_gradient(torque_weight: float) -> None:
    position, normal = contacts()
    inputs = wrench_inputs(position, normal, requires_grad=True)
    center = inputs[2].numpy().astype(np.float64)[inputs[3].numpy()]

    def energy(p: np.ndarray) -> np.ndarray:
        torque = torque_weight * np.cross(p - center[:, None], -normal).sum(axis=1)
        return (normal.sum(axis=1) ** 2).sum(axis=-1) + (torque**2).sum(axis=-1)

    tape = wp.Tape()
    with tape:
        result = launch_wrench_sum_energy(*inputs, torque_weight=torque_weight)
    np.testing.assert_allclose(result.numpy(), energy(position), rtol=1e-5)
    tape.backward(grads={result: wp.ones(len(position), dtype=wp.float32, device=DEVICE)})
    expected = np.zeros_like(position)
    for index in np.ndindex(*position.shape[1:]):
        step = np.zeros_like(position)
        step[(slice(None), *index)] = 1e-6
        expected[(slice(None), *index)] = (energy(position + step) - energy(position - step)) / 2e-6
    error = np.abs(inputs[0].grad.numpy() - expected).max()
    assert error < 1e-3 * np.abs(expected).max()


def test_contact_status() -> None:
    position, normal = contacts(grasp_count=5)
    position[1] = position[1, :1]
    normal[2, 3] = 0.0
    position[3, 1, 0] = np.nan
    normal[4, 4, 2] = np.inf
    status = wp.zeros(5, dtype=wp.int32, device=DEVICE)
    inputs = wrench_inputs(position, normal)[:2]
    wp.launch(_status_kernel, dim=5, inputs=inputs, outputs=[status], device=DEVICE)
    assert [GraspStatus(s) for s in status.numpy()] == [
        GraspStatus.OK,
        GraspStatus.DEGENERATE_CONTACTS,
        GraspStatus.DEGENERATE_CONTACTS,
        GraspStatus.NONFINITE_ENERGY,
        GraspStatus.NONFINITE_ENERGY,
    ]


@pytest.mark.parametrize("edge_count", [-1, 0, 2])
def test_too_few_edges_are_refused(edge_count: int) -> None:
    with pytest.raises(ValueError, match=f"got {edge_count}"):
        edge_directions(edge_count, DEVICE)


def test_negative_friction_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got -0\.1"):
        launch_wrench_matrix(*wrench_inputs(*contacts()), friction=-0.1)


def rank_matrices() -> np.ndarray:
    """Wrench matrices [., E, 6] of ranks 6 to 0, rounded to float32 (rank 5 is a pinch, 3 a planar pinch)."""
    rng = np.random.default_rng(5)
    full = rng.normal(scale=0.25, size=(8, 16, 6))
    basis = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    deficient = [full[0] @ basis[:, :r] @ basis[:, :r].T for r in (5, 3, 1)]
    nearly = full[1] @ basis @ np.diag([1, 1, 1, 1, 1e-2, 1e-4]) @ basis.T
    return np.concatenate([full, deficient, [nearly], np.zeros((1, 16, 6))]).astype(np.float32)


def factor(columns: np.ndarray, form: SingularValueForm) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count = len(columns)
    value = wp.zeros(count, dtype=wp.float32, device=DEVICE)
    gradient = wp.zeros(count, dtype=mat66d, device=DEVICE)
    bound = wp.zeros(count, dtype=wp.float32, device=DEVICE)
    wp.launch(
        _factor_kernel,
        dim=count,
        inputs=[wp.array(columns, dtype=vec6, device=DEVICE), int(form)],
        outputs=[value, gradient, bound],
        device=DEVICE,
    )
    return value.numpy(), gradient.numpy(), bound.numpy()


def factor_reference(columns: np.ndarray, form: SingularValueForm) -> np.ndarray:
    squared = np.linalg.svd(columns.astype(np.float64), compute_uv=False) ** 2 + 1e-8
    return (
        np.prod(squared, axis=-1) ** (1 / 12)
        if form == SingularValueForm.GEOMETRIC_MEAN
        else np.sqrt(squared).sum(-1)
    )


@pytest.mark.parametrize("form", [SingularValueForm.GEOMETRIC_MEAN, SingularValueForm.SUM])
def test_factor_against_svd_for_every_rank(form: SingularValueForm) -> None:
    columns = rank_matrices()
    value, _, bound = factor(columns, form)
    np.testing.assert_allclose(value, factor_reference(columns, form), rtol=1e-5)
    largest = np.linalg.norm(columns.astype(np.float64), ord=2, axis=(1, 2)) ** 2
    assert np.all(bound >= largest * (1 - 1e-6))
    assert np.all(bound <= largest * 1.13)


@pytest.mark.parametrize("form", [SingularValueForm.GEOMETRIC_MEAN, SingularValueForm.SUM])
def test_factor_gradient_against_central_differences(form: SingularValueForm) -> None:
    columns = rank_matrices()
    _, matrix, _ = factor(columns, form)
    gradient = columns.astype(np.float64) @ matrix  # dS/dw_i = M w_i; M is symmetric
    expected = np.zeros_like(gradient)
    # S varies over sqrt(1e-8) = 1e-4 in a missing direction
    step = 1e-6
    for index in np.ndindex(*columns.shape[1:]):
        offset = np.zeros(columns.shape)
        offset[(slice(None), *index)] = step
        plus = factor_reference(columns.astype(np.float64) + offset, form)
        minus = factor_reference(columns.astype(np.float64) - offset, form)
        expected[(slice(None), *index)] = (plus - minus) / (2 * step)
    scale = np.maximum(np.abs(expected).max(axis=(1, 2)), 1e-3)
    assert np.all(np.abs(gradient - expected).max(axis=(1, 2)) < 1e-3 * scale)


def test_no_factor() -> None:
    value, gradient, _ = factor(rank_matrices(), SingularValueForm.NONE)
    assert np.all(value == 0.0)
    assert np.all(gradient == 0.0)
