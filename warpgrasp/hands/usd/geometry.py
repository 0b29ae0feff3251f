"""Collision geometry and mass of the rigid bodies of a USD hand."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from pxr import Usd, UsdGeom, UsdPhysics

from warpgrasp.geometry.rotations import (
    matrix_to_quaternion,
    multiply_quaternions,
    quaternion_between,
    quaternion_from_wxyz,
    quaternion_to_matrix,
)
from warpgrasp.geometry.shapes import (
    MassProperties,
    Shape,
    box_shape,
    capsule_shape,
    convex_shape,
    solid_mass,
)
from warpgrasp.hands.usd.stage import Body, HandStage, attribute, split_affine

__all__ = ["mesh_in_body", "read_mass", "read_shapes", "uniform_scale"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]

_AXES = {"X": (1.0, 0.0, 0.0), "Y": (0.0, 1.0, 0.0), "Z": (0.0, 0.0, 1.0)}


def read_shapes(hand: HandStage) -> list[tuple[Body, Shape]]:
    """Collision shapes in stage order, each with the body that carries it, in the body's frame and metres."""
    shapes = []
    for prim in hand.prims():
        if not prim.HasAPI(UsdPhysics.CollisionAPI):
            continue
        if UsdPhysics.CollisionAPI(prim).GetCollisionEnabledAttr().Get() is False:
            continue
        body = hand.body_of(prim)
        if body is not None:  # a collider without a body belongs to the surroundings
            shapes.append((body, _read_shape(hand, prim, body)))
    return shapes


def read_mass(hand: HandStage, body: Body, shapes: list[Shape]) -> MassProperties:
    """Mass properties in the link frame. What the file leaves open follows from the geometry at the stated mass."""
    api = UsdPhysics.MassAPI(body.prim)
    mass = hand.mass * float(attribute(body.prim, "physics:mass") or 0.0)  # type: ignore[arg-type]
    if mass <= 0.0:
        raise ValueError(f"rigid body {body.path} has no mass (got {mass:g} kg); author physics:mass > 0")
    center = api.GetCenterOfMassAttr().Get()
    moments = api.GetDiagonalInertiaAttr().Get()
    has_center = center is not None and all(math.isfinite(v) for v in center)
    has_inertia = moments is not None and all(v > 0.0 for v in moments)
    solid: MassProperties | None = None
    if not (has_center and has_inertia):
        if not shapes:
            raise ValueError(
                f"rigid body {body.path} has neither collision geometry nor physics:centerOfMass and "
                "physics:diagonalInertia; author them"
            )
        solid = solid_mass(mass, shapes)
    where = (
        hand.length * body.scale * np.array(center, dtype=np.float64)
        if has_center
        else _known(solid).center_of_mass
    )
    if not has_inertia:
        return MassProperties(mass, where, _known(solid).inertia)
    axes = api.GetPrincipalAxesAttr().Get()
    identity = (1.0, 0.0, 0.0, 0.0)
    wxyz = identity if axes is None else (axes.GetReal(), *axes.GetImaginary())
    # a zero quaternion is the schema's way to say "not authored"
    turn = quaternion_to_matrix(quaternion_from_wxyz(wxyz if any(wxyz) else identity))
    diagonal = hand.mass * hand.length**2 * np.array(moments, dtype=np.float64)
    return MassProperties(mass, where, turn @ np.diag(diagonal) @ turn.T)


def mesh_in_body(hand: HandStage, prim: Usd.Prim, body: Body) -> tuple[FloatArray, IntArray]:
    """Triangulated Mesh prim: vertices [V, 3] m in the body's frame and faces [F, 3] wound outward."""
    mesh = UsdGeom.Mesh(prim)
    points = mesh.GetPointsAttr().Get()
    counts = mesh.GetFaceVertexCountsAttr().Get()
    indices = mesh.GetFaceVertexIndicesAttr().Get()
    if not points or not counts or not indices:
        raise ValueError(f"mesh {prim.GetPath()} has no points or faces; author them or remove the prim")
    matrix = hand.matrix_in_body(prim, body)
    vertices = np.array(points, dtype=np.float64) @ matrix[:, :3].T + matrix[:, 3]
    corner = np.array(indices, dtype=np.int32)
    faces = []
    start = 0
    for number in counts:
        faces += [(corner[start], corner[start + k], corner[start + k + 1]) for k in range(1, number - 1)]
        start += number
    triangles = np.array(faces, dtype=np.int32)
    left_handed = mesh.GetOrientationAttr().Get() == UsdGeom.Tokens.leftHanded
    if left_handed != (np.linalg.det(matrix[:, :3]) < 0.0):
        triangles = triangles[:, ::-1].copy()
    return vertices, triangles


def uniform_scale(scale: FloatArray, prim: Usd.Prim) -> float:
    """The one factor of a uniform scale (mirrors do not matter to round shapes)."""
    size = np.abs(scale)
    if size.max() - size.min() > 1e-4 * size.max():
        raise ValueError(
            f"{prim.GetPath()} is a {prim.GetTypeName()} under the non-uniform scale {size.tolist()}; "
            "scale it uniformly or use a Mesh with convexHull approximation"
        )
    return float(size.mean())


def _read_shape(hand: HandStage, prim: Usd.Prim, body: Body) -> Shape:
    where = str(prim.GetPath())
    if prim.IsA(UsdGeom.Mesh):
        approximation = str(attribute(prim, "physics:approximation") or "none")
        if approximation != UsdPhysics.Tokens.convexHull:
            raise ValueError(
                f"collision mesh {where} has approximation '{approximation}'; split it into convex pieces and set "
                "physics:approximation = 'convexHull' on each"
            )
        try:
            return convex_shape(mesh_in_body(hand, prim, body)[0])
        except ValueError as error:
            raise ValueError(f"collision mesh {where}: {error}") from error
    matrix = hand.matrix_in_body(prim, body)
    rotation, scale = split_affine(matrix[:, :3], where)
    turn = matrix_to_quaternion(rotation)
    if prim.IsA(UsdGeom.Cube):
        half = 0.5 * float(UsdGeom.Cube(prim).GetSizeAttr().Get()) * np.abs(scale)
        return box_shape(half, matrix[:, 3], turn)
    if prim.IsA(UsdGeom.Sphere):
        radius = float(UsdGeom.Sphere(prim).GetRadiusAttr().Get()) * uniform_scale(scale, prim)
        return capsule_shape(radius, 0.0, matrix[:, 3], turn)
    if prim.IsA(UsdGeom.Capsule):
        capsule = UsdGeom.Capsule(prim)
        factor = uniform_scale(scale, prim)
        along = quaternion_between((0.0, 0.0, 1.0), _AXES[str(capsule.GetAxisAttr().Get())])
        radius = factor * float(capsule.GetRadiusAttr().Get())
        half_length = 0.5 * factor * float(capsule.GetHeightAttr().Get())
        return capsule_shape(radius, half_length, matrix[:, 3], multiply_quaternions(turn, along))
    raise ValueError(
        f"collision prim {where} is a {prim.GetTypeName() or 'prim without a type'}, which is not supported; "
        "use Capsule, Sphere, Cube or a Mesh with convexHull approximation"
    )


def _known(solid: MassProperties | None) -> MassProperties:
    assert solid is not None
    return solid
