"""Read a hand from USD: the one reader for shipped and user hands.

Understood: UsdPhysics rigid bodies (siblings, not nested), revolute, prismatic and fixed joints with frames on both
sides, drives, mass properties, capsules, spheres, boxes and convex hulls as collision geometry; armature, friction and
velocity limits of the Newton and PhysX schemas; NewtonMimicAPI and PhysxMimicJointAPI; the stage's length and mass
units and any xform stack above a body. Everything is converted to SI and to link frames, so the stage's up axis and the
pose in which it was saved do not matter. Anything else raises a ValueError that names the prim and the remedy.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pxr import Sdf, UsdPhysics

from warpgrasp.base.usd_error import usd_reason
from warpgrasp.geometry.rotations import IDENTITY_QUATERNION
from warpgrasp.geometry.shapes import MassProperties, Shape
from warpgrasp.hands.model import HandModel, JointType, LinkFrame
from warpgrasp.hands.usd import schema
from warpgrasp.hands.usd.annotation import GraspAnnotation, read_annotation
from warpgrasp.hands.usd.geometry import read_mass, read_shapes
from warpgrasp.hands.usd.joints import Coupling, Joint, kinematic_tree, read_joints, resolve_coupling
from warpgrasp.hands.usd.stage import Body, HandStage, asset_hash, attribute, earlier_hashes, open_hand_stage

__all__ = ["read_hand"]

FloatArray = NDArray[np.float64]


def read_hand(path: Path) -> HandModel:
    """Read a hand asset.

    Args:
        path: A .usd, .usda, .usdc or .usdz file.

    Raises:
        ValueError: The file is missing or is no hand this package can use; the message names the file, the prim and the remedy.
    """
    try:
        model = _read(path)
        _check_finite(model)
    except ValueError as error:
        known = path.name in str(error)
        raise ValueError(str(error) if known else f"hand asset '{path}': {error}") from error
    except Exception as error:  # OpenUSD and damaged values raise whatever they like
        raise ValueError(
            f"hand asset '{path}' cannot be read ({usd_reason(error)}); export it again"
        ) from error
    return model


def _check_finite(model: HandModel) -> None:
    """Refuse an asset with a number that is not finite, whatever it stands for; a velocity may be unlimited."""
    for field in dataclasses.fields(model):
        value = getattr(model, field.name)
        parts = value if isinstance(value, tuple) else (value,)
        arrays = [part for part in parts if isinstance(part, np.ndarray)]
        for part in parts:
            names = ("vertices", "position", "quaternion")
            arrays += [getattr(part, name) for name in names if hasattr(part, name)]
        for array in arrays:
            bad = np.isnan(array) if field.name == "dof_velocity" else ~np.isfinite(array)
            if bad.any():
                raise ValueError(
                    f"its {field.name.replace('_', ' ')} holds {array[bad].flat[0]:g}; author finite numbers"
                )


def _read(path: Path) -> HandModel:
    hand = open_hand_stage(path)
    root, edges = kinematic_tree(hand, read_joints(hand))
    bodies = [root, *(child for _, child, _ in edges)]
    link_index = {body.path: index for index, body in enumerate(bodies)}
    joints = [joint for _, _, joint in edges]
    shapes = [(link_index[body.path], shape) for body, shape in read_shapes(hand)]
    mass = [read_mass(hand, body, [s for at, s in shapes if at == link]) for link, body in enumerate(bodies)]
    names = {joint.prim.GetPath(): joint.name for joint in joints}
    grasp = read_annotation(hand, link_index, names)
    default = hand.stage.GetDefaultPrim()
    return HandModel(
        name=str(default.GetName()) if default else path.stem,
        path=path,
        asset_hash=asset_hash(hand.stage),
        link_names=tuple(str(body.prim.GetName()) for body in bodies),
        link_paths=tuple(body.path for body in bodies),
        link_parent=np.array([-1, *(link_index[parent.path] for parent, _, _ in edges)], dtype=np.int32),
        link_joint_names=("", *names.values()),
        joint_paths=("", *(str(path) for path in names)),
        **_joint_arrays(edges),
        **_dof_arrays(joints),
        **_mass_arrays(mass),
        **_geometry_arrays(shapes),
        **_annotation_arrays(hand, root, grasp),
        earlier_hashes=earlier_hashes(hand.stage),
        filtered_links=_filtered_links(bodies, link_index),
    )


def _filtered_links(bodies: list[Body], link_index: dict[str, int]) -> NDArray[np.int32]:
    """Link index pairs of UsdPhysics' collision filters between bodies."""
    pairs = []
    for body in bodies:
        if body.prim.HasAPI(UsdPhysics.FilteredPairsAPI):
            targets = UsdPhysics.FilteredPairsAPI(body.prim).GetFilteredPairsRel().GetTargets()
            pairs += [(link_index[body.path], link_index[str(t)]) for t in targets if str(t) in link_index]
    return np.array(pairs, dtype=np.int32).reshape(-1, 2)


