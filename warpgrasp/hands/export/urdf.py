"""Write a hand as URDF: links with inertia and collision geometry, joints with limits, ``<mimic>``."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from warpgrasp.geometry.rotations import IDENTITY_QUATERNION, compose, invert, quaternion_to_rpy, rotate
from warpgrasp.hands.export.meshes import vendor_link_names, write_pieces
from warpgrasp.hands.model import GeometryType, HandModel, JointType

__all__ = ["urdf_text", "write_urdf"]

FloatArray = NDArray[np.float64]
Element = ElementTree.Element

_ANCHOR_TOLERANCE = 1e-9  # m


def write_urdf(hand: HandModel, folder: Path) -> Path:
    """Write ``<name>.urdf`` and ``meshes/<name>/*.obj`` into an existing folder; returns the URDF's path.

    URDF knows no capsules, drives or frames off the joint: capsules become meshes, a joint that does not sit at its
    child's origin gets a massless-looking link between, and gains stay in the USD and MJCF exports.
    """
    meshes = write_pieces(hand, folder, every=True)
    path = folder / f"{hand.name}.urdf"
    path.write_text(urdf_text(hand, meshes), encoding="utf-8")
    return path


def urdf_text(hand: HandModel, meshes: dict[int, str]) -> str:
    """The URDF document; ``meshes`` holds files of geometries, relative to the document."""
    robot = Element("robot", name=hand.name)
    names = vendor_link_names(hand)
    for link, name in enumerate(names):
        element = ElementTree.SubElement(robot, "link", name=name)
        _inertial(hand, link, element)
        for geometry in np.flatnonzero(hand.geometry_link == link):
            for tag in ("visual", "collision"):
                _geometry(hand, int(geometry), ElementTree.SubElement(element, tag), meshes)
    for link in range(1, hand.link_count):
        _joint(hand, link, names, robot)
    rows = [("wrist", 0, hand.wrist_position, hand.wrist_quaternion)]
    rows += [(frame.name, frame.link, frame.position, frame.quaternion) for frame in hand.frames]
    for frame, link, position, quaternion in rows:
        frame_name = frame if frame not in names else f"{frame}_frame"
        ElementTree.SubElement(robot, "link", name=frame_name)
        joint = ElementTree.SubElement(robot, "joint", name=f"{frame_name}_joint", type="fixed")
        _origin(joint, position, quaternion)
        ElementTree.SubElement(joint, "parent", link=names[link])
        ElementTree.SubElement(joint, "child", link=frame_name)
    ElementTree.indent(robot)
    return '<?xml version="1.0"?>\n' + ElementTree.tostring(robot, encoding="unicode") + "\n"


def _inertial(hand: HandModel, link: int, element: Element) -> None:
    inertial = ElementTree.SubElement(element, "inertial")
    _origin(inertial, hand.link_center_of_mass[link], np.array(IDENTITY_QUATERNION))
    ElementTree.SubElement(inertial, "mass", value=_text([hand.link_mass[link]]))
    tensor = hand.link_inertia[link]
    pairs = {"ixx": (0, 0), "ixy": (0, 1), "ixz": (0, 2), "iyy": (1, 1), "iyz": (1, 2), "izz": (2, 2)}
    ElementTree.SubElement(inertial, "inertia", {key: _text([tensor[at]]) for key, at in pairs.items()})


def _geometry(hand: HandModel, index: int, element: Element, meshes: dict[int, str]) -> None:
    geometry = ElementTree.Element("geometry")
    if index in meshes:  # in the link frame
        ElementTree.SubElement(geometry, "mesh", filename=meshes[index])
    else:
        _origin(element, hand.geometry_position[index], hand.geometry_quaternion[index])
        size = hand.geometry_size[index]
        if hand.geometry_type[index] == GeometryType.BOX:
            ElementTree.SubElement(geometry, "box", size=_text(2.0 * size))
        else:
            ElementTree.SubElement(geometry, "sphere", radius=_text(size[:1]))
    element.append(geometry)


def _joint(hand: HandModel, link: int, names: tuple[str, ...], robot: Element) -> None:
    """Joint from parent to child; URDF wants the joint at the child's origin, so an offset goes into a link between."""
    kind = JointType(int(hand.joint_type[link]))
    parent, child = names[int(hand.link_parent[link])], names[link]
    near = hand.joint_parent_position[link], hand.joint_parent_quaternion[link]
    back = invert(hand.joint_child_position[link], hand.joint_child_quaternion[link])
    name = hand.link_joint_names[link]
    if kind == JointType.FIXED:
        _plain_joint(robot, name, "fixed", parent, child, *compose(*near, *back))
        return
    # the joint frame turned to the child's axes; what remains of the child frame is an offset
    position, quaternion = compose(*near, np.zeros(3), back[1])
    axis = rotate(hand.joint_child_quaternion[link], hand.joint_axis[link])
    offset = hand.joint_child_position[link]
    moved = child
    if np.linalg.norm(offset) > _ANCHOR_TOLERANCE:
        moved = f"{name}_anchor"
        anchor = ElementTree.SubElement(robot, "link", name=moved)
        inertial = ElementTree.SubElement(anchor, "inertial")
        ElementTree.SubElement(inertial, "mass", value="1e-6")
        tiny = {
            key: "1e-12" if key[1] == key[2] else "0" for key in ("ixx", "ixy", "ixz", "iyy", "iyz", "izz")
        }
        ElementTree.SubElement(inertial, "inertia", tiny)
        _plain_joint(robot, f"{name}_offset", "fixed", moved, child, -offset, np.array(IDENTITY_QUATERNION))
    kind_name = "prismatic" if kind == JointType.PRISMATIC else "revolute"
    joint = _plain_joint(robot, name, kind_name, parent, moved, position, quaternion)
    ElementTree.SubElement(joint, "axis", xyz=_text(axis))
    dof = int(hand.joint_dof[link])
    ends = hand.joint_multiplier[link] * np.array([hand.dof_lower[dof], hand.dof_upper[dof]])
    lower, upper = np.sort(ends + hand.joint_offset[link])
    ElementTree.SubElement(
        joint,
        "limit",
        lower=_text([lower]),
        upper=_text([upper]),
        effort=_text([_finite(hand.dof_effort[dof])]),
        velocity=_text([_finite(hand.dof_velocity[dof])]),
    )
    if name == hand.joint_names[dof]:
        ElementTree.SubElement(joint, "dynamics", damping="0", friction=_text([hand.dof_friction[dof]]))
    else:
        ElementTree.SubElement(
            joint,
            "mimic",
            joint=hand.joint_names[dof],
            multiplier=_text([hand.joint_multiplier[link]]),
            offset=_text([hand.joint_offset[link]]),
        )


def _plain_joint(
    robot: Element,
    name: str,
    kind: str,
    parent: str,
    child: str,
    position: FloatArray,
    quaternion: FloatArray,
) -> Element:
    joint = ElementTree.SubElement(robot, "joint", name=name, type=kind)
    _origin(joint, position, quaternion)
    ElementTree.SubElement(joint, "parent", link=parent)
    ElementTree.SubElement(joint, "child", link=child)
    return joint


def _origin(element: Element, position: FloatArray, quaternion: FloatArray) -> None:
    ElementTree.SubElement(element, "origin", xyz=_text(position), rpy=_text(quaternion_to_rpy(quaternion)))


def _finite(value: float) -> float:
    return float(value) if np.isfinite(value) else 1000.0


def _text(values: object) -> str:
    return " ".join(f"{float(v):.10g}" for v in np.asarray(values).reshape(-1))
