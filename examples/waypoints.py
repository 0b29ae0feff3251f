"""Bring a hand from afar to a grasp: waypoints, pregrasp, grasp, drawn one after the other.

The script synthesises a few grasps of a mug with the way of the opened hand to each, takes the best one whose way stays
clear of the object, and prints and draws it, as an arm would follow it.

    python examples/waypoints.py out/waypoints
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from warpgrasp import GraspSet, load_hand, load_object, synthesize, write_gallery
from warpgrasp.base.warp_messages import quiet_warp
from warpgrasp.grasps.gallery import GalleryTile
from warpgrasp.objects import example_object_path
from warpgrasp.synthesis.methods import method_config
from warpgrasp.synthesis.target_config import TargetConfig


def along_the_way(grasps: GraspSet, row: int) -> GraspSet:
    """The hand of one grasp at its waypoints, its pregrasp and its grasp, as grasps that can be drawn."""
    count = grasps.waypoint_clearance.shape[1]
    hands = grasps.select([row] * (count + 2))
    position, joints = hands.root_position.copy(), hands.joint_position.copy()
    position[:count] = grasps.waypoint_root_position[row]
    joints[:count] = grasps.waypoint_joint_position[row]
    position[count] = grasps.pregrasp_root_position[row]
    joints[count] = grasps.pregrasp_joint_position[row]
    return dataclasses.replace(hands, root_position=position, joint_position=joints)


def main() -> None:
    """Synthesise, choose, print, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder to write into")
    parser.add_argument("--steps", type=int, default=1000, help="steps of the optimiser")
    parser.add_argument("--grasps", type=int, default=8, help="grasps to choose from")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    quiet_warp()

    hand, mug = load_hand("allegro"), load_object(example_object_path("mug"))
    config = method_config(
        grasp_count=options.grasps,
        step_count=options.steps,
        targets=TargetConfig(withdrawal=0.12, waypoints=4),
    )
    (grasps,) = synthesize(hand, [mug], config)
    clear = grasps.waypoint_clearance.min(axis=1) > 0.002
    order = grasps.order()
    row = int(order[np.argmax(clear[order])])  # the best of the clear ones

    turn = ", ".join(f"{value:.3f}" for value in grasps.pregrasp_root_quaternion[row])
    print(f"The root keeps the orientation [{turn}] (xyzw) until the pregrasp.")
    for number, (position, clearance) in enumerate(
        zip(grasps.waypoint_root_position[row], grasps.waypoint_clearance[row], strict=True)
    ):
        place = ", ".join(f"{value:.3f}" for value in position)
        print(
            f"Waypoint {number}: root at [{place}] m; {1e3 * clearance:.1f} mm clear on the way to the next."
        )

    hands = along_the_way(grasps, row)
    names = [*(f"waypoint {number}" for number in range(len(hands) - 2)), "pregrasp", "grasp"]
    wrist = Rotation.from_quat(grasps.root_quaternion[row]) * Rotation.from_quat(hand.wrist_quaternion)
    side = tuple(wrist.apply([0.3, 1.0, -0.3]))  # across the palm, so that the hand comes from one side
    tiles = [
        GalleryTile(hands, index, hand, mug, title=name, view_from=side) for index, name in enumerate(names)
    ]
    print(f"Look at {write_gallery(options.out / 'way.png', tiles, columns=3)} (picture).")


if __name__ == "__main__":
    main()
