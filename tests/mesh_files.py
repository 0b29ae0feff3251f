"""Polygon meshes of known volume, and writers of every format that put down exactly what they are given."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "BLOCK", "FRAME", "L_BRACKET", "SHAPES", "WRITERS", "Shape", "glb_document", "write_glb", "write_gltf", "write_obj",
    "write_off", "write_ply", "write_stl_binary", "write_usd",
]  # fmt: skip


class Shape:
    """Vertices [V, 3] m, polygons of any number of corners, and the volume and area that they bound."""

    def __init__(self, vertices: Any, polygons: Sequence[Sequence[int]], volume: float, area: float) -> None:
        self.vertices = np.array(vertices, float)
        self.polygons = [list(polygon) for polygon in polygons]
        self.volume, self.area = volume, area
        self.extent = np.ptp(self.vertices, axis=0)

    @property
    def triangles(self) -> np.ndarray:
        """Fans; right for convex polygons only."""
        return np.array([[p[0], p[i], p[i + 1]] for p in self.polygons for i in range(1, len(p) - 1)])


def prism(
    outline: Sequence[tuple[float, float]], height: float, *, first: int = 0
) -> tuple[np.ndarray, list[list[int]]]:
    """A prism over an outline, its caps polygons that begin at corner ``first``."""
    count = len(outline)
    flat = np.array(outline)
    vertices = np.concatenate([np.column_stack([flat, np.full(count, z)]) for z in (0.0, height)])
    top = [count + (first + i) % count for i in range(count)]
    sides = [[i, (i + 1) % count, count + (i + 1) % count, count + i] for i in range(count)]
    return vertices, [[i - count for i in top[::-1]], top, *sides]


# A cap that begins at corner 2 has a fan of 133 % of its area.
L_OUTLINE = [(0.0, 0.0), (0.08, 0.0), (0.08, 0.02), (0.02, 0.02), (0.02, 0.08), (0.0, 0.08)]
L_BRACKET = Shape(*prism(L_OUTLINE, 0.05, first=2), 0.0028 * 0.05, 2 * 0.0028 + 0.32 * 0.05)
BLOCK = Shape(
    *prism([(0.0, 0.0), (0.06, 0.0), (0.06, 0.05), (0.0, 0.05)], 0.08), 240e-6, 2 * 0.003 + 0.22 * 0.08
)


def _frame() -> Shape:
    """A square frame whose upper and lower face are keyhole polygons: the hole is joined by a slit."""
    outer = [(-0.04, -0.04), (0.04, -0.04), (0.04, 0.04), (-0.04, 0.04)]
    inner = [(-0.02, -0.02), (-0.02, 0.02), (0.02, 0.02), (0.02, -0.02)]
    vertices = [(x, y, z) for z in (0.0, 0.03) for x, y in outer + inner]
    top = [8, 9, 10, 11, 8, 12, 13, 14, 15, 12]
    polygons = [top, [i - 8 for i in top[::-1]]]
    polygons += [[i, (i + 1) % 4, 8 + (i + 1) % 4, 8 + i] for i in range(4)]
    polygons += [[4 + i, 4 + (i + 1) % 4, 12 + (i + 1) % 4, 12 + i] for i in range(4)]
    return Shape(vertices, polygons, 144e-6, 2 * 0.0048 + 0.48 * 0.03)


FRAME = _frame()
SHAPES = {"L bracket": L_BRACKET, "keyhole frame": FRAME, "block": BLOCK}


def write_obj(path: Path, shape: Shape) -> None:
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in shape.vertices]
    lines += ["f " + " ".join(str(i + 1) for i in polygon) for polygon in shape.polygons]
    path.write_text("\n".join(lines) + "\n")


def write_obj_relative(path: Path, shape: Shape) -> None:
    """Each polygon after corners of its own, all by relative indices."""
    lines = []
    for polygon in shape.polygons:
        lines += ["v " + " ".join(f"{value:.9g}" for value in shape.vertices[i]) for i in polygon]
        lines.append("f " + " ".join(f"{i - len(polygon)}//1" for i in range(len(polygon))))
    path.write_text("vn 0 0 1\n" + "\n".join(lines) + "\n")


def write_off(path: Path, shape: Shape) -> None:
    lines = ["OFF # a comment", f"{len(shape.vertices)} {len(shape.polygons)} 0"]
    lines += [f"{x:.9g} {y:.9g} {z:.9g}" for x, y, z in shape.vertices]
    lines += [f"{len(p)} {' '.join(map(str, p))} 255 0 0" for p in shape.polygons]
    path.write_text("\n".join(lines) + "\n")


def write_off_binary(path: Path, shape: Shape) -> None:
    data = struct.pack(">3i", len(shape.vertices), len(shape.polygons), 0)
    data += shape.vertices.astype(">f4").tobytes()
    for number, p in enumerate(shape.polygons):
        colors = [0.5] * (3 * (number % 2))
        data += struct.pack(f">{len(p) + 2}i{len(colors)}f", len(p), *p, len(colors), *colors)
    path.write_bytes(b"OFF BINARY\n" + data)


def write_ply(path: Path, shape: Shape, order: str = "", comment: bytes = b"") -> None:
    """PLY as text, or binary of byte order ``<`` or ``>``."""
    kind = {"": b"ascii", "<": b"binary_little_endian", ">": b"binary_big_endian"}[order]
    header = (
        b"ply\nformat " + kind + b" 1.0\ncomment " + comment + b"\nelement vertex %d\n" % len(shape.vertices)
    )
    header += b"property float x\nproperty float y\nproperty float z\nproperty uchar red\n"
    header += b"element face %d\n" % len(shape.polygons)
    header += b"property uchar flag\nproperty list uchar int vertex_indices\nend_header\n"
    if order:
        body = b"".join(struct.pack(f"{order}3fB", *vertex, 7) for vertex in shape.vertices)
        body += b"".join(struct.pack(f"{order}BB{len(p)}i", 1, len(p), *p) for p in shape.polygons)
    else:
        rows = [f"{x:.9g} {y:.9g} {z:.9g} 7" for x, y, z in shape.vertices]
        rows += [f"1 {len(p)} {' '.join(map(str, p))}" for p in shape.polygons]
        body = ("\n".join(rows) + "\n").encode()
    path.write_bytes(header + body)


def write_usd(path: Path, shape: Shape, *, flip: bool = False) -> None:
    from pxr import Usd, UsdGeom

    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.SetDefaultPrim(UsdGeom.Xform.Define(stage, "/object").GetPrim())
    mesh = UsdGeom.Mesh.Define(stage, "/object/mesh")
    mesh.GetPointsAttr().Set(shape.vertices.tolist())
    mesh.GetFaceVertexCountsAttr().Set([len(p) for p in shape.polygons])
    mesh.GetFaceVertexIndicesAttr().Set([i for p in shape.polygons for i in (p[::-1] if flip else p)])
    if flip:
        mesh.GetOrientationAttr().Set(UsdGeom.Tokens.leftHanded)
    stage.GetRootLayer().Save()


def write_dae(path: Path, shape: Shape) -> None:
    """COLLADA with a material that is missing, half size under a node that mirrors and doubles, in decimetres."""
    points = " ".join(f"{value:.9g}" for value in (shape.vertices * [5.0, 5.0, -5.0]).reshape(-1))
    counts = " ".join(str(len(p)) for p in shape.polygons)
    indices = " ".join(str(i) for p in shape.polygons for i in p[::-1])
    count = len(shape.vertices)
    path.write_text(f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1">
 <asset><unit name="decimetre" meter="0.1"/><up_axis>Z_UP</up_axis></asset>
 <library_images><image id="i"><init_from>../missing.png</init_from></image></library_images>
 <library_geometries><geometry id="g"><mesh>
  <source id="p"><float_array id="a" count="{3 * count}">{points}</float_array><technique_common>
   <accessor source="#a" count="{count}" stride="3"><param name="X" type="float"/><param name="Y" type="float"/>
   <param name="Z" type="float"/></accessor></technique_common></source>
  <vertices id="v"><input semantic="POSITION" source="#p"/></vertices>
  <polylist material="gone" count="{len(shape.polygons)}"><input semantic="VERTEX" source="#v" offset="0"/>
   <vcount>{counts}</vcount><p>{indices}</p></polylist></mesh></geometry></library_geometries>
 <library_visual_scenes><visual_scene id="s"><node><scale>2 2 -2</scale><instance_geometry url="#g"><bind_material>
  <technique_common><instance_material symbol="gone" target="#gone"/></technique_common></bind_material>
  </instance_geometry></node></visual_scene></library_visual_scenes>
 <scene><instance_visual_scene url="#s"/></scene>
</COLLADA>""")


