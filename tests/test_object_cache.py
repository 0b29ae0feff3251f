"""The cache of objects: the same arrays from it as computed, damaged entries are written again, old ones go."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import trimesh

import warpgrasp.objects.model as model_module
from warpgrasp.objects import ObjectModel, load_object
from warpgrasp.objects.cache import cache_root, remove_oldest
from warpgrasp.objects.device import distance_bound, mesh_set


@pytest.fixture
def mesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An icosphere with a face turned inside out, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.03)
    ball.faces[0] = ball.faces[0][::-1]
    ball.export(tmp_path / "ball.ply")
    return tmp_path / "ball.ply"


def entries() -> list[Path]:
    return sorted((cache_root() / "objects").glob("*.npz"))


def everything(path: Path) -> dict[str, np.ndarray]:
    """All that is kept of an object, loaded anew."""
    model: ObjectModel = load_object(path)
    points, normals = model.surface_samples(64)
    meshes, alive = mesh_set([model], "cpu")
    bound = distance_bound([model], meshes, "cpu").distance.numpy()
    assert alive
    fields = {entry.name: getattr(model, entry.name) for entry in dataclasses.fields(model)}
    del fields["_cache"]
    arrays = {name: np.asarray(value) for name, value in fields.items()}
    return {**arrays, "points": points, "sample_normals": normals, "grid": bound}


def same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert value.dtype == second[name].dtype, name
        np.testing.assert_array_equal(value, second[name], err_msg=name)


def test_a_second_load_computes_nothing_and_gives_the_same(
    mesh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = everything(mesh)
    assert [path.name.split("_")[0] for path in entries()] == ["grid", "samples", "solid"]

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("computed again")

    for name in ("mend", "farthest_point_indices"):
        monkeypatch.setattr(model_module, name, refuse)
    same(first, everything(mesh))


@pytest.mark.parametrize("damage", ["cut", "other", "changed"])
def test_damaged_entries_are_written_again(mesh: Path, damage: str) -> None:
    first = everything(mesh)
    whole = {path: path.read_bytes() for path in entries()}
    for path, content in whole.items():
        changed = content[:200] + bytes([content[200] ^ 255]) + content[201:]
        path.write_bytes({"cut": content[:100], "other": b"no archive", "changed": changed}[damage])
    same(first, everything(mesh))
    assert {path: path.read_bytes() for path in entries()} == whole


def test_a_cache_that_cannot_be_written_is_done_without(mesh: Path) -> None:
    cache_root().parent.write_text("a file in the way")
    same(everything(mesh), everything(mesh))


def test_the_least_recently_used_entries_go(tmp_path: Path) -> None:
    for age, name in enumerate(("new", "old", "oldest")):
        file = tmp_path / f"{name}.npz"
        file.write_bytes(bytes(10))
        os.utime(file, (1000 - age, 1000 - age))
    remove_oldest(tmp_path, 20)
    assert {file.stem for file in tmp_path.iterdir()} == {"new", "old"}
