"""Names of objects: any file name works in every command, or is refused by one sentence."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from generate_shell import SMALL, Shell, make_shell
from mesh_files import BLOCK, write_obj, write_stl_binary
from test_objects_refused import refuse

from warpgrasp.grasps.case import grasp_files
from warpgrasp.objects import load_object
from warpgrasp.objects.__main__ import main as objects_main
from warpgrasp.objects.names import object_name


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    return make_shell(tmp_path, monkeypatch)


ODD = {
    "mug.obj": "mug", "my mug (1), blau ü.obj": "my mug (1), blau ü", ".hidden.obj": "hidden", "...obj": "object",
    "=1+1.obj": "_1+1", "<!--<script>.obj": "__--_script_", "a" * 230 + ".obj": None, "ü" * 120 + ".obj": None,
    "con.obj": "_con", "-rf.obj": "rf", "a@b#c[d].obj": "a_b_c_d_", "mug.v1.2.obj": "mug.v1.2",
}  # fmt: skip


@pytest.mark.parametrize("file", ODD)
def test_names_work_as_files_in_tables_and_pages(file: str) -> None:
    name = object_name(Path(file))
    assert name == (ODD[file] or name)
    assert 0 < len(name.encode()) <= 80
    assert not name.startswith((".", "=", "+", "-", "@"))
    assert object_name(Path(f"{name}.obj")) == name  # once is enough


def test_long_names_stay_apart() -> None:
    assert object_name(Path("a" * 200 + "1.obj")) != object_name(Path("a" * 200 + "2.obj"))


def test_all_commands_agree_on_odd_names(shell: Shell) -> None:
    names = [name for name in ODD if name not in ("mug.obj", "...obj")]
    for name in names:
        write_obj(shell.folder / name, BLOCK)
    files = [str(shell.folder / name) for name in names]
    assert shell(*files, *SMALL) == 0
    expected = sorted(object_name(Path(name)) for name in names)
    assert sorted(shell.synthesis.names) == expected
    assert sorted(file.stem for file in grasp_files([shell.folder / "out"])) == expected
    assert objects_main([*files, "-o", str(shell.folder / "assets")]) == 0
    rows = json.loads((shell.folder / "assets" / "objects.json").read_text())["objects"]
    assert sorted(row["name"] for row in rows) == expected
    assert sorted(load_object(row["path"]).name for row in rows) == expected


def test_name_that_is_no_text_or_too_long_is_refused_and_the_others_finish(shell: Shell) -> None:
    write_stl_binary(shell.folder / "good.stl", BLOCK)
    path = Path(os.fsdecode(os.fsencode(shell.folder) + b"/m\xffg.stl"))
    try:
        write_stl_binary(path, BLOCK)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    long = str(shell.folder / ("x" * 300 + ".stl"))
    for code in (shell(str(path), long, str(shell.folder / "good.stl"), *SMALL),):
        assert code == 1
    assert shell.synthesis.names == ["good"]
    assert "m\\udcffg.stl: has a name that is not UTF-8; rename the file." in shell.output
    assert "cannot be opened" in shell.output
    out = str(shell.folder / "assets")
    assert objects_main([str(path), long, str(shell.folder / "good.stl"), "-o", out]) == 1
    assert len(json.loads((Path(out) / "objects.json").read_text())["objects"]) == 1


def test_unexpected_errors_of_one_object_do_not_end_the_run(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(models: object) -> None:
        if [model.name for model in models] != ["b"]:  # type: ignore[attr-defined]
            raise IndexError("index 7 is out of bounds")

    shell.synthesis.before = explode  # type: ignore[assignment]
    meshes = [shell.mesh(f"{name}.stl") for name in "ab"]
    assert shell(*meshes, *SMALL) == 1
    assert shell.synthesis.names == ["b"]
    assert "a.stl: index 7 is out of bounds" in shell.output
    monkeypatch.setattr("warpgrasp.objects.model._mended", lambda *_, **__: 1 // 0)
    refuse(Path(meshes[0]), "cannot be mended (ZeroDivisionError")
