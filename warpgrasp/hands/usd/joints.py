"""Joints of a USD hand: frames, limits, drives and couplings, and the kinematic tree they form."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pxr import Sdf, Usd, UsdPhysics

from warpgrasp.geometry.rotations import compose, matrix_to_quaternion, quaternion_from_wxyz
from warpgrasp.hands.model import JointType
from warpgrasp.hands.usd.stage import Body, HandStage, applied_schemas, attribute, split_affine, vendor_name

__all__ = ["Coupling", "Joint", "kinematic_tree", "read_joints", "resolve_coupling"]

FloatArray = NDArray[np.float64]
Pose = tuple[FloatArray, FloatArray]

_RADIANS = math.pi / 180.0
_AXES = {"X": (1.0, 0.0, 0.0), "Y": (0.0, 1.0, 0.0), "Z": (0.0, 0.0, 1.0)}


@dataclass(frozen=True)
class Coupling:
    """``value = multiplier * leader + offset`` in SI units; the leader is a joint's prim path."""

    leader: Sdf.Path
    multiplier: float
    offset: float


@dataclass(frozen=True, eq=False)
class Joint:
    """One joint in SI units. ``parent`` is None for a joint that holds its child to the world."""

    prim: Usd.Prim
    name: str
    type: JointType
    parent: Body | None
    child: Body
    parent_frame: Pose
    child_frame: Pose
    axis: FloatArray
    lower: float
    upper: float
    effort: float
    velocity: float
    stiffness: float
    damping: float
    armature: float
    friction: float
    coupling: Coupling | None


def read_joints(hand: HandStage) -> list[Joint]:
    """All enabled joints in stage order."""
    joints = []
    for prim in hand.prims():
        if not prim.IsA(UsdPhysics.Joint) or UsdPhysics.Joint(prim).GetJointEnabledAttr().Get() is False:
            continue
        joints.append(_read_joint(hand, prim))
    return joints


def kinematic_tree(hand: HandStage, joints: list[Joint]) -> tuple[Body, list[tuple[Body, Body, Joint]]]:
    """Root body and, depth first in stage order, one ``(parent, child, joint)`` for every other body.

    A joint authored child-to-parent is turned round by the caller's reading of ``joint.parent``.
    """
    touching: dict[str, list[Joint]] = {body.path: [] for body in hand.bodies.values()}
    for joint in joints:
        if joint.parent is not None:
            touching[joint.parent.path].append(joint)
            touching[joint.child.path].append(joint)
    root = _find_root(hand, joints)
    edges: list[tuple[Body, Body, Joint]] = []
    seen = {root.path}

    def visit(body: Body, above: Joint | None) -> None:
        for joint in touching[body.path]:
            if joint is above:
                continue
            other = joint.child if joint.parent is body else joint.parent
            assert other is not None
            if other.path in seen:
                raise ValueError(
                    f"joint {joint.prim.GetPath()} closes a loop at {other.path}; a hand must be a tree: "
                    "remove the joint and couple the moving joints with NewtonMimicAPI"
                )
            seen.add(other.path)
            edges.append((body, other, joint))
            visit(other, joint)

    visit(root, None)
    loose = [body.path for body in hand.bodies.values() if body.path not in seen]
    if loose:
        raise ValueError(
            f"the hand has two roots, {root.path} and {loose[0]}: no joint connects them; "
            "add a fixed joint between them or remove the body that is not part of the hand"
        )
    return root, edges


def resolve_coupling(joint: Joint, by_path: dict[Sdf.Path, Joint]) -> Coupling:
    """Follow a chain of couplings to the independent joint at its end."""
    multiplier, offset = 1.0, 0.0
    visited: set[Sdf.Path] = set()
    current = joint
    while current.coupling is not None:
        if current.prim.GetPath() in visited:
            raise ValueError(
                f"joint {joint.prim.GetPath()} mimics itself through other joints; give it one leader"
            )
        visited.add(current.prim.GetPath())
        offset += multiplier * current.coupling.offset
        multiplier *= current.coupling.multiplier
        leader = by_path.get(current.coupling.leader)
        if leader is None or leader.type == JointType.FIXED:
            raise ValueError(
                f"joint {current.prim.GetPath()} mimics {current.coupling.leader}, which is no moving joint of the hand"
            )
        current = leader
    return Coupling(current.prim.GetPath(), multiplier, offset)


