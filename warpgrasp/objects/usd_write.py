"""Write an object as USD with UsdPhysics: one rigid body that synthesis, evaluation and simulators all read.

Layout::

    /<name>              Xform, rigid body, mass, centre of mass, inertia; kind "component"
      /mesh              what is seen, and the object of the synthesis: an instance, shared by all references to the file
        /surface         its mesh
      /collision         convex pieces, purpose "guide": not drawn, and no geometry of the object to readers
        /piece_000 ...   collision meshes, approximation "convexHull"
      /material          colour and friction
      /visual_meshes     class prim, of which /mesh is an instance

An object with pieces has the variant sets ``physics`` (``on``, ``off``) and ``root`` (``floating``, ``fixed``); the first
of each is selected. Without pieces there are neither variants nor instances: ``/mesh`` is the mesh and collides itself, by
the approximation named. Metres, kilograms, z up. Beside a text file
``<name>.usda`` its long arrays stand in ``<name>_meshes_<hash>.usdc``, a sublayer; a binary file holds all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pxr import Gf, Sdf, Tf, Usd, UsdGeom, UsdPhysics, UsdShade, Vt

from warpgrasp.base.usd_layers import write_layers
from warpgrasp.geometry.rotations import matrix_to_quaternion
from warpgrasp.objects.geometry import corner_normals

__all__ = ["DEFAULT_COLOR", "ObjectAsset", "gf_quatf_wxyz_of_axes", "write_object_asset"]

Floats = NDArray[np.float64]
Piece = tuple[Floats, NDArray[np.integer[Any]]]

DEFAULT_COLOR = (0.74, 0.28, 0.09)


@dataclass(frozen=True, eq=False)
class ObjectAsset:
    """What one file says about one object.

    Attributes:
        name: Name of the object; made a legal prim name.
        vertices: [m], shape [V, 3]; the file holds float32.
        faces: Vertex indices, counter-clockwise from outside, shape [F, 3].
        center_of_mass: [m], shape [3].
        mass: [kg]; ``None`` leaves it to the simulator.
        inertia: About the centre of mass, object axes [kg m^2], shape [3, 3]; ``None`` leaves it to the simulator.
        friction: Static and dynamic coefficient; ``None`` writes no material.
        color: Linear RGB.
        pieces: Vertices [V, 3] m and faces [F, 3] of each convex collision piece, object frame.
        approximation: How a simulator should collide the mesh; only where there are no pieces.
        documentation: One sentence for people.
        metadata: Layer metadata, JSON-like.
    """

    name: str
    vertices: Floats
    faces: NDArray[np.integer[Any]]
    center_of_mass: Floats
    mass: float | None = None
    inertia: Floats | None = None
    friction: float | None = None
    color: tuple[float, float, float] = DEFAULT_COLOR
    pieces: Sequence[Piece] = ()
    approximation: str = "convexDecomposition"
    documentation: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


def write_object_asset(path: Path, asset: ObjectAsset, *, fixed_mesh_name: bool = False) -> None:
    """Write the file, and beside a text file that of its long arrays, together or not at all.

    Args:
        path: ``.usda`` (text and, where there are long arrays, ``*_meshes_<hash>.usdc`` beside it) or ``.usdc`` (binary).
        asset: What to write.
        fixed_mesh_name: See :func:`warpgrasp.base.usd_layers.write_layers`.

    Raises:
        OutputError: The file cannot be written.
    """
    name = Tf.MakeValidIdentifier(asset.name)
    stage = Usd.Stage.CreateInMemory(f"{name}.usda")
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    UsdPhysics.SetStageKilogramsPerUnit(stage, 1.0)
    if asset.metadata:
        stage.GetRootLayer().customLayerData = asset.metadata
    root = UsdGeom.Xform.Define(stage, f"/{name}").GetPrim()
    stage.SetDefaultPrim(root)
    Usd.ModelAPI(root).SetKind("component")
    if asset.documentation:
        root.SetDocumentation(asset.documentation)
    UsdPhysics.RigidBodyAPI.Apply(root)
    _write_mass(root, asset)

    if asset.pieces:
        shapes = [_write_instance(stage, root, asset)]
        UsdGeom.Xform.Define(stage, f"/{name}/collision").GetPurposeAttr().Set(UsdGeom.Tokens.guide)
        for index, (vertices, faces) in enumerate(asset.pieces):
            piece = _write_mesh(stage, f"/{name}/collision/piece_{index:03d}", vertices, faces)
            _write_collision(piece.GetPrim(), "convexHull")
            shapes.append(piece.GetPrim())
    else:
        mesh = _write_mesh(stage, f"/{name}/mesh", asset.vertices, asset.faces)
        mesh.GetDisplayColorAttr().Set([Gf.Vec3f(*asset.color)])
        _write_collision(mesh.GetPrim(), asset.approximation)
        shapes = [mesh.GetPrim()]
    if asset.friction is not None:
        _write_material(stage, f"/{name}/material", shapes, asset.color, asset.friction)
    if asset.pieces:
        _write_physics_variants(stage, root)
        _write_root_variants(root)
    write_layers(stage, path, fixed_mesh_name=fixed_mesh_name)


def gf_quatf_wxyz_of_axes(axes: Floats) -> Gf.Quatf:
    """Rotation whose matrix has the given orthonormal, right-handed axes as columns, real part first."""
    x, y, z, w = (float(value) for value in matrix_to_quaternion(axes))
    return Gf.Quatf(w, x, y, z)


def _write_mesh(stage: Any, path: str, vertices: Floats, faces: NDArray[np.integer[Any]]) -> Any:
    mesh = UsdGeom.Mesh.Define(stage, path)
    points = Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(vertices, dtype=np.float32))
    mesh.GetPointsAttr().Set(points)
    mesh.GetFaceVertexCountsAttr().Set(Vt.IntArray(len(faces), 3))
    indices = np.ascontiguousarray(faces, dtype=np.int32).reshape(-1)
    mesh.GetFaceVertexIndicesAttr().Set(Vt.IntArray.FromNumpy(indices))
    normals = corner_normals(np.array(points, np.float64), faces).reshape(-1, 3)
    normals = np.ascontiguousarray(np.round(normals, 6) + 0.0, dtype=np.float32)  # + 0: no negative zeros
    mesh.GetNormalsAttr().Set(Vt.Vec3fArray.FromNumpy(normals))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.faceVarying)
    mesh.GetSubdivisionSchemeAttr().Set(UsdGeom.Tokens.none)
    mesh.GetExtentAttr().Set(UsdGeom.PointBased.ComputeExtent(points))
    return mesh


def _write_instance(stage: Any, root: Any, asset: ObjectAsset) -> Any:
    """The mesh that is seen, as an instance of a class prim: colour and material stand on the instance."""
    shared = root.GetPath().AppendChild("visual_meshes")
    stage.CreateClassPrim(shared)
    UsdGeom.Xform.Define(stage, shared.AppendChild("mesh"))
    _write_mesh(stage, str(shared.AppendPath("mesh/surface")), asset.vertices, asset.faces)
    prim = UsdGeom.Xform.Define(stage, root.GetPath().AppendChild("mesh")).GetPrim()
    prim.GetReferences().AddInternalReference(shared.AppendChild("mesh"))
    prim.SetInstanceable(True)
    color = UsdGeom.PrimvarsAPI(prim).CreatePrimvar(
        "displayColor", Sdf.ValueTypeNames.Color3fArray, UsdGeom.Tokens.constant
    )
    color.Set([Gf.Vec3f(*asset.color)])
    return prim


def _write_physics_variants(stage: Any, root: Any) -> None:
    """``off``: neither body nor colliders, a picture of the object; of two variant sets the first is the stronger."""
    variants = root.GetVariantSets().AddVariantSet("physics")
    spec = stage.GetRootLayer().GetPrimAtPath(root.GetPath())
    schemas = list(spec.GetInfo("apiSchemas").GetAppliedItems())
    spec.ClearInfo("apiSchemas")  # the prim's own opinions would be stronger than those of a variant
    for name in ("on", "off"):
        variants.AddVariant(name)
        variants.SetVariantSelection(name)
        with variants.GetVariantEditContext():
            if name == "off":
                stage.GetPrimAtPath(root.GetPath().AppendChild("collision")).SetActive(False)
            for schema in schemas if name == "on" else ():
                root.AddAppliedSchema(schema)
    variants.SetVariantSelection("on")


def _write_root_variants(root: Any) -> None:
    """``fixed``: the body is kinematic, and stays where it is put whatever touches it."""
    variants = root.GetVariantSets().AddVariantSet("root")
    for name in ("floating", "fixed"):
        variants.AddVariant(name)
        variants.SetVariantSelection(name)
        if name == "fixed":
            with variants.GetVariantEditContext():
                UsdPhysics.RigidBodyAPI(root).CreateKinematicEnabledAttr(True)
    variants.SetVariantSelection("floating")


def _write_collision(prim: Any, approximation: str) -> None:
    UsdPhysics.CollisionAPI.Apply(prim)
    UsdPhysics.MeshCollisionAPI.Apply(prim).CreateApproximationAttr(approximation)


def _write_mass(prim: Any, asset: ObjectAsset) -> None:
    """Mass, centre of mass and inertia: principal moments and the rotation of their axes."""
    mass = UsdPhysics.MassAPI.Apply(prim)
    if asset.mass is not None:
        mass.CreateMassAttr(asset.mass)
    mass.CreateCenterOfMassAttr(Gf.Vec3f(*(float(value) for value in asset.center_of_mass)))
    if asset.inertia is not None:
        moments, axes = np.linalg.eigh(asset.inertia)
        axes[:, 2] *= np.sign(np.linalg.det(axes))
        mass.CreateDiagonalInertiaAttr(Gf.Vec3f(*moments.tolist()))
        mass.CreatePrincipalAxesAttr(gf_quatf_wxyz_of_axes(axes))


def _write_material(
    stage: Any, path: str, shapes: Sequence[Any], color: tuple[float, float, float], friction: float
) -> None:
    """One material for colour and friction, bound to the mesh and to all pieces."""
    material = UsdShade.Material.Define(stage, path)
    shader = UsdShade.Shader.Define(stage, f"{path}/surface")
    shader.CreateIdAttr("UsdPreviewSurface")
    shader.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f).Set(Gf.Vec3f(*color))
    shader.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(0.5)
    material.CreateSurfaceOutput().ConnectToSource(shader.ConnectableAPI(), "surface")
    physics = UsdPhysics.MaterialAPI.Apply(material.GetPrim())
    physics.CreateStaticFrictionAttr(friction)
    physics.CreateDynamicFrictionAttr(friction)
    physics.CreateRestitutionAttr(0.0)
    for shape in shapes:
        UsdShade.MaterialBindingAPI.Apply(shape).Bind(material)
