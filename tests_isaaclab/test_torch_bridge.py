"""The torch bridge gives the values and gradients of the synthesis, on the memory of the tensors."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from warpgrasp.hands import load_hand
from warpgrasp.objects import example_object_names, example_object_path, load_object
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.energy_terms import Distance, ForceClosure
from warpgrasp.synthesis.problem import GraspProblem
from warpgrasp.synthesis.seeds import InitializeConfig, seed_grasps
from warpgrasp.synthesis.torch_bridge import ObjectSurfaces, contact_distance, force_closure, grasp_energy


@pytest.fixture(scope="module")
def evaluated():
    """Problem and evaluated state: four seeds on each of two objects, moved to the surface by a few steps down."""
    models = [load_object(example_object_path(name)) for name in example_object_names()[:2]]
    problem = GraspProblem(
        load_hand("allegro"),
        models,
        grasp_count=4,
        contact_count=6,
        terms=EnergyConfig().active_terms(),
        device="cpu",
    )
    state = problem.create_state()
    seeds = seed_grasps(problem, InitializeConfig(), seed=1)
    rng = np.random.default_rng(0)
    candidates = problem.host_candidates.count
    root = np.asarray(seeds.root_pose.numpy() if hasattr(seeds.root_pose, "numpy") else seeds.root_pose)
    joints = seeds.joint_position
    joints = np.asarray(joints.numpy() if hasattr(joints, "numpy") else joints)
    problem.set_variables(state, root, joints, rng.integers(0, candidates, size=(8, 6)))
    problem.evaluate(state)
    return problem, state


def _tensor(array):
    return torch.from_numpy(array.numpy())


def test_terms_have_the_values_of_the_problem(evaluated):
    problem, state = evaluated
    terms = dict(zip(problem.term_names, state.energy_terms.numpy(), strict=True))
    index = torch.from_numpy(problem.object_index.numpy())
    energy = force_closure(
        _tensor(state.contact_position), _tensor(state.object_normal), _tensor(problem.center_of_mass), index
    )
    np.testing.assert_allclose(energy.numpy(), terms["force_closure"], rtol=2e-3)
    distance = contact_distance(
        _tensor(state.contact_position),
        _tensor(state.hand_normal),
        _tensor(state.closest_point),
        _tensor(state.object_normal),
    )
    np.testing.assert_allclose(distance.numpy(), terms["distance"], rtol=1e-5)


@pytest.mark.parametrize("name", ["force_closure", "distance"])
def test_gradient_of_a_term_matches_central_differences(evaluated, name):
    problem, state = evaluated
    position = _tensor(state.contact_position).clone().requires_grad_()
    normals, closest = _tensor(state.object_normal), _tensor(state.closest_point)
    center, index = _tensor(problem.center_of_mass), torch.from_numpy(problem.object_index.numpy())

    def value(points):
        if name == "force_closure":
            return force_closure(points, normals, center, index)
        return contact_distance(points, _tensor(state.hand_normal), closest, normals)

    weight = torch.linspace(0.5, 2.0, 8)
    (weight * value(position)).sum().backward()
    direction = torch.randn(position.shape, generator=torch.Generator().manual_seed(3))
    step = 2e-3
    with torch.no_grad():
        ahead, behind = value(position + step * direction), value(position - step * direction)
    numeric = (weight * (ahead - behind)).sum().item() / (2.0 * step)
    assert (position.grad * direction).sum().item() == pytest.approx(numeric, rel=0.03)


def test_energy_and_gradient_are_those_of_the_problem(evaluated):
    problem, state = evaluated
    root = _tensor(state.root_pose).clone().requires_grad_()
    joints = _tensor(state.joint_position).clone().requires_grad_()
    energy = grasp_energy(problem, root, joints, _tensor(state.contact_index))
    np.testing.assert_allclose(energy.detach().numpy(), state.energy.numpy(), rtol=1e-4)
    energy.sum().backward()
    gradient = state.gradient.numpy()
    scale = np.abs(gradient).max()
    np.testing.assert_allclose(root.grad[:, :3].numpy(), gradient[:, :3], atol=2e-3 * scale)
    np.testing.assert_allclose(joints.grad.numpy(), gradient[:, 6:], atol=2e-3 * scale)
    # d E = g . dq for dq = q * (w / 2, 0): project back on the rotation vector of the hand frame.
    x, y, z, w = root.detach()[:, 3:].numpy().T
    rows = 0.5 * np.array([[w, z, -y, -x], [-z, w, x, -y], [y, -x, w, -z]]).transpose(2, 0, 1)
    back = np.einsum("bij,bj->bi", rows, root.grad[:, 3:].numpy())
    np.testing.assert_allclose(back, gradient[:, 3:6], atol=2e-3 * scale)
    radial = (root.grad[:, 3:] * root.detach()[:, 3:]).sum(dim=1)
    np.testing.assert_allclose(radial.numpy(), 0.0, atol=1e-3 * scale)


@pytest.mark.parametrize("length", [0.5, 1.05, 3.0])
def test_the_length_of_a_quaternion_does_not_matter(evaluated, length):
    problem, state = evaluated
    unit = _tensor(state.root_pose).clone()
    longer = unit.clone()
    longer[:, 3:] *= length
    longer.requires_grad_()
    energy = grasp_energy(problem, longer, _tensor(state.joint_position), _tensor(state.contact_index))
    np.testing.assert_allclose(energy.detach().numpy(), state.energy.numpy(), rtol=1e-4)
    energy.sum().backward()
    gradient = longer.grad[:, 3:]
    scale = gradient.abs().max()
    radial = (gradient * unit[:, 3:]).sum(dim=1)
    np.testing.assert_allclose(radial.numpy(), 0.0, atol=1e-3 * scale)
    # Along a tangent of the unit sphere the energy changes `length` times slower.
    unit.requires_grad_()
    at_one = grasp_energy(problem, unit, _tensor(state.joint_position), _tensor(state.contact_index))
    at_one.sum().backward()
    np.testing.assert_allclose(
        gradient.numpy() * length, unit.grad[:, 3:].numpy(), atol=2e-3 * scale * length
    )


def test_a_quaternion_without_length_is_refused(evaluated):
    problem, state = evaluated
    root = _tensor(state.root_pose).clone()
    root[2, 3:] = 0.0
    with pytest.raises(ValueError, match=r"can be normalised .*grasp 2"):
        grasp_energy(problem, root, _tensor(state.joint_position), _tensor(state.contact_index))


def test_surfaces_return_the_closest_features(evaluated):
    problem, state = evaluated
    surfaces = ObjectSurfaces(problem.objects, "cpu")
    points = _tensor(state.contact_position).reshape(-1, 3)
    index = torch.from_numpy(problem.object_index.numpy()).repeat_interleave(6)
    closest, normal, distance = surfaces.closest(points, index)
    np.testing.assert_allclose(distance.numpy(), state.contact_distance.numpy().ravel(), atol=1e-6)
    np.testing.assert_allclose(closest.numpy(), state.closest_point.numpy().reshape(-1, 3), atol=1e-5)
    assert normal.norm(dim=1).sub(1.0).abs().max() < 1e-4


def test_distances_are_written_into_torch_memory():
    """Nothing is copied: a result array of Warp is the tensor's memory."""
    import warp as wp

    tensor = torch.zeros(4, 3)
    assert wp.from_torch(tensor, dtype=wp.vec3).ptr == tensor.data_ptr()


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"contact_position must be float32 of shape \[B, C, 3\]"):
        force_closure(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(1, 3))
    with pytest.raises(ValueError, match="object_normal must have the shape"):
        force_closure(torch.zeros(2, 3, 3), torch.zeros(2, 4, 3), torch.zeros(1, 3))


