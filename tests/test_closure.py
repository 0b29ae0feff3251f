"""Force closure of contacts against a linear program of another form, and grasps that can be judged by eye."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linprog

from warpgrasp.synthesis.closure import EDGE_COUNT, is_force_closed

Floats = NDArray[np.float64]
ORIGIN = np.zeros(3)


def largest_least_weight(position: Floats, normal: Floats, friction: float) -> float:
    """``max l: W a = 0, sum a = 1, a >= l`` (Li et al. 2023, FRoGGeR): positive iff the wrenches positively span R^6."""
    columns = []
    for point, inward in zip(position, -normal, strict=True):
        u = np.linalg.svd(inward[None])[2][1]
        v = np.cross(inward, u)
        for k in range(EDGE_COUNT):
            angle = 2.0 * np.pi * (k + 0.25) / EDGE_COUNT
            force = inward + friction * (np.cos(angle) * u + np.sin(angle) * v)
            columns.append(np.concatenate([force, 5.0 * np.cross(point, force)]))
    wrench = np.array(columns).T
    if np.linalg.matrix_rank(wrench, tol=1e-6) < 6:
        return -np.inf
    count = wrench.shape[1]
    equal = np.vstack([np.hstack([wrench, np.zeros((6, 1))]), np.append(np.ones(count), 0.0)])
    result = linprog(
        np.append(np.zeros(count), -1.0),
        A_eq=equal,
        b_eq=np.append(np.zeros(6), 1.0),
        A_ub=np.hstack([-np.eye(count), np.ones((count, 1))]),
        b_ub=np.zeros(count),
        bounds=[(None, None)] * (count + 1),
    )
    return float(result.x[-1]) if result.status == 0 else -np.inf


def test_agrees_with_a_linear_program() -> None:
    """Random contacts on a sphere, few to many; ties, where turned pyramids differ, are left out."""
    random = np.random.default_rng(0)
    verdicts = []
    for _ in range(120):
        count = int(random.integers(2, 9))
        normal = random.normal(size=(count, 3))
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        position = 0.04 * normal + 0.01 * random.normal(size=(count, 3))
        friction = float(random.uniform(0.1, 0.8))
        certain = [
            largest_least_weight(position, normal, friction * factor) > 1e-6 for factor in (0.93, 1.07)
        ]
        if certain[0] == certain[1]:
            verdicts.append(certain[0])
            assert is_force_closed(position, normal, ORIGIN, friction) == certain[0]
    assert 20 < sum(verdicts) < len(verdicts) - 20


def test_three_fingers_around_a_ball_close_and_two_do_not() -> None:
    """Contacts on a great circle 120 deg apart close with any friction that turns; two opposite points turn on their line."""
    angle = np.radians([0.0, 120.0, 240.0])
    circle = np.stack([np.cos(angle), np.sin(angle), np.zeros(3)], axis=1)
    assert is_force_closed(0.03 * circle, circle, ORIGIN, 0.2)
    assert not is_force_closed(0.03 * circle, circle, ORIGIN, 0.0)  # frictionless: rank 3
    two = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    assert not is_force_closed(0.03 * two, two, ORIGIN, 0.8)


@pytest.mark.parametrize(("friction", "closed"), [(0.5, False), (0.7, True)])
def test_wedge_closes_where_friction_exceeds_its_slope(friction: float, closed: bool) -> None:
    """Four contacts on two faces that lean 30 deg: they squeeze it out unless friction exceeds tan 30 deg = 0.577.

    The pyramid of eight edges reaches the cone itself only at its edges; the tangents include the slope's direction here.
    """
    lean = np.radians(30.0)
    normal = np.array([[np.cos(lean), 0.0, np.sin(lean)], [-np.cos(lean), 0.0, np.sin(lean)]])
    position = np.array([[0.02, y, 0.0] for y in (-0.01, 0.01)] + [[-0.02, y, 0.0] for y in (-0.01, 0.01)])
    assert is_force_closed(position, np.repeat(normal, 2, axis=0), ORIGIN, friction) == closed


def test_where_the_centre_is_does_not_matter() -> None:
    random = np.random.default_rng(1)
    normal = random.normal(size=(5, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    position = 0.05 * normal
    for center in random.normal(scale=0.03, size=(5, 3)):
        assert is_force_closed(position, normal, center, 0.3) == is_force_closed(
            position, normal, ORIGIN, 0.3
        )


def test_bad_numbers_are_not_closed() -> None:
    angle = np.radians([0.0, 120.0, 240.0])
    circle = np.stack([np.cos(angle), np.sin(angle), np.zeros(3)], axis=1)
    broken = circle.copy()
    broken[0, 0] = np.nan
    assert not is_force_closed(0.03 * circle[:1], circle[:1], ORIGIN, 0.5)
    assert not is_force_closed(broken, circle, ORIGIN, 0.5)
