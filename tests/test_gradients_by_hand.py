"""Energies of a planar gripper on a box, worked out by hand: values and gradients to 1e-3, by ``evaluate`` and on the tape.

``tiny_hand.py`` gives the geometry: a point (a, b, c) of the left link is at ``(-W + a cos q + c sin q, b, c cos q - a sin q)``
plus the root position; the right link turns by ``RATIO q`` about ``(+W, 0, 0)``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import warp as wp
from cases import only
from numpy.typing import NDArray
from scipy.optimize import brentq
from tiny_hand import HALF, LENGTH, RADIUS, RATIO, WIDTH, box_object, tiny_hand

from warpgrasp.hands.device import candidate_set
from warpgrasp.kernels.energies.singular_values import SingularValueForm
from warpgrasp.kernels.mesh_distance import launch_signed_distance
from warpgrasp.kernels.qp.dual_newton import QpConfig
from warpgrasp.objects import ObjectModel
from warpgrasp.objects.device import mesh_set
from warpgrasp.synthesis.energy_config import EnergyConfig
from warpgrasp.synthesis.energy_optional import Approach, Manipulability, Wall, WrenchBalance
from warpgrasp.synthesis.energy_terms import (
    Distance,
    ForceClosure,
    JointLimits,
    Penetration,
    SelfPenetration,
    SpherePenetration,
)
from warpgrasp.synthesis.problem import GraspProblem

FloatArray = NDArray[np.float64]

BOX = (0.03125, 0.0625, 0.125)  # half extents; powers of two, so that float32 holds the faces exactly
X, Y, Z, TURN_X, TURN_Y, TURN_Z, Q = range(7)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> ObjectModel:
    return box_object(tmp_path_factory.mktemp("box"), BOX)


class Posed:
    """One gripper: energy and gradient both ways, and its two contact points in closed form."""

    def __init__(
        self,
        box: ObjectModel,
        energy: EnergyConfig,
        q: float,
        root: tuple[float, float, float] = (0.0, 0.0, 0.0),
        quaternion: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0),
        *,
        mirror: bool = False,
    ) -> None:
        self.problem = GraspProblem(
            tiny_hand(),
            [box],
            grasp_count=1,
            contact_count=2,
            grasp_type="pinch",
            terms=energy.active_terms(),
            device="cpu",
        )
        candidates = self.problem.host_candidates
        left = int(np.flatnonzero(candidates.link == 1)[1])
        right = int(np.flatnonzero(candidates.link == 2)[2])
        if mirror:  # the right contact exactly opposite the left one
            candidates.position[right] = candidates.position[left] * [-1.0, 1.0, 1.0]
            self.problem.candidates = candidate_set(candidates, "cpu")
        state = self.problem.create_state()
        self.problem.set_variables(
            state, np.array([[*root, *quaternion]]), np.array([[q]]), np.array([[left, right]])
        )
        self.problem.evaluate(state)
        self.energy = float(state.energy_terms.numpy()[0, 0])
        self.gradient = state.gradient.numpy()[0]
        increment = wp.zeros((1, 7), dtype=wp.float32, device="cpu", requires_grad=True)
        tape = wp.Tape()
        with tape:
            total = self.problem.evaluate_taped(state, increment)
        tape.backward(grads={total: wp.ones_like(total)})
        self.taped_energy = float(total.numpy()[0])
        self.taped_gradient = increment.grad.numpy()[0]

        self.q = q
        self.local_left, self.local_right = candidates.position[left], candidates.position[right]
        self.left, self.left_slope = _point(self.local_left, -WIDTH, 1.0, q, root)
        self.right, self.right_slope = _point(self.local_right, WIDTH, RATIO, q, root)

    def check(self, energy: float, **gradient: float) -> None:
        """Compare with the closed form; gradient components by name, x, y, z, turn_x, turn_y, turn_z, q."""
        names = {"x": X, "y": Y, "z": Z, "turn_x": TURN_X, "turn_y": TURN_Y, "turn_z": TURN_Z, "q": Q}
        scale = max([abs(value) for value in gradient.values()] + [1e-2])
        for found, slope in ((self.energy, self.gradient), (self.taped_energy, self.taped_gradient)):
            assert found == pytest.approx(energy, rel=1e-3, abs=1e-7)
            for name, value in gradient.items():
                assert slope[names[name]] == pytest.approx(value, abs=1e-3 * scale), name


def _point(
    local: FloatArray, joint: float, ratio: float, q: float, root: tuple[float, float, float]
) -> tuple[FloatArray, FloatArray]:
    """Position of a link point and its derivative in q."""
    a, b, c = local
    angle = ratio * q
    position = np.array(
        [joint + a * np.cos(angle) + c * np.sin(angle), b, c * np.cos(angle) - a * np.sin(angle)]
    )
    slope = ratio * np.array(
        [c * np.cos(angle) - a * np.sin(angle), 0.0, -c * np.sin(angle) - a * np.cos(angle)]
    )
    return position + root, slope


@pytest.mark.parametrize("q", [0.1, 0.25, 0.45])
def test_plain_distance(box: ObjectModel, q: float) -> None:
    """Left contact before or behind the face x = -h, right contact before x = +h: E = sum sqrt(d^2 + 1e-8)."""
    grasp = Posed(box, only(distance=Distance(weight=1.0, normal_weighted=False)), q, (0.002, 0.003, -0.01))
    d = np.array([-BOX[0] - grasp.left[0], grasp.right[0] - BOX[0]])
    smooth = np.sqrt(d**2 + 1e-8)
    assert (d[0] < 0.0) == (q > 0.4)
    grasp.check(
        float(smooth.sum()),
        x=-d[0] / smooth[0] + d[1] / smooth[1],
        y=0.0,
        z=0.0,
        q=-d[0] / smooth[0] * grasp.left_slope[0] + d[1] / smooth[1] * grasp.right_slope[0],
    )


def test_normal_weighted_distance(box: ObjectModel) -> None:
    """The pads' normals (cos q, 0, -sin q) and -(cos r, 0, -sin r), r = RATIO q, give the factors exp(1 - cos)."""
    q = 0.25
    grasp = Posed(box, only(distance=Distance(weight=1.0)), q)
    d = np.array([-BOX[0] - grasp.left[0], grasp.right[0] - BOX[0]])
    smooth = np.sqrt(d**2 + 1e-8)
    factor = np.exp([1.0 - np.cos(q), 1.0 - np.cos(RATIO * q)])
    slope_q = factor[0] * (np.sin(q) * smooth[0] - d[0] / smooth[0] * grasp.left_slope[0])
    slope_q += factor[1] * (RATIO * np.sin(RATIO * q) * smooth[1] + d[1] / smooth[1] * grasp.right_slope[0])
    slope_x = -factor[0] * d[0] / smooth[0] + factor[1] * d[1] / smooth[1]
    grasp.check(float(factor @ smooth), x=slope_x, y=0.0, z=0.0, q=slope_q)


