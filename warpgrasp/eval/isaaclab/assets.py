"""Hands and objects as the USD files that Isaac Lab spawns, made from the assets the synthesis reads.

A hand is *referenced*, never copied: the file here adds what a simulation needs and the asset leaves open, which is no
gravity on the hand (its carrier is an arm that is not modelled), no collision between links that touch by
construction, and, for a hand that moves, a carrier: three slides and three hinges between a fixed base and the root.
An object is a rigid body whose frame is its centre of mass, with convex pieces for collision. All objects of a scene
get the same number of pieces, because physics engines clone one layout into all worlds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pxr import Gf, Sdf, Usd, UsdGeom, UsdPhysics, UsdShade, Vt

from warpgrasp.base.atomic_file import replace_file
from warpgrasp.base.ranges import POSITIVE, check_numbers
from warpgrasp.geometry.rotations import matrix_to_quaternion, quaternion_to_wxyz
from warpgrasp.hands.model import JointType
from warpgrasp.objects.convex_pieces import ConvexPiece, cache_folder, convex_pieces
from warpgrasp.objects.usd_write import DEFAULT_COLOR

if TYPE_CHECKING:
    from warpgrasp.hands.model import HandModel
    from warpgrasp.objects import ObjectModel

__all__ = [
    "CARRIER_JOINTS",
    "CarrierConfig",
    "ObjectBody",
    "driven_joint_names",
    "hand_usd",
    "moving_joint_names",
    "object_usds",
]

CARRIER_JOINTS: tuple[str, ...] = (
    "carrier_x", "carrier_y", "carrier_z", "carrier_roll", "carrier_pitch", "carrier_yaw",
)  # fmt: skip
"""Joints of the carrier from its base to the hand's root: three slides [m], three hinges [rad]."""

_DENSITY = 500.0  # kg/m^3, of objects whose mass nobody names
_VERSION = 4  # of the files written here; part of their names
_HAND = "hand"
_PADDING = (
    1.0e-4  # m, size of the pieces that fill up an object: inside another piece, where nothing touches them
)


@dataclass(frozen=True, kw_only=True)
class CarrierConfig:
    """The arm that carries a hand, as six driven joints."""

    linear_range: float = 0.6
    """Way of each slide to both sides [m]."""
    angular_range: float = 1.5
    """Angle of each hinge to both sides [rad]."""
    linear_stiffness: float = 6000.0
    """[N/m]."""
    linear_damping: float = 250.0
    """[N s/m]."""
    angular_stiffness: float = 200.0
    """[Nm/rad]."""
    angular_damping: float = 6.0
    """[Nm s/rad]."""
    linear_effort: float = 400.0
    """[N]."""
    angular_effort: float = 60.0
    """[Nm]."""
    link_mass: float = 0.3
    """Mass of each link between base and root [kg]."""
    link_inertia: float = 0.01
    """Inertia of each link between base and root [kg m^2]."""

    def __post_init__(self) -> None:
        positive = ("linear_range", "angular_range", "link_mass", "link_inertia")
        check_numbers(self, "carrier", **dict.fromkeys(positive, POSITIVE))


def hand_usd(hand: HandModel, *, carrier: CarrierConfig | None = None, folder: Path | None = None) -> Path:
    """File with the hand on its fixed root, or on a carrier; made once per asset and kept in the user's cache.

    Args:
        hand: The hand; the file references ``hand.path``.
        carrier: Carrier between a fixed base and the root; ``None`` leaves the root for the spawner to fix.
        folder: Where to put the file; a folder in the user's cache by default.
    """
    key = _key(hand.asset_hash, str(hand.path), repr(carrier))
    path = (folder or _folder()) / f"{hand.name}_{'fixed' if carrier is None else 'carrier'}_{key}.usda"
    if not path.exists():
        stage = Usd.Stage.CreateInMemory()
        _set_units(stage)
        root = UsdGeom.Xform.Define(stage, "/robot").GetPrim()
        stage.SetDefaultPrim(root)
        below = root if carrier is None else UsdGeom.Xform.Define(stage, f"/robot/{_HAND}").GetPrim()
        below.GetReferences().AddReference(str(hand.path))
        _quieten(stage, below, hand)
        if carrier is not None:
            _add_carrier(stage, below, hand, carrier)
        _export(stage, path)
    return path