def _find_root(hand: HandStage, joints: list[Joint]) -> Body:
    """The body held to the world, else the one with the articulation root, else the one that is nobody's child."""
    held = {joint.child.path: joint.child for joint in joints if joint.parent is None}
    if len(held) > 1:
        raise ValueError(
            f"the hand has two roots: {' and '.join(held)} are both fixed to the world; keep one of the joints"
        )
    if held:
        return next(iter(held.values()))
    marked = [body for body in hand.bodies.values() if body.prim.HasAPI(UsdPhysics.ArticulationRootAPI)]
    if len(marked) > 1:
        raise ValueError(
            f"the hand has two roots: {marked[0].path} and {marked[1].path} both carry "
            "PhysicsArticulationRootAPI; keep one"
        )
    if marked:
        return marked[0]
    children = {joint.child.path for joint in joints}
    roots = [body for body in hand.bodies.values() if body.path not in children]
    if not roots:
        raise ValueError(
            "the joints form a loop without a root; apply PhysicsArticulationRootAPI to the palm and open the loop"
        )
    if len(roots) > 1:
        raise ValueError(
            f"the hand has two roots, {roots[0].path} and {roots[1].path}: neither is the child of a joint; "
            "connect them with a fixed joint or remove the body that is not part of the hand"
        )
    return roots[0]


def _read_joint(hand: HandStage, prim: Usd.Prim) -> Joint:
    path = prim.GetPath()
    kind = _joint_type(prim)
    schema = UsdPhysics.Joint(prim)
    body0 = _body_target(hand, schema.GetBody0Rel(), prim)
    body1 = _body_target(hand, schema.GetBody1Rel(), prim)
    frame0 = _joint_frame(hand, body0, schema.GetLocalPos0Attr().Get(), schema.GetLocalRot0Attr().Get())
    frame1 = _joint_frame(hand, body1, schema.GetLocalPos1Attr().Get(), schema.GetLocalRot1Attr().Get())
    if body0 is None and body1 is None:
        raise ValueError(
            f"joint {path} names no rigid body; set physics:body0 and physics:body1 to links of the hand"
        )
    if body1 is None:
        body0, body1, frame0, frame1 = body1, body0, frame1, frame0
    assert body1 is not None
    parent = body0[0] if body0 is not None else None
    if parent is None and kind != JointType.FIXED:
        raise ValueError(
            f"joint {path} moves {body1[0].path} against the world; only a fixed joint may hold the hand: "
            "set both bodies or disable the joint"
        )
    axis = np.array(_AXES["X"])
    if kind != JointType.FIXED:
        axis = np.array(_AXES[str(attribute(prim, "physics:axis") or "X")])
    if body1 is not None and schema.GetExcludeFromArticulationAttr().Get():
        raise ValueError(
            f"joint {path} closes a loop outside the articulation (excludeFromArticulation); a hand must be a tree: "
            "remove the joint and couple the moving joints with NewtonMimicAPI"
        )
    unit = _RADIANS if kind == JointType.REVOLUTE else hand.length
    coupling = _read_coupling(prim, unit)
    lower, upper = _read_limits(prim, kind, unit)
    stiffness, damping, effort = _read_drive(hand, prim, kind)
    return Joint(
        prim=prim,
        name=vendor_name(prim),
        type=kind,
        parent=parent,
        child=body1[0],
        parent_frame=frame0,
        child_frame=frame1,
        axis=axis,
        lower=lower,
        upper=upper,
        effort=effort,
        velocity=unit
        * _first_number(prim, ("newton:velocityLimit", "physxJoint:maxJointVelocity"), math.inf),
        stiffness=stiffness,
        damping=damping,
        armature=_inertia_unit(hand, kind)
        * _first_number(prim, ("newton:armature", "physxJoint:armature"), 0.0),
        friction=_effort_unit(hand, kind) * _first_number(prim, ("newton:friction",), 0.0),
        coupling=coupling,
    )


def _joint_type(prim: Usd.Prim) -> JointType:
    if prim.IsA(UsdPhysics.RevoluteJoint):
        return JointType.REVOLUTE
    if prim.IsA(UsdPhysics.PrismaticJoint):
        return JointType.PRISMATIC
    if prim.IsA(UsdPhysics.FixedJoint):
        return JointType.FIXED
    raise ValueError(
        f"joint {prim.GetPath()} is a {prim.GetTypeName()}, which is not supported; "
        "use revolute, prismatic or fixed joints (split a multi-axis joint into several with light links between)"
    )


def _body_target(
    hand: HandStage, relationship: Usd.Relationship, joint: Usd.Prim
) -> tuple[Body, Usd.Prim] | None:
    """The targeted prim and the rigid body that carries it; None for the world."""
    targets = relationship.GetForwardedTargets()
    if not targets:
        return None
    prim = hand.stage.GetPrimAtPath(targets[0])
    if not prim:
        raise ValueError(
            f"joint {joint.GetPath()} targets {targets[0]}, which does not exist; correct the relationship"
        )
    body = hand.body_of(prim)
    return None if body is None else (body, prim)


