"""Pseudo normals of faces, edges and vertices, and corner normals for drawing, against plain loops and known solids."""

from __future__ import annotations

import numpy as np
import trimesh

from warpgrasp.objects import feature_normals
from warpgrasp.objects.geometry import corner_normals


def test_feature_normals_of_a_box_are_the_obvious_diagonals() -> None:
    box = trimesh.creation.box(extents=[0.1, 0.06, 0.03])
    normals = feature_normals(box.vertices, box.faces)
    assert normals.shape == (12, 7, 3)
    assert normals.dtype == np.float32
    np.testing.assert_allclose(normals[:, 0], box.face_normals, atol=1e-6)
    corners = np.sign(box.vertices[box.faces]) / np.sqrt(
        3.0
    )  # angles of the faces at a corner add up to 90 degrees each
    np.testing.assert_allclose(normals[:, 4:], corners, atol=1e-6)
    for edge, (start, end) in enumerate([(1, 2), (2, 0), (0, 1)]):
        middle = np.sign(np.round(box.vertices[box.faces[:, start]] + box.vertices[box.faces[:, end]], 9))
        # On a box edge two coordinates of the midpoint are extreme, on a face diagonal one.
        expected = middle / np.linalg.norm(middle, axis=1, keepdims=True)
        np.testing.assert_allclose(normals[:, 1 + edge], expected, atol=1e-6)


def test_feature_normals_agree_with_a_plain_loop() -> None:
    mesh = trimesh.creation.icosphere(subdivisions=1, radius=0.05)
    vertices = mesh.vertices * [1.0, 0.6, 0.3] + 0.004 * np.sin(400.0 * mesh.vertices[:, [1, 2, 0]])
    normals = feature_normals(vertices, mesh.faces)
    face_normal = {}
    vertex_sum, edge_sum = np.zeros_like(vertices), {}
    for index, face in enumerate(mesh.faces):
        a, b, c = vertices[face]
        normal = np.cross(b - a, c - a)
        normal /= np.linalg.norm(normal)
        face_normal[index] = normal
        for k in range(3):
            p, q, r = vertices[face[k]], vertices[face[(k + 1) % 3]], vertices[face[(k + 2) % 3]]
            cosine = (q - p) @ (r - p) / np.linalg.norm(q - p) / np.linalg.norm(r - p)
            vertex_sum[face[k]] += np.arccos(cosine) * normal
            edge = frozenset((int(face[(k + 1) % 3]), int(face[(k + 2) % 3])))
            edge_sum[edge] = edge_sum.get(edge, 0.0) + normal
    for index, face in enumerate(mesh.faces):
        expected = [face_normal[index]]
        expected += [edge_sum[frozenset((int(face[(k + 1) % 3]), int(face[(k + 2) % 3])))] for k in range(3)]
        expected += [vertex_sum[face[k]] for k in range(3)]
        expected = [vector / np.linalg.norm(vector) for vector in expected]
        np.testing.assert_allclose(normals[index], expected, atol=1e-6)


def test_feature_normals_of_a_face_without_area_are_its_neighbours() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0.5, 0, 0], [0.5, 1, 0], [0.5, -1, 0]], float)
    normals = feature_normals(vertices, np.array([[0, 1, 2], [0, 2, 3], [2, 1, 3], [1, 0, 4]]))
    np.testing.assert_allclose(normals.reshape(-1, 3), np.tile([0.0, 0.0, 1.0], (28, 1)), atol=1e-6)


def test_corner_normals_are_smooth_around_a_cylinder_and_flat_on_its_caps() -> None:
    solid = trimesh.creation.cylinder(radius=0.02, height=0.05, sections=32)
    normals = corner_normals(solid.vertices, solid.faces)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=2), 1.0, atol=1e-12)
    cap = np.abs(solid.face_normals[:, 2]) > 0.5
    np.testing.assert_allclose(
        normals[cap], np.repeat(solid.face_normals[cap][:, None], 3, axis=1), atol=1e-6
    )
    outward = solid.vertices[solid.faces[~cap]] * [1.0, 1.0, 0.0] / 0.02
    np.testing.assert_allclose(normals[~cap], outward, atol=0.04)  # of the true cylinder, not of its facets
    ball = trimesh.creation.icosphere(subdivisions=3)
    np.testing.assert_allclose(
        corner_normals(ball.vertices, ball.faces), ball.vertices[ball.faces], atol=0.01
    )


def test_corner_normals_keep_creases_and_do_not_mind_broken_meshes() -> None:
    box = trimesh.creation.box()
    flat = np.repeat(box.face_normals[:, None], 3, axis=1)
    np.testing.assert_allclose(corner_normals(box.vertices, box.faces), flat, atol=1e-6)
    # One face turned around, one doubled, one without area.
    faces = np.concatenate([box.faces, box.faces[3:4], [[0, 1, 1]]])
    faces[0] = faces[0, ::-1]
    broken = corner_normals(box.vertices, faces)
    np.testing.assert_allclose(np.linalg.norm(broken, axis=2), 1.0, atol=1e-6)
    np.testing.assert_allclose(broken[0], -flat[0], atol=1e-6)
