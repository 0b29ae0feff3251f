"""USD prims of a hand's shapes, meshes, poses and attributes, as :mod:`warpgrasp.hands.authoring.author` writes them."""

from __future__ import annotations

import numpy as np
from pxr import Gf, Sdf, Usd, UsdGeom, UsdPhysics, Vt

from warpgrasp.geometry.rotations import quaternion_to_wxyz
from warpgrasp.geometry.shapes import GeometryType, Shape, TriMesh
from warpgrasp.hands.authoring.rounded import SmoothMesh
from warpgrasp.hands.usd import schema

__all__ = [
    "SHAPE_WRITERS",
    "custom",
    "extent",
    "keep_vendor_name",
    "plain",
    "quatf",
    "set_mesh",
    "set_pose",
    "set_smooth_mesh",
    "vec3f",
]


def _write_capsule(stage: Usd.Stage, folder: Sdf.Path, index: int, shape: Shape) -> UsdGeom.Gprim:
    radius, half_length = (float(v) for v in shape.size[:2])
    if half_length == 0.0:
        sphere = UsdGeom.Sphere.Define(stage, folder.AppendChild(f"sphere_{index}"))
        sphere.CreateRadiusAttr(radius)
        sphere.CreateExtentAttr(extent(np.array([[-radius] * 3, [radius] * 3])))
        set_pose(sphere, shape.position, shape.quaternion)
        return sphere
    capsule = UsdGeom.Capsule.Define(stage, folder.AppendChild(f"capsule_{index}"))
    capsule.CreateRadiusAttr(radius)
    capsule.CreateHeightAttr(2.0 * half_length)
    capsule.CreateAxisAttr(UsdGeom.Tokens.z)
    reach = np.array([radius, radius, half_length + radius])
    capsule.CreateExtentAttr(extent(np.array([-reach, reach])))
    set_pose(capsule, shape.position, shape.quaternion)
    return capsule


def _write_box(stage: Usd.Stage, folder: Sdf.Path, index: int, shape: Shape) -> UsdGeom.Gprim:
    cube = UsdGeom.Cube.Define(stage, folder.AppendChild(f"box_{index}"))
    cube.CreateSizeAttr(1.0)
    cube.CreateExtentAttr(extent(np.array([[-0.5] * 3, [0.5] * 3])))
    set_pose(cube, shape.position, shape.quaternion)
    cube.AddScaleOp().Set(vec3f(2.0 * shape.size))
    return cube


def _write_convex(stage: Usd.Stage, folder: Sdf.Path, index: int, shape: Shape) -> UsdGeom.Gprim:
    mesh = UsdGeom.Mesh.Define(stage, folder.AppendChild(f"hull_{index}"))
    set_mesh(mesh, shape.mesh)
    collision = UsdPhysics.MeshCollisionAPI.Apply(mesh.GetPrim())
    collision.CreateApproximationAttr(UsdPhysics.Tokens.convexHull)
    return mesh


SHAPE_WRITERS = {
    GeometryType.CAPSULE: _write_capsule,
    GeometryType.BOX: _write_box,
    GeometryType.CONVEX: _write_convex,
}


def set_mesh(mesh: UsdGeom.Mesh, triangles: TriMesh) -> None:
    """Points, faces and the normal of every face."""
    points = triangles.vertices.astype(np.float32)
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(points))
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray([3] * len(triangles.faces)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(np.ascontiguousarray(triangles.faces.reshape(-1))))
    corner = points[triangles.faces]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(np.round(normal, 6)))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.uniform)
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateExtentAttr(extent(np.stack([points.min(axis=0), points.max(axis=0)])))


def set_smooth_mesh(mesh: UsdGeom.Mesh, smooth: SmoothMesh) -> None:
    """Points, faces and the normal of every vertex."""
    points = smooth.vertices.astype(np.float32)
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(points))
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray([3] * len(smooth.faces)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(np.ascontiguousarray(smooth.faces.reshape(-1))))
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(np.round(smooth.normals, 6).astype(np.float32)))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateExtentAttr(extent(np.stack([points.min(axis=0), points.max(axis=0)])))


def set_pose(xform: UsdGeom.Xformable, position: np.ndarray, quaternion: np.ndarray) -> None:
    """Translation and orientation; the quaternion is xyzw."""
    xform.AddTranslateOp().Set(Gf.Vec3d(*(float(v) for v in position)))
    w, x, y, z = quaternion_to_wxyz(quaternion)
    xform.AddOrientOp(UsdGeom.XformOp.PrecisionDouble).Set(Gf.Quatd(w, x, y, z))


def keep_vendor_name(prim: Usd.Prim, vendor_name: str) -> None:
    """Write the vendor's name where it is no legal prim name."""
    if prim.GetName() != vendor_name:
        custom(prim, schema.VENDOR_NAME, Sdf.ValueTypeNames.String, vendor_name)


def custom(prim: Usd.Prim, name: str, kind: Sdf.ValueTypeName, value: object) -> None:
    """An attribute of our own."""
    prim.CreateAttribute(name, kind, True).Set(value)


def plain(prim: Usd.Prim, name: str, kind: Sdf.ValueTypeName, value: object) -> None:
    """An attribute of a schema that may not be registered here."""
    prim.CreateAttribute(name, kind, False).Set(value)


def vec3f(values: np.ndarray) -> Gf.Vec3f:
    """Three numbers as USD has them."""
    return Gf.Vec3f(*(float(v) for v in values))


def quatf(quaternion: np.ndarray) -> Gf.Quatf:
    """A quaternion xyzw as USD has it."""
    return Gf.Quatf(*quaternion_to_wxyz(quaternion))


def extent(bounds: np.ndarray) -> Vt.Vec3fArray:
    """Lowest and highest corner as USD has them."""
    return Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(bounds, dtype=np.float32))
