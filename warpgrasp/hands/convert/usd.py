"""Read a USD articulation whose geometry is not ready for grasping (any meshes, no annotation) into a ``SourceHand``.

Joints, couplings, units and masses are read by the same code as finished hands (:mod:`warpgrasp.hands.usd.read`); collision
meshes may have any approximation, because they become convex pieces here.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pxr import Usd, UsdGeom, UsdPhysics

from warpgrasp.geometry.rotations import (
    compose,
    invert,
    matrix_to_quaternion,
    multiply_quaternions,
    quaternion_between,
    rotate,
)
from warpgrasp.geometry.shapes import MassProperties, TriMesh
from warpgrasp.hands.convert.find_hand import check_one_hand
from warpgrasp.hands.convert.mesh_files import box_piece, capsule_piece, cylinder_piece
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
from warpgrasp.hands.convert.tree import sorted_tree, subtree
from warpgrasp.hands.model import JointType
from warpgrasp.hands.usd.geometry import mesh_in_body, read_mass, uniform_scale
from warpgrasp.hands.usd.joints import Joint, kinematic_tree, read_joints, resolve_coupling
from warpgrasp.hands.usd.stage import Body, HandStage, attribute, open_hand_stage, split_affine, vendor_name

__all__ = ["read_usd"]

FloatArray = NDArray[np.float64]

_AXES = {"X": (1.0, 0.0, 0.0), "Y": (0.0, 1.0, 0.0), "Z": (0.0, 0.0, 1.0)}
_KINDS = {JointType.FIXED: "fixed", JointType.REVOLUTE: "revolute", JointType.PRISMATIC: "prismatic"}


def read_usd(path: Path, options: ReadOptions) -> SourceHand:
    """Read a USD articulation (.usd, .usda, .usdc, .usdz); what lies outside ``options.root`` has no mesh read."""
    stage = open_hand_stage(path)
    joints = read_joints(stage)
    root, edges = kinematic_tree(stage, joints)
    by_path = {joint.prim.GetPath(): joint for joint in joints}
    bodies = [root, *(child for _, child, _ in edges)]
    check_budget(path, len(bodies), len(joints))
    converted = tuple(_joint(joint, parent, child, by_path) for parent, child, joint in edges)
    default = stage.stage.GetDefaultPrim()
    name = str(default.GetName()) if default else path.stem
    bare = tuple(SourceLink(vendor_name(body.prim)) for body in bodies)
    whole = SourceHand(name, path, bare, converted, excluded_pairs=_filtered(stage))
    prims = _geometry_prims(stage)
    if options.root:
        whole = subtree(whole, options.root)
    else:
        check_one_hand(sorted_tree(whole), {vendor_name(b.prim) for b in bodies if any(prims[b.path])})
    kept = {link.name for link in whole.links}
    bodies = [body for body in bodies if vendor_name(body.prim) in kept]
    has = {vendor_name(b.prim): (bool(prims[b.path][1]), bool(prims[b.path][0])) for b in bodies}
    notes = list(whole.notes)
    kinds = surface_kinds(has, whole.joints, visual=options.visual, ignore=options.ignore, notes=notes)
    links = []
    for body in bodies:
        kind = kinds[vendor_name(body.prim)]
        chosen = prims[body.path][kind == "collision"] if kind else []
        pieces = [_piece(stage, prim, body, options.mesh_scale) for prim in chosen]
        links.append(_link(stage, body, pieces))
    return dataclasses.replace(whole, links=tuple(links), notes=tuple(notes))


def _link(stage: HandStage, body: Body, pieces: list[SourceGeometry]) -> SourceLink:
    name = vendor_name(body.prim)
    if not attribute(body.prim, "physics:mass"):
        return SourceLink(name, geometry=tuple(pieces))
    try:
        mass: MassProperties = read_mass(stage, body, [])
    except ValueError:  # no inertia is stated and it follows from the geometry later
        value = stage.mass * float(attribute(body.prim, "physics:mass"))  # type: ignore[arg-type]
        return SourceLink(name, value, geometry=tuple(pieces))
    return SourceLink(name, mass.mass, mass.center_of_mass, mass.inertia, tuple(pieces))


def _joint(joint: Joint, parent: Body, child: Body, by_path: dict[object, Joint]) -> SourceJoint:
    forward = joint.parent is parent
    near, far = (
        (joint.parent_frame, joint.child_frame) if forward else (joint.child_frame, joint.parent_frame)
    )
    # A M inverse(B) with the joint frame turned to the child's axes: (A R) (R^-1 M R) (R^-1 inverse(B)), R = B's inverse
    unturned = invert(np.zeros(3), far[1])[1]
    position, quaternion = compose(*near, np.zeros(3), unturned)
    axis = rotate(far[1], joint.axis if forward else -joint.axis)
    mimic = None
    if joint.coupling is not None:
        coupling = resolve_coupling(joint, by_path)
        mimic = SourceMimic(by_path[coupling.leader].name, coupling.multiplier, coupling.offset)
    return SourceJoint(
        name=joint.name,
        kind=_KINDS[joint.type],
        parent=vendor_name(parent.prim),
        child=vendor_name(child.prim),
        position=position,
        quaternion=quaternion,
        axis=axis,
        child_position=far[0],
        lower=joint.lower,
        upper=joint.upper,
        effort=_known(joint.effort),
        velocity=_known(joint.velocity),
        stiffness=_known(joint.stiffness),
        damping=_known(joint.damping),
        armature=_known(joint.armature),
        friction=_known(joint.friction),
        mimic=mimic,
    )


def _known(value: float) -> float | None:
    return value if value > 0.0 and math.isfinite(value) else None


def _filtered(stage: HandStage) -> tuple[tuple[str, str], ...]:
    pairs = []
    for body in stage.bodies.values():
        if body.prim.HasAPI(UsdPhysics.FilteredPairsAPI):
            for target in UsdPhysics.FilteredPairsAPI(body.prim).GetFilteredPairsRel().GetTargets():
                other = stage.bodies.get(target)
                if other is not None:
                    pairs.append((vendor_name(body.prim), vendor_name(other.prim)))
    return tuple(pairs)


def _geometry_prims(stage: HandStage) -> dict[str, tuple[list[Usd.Prim], list[Usd.Prim]]]:
    """Prims with a surface by the path of their body: those only seen, and those that collide."""
    found: dict[str, tuple[list[Usd.Prim], list[Usd.Prim]]] = {
        body.path: ([], []) for body in stage.bodies.values()
    }
    for prim in stage.prims():
        body = stage.body_of(prim)
        if body is None or not prim.IsA(UsdGeom.Gprim):
            continue
        if UsdGeom.Imageable(prim).ComputePurpose() == UsdGeom.Tokens.guide and not _collides(prim):
            continue
        found[body.path][_collides(prim)].append(prim)
    return found


def _collides(prim: Usd.Prim) -> bool:
    while prim and not prim.IsPseudoRoot() and not prim.HasAPI(UsdPhysics.RigidBodyAPI):
        if prim.HasAPI(UsdPhysics.CollisionAPI):
            return UsdPhysics.CollisionAPI(prim).GetCollisionEnabledAttr().Get() is not False
        prim = prim.GetParent()
    return False


def _piece(stage: HandStage, prim: Usd.Prim, body: Body, mesh_scale: float) -> SourceGeometry:
    where = str(prim.GetPath())
    if prim.IsA(UsdGeom.Mesh):
        vertices, faces = mesh_in_body(stage, prim, body)
        return SourceGeometry(where, TriMesh(mesh_scale * vertices, faces))
    matrix = stage.matrix_in_body(prim, body)
    rotation, scale = split_affine(matrix[:, :3], where)
    position, turn = matrix[:, 3], matrix_to_quaternion(rotation)
    if prim.IsA(UsdGeom.Cube):
        size = float(UsdGeom.Cube(prim).GetSizeAttr().Get()) * np.abs(scale)
        return box_piece(size, position, turn)
    factor = uniform_scale(scale, prim)
    if prim.IsA(UsdGeom.Sphere):
        return capsule_piece(factor * float(UsdGeom.Sphere(prim).GetRadiusAttr().Get()), 0.0, position, turn)
    if prim.IsA(UsdGeom.Capsule) or prim.IsA(UsdGeom.Cylinder):
        capsule = prim.IsA(UsdGeom.Capsule)
        round_prim = UsdGeom.Capsule(prim) if capsule else UsdGeom.Cylinder(prim)
        along = quaternion_between((0.0, 0.0, 1.0), _AXES[str(round_prim.GetAxisAttr().Get())])
        radius = factor * float(round_prim.GetRadiusAttr().Get())
        half_length = 0.5 * factor * float(round_prim.GetHeightAttr().Get())
        make = capsule_piece if capsule else cylinder_piece
        return make(radius, half_length, position, multiply_quaternions(turn, along))
    raise ValueError(
        f"geometry {where} is a {prim.GetTypeName()}, which is not supported; "
        "use Mesh, Cube, Sphere, Capsule or Cylinder"
    )