def test_wrench_balance(box: ObjectModel) -> None:
    """Opposite normals: forces cancel, the torque is s (p_left - p_right) x e_x."""
    grasp = Posed(
        box, only(wrench_balance=WrenchBalance(weight=1.0, torque_weight=5.0)), 0.25, (0.0, 0.0, -0.02)
    )
    arm = grasp.left - grasp.right
    torque = 5.0 * np.array([0.0, arm[2], -arm[1]])
    slope = 2.0 * 5.0 * torque[1] * (grasp.left_slope[2] - grasp.right_slope[2])
    assert abs(arm[2]) > 0.002
    grasp.check(float(torque @ torque), x=0.0, y=0.0, z=0.0, q=slope)


def test_force_closure_at_its_bounds(box: ObjectModel) -> None:
    """With bounds [1, 1 + 1e-6] all forces are 1: V = |sum of contact wrenches|^2 / (2 (1 + mu^2)) + eps/2 * 8."""
    friction, ridge = 0.3, 1e-4
    term = ForceClosure(
        friction=friction,
        factor=SingularValueForm.NONE,
        qp=QpConfig(lower=1.0, upper=1.0 + 1e-6, ridge=ridge, tolerance=1e-5),
    )
    grasp = Posed(box, only(force_closure=term), 0.25, (0.0, 0.0, -0.02))
    arm = grasp.left - grasp.right
    torque = 5.0 * np.array([0.0, arm[2], -arm[1]]) / np.sqrt(1.0 + friction**2)
    value = 0.5 * float(torque @ torque) + 0.5 * ridge * 8
    slope = torque[1] * 5.0 / np.sqrt(1.0 + friction**2) * (grasp.left_slope[2] - grasp.right_slope[2])
    grasp.check(2.0 * (value + 0.01), x=0.0, y=0.0, z=0.0, q=2.0 * slope)


def test_force_closure_of_balanced_contacts(box: ObjectModel) -> None:
    """Two contacts exactly opposite are in balance at the lower bound: V = eps/2 * 8, and no motion lowers it."""
    term = ForceClosure(factor=SingularValueForm.NONE)
    grasp = Posed(box, only(force_closure=term), 0.0, (0.0, 0.0, -0.02), mirror=True)
    np.testing.assert_allclose(grasp.left[1:], grasp.right[1:], atol=1e-12)
    grasp.check(2.0 * (0.5 * 1e-4 * 8 + 0.01), x=0.0, y=0.0, z=0.0, turn_x=0.0, turn_y=0.0, turn_z=0.0, q=0.0)