def test_hyper_parameters_reach_the_kernels(evaluated):
    problem, state = evaluated
    arguments = (
        _tensor(state.contact_position),
        _tensor(state.object_normal),
        _tensor(problem.center_of_mass),
    )
    index = torch.from_numpy(problem.object_index.numpy())
    slippery = force_closure(*arguments, index, term=ForceClosure(friction=0.05))
    assert not torch.allclose(slippery, force_closure(*arguments, index))
    plain = contact_distance(
        arguments[0],
        _tensor(state.hand_normal),
        _tensor(state.closest_point),
        arguments[1],
        term=Distance(normal_weighted=False),
    )
    np.testing.assert_allclose(
        plain.numpy(), np.sqrt(state.contact_distance.numpy() ** 2 + 1e-8).sum(axis=1), rtol=1e-4
    )
    assert EnergyConfig().distance == Distance()


def test_warp_is_initialised_when_it_is_needed():
    """In a process of its own: any other test initialises Warp."""
    code = (
        "import torch\n"
        "from warpgrasp.objects import example_object_path, load_object\n"
        "from warpgrasp.torch_bridge import ObjectSurfaces\n"
        "surfaces = ObjectSurfaces([load_object(example_object_path('mug'))], 'cpu')\n"
        "distance = surfaces.closest(torch.zeros(1, 3), torch.zeros(1, dtype=torch.long))[2]\n"
        "assert torch.isfinite(distance).all()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    code = (
        "import torch\n"
        "from warpgrasp.torch_bridge import force_closure\n"
        "normal = torch.eye(3)[None]\n"
        "assert torch.isfinite(force_closure(0.1 * normal, normal, torch.zeros(1, 3))).all()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
