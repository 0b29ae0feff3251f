"""Objects from USD: transforms, units, handedness, primitives, purposes, instances and concave polygons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from object_factory import asymmetric_shape
from pxr import Gf, Usd, UsdGeom

from warpgrasp.objects import ObjectError, load_object
from warpgrasp.objects.polygons import triangulate_polygons


def write_usd_mesh(
    path: Path, shape: trimesh.Trimesh, *, unit: float | None, left_handed: bool = False
) -> None:
    """``shape`` under two nested transforms: a translation with rotation, and a mirroring scale."""
    stage = Usd.Stage.CreateNew(str(path))
    if unit is not None:
        UsdGeom.SetStageMetersPerUnit(stage, unit)
    outer = UsdGeom.Xform.Define(stage, "/outer")
    outer.AddTranslateOp().Set(Gf.Vec3d(1.0, -2.0, 3.0))
    outer.AddRotateXYZOp().Set(Gf.Vec3f(20.0, 35.0, -50.0))
    inner = UsdGeom.Xform.Define(stage, "/outer/inner")
    inner.AddScaleOp().Set(Gf.Vec3f(2.0, 3.0, -1.0))
    mesh = UsdGeom.Mesh.Define(stage, "/outer/inner/mesh")
    mesh.GetPointsAttr().Set(shape.vertices.tolist())
    mesh.GetFaceVertexCountsAttr().Set([3] * len(shape.faces))
    faces = shape.faces[:, ::-1] if left_handed else shape.faces
    mesh.GetFaceVertexIndicesAttr().Set(faces.ravel().tolist())
    if left_handed:
        mesh.GetOrientationAttr().Set(UsdGeom.Tokens.leftHanded)
    stage.GetRootLayer().Save()


@pytest.mark.parametrize("suffix", ["usd", "usda", "usdc"])
@pytest.mark.parametrize("left_handed", [False, True])
def test_usd_transform_unit_and_handedness(tmp_path: Path, suffix: str, left_handed: bool) -> None:
    shape = asymmetric_shape()
    shape.apply_scale(100.0)  # centimetres
    path = tmp_path / f"shape.{suffix}"
    write_usd_mesh(path, shape, unit=0.01, left_handed=left_handed)
    model = load_object(path, scale=0.5)

    def rotation(axis: int, degrees: float) -> np.ndarray:
        return trimesh.transformations.rotation_matrix(np.radians(degrees), np.eye(3)[axis])[:3, :3]

    turn = rotation(2, -50.0) @ rotation(1, 35.0) @ rotation(0, 20.0)
    world = ((shape.vertices * [2.0, 3.0, -1.0]) @ turn.T + [1.0, -2.0, 3.0]) * 0.01 * 0.5
    assert model.repairs == ()  # neither mirroring nor the left hand turned the faces
    assert (model.scale, model.meters_per_unit) == (0.5, 0.01)
    np.testing.assert_allclose(np.sort(model.vertices, axis=0), np.sort(world, axis=0), atol=1e-8)
    np.testing.assert_allclose(model.volume, 6.0 * shape.volume * 0.005**3, rtol=1e-6)


def test_usd_without_unit_says_that_the_default_was_used(tmp_path: Path) -> None:
    path = tmp_path / "shape.usda"
    shape = asymmetric_shape()
    shape.apply_scale(100.0)
    write_usd_mesh(path, shape, unit=None)
    assert load_object(path).repairs == (
        "The stage states no metersPerUnit, so USD's default of 0.01 m was used.",
    )


@pytest.mark.parametrize(
    ("kind", "volume", "center_x", "tolerance"),
    [
        ("Cube", 8.0, 0.0, 1e-12),
        ("Sphere", 4.0 / 3.0 * np.pi, 0.0, 3e-3),
        ("Cylinder", 2.0 * np.pi, 0.0, 2e-3),
        ("Capsule", np.pi / 4.0 + np.pi / 6.0, 0.0, 5e-3),
        ("Cone", 2.0 * np.pi / 3.0, -0.5, 2e-3),
    ],
)
def test_usd_gprims_stand_on_their_axis(
    tmp_path: Path, kind: str, volume: float, center_x: float, tolerance: float
) -> None:
    path = tmp_path / "gprim.usda"
    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageMetersPerUnit(stage, 0.04)
    prim = getattr(UsdGeom, kind).Define(stage, "/shape")
    if kind not in ("Cube", "Sphere"):
        prim.GetAxisAttr().Set("X")
    prim.GetOrientationAttr().Set(UsdGeom.Tokens.leftHanded)  # must not turn a gprim inside out
    stage.GetRootLayer().Save()
    model = load_object(path)
    assert model.repairs == ()
    np.testing.assert_allclose(model.volume, volume * 0.04**3, rtol=tolerance)
    np.testing.assert_allclose(model.center_of_mass, [center_x * 0.04, 0.0, 0.0], atol=1e-9)


def test_usd_takes_render_geometry_once_and_instances_too(tmp_path: Path) -> None:
    path = tmp_path / "scene.usda"
    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageMetersPerUnit(stage, 0.05)
    prototype = stage.CreateClassPrim("/prototype")
    UsdGeom.Cube.Define(stage, "/prototype/cube")
    instance = stage.DefinePrim("/instance")
    instance.GetReferences().AddInternalReference(prototype.GetPath())
    instance.SetInstanceable(True)
    for name, purpose in (("guide", "guide"), ("proxy", "proxy")):
        cube = UsdGeom.Cube.Define(stage, f"/{name}")
        cube.GetSizeAttr().Set(5.0)
        cube.GetPurposeAttr().Set(purpose)
    hidden = UsdGeom.Cube.Define(stage, "/hidden")
    hidden.GetSizeAttr().Set(5.0)
    hidden.MakeInvisible()
    UsdGeom.Cube.Define(stage, "/render").GetPurposeAttr().Set("render")
    UsdGeom.XformCommonAPI(stage.GetPrimAtPath("/render")).SetTranslate((1.5, 0.0, 0.0))
    stage.GetRootLayer().Save()
    np.testing.assert_allclose(load_object(path).extent, [3.5 * 0.05, 0.1, 0.1], rtol=1e-6)


def test_concave_polygons_are_cut_into_ears() -> None:
    outline = np.array(
        [[0, 0], [4, 0], [4, 3], [3, 3], [3, 1], [1, 1], [1, 3], [0, 3]], float
    )  # a U of area 8
    indices = np.arange(len(outline))
    for axes, order in (
        ([0, 1], indices),
        ([1, 2], indices),
        ([0, 2], indices[::-1]),
        ([0, 1], np.roll(indices, 3)),
    ):
        vertices = np.zeros((len(outline), 3))
        vertices[:, axes] = outline
        faces, _ = triangulate_polygons(vertices, np.array([len(outline)]), order)
        corners = vertices[faces][:, :, axes]
        a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        areas = 0.5 * (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
        orientation = -1.0 if order[0] > order[1] else 1.0
        assert len(faces) == 6
        assert np.all(areas * orientation > 0.0)
        assert abs(areas.sum()) == pytest.approx(8.0)


CUBE = """
        def Cube "{name}" {{
            double size = {size}
            double3 xformOp:translate = ({x}, 0, 0)
            uniform token[] xformOpOrder = ["xformOp:translate"]
        }}