def test_penetration(box: ObjectModel) -> None:
    """The left plate, axes along the box's, 2 mm inside: every sample is as deep as its nearest plate face."""
    depth = 0.002
    root = (-BOX[0] + depth - HALF[0] + WIDTH, 0.011, 0.013)
    grasp = Posed(box, only(penetration=Penetration(weight=1.0)), 0.0, root)
    samples = box.surface_samples(2500)[0]
    local = samples - np.array(root) - [-WIDTH, 0.0, LENGTH]
    face = np.stack(
        [
            HALF[0] - local[:, 0],
            HALF[1] - local[:, 1],
            HALF[1] + local[:, 1],
            HALF[2] - local[:, 2],
            HALF[2] + local[:, 2],
        ]
    )
    deepest, owner = face.min(axis=0), face.argmin(axis=0)
    inside = (deepest > 0.0) & (local[:, 0] > -HALF[0])
    count = np.bincount(owner[inside], minlength=5)
    assert count[0] > 5
    assert count[1:].sum() > 0
    height = samples[:, 2] - root[2]  # above the joint
    arm = samples[:, 0] - root[0] + WIDTH
    slope_q = height[inside & (owner == 0)].sum()  # the plate turns towards the sample
    slope_q += -arm[inside & (owner == 3)].sum() + arm[inside & (owner == 4)].sum()
    grasp.check(
        float(deepest[inside].sum()),
        x=count[0],
        y=count[1] - count[2],
        z=count[3] - count[4],
        q=float(slope_q),
    )


def test_sphere_penetration(box: ObjectModel) -> None:
    """The left plate is wholly inside the box, the right one far away: only the sphere feels it, and the nearest face."""
    q, root = 0.1, (0.04, 0.0, 0.0)
    assert Posed(box, only(penetration=Penetration(weight=1.0)), q, root).energy == 0.0
    x = root[0] - WIDTH + LENGTH * np.sin(q)
    assert x < 0.0, "the left face is the nearest"
    allowance = 0.005
    term = SpherePenetration(weight=1.0, allowance=allowance)
    depth = RADIUS - allowance + BOX[0] + x
    Posed(box, only(sphere_penetration=term), q, root).check(
        float(depth), x=1.0, y=0.0, z=0.0, turn_x=0.0, q=LENGTH * float(np.cos(q))
    )


@pytest.mark.parametrize(("q", "margin"), [(0.9, 0.0), (0.9, 0.003), (None, 0.004)])
def test_self_penetration(box: ObjectModel, q: float | None, margin: float) -> None:
    """Spheres that overlap, and spheres that are apart by half the margin."""

    def tips(q: float) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        tip = np.array([0.0, 0.0, LENGTH])
        return (*_point(tip, -WIDTH, 1.0, q, (0.0,) * 3), *_point(tip, WIDTH, RATIO, q, (0.0,) * 3))

    def gap_at(q: float) -> float:
        left, _, right, _ = tips(q)
        return float(np.linalg.norm(left - right))

    if q is None:
        q = float(brentq(lambda value: gap_at(value) - 2.0 * RADIUS - 0.5 * margin, 0.0, 0.9))
    else:
        assert 0.0 < gap_at(q) < 2.0 * RADIUS
    grasp = Posed(box, only(self_penetration=SelfPenetration(weight=1.0, margin=margin)), q)
    left, left_slope, right, right_slope = tips(q)
    slope = -float((left - right) @ (left_slope - right_slope)) / gap_at(q)
    overlap = 2.0 * RADIUS + margin - gap_at(q)
    grasp.check(overlap, x=0.0, y=0.0, z=0.0, turn_x=0.0, turn_y=0.0, turn_z=0.0, q=slope)


@pytest.mark.parametrize(("q", "energy", "slope"), [(0.7, 0.2, 1.0), (-0.9, 0.4, -1.0), (0.3, 0.0, 0.0)])
def test_joint_limits(box: ObjectModel, q: float, energy: float, slope: float) -> None:
    Posed(box, only(joint_limits=JointLimits(weight=1.0)), q).check(energy, x=0.0, turn_x=0.0, q=slope)


def test_wall(box: ObjectModel) -> None:
    """Spheres at height z + L cos, wall under the box at -h."""
    q, z = 0.4, -0.19
    grasp = Posed(box, only(wall=Wall(weight=1.0)), q, (0.0, 0.0, z))
    heights = z + LENGTH * np.cos([q, RATIO * q])
    depth = RADIUS - BOX[2] - heights
    assert (depth > 0.0).all()
    slope = LENGTH * np.sin(q) + RATIO * LENGTH * np.sin(RATIO * q)
    grasp.check(float(depth.sum()), x=0.0, y=0.0, z=-2.0, q=float(slope))