def _joint_arrays(edges: list[tuple[Body, Body, Joint]]) -> dict[str, Any]:
    """Arrays over links; the root hangs on a fixed identity joint."""
    count = len(edges) + 1
    dof_of = _dof_index([joint for _, _, joint in edges])
    by_path = {joint.prim.GetPath(): joint for _, _, joint in edges}
    kind = np.full(count, JointType.FIXED, dtype=np.int32)
    axis = np.tile([1.0, 0.0, 0.0], (count, 1))
    position = np.zeros((2, count, 3))
    quaternion = np.tile(IDENTITY_QUATERNION, (2, count, 1))
    dof = np.full(count, -1, dtype=np.int32)
    multiplier, offset = np.zeros(count), np.zeros(count)
    for link, (parent, _, joint) in enumerate(edges, start=1):
        forward = joint.parent is parent
        near, far = (
            (joint.parent_frame, joint.child_frame) if forward else (joint.child_frame, joint.parent_frame)
        )
        position[0, link], quaternion[0, link] = near
        position[1, link], quaternion[1, link] = far
        kind[link] = joint.type
        axis[link] = joint.axis if forward else -joint.axis  # seen from the other side the motion is inverted
        if joint.type != JointType.FIXED:
            coupling = resolve_coupling(joint, by_path)
            dof[link] = dof_of[coupling.leader]
            multiplier[link], offset[link] = coupling.multiplier, coupling.offset
    return {
        "joint_type": kind,
        "joint_axis": axis,
        "joint_parent_position": position[0],
        "joint_parent_quaternion": quaternion[0],
        "joint_child_position": position[1],
        "joint_child_quaternion": quaternion[1],
        "joint_dof": dof,
        "joint_multiplier": multiplier,
        "joint_offset": offset,
    }


def _dof_arrays(joints: list[Joint]) -> dict[str, Any]:
    """Arrays over degrees of freedom; limits include those of the followers."""
    dof_of = _dof_index(joints)
    free = [joint for joint in joints if joint.prim.GetPath() in dof_of]
    by_path = {joint.prim.GetPath(): joint for joint in joints}
    limits = np.array([[joint.lower, joint.upper] for joint in free]).reshape(-1, 2)
    for joint in joints:
        if joint.coupling is not None:
            coupling = resolve_coupling(joint, by_path)
            dof = dof_of[coupling.leader]
            limits[dof] = _tightened(limits[dof], joint, coupling)
    opening = [attribute(joint.prim, schema.OPENING_POSITION) for joint in free]
    resting = np.clip(0.0, limits[:, 0], limits[:, 1])
    values = [rest if value is None else float(value) for value, rest in zip(opening, resting, strict=True)]  # type: ignore[arg-type]
    for joint, value, (lower, upper) in zip(free, values, limits, strict=True):
        if not lower - 1e-6 <= value <= upper + 1e-6:
            raise ValueError(
                f"joint {joint.prim.GetPath()} opens at {value:g}, outside its limits [{lower:g}, {upper:g}]; "
                f"correct {schema.OPENING_POSITION}"
            )
    for joint in free:
        _check_drive(joint)
    return {
        "joint_names": tuple(joint.name for joint in free),
        "dof_lower": limits[:, 0],
        "dof_upper": limits[:, 1],
        "dof_effort": np.array([joint.effort for joint in free]),
        "dof_velocity": np.array([joint.velocity for joint in free]),
        "dof_stiffness": np.array([joint.stiffness for joint in free]),
        "dof_damping": np.array([joint.damping for joint in free]),
        "dof_armature": np.array([joint.armature for joint in free]),
        "dof_friction": np.array([joint.friction for joint in free]),
        "dof_opening": np.clip(values, limits[:, 0], limits[:, 1]),
    }


