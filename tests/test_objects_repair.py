"""Objects that need mending: mended in silence or with one clear sentence, and then of the right mass."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from object_factory import SIDE, ball, box, load_arrays, load_mesh

from warpgrasp.objects import ObjectError, ObjectModel, SignMethod, load_object
from warpgrasp.objects.reading import Reading
from warpgrasp.objects.repair import FACE_LIMIT, mend
from warpgrasp.objects.topology import closed_bodies, count_defects, separate_sheets

HAVE_MANIFOLD = pytest.mark.skipif(
    __import__("importlib.util").util.find_spec("manifold3d") is None, reason="manifold3d is not installed"
)


def assert_solid(model: ObjectModel, expected: trimesh.Trimesh, *, rtol: float = 1e-6) -> None:
    """Watertight, outward, and with the mass of ``expected``."""
    assert model.watertight
    assert model.sign_method == SignMethod.PSEUDO_NORMAL
    assert count_defects(model.faces)[1] == 0
    np.testing.assert_allclose(model.volume, expected.volume, rtol=rtol)
    np.testing.assert_allclose(model.center_of_mass, expected.center_mass, atol=max(rtol * 0.1, 1e-9))


def test_flipped_normals(tmp_path: Path) -> None:
    mesh = ball()
    model = load_arrays(tmp_path, mesh.vertices, mesh.faces[:, ::-1])
    assert model.repairs == ("The normals pointed into the object and were flipped.",)
    assert_solid(model, mesh)


def test_inconsistent_winding(tmp_path: Path) -> None:
    mesh = ball()
    turned = np.random.default_rng(0).random(len(mesh.faces)) < 0.3
    model = load_arrays(tmp_path, mesh.vertices, np.where(turned[:, None], mesh.faces[:, ::-1], mesh.faces))
    assert model.repairs == (
        f"{turned.sum()} faces of {len(mesh.faces)} wound against the neighbours were turned.",
    )
    assert_solid(model, mesh)


def test_inconsistent_and_mostly_inside_out(tmp_path: Path) -> None:
    mesh = ball()
    turned = np.random.default_rng(0).random(len(mesh.faces)) < 0.7
    model = load_arrays(tmp_path, mesh.vertices, np.where(turned[:, None], mesh.faces[:, ::-1], mesh.faces))
    assert len(model.repairs) == 2
    assert_solid(model, mesh)


def test_triangle_soup_is_merged_in_silence(tmp_path: Path) -> None:
    mesh = ball()
    model = load_arrays(
        tmp_path, mesh.vertices[mesh.faces].reshape(-1, 3), np.arange(3 * len(mesh.faces)).reshape(-1, 3)
    )
    assert model.repairs == ()
    assert model.vertices.shape == mesh.vertices.shape
    assert_solid(model, mesh)


def test_nearly_equal_vertices_are_merged_if_that_closes_the_mesh(tmp_path: Path) -> None:
    mesh = ball()
    soup = mesh.vertices[mesh.faces].reshape(-1, 3)
    soup = soup + np.random.default_rng(0).uniform(-2e-7, 2e-7, soup.shape)
    model = load_arrays(tmp_path, soup, np.arange(len(soup)).reshape(-1, 3))
    assert any("closer than" in sentence for sentence in model.repairs)
    assert_solid(model, mesh, rtol=1e-4)


def test_degenerate_and_repeated_faces(tmp_path: Path) -> None:
    mesh = ball()
    faces = np.concatenate([mesh.faces, mesh.faces[:5], [[0, 0, 1], [3, 3, 3]]])
    model = load_arrays(tmp_path, mesh.vertices, faces)
    assert model.repairs == ("7 degenerate or repeated faces were dropped.",)
    assert_solid(model, mesh)


def test_unused_nan_vertex_does_no_harm(tmp_path: Path) -> None:
    mesh = box()
    assert_solid(load_arrays(tmp_path, np.concatenate([mesh.vertices, [[np.nan] * 3]]), mesh.faces), mesh)


def test_face_without_area_on_an_edge_is_flipped_away(tmp_path: Path) -> None:
    mesh = box()
    faces = mesh.faces.tolist()
    a, b, c = faces.pop(0)
    vertices = np.concatenate([mesh.vertices, [0.5 * (mesh.vertices[a] + mesh.vertices[b])]])
    faces += [[a, 8, c], [8, b, c], [a, b, 8]]  # the last is flat and closes the edge of the neighbour
    model = load_arrays(tmp_path, vertices, np.array(faces))
    assert model.repairs == ("1 face without area was removed by an edge flip.",)
    assert_solid(model, mesh)
    corners = model.vertices[model.faces]
    assert (
        np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).min()
        > 1e-4
    )


def test_double_sided_export_keeps_one_side(tmp_path: Path) -> None:
    mesh = ball()
    model = load_arrays(tmp_path, mesh.vertices, np.concatenate([mesh.faces, mesh.faces[:, ::-1]]))
    assert_solid(model, mesh)


@pytest.mark.parametrize("count", [1, 3])
def test_small_holes_are_filled(tmp_path: Path, count: int) -> None:
    mesh = ball()
    poles = np.eye(3)[:count] * 0.04
    near = np.any([np.linalg.norm(mesh.triangles_center - pole, axis=1) < 0.007 for pole in poles], axis=0)
    model = load_arrays(tmp_path, mesh.vertices, mesh.faces[~near])
    (sentence,) = model.repairs
    assert sentence.startswith(f"{count} hole{'s' if count > 1 else ''} with ")
    assert sentence.endswith("% of the area were filled." if count > 1 else "% of the area was filled.")
    assert_solid(model, mesh, rtol=1e-2)


def test_larger_hole_is_told_by_the_winding_number(tmp_path: Path) -> None:
    mesh = ball()
    open_top = mesh.triangles_center[:, 2] < 0.034
    model = load_arrays(tmp_path, mesh.vertices, mesh.faces[open_top])
    assert not model.watertight
    assert model.sign_method == SignMethod.WINDING
    (sentence,) = model.repairs
    assert "edges stay open: inside is told by the winding number" in sentence
    height = 0.04 - 0.034
    lid = np.pi * height**2 * (3 * 0.04 - height) / 3.0  # what a flat lid cuts off the ball
    np.testing.assert_allclose(model.volume, 4.0 / 3.0 * np.pi * 0.04**3 - lid, rtol=1e-2)
    points, normals = model.surface_samples(500)
    np.testing.assert_array_less(0.0, np.einsum("ni,ni->n", points, normals))


def test_fragments_are_dropped(tmp_path: Path) -> None:
    mesh = ball()
    crumbs = [box((0.06 + 0.01 * i, 0.0, 0.0), side=0.002) for i in range(3)]
    model = load_mesh(tmp_path, trimesh.util.concatenate([mesh, *crumbs]))
    (sentence,) = model.repairs
    assert sentence.startswith("3 fragments with 0.36 % of the area were dropped")
    assert_solid(model, mesh)


@HAVE_MANIFOLD
def test_overlapping_bodies_are_united(tmp_path: Path) -> None:
    pair = trimesh.util.concatenate([box(), box((0.03, 0.0, 0.0))])
    model = load_mesh(tmp_path, pair)
    assert model.repairs == ("2 overlapping bodies were united into one by manifold3d.",)
    assert_solid(model, trimesh.creation.box(bounds=[[-0.03, -0.03, -0.03], [0.06, 0.03, 0.03]]))


def test_overlapping_bodies_without_manifold3d(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "manifold3d", None)
    model = load_mesh(tmp_path, trimesh.util.concatenate([box(), box((0.03, 0.0, 0.0))]))
    assert model.sign_method == SignMethod.WINDING
    assert not model.watertight
    assert "2 bodies overlap: inside is told by the winding number" in model.repairs[0]
    expected = trimesh.creation.box(bounds=[[-0.03, -0.03, -0.03], [0.06, 0.03, 0.03]])
    np.testing.assert_allclose(model.volume, expected.volume, rtol=1e-2)
    np.testing.assert_allclose(model.center_of_mass, expected.center_mass, atol=3e-4)
    np.testing.assert_allclose(model.inertia_unit_density, expected.moment_inertia, rtol=3e-2, atol=1e-9)
    points, _ = model.surface_samples(500)
    assert np.all(np.abs(points - expected.center_mass).max(axis=1) > 0.03 - 1e-6)  # none on the walls inside


@pytest.mark.parametrize("gap", [0.0, 5e-5])
def test_touching_bodies_are_one_object(tmp_path: Path, gap: float) -> None:
    model = load_mesh(tmp_path, trimesh.util.concatenate([box(), box((SIDE + gap, 0.0, 0.0), side=SIDE)]))
    np.testing.assert_allclose(model.volume, 2 * SIDE**3, rtol=1e-2)
    np.testing.assert_allclose(model.center_of_mass, [0.5 * SIDE, 0.0, 0.0], atol=3e-4)


def test_bodies_a_gap_apart_are_joined_when_asked(tmp_path: Path) -> None:
    pair = trimesh.util.concatenate([box(), box((SIDE + 5e-4, 0.0, 0.0), side=SIDE)])
    model = load_mesh(tmp_path, pair, reading=Reading(join_gap=1e-3))
    assert "2 bodies that do not touch were joined by closing gaps up to" in model.repairs[0]
    assert model.watertight
    np.testing.assert_allclose(model.volume, 2 * SIDE**3, rtol=0.03)  # edges are rounded by half a cell
    np.testing.assert_allclose(model.extent, [2 * SIDE + 5e-4, SIDE, SIDE], rtol=0.02)
    far = trimesh.util.concatenate([box(), box((SIDE + 0.02, 0.0, 0.0), side=SIDE)])
    with pytest.raises(ObjectError, match="2 are left when gaps of"):
        load_mesh(tmp_path, far, reading=Reading(join_gap=1e-3))


def test_cavity_is_kept(tmp_path: Path) -> None:
    outer, inner = ball(0.04), ball(0.03)
    faces = np.concatenate([outer.faces, inner.faces[:, ::-1] + len(outer.vertices)])
    model = load_arrays(tmp_path, np.concatenate([outer.vertices, inner.vertices]), faces)
    assert model.repairs == ()
    assert model.watertight
    np.testing.assert_allclose(model.volume, outer.volume - inner.volume, rtol=1e-6)


@HAVE_MANIFOLD
def test_one_of_two_bodies_inside_out(tmp_path: Path) -> None:
    first, second = box(), box((0.03, 0.01, 0.0), side=0.05)
    faces = np.concatenate([first.faces, second.faces[:, ::-1] + 8])
    model = load_arrays(tmp_path, np.concatenate([first.vertices, second.vertices]), faces)
    assert model.repairs[0] == "1 body of 2 inside out was turned."
    assert_solid(model, trimesh.boolean.union([first, second], engine="manifold"))


def pinched_ring() -> trimesh.Trimesh:
    """A torus whose tube is flattened at one place, so that edges there join four faces."""
    ring = trimesh.creation.torus(0.04, 0.015)
    waist = np.abs(np.arctan2(ring.vertices[:, 1], ring.vertices[:, 0])) < 1e-6
    ring.vertices[waist] = ring.vertices[waist] * [1.0, 1.0, 0.0]
    return ring


def test_edges_of_four_faces_are_taken_apart(tmp_path: Path) -> None:
    ring = pinched_ring()
    expected = ring.volume
    model = load_mesh(tmp_path, ring)
    assert "edges of more than two faces were taken apart" in model.repairs[-1]
    assert model.watertight
    assert count_defects(model.faces) == (0, 0, 3 * len(model.faces) // 2)
    np.testing.assert_allclose(model.volume, expected, rtol=1e-6)


@pytest.mark.parametrize("inside_out", [False, True])
def test_boxes_that_share_an_edge_are_taken_apart_around_the_solid(inside_out: bool) -> None:
    pair = trimesh.util.concatenate([box(), box((SIDE, SIDE, 0.0))])
    pair.merge_vertices()
    faces = np.asarray(pair.faces, np.int64)
    assert len(pair.vertices) == 14
    solid = mend(np.asarray(pair.vertices), faces[:, ::-1] if inside_out else faces, "pair")
    assert any("1 edge of more than two faces was taken apart" in sentence for sentence in solid.repairs)
    np.testing.assert_allclose(solid.mass.volume, 2.0 * SIDE**3, rtol=2e-2)
    vertices, sheets, count = separate_sheets(np.asarray(pair.vertices), faces)
    assert count == 1
    assert len(vertices) == 16
    bodies = closed_bodies(sheets)
    centers = [vertices[sheets[bodies == body]].mean(axis=(0, 1)) for body in range(bodies.max() + 1)]
    np.testing.assert_allclose(sorted(center[0] for center in centers), [0.0, SIDE], atol=0.01)


def test_large_scan_is_reduced_within_the_stated_bound(tmp_path: Path) -> None:
    mesh = ball(0.05, subdivisions=7)
    path = tmp_path / "scan.ply"
    mesh.export(path)
    assert len(mesh.faces) > FACE_LIMIT
    model = load_object(path)
    assert len(model.faces) <= FACE_LIMIT
    sentence = model.repairs[0]
    assert sentence.startswith(f"{len(mesh.faces)} faces were reduced to ")
    bound = float(sentence.split("more than ")[1].split(" mm")[0]) * 1e-3
    assert bound < 2e-3
    assert np.abs(np.linalg.norm(model.vertices, axis=1) - 0.05).max() < bound
    np.testing.assert_allclose(model.volume, mesh.volume, rtol=5e-3)
    np.testing.assert_allclose(model.center_of_mass, 0.0, atol=1e-4)
