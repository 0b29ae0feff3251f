"""Pictures of grasps without a display or OpenGL: a ray caster on the Warp device, labels with Pillow.

The camera looks from the direction from which most contacts can be seen. The object is warm, the hand as its file shows
it (without visual meshes: its collision shapes, dark with lighter fingertips), each contact a small sphere in the colour
of its finger; a contact behind a surface shines through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import warp as wp
from PIL import Image, ImageDraw, ImageFont
from scipy.spatial import cKDTree

from warpgrasp.base.atomic_file import replace_file
from warpgrasp.base.status import GraspStatus
from warpgrasp.base.warp_messages import warp_is_quiet
from warpgrasp.geometry.rotations import rotate, rotate_each
from warpgrasp.grasps.grasp_set import GraspSet
from warpgrasp.hands.finger_colors import finger_color
from warpgrasp.hands.usd.visuals import hand_visuals
from warpgrasp.kernels.raycast import (
    CameraPose,
    MeshArrays,
    RaycastScene,
    launch_image,
    launch_visibility,
    raycast_mesh,
)

if TYPE_CHECKING:
    from warpgrasp.hands.model import HandModel
    from warpgrasp.objects import ObjectModel

__all__ = [
    "GalleryTile",
    "best_tiles",
    "finger_of_contact",
    "fingers_of_contacts",
    "render_grasp",
    "write_gallery",
]

FloatArray = npt.NDArray[np.float64]
ByteArray = npt.NDArray[np.uint8]


_BACKGROUND = (246, 246, 244)
_OBJECT_COLOR = (222, 142, 82)
_HAND_COLOR = (90, 95, 105)
_TIP_COLOR = (186, 190, 196)
_INK = (40, 42, 46)
_FIELD_OF_VIEW = np.radians(28.0)
_DIRECTION_COUNT = 160
_MARGIN = 1.13  # of the picture around hand and object
_STRIP_SHARE = 0.15  # of a tile's width: height of the strip for its text, above the picture


@dataclass(frozen=True)
class GalleryTile:
    """One picture of a gallery: grasp ``index`` of ``grasps``."""

    grasps: GraspSet
    index: int
    hand: HandModel
    object_model: ObjectModel
    title: str = ""
    """Text in the corner; empty: the object's name."""
    view_from: tuple[float, float, float] | None = None
    """Direction from the object to the camera; by default that which shows most contacts."""


def best_tiles(
    grasp_sets: Sequence[GraspSet], hand: HandModel, objects: Sequence[ObjectModel], *, count: int = 9
) -> list[GalleryTile]:
    """Return up to ``count`` tiles: the best grasp of each object, then the second best, and so on, by object."""
    if len(grasp_sets) != len(objects):
        raise ValueError(f"grasp_sets and objects must pair up (got {len(grasp_sets)} and {len(objects)})")
    ranks: list[list[GalleryTile]] = [[] for _ in objects]
    total = 0
    for rank in range(count):
        for i, (grasps, model) in enumerate(zip(grasp_sets, objects, strict=True)):
            if rank < len(grasps) and total < count:
                ranks[i].append(GalleryTile(grasps, int(grasps.order()[rank]), hand, model))
                total += 1
    return [tile for tiles in ranks for tile in tiles]


@warp_is_quiet()
def write_gallery(
    path: Path | str,
    tiles: Sequence[GalleryTile],
    *,
    columns: int = 3,
    size: int = 420,
    device: wp.DeviceLike = "cpu",
) -> Path:
    """Render tiles into one PNG, written whole or not at all, and return its path.

    Args:
        path: Output file.
        tiles: What to show, row by row.
        columns: Tiles per row.
        size: Edge of a picture in pixels; a strip for its text stands above it.
        device: Warp device that casts the rays.

    Raises:
        ValueError: No tiles, or a size out of range.
        OutputError: The file cannot be written.
    """
    path = Path(path)
    image = _gallery(tiles, columns=columns, size=size, device=device)
    with replace_file(path) as temporary:
        image.save(temporary, format="PNG")
    return path


