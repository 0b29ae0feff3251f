"""Shipped hands beside the public models of the same hands: one pose, one camera, and how far the surfaces are apart.

python benchmarks/hand_reference.py [--hands allegro leap] [--out docs/images/hand_reference.png]

Needs the vendors' models in ``../shared/hands/models`` (:mod:`hand_geometry`). Left is the look of our file, right the public
model, in the opening pose. Distances are those between what can be touched of both, link by link, all links together.
"""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import numpy.typing as npt
import trimesh
import tyro
from hand_geometry import MODELS, URDF, _urdf_mesh, _urdf_pose, hand_distances, our_look
from hand_looks import Part, look_parts, view
from PIL import Image, ImageDraw, ImageFont

from warpgrasp.base.warp_messages import quiet_warp
from warpgrasp.hands import HandModel, load_hand

HANDS = ("allegro", "shadow", "leap", "ability_hand", "barrett", "robotiq_3f", "robotiq_2f140")
GREY = (0.55, 0.56, 0.58)  # sRGB, of what has no colour in its file
DARKEST = 0.16  # sRGB; black as files say it would show no shape
UNPAINTED = ("robotiq_3f",)  # whose file is bright green, which the gripper is not
OUT_OF_VIEW = {"shadow": ("forearm",)}  # links that may reach out of the picture
FACE_LIMIT = 400_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Draw and measure."""

    hands: tuple[str, ...] = HANDS
    """Names of shipped hands."""
    out: Path = Path("docs/images/hand_reference.png")
    """The picture."""
    size: int = 250
    """Edge of a view [pixels]."""
    distances: bool = True
    """Print how far the surfaces are apart."""


def reference_parts(hand: HandModel, path: Path) -> list[Part]:
    """Visual meshes of a URDF, each on the link of our hand that has its name or that it is fixed to."""
    robot = ElementTree.fromstring(re.sub(r"<(/?)(\w+):", r"<\1\2_", path.read_text()))
    known = {str(m.get("name")): rgba for m in robot.iter("material") if (rgba := _rgba(m)) is not None}
    fixed = {
        str(joint.find("child").get("link")): joint  # type: ignore[union-attr]
        for joint in robot.findall("joint")
        if joint.get("type") == "fixed"
    }
    parts: list[Part] = []
    for link in robot.findall("link"):
        name, pose = str(link.get("name")), np.eye(4)
        while (own := re.sub(r"\W", "_", name)) not in hand.link_names and name in fixed:
            pose = _urdf_pose(fixed[name]) @ pose
            name = str(fixed[name].find("parent").get("link"))  # type: ignore[union-attr]
        if own not in hand.link_names:
            continue
        for visual in link.findall("visual"):
            mesh = _urdf_mesh(visual, path.parent)
            if mesh is None or not len(mesh.faces) or len(mesh.faces) > FACE_LIMIT:
                continue
            grey = np.full((len(mesh.faces), 3), np.array(GREY) ** 2.2)
            color = grey if hand.name in UNPAINTED else _face_colors(mesh, visual, known)
            mesh.apply_transform(pose)
            parts.append((hand.link_names.index(own), np.asarray(mesh.vertices), mesh.faces, color, None))
    return parts


def _rgba(material: ElementTree.Element) -> npt.NDArray[np.float64] | None:
    color = material.find("color")
    return None if color is None else np.array(str(color.get("rgba")).split(), dtype=np.float64)


def _face_colors(
    mesh: trimesh.Trimesh, visual: ElementTree.Element, known: dict[str, npt.NDArray[np.float64]]
) -> npt.NDArray[np.float64]:
    """Linear RGB of every face, shape [F, 3]: the URDF's material, or else what the mesh file says."""
    material = visual.find("material")
    rgba = None if material is None else known.get(str(material.get("name")), _rgba(material))
    if rgba is None and mesh.visual.kind == "texture":
        rgba = np.asarray(mesh.visual.material.main_color, dtype=np.float64) / 255.0
    if rgba is None and mesh.visual.kind in ("face", "vertex"):
        shown = np.asarray(mesh.visual.face_colors, dtype=np.float64)[:, :3] / 255.0
    else:
        shown = np.tile(GREY if rgba is None else rgba[:3], (len(mesh.faces), 1))
    return np.asarray(np.maximum(shown, DARKEST) ** 2.2)


def main() -> None:
    """Draw two views of each hand, four to a row, and print a table of distances."""
    options = tyro.cli(Options)
    quiet_warp()
    if not MODELS.is_dir():
        print(f"skipped: the vendors' models are not at {MODELS}")
        return
    size, strip, rows = options.size, 22, -(-len(options.hands) // 2)
    sheet = Image.new("RGB", (4 * size, rows * (size + strip)), (246, 246, 244))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    for index, name in enumerate(options.hands):
        left, top = 2 * size * (index % 2), (size + strip) * (index // 2)
        hand = load_hand(name)
        reference = reference_parts(hand, MODELS / URDF[name])
        framed = [part for part in reference if hand.link_names[part[0]] not in OUT_OF_VIEW.get(name, ())]
        for column, parts in enumerate((look_parts(hand), reference)):
            picture = view(hand, parts, size, framed=framed)
            sheet.paste(Image.fromarray(picture), (left + column * size, top + strip))
        draw.text((left + 8, top + 4), f"{name}: ours, public model", fill=(40, 42, 46), font=font)
        if options.distances:
            links = hand_distances(name, our_look)
            for label, gap in (
                ("public model to ours", np.concatenate([link.to_ours for link in links])),
                ("ours to public model", np.concatenate([link.to_real for link in links])),
            ):
                print(
                    f"{name:14s} {label}: mean {gap.mean():.2f} mm, 95 % {np.percentile(gap, 95):.2f} mm",
                    flush=True,
                )
    sheet.quantize(192).save(options.out, optimize=True)
    print(options.out)


if __name__ == "__main__":
    main()
