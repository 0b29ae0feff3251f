"""Pictures: the posed hand covers the pixels it must, contacts have their finger's colour, files are whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_models import FakeHand, FakeObject, pinch_grasps
from PIL import Image

from warpgrasp.base.atomic_file import OutputError
from warpgrasp.base.status import GraspStatus
from warpgrasp.grasps import gallery as render
from warpgrasp.hands.finger_colors import FINGER_COLORS
from warpgrasp.kernels.raycast import raycast_mesh

HAND, CUBE = FakeHand(), FakeObject()


def _share(pixels: np.ndarray, mask: np.ndarray) -> float:
    return float(mask.sum()) / (pixels.shape[0] * pixels.shape[1])


def _is_warm(pixels: np.ndarray) -> np.ndarray:
    red, green, blue = (pixels[..., i].astype(int) for i in range(3))
    return (red > green + 15) & (green > blue + 15)


def _is_background(pixels: np.ndarray) -> np.ndarray:
    return np.abs(pixels.astype(int) - np.array(render._BACKGROUND)).max(axis=2) < 4


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return render.render_grasp(pinch_grasps(), 0, HAND, CUBE, size=160)  # type: ignore[arg-type]


def test_object_hand_and_background_each_cover_their_share(picture: np.ndarray) -> None:
    assert picture.shape == (160, 160, 3)
    assert 0.10 < _share(picture, _is_warm(picture)) < 0.5
    grey = (np.ptp(picture.astype(int), axis=2) < 25) & ~_is_background(picture)
    assert 0.10 < _share(picture, grey) < 0.6
    assert 0.2 < _share(picture, _is_background(picture)) < 0.8


def test_subject_is_framed_without_touching_the_border(picture: np.ndarray) -> None:
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])[None]
    assert _is_background(border).all()
    rows, columns = np.nonzero(~_is_background(picture))
    assert max(np.ptp(rows), np.ptp(columns)) > 0.75 * 160


def test_moving_a_finger_changes_the_picture_where_the_finger_is() -> None:
    grasps = pinch_grasps()
    opened = replace(grasps, joint_position=grasps.joint_position + 0.03)
    near = render.render_grasp(grasps, 0, HAND, CUBE, size=96)  # type: ignore[arg-type]
    far = render.render_grasp(opened, 0, HAND, CUBE, size=96)  # type: ignore[arg-type]
    assert (np.abs(near.astype(int) - far).max(axis=2) > 40).mean() > 0.03


def test_contacts_show_the_colours_of_their_fingers(picture: np.ndarray) -> None:
    assert render.finger_of_contact(pinch_grasps(), 0, HAND) == ["left", "left", "right", "right"]  # type: ignore[arg-type]
    red, green, blue = (picture[..., i].astype(int) for i in range(3))
    assert ((blue > red + 20) & (blue > green + 5)).sum() >= 8, "left contacts are blue"
    assert ((red > green + 90) & (red > blue + 90)).sum() >= 8, "right contacts are red"


def test_camera_prefers_the_side_with_contacts_in_sight() -> None:
    # All contacts on the +x face: the camera must not look from -x.
    grasps = pinch_grasps()
    contacts = grasps.contact_position.copy()
    contacts[0] = [[0.021, 0.0, z] for z in (-0.015, -0.005, 0.005, 0.015)]
    opened = replace(grasps, contact_position=contacts, joint_position=grasps.joint_position + 0.1)
    pixels = render.render_grasp(opened, 0, HAND, CUBE, size=128).astype(int)  # type: ignore[arg-type]
    names = set(render.finger_of_contact(opened, 0, HAND))  # type: ignore[arg-type]
    color = np.array(FINGER_COLORS[names.pop()])
    assert not names
    assert (np.abs(pixels - color).max(axis=2) < 40).sum() > 10


def test_corner_normals_are_flat_on_a_cube_and_smooth_on_a_sphere() -> None:
    trimesh = pytest.importorskip("trimesh")
    flat = raycast_mesh(CUBE.vertices, CUBE.faces, (1, 1, 1), "cpu").struct.corner_normal.numpy()  # type: ignore[attr-defined]
    assert np.allclose(np.abs(flat).max(axis=1), 1.0, atol=1e-6)
    ball = trimesh.creation.icosphere(subdivisions=3)
    smooth = raycast_mesh(ball.vertices, ball.faces, (1, 1, 1), "cpu").struct.corner_normal.numpy()  # type: ignore[attr-defined]
    assert np.allclose(smooth, ball.vertices[ball.faces].reshape(-1, 3), atol=0.02)


def test_pictures_are_the_same_every_time(picture: np.ndarray) -> None:
    again = render.render_grasp(pinch_grasps(), 0, HAND, CUBE, size=160)  # type: ignore[arg-type]
    np.testing.assert_array_equal(again, picture)


def test_gallery_shows_the_best_of_every_object_first(tmp_path: Path) -> None:
    sets = [pinch_grasps(4), pinch_grasps(2), pinch_grasps(1)]
    tiles = render.best_tiles(sets, HAND, [CUBE, CUBE, CUBE], count=5)  # type: ignore[arg-type, list-item]
    assert [tile.grasps is sets[0] for tile in tiles] == [True, True, False, False, False]
    assert [tile.index for tile in tiles[:2]] == sets[0].order()[:2].tolist()
    failed = replace(sets[2], status=np.array([GraspStatus.NONFINITE_ENERGY]))
    tiles[-1] = render.GalleryTile(failed, 0, HAND, CUBE)  # type: ignore[arg-type]
    path = render.write_gallery(tmp_path / "gallery.png", tiles, columns=3, size=96)
    with Image.open(path) as image:
        assert image.width > 3 * 96
        assert image.height > 2 * 96
    assert [entry.name for entry in tmp_path.iterdir()] == ["gallery.png"]


@pytest.mark.parametrize("size", [64, 96, 420])
def test_gallery_text_has_a_strip_of_its_own(tmp_path: Path, size: int) -> None:
    failed = replace(pinch_grasps(1), status=np.array([GraspStatus.PREGRASP_NOT_CLEAR]))
    tile = render.GalleryTile(failed, 0, HAND, CUBE, title="Typography")  # type: ignore[arg-type]
    with Image.open(render.write_gallery(tmp_path / "gallery.png", [tile], size=size)) as image:
        sheet = np.array(image)
    gap, strip = max(size // 70, 2), render._strip_height(size)
    picture = sheet[gap + strip :, gap : gap + size][:size]
    np.testing.assert_array_equal(picture, render.render_grasp(failed, 0, HAND, CUBE, size=size))  # type: ignore[arg-type]
    label = sheet[gap : gap + strip, gap : gap + size]
    ink = ~_is_background(label)
    assert ink.any()
    if size >= 96:  # the letters themselves are not cut off
        assert not ink[0].any()
        assert not ink[-1].any()


def test_wrong_arguments_are_refused_with_the_value(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got none"):
        render.write_gallery(tmp_path / "a.png", [])
    with pytest.raises(ValueError, match="got 3"):
        render.render_grasp(pinch_grasps(), 0, HAND, CUBE, size=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\[0, 3\] \(got 9\)"):
        render.render_grasp(pinch_grasps(), 9, HAND, CUBE)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="got 1 and 2"):
        render.best_tiles([pinch_grasps()], HAND, [CUBE, CUBE])  # type: ignore[arg-type, list-item]
    (tmp_path / "file").touch()
    tiles = render.best_tiles([pinch_grasps()], HAND, [CUBE], count=1)  # type: ignore[arg-type, list-item]
    with pytest.raises(OutputError, match="a part of the path is a file"):
        render.write_gallery(tmp_path / "file" / "a.png", tiles, size=32)
