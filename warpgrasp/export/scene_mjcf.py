"""Grasps as MuJoCo scenes: one document per object with hand, object and three keyframes per grasp.

``<object>.xml`` includes ``<hand>.xml`` (the hand with its servos, see :mod:`warpgrasp.hands.export.mjcf`), adds the object
as a free body of convex pieces, a mocap body that carries the hand's root through a weld, and the keyframes
``pregrasp_<id>``, ``grasp_<id>`` and ``squeeze_<id>``: positions of hand, joints and object, servo targets and the pose of
the mocap body. Grasps with waypoints have ``waypoint_<number>_<id>`` before them, far to near. World frame = object frame; no
gravity.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import ArrayLike, NDArray

from warpgrasp.base.atomic_file import write_text
from warpgrasp.export.batch import ExportBatch
from warpgrasp.export.peer_hands import pose_xyz_wxyz
from warpgrasp.hands import HandModel, JointType
from warpgrasp.hands.export.mjcf import write_mjcf
from warpgrasp.objects.convex_pieces import ConvexPiece, convex_pieces

__all__ = ["write_scene_mjcf"]

_DENSITY = 500.0  # kg/m^3
_FRICTION = "1 0.02 0.0001"
_MOCAP = "carrier"
_STAGES = ("pregrasp", "grasp", "squeeze")


def write_scene_mjcf(batch: ExportBatch, folder: Path) -> list[Path]:
    """Write the scene of one object; returns the document.

    Raises:
        ImportError: MuJoCo is not installed, or the object is not convex and CoACD is not.
        OutputError: A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    hand_file = write_mjcf(batch.hand, folder, floating=True)
    root_name = _root_body(hand_file)
    root = ElementTree.Element("mujoco", model=f"{batch.hand.name}_{batch.name}")
    ElementTree.SubElement(root, "include", file=hand_file.name)
    ElementTree.SubElement(root, "option", gravity="0 0 0", integrator="implicitfast", cone="elliptic")
    _add_object(root, batch, convex_pieces(batch.model), folder)
    world = ElementTree.SubElement(root, "worldbody")
    ElementTree.SubElement(world, "body", name=_MOCAP, mocap="true")
    contact = ElementTree.SubElement(root, "equality")
    weld = {"name": _MOCAP, "body1": _MOCAP, "body2": root_name, "relpose": "0 0 0 1 0 0 0"}
    ElementTree.SubElement(contact, "weld", weld)
    _add_keyframes(root, batch)
    ElementTree.indent(root)
    path = folder / f"{batch.name}.xml"
    if path == hand_file:  # grasps in a file that is named like their hand
        path = folder / f"{batch.name}_scene.xml"
    write_text(path, ElementTree.tostring(root, encoding="unicode") + "\n")
    return [path]


def _root_body(hand_file: Path) -> str:
    body = ElementTree.parse(hand_file).getroot().find("worldbody/body")
    if body is None:
        raise ValueError(f"{hand_file} holds no body; export the hand again.")
    return str(body.get("name"))


def _add_object(
    root: ElementTree.Element, batch: ExportBatch, pieces: Sequence[ConvexPiece], folder: Path
) -> None:
    """The object with its mass properties; its body frame is the object frame."""
    model = batch.model
    asset = ElementTree.SubElement(root, "asset")
    world = ElementTree.SubElement(root, "worldbody")
    body = ElementTree.SubElement(world, "body", name="object")
    ElementTree.SubElement(body, "freejoint", name="object")
    inertia = _DENSITY * model.inertia_unit_density
    six = [inertia[i, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
    ElementTree.SubElement(
        body,
        "inertial",
        mass=_text([_DENSITY * model.volume]),
        pos=_text(model.center_of_mass),
        fullinertia=_text(six),
    )
    for index, piece in enumerate(pieces):
        name, file = f"object_{index:03d}", f"meshes/{batch.name}/piece_{index:03d}.obj"
        lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in piece.vertices]
        lines += [f"f {a} {b} {c}" for a, b, c in piece.faces + 1]
        write_text(folder / file, "\n".join(lines) + "\n")
        ElementTree.SubElement(asset, "mesh", name=name, file=file, inertia="convex")
        geom = {"name": name, "type": "mesh", "mesh": name, "friction": _FRICTION, "condim": "4"}
        ElementTree.SubElement(body, "geom", geom)


def _add_keyframes(root: ElementTree.Element, batch: ExportBatch) -> None:
    """qpos: root of the hand, moving joints in the order of the document, object; ctrl: independent joints."""
    keyframe = ElementTree.SubElement(root, "keyframe")
    hand, links = batch.hand, _document_order(batch.hand)
    still = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]

    def add(name: str, where: NDArray[np.float64], target: NDArray[np.float64]) -> None:
        values = where[7:][hand.joint_dof[links]] * hand.joint_multiplier[links] + hand.joint_offset[links]
        ElementTree.SubElement(
            keyframe,
            "key",
            name=name,
            qpos=_text(np.concatenate([where[:7], values, still])),
            ctrl=_text(target[7:]),
            mpos=_text(target[:3]),
            mquat=_text(target[3:7]),
        )

    stages = {stage: _poses(batch, stage) for stage in _STAGES}
    for row, index in enumerate(batch.index):
        for number in range(batch.grasps.waypoint_clearance.shape[1]):
            pose = _waypoint(batch, row, number)
            add(f"waypoint_{number}_{index:04d}", pose, pose)
        for stage, poses in stages.items():
            # While the hand squeezes, it still is where the grasp left it.
            where = stages["grasp" if stage == "squeeze" else stage]
            add(f"{stage}_{index:04d}", where[row], poses[row])


def _poses(batch: ExportBatch, stage: str) -> NDArray[np.float64]:
    """Root (x y z, w x y z) and joints of every grasp at a stage, shape [N, 7 + J]."""
    position, quaternion, joints = (
        getattr(batch.targets, f"{stage}_{name}") for name in ("position", "quaternion", "joints")
    )
    return np.concatenate([pose_xyz_wxyz(position, quaternion), joints], axis=1)


def _waypoint(batch: ExportBatch, row: int, number: int) -> NDArray[np.float64]:
    """The same of one waypoint of a grasp, shape [7 + J]; the root is turned as at the pregrasp."""
    pose = _poses(batch, "pregrasp")[row]
    pose[:3] = batch.grasps.waypoint_root_position[row, number]
    pose[7:] = batch.grasps.waypoint_joint_position[row, number]
    return pose


def _document_order(hand: HandModel) -> NDArray[np.int64]:
    """Links with a moving joint, depth first, as MuJoCo numbers them."""
    order: list[int] = []
    stack = [0]
    while stack:
        link = stack.pop()
        order.append(link)
        stack += [int(child) for child in np.flatnonzero(hand.link_parent == link)[::-1]]
    return np.array([link for link in order if hand.joint_type[link] != JointType.FIXED], dtype=np.int64)


def _text(values: ArrayLike) -> str:
    return " ".join(f"{float(v):.10g}" for v in np.asarray(values).reshape(-1))