def _joint_frame(
    hand: HandStage, target: tuple[Body, Usd.Prim] | None, position: object, rotation: object
) -> Pose:
    """Joint frame in the rigid frame of the body, metres."""
    local = np.zeros(3) if position is None else np.array(position, dtype=np.float64)
    wxyz = (1.0, 0.0, 0.0, 0.0) if rotation is None else (rotation.GetReal(), *rotation.GetImaginary())  # type: ignore[attr-defined]
    turn = quaternion_from_wxyz(wxyz)
    if target is None:
        return local, turn
    body, prim = target
    matrix = hand.matrix_in_body(prim, body)
    where = matrix[:, :3] @ local + matrix[:, 3]
    prim_rotation, _ = split_affine(matrix[:, :3], str(prim.GetPath()))
    return compose(where, matrix_to_quaternion(prim_rotation), np.zeros(3), turn)


def _read_limits(prim: Usd.Prim, kind: JointType, unit: float) -> tuple[float, float]:
    if kind == JointType.FIXED:
        return 0.0, 0.0
    lower = _first_number(prim, ("physics:lowerLimit",), -math.inf)
    upper = _first_number(prim, ("physics:upperLimit",), math.inf)
    if not (math.isfinite(lower) and math.isfinite(upper)):
        raise ValueError(
            f"joint {prim.GetPath()} has no limits (lower {lower}, upper {upper}); "
            "author physics:lowerLimit and physics:upperLimit"
        )
    if lower > upper:
        raise ValueError(
            f"joint {prim.GetPath()} has lower limit {lower:g} above upper limit {upper:g}; swap them"
        )
    return unit * lower, unit * upper


def _read_drive(hand: HandStage, prim: Usd.Prim, kind: JointType) -> tuple[float, float, float]:
    """Stiffness, damping and effort limit in SI units (UsdPhysics states angular gains per degree)."""
    instance = "angular" if kind == JointType.REVOLUTE else "linear"
    drive = UsdPhysics.DriveAPI.Get(prim, instance)
    if kind == JointType.FIXED or not drive:
        return 0.0, 0.0, math.inf
    unit = _effort_unit(hand, kind)
    per = unit / (_RADIANS if kind == JointType.REVOLUTE else hand.length)
    stiffness = _first_number(prim, (f"drive:{instance}:physics:stiffness",), 0.0)
    damping = _first_number(prim, (f"drive:{instance}:physics:damping",), 0.0)
    effort = _first_number(prim, (f"drive:{instance}:physics:maxForce",), math.inf)
    return per * stiffness, per * damping, unit * effort


def _read_coupling(prim: Usd.Prim, unit: float) -> Coupling | None:
    """Mimic coupling of a joint; Newton's wins where both are authored.

    Newton: ``q = c0 + c1 leader``; PhysX: ``q + gearing leader + offset = 0``; offsets of revolute joints in degrees.
    """
    schemas = applied_schemas(prim)
    if "NewtonMimicAPI" in schemas and attribute(prim, "newton:mimicEnabled") is not False:
        targets = prim.GetRelationship("newton:mimicJoint").GetTargets()
        if not targets:
            raise ValueError(
                f"joint {prim.GetPath()} has NewtonMimicAPI without newton:mimicJoint; set the relationship"
            )
        multiplier = _first_number(prim, ("newton:mimicCoef1",), 1.0)
        return Coupling(targets[0], multiplier, unit * _first_number(prim, ("newton:mimicCoef0",), 0.0))
    for prefix in _physx_mimic_prefixes(schemas):
        targets = prim.GetRelationship(f"{prefix}:referenceJoint").GetTargets()
        if not targets:
            raise ValueError(
                f"joint {prim.GetPath()} has PhysxMimicJointAPI without {prefix}:referenceJoint; set it"
            )
        multiplier = -_first_number(prim, (f"{prefix}:gearing",), 1.0)
        return Coupling(targets[0], multiplier, -unit * _first_number(prim, (f"{prefix}:offset",), 0.0))
    return None


def _physx_mimic_prefixes(schemas: list[str]) -> Iterator[str]:
    for schema in schemas:
        name, _, instance = schema.partition(":")
        if name == "PhysxMimicJointAPI" and instance:
            yield f"physxMimicJoint:{instance}"


def _first_number(prim: Usd.Prim, names: tuple[str, ...], default: float) -> float:
    """The first of several attributes that is authored."""
    for name in names:
        found = prim.GetAttribute(name)
        if found and found.HasAuthoredValue():
            return float(found.Get())
    return default


def _effort_unit(hand: HandStage, kind: JointType) -> float:
    """Force (or torque) of the stage's units in N (or Nm); the stage's second is the second."""
    return hand.mass * hand.length * (hand.length if kind == JointType.REVOLUTE else 1.0)


def _inertia_unit(hand: HandStage, kind: JointType) -> float:
    return hand.mass * (hand.length**2 if kind == JointType.REVOLUTE else 1.0)
