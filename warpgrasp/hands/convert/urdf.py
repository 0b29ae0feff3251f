"""Read a URDF file into a :class:`~warpgrasp.hands.convert.source.SourceHand`.

Understood: links with inertial, collision and visual elements (mesh, box, sphere, cylinder, capsule), fixed, revolute,
prismatic and limited continuous joints, ``<mimic>``, ``<dynamics>``. Other elements (transmissions, Gazebo) do not matter here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from warpgrasp.geometry.rotations import rotate, rpy_to_quaternion
from warpgrasp.geometry.shapes import TriMesh
from warpgrasp.hands.convert.mesh_files import box_piece, capsule_piece, cylinder_piece, find_mesh, read_mesh
from warpgrasp.hands.convert.source import SourceGeometry, SourceHand, SourceJoint, SourceLink, SourceMimic

__all__ = ["read_urdf"]

FloatArray = NDArray[np.float64]
Element = ElementTree.Element

_KINDS = {"fixed": "fixed", "revolute": "revolute", "continuous": "revolute", "prismatic": "prismatic"}

_PREFIX = re.compile(r"<(/?)(\w+):")  # tools leave prefixes (drake:, gazebo:) without declaring them


def read_urdf(path: Path, *, mesh_scale: float = 1.0, visual: bool = False) -> SourceHand:
    """Read a URDF.

    Args:
        path: The file; relative mesh paths start from its folder.
        mesh_scale: Factor on mesh files, besides the scale they state.
        visual: Take the visual geometry of links that have both; the other is not opened.

    Raises:
        ValueError: The file is no URDF, or it holds what cannot be converted; the message names the link or joint.
    """
    try:
        robot = ElementTree.fromstring(_PREFIX.sub(r"<\1\2_", path.read_text(encoding="utf-8-sig")))
    except (ElementTree.ParseError, UnicodeDecodeError) as error:
        raise ValueError(
            f"'{path}' is no XML that can be read ({error}); expand xacro files first (xacro in > out)"
        ) from error
    if robot.tag != "robot":
        raise ValueError(f"'{path}' is no URDF: its root element is <{robot.tag}>, not <robot>")
    if any(element.tag.startswith("xacro_") for element in robot.iter()):
        raise ValueError(f"'{path}' still holds xacro macros; expand it first: xacro {path.name} > hand.urdf")
    notes: list[str] = []
    links = tuple(_link(element, path.parent, mesh_scale, visual) for element in robot.findall("link"))
    if not links:
        raise ValueError(f"'{path}' has no links; convert the expanded URDF of the hand")
    joints = tuple(_joint(element, notes) for element in robot.findall("joint"))
    return SourceHand(robot.get("name") or path.stem, path, links, joints, tuple(notes))


def _link(element: Element, folder: Path, mesh_scale: float, visual: bool) -> SourceLink:
    name = _name(element, "link")
    mass, center, inertia = _inertial(element, name)
    kinds = ("visual", "collision") if visual else ("collision", "visual")
    pieces = next((found for found in map(element.findall, kinds) if found), [])
    return SourceLink(
        name=name,
        mass=mass,
        center_of_mass=center,
        inertia=inertia,
        geometry=tuple(_geometries(pieces, name, folder, mesh_scale)),
    )


def _inertial(link: Element, name: str) -> tuple[float | None, FloatArray, FloatArray | None]:
    inertial = link.find("inertial")
    if inertial is None:
        return None, np.zeros(3), None
    position, turn = _origin(inertial, f"link '{name}'")
    mass_element = inertial.find("mass")
    mass = None if mass_element is None else _numbers(mass_element, "value", 1, f"link '{name}'")[0]
    tensor_element = inertial.find("inertia")
    if tensor_element is None:
        return mass, position, None
    value = {key: float(tensor_element.get(key, "0")) for key in ("ixx", "ixy", "ixz", "iyy", "iyz", "izz")}
    local = np.array(
        [
            [value["ixx"], value["ixy"], value["ixz"]],
            [value["ixy"], value["iyy"], value["iyz"]],
            [value["ixz"], value["iyz"], value["izz"]],
        ]
    )
    matrix = rotate(turn, np.eye(3)).T
    return mass, position, matrix @ local @ matrix.T if np.any(local) else None


def _geometries(
    elements: Iterable[Element], link: str, folder: Path, mesh_scale: float
) -> Iterable[SourceGeometry]:
    owner = f"link '{link}'"
    for element in elements:
        position, turn = _origin(element, owner)
        geometry = element.find("geometry")
        shape = None if geometry is None else next(iter(geometry), None)
        if shape is None:
            raise ValueError(f"{owner} has a <{element.tag}> without geometry; add it or remove the element")
        if shape.tag == "mesh":
            reference = shape.get("filename") or ""
            mesh = read_mesh(find_mesh(reference, folder, owner), owner)
            factor = _numbers(shape, "scale", 3, owner) if shape.get("scale") else np.ones(3)
            faces = mesh.faces if np.prod(factor) > 0.0 else mesh.faces[:, ::-1]
            vertices = position + rotate(turn, mesh_scale * factor * mesh.vertices)
            yield SourceGeometry(Path(reference).name, TriMesh(vertices, faces))
        elif shape.tag == "box":
            yield box_piece(_numbers(shape, "size", 3, owner), position, turn)
        elif shape.tag == "sphere":
            yield capsule_piece(float(_numbers(shape, "radius", 1, owner)[0]), 0.0, position, turn)
        elif shape.tag in ("cylinder", "capsule"):
            make = cylinder_piece if shape.tag == "cylinder" else capsule_piece
            radius, length = (float(_numbers(shape, key, 1, owner)[0]) for key in ("radius", "length"))
            yield make(radius, 0.5 * length, position, turn)
        else:
            raise ValueError(
                f"{owner} has geometry <{shape.tag}>, which is not supported; use mesh, box, sphere, cylinder or capsule"
            )


def _joint(element: Element, notes: list[str]) -> SourceJoint:
    name = _name(element, "joint")
    owner = f"joint '{name}'"
    stated = element.get("type") or "none"
    if stated not in _KINDS:
        raise ValueError(
            f"{owner} is of type '{stated}', which is not supported; use revolute, prismatic or fixed joints"
            + (" (a hand's root is free by itself: remove the joint)" if stated == "floating" else "")
        )
    kind = _KINDS[stated]
    position, turn = _origin(element, owner)
    parent, child = element.find("parent"), element.find("child")
    if parent is None or child is None:
        raise ValueError(f"{owner} lacks <parent> or <child>; add it")
    axis_element = element.find("axis")
    axis = np.array([1.0, 0.0, 0.0]) if axis_element is None else _numbers(axis_element, "xyz", 3, owner)
    length = float(np.linalg.norm(axis))
    if kind != "fixed" and length < 1e-9:
        raise ValueError(f"{owner} has the axis (0, 0, 0); write the direction about which it turns")
    limit = element.find("limit")
    lower, upper, effort, velocity = math.nan, math.nan, None, None
    if limit is not None:
        effort, velocity = _positive(limit.get("effort")), _positive(limit.get("velocity"))
        if (
            limit.get("lower") is not None or limit.get("upper") is not None
        ):  # a missing one is 0 by the standard
            lower, upper = float(limit.get("lower", "0")), float(limit.get("upper", "0"))
    if stated == "continuous" and math.isfinite(lower):
        notes.append(f"Joint '{name}' is continuous but states limits; they are used.")
    dynamics = element.find("dynamics")
    return SourceJoint(
        name=name,
        kind=kind,
        parent=parent.get("link") or "",
        child=child.get("link") or "",
        position=position,
        quaternion=turn,
        axis=axis / max(length, 1e-9),
        lower=lower,
        upper=upper,
        effort=effort,
        velocity=velocity,
        damping=None if dynamics is None else _positive(dynamics.get("damping")),
        friction=None if dynamics is None else _positive(dynamics.get("friction")),
        mimic=_mimic(element.find("mimic"), name),
    )


def _mimic(element: Element | None, joint: str) -> SourceMimic | None:
    if element is None:
        return None
    leader = element.get("joint")
    if not leader:
        raise ValueError(f"joint '{joint}' has <mimic> without the name of a joint; add joint=\"...\"")
    if leader == joint:
        raise ValueError(f"joint '{joint}' mimics itself; name the joint it follows")
    multiplier, offset = (
        float(element.get(key) or default) for key, default in (("multiplier", "1"), ("offset", "0"))
    )
    return SourceMimic(leader, multiplier, offset)


def _origin(element: Element, owner: str) -> tuple[FloatArray, FloatArray]:
    origin = element.find("origin")
    if origin is None:
        return np.zeros(3), rpy_to_quaternion((0.0, 0.0, 0.0))
    position = _numbers(origin, "xyz", 3, owner) if origin.get("xyz") else np.zeros(3)
    rpy = _numbers(origin, "rpy", 3, owner) if origin.get("rpy") else np.zeros(3)
    return position, rpy_to_quaternion((float(rpy[0]), float(rpy[1]), float(rpy[2])))


def _numbers(element: Element, key: str, count: int, owner: str) -> FloatArray:
    text = element.get(key) or ""
    try:
        values = np.array([float(word) for word in text.split()], dtype=np.float64)
    except ValueError:
        values = np.zeros(0)
    if len(values) != count or not np.isfinite(values).all():
        raise ValueError(
            f'{owner} has <{element.tag} {key}="{text}">; write {count} number{"s" if count > 1 else ""}'
        )
    return values


def _positive(text: str | None) -> float | None:
    value = float(text) if text else 0.0
    return value if value > 0.0 and math.isfinite(value) else None


def _name(element: Element, kind: str) -> str:
    name = element.get("name")
    if not name:
        raise ValueError(f"a <{kind}> has no name; give it one")
    return name
