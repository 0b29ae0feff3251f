"""The pictures of docs/howto/hands.md: the best grasp of every grasp type on five objects of different shape, one PNG per hand.

python benchmarks/hand_gallery.py [--hands allegro leap] [--objects ../shared/objects] [--out docs/images]
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import tyro
from PIL import Image

from warpgrasp.grasps.gallery import GalleryTile, write_gallery
from warpgrasp.hands import hand_names, load_hand
from warpgrasp.objects import load_object
from warpgrasp.synthesis.synthesize import SynthesisConfig, synthesize

OBJECTS = (
    "ycb_006_mustard_bottle",
    "ycb_013_apple",
    "ycb_011_banana",
    "os_wineglass",
    "ycb_035_power_drill",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Draw the best grasps of hands."""

    hands: tuple[str, ...] = ()
    """Names of shipped hands; empty: all."""
    objects: Path = Path("../shared/objects")
    """Folder of the meshes."""
    out: Path = Path("docs/images")
    """Folder of the pictures."""
    grasps: int = 8
    """Per object, of which the best is drawn."""
    steps: int = 2000


def main() -> None:
    """Synthesise and draw."""
    options = tyro.cli(Options)
    models = [load_object(options.objects / f"{name}.obj") for name in OBJECTS]
    for name in options.hands or hand_names():
        hand = load_hand(name)
        tiles = []
        for grasp_type in hand.grasp_types:
            config = SynthesisConfig(
                grasp_type=grasp_type, grasp_count=options.grasps, step_count=options.steps
            )
            for model, grasps in zip(models, synthesize(hand, models, config), strict=True):
                title = f"{model.name.split('_', 1)[1]}, {grasp_type}"
                tiles.append(GalleryTile(grasps, int(grasps.order()[0]), hand, model, title))
        path = write_gallery(options.out / f"hands_{name}.png", tiles, columns=len(models), size=236)
        Image.open(path).quantize(128).save(path, optimize=True)  # a fifth of the bytes
        print(path)


if __name__ == "__main__":
    main()
