"""Force closure with interpolated normals: its derivative against differences in float64, flat faces, damping, the choice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
import warp as wp
from cases import annealed_variables, example_objects, make_problem, only, state_of
from object_factory import ball, box, load_mesh
from oracle_forces import solve_box_qp

from warpgrasp.kernels.contact import CandidateSet, Contacts
from warpgrasp.kernels.energies.force_closure_fused import force_closure_arrays, force_closure_kernel
from warpgrasp.kernels.energies.smooth_normals import normal_derivative_kernel, smooth_normals_kernel
from warpgrasp.kernels.energies.wrench import GraspedObjects
from warpgrasp.kernels.spatial import vec6
from warpgrasp.objects import ObjectModel
from warpgrasp.objects.device import corner_normal_array, mesh_set
from warpgrasp.objects.geometry import corner_normals
from warpgrasp.synthesis.energy_terms import ForceClosure

COUNT = 5
TERM = ForceClosure(normals="smooth")
Floats = np.ndarray


def contacts_at(points: Floats, normals: Floats, distance: float) -> Contacts:
    """Contacts of one grasp whose closest points are ``points``, ``distance`` [m] above them."""
    contacts = Contacts()
    above = (points + distance * normals)[None].astype(np.float32)
    contacts.index = wp.array(np.arange(len(points))[None], dtype=wp.int32, device="cpu")
    contacts.position = wp.array(above, dtype=wp.vec3, device="cpu")
    contacts.closest_point = wp.array(points[None].astype(np.float32), dtype=wp.vec3, device="cpu")
    contacts.object_normal = wp.array(normals[None].astype(np.float32), dtype=wp.vec3, device="cpu")
    contacts.distance = wp.full((1, len(points)), distance, dtype=wp.float32, device="cpu")
    return contacts


def launch_normals(model: ObjectModel, contacts: Contacts) -> tuple[wp.array, wp.array]:
    """Smooth normals and curvatures of contacts on one object."""
    meshes, _owner = mesh_set([model], "cpu")
    normal = wp.zeros(contacts.index.shape, dtype=wp.vec3, device="cpu")
    curvature = wp.zeros(contacts.index.shape, dtype=wp.mat33, device="cpu")
    corners = corner_normal_array([model], "cpu")
    index = wp.zeros(1, dtype=wp.int32, device="cpu")
    wp.launch(
        smooth_normals_kernel,
        dim=contacts.index.shape,
        inputs=[meshes, corners, index, contacts],
        outputs=[normal, curvature],
        device="cpu",
    )
    return normal, curvature


def energy_and_gradient(model: ObjectModel, contacts: Contacts) -> tuple[float, Floats]:
    """What the kernels say: the energy, and its derivative in every contact's position, shape [C, 3]."""
    contacts.object_normal, curvature = launch_normals(model, contacts)
    objects, candidates = GraspedObjects(), CandidateSet()
    objects.index = wp.zeros(1, dtype=wp.int32, device="cpu")
    objects.center_of_mass = wp.zeros(1, dtype=wp.vec3, device="cpu")
    candidates.link = wp.array(np.arange(COUNT), dtype=wp.int32, device="cpu")  # a link for every contact
    energy = wp.zeros(1, dtype=wp.float32, device="cpu")
    wrench = wp.zeros((1, COUNT), dtype=vec6, device="cpu")
    dual = wp.zeros(1, dtype=vec6, device="cpu")
    arrays = force_closure_arrays(1, COUNT, TERM.edge_count, TERM.qp, wp.get_device("cpu"))
    shared = [TERM.constants("cpu"), objects, candidates, contacts]
    wp.launch(
        force_closure_kernel,
        dim=1,
        inputs=[*shared, 1.0],
        outputs=[dual, arrays, energy, wrench],
        device="cpu",
    )
    inputs = [*shared, curvature, dual, arrays, energy, 1.0]
    wp.launch(normal_derivative_kernel, dim=1, inputs=inputs, outputs=[wrench], device="cpu")
    return float(energy.numpy()[0]), wrench.numpy()[0, :, :3].astype(np.float64)


def tangents(n: Floats) -> tuple[Floats, Floats]:
    """The library's tangents (Duff et al. 2017) in float64; their sign is that of an oblique plane."""
    sign = 1.0 if n @ [0.2718, 0.4472, 0.8521] >= 0.0 else -1.0
    a = -1.0 / (sign + n[2])
    b = n[0] * n[1] * a
    return (
        np.array([1.0 + sign * n[0] ** 2 * a, sign * b, -sign * n[0]]),
        np.array([b, sign + n[1] ** 2 * a, -n[1]]),
    )


