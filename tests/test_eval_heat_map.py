"""Contact heat maps: a contact counts one, on its own side of a wall, and is yellow in the picture that faces it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from eval_factory import offset_box
from report_factory import make_case

from warpgrasp.base.status import GraspStatus
from warpgrasp.eval.report.heat_map import (
    contact_density,
    heat_map_views,
    refine_surface,
    render_surface,
    touching_contacts,
    viridis,
)


def test_density_is_one_contact_per_contact(tmp_path: Path) -> None:
    surface = refine_surface(offset_box(tmp_path, (0.05, 0.05, 0.05)))
    density = contact_density(surface.vertices, surface.normals, [[0.05, 0, 0]], [[1.0, 0, 0]])
    corners = surface.vertices[surface.faces]
    area = 0.5 * np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    assert area.sum() == pytest.approx(0.06, rel=1e-6)
    assert float(area @ density[surface.faces].mean(axis=1)) == pytest.approx(1.0, rel=0.01)
    assert density[surface.normals[:, 0] < -0.5].max() == 0.0
    peak = surface.vertices[density.argmax()]
    assert np.linalg.norm(peak - [0.05, 0, 0]) < 0.004
    none = contact_density(surface.vertices, surface.normals, np.zeros((0, 3)), np.zeros((0, 3)))
    assert not none.any()
    with pytest.raises(ValueError, match="bandwidth"):
        contact_density(surface.vertices, surface.normals, [[0, 0, 0]], [[1, 0, 0]], bandwidth=0.0)


def test_contact_on_a_thin_wall_colours_its_own_side() -> None:
    points, normals = np.array([[0.0, 0, 0], [0.001, 0, 0]]), np.array([[-1.0, 0, 0], [1.0, 0, 0]])
    density = contact_density(points, normals, [[0.001, 0, 0]], [[1.0, 0, 0]])
    assert density[0] == 0.0
    assert density[1] == pytest.approx(1.0 / (2.0 * np.pi * 0.006**2))


def test_only_contacts_near_the_surface_count(tmp_path: Path) -> None:
    case = make_case(tmp_path, "box")
    far = np.array(case.grasps.contact_position)
    far[0, 0, 0] += 0.02
    far[1, 0, 0] = np.nan
    status = np.where(
        np.isfinite(far).all(axis=(1, 2)), case.grasps.status, int(GraspStatus.NONFINITE_ENERGY)
    )
    grasps = dataclasses.replace(case.grasps, contact_position=far, status=status)
    position, normal = touching_contacts(grasps, case.model, np.array([True, True, True, False, False]))
    assert len(position) == len(normal) == 4


def test_picture_is_yellow_at_the_contact_and_dark_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'sim')")
    surface = refine_surface(offset_box(tmp_path, (0.05, 0.05, 0.05)))
    density = contact_density(surface.vertices, surface.normals, [[0.05, 0, 0]], [[1.0, 0, 0]])
    views = heat_map_views(surface, density)
    assert views[0][0] > 0.8  # towards the contact
    assert views[1][0] < -0.8
    color = viridis(density / density.max())
    front, back = (render_surface(surface, color, view, size=96).astype(int) for view in views)
    yellow = (front[..., 0] > 150) & (front[..., 1] > 150) & (front[..., 2] < 110)
    rows, columns = np.nonzero(yellow)
    assert 4 < yellow.sum() < 0.03 * yellow.size
    assert abs(columns.mean() - 47.5) < 3
    assert 40 < rows.mean() < 70
    purple = (back[..., 2] > back[..., 1] + 20) & (back[..., 0] < 110)
    white = back.min(axis=2) > 250
    assert (purple | white).mean() > 0.95
    assert viridis([0.0, 1.0]) == pytest.approx(
        np.array([[0.267, 0.005, 0.329], [0.993, 0.906, 0.144]]), abs=2e-3
    )
