"""Small robot descriptions written here, so that converter tests need no outside data."""

from __future__ import annotations

from pathlib import Path

import trimesh

from warpgrasp.hands.convert import ConvertConfig

__all__ = [
    "NO_PICTURE",
    "arm_links",
    "base_joints",
    "box_chain",
    "box_link",
    "write_boxes",
    "write_mjcf_gripper",
    "write_urdf_hand",
]

NO_PICTURE = ConvertConfig(picture=False)

_FINGERS = {"index": 0.022, "middle": 0.0, "ring": -0.022}


def _mesh(path: Path, size: tuple[float, float, float], center: tuple[float, float, float]) -> None:
    solid = trimesh.creation.box(size)
    solid.apply_translation(center)
    path.parent.mkdir(exist_ok=True)
    solid.export(path)


def _link(name: str, geometry: str, mass: str = "0.05", center: str = "0 0 0.02") -> str:
    inertial = f'<mass value="{mass}"/>' if mass else ""
    return f"""
  <link name="{name}">
    <inertial><origin xyz="{center}"/>{inertial}
      <inertia ixx="2e-5" ixy="0" ixz="0" iyy="2e-5" iyz="0" izz="1e-5"/></inertial>
    <collision>{geometry}</collision>
  </link>"""


def _joint(
    name: str, parent: str, child: str, xyz: str, *, axis: str = "0 1 0", rpy: str = "0 0 0", extra: str = "",
    limit: str = '<limit lower="0" upper="1.6" effort="1.5" velocity="3"/>', kind: str = "revolute",
) -> str:  # fmt: skip
    return f"""
  <joint name="{name}" type="{kind}">
    <parent link="{parent}"/><child link="{child}"/><origin xyz="{xyz}" rpy="{rpy}"/>
    <axis xyz="{axis}"/>{limit}{extra}
  </joint>"""


def write_urdf_hand(folder: Path, *, suffix: str = ".stl", body: str = "") -> Path:
    """A right hand: palm normal +x, fingers +z, thumb at +y; three coupled fingers of two links and a thumb.

    Meshes have the given suffix; ``body`` is added before the end. Joint names hold dots, links a dash.
    """
    meshes = folder / "meshes"
    _mesh(meshes / f"palm{suffix}", (0.025, 0.08, 0.09), (0.0, 0.0, -0.045))
    _mesh(meshes / f"phalanx{suffix}", (0.016, 0.016, 0.045), (0.0, 0.0, 0.0225))
    palm = f'<geometry><mesh filename="package://my_hand/meshes/palm{suffix}"/></geometry>'
    phalanx = f'<geometry><mesh filename="meshes/phalanx{suffix}"/></geometry>'
    tip = '<origin xyz="0 0 0.012"/><geometry><sphere radius="0.009"/></geometry>'
    parts = [_link("palm-link", palm, "0.4", "0 0 -0.045")]
    for name, y in _FINGERS.items():
        parts += [
            _link(f"{name}_1", phalanx),
            _link(f"{name}_2", phalanx, "0.03"),
            _link(f"{name}_cap", tip, "0.01", "0 0 0.01"),
            _joint(f"{name}.mcp", "palm-link", f"{name}_1", f"0 {y} 0"),
            _joint(
                f"{name}.pip", f"{name}_1", f"{name}_2", "0 0 0.047",
                extra=f'<mimic joint="{name}.mcp" multiplier="0.8" offset="0.1"/>',
                limit='<limit lower="0" upper="1.7" effort="1.5" velocity="3"/>',
            ),
            _joint(f"{name}_fix", f"{name}_2", f"{name}_cap", "0 0 0.045", kind="fixed", limit=""),
        ]  # fmt: skip
    parts += [
        _link("thumb_1", phalanx),
        _link("thumb_2", phalanx, "0.03"),
        _joint("thumb.turn", "palm-link", "thumb_1", "0.014 0.035 -0.06", axis="1 0 0", rpy="0 1.2 0",
               limit='<limit lower="-0.4" upper="0.9" effort="1.5" velocity="3"/>'),
        _joint("thumb.bend", "thumb_1", "thumb_2", "0 0 0.047", axis="0 -1 0"),
    ]  # fmt: skip
    path = folder / "my_hand.urdf"
    path.write_text(f'<robot name="my_hand">{"".join(parts)}{body}\n</robot>\n')
    return path


