"""Write a hand as MJCF: bodies, inertia, collision geometry, coupled joints, position actuators."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from warpgrasp.geometry.rotations import compose, invert, quaternion_to_wxyz, rotate
from warpgrasp.hands.export.meshes import vendor_link_names, write_pieces
from warpgrasp.hands.model import GeometryType, HandModel, JointType

__all__ = ["mjcf_text", "write_mjcf"]

FloatArray = NDArray[np.float64]
Element = ElementTree.Element


def write_mjcf(hand: HandModel, folder: Path, *, floating: bool = False) -> Path:
    """Write ``<name>.xml`` and ``meshes/<name>/*.obj``.

    Args:
        hand: The hand.
        folder: Existing output folder.
        floating: Give the root a free joint; else it is fixed to the world.

    Returns:
        Path of the MJCF file.
    """
    meshes = write_pieces(hand, folder)
    path = folder / f"{hand.name}.xml"
    path.write_text(mjcf_text(hand, meshes, floating=floating), encoding="utf-8")
    return path


def mjcf_text(hand: HandModel, meshes: dict[int, str], *, floating: bool = False) -> str:
    """The MJCF document; ``meshes`` holds the file of each convex geometry, relative to the document."""
    root = Element("mujoco", model=hand.name)
    ElementTree.SubElement(root, "compiler", angle="radian", autolimits="true", balanceinertia="true")
    defaults = ElementTree.SubElement(root, "default")
    ElementTree.SubElement(defaults, "geom", density="0", condim="4", friction="1 0.02 0.0001")
    if meshes:
        asset = ElementTree.SubElement(root, "asset")
        for geometry, file in meshes.items():
            ElementTree.SubElement(asset, "mesh", name=f"piece_{geometry}", file=file)
    # MuJoCo keeps the name `world` for itself
    names = tuple(f"{n}_link" if n == "world" else n for n in vendor_link_names(hand))
    world = ElementTree.SubElement(root, "worldbody")
    bodies: dict[int, Element] = {}
    for link in range(hand.link_count):
        parent = world if link == 0 else bodies[int(hand.link_parent[link])]
        bodies[link] = _body(hand, link, names[link], parent)
        if link == 0 and floating:
            ElementTree.SubElement(bodies[0], "freejoint", name="root")
        if link > 0 and hand.joint_type[link] != JointType.FIXED:
            _joint(hand, link, bodies[link])
        _geometries(hand, link, bodies[link], meshes)
    _frames(hand, bodies)
    _contacts(hand, root, names)
    _couplings(hand, root)
    _actuators(hand, root)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _body(hand: HandModel, link: int, name: str, parent: Element) -> Element:
    """A body at its pose for joint values of zero."""
    body = ElementTree.SubElement(parent, "body", name=name)
    if link > 0:
        position, quaternion = compose(
            hand.joint_parent_position[link],
            hand.joint_parent_quaternion[link],
            *invert(hand.joint_child_position[link], hand.joint_child_quaternion[link]),
        )
        body.set("pos", _text(position))
        body.set("quat", _wxyz(quaternion))
    inertia = hand.link_inertia[link]
    ElementTree.SubElement(
        body,
        "inertial",
        mass=_text([hand.link_mass[link]]),
        pos=_text(hand.link_center_of_mass[link]),
        fullinertia=_text([inertia[i, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]),
    )
    return body


def _joint(hand: HandModel, link: int, body: Element) -> None:
    """The joint in the child's frame; a follower has its leader's limits through the coupling."""
    dof = int(hand.joint_dof[link])
    ends = hand.joint_multiplier[link] * np.array([hand.dof_lower[dof], hand.dof_upper[dof]])
    ends += hand.joint_offset[link]
    joint = ElementTree.SubElement(
        body,
        "joint",
        name=hand.link_joint_names[link],
        type="slide" if hand.joint_type[link] == JointType.PRISMATIC else "hinge",
        pos=_text(hand.joint_child_position[link]),
        axis=_text(rotate(hand.joint_child_quaternion[link], hand.joint_axis[link])),
        range=_text(np.sort(ends)),
    )
    if hand.link_joint_names[link] == hand.joint_names[dof]:
        joint.set("armature", _text([hand.dof_armature[dof]]))
        joint.set("frictionloss", _text([hand.dof_friction[dof]]))


def _geometries(hand: HandModel, link: int, body: Element, meshes: dict[int, str]) -> None:
    for geometry in np.flatnonzero(hand.geometry_link == link):
        index = int(geometry)
        kind = GeometryType(int(hand.geometry_type[index]))
        element = ElementTree.SubElement(body, "geom", name=f"geometry_{index}")
        if kind == GeometryType.CONVEX:  # the mesh file is in the link frame
            element.set("type", "mesh")
            element.set("mesh", f"piece_{index}")
            continue
        size = hand.geometry_size[index]
        element.set("pos", _text(hand.geometry_position[index]))
        element.set("quat", _wxyz(hand.geometry_quaternion[index]))
        if kind == GeometryType.BOX:
            element.set("type", "box")
            element.set("size", _text(size))
        elif size[1] == 0.0:
            element.set("type", "sphere")
            element.set("size", _text(size[:1]))
        else:
            element.set("type", "capsule")
            element.set("size", _text(size[:2]))


def _frames(hand: HandModel, bodies: dict[int, Element]) -> None:
    """Named frames as sites; the wrist frame among them."""
    rows = [("wrist", 0, hand.wrist_position, hand.wrist_quaternion)]
    rows += [(frame.name, frame.link, frame.position, frame.quaternion) for frame in hand.frames]
    for name, link, position, quaternion in rows:
        ElementTree.SubElement(
            bodies[link], "site", name=name, pos=_text(position), quat=_wxyz(quaternion), size="0.002"
        )


def _contacts(hand: HandModel, root: Element, names: tuple[str, ...]) -> None:
    """Neighbouring links touch by construction: those that do at the opening pose do not collide."""
    position, quaternion = hand.forward_kinematics(np.zeros(3), (0.0, 0.0, 0.0, 1.0), hand.dof_opening)
    surface = []
    for link in range(hand.link_count):
        points = [s.mesh.vertices for s in hand.link_shapes(link)]
        points += [s.mesh.vertices[s.mesh.faces].mean(axis=1) for s in hand.link_shapes(link)]
        stacked = np.concatenate(points) if points else np.zeros((0, 3))
        surface.append(position[link] + rotate(quaternion[link], stacked))
    contact = ElementTree.SubElement(root, "contact")
    for a in range(hand.link_count):
        for b in range(a):
            near = hand.link_parent[a] == b or hand.link_parent[b] == a
            if near or _overlap(hand, a, b, surface, position, quaternion):
                ElementTree.SubElement(contact, "exclude", body1=names[b], body2=names[a])


def _overlap(
    hand: HandModel,
    a: int,
    b: int,
    surface: list[FloatArray],
    position: FloatArray,
    quaternion: FloatArray,
) -> bool:
    for inner, outer in ((a, b), (b, a)):
        points = surface[inner]
        if len(points) == 0 or not hand.link_shapes(outer):
            return False
        low, high = surface[outer].min(axis=0) - 1e-3, surface[outer].max(axis=0) + 1e-3
        points = points[np.all((points > low) & (points < high), axis=1)]
        if len(points) == 0:
            continue
        conjugate = quaternion[outer] * [-1.0, -1.0, -1.0, 1.0]
        local = rotate(conjugate, points - position[outer])
        if any(float(shape.signed_distance(local).min()) < 0.0 for shape in hand.link_shapes(outer)):
            return True
    return False


def _couplings(hand: HandModel, root: Element) -> None:
    rows = [
        (link, name)
        for link, name in enumerate(hand.link_joint_names)
        if name and hand.joint_dof[link] >= 0 and name not in hand.joint_names
    ]
    if not rows:
        return
    equality = ElementTree.SubElement(root, "equality")
    for link, name in rows:
        ElementTree.SubElement(
            equality,
            "joint",
            joint1=name,
            joint2=hand.joint_names[int(hand.joint_dof[link])],
            polycoef=_text([hand.joint_offset[link], hand.joint_multiplier[link], 0.0, 0.0, 0.0]),
        )


def _actuators(hand: HandModel, root: Element) -> None:
    actuator = ElementTree.SubElement(root, "actuator")
    for dof, name in enumerate(hand.joint_names):
        position = ElementTree.SubElement(
            actuator,
            "position",
            name=name,
            joint=name,
            kp=_text([hand.dof_stiffness[dof]]),
            kv=_text([hand.dof_damping[dof]]),
            ctrlrange=_text([hand.dof_lower[dof], hand.dof_upper[dof]]),
        )
        if np.isfinite(hand.dof_effort[dof]):
            position.set("forcerange", _text([-hand.dof_effort[dof], hand.dof_effort[dof]]))


def _text(values: object) -> str:
    return " ".join(f"{float(v):.10g}" for v in np.asarray(values).reshape(-1))


def _wxyz(quaternion: FloatArray) -> str:
    return _text(quaternion_to_wxyz(quaternion))
