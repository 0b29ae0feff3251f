"""Read the solid geometry of a USD stage: meshes and gprims, in world space.

Taken are all active, visible prims whose purpose is not guide (nor proxy where something is for rendering): meshes,
cubes, spheres, cylinders, capsules and cones. World transforms, orientation and holes are honoured; of a subdivision
surface the control cage is taken.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pxr import Tf, Usd, UsdGeom, UsdUtils

from warpgrasp.objects.error import ObjectError
from warpgrasp.objects.raw_mesh import Part, RawMesh, merge_parts

__all__ = ["read_usd", "triangulate_polygons"]

CIRCLE_SECTIONS = 64
"""Sides of a tessellated circle; the flat sides lie at most 0.12 % of the radius inside it."""
SPHERE_SUBDIVISIONS = 4
"""Of an icosahedron: 5120 faces."""


def read_usd(path: Path) -> RawMesh:
    """Read all solid geometry of a stage.

    Raises:
        ObjectError: The stage cannot be opened or holds no geometry.
    """
    try:
        stage = Usd.Stage.Open(str(path))
    except Tf.ErrorException as error:
        raise ObjectError(f"{path}: cannot be opened as USD; export the stage again.") from error
    notes: list[str] = []
    unit = float(UsdGeom.GetStageMetersPerUnit(stage))
    if not UsdGeom.StageHasAuthoredMetersPerUnit(stage):
        notes.append(f"The stage states no metersPerUnit, so USD's default of {unit:g} m was used.")
    prims = _solid_prims(stage)
    transforms = UsdGeom.XformCache()
    parts: list[Part] = []
    for prim in prims:
        vertices, faces = _mesh_part(prim, path) if prim.IsA(UsdGeom.Mesh) else _gprim_part(prim)
        matrix = np.array(transforms.GetLocalToWorldTransform(prim))  # row vectors: p_world = [p 1] M
        vertices = vertices @ matrix[:3, :3] + matrix[3, :3]
        mirrored = np.linalg.det(matrix[:3, :3]) < 0.0
        left_handed = UsdGeom.Gprim(prim).GetOrientationAttr().Get() == UsdGeom.Tokens.leftHanded
        # A tessellated gprim is wound outward whatever its orientation says.
        flip = mirrored ^ (left_handed and prim.IsA(UsdGeom.Mesh))
        parts.append((vertices, faces[:, ::-1] if flip else faces))
    vertices, faces = merge_parts(parts)
    if len(faces) == 0:
        if any(prim.IsA(UsdGeom.Points) for prim in stage.Traverse()):
            raise ObjectError(
                f"{path}: holds a point cloud and no triangle; reconstruct a surface mesh first."
            )
        missing = UsdUtils.ComputeAllDependencies(str(path))[2]
        if missing:
            raise ObjectError(
                f"{path}: its meshes lie in {missing[0]}, which is missing; put that file back."
            )
        raise ObjectError(
            f"{path}: holds no visible Mesh or solid gprim (0 faces); export the geometry with it."
        )
    return RawMesh(vertices, faces, unit, _stage_hash(stage), tuple(notes))


def _solid_prims(stage: Usd.Stage) -> list[Any]:
    """Prims that make up the object."""
    kinds = (UsdGeom.Mesh, UsdGeom.Cube, UsdGeom.Sphere, UsdGeom.Cylinder, UsdGeom.Capsule, UsdGeom.Cone)
    by_purpose: dict[str, list[Any]] = {"default": [], "render": [], "proxy": [], "guide": []}
    for prim in Usd.PrimRange(stage.GetPseudoRoot(), Usd.TraverseInstanceProxies()):
        if any(prim.IsA(kind) for kind in kinds):
            image = UsdGeom.Imageable(prim)
            if image.ComputeVisibility() != UsdGeom.Tokens.invisible:
                by_purpose[str(image.ComputePurpose())].append(prim)
    detailed = by_purpose["default"] + by_purpose["render"]
    # A proxy stands for render geometry; both together would be two overlapping objects.
    return detailed if by_purpose["render"] else detailed + by_purpose["proxy"]


def _mesh_part(prim: Any, path: Path) -> Part:
    mesh = UsdGeom.Mesh(prim)
    vertices = np.array(mesh.GetPointsAttr().Get() or [], np.float64).reshape(-1, 3)
    counts = np.array(mesh.GetFaceVertexCountsAttr().Get() or [], np.int64)
    indices = np.array(mesh.GetFaceVertexIndicesAttr().Get() or [], np.int64)
    if counts.sum() != len(indices) or (
        len(indices) and not 0 <= indices.min() <= indices.max() < len(vertices)
    ):
        raise ObjectError(
            f"{path}: the mesh {prim.GetPath()} has {len(indices)} face-vertex indices for {counts.sum()} corners and "
            f"{len(vertices)} points, which do not fit; export the mesh again."
        )
    holes = np.array(mesh.GetHoleIndicesAttr().Get() or [], np.int64)
    if len(holes):
        solid = ~np.isin(np.arange(len(counts)), holes)
        indices, counts = indices[np.repeat(solid, counts)], counts[solid]
    return vertices, triangulate_polygons(vertices, counts, indices)


def triangulate_polygons(
    vertices: NDArray[np.float64], counts: NDArray[np.int64], indices: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Triangles of planar polygons: convex ones as fans, the others by cutting ears; fewer than 3 corners are skipped.

    Args:
        vertices: Shape [V, 3].
        counts: Corners of each polygon, shape [P].
        indices: Vertex of each corner, shape [sum of counts].

    Returns:
        Vertex indices, shape [F, 3].
    """
    start = np.cumsum(counts) - counts
    triangles = [np.empty((0, 3), np.int64)]
    for count in np.unique(counts[counts >= 3]):
        polygons = indices[start[counts == count][:, None] + np.arange(count)]
        corner = vertices[polygons]
        edge = np.roll(corner, -1, axis=1) - corner
        turn = np.cross(np.roll(edge, 1, axis=1), edge)
        normal = np.cross(corner - corner[:, :1], np.roll(corner, -1, axis=1) - corner[:, :1]).sum(axis=1)
        convex = np.all(np.einsum("pki,pi->pk", turn, normal) >= 0.0, axis=1)
        fan = np.stack([np.zeros(count - 2, np.int64), np.arange(1, count - 1), np.arange(2, count)], axis=1)
        triangles.append(polygons[convex][:, fan].reshape(-1, 3))
        for polygon, axis in zip(polygons[~convex], normal[~convex], strict=True):
            triangles.append(polygon[_cut_ears(vertices[polygon], axis)])
    return np.concatenate(triangles)