def write_mjcf_gripper(folder: Path, *, extra: str = "", coupling: str | None = None) -> Path:
    """A two-finger gripper: slides that close along y, the right one coupled; each finger has a pad on a hinge.

    The hinges sit away from their bodies' origins, and one body carries two joints.
    """
    solid = trimesh.creation.box((0.02, 0.012, 0.05))
    (folder / "assets").mkdir(exist_ok=True)
    solid.export(folder / "assets" / "finger.stl")
    if coupling is None:
        coupling = (
            '<joint joint1="right_slide" joint2="left_slide"/>'
            '<tendon tendon1="tilts" polycoef="0.02 0 0 0 0"/>'
        )
    fingers = ""
    for name, sign in (("left", 1), ("right", -1)):
        both = '<joint name="left_twist" type="hinge" axis="0 0 1" range="-0.2 0.2"/>' if sign > 0 else ""
        fingers += f"""
      <body name="{name}_finger" pos="0 {0.01 * sign} 0.06" quat="0.9689124 0 0 {0.2474040 * sign}">
        <joint name="{name}_slide" type="slide" axis="{0.4794255} {0.8775826 * sign} 0" range="0 0.04" damping="0.5"/>
        <geom type="mesh" mesh="finger" pos="0 {0.01 * sign} 0.02" mass="0.05"/>
        <body name="{name}_pad" pos="0 0 0.05">
          {both}
          <joint name="{name}_tilt" type="hinge" axis="1 0 0" pos="0 0 -0.01" range="-0.3 0.3" frictionloss="0.02"/>
          <geom type="box" size="0.01 0.004 0.015" pos="0 {0.002 * sign} 0.01" mass="0.02"/>
        </body>
      </body>"""
    path = folder / "gripper.xml"
    path.write_text(f"""<mujoco model="gripper">
  <compiler angle="radian" meshdir="assets" autolimits="true"/>
  <asset><mesh name="finger" file="finger.stl"/></asset>
  <worldbody>
    <geom name="floor" type="plane" size="1 1 0.1" pos="0 0 -1"/>
    <body name="base" pos="0 0 0.3">
      <freejoint/>
      <geom type="box" size="0.03 0.05 0.03" mass="0.5"/>{fingers}
    </body>{extra}
  </worldbody>
  <tendon><fixed name="tilts"><joint joint="left_tilt" coef="1"/><joint joint="right_tilt" coef="2"/></fixed></tendon>
  <equality>{coupling}</equality>
  <actuator>
    <position name="grip" joint="left_slide" kp="300" kv="5" forcerange="-30 30"/>
    <position name="tilt" joint="left_tilt" kp="2" forcerange="-0.4 0.4"/>
  </actuator>
</mujoco>
""")
    return path


def arm_links(palm: str, *, mesh: str = "") -> str:
    """An arm of three joints that carries a palm, and what it stands on; ``mesh`` is the file of its base."""
    box = '<geometry><box size="0.08 0.08 0.4"/></geometry>'
    base = f'<geometry><mesh filename="{mesh}"/></geometry>' if mesh else box
    turn = '<limit lower="-3" upper="3" effort="50" velocity="2"/>'
    return "".join(
        [
            _link("arm_base", base, "3"),
            _link("upper", box, "2"),
            _link("lower", box, "2"),
            _link("flange", '<geometry><cylinder radius="0.03" length="0.02"/></geometry>', "0.2"),
            _joint("a1", "arm_base", "upper", "0 0 0.1", axis="0 0 1", limit=turn),
            _joint("a2", "upper", "lower", "0 0 0.4", limit=turn),
            _joint("a3", "lower", "flange", "0 0 0.4", axis="0 0 1", limit=turn),
            _joint("mount", "flange", palm, "0 0 0.02", kind="fixed", limit=""),
        ]
    )


def base_joints(palm: str) -> str:
    """Three slides and three hinges that place a palm in space."""
    travel = '<limit lower="-1" upper="1" effort="100" velocity="1"/>'
    links = ["base", "v1", "v2", "v3", "v4", "v5", palm]
    text = "".join(f'<link name="{name}"/>' for name in links[:-1])
    for number, axis in enumerate(("1 0 0", "0 1 0", "0 0 1") * 2):
        kind = "prismatic" if number < 3 else "revolute"
        above, below = links[number], links[number + 1]
        text += _joint(f"v{number}", above, below, "0 0 0", axis=axis, kind=kind, limit=travel)
    return text


Triple = tuple[float, float, float]


def box_link(name: str, size: Triple, center: Triple, mass: float) -> str:
    """A link that is one box."""
    x, y, z = center
    geometry = f'<origin xyz="{x} {y} {z}"/><geometry><box size="{size[0]} {size[1]} {size[2]}"/></geometry>'
    return _link(name, geometry, str(mass), f"{x} {y} {z}")


def box_chain(
    name: str, parent: str, xyz: str, *, rpy: str = "0 0 0", axes: tuple[str, ...] = ("0 1 0",) * 3,
    lengths: tuple[float, ...] = (0.045, 0.03, 0.026), effort: float = 1.0,
) -> str:  # fmt: skip
    """A finger of boxes along z: links ``NAME_1`` and on, joints ``NAME_j1`` and on, bending about ``axes``."""
    text, place, above = "", xyz, parent
    for number, (axis, length) in enumerate(zip(axes, lengths, strict=True), start=1):
        link = f"{name}_{number}"
        width = 0.02 if length < 0.02 else 0.016
        text += box_link(link, (width, width, length), (0, 0, 0.5 * length), 0.02)
        text += _joint(
            f"{name}_j{number}", above, link, place, axis=axis, rpy=rpy,
            limit=f'<limit lower="0" upper="1.5" effort="{effort}" velocity="3"/>',
        )  # fmt: skip
        above, place, rpy = link, f"0 0 {length + 0.001}", "0 0 0"
    return text


def write_boxes(folder: Path, body: str, name: str = "boxes") -> Path:
    """A URDF of the given links and joints."""
    path = folder / f"{name}.urdf"
    path.write_text(f'<robot name="{name}">{body}\n</robot>\n')
    return path