@dataclass(frozen=True, eq=False)
class ObjectBody:
    """What physics knows of an object; all in its body frame, which is the centre of mass with the object's axes."""

    pieces: tuple[ConvexPiece, ...]
    mass: float
    """[kg]."""
    inertia: NDArray[np.float64]
    """About the centre of mass [kg m^2], shape [3, 3]."""
    center_of_mass: NDArray[np.float64]
    """In the object frame [m], shape [3]."""
    contact_dimension: int = 3
    """3: sliding friction; 4: torsional too. Of two geometries the larger counts, so the object's is enough."""

    @classmethod
    def from_model(cls, model: ObjectModel, mass: float | None = None) -> ObjectBody:
        """The body of an object with uniform density; ``mass`` [kg] or else 500 kg/m^3."""
        kilograms = _DENSITY * model.volume if mass is None else mass
        pieces = tuple(
            ConvexPiece(piece.vertices - model.center_of_mass, piece.faces) for piece in convex_pieces(model)
        )
        inertia = model.inertia_unit_density * (kilograms / model.volume)
        return cls(pieces, kilograms, inertia, np.asarray(model.center_of_mass, dtype=np.float64))


def object_usds(bodies: Sequence[ObjectBody], *, folder: Path | None = None) -> tuple[Path, ...]:
    """One file per object, all with the same number of convex pieces.

    Args:
        bodies: The objects.
        folder: Where to put the files; a folder in the user's cache by default.
    """
    count = max(len(body.pieces) for body in bodies)
    paths = []
    for body in bodies:
        vertices = (piece.vertices.tobytes().hex() for piece in body.pieces)
        key = _key(
            str(count), str(body.contact_dimension), repr(body.mass), repr(body.inertia.tolist()), *vertices
        )
        path = (folder or _folder()) / f"object_{key}.usda"
        if not path.exists():
            _export(_object_stage(body, _filled_up(body.pieces, count)), path)
        paths.append(path)
    return tuple(paths)


def _folder() -> Path:
    return cache_folder().parent / "isaaclab"


def _key(*parts: str) -> str:
    return hashlib.sha256(" ".join([str(_VERSION), *parts]).encode()).hexdigest()[:16]


