"""``python -m warpgrasp.export``: what is left out and said, and where the files go."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_runs import COUNT, read_torch, write_grasps

from warpgrasp.base.status import GraspStatus
from warpgrasp.export import export_grasps
from warpgrasp.export.__main__ import main
from warpgrasp.hands import load_hand
from warpgrasp.objects.names import object_name


def test_nan_grasps_are_counted_named_and_left_out(tmp_path: Path, capsys: Any) -> None:
    hand = load_hand("robotiq_2f140")
    grasps = write_grasps(tmp_path / "run", hand)
    energy, status = grasps.energy.copy(), grasps.status.copy()
    energy[1], status[1] = np.nan, GraspStatus.NONFINITE_ENERGY
    dataclasses.replace(grasps, energy=energy, status=status).save(tmp_path / "run" / "cube.npz")
    out = tmp_path / "out"
    code = main([str(tmp_path / "run"), "--format", "graspqp", "-o", str(out), "--every-status"])
    captured = capsys.readouterr()
    assert code == 1
    assert "cube.npz: 1 of its grasps have a number that is not finite" in captured.err
    assert "2 grasps in 1 files of graspqp" in captured.out
    assert len(read_torch(out / "cube.dexgrasp.pt")["values"]) == COUNT - 1


def test_flagged_grasps_are_left_out_unless_asked_for(tmp_path: Path, capsys: Any) -> None:
    status = np.zeros(COUNT)
    status[0] = GraspStatus.PREGRASP_NOT_CLEAR
    write_grasps(tmp_path / "run", load_hand("robotiq_2f140"), status=status)
    arguments = [str(tmp_path / "run"), "--format", "graspqp", "-o", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert "2 grasps in 1 files of graspqp; 1 with a status other than OK left out" in capsys.readouterr().out
    assert main([*arguments, "--every-status"]) == 0
    assert "3 grasps in 1 files of graspqp:" in capsys.readouterr().out
    write_grasps(tmp_path / "bad", load_hand("robotiq_2f140"), status=np.full(COUNT, 1))
    assert main([str(tmp_path / "bad"), *arguments[1:]]) == 1
    assert "none of its 3 grasps has status OK; pass --every-status" in capsys.readouterr().err


def test_grasps_of_another_hand_are_refused(tmp_path: Path, capsys: Any) -> None:
    write_grasps(tmp_path / "run", load_hand("robotiq_2f140"))
    arguments = [str(tmp_path / "run"), "--format", "mjcf", "-o", str(tmp_path / "out"), "--hand", "allegro"]
    assert main(arguments) == 1
    assert "its grasps are of hand 'robotiq_2f140', not of 'allegro'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_empty_and_damaged_files_are_named(tmp_path: Path, capsys: Any) -> None:
    grasps = write_grasps(tmp_path / "run", load_hand("robotiq_2f140"))
    grasps.select([]).save(tmp_path / "run" / "empty.npz")
    (tmp_path / "run" / "broken.npz").write_bytes(b"PK")
    code = main([str(tmp_path / "run"), "--format", "graspqp", "-o", str(tmp_path / "out")])
    captured = capsys.readouterr()
    assert code == 1
    assert "empty.npz holds no grasps" in captured.err
    assert "broken.npz is not a readable grasp file" in captured.err
    assert "3 grasps in 1 files of graspqp" in captured.out


def test_files_of_one_name_in_two_runs_go_into_folders_like_theirs(tmp_path: Path) -> None:
    hand = load_hand("robotiq_2f140")
    for run in ("a", "b"):
        write_grasps(tmp_path / "runs" / run, hand)
    result = export_grasps([tmp_path / "runs"], tmp_path / "out", format="graspqp")
    assert [path.relative_to(tmp_path / "out").parts[0] for path in result.paths] == ["a", "b"]
    write_grasps(tmp_path / "runs" / "c", hand, name="other")
    result = export_grasps(
        [tmp_path / "runs" / "a", tmp_path / "runs" / "c"], tmp_path / "flat", format="graspqp"
    )
    assert {path.parent for path in result.paths} == {tmp_path / "flat"}


def test_wrong_usage_has_exit_code_two(tmp_path: Path, capsys: Any) -> None:
    out = ["--format", "usd", "-o", str(tmp_path / "out")]
    assert main([str(tmp_path / "nowhere"), *out]) == 2
    assert "does not exist" in capsys.readouterr().err
    for folder in ("a", "b"):
        write_grasps(tmp_path / folder, load_hand("robotiq_2f140"))
    for name in ("cube", "Cube"):
        (tmp_path / "a" / f"{name}.npz").write_bytes(b"PK")
    assert main([str(tmp_path / "a"), *out]) == 2
    assert "have the same name; export them into different folders" in capsys.readouterr().err
    assert main([str(tmp_path / "a"), *out, "--best", "0"]) == 2
    assert "best must be at least 1 (got 0)" in capsys.readouterr().err
    with pytest.raises(
        ValueError,
        match=r"format must be one of dexgraspbench, dexgraspnet, dexlearn, graspqp, isaac_grasp, mjcf, usd \(got 'xml'\)",
    ):
        export_grasps([tmp_path / "a"], tmp_path / "out", format="xml")
    with pytest.raises(SystemExit):
        main([str(tmp_path / "a"), "--format", "xml", "-o", str(tmp_path / "out")])


@pytest.mark.parametrize("name", ["...npz", "..npz.npz", "=1+1.npz", "a b&c.npz", ".npz"])
@pytest.mark.parametrize("format", ["dexgraspbench", "graspqp", "usd", "isaac_grasp"])
def test_exports_stay_below_their_folder_whatever_the_file_is_called(
    tmp_path: Path, name: str, format: str
) -> None:
    hand = load_hand("allegro" if format == "dexgraspbench" else "robotiq_2f140")
    write_grasps(tmp_path / "run", hand)
    (tmp_path / "run" / "cube.npz").rename(tmp_path / "run" / name)
    out = tmp_path / "deep" / "out"
    (out.parent).mkdir()
    (out.parent / "0000.npy").touch()
    assert main([str(tmp_path / "run" / name), "--format", format, "-o", str(out)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "run"]
    assert sorted(path.name for path in out.parent.iterdir()) == ["0000.npy", "out"]
    assert all(object_name(path) == path.stem for path in out.glob("*.yaml"))