WRITERS: dict[str, tuple[str, Callable[[Path, Shape], None]]] = {
    "obj": (".obj", write_obj),
    "obj relative": (".obj", write_obj_relative),
    "ply": (".ply", write_ply),
    "ply little endian": (".ply", lambda path, shape: write_ply(path, shape, "<")),
    "ply big endian": (".ply", lambda path, shape: write_ply(path, shape, ">")),
    "off": (".off", write_off),
    "off binary": (".off", write_off_binary),
    "usda": (".usda", write_usd),
    "usdc left-handed": (".usdc", lambda path, shape: write_usd(path, shape, flip=True)),
    "dae": (".dae", write_dae),
}


def write_stl_binary(
    path: Path, shape: Shape, *, header: bytes = b"", announced: int | None = None, rest: bytes = b""
) -> None:
    triangles = shape.vertices[shape.triangles]
    data = header.ljust(80, b"\0") + struct.pack("<I", len(triangles) if announced is None else announced)
    for corners in triangles:
        data += struct.pack("<12fH", 0, 0, 0, *corners.reshape(-1), 0)
    path.write_bytes(data + rest)


def glb_document(shape: Shape, **changes: Any) -> tuple[dict[str, Any], bytes]:
    """glTF document of one mesh with 32-bit positions and indices, and its buffer; ``changes`` replace its entries."""
    points = shape.vertices.astype("<f4").tobytes()
    indices = shape.triangles.astype("<u4").tobytes()
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "buffers": [{"byteLength": len(points + indices)}],
        "bufferViews": [
            {"buffer": 0, "byteLength": len(points)},
            {"buffer": 0, "byteOffset": len(points), "byteLength": len(indices)},
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": len(shape.vertices), "type": "VEC3"},
            {"bufferView": 1, "componentType": 5125, "count": shape.triangles.size, "type": "SCALAR"},
        ],
    }  # fmt: skip
    return {**document, **changes}, points + indices


def write_glb(path: Path, document: dict[str, Any], data: bytes) -> None:
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    data += b"\0" * (-len(data) % 4)
    chunks = (
        struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(data), 0x004E4942) + data
    )
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)


def write_gltf(path: Path, document: dict[str, Any], data: bytes, uri: str, file: str | None = None) -> None:
    """A text document whose buffer lies at ``uri``; in ``file`` beside it, if named."""
    document = {**document, "buffers": [{**document["buffers"][0], "uri": uri}]}
    path.write_text(json.dumps(document))
    if file is not None:
        (path.parent / file).write_bytes(data)
