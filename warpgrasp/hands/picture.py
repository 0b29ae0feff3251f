"""Picture of a hand: contact patches in the colours of their fingers, frames as arrows, self-collision spheres."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import warp as wp
from PIL import Image, ImageDraw, ImageFont

from warpgrasp.base.atomic_file import replace_file
from warpgrasp.base.warp_messages import warp_is_quiet
from warpgrasp.geometry.rotations import IDENTITY_QUATERNION, compose, quaternion_to_matrix, rotate
from warpgrasp.geometry.shapes import TriMesh, capsule_shape
from warpgrasp.hands.finger_colors import finger_color
from warpgrasp.hands.model import HandModel
from warpgrasp.hands.usd.visuals import VisualMesh, hand_visuals
from warpgrasp.kernels.raycast import CameraPose, RaycastScene, launch_image, raycast_mesh

__all__ = ["write_hand_picture"]

FloatArray = npt.NDArray[np.float64]
Color = tuple[int, int, int]

_BODY: Color = (96, 100, 110)
_SPHERE: Color = (225, 190, 90)
_AXES: tuple[Color, Color, Color] = ((220, 40, 40), (40, 160, 60), (50, 80, 220))
_INK, _PAPER = (40, 42, 46), (246, 246, 244)
_LIFT = 4e-4  # m that patches stand above the surface, to be seen
_DARKEST = 0.03  # linear
_TANGENT = float(np.tan(np.radians(12.0)))


class _Triangles:
    """Meshes gathered with a colour each."""

    def __init__(self) -> None:
        self.vertices: list[FloatArray] = []
        self.faces: list[npt.NDArray[np.int64]] = []
        self.colors: list[FloatArray] = []
        self.count = 0

    def add(self, vertices: FloatArray, faces: npt.NDArray[np.int32], color: Color) -> None:
        """Append one mesh."""
        self.vertices.append(vertices)
        self.faces.append(np.asarray(faces, dtype=np.int64) + self.count)
        self.colors.append(np.tile((np.asarray(color) / 255.0) ** 2.2, (len(faces), 1)))
        self.count += len(vertices)

    def mesh(self, device: wp.DeviceLike) -> object:
        """Mesh with BVH on the device."""
        return raycast_mesh(
            np.concatenate(self.vertices), np.concatenate(self.faces), np.concatenate(self.colors), device
        )


@warp_is_quiet()
def write_hand_picture(
    path: Path | str, hand: HandModel, *, size: int = 620, device: wp.DeviceLike = "cpu"
) -> Path:
    """Write a PNG with three views in the opening pose: palm with patches, from the side, and the spheres.

    Args:
        path: Output file.
        hand: The hand.
        size: Edge of a view in pixels.
        device: Warp device that casts the rays.
    """
    path = Path(path)
    poses = hand.forward_kinematics(np.zeros(3), IDENTITY_QUATERNION, hand.dof_opening)
    wrist = quaternion_to_matrix(hand.wrist_quaternion)
    x, y, z = wrist[:, 0], wrist[:, 1], wrist[:, 2]
    side = _thumb_side(hand, poses, x)  # of a left hand the thumb lies where x does not point
    views = (
        ("palm side, contact patches", z + 0.25 * x, y, False),
        ("from the thumb's side" if side else "from the side", (side or 1.0) * x + 0.25 * z, y, False),
        ("self-collision spheres", z + 0.9 * x, y, True),
    )
    footer = size // 10
    sheet = Image.new("RGB", (len(views) * size, size + footer), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=size / 30)
    for column, (title, direction, up, spheres) in enumerate(views):
        pixels = _view(hand, poses, direction, up, spheres, size, device)
        sheet.paste(Image.fromarray(pixels), (column * size, 0))
        draw.text((column * size + size // 30, size // 40), title, fill=_INK, font=font)
    _legend(draw, hand, size, footer)
    with replace_file(path) as temporary:
        sheet.save(temporary, format="PNG")
    return path


def _thumb_side(hand: HandModel, poses: tuple[FloatArray, FloatArray], x: FloatArray) -> float:
    """Sign of the side of the wrist frame's x on which the thumb lies; 0 for a hand without a thumb."""
    position, quaternion = poses
    points = [
        position[patch.link] + rotate(quaternion[patch.link], patch.vertices.mean(axis=0))
        for patch in hand.patches
        if patch.finger == "thumb"
    ]
    return float(np.sign((np.mean(points, axis=0) - hand.wrist_position) @ x)) if points else 0.0