def oracle(points: Floats, corners: Floats, normals: Floats) -> float:
    """The energy in float64, each contact on the plane of its own triangle ``corners`` [C, 3, 3]."""
    columns = []
    for p, (a, b, c), corner in zip(points, corners, normals, strict=True):
        u, v, *_ = np.linalg.lstsq(np.stack([b - a, c - a], axis=1), p - a, rcond=None)[0]
        n = -((1.0 - u - v) * corner[0] + u * corner[1] + v * corner[2])
        n /= np.linalg.norm(n)
        first, second = tangents(n)
        for k in range(TERM.edge_count):
            angle = 2.0 * np.pi * k / TERM.edge_count
            edge = TERM.friction * (np.cos(angle) * first + np.sin(angle) * second) + n
            edge /= np.sqrt(1.0 + TERM.friction**2) * TERM.edge_count
            columns.append(np.concatenate([edge, TERM.torque_weight * np.cross(p, edge)]))
    wrench = np.array(columns).T
    force, _ = solve_box_qp(wrench, TERM.qp.lower, TERM.qp.upper, TERM.qp.ridge)
    value = 0.5 * np.sum((wrench @ force) ** 2) + 0.5 * TERM.qp.ridge * np.sum(force**2)
    factor = np.linalg.det(wrench @ wrench.T + 1e-8 * np.eye(6)) ** (1.0 / 12.0)
    return float(TERM.gain * (value + TERM.offset) * np.exp(-TERM.decay * factor))


@pytest.mark.parametrize("seed", range(4))
def test_the_gradient_is_the_derivative_through_the_normals(tmp_path: Path, seed: int) -> None:
    """On the surface of an ellipsoid, against central differences in float64; tolerance 1 % of the largest component."""
    mesh = ball(subdivisions=3)
    mesh.apply_scale([1.3, 1.0, 0.7])
    model = load_mesh(tmp_path, mesh)
    rng = np.random.default_rng(seed)
    faces = rng.choice(len(model.faces), COUNT, replace=False)
    corners = model.vertices[model.faces[faces]].astype(np.float64)
    weights = 0.15 + 0.55 * rng.dirichlet([1.0, 1.0, 1.0], COUNT)  # well inside the triangles
    points = np.einsum("ck,ckd->cd", weights, corners)
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    normals = corner_normals(model.vertices, model.faces, crease=np.pi / 6.0)[faces]
    energy, found = energy_and_gradient(model, contacts_at(points, flat, 0.0))
    assert energy == pytest.approx(oracle(points, corners, normals), rel=1e-3)
    expected = np.zeros((COUNT, 3))
    for contact in range(COUNT):
        for axis in range(3):
            step = np.zeros((COUNT, 3))
            step[contact, axis] = 1e-6
            rise = oracle(points + step, corners, normals) - oracle(points - step, corners, normals)
            expected[contact, axis] = rise / 2e-6
    np.testing.assert_allclose(found, expected, atol=1e-2 * np.abs(expected).max())


def test_flat_faces_and_creases_stay_as_they_are(tmp_path: Path) -> None:
    """Nothing turns on a box: its edges bend by more than the crease angle."""
    model = load_mesh(tmp_path, box())
    points = np.array([[0.03, 0.01, -0.02], [-0.029, 0.03, 0.0]])
    normals = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    normal, curvature = launch_normals(model, contacts_at(points, normals, 0.001))
    np.testing.assert_allclose(normal.numpy()[0], normals, atol=1e-6)
    np.testing.assert_allclose(curvature.numpy(), 0.0, atol=1e-4)


def test_the_derivative_is_damped_away_from_the_surface(tmp_path: Path) -> None:
    """About 1 / radius on a ball, and ``J / (1 + |d| |J|)`` at distance d."""
    model = load_mesh(tmp_path, ball(radius=0.04))
    points, faces = trimesh.sample.sample_surface(trimesh.Trimesh(model.vertices, model.faces), 40, seed=0)
    normals = trimesh.Trimesh(model.vertices, model.faces, process=False).face_normals[faces]
    near, far = (
        launch_normals(model, contacts_at(points, normals, d))[1].numpy()[0].astype(np.float64)
        for d in (0.0, 0.01)
    )
    tangent = np.cross(normals, [0.3, 0.5, 0.8])
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    np.testing.assert_allclose(np.einsum("nij,nj,ni->n", near, tangent, tangent), 25.0, rtol=0.1)
    size = np.linalg.norm(near, axis=(1, 2))
    np.testing.assert_allclose(far, near / (1.0 + 0.01 * size)[:, None, None], atol=0.05)


def test_the_choice_changes_the_gradient_and_is_checked() -> None:
    with pytest.raises(
        ValueError, match=r"energy\.force_closure\.normals must be flat or smooth \(got 'round'\)"
    ):
        ForceClosure(normals="round")  # type: ignore[arg-type]
    gradients = {}
    for normals in ("flat", "smooth"):
        term = ForceClosure(normals=normals)  # type: ignore[arg-type]
        problem = make_problem(objects=example_objects(1), grasp_count=2, energy=only(force_closure=term))
        state = state_of(problem, annealed_variables(problem, 0, step_count=20))
        problem.evaluate(state)
        gradients[normals] = state.gradient.numpy()
        assert np.all(np.isfinite(gradients[normals]))
    assert np.linalg.norm(gradients["smooth"] - gradients["flat"]) > 0.1 * np.linalg.norm(gradients["flat"])
    with pytest.raises(ValueError, match=r"energy\.force_closure\.normals must be flat on a tape"):
        term.launch_taped(problem, state, state.energy)