def _export(stage: Usd.Stage, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as temporary:
        stage.GetRootLayer().Export(str(temporary))


def _set_units(stage: Usd.Stage) -> None:
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    UsdPhysics.SetStageKilogramsPerUnit(stage, 1.0)


def _quieten(stage: Usd.Stage, below: Usd.Prim, hand: HandModel) -> None:
    """Take gravity off the hand and collisions off pairs of links that touch by construction."""
    paths = [_path_below(below, hand, path) for path in hand.link_paths]
    allowed = {
        tuple(sorted((int(hand.sphere_link[a]), int(hand.sphere_link[b]))))
        for a, b in hand.self_collision_pairs()
    }
    for link, path in enumerate(paths):
        prim = stage.OverridePrim(path)
        prim.CreateAttribute("mjc:gravcomp", Sdf.ValueTypeNames.Float).Set(1.0)
        prim.CreateAttribute("physxRigidBody:disableGravity", Sdf.ValueTypeNames.Bool).Set(True)
        apart = [paths[other] for other in range(link + 1, len(paths)) if (link, other) not in allowed]
        if apart:
            UsdPhysics.FilteredPairsAPI.Apply(prim).CreateFilteredPairsRel().SetTargets(apart)


def _path_below(below: Usd.Prim, hand: HandModel, path: str) -> Sdf.Path:
    """Where a prim of the hand's asset stands below the prim that references it."""
    default = Usd.Stage.Open(str(hand.path)).GetDefaultPrim().GetPath()
    return below.GetPath().AppendPath(Sdf.Path(path).MakeRelativePath(default))


def _add_carrier(stage: Usd.Stage, below: Usd.Prim, hand: HandModel, config: CarrierConfig) -> None:
    """Bodies and joints from a fixed base to the root link; the hand is no articulation root any more."""
    root = stage.GetPrimAtPath(_path_below(below, hand, hand.link_paths[0]))
    for prim in Usd.PrimRange(below):
        if prim.HasAPI(UsdPhysics.ArticulationRootAPI):
            prim.RemoveAPI(UsdPhysics.ArticulationRootAPI)
    parent = _carrier_link(stage, "carrier_base", config)
    UsdPhysics.ArticulationRootAPI.Apply(parent)
    for index, name in enumerate(CARRIER_JOINTS):
        last = index == len(CARRIER_JOINTS) - 1
        child = root if last else _carrier_link(stage, f"{name}_link", config)
        _carrier_joint(stage, name, index, parent, child, config)
        parent = child


def _carrier_link(stage: Usd.Stage, name: str, config: CarrierConfig) -> Usd.Prim:
    prim = UsdGeom.Xform.Define(stage, f"/robot/{name}").GetPrim()
    UsdPhysics.RigidBodyAPI.Apply(prim)
    mass = UsdPhysics.MassAPI.Apply(prim)
    mass.CreateMassAttr(config.link_mass)
    mass.CreateDiagonalInertiaAttr(Gf.Vec3f(config.link_inertia))
    mass.CreateCenterOfMassAttr(Gf.Vec3f(0.0))
    mass.CreatePrincipalAxesAttr(Gf.Quatf(1.0))
    prim.CreateAttribute("mjc:gravcomp", Sdf.ValueTypeNames.Float).Set(1.0)
    prim.CreateAttribute("physxRigidBody:disableGravity", Sdf.ValueTypeNames.Bool).Set(True)
    return prim


def _carrier_joint(
    stage: Usd.Stage, name: str, index: int, parent: Usd.Prim, child: Usd.Prim, config: CarrierConfig
) -> None:
    angular = index >= 3
    kind = UsdPhysics.RevoluteJoint if angular else UsdPhysics.PrismaticJoint
    joint = kind.Define(stage, f"/robot/carrier_joints/{name}")
    joint.CreateAxisAttr("XYZ"[index % 3])
    joint.CreateBody0Rel().SetTargets([parent.GetPath()])
    joint.CreateBody1Rel().SetTargets([child.GetPath()])
    for create in (joint.CreateLocalPos0Attr, joint.CreateLocalPos1Attr):
        create(Gf.Vec3f(0.0))
    for create in (joint.CreateLocalRot0Attr, joint.CreateLocalRot1Attr):
        create(Gf.Quatf(1.0))
    limit = np.degrees(config.angular_range) if angular else config.linear_range
    joint.CreateLowerLimitAttr(-float(limit))
    joint.CreateUpperLimitAttr(float(limit))
    drive = UsdPhysics.DriveAPI.Apply(joint.GetPrim(), "angular" if angular else "linear")
    unit = np.pi / 180.0 if angular else 1.0  # USD's hinges count in degrees
    drive.CreateTypeAttr("force")
    drive.CreateStiffnessAttr(
        float(unit * (config.angular_stiffness if angular else config.linear_stiffness))
    )
    drive.CreateDampingAttr(float(unit * (config.angular_damping if angular else config.linear_damping)))
    drive.CreateMaxForceAttr(float(config.angular_effort if angular else config.linear_effort))


def _filled_up(pieces: Sequence[ConvexPiece], count: int) -> list[ConvexPiece]:
    """The pieces and as many tiny tetrahedra in the middle of the largest as are missing."""
    largest = max(pieces, key=lambda piece: float(np.ptp(piece.vertices, axis=0).prod()))
    corner = np.array([[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])
    vertices = largest.vertices.mean(axis=0) + _PADDING * corner
    faces = np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]], dtype=np.int32)
    return [*pieces, *([ConvexPiece(vertices, faces)] * (count - len(pieces)))]


