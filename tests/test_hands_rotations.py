"""Quaternions of the hands: their wxyz borders, round trips through matrices, turns between directions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from warpgrasp.geometry.rotations import (
    is_mirror,
    matrix_to_quaternion,
    quaternion_between,
    quaternion_from_wxyz,
    quaternion_to_matrix,
    quaternion_to_wxyz,
    rotate,
    rpy_to_quaternion,
)


def test_quaternion_borders_and_round_trips() -> None:
    wxyz = np.array([0.1, 0.2, -0.3, 0.9])
    wxyz /= np.linalg.norm(wxyz)
    xyzw = quaternion_from_wxyz(tuple(wxyz))
    np.testing.assert_allclose(xyzw, wxyz[[1, 2, 3, 0]], atol=1e-12)
    np.testing.assert_allclose(quaternion_to_wxyz(xyzw), wxyz, atol=1e-12)
    random = np.random.default_rng(0)
    for _ in range(50):
        q = random.normal(size=4)
        q /= np.linalg.norm(q)
        again = matrix_to_quaternion(quaternion_to_matrix(q))
        assert abs(float(again @ q)) == pytest.approx(1.0, abs=1e-12)
        a, b = random.normal(size=(2, 3))
        a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
        np.testing.assert_allclose(rotate(quaternion_between(a, b), a), b, atol=1e-12)
    np.testing.assert_allclose(
        rotate(quaternion_between((0, 0, 1), (0, 0, -1)), (0, 0, 1)), [0, 0, -1], atol=1e-12
    )
    np.testing.assert_allclose(
        quaternion_to_matrix(rpy_to_quaternion((0.1, -0.2, 0.3)))[:, 0],
        [math.cos(0.3) * math.cos(-0.2), math.sin(0.3) * math.cos(-0.2), -math.sin(-0.2)],
        atol=1e-12,
    )


def test_a_map_that_is_not_finite_is_no_mirror_and_warns_of_nothing() -> None:
    assert is_mirror(np.diag([1.0, -1.0, 1.0]))
    assert is_mirror(np.diag([-1.0, 1.0, 1.0, 1.0]))
    assert not is_mirror(np.eye(3))
    assert not is_mirror(np.full((4, 4), np.nan))
    assert not is_mirror(np.full((3, 3), np.inf))
