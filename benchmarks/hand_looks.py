"""The picture of docs/howto/omniverse.md: every shipped hand as it collides and as it is seen, in its opening pose.

python benchmarks/hand_looks.py [--out docs/images/hand_looks.png]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tyro
import warp as wp
from PIL import Image, ImageDraw, ImageFont

from warpgrasp.base.warp_messages import quiet_warp
from warpgrasp.geometry.rotations import IDENTITY_QUATERNION, quaternion_to_matrix, rotate
from warpgrasp.hands import HandModel, hand_names, load_hand
from warpgrasp.hands.usd.visuals import hand_visuals
from warpgrasp.kernels.raycast import CameraPose, RaycastScene, launch_image, raycast_mesh

PAPER = 0.92
TANGENT = float(np.tan(np.radians(12.0)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Draw the hands."""

    out: Path = Path("docs/images/hand_looks.png")
    """The picture."""
    size: int = 210
    """Edge of a view [pixels]."""


Part = tuple[int, npt.NDArray[np.float64], npt.NDArray[np.integer[Any]], Any, npt.NDArray[np.float64] | None]
"""Link, vertices [V, 3] m in its frame, faces [F, 3], linear RGB of the part [3] or of its faces [F, 3], normals [V, 3]."""


def look_parts(hand: HandModel) -> list[Part]:
    """The visual meshes of a hand."""
    return [(m.link, m.vertices, m.faces, m.color, m.normals) for m in hand_visuals(hand)]


def collision_parts(hand: HandModel) -> list[Part]:
    """The collision shapes of a hand."""
    shapes = zip(hand.geometry_link, hand.geometry_mesh, strict=True)
    return [(int(link), m.vertices, m.faces, (0.12, 0.13, 0.15), None) for link, m in shapes]


def view(
    hand: HandModel, parts: Sequence[Part], size: int, framed: Sequence[Part] | None = None
) -> npt.NDArray[np.uint8]:
    """One picture of parts of a hand in its opening pose, by a camera that shows ``framed``, or else the parts."""
    position, quaternion = hand.forward_kinematics(np.zeros(3), IDENTITY_QUATERNION, hand.dof_opening)

    def placed(shown: Sequence[Part]) -> list[npt.NDArray[np.float64]]:
        return [position[link] + rotate(quaternion[link], vertices) for link, vertices, *_ in shown]

    points = placed(parts)
    starts = np.cumsum([0, *(len(own) for own in points)])[:-1]
    faces = np.concatenate([part[2] + start for part, start in zip(parts, starts, strict=True)])
    colors = np.concatenate([np.broadcast_to(part[3], (len(part[2]), 3)) for part in parts])
    smooth = [rotate(quaternion[part[0]], part[4]) for part in parts if part[4] is not None]
    normals = np.concatenate(smooth) if len(smooth) == len(parts) else None
    vertices = np.concatenate(points)
    scene = RaycastScene()
    mesh = raycast_mesh(vertices, faces, colors, "cpu", vertex_normal=normals)
    nothing = raycast_mesh(1e-3 * np.eye(3) - 900.0, [[0, 1, 2]], (0.0, 0.0, 0.0), "cpu")
    scene.hand, scene.object = mesh.struct, nothing.struct
    scene.contact_position = wp.zeros(0, dtype=wp.vec3)
    scene.contact_color = wp.zeros(0, dtype=wp.vec3)
    scene.background = wp.vec3(PAPER)
    x, y, z = quaternion_to_matrix(hand.wrist_quaternion).T
    towards = unit(0.8 * z + 0.75 * x + 0.2 * y)
    right = unit(np.cross(y, towards))
    up = np.cross(towards, right)
    frame = vertices if framed is None else np.concatenate(placed(framed))
    scene.key_direction = wp.vec3(*unit(towards + 0.6 * up - 0.5 * right))
    scene.fill_direction = wp.vec3(*unit(towards + 0.9 * right))
    image = launch_image(scene, camera(frame, towards, right, up), size, "cpu").numpy()
    return np.round(255.0 * np.clip(image, 0.0, 1.0) ** (1.0 / 2.2)).astype(np.uint8)


def unit(vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The vector at length 1."""
    return vector / np.linalg.norm(vector)


def camera(
    points: npt.NDArray[np.float64],
    towards: npt.NDArray[np.float64],
    right: npt.NDArray[np.float64],
    up: npt.NDArray[np.float64],
) -> CameraPose:
    """A camera with a long lens that shows all points."""
    x, y, depth = points @ right, points @ up, points @ towards
    middle = 0.5 * (x.min() + x.max()), 0.5 * (y.min() + y.max())
    reach = np.maximum(np.abs(x - middle[0]), np.abs(y - middle[1]))
    distance = float((depth + 1.12 * reach / TANGENT).max())
    result = CameraPose()
    result.position = wp.vec3(*(middle[0] * right + middle[1] * up + distance * towards))
    result.right, result.up, result.forward = wp.vec3(*right), wp.vec3(*up), wp.vec3(*-towards)
    result.tangent = TANGENT
    return result


def main() -> None:
    """Draw all hands, two views each, in two rows."""
    options = tyro.cli(Options)
    quiet_warp()
    size, strip, names = options.size, 22, hand_names()
    half = -(-len(names) // 2)
    sheet = Image.new("RGB", (2 * half * size, 2 * (size + strip)), (246, 246, 244))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    for index, name in enumerate(names):
        left, top = 2 * size * (index % half), (size + strip) * (index // half)
        hand = load_hand(name)
        for column, parts in enumerate((collision_parts(hand), look_parts(hand))):
            sheet.paste(Image.fromarray(view(hand, parts, size)), (left + column * size, top + strip))
        draw.text((left + 8, top + 4), f"{name}: collides, is seen", fill=(40, 42, 46), font=font)
    sheet.quantize(128).save(options.out, optimize=True)
    print(options.out)


if __name__ == "__main__":
    main()