"""


def stage_file(path: Path, body: str, *, head: str = 'defaultPrim = "o"') -> Path:
    # Statements stand on lines of their own.
    body = body.replace("{ ", "{\n").replace(" }", "\n}").replace("} ", "}\n")
    path.write_text(f"#usda 1.0\n(\n    {head}\n    metersPerUnit = 1\n)\n{body}")
    return path


def test_point_instancer_with_a_rotation_and_a_prototype_of_its_own_transform(tmp_path: Path) -> None:
    inner = CUBE.format(name="cube", size=0.04, x=0.02)
    path = stage_file(
        tmp_path / "pair.usda",
        f"""def Xform "o" {{
    def PointInstancer "pair" {{
        point3f[] positions = [(0, 0, 0), (0, 0, 0), (5, 0, 0)]
        quath[] orientations = [(1, 0, 0, 0), (0, 0, 0, 1), (1, 0, 0, 0)]
        int[] protoIndices = [0, 0, 0]
        int64[] invisibleIds = [2]
        rel prototypes = </o/pair/proto>
        def Xform "proto" {{ {inner} }}
    }}
}}""",
    )
    model = load_object(path)  # one cube to either side of the origin, they share a face
    np.testing.assert_allclose(model.extent, [0.08, 0.04, 0.04], rtol=1e-6)
    np.testing.assert_allclose(model.vertices.min(axis=0), [-0.04, -0.02, -0.02], atol=1e-8)
    np.testing.assert_allclose(model.volume, 2.0 * 0.04**3, rtol=1e-2)
    broken = path.read_text().replace("protoIndices = [0, 0, 0]", "protoIndices = [0, 0, 1]")
    path.write_text(broken)
    with pytest.raises(ObjectError, match="which do not fit"):
        load_object(path)


def test_point_instancer_that_places_itself_is_refused(tmp_path: Path) -> None:
    path = stage_file(
        tmp_path / "loop.usda",
        """def Xform "o" {
    def PointInstancer "i" {
        point3f[] positions = [(0, 0, 0)]
        int[] protoIndices = [0]
        rel prototypes = </o>
    }
}""",
    )
    with pytest.raises(ObjectError, match="places itself"):
        load_object(path)


def test_animated_transforms_and_points_count_at_their_first_sample(tmp_path: Path) -> None:
    body = CUBE.format(name="cube", size=0.05, x=0).replace(
        "double3 xformOp:translate = (0, 0, 0)",
        "double3 xformOp:translate.timeSamples = { 3: (0.2, 0, 0), 7: (0.5, 0, 0) }",
    )
    model = load_object(stage_file(tmp_path / "moving.usda", f'def Xform "o" {{ {body} }}'))
    assert model.repairs == ("1 shape(s) move over time: taken at the earliest time sample.",)
    np.testing.assert_allclose(model.center_of_mass, [0.2, 0.0, 0.0], atol=1e-7)


def test_the_default_prim_is_the_object(tmp_path: Path) -> None:
    ground = 'def Xform "ground" {' + CUBE.format(name="plate", size=1.0, x=0) + "}"
    cube = CUBE.format(name="cube", size=0.05, x=0)
    model = load_object(stage_file(tmp_path / "scene.usda", f'def Xform "o" {{ {cube} }}\n{ground}'))
    assert model.repairs == ("1 shape(s) outside the default prim /o were left out.",)
    np.testing.assert_allclose(model.extent, 0.05)
    path = stage_file(tmp_path / "empty.usda", f'def Xform "o" {{ }}\ndef Xform "p" {{ {cube} }}')
    (note,) = load_object(path).repairs
    assert note == "The default prim /o holds no geometry, so that of the whole stage was taken."
    path = stage_file(tmp_path / "absent.usda", f'def Xform "p" {{ {cube} }}')
    assert load_object(path).repairs == (
        "The default prim 'o' does not exist, so all geometry of the stage was taken.",
    )


@pytest.mark.parametrize(
    ("metadata", "file"),
    [
        ("references = @./gone.usda@", "gone.usda"),
        ("payload = @./gone.usdc@</x>", "gone.usdc"),
        ("references = @./page.usda@", "page.usda"),
    ],
)
def test_a_reference_that_is_missing_is_refused_by_its_name(
    tmp_path: Path, metadata: str, file: str, capfd: Any
) -> None:
    (tmp_path / "page.usda").write_text("<html>404</html>")
    cube = CUBE.format(name="cube", size=0.05, x=0)
    part = f'def "part" ( {metadata} ) {{ }}'
    path = stage_file(tmp_path / "half.usda", f'def Xform "o" {{ {cube} {part} }}')
    with pytest.raises(ObjectError, match=rf"refers to .*{file}, which is missing or no USD file"):
        load_object(path)
    assert capfd.readouterr() == ("", "")  # the sentence is all there is to say
    outside = stage_file(tmp_path / "outside.usda", f'def Xform "o" {{ {cube} }}\n{part}')
    np.testing.assert_allclose(load_object(outside).extent, 0.05)
    layer = stage_file(
        tmp_path / "layer.usda",
        f'def Xform "o" {{ {cube} }}',
        head='defaultPrim = "o"\nsubLayers = [@./sub.usda@]',
    )
    with pytest.raises(ObjectError, match=r"refers to .*sub\.usda, which is missing"):
        load_object(layer)


COLLIDER = 'prepend apiSchemas = ["PhysicsCollisionAPI"]'


@pytest.mark.parametrize(
    ("scope", "size", "metadata"),
    [
        ("hull", 0.052, COLLIDER),  # a coincident hull
        ("collisions", 0.09, ""),  # the layout of Isaac Sim's importers
        ("collisions", 0.09, COLLIDER),
    ],
)
def test_colliders_beside_the_visible_shape_are_not_part_of_it(
    tmp_path: Path, scope: str, size: float, metadata: str
) -> None:
    visual, collider = CUBE.format(name="cube", size=0.05, x=0), CUBE.format(name="cube", size=size, x=0)
    collider = collider.replace('"cube" {', f'"cube" ( {metadata} ) {{') if metadata else collider
    body = f'def Xform "o" {{ def Xform "visuals" {{ {visual} }} def Xform "{scope}" {{ {collider} }} }}'
    model = load_object(stage_file(tmp_path / "object.usda", body))
    np.testing.assert_allclose(model.extent, 0.05)
    assert model.repairs == ("1 collider(s) beside the visible shape were left out.",)


def test_a_colliding_body_with_a_handle_that_does_not_collide_is_one_object(tmp_path: Path) -> None:
    body = CUBE.format(name="body", size=0.06, x=0).replace('"body" {', f'"body" ( {COLLIDER} ) {{')
    body += CUBE.format(name="handle", size=0.03, x=0.04)
    model = load_object(stage_file(tmp_path / "object.usda", f'def Xform "o" {{ {body} }}'))
    np.testing.assert_allclose(model.extent, [0.085, 0.06, 0.06], rtol=1e-6)
    only = CUBE.format(name="body", size=0.06, x=0).replace('"body" {', f'"body" ( {COLLIDER} ) {{')
    model = load_object(stage_file(tmp_path / "only.usda", f'def Xform "o" {{ {only} }}'))
    np.testing.assert_allclose(model.extent, 0.06)


def test_solids_that_are_not_read_are_refused_by_name(tmp_path: Path) -> None:
    cube = CUBE.format(name="cube", size=0.05, x=0)
    path = stage_file(tmp_path / "tet.usda", f'def Xform "o" {{ {cube} def TetMesh "jelly" {{ }} }}')
    with pytest.raises(ObjectError, match="/o/jelly is a TetMesh, which is not read"):
        load_object(path)
    path = stage_file(tmp_path / "curve.usda", f'def Xform "o" {{ {cube} def BasisCurves "hair" {{ }} }}')
    assert load_object(path).repairs == ("1 prim(s) of type BasisCurves were left out.",)
