"""Turn a robot description into a hand, and grasp with it.

The script writes the URDF of a small three-fingered gripper, as a robot's manufacturer would deliver it: links, joints,
shapes, no word about grasping. The converter proposes where the gripper should touch objects, where its palm is and how it
opens, and says how sure it is. The script then synthesises grasps with the new hand.

    python examples/own_hand.py out/own_hand
"""

from __future__ import annotations

import argparse
from pathlib import Path

from warpgrasp import GraspStatus, SynthesisConfig, load_object, synthesize, write_gallery
from warpgrasp.base.warp_messages import quiet_warp
from warpgrasp.grasps.gallery import best_tiles
from warpgrasp.hands.convert import convert_hand
from warpgrasp.objects import example_object_path

PALM = """
  <link name="palm">
    <inertial><mass value="0.4"/><inertia ixx="4e-4" ixy="0" ixz="0" iyy="4e-4" iyz="0" izz="4e-4"/></inertial>
    <collision><geometry><box size="0.09 0.09 0.03"/></geometry></collision>
  </link>"""

LINK = """
  <link name="{name}">
    <inertial><origin xyz="0 0 {middle}"/><mass value="0.05"/>
      <inertia ixx="2e-5" ixy="0" ixz="0" iyy="2e-5" iyz="0" izz="5e-6"/></inertial>
    <collision><origin xyz="0 0 {middle}"/><geometry><box size="0.016 0.016 {length}"/></geometry></collision>
  </link>"""

JOINT = """
  <joint name="{name}" type="revolute">
    <parent link="{parent}"/><child link="{child}"/><origin xyz="{xyz}" rpy="{rpy}"/>
    <axis xyz="0 1 0"/><limit lower="{lower}" upper="{upper}" effort="2.0" velocity="3"/>
  </joint>"""

# Name, foot on the palm, and the turn of the finger about the palm's normal (z), which points its pad at the middle.
FINGERS = (
    ("thumb", "-0.04 0 0.015", "0 0 0"),
    ("index", "0.04 -0.025 0.015", "0 0 3.14159"),
    ("middle", "0.04 0.025 0.015", "0 0 3.14159"),
)


def write_gripper(path: Path) -> Path:
    """Write the URDF of a palm with three fingers of two links each, which bend towards each other."""
    parts = [PALM]
    for finger, foot, turn in FINGERS:
        near, far = f"{finger}_near", f"{finger}_far"
        parts += [
            LINK.format(name=near, length=0.06, middle=0.03),
            JOINT.format(
                name=f"{finger}_base", parent="palm", child=near, xyz=foot, rpy=turn, lower=-0.8, upper=0.9
            ),
            LINK.format(name=far, length=0.05, middle=0.025),
            JOINT.format(
                name=f"{finger}_tip",
                parent=near,
                child=far,
                xyz="0 0 0.06",
                rpy="0 0 0",
                lower=0.0,
                upper=1.2,
            ),
        ]
    path.write_text(
        f'<?xml version="1.0"?>\n<robot name="gripper">{"".join(parts)}\n</robot>\n', encoding="utf-8"
    )
    return path


def main() -> None:
    """Write, convert, grasp."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder to write into")
    parser.add_argument("--steps", type=int, default=800, help="steps of the optimiser; 1500 for good grasps")
    parser.add_argument("--grasps", type=int, default=8, help="grasps to synthesise")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    quiet_warp()  # no messages about compiled kernels

    urdf = write_gripper(options.out / "gripper.urdf")
    conversion = convert_hand(urdf, options.out / "gripper")
    hand = conversion.hand
    print(
        f"{urdf.name} became a hand with {len(hand.joint_names)} joints, the fingers {', '.join(hand.fingers)}, "
        f"{len(hand.patches)} contact patches and the grasp types {', '.join(hand.grasp_types)}."
    )
    print(
        f"{len(conversion.guesses)} things were guessed; they stand in {options.out / 'gripper' / 'report.md'},"
    )
    print(
        f"are drawn in {options.out / 'gripper' / 'hand.png'} and can be edited in annotation.yaml beside them."
    )

    duck = load_object(example_object_path("duck"))
    (grasps,) = synthesize(
        hand, [duck], SynthesisConfig(grasp_count=options.grasps, step_count=options.steps)
    )
    good = int((grasps.status == GraspStatus.OK).sum())
    print(
        f"{good} of {len(grasps)} grasps of the {duck.name} have the status OK; the best energy is {grasps.energy.min():.2f}."
    )
    grasps.save(options.out / "duck.npz")
    picture = write_gallery(options.out / "gallery.png", best_tiles([grasps], hand, [duck], count=3))
    print(f"Pictures: {picture}")


if __name__ == "__main__":
    main()
