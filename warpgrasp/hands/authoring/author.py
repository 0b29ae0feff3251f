"""Write a :class:`~warpgrasp.hands.authoring.description.HandDescription` as a USD hand asset.

Layout of the file::

    /<hand>                       Xform, default prim, with the variant sets below
      /<link>                     rigid body (mass, inertia)
        /collisions/<shape>       Capsule, Sphere, Cube or Mesh with convex hull approximation; purpose guide where the
                                  hand has a look of its own
        /visuals/<material>       what one sees, instances of /<hand>/visual_meshes
        /grasp/<frame>            frames; in the variant "grasp" the patches and spheres too; purpose guide
      /joints/<joint>             revolute or prismatic, frames on both sides, drive, mimic
      /grasp_types/<type>         in the variant "grasp"
      /materials/<material>

Variant sets: ``annotation`` (``none``, ``grasp``), because simulators would import patches and spheres as shapes;
``root`` (``floating``, ``fixed``), where the articulation root is; ``physics`` (``on``, ``off``). The first is selected.
Long arrays (the meshes') stand in ``<file>_meshes_<hash>.usdc`` beside it, a sublayer: the file itself stays short.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from pxr import Gf, Kind, Sdf, Tf, Usd, UsdGeom, UsdPhysics, Vt

from warpgrasp.base.usd_layers import has_long_arrays, write_layers
from warpgrasp.geometry.rotations import (
    IDENTITY_QUATERNION,
    compose,
    matrix_to_quaternion,
    quaternion_between,
    rpy_to_quaternion,
)
from warpgrasp.geometry.shapes import Shape
from warpgrasp.hands.authoring.description import (
    FrameDescription,
    GraspTypeDescription,
    HandDescription,
    JointDescription,
    LinkDescription,
    PatchDescription,
)
from warpgrasp.hands.authoring.look_prims import bind_material, write_materials, write_visuals
from warpgrasp.hands.authoring.patch_mesh import patch_mesh
from warpgrasp.hands.authoring.prims import (
    SHAPE_WRITERS,
    custom,
    extent,
    keep_vendor_name,
    plain,
    quatf,
    set_mesh,
    set_pose,
    vec3f,
)
from warpgrasp.hands.authoring.variants import (
    write_annotation_variants,
    write_physics_variants,
    write_root_variants,
)
from warpgrasp.hands.usd import schema

__all__ = ["prim_name", "write_hand"]

_DEGREES = 180.0 / math.pi


def prim_name(vendor_name: str) -> str:
    """A legal prim name for a vendor's name: ``joint_0.0`` becomes ``joint_0_0`` and ``7`` becomes ``_7``."""
    return str(Tf.MakeValidIdentifier(f"_{vendor_name}" if vendor_name[0].isdigit() else vendor_name))


def write_hand(hand: HandDescription, path: Path, *, fixed_mesh_name: bool = False) -> None:
    """Write the asset and its meshes beside it, together or not at all; what was there before is replaced.

    Raises:
        OutputError: A file cannot be written.
    """
    stage = Usd.Stage.CreateInMemory()
    _Author(stage, hand).write()
    write_layers(stage, path, fixed_mesh_name=fixed_mesh_name)


