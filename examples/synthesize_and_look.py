"""Synthesise grasps of a mug, look at the best ones, and write them for other programs.

The script loads a shipped hand and object, runs a short optimisation, prints what was found, and writes three files: a
picture of the best grasps, all grasps as arrays (npz), and a USD scene for usdview, Omniverse or Isaac Lab.

    python examples/synthesize_and_look.py out/look
"""

from __future__ import annotations

import argparse
from pathlib import Path

from warpgrasp import (
    GraspSet,
    GraspStatus,
    SynthesisConfig,
    load_hand,
    load_object,
    synthesize,
    write_gallery,
    write_grasp_usd,
)
from warpgrasp.base.warp_messages import quiet_warp
from warpgrasp.grasps.gallery import best_tiles
from warpgrasp.objects import example_object_path


def main() -> None:
    """Synthesise, describe, draw, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder to write into")
    parser.add_argument(
        "--steps", type=int, default=1000, help="steps of the optimiser; 1500 for good grasps"
    )
    parser.add_argument("--grasps", type=int, default=8, help="grasps to synthesise")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    quiet_warp()  # no messages about compiled kernels

    hand, mug = load_hand("allegro"), load_object(example_object_path("mug"))
    config = SynthesisConfig(grasp_count=options.grasps, step_count=options.steps, seed=0)
    (grasps,) = synthesize(hand, [mug], config)

    good = int((grasps.status == GraspStatus.OK).sum())
    print(f"{good} of {len(grasps)} grasps of {hand.name} on {mug.name} have the status OK.")
    best = grasps.best(3)
    for rank, terms in enumerate(best.energy_terms):
        named = ", ".join(
            f"{name} {value:.3g}" for name, value in zip(best.energy_term_names, terms, strict=True)
        )
        print(f"Grasp {rank} has the energy {best.energy[rank]:.2f}; its terms without weights: {named}.")
    moved = zip(best.joint_names, best.joint_position[0], strict=True)
    print("Joints of the best grasp [rad]:", ", ".join(f"{name} {value:.2f}" for name, value in moved))

    path = grasps.save(options.out / "mug.npz")
    scene = write_grasp_usd(options.out / "mug.usda", GraspSet.load(path), hand, mug)
    picture = write_gallery(options.out / "gallery.png", best_tiles([grasps], hand, [mug], count=3))
    print(f"Look at {picture} (picture) and {scene} (USD scene); the arrays are in {path}.")


if __name__ == "__main__":
    main()
