"""Every format gives the shape that its file describes: polygons, encodings, and parts that readers tend to get wrong."""

from __future__ import annotations

import base64
import copy
from pathlib import Path

import numpy as np
import pytest
from mesh_files import (
    BLOCK,
    L_BRACKET,
    SHAPES,
    WRITERS,
    Shape,
    glb_document,
    write_glb,
    write_gltf,
    write_obj,
    write_off,
    write_ply,
    write_stl_binary,
)  # fmt: skip
from test_objects_refused import refuse

from warpgrasp.objects import load_object
from warpgrasp.objects.geometry import face_areas
from warpgrasp.objects.polygons import triangulate_polygons
from warpgrasp.objects.read import read_mesh

FLOAT32 = 2e-6  # relative error of volume and area when every coordinate is rounded to float32


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("name", SHAPES)
def test_polygons_keep_their_area_in_every_format(tmp_path: Path, writer: str, name: str) -> None:
    suffix, write = WRITERS[writer]
    shape = SHAPES[name]
    path = tmp_path / f"object{suffix}"
    write(path, shape)
    model = load_object(path)
    assert model.repairs == ()
    assert model.watertight
    np.testing.assert_allclose(model.volume, shape.volume, rtol=FLOAT32)
    np.testing.assert_allclose(face_areas(model.vertices, model.faces).sum(), shape.area, rtol=FLOAT32)
    np.testing.assert_allclose(model.extent, shape.extent, rtol=FLOAT32)


def test_corners_on_a_straight_side_stay_joined_to_the_neighbours() -> None:
    outline = np.array(
        [[0, 0, 0], [1, 0, 0], [2, 0, 0], [8, 0, 0], [8, 2, 0], [2, 2, 0], [2, 5, 0], [2, 8, 0], [0, 8, 0]],
        float,
    )
    for turn in range(len(outline)):
        faces, crossing = triangulate_polygons(outline, np.array([9]), np.roll(np.arange(9), turn))
        assert crossing == 0
        assert len(faces) == 7
        assert set(faces.reshape(-1)) == set(range(9))  # no corner was skipped as superfluous
        np.testing.assert_allclose(face_areas(outline, faces).sum(), 28.0)


def test_a_large_concave_polygon_takes_no_quadratic_time() -> None:
    angle = np.linspace(0.0, 2.0 * np.pi, 20_000, endpoint=False)
    radius = 1.0 + 0.5 * np.sin(40.0 * angle)
    star = np.column_stack([radius * np.cos(angle), radius * np.sin(angle), 0.0 * angle])
    faces, crossing = triangulate_polygons(star, np.array([len(star)]), np.arange(len(star)))
    x, y = star[:, 0], star[:, 1]
    area = 0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))  # the shoelace formula
    assert crossing == 0
    np.testing.assert_allclose(face_areas(star, faces).sum(), area, rtol=1e-9)


@pytest.mark.parametrize("order", [[0, 2, 1, 3], [0, 2, 4, 1, 3]])
def test_outline_that_crosses_itself_is_said(order: list[int], tmp_path: Path) -> None:
    angle = np.linspace(0.0, 2.0 * np.pi, len(order), endpoint=False)
    corners = np.column_stack([np.cos(angle), np.sin(angle), 0.0 * angle])
    assert triangulate_polygons(corners, np.array([len(order)]), np.array(order))[1] == 1
    crossed = Shape(BLOCK.vertices, [*BLOCK.polygons[:-1], [3, 4, 7, 0]], 0.0, 0.0)
    write_obj(tmp_path / "crossed.obj", crossed)
    assert "1 polygon(s) cross their own outline" in read_mesh(tmp_path / "crossed.obj").notes[0]


def test_obj_of_two_blocks_with_relative_indices(tmp_path: Path) -> None:
    text = ""
    for shift in (0.0, 0.06):  # side by side: one body of double width
        text += "".join(f"v {x + shift:.9g} {y:.9g} {z:.9g}\n" for x, y, z in BLOCK.vertices)
        text += "".join("f " + " ".join(str(i - 8) for i in p) + "\n" for p in BLOCK.polygons)
    (tmp_path / "two.obj").write_text(text)
    model = load_object(tmp_path / "two.obj")
    np.testing.assert_allclose(model.volume, 2.0 * BLOCK.volume, rtol=1e-2)
    np.testing.assert_allclose(model.extent, [0.12, 0.05, 0.08])


