"""``python -m warpgrasp.objects``: assets that synthesis, evaluation and simulators read as the same solid."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from object_asset_cases import no_decomposition, write_l
from pxr import Gf, Usd, UsdGeom, UsdPhysics, UsdShade

from warpgrasp.grasps.usd_assets import object_asset
from warpgrasp.objects import ObjectError, ObjectModel, load_object, target_scale
from warpgrasp.objects import convex_pieces as pieces_module
from warpgrasp.objects.__main__ import main
from warpgrasp.objects.assets import AssetConfig, asset_names, make_object_asset, mesh_files
from warpgrasp.objects.convex_pieces import convex_pieces
from warpgrasp.objects.usd_write import gf_quatf_wxyz_of_axes

autouse = pytest.fixture(autouse=True)(no_decomposition)


def test_axes_border_puts_the_real_part_first() -> None:
    angle = 0.8
    axes = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    quaternion = gf_quatf_wxyz_of_axes(axes)
    assert quaternion.GetReal() == pytest.approx(np.cos(0.4))
    assert tuple(quaternion.GetImaginary()) == pytest.approx((0.0, 0.0, np.sin(0.4)))


@pytest.mark.parametrize("suffix", [".usda", ".usdc"])
def test_asset_is_the_same_solid_for_the_synthesis(suffix: str, tmp_path: Path) -> None:
    source = write_l(tmp_path)
    report = make_object_asset(source, tmp_path / "out", config=AssetConfig(suffix=suffix))
    asset, model = load_object(report.path), load_object(source)
    # USD holds float32: the geometry is that of the mesh, rounded, and nothing of the pieces is in it.
    np.testing.assert_array_equal(asset.vertices, model.vertices.astype(np.float32))
    np.testing.assert_array_equal(asset.faces, model.faces)
    assert asset.repairs == ()
    assert asset.watertight
    assert asset.mesh_hash == report.mesh_hash
    again = make_object_asset(report.path, tmp_path / "again", config=AssetConfig(suffix=suffix))
    assert again.mesh_hash == report.mesh_hash
    np.testing.assert_allclose(asset.volume, 0.04 * (0.06 * 0.02 + 0.02 * 0.03), rtol=1e-6)


def test_asset_of_a_shared_or_shipped_object_is_the_same_solid(tmp_path: Path) -> None:
    from warpgrasp.objects import example_object_path

    source = example_object_path("bottle")
    report = make_object_asset(source, tmp_path)
    assert report.mesh_hash == load_object(source).mesh_hash


def test_long_arrays_lie_in_a_crate_file_beside_the_text(tmp_path: Path, capsys: Any) -> None:
    source = tmp_path / "ball.stl"
    trimesh.creation.icosphere(subdivisions=2, radius=0.03).export(source)
    report = make_object_asset(source, tmp_path / "out")
    path = Path(report.path)
    (layer,) = path.parent.glob("*.usdc")
    assert re.fullmatch(r"ball_meshes_[0-9a-f]{8}\.usdc", layer.name)
    assert {file.name for file in path.parent.iterdir()} == {"ball.usda", layer.name}
    assert len(path.read_text()) < 4000
    assert mesh_files([path.parent]) == [path]  # the layer is a part of the asset, no object of its own
    binary = make_object_asset(source, tmp_path / "binary", config=AssetConfig(suffix=".usdc"))
    assert binary.mesh_hash == report.mesh_hash == load_object(path).mesh_hash
    assert [file.name for file in (tmp_path / "binary").iterdir()] == ["ball.usdc"]
    layer.unlink()
    with pytest.raises(ObjectError, match=r"refers to .*ball_meshes_.*\.usdc, which is missing"):
        load_object(path)


def test_text_files_with_their_arrays_inside_still_load(tmp_path: Path) -> None:
    """Assets made before: one text file, no normals."""
    report = make_object_asset(write_l(tmp_path), tmp_path / "out")
    stage = Usd.Stage.Open(report.path)
    for prim in stage.Traverse():
        prim.RemoveProperty("normals")
    stage.Flatten().Export(str(tmp_path / "old.usda"))
    assert load_object(tmp_path / "old.usda").mesh_hash == report.mesh_hash


def test_every_mesh_has_normals_and_creases_stay_sharp(tmp_path: Path) -> None:
    stage = Usd.Stage.Open(make_object_asset(write_l(tmp_path), tmp_path / "out").path)
    everything = stage.Traverse(Usd.TraverseInstanceProxies())
    meshes = [UsdGeom.Mesh(prim) for prim in everything if prim.IsA(UsdGeom.Mesh)]
    assert len(meshes) == 3
    for mesh in meshes:
        assert mesh.GetNormalsInterpolation() == UsdGeom.Tokens.faceVarying
        corners = np.array(mesh.GetPointsAttr().Get())[np.array(mesh.GetFaceVertexIndicesAttr().Get())]
        a, b, c = corners.reshape(-1, 3, 3).transpose(1, 0, 2)
        flat = np.cross(b - a, c - a)
        flat /= np.linalg.norm(flat, axis=1, keepdims=True)
        normals = np.array(mesh.GetNormalsAttr().Get()).reshape(-1, 3, 3)
        np.testing.assert_allclose(normals, np.repeat(flat[:, None], 3, axis=1), atol=1e-5)


def test_grasp_stages_reference_the_asset_itself(tmp_path: Path) -> None:
    report = make_object_asset(write_l(tmp_path), tmp_path / "out")
    copied = object_asset(load_object(report.path), tmp_path / "assets")
    assert copied.suffix == ".usda"
    assert load_object(copied).mesh_hash == report.mesh_hash
    assert Usd.Stage.Open(str(copied)).GetPrimAtPath("/angle/collision/piece_001").IsValid()


def test_evaluation_finds_the_same_pieces_in_the_asset(tmp_path: Path) -> None:
    source = write_l(tmp_path)
    report = make_object_asset(source, tmp_path / "out")
    pieces, expected = (convex_pieces(load_object(path)) for path in (report.path, source))
    assert len(pieces) == report.piece_count == 2
    for piece, other in zip(pieces, expected, strict=True):
        np.testing.assert_allclose(piece.vertices, other.vertices, atol=1e-7)
    np.testing.assert_allclose(report.piece_volume_ratio, 1.0, rtol=1e-5)


def test_stage_has_physics_and_opens_with_the_mesh_in_view(tmp_path: Path) -> None:
    model = load_object(write_l(tmp_path))
    report = make_object_asset(
        model.path, tmp_path / "out", name="2 angles", config=AssetConfig(density=700.0, friction=0.35)
    )
    stage = Usd.Stage.Open(report.path)
    root = stage.GetDefaultPrim()
    assert root.GetName() == "__angles"
    assert root.HasAPI(UsdPhysics.RigidBodyAPI)
    assert Usd.ModelAPI(root).GetKind() == "component"
    assert (UsdGeom.GetStageMetersPerUnit(stage), UsdGeom.GetStageUpAxis(stage)) == (1.0, "Z")
    mass = UsdPhysics.MassAPI(root)
    np.testing.assert_allclose(mass.GetMassAttr().Get(), 700.0 * model.volume, rtol=1e-6)
    np.testing.assert_allclose(mass.GetCenterOfMassAttr().Get(), model.center_of_mass, atol=1e-7)
    moments = np.diag(np.array(mass.GetDiagonalInertiaAttr().Get(), float))
    axes = np.array(Gf.Matrix3d(Gf.Quatd(mass.GetPrincipalAxesAttr().Get()))).T
    np.testing.assert_allclose(
        axes @ moments @ axes.T, 700.0 * model.inertia_unit_density, rtol=1e-5, atol=1e-11
    )
    mesh = stage.GetPrimAtPath("/__angles/mesh")
    assert not mesh.HasAPI(UsdPhysics.CollisionAPI)
    shapes = [prim for prim in stage.Traverse() if prim.HasAPI(UsdPhysics.CollisionAPI)]
    assert len(shapes) == 2
    for prim in shapes:
        assert UsdGeom.Imageable(prim).ComputePurpose() == UsdGeom.Tokens.guide
        assert UsdPhysics.MeshCollisionAPI(prim).GetApproximationAttr().Get() == "convexHull"
    for prim in (*shapes, mesh):
        material = UsdShade.MaterialBindingAPI(prim).ComputeBoundMaterial("physics")[0].GetPrim()
        assert UsdPhysics.MaterialAPI(material).GetDynamicFrictionAttr().Get() == pytest.approx(0.35)
    metadata = stage.GetRootLayer().customLayerData["warpgrasp"]
    assert metadata["source"] == "angle.stl"
    assert metadata["source_hash"] == model.file_hash


def test_newton_reads_mass_center_inertia_friction_and_collision_shapes(tmp_path: Path) -> None:
    newton = pytest.importorskip("newton", reason="Newton is not installed (extra 'sim')")
    model = load_object(write_l(tmp_path))
    report = make_object_asset(model.path, tmp_path / "out", config=AssetConfig(mass=0.2, friction=0.35))
    builder = newton.ModelBuilder()
    builder.add_usd(report.path)
    assert builder.body_count == 1
    np.testing.assert_allclose(builder.body_mass[0], 0.2, rtol=1e-5)
    np.testing.assert_allclose(np.array(builder.body_com[0]), model.center_of_mass, atol=1e-6)
    inertia = np.array(builder.body_inertia[0]).reshape(3, 3)
    np.testing.assert_allclose(
        inertia, 0.2 / model.volume * model.inertia_unit_density, rtol=1e-4, atol=1e-10
    )
    flags = np.array(builder.shape_flags)
    collides = (flags & int(newton.ShapeFlags.COLLIDE_SHAPES)) != 0
    assert collides.sum() == report.piece_count == 2
    np.testing.assert_allclose(np.array(builder.shape_material_mu)[collides], 0.35, rtol=1e-5)
    kinds = np.array(builder.shape_type)[collides]
    assert all(kind in (newton.GeoType.CONVEX_MESH, newton.GeoType.MESH) for kind in kinds)
    points = np.concatenate(
        [
            np.array(builder.shape_source[i].vertices) * np.array(builder.shape_scale[i])
            for i in np.flatnonzero(collides)
        ]
    )
    np.testing.assert_allclose(np.ptp(points, axis=0), model.extent, atol=1e-6)


def test_command_line_writes_assets_and_a_report(tmp_path: Path, capsys: Any) -> None:
    write_l(tmp_path / "a", "angle.stl", scale=1000.0)
    write_l(tmp_path / "b", "Angle.stl", scale=1000.0)
    arguments = [str(tmp_path / "a"), str(tmp_path / "b" / "Angle.stl"), "-o", str(tmp_path / "out")]
    assert main([*arguments, "--scale", "0.001", "--target-size", "--mass", "0.1", "--binary"]) == 0
    out = capsys.readouterr().out
    assert "angle" in out
    assert "100.0" in out  # grams
    for unit in ("[mm]", "[cm3]", "[g]", "[%]"):
        assert unit in out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "Angle_2.usdc", "angle.usdc", "objects.json",
    ]  # fmt: skip
    report = json.loads((tmp_path / "out" / "objects.json").read_text())
    assert report["failures"] == {}
    row = report["objects"][0]
    factor = target_scale(np.array([0.06, 0.05, 0.04]))
    assert factor > 1.0
    np.testing.assert_allclose(row["scale"], 0.001 * factor, rtol=1e-6)
    np.testing.assert_allclose(row["extent"], factor * np.array([0.06, 0.05, 0.04]), rtol=1e-5)
    assert (row["mass"], row["piece_count"], row["watertight"]) == (0.1, 2, True)
    np.testing.assert_allclose(row["density"] * row["volume"], 0.1)


def test_meshes_that_cannot_be_used_are_named_and_the_others_done(tmp_path: Path, capsys: Any) -> None:
    good = write_l(tmp_path)
    sheet = tmp_path / "sheet.stl"
    trimesh.Trimesh([(0, 0, 0), (0.1, 0, 0), (0, 0.1, 0)], [(0, 1, 2)]).export(sheet)
    code = main([str(good), str(sheet), str(tmp_path / "none.obj"), "-o", str(tmp_path / "out")])
    captured = capsys.readouterr()
    assert code == 1
    assert "sheet.stl: is a flat sheet" in captured.err
    assert "none.obj: no such file" in captured.err
    assert "2 of 3 meshes were refused" in captured.err
    report = json.loads((tmp_path / "out" / "objects.json").read_text())
    assert [row["name"] for row in report["objects"]] == ["angle"]
    assert len(report["failures"]) == 2


def test_two_commands_at_once_never_take_each_others_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second begins after the first has named its assets and before it has written one."""
    files = []
    for index in range(2):
        files.append(tmp_path / str(index) / "part.stl")
        files[-1].parent.mkdir()
        trimesh.creation.box(np.full(3, 0.04 + 0.01 * index)).export(files[-1])
    folder, make, second = tmp_path / "assets", make_object_asset, []

    def beside(*arguments: Any, **options: Any) -> Any:
        if not second:
            second.append(True)
            assert main([str(files[1]), "-o", str(folder)]) == 0
        return make(*arguments, **options)

    monkeypatch.setattr("warpgrasp.objects.__main__.make_object_asset", beside)
    assert main([str(files[0]), "-o", str(folder)]) == 0
    rows = json.loads((folder / "objects.json").read_text())["objects"]
    assert {row["name"]: row["source"] for row in rows} == {
        "part": str(files[0].resolve()),
        "part_2": str(files[1].resolve()),
    }
    sizes = [load_object(folder / f"{name}.usda").extent[0] for name in ("part", "part_2")]
    np.testing.assert_allclose(sizes, [0.04, 0.05], rtol=1e-5)


