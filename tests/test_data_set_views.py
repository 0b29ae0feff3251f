"""Views: against the geometry that they show, computed independently in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="data sets need pyarrow (extra scale)")

import pyarrow.parquet as pq
from data_set_factory import make

from warpgrasp.dataset.primitives import write_primitives
from warpgrasp.dataset.views import camera_matrix, read_picture
from warpgrasp.grasps.sharded.rows import list_values
from warpgrasp.objects import load_object
from warpgrasp.objects.views import ViewConfig, add_depth_noise, object_views


def test_depth_and_normals_of_a_box(tmp_path: Path) -> None:
    """Every seen point lies on the box, and its normal is an axis of the box; tolerances of float32."""
    (path,) = write_primitives(tmp_path, 1, kinds=("box",))
    model = load_object(path)
    half = 0.5 * model.extent
    views = object_views(model, ViewConfig(count=6, size=48, distance=0.6))
    for view in range(6):
        points = views.points(view).astype(np.float64)
        assert len(points) > 100
        outside = np.abs(points) - half
        assert np.abs(outside.max(axis=1)).max() < 2e-6
        from scipy.spatial.transform import Rotation

        turned = Rotation.from_quat(views.camera_quaternion[view]).apply(views.normal[view][views.mask[view]])
        axis = outside.argmax(axis=1)
        edge = np.sort(outside, axis=1)[:, -2] > -1e-5
        rows = np.arange(len(points))
        facing = turned[rows, axis] * np.sign(points[rows, axis])
        assert facing[~edge].min() > 1.0 - 1e-5


def test_cameras_are_those_of_opencv(tmp_path: Path) -> None:
    """Projecting the vertices with K [R | t] must give the outline of the mask."""
    (path,) = write_primitives(tmp_path, 1, kinds=("cylinder",))
    model = load_object(path)
    views = object_views(model, ViewConfig(count=5, size=64))
    from scipy.spatial.transform import Rotation

    for view in range(5):
        rotation = Rotation.from_quat(views.camera_quaternion[view]).inv()
        seen = rotation.apply(model.vertices - views.camera_position[view])
        assert (seen[:, 2] > 0.3).all()
        pixel = views.focal[view] * seen[:, :2] / seen[:, 2:] + 0.5 * 63
        row, column = np.nonzero(views.mask[view])
        for values, found in ((pixel[:, 0], column), (pixel[:, 1], row)):
            assert values.min() > 0.0
            assert values.max() < 63.0
            assert abs(values.min() - found.min()) < 1.0
            assert abs(values.max() - found.max()) < 1.0


def _cast(
    vertices: np.ndarray, faces: np.ndarray, start: np.ndarray, rays: np.ndarray
) -> tuple[np.ndarray, ...]:
    """First hits of rays [R, 3] from one point with triangles, in float64: multiple of the ray, number of the face.

    Möller and Trumbore 1997: t, u and v by Cramer's rule.
    """
    corner, first, second = vertices[faces[:, 0]], vertices[faces[:, 1]], vertices[faces[:, 2]]
    first, second, away = first - corner, second - corner, start - corner
    across = np.cross(rays[:, None], second[None])
    size = np.einsum("rfk,fk->rf", across, first)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = np.einsum("rfk,fk->rf", across, away) / size
        turned = np.cross(away, first)
        v = np.einsum("rk,fk->rf", rays, turned) / size
        t = np.einsum("fk,fk->f", second, turned) / size
        hit = (u >= 0.0) & (v >= 0.0) & (u + v <= 1.0) & (t > 0.0)
    t = np.where(hit, t, np.inf)
    return t.min(axis=1), t.argmin(axis=1)


@pytest.mark.parametrize("number", range(3))
def test_pictures_of_a_mug_are_those_of_rays_in_float64(tmp_path: Path, number: int) -> None:
    """Depth, mask and normals of every pixel of a hollow body; rays through an edge may hit either face."""
    path = write_primitives(tmp_path, number + 1, kinds=("mug",))[number]
    model = load_object(path)
    views = object_views(model, ViewConfig(count=2, size=32, distance=0.5))
    from scipy.spatial.transform import Rotation

    row, column = np.mgrid[0:32, 0:32].reshape(2, -1)
    for view in range(2):
        focal, rotation = views.focal[view], Rotation.from_quat(views.camera_quaternion[view])
        pixels = np.stack([(column - 15.5) / focal, (row - 15.5) / focal, np.ones(32 * 32)], axis=1)
        start = views.camera_position[view].astype(np.float64)
        depth, face = _cast(model.vertices, model.faces, start, rotation.apply(pixels))
        seen = np.isfinite(depth)
        mask = views.mask[view].reshape(-1)
        assert 200 < seen.sum() < 900
        assert (mask != seen).sum() <= 2  # rays that graze the outline
        both = mask & seen
        error = np.abs(views.depth[view].reshape(-1)[both] - depth[both])
        assert np.quantile(error, 0.99) < 2e-6
        corners = model.vertices[model.faces[face[both]]]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normal = rotation.inv().apply(normal / np.linalg.norm(normal, axis=1, keepdims=True))
        agree = (normal * views.normal[view].reshape(-1, 3)[both]).sum(axis=1)
        assert np.quantile(agree, 0.02) > 1.0 - 1e-5  # outwards, as the faces wind, and so towards the camera


def test_noise_has_the_stated_deviation(tmp_path: Path) -> None:
    (path,) = write_primitives(tmp_path, 1, kinds=("box",))
    views = object_views(load_object(path), ViewConfig(count=40, size=64))
    noise = add_depth_noise(views, seed=0) - views.depth
    frontal = views.mask & (views.normal[..., 2] < -0.8)
    expected = 0.0012 + 0.0019 * (views.depth[frontal] - 0.4) ** 2
    ratio = noise[frontal] / expected
    assert abs(ratio.std() - 1.0) < 0.02
    assert abs(ratio.mean()) < 0.02


def test_views_of_a_data_set(tmp_path: Path) -> None:
    plan = ["--primitives", "3", "--methods", "simulated", "--grasps", "1", "--views", "2"]
    assert make(tmp_path, plan=plan) == 0
    (file,) = (tmp_path / "views").glob("*.parquet")
    table = pq.read_table(file)
    assert len(table) == 6
    index = pq.read_table(tmp_path / "views.parquet").to_pylist()
    assert [row["row"] for row in index] == list(range(6))
    assert {row["path"] for row in index} == {str(file.relative_to(tmp_path))}
    row = table.slice(3, 1).to_pylist()[0]
    depth = read_picture(row["depth"]) * row["depth_unit"]
    mask = read_picture(row["mask"]) > 0
    assert depth.shape == (128, 128)
    assert ((depth > 0.0) == mask).all()
    matrix = camera_matrix(table, 3)
    r, c = np.nonzero(mask)
    point = (np.linalg.inv(matrix) @ np.stack([c, r, np.ones_like(c)]) * depth[r, c]).T
    from scipy.spatial.transform import Rotation

    placed = Rotation.from_quat(row["camera_quaternion"]).apply(point) + row["camera_position"]
    cloud = list_values(table["points"])[3]
    assert cloud.shape == (1024, 3)
    assert row["point_count"] == 1024
    from scipy.spatial import cKDTree

    assert cKDTree(placed).query(cloud)[0].max() < 1e-4  # half a count of the depth pictures, and float32
    assert read_picture(row["normal"]).shape == (128, 128, 3)


def test_cameras_inside_the_object_are_refused(tmp_path: Path) -> None:
    (path,) = write_primitives(tmp_path, 1, kinds=("torus",))
    with pytest.raises(ValueError, match=r"views\.distance must be at least"):
        object_views(load_object(path), ViewConfig(distance=0.06))