def test_approach(box: ObjectModel) -> None:
    """A hand turned by phi about x: the palm normal (0, -sin phi, cos phi) against (0, 0, -1)."""
    phi = 0.6
    turned = (float(np.sin(0.5 * phi)), 0.0, 0.0, float(np.cos(0.5 * phi)))
    grasp = Posed(box, only(approach=Approach(weight=1.0)), 0.0, quaternion=turned)
    grasp.check(1.0 + np.cos(phi), x=0.0, y=0.0, z=0.0, turn_x=-np.sin(phi), turn_y=0.0, turn_z=0.0, q=0.0)


def test_manipulability(box: ObjectModel) -> None:
    """The lever of a pad's normal about its joint is the contact's height in the link, whatever q; so the gradient is zero."""
    grasp = Posed(box, only(manipulability=Manipulability(weight=1.0)), 0.3)
    levers = np.array([grasp.local_left[2], RATIO * grasp.local_right[2]])
    energy = -np.mean(np.log(1e-3 + levers**2 / 0.05**2))
    grasp.check(float(energy), x=0.0, y=0.0, z=0.0, turn_x=0.0, turn_y=0.0, turn_z=0.0, q=0.0)


# -- the signed distance on the surface -----------------------------------------------------------------------------------


def _box_distance(point: FloatArray) -> float:
    over = np.abs(point) - BOX
    return float(np.linalg.norm(np.maximum(over, 0.0)) + min(over.max(), 0.0))


@pytest.mark.parametrize("offset", [0.0, 1e-7, -1e-7, 1e-6, -1e-6, 1e-5, -1e-5, 1e-3, -1e-3])
def test_signed_distance_gradient_on_the_surface(box: ObjectModel, offset: float) -> None:
    """Normals at, and next to, points that float32 puts exactly on a face: never zero, never flipped."""
    rng = np.random.default_rng(0)
    points, expected = [], []
    for axis in range(3):
        for side in (-1.0, 1.0):
            for _ in range(8):
                point = rng.uniform(-0.8, 0.8, 3) * BOX
                point[axis] = side * (BOX[axis] + offset)
                points.append(point.astype(np.float32).astype(np.float64))
                expected.append(side * np.eye(3)[axis])
    count = len(points)
    meshes, _owner = mesh_set([box], "cpu")
    distance = wp.zeros(count, dtype=wp.float32, device="cpu")
    normal = wp.zeros(count, dtype=wp.vec3, device="cpu")
    closest = wp.zeros(count, dtype=wp.vec3, device="cpu")
    launch_signed_distance(
        meshes,
        wp.zeros(count, dtype=wp.int32, device="cpu"),
        wp.array(np.array(points), dtype=wp.vec3, device="cpu"),
        distance=distance,
        normal=normal,
        closest=closest,
    )
    np.testing.assert_allclose(distance.numpy(), [_box_distance(p) for p in points], atol=2e-8)
    # p - c carries float32 rounding of 2e-8 m, which turns a normal that is 1e-6 m long by 2 %
    np.testing.assert_allclose(normal.numpy(), expected, atol=1e-3 + min(4e-8 / max(abs(offset), 1e-6), 0.05))
    step = 1e-5
    for i, point in enumerate(points):
        slope = [
            (_box_distance(point + step * e) - _box_distance(point - step * e)) / (2.0 * step)
            for e in np.eye(3)
        ]
        assert float(normal.numpy()[i] @ slope) > 0.999


@pytest.mark.parametrize("offset", [0.0, 1e-5, -1e-5, 1e-4, -1e-4])
def test_distance_slope_across_the_surface(box: ObjectModel, offset: float) -> None:
    """dE/dx = -d / sqrt(d^2 + 1e-8) runs smoothly through zero where a contact crosses the surface."""
    local = Posed(box, only(distance=Distance(weight=1.0)), 0.0).local_left
    x = -BOX[0] - offset + WIDTH - local[0]
    grasp = Posed(box, only(distance=Distance(weight=1.0, normal_weighted=False)), 0.0, (x, 0.0, 0.0))
    far = grasp.right[0] - BOX[0]
    left_slope = grasp.gradient[X] - far / np.sqrt(far**2 + 1e-8)
    assert left_slope == pytest.approx(-offset / np.sqrt(offset**2 + 1e-8), abs=2e-3)
    np.testing.assert_allclose(grasp.taped_gradient, grasp.gradient, atol=2e-3)


def test_weights_scale_energy_and_gradient(box: ObjectModel) -> None:
    """``energy_terms`` are unweighted; total and gradient carry the weight."""
    one: Any = Posed(box, only(distance=Distance(weight=1.0)), 0.25)
    ten: Any = Posed(box, only(distance=Distance(weight=10.0)), 0.25)
    assert ten.energy == one.energy
    assert ten.taped_energy == pytest.approx(10.0 * one.taped_energy, rel=1e-5)
    np.testing.assert_allclose(ten.gradient, 10.0 * one.gradient, rtol=1e-4, atol=1e-4)
