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
from warpgrasp.hands.convert.find_hand import check_one_hand
from warpgrasp.hands.convert.mesh_files import box_piece, capsule_piece, cylinder_piece, find_mesh, read_mesh
from warpgrasp.hands.convert.solid import surface_kinds
from warpgrasp.hands.convert.source import (
    ReadOptions,
    SourceGeometry,
    SourceHand,
    SourceJoint,
    SourceLink,
    SourceMimic,
    check_budget,
)
from warpgrasp.hands.convert.tree import freed_followers, kept_links, sorted_tree

__all__ = ["read_urdf"]

FloatArray = NDArray[np.float64]
Element = ElementTree.Element

_KINDS = {"fixed": "fixed", "revolute": "revolute", "continuous": "revolute", "prismatic": "prismatic"}

_LARGEST_FILE = 20_000_000  # bytes
_PREFIX = re.compile(r"<(/?)(\w+):")  # tools leave prefixes (drake:, gazebo:) without declaring them


def read_urdf(path: Path, options: ReadOptions) -> SourceHand:
    """Read a URDF; relative mesh paths start from its folder. What lies outside ``options.root`` is not looked at.

    Raises:
        ValueError: The file is no URDF, holds more than one hand, or what cannot be converted; the message names the
            link or joint.
    """
    robot = _parse(path)
    elements = {kind: robot.findall(kind) for kind in ("link", "joint")}
    if not elements["link"]:
        raise ValueError(f"'{path}' has no links; convert the expanded URDF of the hand")
    check_budget(path, len(elements["link"]), len(elements["joint"]))
    all_joints = {element.get("name") or "" for element in elements["joint"]}
    if options.root:
        names = [element.get("name") or "" for element in elements["link"]]
        kept = kept_links([_ends(joint) for joint in elements["joint"]], names, options.root)
        elements["link"] = [element for element in elements["link"] if element.get("name") in kept]
        elements["joint"] = [element for element in elements["joint"] if _ends(element)[0] in kept]
    notes: list[str] = []
    joints = tuple(
        freed_followers([_joint(e, notes) for e in elements["joint"]], all_joints, options.root, notes)
    )
    bare = tuple(SourceLink(_name(element, "link")) for element in elements["link"])
    name = robot.get("name") or path.stem
    has = {
        link.name: (bool(e.findall("collision")), bool(e.findall("visual")))
        for link, e in zip(bare, elements["link"], strict=True)
    }
    skeleton = sorted_tree(SourceHand(name, path, bare, joints))
    if not options.root:
        check_one_hand(skeleton, {link for link, kinds in has.items() if any(kinds)})
    kinds = surface_kinds(has, joints, visual=options.visual, ignore=options.ignore, notes=notes)
    links = tuple(_link(element, kinds, path.parent, options) for element in elements["link"])
    return SourceHand(name, path, links, joints, tuple(notes))


def _parse(path: Path) -> Element:
    if path.stat().st_size > _LARGEST_FILE:
        raise ValueError(
            f"'{path}' has {path.stat().st_size / 1e6:.0f} MB; a URDF of a hand has less than one: give the description"
        )
    try:
        robot = ElementTree.fromstring(_PREFIX.sub(r"<\1\2_", path.read_text(encoding="utf-8-sig")))
    except (ElementTree.ParseError, UnicodeDecodeError) as error:
        raise ValueError(
            f"'{path}' is no XML that can be read ({error}); expand xacro files first (xacro in > out)"
        ) from error
    if robot.tag != "robot":
        raise ValueError(f"'{path}' is no URDF: its root element is <{robot.tag}>, not <robot>")
    if any(str(element.tag).startswith("xacro_") for element in robot.iter()):
        raise ValueError(f"'{path}' still holds xacro macros; expand it first: xacro {path.name} > hand.urdf")
    return robot


def _ends(joint: Element) -> tuple[str, str]:
    """Names of a joint's links, empty where the file does not give them."""
    parent, child = joint.find("parent"), joint.find("child")
    return (
        "" if parent is None else parent.get("link") or "",
        "" if child is None else child.get("link") or "",
    )


def _link(element: Element, kinds: dict[str, str], folder: Path, options: ReadOptions) -> SourceLink:
    name = _name(element, "link")
    mass, center, inertia = _inertial(element, name)
    pieces = element.findall(kinds[name]) if kinds[name] else []
    return SourceLink(
        name=name,
        mass=mass,
        center_of_mass=center,
        inertia=inertia,
        geometry=tuple(_geometries(pieces, name, folder, options)),
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
    elements: Iterable[Element], link: str, folder: Path, options: ReadOptions
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
            mesh = read_mesh(find_mesh(reference, folder, owner, options.package_path), owner)
            factor = _numbers(shape, "scale", 3, owner) if shape.get("scale") else np.ones(3)
            faces = mesh.faces if np.prod(factor) > 0.0 else mesh.faces[:, ::-1]
            vertices = position + rotate(turn, options.mesh_scale * factor * mesh.vertices)
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
        free = f" (a hand's root is free by itself: remove the joint or give --root {_ends(element)[1]})"
        raise ValueError(
            f"{owner} is of type '{stated}', which is not supported; use revolute, prismatic or fixed joints"
            + (free if stated == "floating" else "")
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