def test_obj_details(tmp_path: Path) -> None:
    path = tmp_path / "object.obj"
    write_obj(path, BLOCK)
    lines = path.read_text().splitlines()
    head = "# Gehäuse\nmtllib fehlt ü.mtl\no \xdf\n".encode("latin-1")
    continued = lines[-1].replace(" ", " \\\n ", 1)
    vertices = [line + " 1.0 0.5 0.25" for line in lines if line.startswith("v ")]  # colours
    faces = [line for line in lines if line.startswith("f ")][:-1]
    path.write_bytes(
        head + "\r\n".join([*faces[:2], *vertices, *faces[2:], continued, "l 1 2", "p 1"]).encode()
    )
    model = load_object(path)  # faces may come before their vertices
    assert model.repairs == ()
    np.testing.assert_allclose(model.volume, BLOCK.volume)
    bad = {
        "f 1 2 99": "index out of range (such as 98 of 8",
        "f 0 1 2": "counts from 1",
        "f 1 2 x": "is no face",
    }
    for line, fragment in bad.items():
        path.write_text("\n".join([*lines, line]) + "\n")
        refuse(path, fragment)
    path.write_text("v 0 0\nv 0 1\nv 1 0\nf 1 2 3\n")
    refuse(path, "line 1: a vertex has 2 numbers (3 are needed)")
    path.write_text("\n".join(["v 0,5 1 2", *lines]))
    refuse(path, "holds '0,5', which is no number")


def test_ply_comments_in_any_encoding_and_tristrips(tmp_path: Path) -> None:
    path = tmp_path / "object.ply"
    write_ply(path, L_BRACKET, "<", comment="Gehäuse".encode("latin-1"))
    np.testing.assert_allclose(load_object(path).volume, L_BRACKET.volume, rtol=FLOAT32)
    data = path.read_bytes()
    path.write_bytes(data[:-4])
    refuse(path, "early end-of-file")
    path.write_text(
        "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
        "element tristrips 1\nproperty list int int vertex_indices\nend_header\n"
        "0 0 0\n.08 0 0\n0 .08 0\n0 0 .08\n10 1 0 2 3 -1 2 3 1 0 -1\n"
    )
    model = load_object(path)
    np.testing.assert_allclose(model.volume, 0.08**3 / 6.0, rtol=FLOAT32)
    assert model.repairs == ()  # every second triangle of a strip is wound the other way


def test_off_headers(tmp_path: Path) -> None:
    path = tmp_path / "object.off"
    write_off(path, L_BRACKET)
    body = path.read_text().split("\n", 2)[2]
    for head in ("OFF12 8 0\n", "OFF 12 8 0\n", "COFF\n\n# none\n12 8\n"):
        path.write_text(head + body)
        np.testing.assert_allclose(load_object(path).volume, L_BRACKET.volume)
    path.write_text("OFF\n12 9 0\n" + body)
    refuse(path, "12 vertices and 9 faces", "truncated")
    path.write_text("4OFF\n12 8 0\n" + body)
    refuse(path, "more than three coordinates")


def test_stl_headers_trailing_bytes_and_truncation(tmp_path: Path) -> None:
    path = tmp_path / "object.stl"
    latin = "solid Gehäuse ".encode("latin-1")
    write_stl_binary(path, BLOCK, header=latin)  # binary, whatever its header says
    np.testing.assert_allclose(load_object(path).volume, BLOCK.volume, rtol=FLOAT32)
    write_stl_binary(path, BLOCK, header=latin, rest=b"exporter's note")
    model = load_object(path)
    assert model.repairs == ("15 byte(s) behind the 12 triangles of the STL file were left out.",)
    np.testing.assert_allclose(model.volume, BLOCK.volume, rtol=FLOAT32)
    write_stl_binary(path, BLOCK, announced=20)
    refuse(path, "announces 20 triangles, but only 12 are there", "truncated")
    facets = ""
    for corners in BLOCK.vertices[BLOCK.triangles]:
        rows = "".join(f"VERTEX {x:.9g} {y:.9g} {z:.9g}\n" for x, y, z in corners)
        facets += f"FACET NORMAL 0 0 0\nOUTER LOOP\n{rows}ENDLOOP\nENDFACET\n"
    path.write_bytes(latin + b"\n" + facets.encode() + b"endsolid\n")
    np.testing.assert_allclose(load_object(path).volume, BLOCK.volume)
    path.write_bytes(latin + b"\n" + facets.encode()[:-60])
    refuse(path, "begins 12 facets, but only 11 are complete", "truncated")