def _object_stage(body: ObjectBody, pieces: Sequence[ConvexPiece]) -> Usd.Stage:
    stage = Usd.Stage.CreateInMemory()
    _set_units(stage)
    root = UsdGeom.Xform.Define(stage, "/object").GetPrim()
    stage.SetDefaultPrim(root)
    UsdPhysics.RigidBodyAPI.Apply(root)
    moments, axes = np.linalg.eigh(body.inertia)
    if np.linalg.det(axes) < 0.0:
        axes[:, 0] *= -1.0
    api = UsdPhysics.MassAPI.Apply(root)
    api.CreateMassAttr(float(body.mass))
    api.CreateCenterOfMassAttr(Gf.Vec3f(0.0))
    api.CreateDiagonalInertiaAttr(Gf.Vec3f(*(float(value) for value in moments)))
    api.CreatePrincipalAxesAttr(Gf.Quatf(*quaternion_to_wxyz(matrix_to_quaternion(axes))))
    material = UsdShade.Material.Define(stage, "/object/material")
    surface = UsdPhysics.MaterialAPI.Apply(material.GetPrim())
    surface.CreateStaticFrictionAttr(1.0)
    surface.CreateDynamicFrictionAttr(1.0)
    for index, piece in enumerate(pieces):
        mesh = _mesh(stage, f"/object/piece_{index}", piece.vertices, piece.faces)
        mesh.CreateDisplayColorAttr([Gf.Vec3f(*DEFAULT_COLOR)])
        UsdPhysics.CollisionAPI.Apply(mesh.GetPrim())
        UsdPhysics.MeshCollisionAPI.Apply(mesh.GetPrim()).CreateApproximationAttr("convexHull")
        mesh.GetPrim().CreateAttribute("mjc:condim", Sdf.ValueTypeNames.Int).Set(body.contact_dimension)
        UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(material)
    return stage


def _mesh(
    stage: Usd.Stage, path: str, vertices: NDArray[np.float64], faces: NDArray[np.int32]
) -> UsdGeom.Mesh:
    mesh = UsdGeom.Mesh.Define(stage, path)
    points = np.ascontiguousarray(vertices, dtype=np.float32)
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(points))
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(faces), 3, dtype=np.int32)))
    mesh.CreateFaceVertexIndicesAttr(
        Vt.IntArray.FromNumpy(np.ascontiguousarray(faces.ravel(), dtype=np.int32))
    )
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateExtentAttr(Vt.Vec3fArray.FromNumpy(np.stack([points.min(axis=0), points.max(axis=0)])))
    return mesh


def moving_joint_names(hand: HandModel) -> tuple[str, ...]:
    """Prim name of the joint above each link; empty where there is none or it is fixed, [L]."""
    return tuple(
        Sdf.Path(path).name if path and kind != JointType.FIXED else ""
        for path, kind in zip(hand.joint_paths, hand.joint_type, strict=True)
    )


def driven_joint_names(hand: HandModel) -> tuple[str, ...]:
    """Prim name of the joint of each degree of freedom that follows no other, [J]."""
    names, driven = moving_joint_names(hand), []
    for dof in range(hand.dof_count):
        links = [link for link, name in enumerate(names) if name and hand.joint_dof[link] == dof]
        leads = [hand.joint_multiplier[link] == 1.0 and hand.joint_offset[link] == 0.0 for link in links]
        driven.append(names[links[leads.index(True) if True in leads else 0]])
    return tuple(driven)