class _Author:
    """One pass over the description; holds the stage and where things went."""

    def __init__(self, stage: Usd.Stage, hand: HandDescription) -> None:
        self.stage = stage
        self.hand = hand
        self.root = Sdf.Path.absoluteRootPath.AppendChild(prim_name(hand.name))

    def write(self) -> None:
        """Fill the stage."""
        UsdGeom.SetStageUpAxis(self.stage, UsdGeom.Tokens.z)
        UsdGeom.SetStageMetersPerUnit(self.stage, 1.0)
        UsdPhysics.SetStageKilogramsPerUnit(self.stage, 1.0)
        self.stage.GetRootLayer().documentation = f"{self.hand.title}\n{self.hand.source}"
        prim = UsdGeom.Xform.Define(self.stage, self.root).GetPrim()
        self.stage.SetDefaultPrim(prim)
        Usd.ModelAPI(prim).SetKind(Kind.Tokens.component)
        if self.hand.earlier_hashes:
            known = {schema.EARLIER_HASHES: Vt.StringArray(list(self.hand.earlier_hashes))}
            self.stage.GetRootLayer().customLayerData = {"warpgrasp": known}
        write_materials(self.stage, self.root, self.hand)
        pose = _link_poses(self.hand)
        for link in self.hand.links:
            self._write_link(link, *pose[link.name])
        for first, second in self.hand.filtered_pairs:
            pairs = UsdPhysics.FilteredPairsAPI.Apply(self.stage.GetPrimAtPath(self._link_path(first)))
            pairs.CreateFilteredPairsRel().AddTarget(self._link_path(second))
        UsdGeom.Scope.Define(self.stage, self.root.AppendChild("joints"))
        for joint in self.hand.joints:
            self._write_joint(joint)
        for patch in self.hand.patches:
            self._write_patch(patch)
        self._write_frame(self.hand.wrist)
        for frame in self.hand.frames:
            self._write_frame(frame)
        if self.hand.look is not None:
            links = {link.name: self._link_path(link.name) for link in self.hand.links}
            write_visuals(self.stage, self.root, self.hand, links)
        UsdGeom.Scope.Define(self.stage, self.root.AppendChild("grasp_types"))
        for grasp_type in self.hand.grasp_types:
            self._write_grasp_type(grasp_type)
        self._keep_order()
        write_physics_variants(self.stage, prim)
        write_root_variants(self.stage, prim, self._link_path(self.hand.links[0].name))
        write_annotation_variants(self.stage.GetRootLayer(), self.root)

    def _keep_order(self) -> None:
        """State the order of the links, in which shapes and spheres are numbered: those with long arrays come first.

        That is the order that a sublayer with these arrays brings about; seeds of old files depend on it.
        """
        root = self.stage.GetRootLayer().GetPrimAtPath(self.root)
        children = list(root.nameChildren)
        root.nameChildrenOrder = [
            child.name for child in sorted(children, key=lambda c: not has_long_arrays(c))
        ]

    def _link_path(self, name: str) -> Sdf.Path:
        return self.root.AppendChild(prim_name(name))

    def _joint_path(self, name: str) -> Sdf.Path:
        return self.root.AppendPath("joints").AppendChild(prim_name(name))

    def _patch_path(self, name: str) -> Sdf.Path:
        link = next(patch.link for patch in self.hand.patches if patch.name == name)
        return self._link_path(link).AppendPath("grasp").AppendChild(name)

    def _write_link(self, link: LinkDescription, position: np.ndarray, quaternion: np.ndarray) -> None:
        path = self._link_path(link.name)
        xform = UsdGeom.Xform.Define(self.stage, path)
        set_pose(xform, position, quaternion)
        prim = xform.GetPrim()
        keep_vendor_name(prim, link.name)
        UsdPhysics.RigidBodyAPI.Apply(prim)
        mass = UsdPhysics.MassAPI.Apply(prim)
        principal, axes = np.linalg.eigh(link.mass.inertia)
        axes[:, 2] *= np.sign(np.linalg.det(axes))
        mass.CreateMassAttr(link.mass.mass)
        mass.CreateCenterOfMassAttr(vec3f(link.mass.center_of_mass))
        mass.CreateDiagonalInertiaAttr(vec3f(principal))
        mass.CreatePrincipalAxesAttr(quatf(matrix_to_quaternion(axes)))
        scope = UsdGeom.Scope.Define(self.stage, path.AppendChild("collisions"))
        if self.hand.look is not None:
            scope.CreatePurposeAttr(UsdGeom.Tokens.guide)
        for index, part in enumerate(link.parts):
            self._write_shape(path.AppendPath("collisions"), index, part.shape, part.material)
        guide = UsdGeom.Xform.Define(self.stage, path.AppendChild("grasp"))
        guide.CreatePurposeAttr(UsdGeom.Tokens.guide)
        for index, (x, y, z, radius) in enumerate(link.spheres):
            sphere = UsdGeom.Sphere.Define(self.stage, path.AppendPath(f"grasp/sphere_{index}"))
            sphere.CreateRadiusAttr(radius)
            sphere.CreateExtentAttr(extent(np.array([[-radius] * 3, [radius] * 3])))
            sphere.AddTranslateOp().Set(Gf.Vec3d(x, y, z))
            sphere.CreateDisplayColorAttr([Gf.Vec3f(0.9, 0.7, 0.2)])
            custom(sphere.GetPrim(), schema.SELF_COLLISION, Sdf.ValueTypeNames.Bool, True)

    def _write_shape(self, folder: Sdf.Path, index: int, shape: Shape, material: str) -> None:
        geometry = SHAPE_WRITERS[shape.type](self.stage, folder, index, shape)
        prim = geometry.GetPrim()
        UsdPhysics.CollisionAPI.Apply(prim)
        geometry.CreateDisplayColorAttr([Gf.Vec3f(*self.hand.materials[material])])
        bind_material(prim, self.root, material)

    def _write_joint(self, joint: JointDescription) -> None:
        path = self._joint_path(joint.name)
        kind = UsdPhysics.PrismaticJoint if joint.prismatic else UsdPhysics.RevoluteJoint
        physics = kind.Define(self.stage, path)
        prim = physics.GetPrim()
        keep_vendor_name(prim, joint.name)
        unit = 1.0 if joint.prismatic else _DEGREES
        token, turn = _usd_axis(joint.axis)
        _, parent_turn = compose(joint.position, rpy_to_quaternion(joint.rpy), (0.0, 0.0, 0.0), turn)
        physics.CreateBody0Rel().SetTargets([self._link_path(joint.parent)])
        physics.CreateBody1Rel().SetTargets([self._link_path(joint.child)])
        physics.CreateLocalPos0Attr(Gf.Vec3f(*joint.position))
        physics.CreateLocalRot0Attr(quatf(parent_turn))
        physics.CreateLocalPos1Attr(Gf.Vec3f(*joint.child_position))
        physics.CreateLocalRot1Attr(quatf(turn))
        physics.CreateAxisAttr(token)
        physics.CreateLowerLimitAttr(unit * joint.lower)
        physics.CreateUpperLimitAttr(unit * joint.upper)
        prim.AddAppliedSchema("NewtonJointAPI")
        prim.AddAppliedSchema("PhysxJointAPI")
        plain(prim, "newton:armature", Sdf.ValueTypeNames.Float, joint.armature)
        plain(prim, "newton:friction", Sdf.ValueTypeNames.Float, joint.friction)
        plain(prim, "newton:velocityLimit", Sdf.ValueTypeNames.Float, unit * joint.velocity)
        plain(prim, "physxJoint:armature", Sdf.ValueTypeNames.Float, joint.armature)
        plain(prim, "physxJoint:maxJointVelocity", Sdf.ValueTypeNames.Float, unit * joint.velocity)
        if joint.mimic is None:
            custom(prim, schema.OPENING_POSITION, Sdf.ValueTypeNames.Double, joint.opening)
            drive = UsdPhysics.DriveAPI.Apply(prim, "linear" if joint.prismatic else "angular")
            drive.CreateTypeAttr(UsdPhysics.Tokens.force)
            drive.CreateMaxForceAttr(joint.effort)
            drive.CreateStiffnessAttr(joint.stiffness / unit)
            drive.CreateDampingAttr(joint.damping / unit)
            drive.CreateTargetPositionAttr(unit * joint.opening)
        else:
            self._write_mimic(prim, joint, token, unit)

    def _write_mimic(self, prim: Usd.Prim, joint: JointDescription, token: str, unit: float) -> None:
        """Write both couplings, so that Newton and PhysX move the joint.

        Newton: ``q = c0 + c1 leader``; PhysX: ``q + gearing leader + offset = 0``.
        """
        mimic = joint.mimic
        assert mimic is not None
        leader = self._joint_path(mimic.joint)
        prim.AddAppliedSchema("NewtonMimicAPI")
        prim.CreateRelationship("newton:mimicJoint", custom=False).SetTargets([leader])
        plain(prim, "newton:mimicCoef0", Sdf.ValueTypeNames.Float, unit * mimic.offset)
        plain(prim, "newton:mimicCoef1", Sdf.ValueTypeNames.Float, mimic.multiplier)
        instance = f"{'trans' if joint.prismatic else 'rot'}{token}"
        prim.AddAppliedSchema(f"PhysxMimicJointAPI:{instance}")
        prefix = f"physxMimicJoint:{instance}"
        prim.CreateRelationship(f"{prefix}:referenceJoint", custom=False).SetTargets([leader])
        leader_axis = next(other.axis for other in self.hand.joints if other.name == mimic.joint)
        leader_instance = f"{'trans' if joint.prismatic else 'rot'}{_usd_axis(leader_axis)[0]}"
        attribute = prim.CreateAttribute(
            f"{prefix}:referenceJointAxis", Sdf.ValueTypeNames.Token, False, Sdf.VariabilityUniform
        )
        attribute.Set(leader_instance)
        plain(prim, f"{prefix}:gearing", Sdf.ValueTypeNames.Float, -mimic.multiplier)
        plain(prim, f"{prefix}:offset", Sdf.ValueTypeNames.Float, -unit * mimic.offset)

    def _write_patch(self, patch: PatchDescription) -> None:
        link = next(link for link in self.hand.links if link.name == patch.link)
        mesh = UsdGeom.Mesh.Define(self.stage, self._patch_path(patch.name))
        set_mesh(mesh, patch_mesh(patch, [part.shape for part in link.parts]))
        mesh.CreateDoubleSidedAttr(True)
        mesh.CreateDisplayColorAttr([Gf.Vec3f(0.2, 0.8, 0.3)])
        custom(mesh.GetPrim(), schema.FINGER, Sdf.ValueTypeNames.String, patch.finger)
        custom(mesh.GetPrim(), schema.REGION, Sdf.ValueTypeNames.Token, patch.region)

    def _write_frame(self, frame: FrameDescription) -> None:
        path = self._link_path(frame.link).AppendPath("grasp").AppendChild(prim_name(frame.name))
        xform = UsdGeom.Xform.Define(self.stage, path)
        set_pose(xform, np.asarray(frame.position), rpy_to_quaternion(frame.rpy))
        custom(xform.GetPrim(), schema.FRAME, Sdf.ValueTypeNames.String, frame.name)

    def _write_grasp_type(self, grasp_type: GraspTypeDescription) -> None:
        prim = UsdGeom.Scope.Define(
            self.stage, self.root.AppendPath(f"grasp_types/{grasp_type.name}")
        ).GetPrim()
        custom(prim, schema.GRASP_TYPE, Sdf.ValueTypeNames.String, grasp_type.name)
        patches = prim.CreateRelationship(schema.PATCHES, custom=True)
        patches.SetTargets([self._patch_path(name) for name in grasp_type.patches])
        joints = prim.CreateRelationship(schema.IDLE_JOINTS, custom=True)
        joints.SetTargets([self._joint_path(name) for name in grasp_type.idle])
        positions = Vt.DoubleArray(list(grasp_type.idle.values()))
        custom(prim, schema.IDLE_POSITIONS, Sdf.ValueTypeNames.DoubleArray, positions)
        if grasp_type.required_fingers is not None:
            fingers = Vt.StringArray(list(grasp_type.required_fingers))
            custom(prim, schema.REQUIRED_FINGERS, Sdf.ValueTypeNames.StringArray, fingers)
        if grasp_type.seed_place is not None:
            custom(prim, schema.SEED_PLACE, Sdf.ValueTypeNames.Token, grasp_type.seed_place)
        if grasp_type.reset_threshold is not None:
            custom(prim, schema.RESET_THRESHOLD, Sdf.ValueTypeNames.Double, grasp_type.reset_threshold)


def _link_poses(hand: HandDescription) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pose of every link in the root frame with all joints at zero, the pose in which the file is written."""
    pose = {hand.links[0].name: (np.zeros(3), np.array(IDENTITY_QUATERNION))}
    for joint in hand.joints:
        at_joint = compose(*pose[joint.parent], joint.position, rpy_to_quaternion(joint.rpy))
        pose[joint.child] = compose(*at_joint, -np.asarray(joint.child_position), IDENTITY_QUATERNION)
    return pose


def _usd_axis(axis: tuple[float, float, float]) -> tuple[str, np.ndarray]:
    """USD names a positive axis only: the token, and the rotation that takes it to the wanted axis."""
    unit = np.asarray(axis, dtype=np.float64) / np.linalg.norm(axis)
    index = int(np.argmax(np.abs(unit)))
    return "XYZ"[index], quaternion_between(np.eye(3)[index], unit)
