"""Write a hand as MJCF: bodies, inertia, collision geometry, coupled joints, position actuators.

The model comes from :mod:`warpgrasp.hands.mujoco_spec`. Its text is written here and not by ``MjSpec.to_xml``, which keeps
six digits, turns kp and kv into the parameters of a general actuator and leaves ``balanceinertia`` out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import ArrayLike

from warpgrasp.base.extras import install_extra
from warpgrasp.geometry.rotations import quaternion_to_wxyz
from warpgrasp.hands.export.meshes import vendor_link_names, write_pieces
from warpgrasp.hands.joint_drives import asset_drives
from warpgrasp.hands.model import HandModel
from warpgrasp.hands.mujoco_spec import HandOptions, add_exclusions, add_hand, neighbouring_links

__all__ = ["hand_spec", "mjcf_text", "write_mjcf"]

Element = ElementTree.Element

_FRICTION = (1.0, 0.02, 0.0001)
_SITE_RADIUS = 0.002  # m; as large as frames are drawn


def write_mjcf(hand: HandModel, folder: Path, *, floating: bool = False) -> Path:
    """Write ``<name>.xml`` and ``meshes/<name>/*.obj``.

    Args:
        hand: The hand.
        folder: Existing output folder.
        floating: Give the root a free joint; else it is fixed to the world.

    Returns:
        Path of the MJCF file.

    Raises:
        ImportError: MuJoCo is not installed; the message names the extra.
    """
    _import_mujoco()  # before there are files
    meshes = write_pieces(hand, folder)
    path = folder / f"{hand.name}.xml"
    path.write_text(mjcf_text(hand, meshes, floating=floating), encoding="utf-8")
    return path


def mjcf_text(hand: HandModel, meshes: Mapping[int, str], *, floating: bool = False) -> str:
    """The MJCF document; ``meshes`` holds the file of each convex geometry, relative to the document."""
    root = _document(_import_mujoco(), hand_spec(hand, meshes, floating=floating))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def hand_spec(hand: HandModel, meshes: Mapping[int, str], *, floating: bool = False) -> Any:
    """The hand as ``mujoco.MjSpec``, with the drives of its asset and the vendor's names; frames are sites.

    Args:
        hand: The hand.
        meshes: File of each convex geometry, in the link frame.
        floating: Give the root a free joint; else it is fixed to the world.

    Raises:
        ImportError: MuJoCo is not installed; the message names the extra.
    """
    mujoco = _import_mujoco()
    spec = mujoco.MjSpec()
    spec.modelname = hand.name
    spec.compiler.degree = False
    spec.compiler.balanceinertia = True
    spec.default.geom.density = 0.0
    spec.default.geom.condim = 4
    spec.default.geom.friction = _FRICTION
    # MuJoCo keeps the name `world` for itself
    names = [f"{n}_link" if n == "world" else n for n in vendor_link_names(hand)]
    root = spec.worldbody.add_body(name=names[0])
    if floating:
        root.add_freejoint(name="root")
    options = HandOptions(
        drives=asset_drives(hand),
        link_names=names,
        joint_names=hand.link_joint_names,
        mesh_files=meshes,
    )
    bodies = add_hand(mujoco, spec, root, hand, options)
    add_exclusions(spec, bodies, neighbouring_links(hand))
    frames = [("wrist", 0, hand.wrist_position, hand.wrist_quaternion)]
    frames += [(frame.name, frame.link, frame.position, frame.quaternion) for frame in hand.frames]
    for name, link, position, quaternion in frames:
        site = bodies[link].add_site(name=name, pos=position, quat=quaternion_to_wxyz(quaternion))
        site.size[0] = _SITE_RADIUS
    return spec


def _import_mujoco() -> Any:
    try:
        import mujoco
    except ImportError as error:
        raise ImportError(f"Writing MJCF needs mujoco; {install_extra('sim')}") from error
    return mujoco


def _document(mujoco: Any, spec: Any) -> Element:
    """The specification as XML, for what :func:`hand_spec` puts into one."""
    root = Element("mujoco", model=spec.modelname)
    ElementTree.SubElement(root, "compiler", angle="radian", autolimits="true", balanceinertia="true")
    geom = spec.default.geom
    ElementTree.SubElement(
        ElementTree.SubElement(root, "default"),
        "geom",
        density=_text(geom.density),
        condim=_text(geom.condim),
        friction=_text(geom.friction),
    )
    asset = _section(root, "asset", spec.meshes)
    for mesh in spec.meshes:
        ElementTree.SubElement(asset, "mesh", name=mesh.name, file=mesh.file, inertia="convex")
    world = ElementTree.SubElement(root, "worldbody")
    for body in spec.worldbody.bodies:
        _body(mujoco, body, world)
    contact = _section(root, "contact", spec.excludes)
    for pair in spec.excludes:
        ElementTree.SubElement(contact, "exclude", body1=pair.bodyname1, body2=pair.bodyname2)
    equality = _section(root, "equality", spec.equalities)
    for coupling in spec.equalities:
        ElementTree.SubElement(
            equality,
            "joint",
            name=coupling.name,
            joint1=coupling.name1,
            joint2=coupling.name2,
            polycoef=_text(coupling.data[:5]),
        )
    actuators = _section(root, "actuator", spec.actuators)
    for actuator in spec.actuators:
        _actuator(mujoco, actuator, actuators)
    return root


def _body(mujoco: Any, body: Any, parent: Element) -> None:
    element = ElementTree.SubElement(parent, "body", name=body.name)
    _pose(element, body)
    ElementTree.SubElement(
        element,
        "inertial",
        mass=_text(body.mass),
        pos=_text(body.ipos),
        fullinertia=_text(body.fullinertia),
    )
    for joint in body.joints:
        _joint(mujoco, joint, element)
    for geom in body.geoms:
        _geometry(mujoco, geom, element)
    for site in body.sites:
        _pose(ElementTree.SubElement(element, "site", name=site.name, size=_text(site.size[0])), site)
    for child in body.bodies:
        _body(mujoco, child, element)


def _joint(mujoco: Any, joint: Any, body: Element) -> None:
    if joint.type == mujoco.mjtJoint.mjJNT_FREE:
        ElementTree.SubElement(body, "freejoint", name=joint.name)
        return
    element = ElementTree.SubElement(
        body,
        "joint",
        name=joint.name,
        type="slide" if joint.type == mujoco.mjtJoint.mjJNT_SLIDE else "hinge",
        pos=_text(joint.pos),
        axis=_text(joint.axis),
        range=_text(joint.range),
    )
    for name, value in (("armature", joint.armature), ("frictionloss", joint.frictionloss)):
        if value:
            element.set(name, _text(value))


def _geometry(mujoco: Any, geom: Any, body: Element) -> None:
    element = ElementTree.SubElement(body, "geom", name=geom.name)
    if geom.type == mujoco.mjtGeom.mjGEOM_MESH:
        element.set("type", "mesh")
        element.set("mesh", geom.meshname)
        return
    kind, sizes = {
        mujoco.mjtGeom.mjGEOM_SPHERE: ("sphere", 1),
        mujoco.mjtGeom.mjGEOM_CAPSULE: ("capsule", 2),
        mujoco.mjtGeom.mjGEOM_BOX: ("box", 3),
    }[geom.type]
    element.set("type", kind)
    element.set("size", _text(geom.size[:sizes]))
    _pose(element, geom)


def _actuator(mujoco: Any, actuator: Any, parent: Element) -> None:
    """A position servo: force = kp (ctrl - position) - kv velocity."""
    element = ElementTree.SubElement(
        parent,
        "position",
        name=actuator.name,
        joint=actuator.target,
        kp=_text(actuator.gainprm[0]),
        kv=_text(-actuator.biasprm[2]),
        ctrlrange=_text(actuator.ctrlrange),
    )
    if actuator.forcelimited == mujoco.mjtLimited.mjLIMITED_TRUE:
        element.set("forcerange", _text(actuator.forcerange))


def _section(root: Element, name: str, rows: Any) -> Element:
    """A section of the document, left out where it would be empty."""
    return ElementTree.SubElement(root, name) if len(rows) else Element(name)


def _pose(element: Element, item: Any) -> None:
    """Position and quaternion (wxyz) within the body above."""
    element.set("pos", _text(item.pos))
    element.set("quat", _text(item.quat))


def _text(values: ArrayLike) -> str:
    return " ".join(f"{float(v):.10g}" for v in np.asarray(values).reshape(-1))
