"""Text and meshes of an asset are one unit: killed at any file operation, what loads is the old or the new one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from warpgrasp.base import atomic_file
from warpgrasp.base.usd_layers import mesh_layers
from warpgrasp.hands import load_hand
from warpgrasp.hands.authoring.author import write_hand
from warpgrasp.objects import load_object
from warpgrasp.objects.assets import AssetConfig, make_object_asset


class Killed(BaseException):
    """Stands for SIGKILL: nobody catches it."""


def _ball(folder: Path, radius: float) -> Path:
    path = folder / f"{radius}" / "ball.stl"
    path.parent.mkdir(exist_ok=True)
    trimesh.creation.icosphere(subdivisions=2, radius=radius).export(path)
    return path


def _kill_at(monkeypatch: pytest.MonkeyPatch, number: int) -> list[Any]:
    """End at the ``number``-th rename of a file below the folder of the assets."""
    calls: list[Any] = []
    inner = os.replace

    def replace(source: Any, target: Any) -> None:
        calls.append(target)
        if len(calls) == number:
            raise Killed
        inner(source, target)

    monkeypatch.setattr(atomic_file.os, "replace", replace)
    return calls


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6])
def test_a_killed_objects_command_leaves_the_old_or_the_new_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Twice the radius is eight times the volume: old meshes under a new description would show in mass per volume."""
    small, large = _ball(tmp_path, 0.02), _ball(tmp_path, 0.04)
    out, config = tmp_path / "out", AssetConfig(density=1000.0)
    make_object_asset(small, out, config=config)
    known = {load_object(out / "ball.usda").mesh_hash}
    known.add(make_object_asset(large, tmp_path / "new", config=config).mesh_hash)
    calls = _kill_at(monkeypatch, number)
    try:
        make_object_asset(large, out, config=config)
        assert len(calls) < number
    except Killed:
        pass
    monkeypatch.undo()
    asset = load_object(out / "ball.usda")
    assert asset.mesh_hash in known
    from pxr import Usd, UsdPhysics

    stage = Usd.Stage.Open(str(out / "ball.usda"))
    mass = UsdPhysics.MassAPI(stage.GetDefaultPrim()).GetMassAttr().Get()
    del stage  # OpenUSD would show an open file as it was
    assert mass / asset.volume == pytest.approx(1000.0, rel=1e-4)
    assert make_object_asset(large, out, config=config).mesh_hash == load_object(out / "ball.usda").mesh_hash
    assert len(list(out.glob("*.usdc"))) == 1, "meshes that nobody names any more are removed"


@pytest.mark.parametrize("number", [1, 2])
def test_a_killed_conversion_leaves_the_old_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    from warpgrasp.hands.shipped.robotiq_2f140.build import describe as describe_old
    from warpgrasp.hands.shipped.robotiq_3f.build import describe as describe_new

    path = tmp_path / "hand.usda"
    write_hand(describe_old(), path)
    before = load_hand(path)
    _kill_at(monkeypatch, number)
    with pytest.raises(Killed):
        write_hand(describe_new(), path)
    monkeypatch.undo()
    after = load_hand(path)
    assert after.asset_hash == before.asset_hash
    np.testing.assert_array_equal(after.plane, before.plane)
    write_hand(describe_new(), path)
    assert load_hand(path).name == "robotiq_3f"


def test_equal_content_has_equal_names(tmp_path: Path) -> None:
    ball = _ball(tmp_path, 0.02)
    for name in ("a", "b"):
        make_object_asset(ball, tmp_path / name)
    first, second = ({file.name: file.read_bytes() for file in (tmp_path / n).iterdir()} for n in ("a", "b"))
    assert first == second


def test_a_pair_of_an_earlier_version_is_replaced(tmp_path: Path) -> None:
    from warpgrasp.hands.shipped.robotiq_2f140.build import describe

    write_hand(describe(), tmp_path / "hand.usda", fixed_mesh_name=True)
    assert (tmp_path / "hand_meshes.usdc").exists()
    (tmp_path / "other_meshes.usdc").write_bytes(b"of somebody else")
    write_hand(describe(), tmp_path / "hand.usda")
    assert not (tmp_path / "hand_meshes.usdc").exists()
    assert (tmp_path / "other_meshes.usdc").exists()


def test_mesh_layers_are_told_from_objects() -> None:
    names = [
        "mug.usda",
        "mug_meshes_0123abcd.usdc",
        "mug_meshes.usdc",
        "cup_meshes.usdc",
        "mug_meshes_x.usdc",
    ]
    files = [Path("in") / name for name in names]
    assert mesh_layers(files) == {files[1], files[2]}