def _check_drive(joint: Joint) -> None:
    """Refuse a joint that nothing can hold: its squeeze would be infinite, not a number, or nothing."""
    instance = "angular" if joint.type == JointType.REVOLUTE else "linear"
    for name, value, usable, text in (
        ("stiffness", joint.stiffness, 0.0 < joint.stiffness < math.inf, "positive and finite"),
        ("maxForce", joint.effort, 0.0 < joint.effort < math.inf, "positive and finite"),
        ("damping", joint.damping, 0.0 <= joint.damping < math.inf, "finite and not negative"),
    ):
        if not usable:
            raise ValueError(
                f"joint {joint.prim.GetPath()} has no usable drive: its {name} must be {text} (got {value:g}); author "
                f"drive:{instance}:physics:{name} under PhysicsDriveAPI:{instance}, or let it follow a driven joint"
            )
    for name, value in (("armature", joint.armature), ("friction", joint.friction)):
        if not 0.0 <= value < math.inf:
            raise ValueError(
                f"joint {joint.prim.GetPath()} has {name} {value:g}; author a finite number that is not negative"
            )


def _dof_index(joints: list[Joint]) -> dict[Sdf.Path, int]:
    free = [joint for joint in joints if joint.type != JointType.FIXED and joint.coupling is None]
    return {joint.prim.GetPath(): index for index, joint in enumerate(free)}


def _tightened(limits: FloatArray, joint: Joint, coupling: Coupling) -> FloatArray:
    """Leader limits that also keep a follower inside its own."""
    if coupling.multiplier == 0.0:
        return limits
    ends = (np.array([joint.lower, joint.upper]) - coupling.offset) / coupling.multiplier
    lower, upper = max(limits[0], ends.min()), min(limits[1], ends.max())
    if lower > upper:
        raise ValueError(
            f"joint {joint.prim.GetPath()} cannot follow {coupling.leader}: their limits leave no common range; "
            "widen the limits or correct the mimic coefficients"
        )
    return np.array([lower, upper])


def _mass_arrays(mass: list[MassProperties]) -> dict[str, Any]:
    return {
        "link_mass": np.array([m.mass for m in mass]),
        "link_center_of_mass": np.array([m.center_of_mass for m in mass]),
        "link_inertia": np.array([m.inertia for m in mass]),
    }


def _geometry_arrays(shapes: list[tuple[int, Shape]]) -> dict[str, Any]:
    counts = np.array([len(shape.plane) for _, shape in shapes], dtype=np.int32)
    return {
        "geometry_type": np.array([shape.type for _, shape in shapes], dtype=np.int32),
        "geometry_link": np.array([link for link, _ in shapes], dtype=np.int32),
        "geometry_position": np.array([shape.position for _, shape in shapes]).reshape(-1, 3),
        "geometry_quaternion": np.array([shape.quaternion for _, shape in shapes]).reshape(-1, 4),
        "geometry_size": np.array([shape.size for _, shape in shapes]).reshape(-1, 3),
        "geometry_plane_start": (np.cumsum(counts) - counts).astype(np.int32),
        "geometry_plane_count": counts,
        "plane": np.concatenate([np.zeros((0, 4)), *(shape.plane for _, shape in shapes)]),
        "geometry_mesh": tuple(shape.mesh for _, shape in shapes),
    }


def _annotation_arrays(hand: HandStage, root: Body, grasp: GraspAnnotation) -> dict[str, Any]:
    wrists = [frame for frame in grasp.frames if frame.name == schema.WRIST]
    if any(frame.link != 0 for frame in wrists) or len(wrists) > 1:
        raise ValueError(
            f"'{hand.path}' must have one wrist frame, under the root link {root.path}; move or remove others"
        )
    identity = LinkFrame(schema.WRIST, 0, np.zeros(3), np.array(IDENTITY_QUATERNION))
    wrist = wrists[0] if wrists else identity
    return {
        "patches": grasp.patches,
        "sphere_link": grasp.spheres[:, 0].astype(np.int32),
        "sphere_position": grasp.spheres[:, 1:4],
        "sphere_radius": grasp.spheres[:, 4],
        "grasp_types": grasp.grasp_types,
        "wrist_position": wrist.position,
        "wrist_quaternion": wrist.quaternion,
        "frames": tuple(frame for frame in grasp.frames if frame is not wrist),
    }