def test_a_folder_that_is_deleted_while_the_command_runs_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    mesh, folder, make = tmp_path / "part.stl", tmp_path / "assets", make_object_asset
    trimesh.creation.box((0.04, 0.04, 0.04)).export(mesh)

    def then_delete(*arguments: Any, **options: Any) -> Any:
        row = make(*arguments, **options)
        shutil.rmtree(folder)
        return row

    monkeypatch.setattr("warpgrasp.objects.__main__.make_object_asset", then_delete)
    assert main([str(mesh), "-o", str(folder)]) == 1
    assert "was deleted or changed while the command ran, 1 of 1 assets are gone" in capsys.readouterr().err
    monkeypatch.undo()
    assert main([str(mesh), "-o", str(folder)]) == 0


def test_repairs_are_reported(tmp_path: Path, capsys: Any) -> None:
    mesh = trimesh.load(write_l(tmp_path), force="mesh", process=False)
    trimesh.Trimesh(mesh.vertices, mesh.faces[:, ::-1], process=False).export(tmp_path / "inside_out.obj")
    report = make_object_asset(tmp_path / "inside_out.obj", tmp_path / "out")
    assert report.repairs == ("The normals pointed into the object and were flipped.",)
    assert load_object(report.path).repairs == ()
    assert main([str(tmp_path / "inside_out.obj"), "-o", str(tmp_path / "out")]) == 0
    assert "inside_out: The normals pointed into the object and were flipped.\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--density", "0"], "density must be positive and finite (got 0)"),
        (["--mass", "nan"], "mass must be positive and finite (got nan)"),
        (["--friction", "-0.1"], "friction must be finite and not negative (got -0.1)"),
        (["--mass", "1", "--density", "2"], "give density (2 kg/m^3) or mass (1 kg), not both"),
    ],
)
def test_wrong_values_have_exit_code_two(
    options: list[str], sentence: str, tmp_path: Path, capsys: Any
) -> None:
    assert main([str(write_l(tmp_path)), "-o", str(tmp_path / "out"), *options]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_folder_without_meshes_and_own_mesh_are_refused(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "empty"), "-o", str(tmp_path / "out")]) == 1
    assert "holds no meshes" in capsys.readouterr().err
    report = make_object_asset(write_l(tmp_path), tmp_path / "out")
    before = Path(report.path).read_bytes()
    assert main([report.path, "-o", str(tmp_path / "out")]) == 1
    assert "would replace its own mesh" in capsys.readouterr().err
    assert Path(report.path).read_bytes() == before


def test_missing_coacd_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.undo()  # the real decomposition
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "coacd", None)
    assert main([str(write_l(tmp_path)), "-o", str(tmp_path / "out")]) == 2
    assert "pip install -e '.[sim]'" in capsys.readouterr().err


def test_names_are_unique_without_regard_to_case() -> None:
    files = [Path("a/cup.obj"), Path("b/Cup.stl"), Path("c/cup.ply"), Path("d/box.obj")]
    assert asset_names(files) == ["cup", "Cup_2", "cup_3", "box"]


def test_evaluation_of_an_asset_needs_no_second_decomposition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decompose = pieces_module._decompose
    count = []
    monkeypatch.undo()  # the real cache
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def counted(model: ObjectModel, config: Any, stop: Any) -> Any:
        count.append(model.mesh_hash)
        return decompose(model, config, stop)

    monkeypatch.setattr(pieces_module, "_decompose", counted)
    report = make_object_asset(write_l(tmp_path, scale=1.1), tmp_path / "out")
    convex_pieces(load_object(report.path))
    assert count == [report.mesh_hash]