def test_gltf_normalised_integers(tmp_path: Path) -> None:
    document, _ = glb_document(BLOCK, nodes=[{"mesh": 0, "scale": [0.08, 0.08, 0.08]}])
    steps = np.round(BLOCK.vertices / 0.08 * 127).astype(np.int8)
    points = np.pad(steps, ((0, 0), (0, 1))).tobytes()  # four bytes a vertex, as the format wants
    indices = BLOCK.triangles.astype("<u4").tobytes()
    document["extensionsRequired"] = ["KHR_mesh_quantization", "KHR_materials_unlit"]
    document["buffers"] = [{"byteLength": len(points + indices)}]
    document["bufferViews"][0].update(byteLength=len(points), byteStride=4)
    document["bufferViews"][1]["byteOffset"] = len(points)
    document["accessors"][0].update(componentType=5120, normalized=True)
    write_glb(tmp_path / "object.glb", document, points + indices)
    model = load_object(tmp_path / "object.glb")
    np.testing.assert_allclose(model.extent, np.ptp(steps, axis=0) / 127 * 0.08)
    np.testing.assert_allclose(model.extent, BLOCK.extent, atol=0.08 / 254)


def test_gltf_sparse_accessor(tmp_path: Path) -> None:
    moved = Shape(BLOCK.vertices.copy(), BLOCK.polygons, 0.0, 0.0)
    moved.vertices[6] = 0.0  # the corner that the sparse values put back
    document, data = glb_document(moved)
    document["bufferViews"] += [
        {"buffer": 0, "byteOffset": len(data), "byteLength": 2},
        {"buffer": 0, "byteOffset": len(data) + 4, "byteLength": 12},
    ]
    where, what = {"bufferView": 2, "componentType": 5123}, {"bufferView": 3}
    document["accessors"][0]["sparse"] = {"count": 1, "indices": where, "values": what}
    data += np.array([6, 0], "<u2").tobytes() + BLOCK.vertices[6].astype("<f4").tobytes()
    document["buffers"] = [{"byteLength": len(data)}]
    write_glb(tmp_path / "object.glb", document, data)
    np.testing.assert_allclose(load_object(tmp_path / "object.glb").volume, BLOCK.volume, rtol=FLOAT32)


def test_gltf_instances_and_nodes(tmp_path: Path) -> None:
    shift = np.array([[0.0, 0.0, 0.0], [0.06, 0.0, 0.0]], "<f4").tobytes()
    document, data = glb_document(BLOCK)
    document["bufferViews"].append({"buffer": 0, "byteOffset": len(data), "byteLength": len(shift)})
    document["accessors"].append({"bufferView": 2, "componentType": 5126, "count": 2, "type": "VEC3"})
    document["buffers"] = [{"byteLength": len(data + shift)}]
    instancing = {"EXT_mesh_gpu_instancing": {"attributes": {"TRANSLATION": 2}}}
    half = np.sqrt(0.5)
    document["nodes"] = [
        {"children": [1], "rotation": [0.0, 0.0, half, half]},  # x to y
        {"mesh": 0, "scale": [-1.0, 1.0, 1.0], "extensions": instancing},
    ]
    document["extensionsRequired"] = ["EXT_mesh_gpu_instancing"]
    write_glb(tmp_path / "object.glb", document, data + shift)
    model = load_object(tmp_path / "object.glb")
    np.testing.assert_allclose(model.volume, 2.0 * BLOCK.volume, rtol=1e-2)
    np.testing.assert_allclose(model.vertices.min(axis=0), [-0.05, -0.12, 0.0], atol=1e-8)
    np.testing.assert_allclose(model.vertices.max(axis=0), [0.0, 0.0, 0.08], atol=1e-8)


@pytest.mark.parametrize(
    "name", ["KHR_draco_mesh_compression", "EXT_meshopt_compression", "ACME_curved_space"]
)
def test_gltf_extension_that_is_required_and_unknown_is_refused_by_name(tmp_path: Path, name: str) -> None:
    document, data = glb_document(BLOCK, extensionsRequired=[name])
    write_glb(tmp_path / "object.glb", document, data)
    refuse(tmp_path / "object.glb", f"needs the glTF extension {name}")


def test_gltf_buffers_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "object.gltf"
    document, data = glb_document(BLOCK)
    for uri, file in (
        ("my%20buffer.bin", "my buffer.bin"),
        ("100%25.bin", "100%.bin"),
        ("plain ü.bin", "plain ü.bin"),
    ):
        write_gltf(path, document, data, uri, file)
        np.testing.assert_allclose(load_object(path).volume, BLOCK.volume, rtol=FLOAT32)
    before = load_object(path).file_hash
    write_gltf(path, document, data + b"more", "plain ü.bin", "plain ü.bin")
    assert load_object(path).file_hash != before  # the buffer is part of the file
    write_gltf(
        path, document, data, "data:application/octet-stream;base64," + base64.b64encode(data).decode()
    )
    np.testing.assert_allclose(load_object(path).volume, BLOCK.volume, rtol=FLOAT32)
    write_gltf(path, document, data, "gone.bin")
    refuse(path, "gone.bin is missing")
    write_gltf(path, document, data[:-8], "short.bin", "short.bin")
    refuse(path, "truncated")


