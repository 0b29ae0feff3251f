"""The column ``quality``: closed forms of what it looks at, and what it orders."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from grasp_factory import make_grasp_set

from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.grasps.success_estimate import (
    FEATURES,
    estimate_features,
    success_estimate,
    with_estimate,
)


def cube_grasp(*, half: float = 0.02, gap: float = 0.0, energy: float = 0.5) -> GraspSet:
    """One grasp with a contact on the middle of each face of a cube, all pressing with 2 N."""
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    return dataclasses.replace(
        make_grasp_set(count=1, contact_count=6),
        contact_position=half * axes[None],
        contact_normal=axes[None],
        contact_force=-2.0 * axes[None],
        energy_terms=np.array([[0.0, gap]]),
        energy=np.array([energy]),
    )


def test_features_of_a_cube_in_closed_form() -> None:
    value = dict(zip(FEATURES, estimate_features(cube_grasp(gap=0.009))[0], strict=True))
    assert np.isclose(value["gap"], -2.0)
    assert np.isclose(value["energy"], np.log(0.5))
    assert np.isclose(value["largest_force"], np.log(2.001))
    # Two of six points lie on every axis: sqrt(2 h^2 / 6).
    assert np.isclose(value["thickness"], np.log10(0.02 / np.sqrt(3.0) + 1e-4))
    # Normals through the centre resist no torque.
    assert np.isclose(value["weakest_wrench"], -4.0, atol=1e-3)


def test_a_turned_grasp_is_as_good() -> None:
    grasps = make_grasp_set(count=4)
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    vectors = (
        "contact_position",
        "contact_normal",
        "contact_force",
        "root_position",
        "pregrasp_root_position",
    )
    turned = dataclasses.replace(grasps, **{name: getattr(grasps, name) @ turn.T for name in vectors})
    np.testing.assert_allclose(success_estimate(turned), success_estimate(grasps), atol=1e-5)


def test_contacts_that_do_not_touch_and_a_higher_energy_are_worse() -> None:
    quality = [float(success_estimate(cube_grasp(gap=gap))[0]) for gap in (0.0, 0.01, 0.1)]
    assert 1.0 > quality[0] > quality[1] > quality[2] > 0.0
    assert success_estimate(cube_grasp(energy=5.0))[0] < quality[0]


def test_estimate_is_unknown_where_a_file_has_no_distance_or_no_finite_contact() -> None:
    grasps = make_grasp_set()
    other = dataclasses.replace(grasps, energy_term_names=("force_closure", "joint_limits"))
    assert np.isnan(with_estimate(other).quality).all()
    lost = grasps.contact_position.copy()
    lost[2] = np.nan
    broken = dataclasses.replace(grasps, contact_position=lost, status=np.array([0, 0, 1, 0, 0]))
    assert np.isnan(with_estimate(broken).quality).tolist() == [False, False, True, False, False]


def test_best_grasps_are_those_most_likely_to_hold(tmp_path: Path) -> None:
    quality = np.array([0.5, np.nan, 0.9, np.nan, 0.99])
    grasps = make_grasp_set(
        quality=quality, energy=np.array([1.0, 5.0, 9.0, 2.0, 3.0]), status=np.array([0, 0, 0, 0, 7])
    )
    assert grasps.order().tolist() == [2, 0, 3, 1, 4]
    np.testing.assert_array_equal(GraspSet.load(grasps.save(tmp_path / "a.npz")).quality, grasps.quality)
    path = tmp_path / "old.npz"
    with np.load(grasps.save(path), allow_pickle=False) as file:
        columns = {name: file[name] for name in file.files if name != "quality"}
    np.savez(path, **columns)
    assert GraspSet.load(path).order().tolist() == [0, 3, 1, 2, 4]