def _gallery(tiles: Sequence[GalleryTile], *, columns: int, size: int, device: wp.DeviceLike) -> Image.Image:
    if not tiles:
        raise ValueError("tiles must hold at least one GalleryTile (got none)")
    if columns < 1:
        raise ValueError(f"columns must be at least 1 (got {columns})")
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    gap, footer, strip = max(size // 70, 2), max(size // 11, 24), _strip_height(size)
    height = size + strip
    sheet = Image.new(
        "RGB", (columns * (size + gap) + gap, rows * (height + gap) + gap + footer), (255, 255, 255)
    )
    object_meshes: dict[int, MeshArrays] = {}  # one BVH per object, however many tiles show it
    fingers: dict[str, None] = {}
    for i, tile in enumerate(tiles):
        key = id(tile.object_model)
        if key not in object_meshes:
            object_meshes[key] = _object_mesh(tile.object_model, device)
        pixels = _render(
            tile.grasps,
            tile.index,
            tile.hand,
            object_meshes[key],
            tile.object_model,
            size,
            device,
            tile.view_from,
        )
        row, column = divmod(i, columns)
        left, top = gap + column * (size + gap), gap + row * (height + gap)
        sheet.paste(_label(tile, size), (left, top))
        sheet.paste(Image.fromarray(pixels), (left, top + strip))
        fingers.update(dict.fromkeys(finger_of_contact(tile.grasps, tile.index, tile.hand)))
    _draw_legend(sheet, list(fingers), footer)
    return sheet


@warp_is_quiet()
def render_grasp(
    grasps: GraspSet,
    index: int,
    hand: HandModel,
    object_model: ObjectModel,
    *,
    size: int = 420,
    device: wp.DeviceLike = "cpu",
) -> ByteArray:
    """Render one grasp without text: sRGB, shape [size, size, 3].

    Raises:
        ValueError: ``size`` is not in [16, 8192], or ``index`` is out of range.
    """
    mesh = _object_mesh(object_model, device)
    return _render(grasps, index, hand, mesh, object_model, size, device)


def _render(
    grasps: GraspSet,
    index: int,
    hand: HandModel,
    object_mesh: MeshArrays,
    object_model: ObjectModel,
    size: int,
    device: wp.DeviceLike,
    view_from: tuple[float, float, float] | None = None,
) -> ByteArray:
    if not 16 <= size <= 8192:
        raise ValueError(f"size must be in [16, 8192] pixels (got {size})")
    if not 0 <= index < len(grasps):
        raise ValueError(f"index must be in [0, {len(grasps) - 1}] (got {index})")
    link_position, link_quaternion = _link_poses(grasps, index, hand)
    vertices, faces, colors, normals = _posed_hand(hand, link_position, link_quaternion)
    hand_mesh = raycast_mesh(vertices, faces, colors, device, vertex_normal=normals)
    scene = RaycastScene()
    scene.object = object_mesh.struct
    scene.hand = hand_mesh.struct
    contacts = np.asarray(grasps.contact_position[index])
    contacts = contacts[np.isfinite(contacts).all(axis=1)]
    names = finger_of_contact(grasps, index, hand)[: len(contacts)]
    scene.contact_position = wp.array(contacts, dtype=wp.vec3, device=device)
    scene.contact_color = wp.array(
        [_linear(finger_color(name)) for name in names], dtype=wp.vec3, device=device
    )
    points = np.concatenate([vertices, np.asarray(object_model.vertices, dtype=np.float64)])
    extent = float(np.linalg.norm(np.ptp(points, axis=0)))
    scene.contact_radius = 0.011 * extent
    scene.background = wp.vec3(*_linear(_BACKGROUND))
    direction = _best_direction(scene, device) if view_from is None else _unit(np.array(view_from))
    right, up = _image_axes(direction)
    scene.key_direction = wp.vec3(*_unit(0.75 * direction + 0.55 * up - 0.45 * right))
    scene.fill_direction = wp.vec3(*_unit(0.6 * direction + 0.15 * up + 0.9 * right))
    camera = _framed_camera(points, direction, right, up)
    image: FloatArray = launch_image(scene, camera, size, device).numpy()
    return np.round(255.0 * np.clip(image, 0.0, 1.0) ** (1.0 / 2.2)).astype(np.uint8)


def _object_mesh(model: ObjectModel, device: wp.DeviceLike) -> MeshArrays:
    return raycast_mesh(model.vertices, model.faces, _linear(_OBJECT_COLOR), device)


def _link_poses(grasps: GraspSet, index: int, hand: HandModel) -> tuple[FloatArray, FloatArray]:
    position, quaternion = hand.forward_kinematics(
        np.asarray(grasps.root_position[index], dtype=np.float64),
        np.asarray(grasps.root_quaternion[index], dtype=np.float64),
        np.asarray(grasps.joint_position[index], dtype=np.float64),
    )
    return position, quaternion


def _posed_hand(
    hand: HandModel, link_position: FloatArray, link_quaternion: FloatArray
) -> tuple[FloatArray, npt.NDArray[np.int64], FloatArray, FloatArray | None]:
    """Vertices [V, 3] m, faces [F, 3], linear face colours [F, 3] and normals [V, 3] of the hand in the object frame.

    What the hand's file shows of it; where it shows nothing, its collision meshes, without normals.
    """
    visuals = hand_visuals(hand)
    parts: list[tuple[int, FloatArray, npt.NDArray[np.int32], npt.ArrayLike]] = [
        (mesh.link, mesh.vertices, mesh.faces, mesh.color) for mesh in visuals
    ]
    if not parts:
        tips = {patch.link for patch in hand.patches if patch.region == "tip"}
        for link, shape in zip(hand.geometry_link, hand.geometry_mesh, strict=True):
            shade = _linear(_TIP_COLOR if link in tips else _HAND_COLOR)
            parts.append((int(link), shape.vertices, shape.faces, shade))
    vertices, faces, colors, start = [], [], [], 0
    for link, own, triangles, color in parts:
        vertices.append(rotate(link_quaternion[link], np.asarray(own)) + link_position[link])
        faces.append(np.asarray(triangles, dtype=np.int64) + start)
        colors.append(np.tile(color, (len(triangles), 1)))
        start += len(own)
    normals = [
        rotate(link_quaternion[mesh.link], mesh.normals) for mesh in visuals if mesh.normals is not None
    ]
    smooth = np.concatenate(normals) if normals and len(normals) == len(visuals) else None
    return np.concatenate(vertices), np.concatenate(faces), np.concatenate(colors), smooth


def finger_of_contact(grasps: GraspSet, index: int, hand: HandModel) -> list[str]:
    """Return the name of the finger at each contact of one grasp: that of the nearest contact patch."""
    position, quaternion = _link_poses(grasps, index, hand)
    contacts = grasps.contact_position[index][None]
    return fingers_of_contacts(contacts, position[None], quaternion[None], hand)[0]


def fingers_of_contacts(
    contact_position: npt.ArrayLike, link_position: FloatArray, link_quaternion: FloatArray, hand: HandModel
) -> list[list[str]]:
    """The same of many grasps.

    Args:
        contact_position: Contact points [m], object frame, shape [N, C, 3].
        link_position: Links of every grasp [m], shape [N, L, 3].
        link_quaternion: Their orientations, xyzw, shape [N, L, 4].
        hand: The hand.
    """
    contacts = np.asarray(contact_position, dtype=np.float64)
    if contacts.size == 0 or not hand.patches:  # nothing to be shown, or a hand that only holds still
        return [[""] * contacts.shape[1] for _ in contacts]
    gaps = []
    for patch in hand.patches:
        back = link_quaternion[:, None, patch.link] * [-1.0, -1.0, -1.0, 1.0]
        local = rotate_each(back, contacts - link_position[:, None, patch.link])
        tree = cKDTree(np.asarray(patch.vertices))
        finite = np.nan_to_num(local.reshape(-1, 3), nan=0.0, posinf=0.0, neginf=0.0)
        gaps.append(np.asarray(tree.query(finite)[0]).reshape(contacts.shape[:2]))
    return [[hand.patches[i].finger for i in row] for row in np.argmin(gaps, axis=0)]


def _best_direction(scene: Any, device: wp.DeviceLike) -> FloatArray:
    """Unit vector towards the camera: most contacts in sight, seen a little from above where that is a tie."""
    k = np.arange(_DIRECTION_COUNT) + 0.5
    height = 1.0 - 2.0 * k / _DIRECTION_COUNT
    angle = np.pi * (1.0 + np.sqrt(5.0)) * k
    radius = np.sqrt(1.0 - height**2)
    directions = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)
    score = 0.6 - np.abs(height - 0.35)
    if scene.contact_position.shape[0]:
        array: wp.array = wp.array(directions.astype(np.float32), dtype=wp.vec3, device=device)
        score = score + launch_visibility(scene, array, device).numpy().sum(axis=1)
    best: FloatArray = directions[int(np.argmax(score))]
    return best