def _cut_ears(corners: NDArray[np.float64], normal: NDArray[np.float64]) -> NDArray[np.int64]:
    """Triangulate one concave polygon [K, 3] about its area vector; corner indices [K - 2, 3]."""
    kept = list(np.argsort(np.abs(normal))[:2])  # project along the dominant axis
    flat = corners[:, sorted(kept)]
    sign = np.sign(normal[np.argmax(np.abs(normal))]) * (-1.0 if np.argmax(np.abs(normal)) == 1 else 1.0)

    def side(a: int, b: int, c: int) -> float:
        (ax, ay), (bx, by), (cx, cy) = flat[a], flat[b], flat[c]
        return float(sign * ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)))

    remaining, triangles = list(range(len(corners))), []
    while len(remaining) > 3:
        for position, middle in enumerate(remaining):
            before, after = remaining[position - 1], remaining[(position + 1) % len(remaining)]
            others = (other for other in remaining if other not in (before, middle, after))
            if side(before, middle, after) > 0.0 and not any(
                side(before, middle, o) >= 0.0
                and side(middle, after, o) >= 0.0
                and side(after, before, o) >= 0.0
                for o in others
            ):
                break
        else:  # a self-crossing polygon has no ear left: cut any corner, the area vector stays right
            before, middle, after = remaining[-1], remaining[0], remaining[1]
        triangles.append((before, middle, after))
        remaining.remove(middle)
    return np.array([*triangles, tuple(remaining)])


def _gprim_part(prim: Any) -> Part:
    """Tessellate a cube, sphere, cylinder, capsule or cone about its own axis."""
    import trimesh

    def value(name: str) -> Any:
        return prim.GetAttribute(name).Get()

    if prim.IsA(UsdGeom.Cube):
        shape = trimesh.creation.box(extents=[value("size")] * 3)
    elif prim.IsA(UsdGeom.Sphere):
        shape = trimesh.creation.icosphere(subdivisions=SPHERE_SUBDIVISIONS, radius=value("radius"))
    else:
        radius, height = value("radius"), value("height")
        if prim.IsA(UsdGeom.Cylinder):
            shape = trimesh.creation.cylinder(radius=radius, height=height, sections=CIRCLE_SECTIONS)
        elif prim.IsA(UsdGeom.Capsule):
            count = [CIRCLE_SECTIONS, CIRCLE_SECTIONS]
            shape = trimesh.creation.capsule(radius=radius, height=height, count=count)
        else:
            shape = trimesh.creation.cone(radius=radius, height=height, sections=CIRCLE_SECTIONS)
            shape.vertices[:, 2] -= 0.5 * height  # trimesh stands a cone on the origin, USD centres it
    vertices, faces = np.array(shape.vertices, np.float64), np.array(shape.faces, np.int64)
    # Cyclic permutations of the coordinates turn z into x or y and keep the winding.
    shift = {"X": 1, "Y": 2}.get(str(value("axis")) if prim.HasAttribute("axis") else "Z", 0)
    return np.roll(vertices, shift, axis=1), faces


def _stage_hash(stage: Usd.Stage) -> str:
    """SHA-256 of the files of all layers that the stage composes, root layer first, the others by name."""
    root = stage.GetRootLayer().realPath
    others = sorted({layer.realPath for layer in stage.GetUsedLayers() if layer.realPath} - {root})
    digest = hashlib.sha256()
    for name in [root, *others]:
        file = Path(name.split("[")[0])  # layers inside a package are named package.usdz[layer.usdc]
        if file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()