def _view(
    hand: HandModel,
    poses: tuple[FloatArray, FloatArray],
    direction: FloatArray,
    up: FloatArray,
    spheres: bool,
    size: int,
    device: wp.DeviceLike,
) -> npt.NDArray[np.uint8]:
    body, marks = _Triangles(), _Triangles()
    position, quaternion = poses
    visuals: tuple[VisualMesh, ...] = () if spheres else hand_visuals(hand)  # spheres stand for what collides
    for seen in visuals:
        vertices = position[seen.link] + rotate(quaternion[seen.link], seen.vertices)
        body.add(vertices, seen.faces, _shown(seen.color))
    if not visuals:
        for link, mesh in zip(hand.geometry_link, hand.geometry_mesh, strict=True):
            body.add(position[link] + rotate(quaternion[link], mesh.vertices), mesh.faces, _BODY)
    points = np.concatenate(body.vertices)
    if spheres:
        centers = hand.sphere_centers(np.zeros(3), IDENTITY_QUATERNION, hand.dof_opening)
        for center, radius in zip(centers, hand.sphere_radius, strict=True):
            ball = capsule_shape(float(radius) + 3e-4, 0.0, center).mesh
            marks.add(ball.vertices, ball.faces, _SPHERE)
    else:
        for patch in hand.patches:
            lifted = patch.vertices + _LIFT * _vertex_normals(TriMesh(patch.vertices, patch.faces))
            placed = position[patch.link] + rotate(quaternion[patch.link], lifted)
            marks.add(placed, patch.faces, finger_color(patch.finger))
    extent = float(np.linalg.norm(np.ptp(points, axis=0)))
    _add_axes(marks, hand.wrist_position, hand.wrist_quaternion, 0.2 * extent)
    for frame in hand.frames:
        pose = compose(position[frame.link], quaternion[frame.link], frame.position, frame.quaternion)
        _add_axes(marks, *pose, 0.04 * extent)
    scene = RaycastScene()
    meshes = body.mesh(device), marks.mesh(device)
    scene.hand, scene.object = (mesh.struct for mesh in meshes)  # type: ignore[attr-defined]
    scene.contact_position = wp.zeros(0, dtype=wp.vec3, device=device)
    scene.contact_color = wp.zeros(0, dtype=wp.vec3, device=device)
    scene.contact_radius = 0.0
    scene.background = wp.vec3(*((np.asarray(_PAPER) / 255.0) ** 2.2))
    towards = direction / np.linalg.norm(direction)
    right = np.cross(up, towards)
    right /= np.linalg.norm(right)
    upright = np.cross(towards, right)
    key, fill = towards + 0.6 * upright - 0.4 * right, towards + 0.9 * right
    scene.key_direction = wp.vec3(*(key / np.linalg.norm(key)))
    scene.fill_direction = wp.vec3(*(fill / np.linalg.norm(fill)))
    image = launch_image(scene, _camera(points, towards, right, upright), size, device).numpy()
    return np.round(255.0 * np.clip(image, 0.0, 1.0) ** (1.0 / 2.2)).astype(np.uint8)


def _shown(linear: tuple[float, float, float]) -> Color:
    """A colour of the file as the drawings here name it; black shells are brightened, so that their edges show."""
    red, green, blue = (round(255.0 * max(part, _DARKEST) ** (1.0 / 2.2)) for part in linear)
    return red, green, blue


def _camera(points: FloatArray, towards: FloatArray, right: FloatArray, up: FloatArray) -> CameraPose:
    """Long-lens camera that shows all points with a margin."""
    x, y, depth = points @ right, points @ up, points @ towards
    middle = 0.5 * (x.min() + x.max()), 0.5 * (y.min() + y.max())
    reach = np.maximum(np.abs(x - middle[0]), np.abs(y - middle[1]))
    distance = float((depth + 1.18 * reach / _TANGENT).max())
    camera = CameraPose()
    camera.position = wp.vec3(*(middle[0] * right + middle[1] * up + distance * towards))
    camera.right, camera.up, camera.forward = wp.vec3(*right), wp.vec3(*up), wp.vec3(*-towards)
    camera.tangent = _TANGENT
    return camera


def _add_axes(marks: _Triangles, position: FloatArray, quaternion: FloatArray, length: float) -> None:
    """Three rods x, y, z."""
    turns = ((0.0, 0.70710678, 0.0, 0.70710678), (-0.70710678, 0.0, 0.0, 0.70710678), (0.0, 0.0, 0.0, 1.0))
    for turn, color in zip(turns, _AXES, strict=True):
        where, how = compose(position, quaternion, np.zeros(3), turn)
        middle = where + rotate(how, (0.0, 0.0, 0.5 * length))
        rod = capsule_shape(0.03 * length, 0.47 * length, middle, how).mesh
        marks.add(rod.vertices, rod.faces, color)


def _vertex_normals(mesh: TriMesh) -> FloatArray:
    corner = mesh.vertices[mesh.faces]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    total = np.zeros_like(mesh.vertices)
    for column in range(3):
        np.add.at(total, mesh.faces[:, column], normal)
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12))


def _legend(draw: ImageDraw.ImageDraw, hand: HandModel, size: int, footer: int) -> None:
    font = ImageFont.load_default(size=size / 32)
    x, y, radius = size // 30, size + footer // 2, footer // 6
    for name, color in (
        *((finger, finger_color(finger)) for finger in hand.fingers),
        *zip(("wrist x: across", "y: fingers", "z: out of the palm"), _AXES, strict=True),
    ):
        draw.ellipse((x, y - radius, x + 2 * radius, y + radius), fill=color)
        x += 3 * radius
        draw.text((x, y), name, fill=_INK, font=font, anchor="lm")
        x += int(draw.textlength(name, font=font)) + 2 * radius