@pytest.mark.parametrize("mode", [5, 6])
def test_gltf_strips_and_fans(tmp_path: Path, mode: int) -> None:
    shape = Shape([[0, 0, 0], [0.08, 0, 0], [0, 0.08, 0], [0, 0, 0.08]], [], 0.08**3 / 6.0, 0.0)
    indices = [1, 0, 2, 3, 1, 0] if mode == 5 else [0, 2, 1, 3, 2]
    primitives = [indices] if mode == 5 else [indices, [1, 2, 3]]
    document, _ = glb_document(BLOCK)
    points = shape.vertices.astype("<f4").tobytes()
    data, views, accessors = points, [{"buffer": 0, "byteLength": len(points)}], []
    for row in primitives:
        views.append({"buffer": 0, "byteOffset": len(data), "byteLength": 4 * len(row)})
        accessors.append(
            {"bufferView": len(views) - 1, "componentType": 5125, "count": len(row), "type": "SCALAR"}
        )
        data += np.array(row, "<u4").tobytes()
    first = copy.deepcopy(document["accessors"][0])
    first["count"] = 4
    document.update(bufferViews=views, accessors=[first, *accessors], buffers=[{"byteLength": len(data)}])
    document["meshes"] = [
        {
            "primitives": [
                {"attributes": {"POSITION": 0}, "indices": 1 + i, "mode": mode}
                for i in range(len(primitives))
            ]
        }
    ]
    write_glb(tmp_path / "object.glb", document, data)
    np.testing.assert_allclose(load_object(tmp_path / "object.glb").volume, shape.volume, rtol=FLOAT32)


def test_urdf_shapes_meshes_and_joints(tmp_path: Path) -> None:
    (tmp_path / "mug description" / "meshes").mkdir(parents=True)
    write_obj(tmp_path / "mug description" / "meshes" / "block.obj", BLOCK)
    path = tmp_path / "mug description" / "object.urdf"
    link = '<link name="{}"><visual><origin xyz="{}" rpy="{}"/><geometry>{}</geometry></visual>{}</link>'
    mesh = '<mesh filename="package://mug description/meshes/block.obj" scale="1 1 -1"/>'
    collision = '<collision><geometry><sphere radius="1"/></geometry></collision>'
    path.write_text(
        '<robot name="o">' + link.format("body", "0 0 0.08", "0 0 0", mesh, collision)
        + link.format("lid", "0 0 0", "0 1.5707963267948966 0", '<box size="0.04 0.05 0.06"/>', "")
        + '<joint name="j" type="fixed"><parent link="body"/><child link="lid"/><origin xyz="0.03 0.025 0.1"/></joint>'
        + "</robot>"
    )  # fmt: skip
    model = load_object(path)
    assert (
        model.repairs[0]
        == "The visual shapes of the URDF are the object; its collision shapes were left out."
    )
    np.testing.assert_allclose(model.extent, [0.06, 0.05, 0.12], rtol=1e-6)
    np.testing.assert_allclose(model.volume, 0.06 * 0.05 * 0.12, rtol=1e-2)
    path.write_text(path.read_text().replace("block.obj", "gone.obj"))
    refuse(path, "gone.obj' is missing")
    path.write_text('<robot name="o"><link name="a"/><link name="b"/></robot>')
    refuse(path, "several objects")
    bomb = '<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {chr(98 + i)} "{("&" + chr(97 + i) + ";") * 10}">' for i in range(12)
    )
    path.write_text(bomb + "]><robot>&m;</robot>")
    refuse(path, "cannot be read as URDF")


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "Git LFS pointer"),
        (b"\n<!DOCTYPE html><html><body>404</body></html>", "HTML page"),
        (b"PK\x03\x04....", "is a ZIP file by its content; unpack it"),
        (b"ply\nformat ascii 1.0\n", "is a PLY file by its content; name it object.ply"),
    ],
)
@pytest.mark.parametrize("suffix", [".obj", ".stl", ".usda", ".glb"])
def test_content_that_is_no_mesh_of_this_kind_is_named(
    tmp_path: Path, content: bytes, fragment: str, suffix: str
) -> None:
    path = tmp_path / f"object{suffix}"
    path.write_bytes(content)
    refuse(path, fragment)