def _image_axes(direction: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Right and up of a camera that looks against ``direction``, upright in z where it can."""
    vertical = np.array([0.0, 0.0, 1.0]) if abs(direction[2]) < 0.98 else np.array([0.0, 1.0, 0.0])
    right = _unit(np.cross(vertical, direction))
    return right, np.cross(direction, right)


def _framed_camera(points: FloatArray, direction: FloatArray, right: FloatArray, up: FloatArray) -> Any:
    """Camera on the given side, as near as shows every point with a margin."""
    tangent = float(np.tan(_FIELD_OF_VIEW / 2))
    x, y, depth = points @ right, points @ up, points @ direction
    center_x, center_y = (x.min() + x.max()) / 2, (y.min() + y.max()) / 2
    for _ in range(4):  # perspective shifts the middle; converges quickly for a long lens
        reach = np.maximum(np.abs(x - center_x), np.abs(y - center_y))
        distance = float((depth + _MARGIN * reach / tangent).max())
        scale = 1.0 / (distance - depth)
        left, low = ((x - center_x) * scale), ((y - center_y) * scale)
        center_x += (left.min() + left.max()) / 2 * (distance - depth.mean())
        center_y += (low.min() + low.max()) / 2 * (distance - depth.mean())
    reach = np.maximum(np.abs(x - center_x), np.abs(y - center_y))
    distance = float((depth + _MARGIN * reach / tangent).max())
    camera = CameraPose()
    camera.position = wp.vec3(*(center_x * right + center_y * up + distance * direction))
    camera.right, camera.up, camera.forward = wp.vec3(*right), wp.vec3(*up), wp.vec3(*-direction)
    camera.tangent = tangent
    return camera


def _strip_height(size: int) -> int:
    """Height of the strip of text of a tile; small tiles need more of it, because letters have a least size."""
    return max(round(_STRIP_SHARE * size), 30)


def _label(tile: GalleryTile, size: int) -> Image.Image:
    """The strip above a picture: title, then number, energy and, where it is not OK, status."""
    strip = Image.new("RGB", (size, _strip_height(size)), _BACKGROUND)
    draw = ImageDraw.Draw(strip)
    margin, bottom = size // 28, strip.height - 2
    title = tile.title or tile.object_model.name
    draw.text((margin, strip.height // 2), title[:40], fill=_INK, font=_font(size // 22), anchor="ld")
    energy, status = tile.grasps.energy[tile.index], GraspStatus(int(tile.grasps.status[tile.index]))
    text, font = f"grasp {tile.index}   energy {energy:.3g}", _font(size // 28)
    if np.isfinite(quality := tile.grasps.quality[tile.index]):
        text += f"   quality {quality:.2f}"
    warning = "" if status == GraspStatus.OK else status.name.lower().replace("_", " ")
    room = size - 3 * margin - draw.textlength(warning, font=font)
    if not warning or draw.textlength(text, font=font) <= room:  # on a small tile only the warning
        draw.text((margin, bottom), text, fill=(110, 112, 116), font=font, anchor="ld")
    draw.text((size - margin, bottom), warning, fill=(190, 40, 30), font=font, anchor="rd")
    return strip


def _draw_legend(sheet: Image.Image, fingers: Sequence[str], height: int) -> None:
    draw = ImageDraw.Draw(sheet)
    font = _font(height // 2.6)
    x, y = height // 2, sheet.height - height // 2 - 2
    draw.text((x, y), "contacts:", fill=_INK, font=font, anchor="lm")
    x += int(draw.textlength("contacts:", font=font)) + height // 2
    radius = height // 6
    for finger in fingers:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=finger_color(finger))
        x += 2 * radius
        draw.text((x, y), finger, fill=_INK, font=font, anchor="lm")
        x += int(draw.textlength(finger, font=font)) + height // 2


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=max(float(size), 9.0))


def _linear(color: tuple[int, int, int]) -> FloatArray:
    """SRGB bytes to linear RGB, with the exponent that :func:`_render` undoes."""
    return (np.asarray(color, dtype=np.float64) / 255.0) ** 2.2


def _unit(vector: FloatArray) -> FloatArray:
    return vector / float(np.linalg.norm(vector))
