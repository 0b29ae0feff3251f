"""Grasp sets: columns, validation, selection, files that are whole or absent."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from grasp_factory import make_grasp_set

from warpgrasp.base import atomic_file
from warpgrasp.base.status import GraspStatus
from warpgrasp.grasps.grasp_set import SCHEMA_VERSION, GraspSet, OutputError

COLUMNS = {  # the documented columns (docs/reference/files.md), with N = 5, J = 3, C = 4, K = 2
    "root_position": (5, 3),
    "root_quaternion": (5, 4),
    "joint_position": (5, 3),
    "pregrasp_root_position": (5, 3),
    "pregrasp_root_quaternion": (5, 4),
    "pregrasp_joint_position": (5, 3),
    "squeeze_root_position": (5, 3),
    "squeeze_root_quaternion": (5, 4),
    "squeeze_joint_position": (5, 3),
    "squeeze_torque": (5, 3),
    "joint_names": (3,),
    "contact_index": (5, 4),
    "contact_position": (5, 4, 3),
    "contact_normal": (5, 4, 3),
    "contact_force": (5, 4, 3),
    "energy": (5,),
    "energy_terms": (5, 2),
    "energy_term_names": (2,),
    "status": (5,),
    "quality": (5,),
    "waypoint_root_position": (5, 2, 3),
    "waypoint_joint_position": (5, 2, 3),
    "waypoint_clearance": (5, 2),
}


def _grasps(**changes: object) -> GraspSet:
    return make_grasp_set(count=5, joint_names=("a", "b", "c"), contact_count=4, waypoint_count=2, **changes)


def test_npz_holds_exactly_the_documented_columns_as_plain_arrays(tmp_path: Path) -> None:
    path = _grasps().save(tmp_path / "grasps.npz")
    with np.load(path, allow_pickle=False) as file:
        assert {name: file[name].shape for name in file.files if name != "metadata"} == COLUMNS
        assert all(file[name].dtype.kind in "fiU" for name in file.files)
        assert json.loads(str(file["metadata"]))["schema_version"] == SCHEMA_VERSION
    assert {entry.name for entry in fields(GraspSet)} == {*COLUMNS, "metadata"}


def test_files_without_torques_load_and_say_that_they_are_unknown(tmp_path: Path) -> None:
    """As files of older versions are: NaN stands for a torque nobody told; positions are as they were."""
    grasps = _grasps()
    path = grasps.save(tmp_path / "grasps.npz")
    with np.load(path, allow_pickle=False) as file:
        columns = {name: file[name] for name in file.files if name != "squeeze_torque"}
    np.savez(path, **columns)
    loaded = GraspSet.load(path)
    assert np.isnan(loaded.squeeze_torque).all()
    assert loaded.squeeze_torque.shape == loaded.joint_position.shape
    np.testing.assert_array_equal(loaded.squeeze_joint_position, grasps.squeeze_joint_position)
    assert np.isnan(loaded.select([0, 2]).squeeze_torque).all()
    np.testing.assert_array_equal(GraspSet.load(loaded.save(path)).squeeze_torque, loaded.squeeze_torque)


def test_files_without_waypoints_load_as_a_set_with_none(tmp_path: Path) -> None:
    """As files of older versions are."""
    path = _grasps().save(tmp_path / "grasps.npz")
    with np.load(path, allow_pickle=False) as file:
        columns = {name: file[name] for name in file.files if not name.startswith("waypoint_")}
    np.savez(path, **columns)
    loaded = GraspSet.load(path)
    assert loaded.waypoint_root_position.shape == (5, 0, 3)
    assert loaded.waypoint_joint_position.shape == (5, 0, 3)
    assert loaded.select([0, 2]).waypoint_clearance.shape == (2, 0)


def test_round_trip_is_exact_and_bytes_are_deterministic(tmp_path: Path) -> None:
    grasps = _grasps()
    loaded = GraspSet.load(grasps.save(tmp_path / "a" / "grasps.npz"))
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(loaded, name), getattr(grasps, name), err_msg=name)
    assert loaded.metadata == grasps.metadata
    assert loaded.save(tmp_path / "b.npz").read_bytes() == (tmp_path / "a" / "grasps.npz").read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"root_position": np.zeros((5, 2))}, r"root_position must have shape \[N, 3\] \(got \[5, 2\]\)"),
        ({"energy": np.zeros(4)}, r"energy must have shape \[N\] with N = 5 grasps.*\(got \[4\]\)"),
        ({"squeeze_joint_position": np.zeros((5, 2))}, r"J = 3 joints, as in joint_position"),
        ({"contact_force": np.zeros((5, 3, 3))}, r"C = 4 contacts"),
        ({"energy_terms": np.zeros(5)}, r"energy_terms must have shape \[N, K\] \(got \[5\]\)"),
        ({"joint_names": ("a", "a", "b")}, r"joint_names must be different .*'a'"),
        ({"status": np.full(5, 77)}, r"status must be a GraspStatus .*\(got 77\)"),
        ({"root_quaternion": np.zeros((5, 4))}, r"unit length \(got 0 for grasp 0\)"),
        ({"root_quaternion": np.full((5, 4), np.nan)}, r"unit length \(got nan for grasp 0\)"),
        ({"squeeze_root_quaternion": np.zeros((5, 4))}, r"squeeze_root_quaternion .* unit length \(got 0"),
        ({"energy": np.array([1, 2, np.nan, 1, 1])}, r"energy of a grasp with status OK .* not for grasp 2"),
        (
            {"contact_force": np.full((5, 4, 3), np.inf)},
            r"contact_force of a grasp with status OK must be finite",
        ),
        ({"joint_position": np.full((5, 3), 1.0e39)}, r"joint_position of a grasp with status OK"),
        ({"quality": np.array([0.2, np.nan, 1.1, 0, 1])}, r"quality must be in \[0, 1\] or NaN \(got 1.1\)"),
        ({"squeeze_torque": np.full((5, 3), np.inf)}, r"squeeze_torque of a grasp with status OK"),
        ({"contact_index": np.full((5, 4), -1)}, r"contact_index must not be negative \(got -1\)"),
        ({"contact_index": np.full((5, 4), 0.5)}, r"contact_index must hold whole numbers"),
        ({"status": np.full(5, 2**40)}, r"status must hold whole numbers of 32 bits"),
        ({"energy": np.array(["1"] * 5)}, r"energy must hold numbers \(got <U1\)"),
        ({"metadata": {"object": None}}, r"metadata 'object' must hold entries \(got None\)"),
    ],
)
def test_wrong_columns_are_refused_with_the_value(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(_grasps(), **changes)  # type: ignore[arg-type]


def test_a_failed_grasp_may_hold_any_numbers() -> None:
    quaternion = _grasps().root_quaternion.copy()
    quaternion[2] = np.nan
    status = np.zeros(5)
    status[2] = GraspStatus.NONFINITE_ENERGY
    assert replace(_grasps(), root_quaternion=quaternion, status=status).status[2] == 1


def test_best_puts_ok_first_then_ascending_energy_then_not_finite() -> None:
    grasps = replace(
        _grasps(),
        quality=np.full(5, np.nan),
        energy=np.array([3.0, -9.0, np.nan, 1.0, np.inf]),
        status=np.array([0, 1, 1, 0, 1]),
    )
    assert grasps.order().tolist() == [3, 0, 1, 2, 4]
    assert grasps.best(2).energy.tolist() == [1.0, 3.0]
    assert grasps.finite().tolist() == [True, True, False, True, False]
    assert len(grasps.best(99)) == 5
    assert len(grasps.best(0)) == 0
    with pytest.raises(ValueError, match="-1"):
        grasps.best(-1)


def test_select_takes_masks_and_indices_and_refuses_others() -> None:
    grasps = _grasps()
    np.testing.assert_array_equal(grasps.select(grasps.energy > 2).energy, grasps.energy[grasps.energy > 2])
    np.testing.assert_array_equal(grasps.select([4, 0]).contact_index, grasps.contact_index[[4, 0]])
    assert len(grasps.select([])) == 0
    for mask, message in [
        (np.ones(3, bool), "5 grasps"),
        ([5], "5 "),
        ([0.5], "float"),
        (np.ones((5, 1), bool), "one-dim"),
    ]:
        with pytest.raises(ValueError, match=message):
            grasps.select(mask)


def test_concatenate_keeps_shared_metadata_and_refuses_other_objects() -> None:
    first, second = _grasps(seed=0), _grasps(seed=1)
    joined = GraspSet.concatenate([first, second])
    np.testing.assert_array_equal(joined.energy, np.concatenate([first.energy, second.energy]))
    assert joined.metadata["hand"] == first.metadata["hand"]
    assert joined.metadata["parts"] == [{"seed": 0}, {"seed": 1}]
    other = replace(second, metadata={**second.metadata, "object": {"name": "mug", "mesh_hash": "ff"}})
    with pytest.raises(ValueError, match="part 1 differs in object"):
        GraspSet.concatenate([first, other])
    with pytest.raises(ValueError, match="got none"):
        GraspSet.concatenate([])


def test_damaged_foreign_and_newer_files_are_refused_in_one_sentence(tmp_path: Path) -> None:
    good = _grasps().save(tmp_path / "good.npz").read_bytes()
    for size in (0, 10, len(good) // 2, len(good) - 1):
        (tmp_path / "cut.npz").write_bytes(good[:size])
        with pytest.raises(ValueError, match=r"cut\.npz"):
            GraspSet.load(tmp_path / "cut.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="'root_position' is missing"):
        GraspSet.load(tmp_path / "other.npz")
    np.savez(tmp_path / "pickle.npz", a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"pickle\.npz is not a readable"):
        GraspSet.load(tmp_path / "pickle.npz")
    newer = replace(_grasps(), metadata={"schema_version": SCHEMA_VERSION + 1})
    with pytest.raises(ValueError, match="update warpgrasp"):
        GraspSet.load(newer.save(tmp_path / "newer.npz"))
    with pytest.raises(FileNotFoundError):
        GraspSet.load(tmp_path / "absent.npz")


def test_full_disk_keeps_the_old_file_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _grasps(seed=0).save(tmp_path / "grasps.npz")
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic_file.os, "fsync", full)
    with pytest.raises(OutputError, match=r"cannot write .*grasps\.npz: the disk is full; free some space"):
        _grasps(seed=1).save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["grasps.npz"]


def test_a_real_write_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="file size limits are POSIX")
    script = (
        "import resource, sys; from pathlib import Path; from grasp_factory import make_grasp_set\n"
        "from warpgrasp.grasps.grasp_set import OutputError\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (1000, {resource.RLIM_INFINITY}))\n"
        "try: make_grasp_set().save(sys.argv[1])\n"
        "except OutputError as error: sys.exit(0 if 'cannot write' in str(error) else 3)\n"
        "sys.exit(4)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(Path.cwd())])}
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.npz")], env=environment, timeout=120
    )
    assert result.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_unwritable_places_give_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="a part of the path is a file"):
        _grasps().save(tmp_path / "file" / "deeper" / "grasps.npz")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="a folder of that name is in the way"):
        _grasps().save(tmp_path / "folder")
    with pytest.raises(OutputError, match="metadata holds what JSON cannot"):
        replace(_grasps(), metadata={"seed": np.int64(3)}).save(tmp_path / "a.npz")


def test_leftovers_of_killed_runs_are_removed_but_not_those_of_living_ones(tmp_path: Path) -> None:
    """Nor those of another host: nothing is known of its processes. A process number may have been given away again."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(timeout=60)
    own = atomic_file.temporary_path(tmp_path / "grasps.npz")
    host, me, _, _ = own.name.removeprefix(".warpgrasp-").split("-", 3)
    assert me == str(os.getpid())
    kept = [own, tmp_path / f".warpgrasp-elsewhere-{process.pid}-00000000-grasps.npz", tmp_path / "mug.npz"]
    dead = tmp_path / f".warpgrasp-{host}-{process.pid}-00000000-grasps.npz"
    namesake = tmp_path / f".warpgrasp-{host}-{me}-00000000-grasps.npz"
    for path in (*kept, dead, namesake):
        path.touch()
    folder = tmp_path / f".warpgrasp-{host}-{process.pid}-00000000-allegro"
    folder.mkdir()
    (folder / "hand.usda").touch()
    assert atomic_file.remove_temporary_files(tmp_path) == 3
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    code = (
        "import os, pathlib\n"
        "from warpgrasp.base.atomic_file import replace_file, scratch_folder\n"
        f"with scratch_folder() as scratch, replace_file(r'{tmp_path / 'out' / 'a.txt'}') as path:\n"
        "    path.write_text('half'); print(scratch, flush=True); os.kill(os.getpid(), 9)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "TMPDIR": str(tmp_path)}
    killed = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert killed.returncode == -9
    assert Path(killed.stdout.strip()).is_dir()
    assert len(list((tmp_path / "out").iterdir())) == 1
    again = code.replace("os.kill(os.getpid(), 9)", "pass")
    subprocess.run([sys.executable, "-c", again], env=environment, check=True, timeout=60)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_name_of_any_length_has_a_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 125 + ".txt")
    atomic_file.write_text(path, "whole")
    assert path.read_text() == "whole"
